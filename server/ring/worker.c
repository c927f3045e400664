#include "server/ring/worker.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "server/base/log.h"
#include "server/base/object.h"
#include "server/ring/loop_private.h"
#include "server/ring/mailbox.h"
#include "server/ring/ring.h"

enum { WORKER_MAGIC = 0x776f726b, POOL_MAGIC = 0x706f6f6c };

enum { SLOW_STOP_SECONDS = 5 };

// What a worker has been asked to be, or is. It only ever grows.
enum worker_stage {
  WORKER_STARTING,
  WORKER_RUNNING,
  WORKER_STOPPING,  // asked to stop, but not everything placed on it has finished
  WORKER_QUIET,     // nothing in flight; still there for its neighbours
  WORKER_LEAVING,   // every worker is quiet, or the start failed
  WORKER_GONE
};

struct worker {
  uint32_t magic;
  struct worker_pool *pool;
  unsigned index;
  pthread_t thread;
  bool has_thread;
  struct loop *loop;
  int ring_fd;
  unsigned load;

  struct mailbox mailbox;
  int wake_fd;          // an eventfd: how threads without a ring wake us
  uint64_t wake_count;  // what was read from it
  struct ring_op wait;  // reads wake_fd
  struct op_stopper stopper;
  struct ring_op *wakes;  // one for each worker that we may wake

  enum worker_stage stage;  // the worker's own
  struct message stop;
  struct message leave;
};

struct worker_pool {
  uint32_t magic;
  struct worker_config config;
  struct worker *workers;

  pthread_mutex_t lock;  // guards what follows
  pthread_cond_t changed;
  unsigned num_started;  // workers that have tried to start
  unsigned num_quiet;
  status_t start_status;
};

// Outlives the pool that could not be made.
static char start_why[256];

static __thread struct worker *current;

struct worker *worker_current(void) {
  return current;
}

// ---------------------------------------------------------------------------------------------
// Waking

static void wake_by_eventfd(struct worker *worker) {
  uint64_t one = 1;
  ssize_t written = 0;
  do {
    written = write(worker->wake_fd, &one, sizeof(one));
  } while (written < 0 && errno == EINTR);
  assert(written == sizeof(one));
}

// The target's descriptor index is the place of the operation among our wakes.
static void on_woken(struct ring_op *op, const struct op_result *result) {
  if (result->value < 0) {
    wake_by_eventfd(&current->pool->workers[op - current->wakes]);
  }
}

static void wake(struct worker *to) {
  struct ring_op *op =
      current == NULL || current->pool != to->pool ? NULL : &current->wakes[to->index];
  if (op == NULL || current == to || op_busy(op)) {
    wake_by_eventfd(to);
    return;
  }
  op_init(op, OP_WAKE, to->ring_fd, on_woken);
  op_start(current->loop, op);
}

void worker_post(struct worker *to, struct message *message) {
  OBJECT_CHECK(to, WORKER_MAGIC);
  if (mailbox_put(&to->mailbox, message)) {
    wake(to);
  }
}

static void on_eventfd_read(struct ring_op *op, const struct op_result *result) {
  struct worker *worker = LIST_ENTRY(op, struct worker, wait);
  if (worker->stage == WORKER_LEAVING) {
    return;
  }
  if (op_outcome(OP_READ, result->value) == OP_FAILED) {
    LOG_ERROR("read of an eventfd: %s", strerrordesc_np(-result->value));
  }
  op_start(worker->loop, op);
}

static void on_rested(void *owner) {
  (void)owner;
}

static void start_waiting(struct worker *worker) {
  op_init(&worker->wait, OP_READ, worker->wake_fd, on_eventfd_read);
  worker->wait.bytes.data = &worker->wake_count;
  worker->wait.bytes.len = sizeof(worker->wake_count);
  op_stopper_init(&worker->stopper, worker->loop, &worker->wait, on_rested, worker);
  op_start(worker->loop, &worker->wait);
}

// ---------------------------------------------------------------------------------------------
// A worker's thread

static void run_messages(struct worker *worker) {
  struct message *message = mailbox_take(&worker->mailbox);
  while (message != NULL) {
    // The message belongs to its sender again as soon as it runs.
    struct message *next = message->next;
    message->run(message);
    message = next;
  }
}

static void turn(struct worker *worker) {
  loop_enter(worker->loop, mailbox_may_sleep(&worker->mailbox));
  mailbox_wake_up(&worker->mailbox);
  run_messages(worker);
  loop_run(worker->loop);
}

// All that a quiet worker has in flight is the wait for its own eventfd.
static bool is_quiet(const struct worker *worker) {
  return loop_in_flight(worker->loop) == 1 && !loop_ready(worker->loop);
}

static void say_quiet(struct worker *worker) {
  worker->stage = WORKER_QUIET;
  pthread_mutex_lock(&worker->pool->lock);
  worker->pool->num_quiet++;
  pthread_cond_signal(&worker->pool->changed);
  pthread_mutex_unlock(&worker->pool->lock);
}

static void on_stop(struct message *message) {
  struct worker *worker = LIST_ENTRY(message, struct worker, stop);
  worker->stage = WORKER_STOPPING;
}

static void on_leave(struct message *message) {
  struct worker *worker = LIST_ENTRY(message, struct worker, leave);
  worker->stage = WORKER_LEAVING;
}

static void run(struct worker *worker) {
  while (worker->stage != WORKER_LEAVING) {
    turn(worker);
    if (worker->stage == WORKER_STOPPING && is_quiet(worker)) {
      say_quiet(worker);
    }
  }
  op_stopper_stop(&worker->stopper);
  while (loop_in_flight(worker->loop) > 0) {
    loop_turn(worker->loop, true);
  }
  op_stopper_rest(&worker->stopper);
  loop_free(worker->loop);
  worker->stage = WORKER_GONE;
}

// The first failure is the one that is told. Called with the pool locked.
static void fail_start(struct worker_pool *pool, status_t status, const char *why) {
  if (status_ok(pool->start_status)) {
    pool->start_status = status;
    snprintf(start_why, sizeof(start_why), "%s", why);
  }
}

static void say_started(struct worker *worker, status_t status, const char *why) {
  struct worker_pool *pool = worker->pool;
  pthread_mutex_lock(&pool->lock);
  pool->num_started++;
  if (!status_ok(status)) {
    fail_start(pool, status, why);
  }
  pthread_cond_signal(&pool->changed);
  pthread_mutex_unlock(&pool->lock);
}

static status_t start_loop(struct worker *worker, const char **out_why) {
  const struct worker_config *config = &worker->pool->config;
  struct loop_config loop_config = {.ring_entries = config->ring_entries,
                                    .num_buffers = config->num_buffers,
                                    .buffer_size = config->buffer_size,
                                    .handshakes_per_turn = config->handshakes_per_turn};
  TRY(loop_new(&loop_config, &worker->loop, out_why));
  worker->ring_fd = worker->loop->ring.ring_fd;
  start_waiting(worker);
  return OK_STATUS;
}

static void *thread_main(void *arg) {
  struct worker *worker = arg;
  char name[16];
  snprintf(name, sizeof(name), "tlsagent-w%u", worker->index);
  pthread_setname_np(pthread_self(), name);
  current = worker;
  const char *why = NULL;
  status_t status = start_loop(worker, &why);
  worker->stage = status_ok(status) ? WORKER_RUNNING : WORKER_GONE;
  say_started(worker, status, why);
  if (status_ok(status)) {
    run(worker);
  }
  current = NULL;
  return NULL;
}

// ---------------------------------------------------------------------------------------------
// The pool

static void init_worker(struct worker_pool *pool, unsigned index) {
  struct worker *worker = &pool->workers[index];
  *worker = (struct worker){.magic = WORKER_MAGIC,
                            .pool = pool,
                            .index = index,
                            .wake_fd = -1,
                            .stop = {.run = on_stop},
                            .leave = {.run = on_leave}};
  mailbox_init(&worker->mailbox);
}

static status_t alloc_pool(const struct worker_config *config, struct worker_pool **out) {
  struct worker_pool *pool = calloc(1, sizeof(*pool));
  ENSURE(pool != NULL, RESOURCE_EXHAUSTED);
  pool->workers = calloc(config->num_workers, sizeof(*pool->workers));
  if (pool->workers == NULL) {
    free(pool);
    return status_of(STATUS_RESOURCE_EXHAUSTED);
  }
  pool->magic = POOL_MAGIC;
  pool->config = *config;
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->changed, NULL);
  for (unsigned i = 0; i < config->num_workers; i++) {
    init_worker(pool, i);
  }
  *out = pool;
  return OK_STATUS;
}

static void free_pool(struct worker_pool *pool) {
  for (unsigned i = 0; i < pool->config.num_workers; i++) {
    struct worker *worker = &pool->workers[i];
    if (worker->wake_fd >= 0) {
      close(worker->wake_fd);
    }
    free(worker->wakes);
    worker->magic = 0;
  }
  pthread_cond_destroy(&pool->changed);
  pthread_mutex_destroy(&pool->lock);
  free(pool->workers);
  pool->magic = 0;
  free(pool);
}

static int prepare_worker(struct worker *worker) {
  worker->wakes = calloc(worker->pool->config.num_workers, sizeof(*worker->wakes));
  if (worker->wakes == NULL) {
    return ENOMEM;
  }
  worker->wake_fd = eventfd(0, EFD_CLOEXEC);
  return worker->wake_fd < 0 ? errno : 0;
}

// Signals are for the main thread: a worker must inherit a mask that blocks them all.
static int start_thread(struct worker *worker) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&worker->thread, NULL, thread_main, worker);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  worker->has_thread = error == 0;
  return error;
}

static int start_worker(struct worker *worker) {
  int error = prepare_worker(worker);
  return error != 0 ? error : start_thread(worker);
}

// Starts the workers, and waits until each has its ring or does not get one.
static void start_workers(struct worker_pool *pool) {
  unsigned num_threads = 0;
  int error = 0;
  while (num_threads < pool->config.num_workers && error == 0) {
    error = start_worker(&pool->workers[num_threads]);
    num_threads += error == 0;
  }
  pthread_mutex_lock(&pool->lock);
  while (pool->num_started < num_threads) {
    pthread_cond_wait(&pool->changed, &pool->lock);
  }
  if (error != 0) {
    fail_start(pool, status_of(STATUS_RESOURCE_EXHAUSTED),
               error == EAGAIN ? "no thread left for the workers: raise RLIMIT_NPROC (ulimit -u)"
                               : ring_why(error));
  }
  pthread_mutex_unlock(&pool->lock);
}

static bool is_there(const struct worker *worker) {
  return worker->has_thread && worker->loop != NULL;
}

static void post_to_all(struct worker_pool *pool, bool leave) {
  for (unsigned i = 0; i < pool->config.num_workers; i++) {
    struct worker *worker = &pool->workers[i];
    if (is_there(worker)) {
      worker_post(worker, leave ? &worker->leave : &worker->stop);
    }
  }
}

static void join_all(struct worker_pool *pool) {
  for (unsigned i = 0; i < pool->config.num_workers; i++) {
    if (pool->workers[i].has_thread) {
      pthread_join(pool->workers[i].thread, NULL);
    }
  }
}

status_t worker_pool_new(const struct worker_config *config, struct worker_pool **out,
                         const char **out_why) {
  assert(config->num_workers > 0);
  struct worker_pool *pool = NULL;
  *out_why = ring_why(ENOMEM);
  TRY(alloc_pool(config, &pool));
  start_workers(pool);
  status_t status = pool->start_status;
  if (!status_ok(status)) {
    *out_why = start_why;
    post_to_all(pool, true);
    join_all(pool);
    free_pool(pool);
    return status;
  }
  *out_why = NULL;
  *out = pool;
  return OK_STATUS;
}

static void wait_until_quiet(struct worker_pool *pool) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += SLOW_STOP_SECONDS;
  pthread_mutex_lock(&pool->lock);
  while (pool->num_quiet < pool->config.num_workers) {
    if (pthread_cond_timedwait(&pool->changed, &pool->lock, &until) == ETIMEDOUT) {
      LOG_WARNING("%u of %u workers still have operations in flight",
                  pool->config.num_workers - pool->num_quiet, pool->config.num_workers);
      until.tv_sec += SLOW_STOP_SECONDS;
    }
  }
  pthread_mutex_unlock(&pool->lock);
}

void worker_pool_free(struct worker_pool *pool) {
  if (pool == NULL) {
    return;
  }
  OBJECT_CHECK(pool, POOL_MAGIC);
  assert(current == NULL);
  // In two steps: a worker that still has something in flight may post to one that has not.
  post_to_all(pool, false);
  wait_until_quiet(pool);
  post_to_all(pool, true);
  join_all(pool);
  free_pool(pool);
}

unsigned worker_pool_size(const struct worker_pool *pool) {
  return pool->config.num_workers;
}

struct worker *worker_pool_at(struct worker_pool *pool, unsigned index) {
  OBJECT_CHECK(pool, POOL_MAGIC);
  assert(index < pool->config.num_workers);
  return &pool->workers[index];
}

struct loop *worker_loop(struct worker *worker) {
  OBJECT_CHECK(worker, WORKER_MAGIC);
  return worker->loop;
}

unsigned worker_index(const struct worker *worker) {
  OBJECT_CHECK(worker, WORKER_MAGIC);
  return worker->index;
}

void worker_load_add(struct worker *worker, int change) {
  OBJECT_CHECK(worker, WORKER_MAGIC);
  __atomic_add_fetch(&worker->load, (unsigned)change, __ATOMIC_RELAXED);
}

unsigned worker_load(const struct worker *worker) {
  OBJECT_CHECK(worker, WORKER_MAGIC);
  return __atomic_load_n(&worker->load, __ATOMIC_RELAXED);
}

struct worker *worker_pool_least_loaded(struct worker_pool *pool, struct worker *preferred) {
  OBJECT_CHECK(pool, POOL_MAGIC);
  struct worker *best = preferred == NULL ? &pool->workers[0] : preferred;
  unsigned load = worker_load(best);
  for (unsigned i = 0; i < pool->config.num_workers; i++) {
    unsigned other = worker_load(&pool->workers[i]);
    if (other < load) {
      best = &pool->workers[i];
      load = other;
    }
  }
  return best;
}

struct worker *worker_pool_near(struct worker_pool *pool, struct worker *preferred) {
  enum { SLACK = 8 };  // sessions: a few more on one worker are no imbalance
  struct worker *least = worker_pool_least_loaded(pool, preferred);
  bool is_near = preferred != NULL && worker_load(preferred) <= 2 * worker_load(least) + SLACK;
  return is_near ? preferred : least;
}
