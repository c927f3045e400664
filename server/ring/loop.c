#include "server/ring/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/base/log.h"
#include "server/ring/loop_private.h"
#include "server/ring/ring.h"

enum {
  WAIT_MAX_MS = 1000,    // no wait is without an end, whatever the kernel loses
  FAILURES_AT_ONCE = 8,  // enters that may fail in a row before we pause between them
  FAILURES_PAUSE_MS = 2,
  FAILURES_MAX = 10000,  // about 20 s of an error that time does not mend
  DATA_ROUNDS_MAX = 4    // data tasks may schedule data tasks so often in one turn
};

// ---------------------------------------------------------------------------------------------
// Making and freeing

static void init(struct loop *loop, const struct loop_config *config) {
  loop->magic = LOOP_MAGIC;
  loop->handshakes_per_turn = config->handshakes_per_turn;
  loop->now = clock_now();
  list_init(&loop->waiting);
  list_init(&loop->answered);
  list_init(&loop->tasks[TASK_DATA]);
  list_init(&loop->tasks[TASK_HANDSHAKE]);
  receivers_init(&loop->receivers, config->num_buffers);
  timers_init(&loop->timers, LOOP_TIMERS_MAX);
}

static bool is_power_of_two(unsigned n) {
  return n > 0 && (n & (n - 1)) == 0;
}

static void check_config(const struct loop_config *config) {
  assert(is_power_of_two(config->ring_entries));
  assert(is_power_of_two(config->num_buffers));
  assert(config->num_buffers <= LOOP_BUFFERS_MAX);
  assert(config->buffer_size >= LOOP_BUFFER_SIZE_MIN);
  assert(config->handshakes_per_turn > 0);
}

static int open_buffers(struct loop *loop, const struct loop_config *config) {
  int error = buffers_new(&loop->ring, BUFFERS_COMMON, config->num_buffers, config->buffer_size,
                          &loop->buffers);
  return error != 0 ? error
                    : buffers_new(&loop->ring, BUFFERS_LARGE, LARGE_BUFFERS, LOOP_LARGE_BUFFER_SIZE,
                                  &loop->large_buffers);
}

status_t loop_new(const struct loop_config *config, struct loop **out, const char **out_why) {
  check_config(config);
  struct loop *loop = calloc(1, sizeof(*loop));
  if (loop == NULL) {
    *out_why = ring_why(ENOMEM);
    return status_of(STATUS_RESOURCE_EXHAUSTED);
  }
  init(loop, config);
  if (!ring_open(&loop->ring, config->ring_entries, out_why)) {
    free(loop);
    return status_of(STATUS_FAILED_PRECONDITION);
  }
  int error = open_buffers(loop, config);
  if (error != 0) {
    *out_why = ring_why(error);
    loop_free(loop);
    return status_of(STATUS_FAILED_PRECONDITION);
  }
  *out = loop;
  return OK_STATUS;
}

void loop_free(struct loop *loop) {
  if (loop == NULL) {
    return;
  }
  OBJECT_CHECK(loop, LOOP_MAGIC);
  assert(loop->in_flight == 0);
  buffers_free(loop->buffers);
  buffers_free(loop->large_buffers);
  ring_close(&loop->ring);
  timers_cleanup(&loop->timers);
  loop->magic = 0;
  free(loop);
}

// ---------------------------------------------------------------------------------------------
// Completions: collected first, then run

static void add_completion(struct loop *loop, struct ring_op *op, const struct op_result *result) {
  struct completion completion = {.op = op, .result = *result};
  if (!faults_hold(loop, &completion)) {
    loop->completions[loop->num_completions++] = completion;
  }
}

static void collect_answered(struct loop *loop) {
  while (!list_empty(&loop->answered) && loop->num_completions < COMPLETIONS_MAX) {
    struct ring_op *op = LIST_ENTRY(list_pop_front(&loop->answered), struct ring_op, link);
    struct op_result result = {.value = op->answer};
    add_completion(loop, op, &result);
  }
}

static struct op_result result_of(const struct io_uring_cqe *cqe) {
  struct op_result result = {
      .value = cqe->res,
      .more = (cqe->flags & IORING_CQE_F_MORE) != 0,
      .has_buffer = (cqe->flags & IORING_CQE_F_BUFFER) != 0,
      .buffer = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT),
  };
  return result;
}

static void collect_from_ring(struct loop *loop) {
  unsigned head = 0;
  unsigned seen = 0;
  struct io_uring_cqe *cqe = NULL;
  io_uring_for_each_cqe(&loop->ring, head, cqe) {
    if (loop->num_completions == COMPLETIONS_MAX) {
      break;
    }
    seen++;
    // Another worker's wake-up names no operation.
    if (cqe->user_data != 0) {
      struct op_result result = result_of(cqe);
      add_completion(loop, io_uring_cqe_get_data(cqe), &result);
    }
  }
  io_uring_cq_advance(&loop->ring, seen);
}

static void run_completions(struct loop *loop) {
  loop->num_completions = 0;
  faults_release(loop);
  collect_answered(loop);
  collect_from_ring(loop);
  loop->stats.completions += loop->num_completions;
  for (size_t i = 0; i < loop->num_completions; i++) {
    op_finish(loop, loop->completions[i].op, &loop->completions[i].result);
  }
}

// ---------------------------------------------------------------------------------------------
// Tasks

void task_init(struct task *task, void (*run)(struct task *task)) {
  list_init(&task->link);
  task->run = run;
}

void task_schedule(struct loop *loop, struct task *task, enum task_class class_) {
  OBJECT_CHECK(loop, LOOP_MAGIC);
  if (list_empty(&task->link)) {
    list_push_back(&loop->tasks[class_], &task->link);
  }
}

void task_cancel(struct task *task) {
  list_remove(&task->link);
}

static void move_all(struct list *from, struct list *to) {
  list_init(to);
  if (!list_empty(from)) {
    *to = *from;
    to->next->prev = to;
    to->prev->next = to;
    list_init(from);
  }
}

// Runs the tasks that are ready now. Those they schedule are for the next round.
static void run_round(struct list *tasks) {
  struct list ready;
  move_all(tasks, &ready);
  struct list *link = NULL;
  while ((link = list_pop_front(&ready)) != NULL) {
    struct task *task = LIST_ENTRY(link, struct task, link);
    task->run(task);
  }
}

static void run_data_tasks(struct loop *loop) {
  struct list *tasks = &loop->tasks[TASK_DATA];
  for (int round = 0; round < DATA_ROUNDS_MAX && !list_empty(tasks); round++) {
    run_round(tasks);
  }
}

static void run_handshake_tasks(struct loop *loop) {
  for (unsigned i = 0; i < loop->handshakes_per_turn; i++) {
    struct list *link = list_pop_front(&loop->tasks[TASK_HANDSHAKE]);
    if (link == NULL) {
      return;
    }
    struct task *task = LIST_ENTRY(link, struct task, link);
    task->run(task);
  }
}

// ---------------------------------------------------------------------------------------------
// Timers

void timer_init(struct timer *timer, void (*fire)(struct timer *timer)) {
  *timer = (struct timer){.fire = fire};
}

status_t timer_set(struct loop *loop, struct timer *timer, clock_time when) {
  OBJECT_CHECK(loop, LOOP_MAGIC);
  return timers_set(&loop->timers, timer, when);
}

void timer_cancel(struct loop *loop, struct timer *timer) {
  OBJECT_CHECK(loop, LOOP_MAGIC);
  timers_cancel(&loop->timers, timer);
}

// ---------------------------------------------------------------------------------------------
// The turn

void loop_run(struct loop *loop) {
  OBJECT_CHECK(loop, LOOP_MAGIC);
  loop->stats.turns++;
  loop->now = clock_now();
  run_completions(loop);
  timers_fire(&loop->timers, loop->now);
  run_data_tasks(loop);
  run_handshake_tasks(loop);
  receivers_run(&loop->receivers);
}

bool loop_ready(const struct loop *loop) {
  return !list_empty(&loop->tasks[TASK_DATA]) || !list_empty(&loop->tasks[TASK_HANDSHAKE]) ||
         !list_empty(&loop->answered) || !list_empty(&loop->waiting) || loop->num_late > 0 ||
         receivers_waiting(&loop->receivers) || io_uring_cq_ready(&loop->ring) > 0;
}

static uint64_t wait_nanos(const struct loop *loop) {
  clock_time now = clock_now();
  clock_time next = timers_next(&loop->timers);
  uint64_t most = WAIT_MAX_MS * NANOS_PER_MILLI;
  if (next <= now) {
    return 0;
  }
  return next - now < most ? next - now : most;
}

static void pause_after_failures(void) {
  struct timespec pause = {.tv_nsec = FAILURES_PAUSE_MS * (long)NANOS_PER_MILLI};
  nanosleep(&pause, NULL);
}

static bool is_transient(int error) {
  return error == EINTR || error == EAGAIN || error == EBUSY || error == ENOMEM;
}

// What was not submitted is still queued and goes with the next enter, so that nothing is lost; we
// only must not spin while the kernel is short of memory.
static void note_enter(struct loop *loop, int error) {
  loop->stats.enters++;
  if (error == 0) {
    loop->failures_in_a_row = 0;
    return;
  }
  loop->stats.enter_failures++;
  loop->failures_in_a_row++;
  if (!is_transient(error) && loop->failures_in_a_row == 1) {
    LOG_ERROR("io_uring_enter: %s", strerrordesc_np(error));
  }
  assert(is_transient(error) || loop->failures_in_a_row < FAILURES_MAX);
  if (loop->failures_in_a_row > FAILURES_AT_ONCE) {
    pause_after_failures();
  }
}

void loop_enter(struct loop *loop, bool may_block) {
  OBJECT_CHECK(loop, LOOP_MAGIC);
  ops_submit_waiting(loop);
  uint64_t nanos = may_block && !loop_ready(loop) ? wait_nanos(loop) : 0;
  const struct fault *fault = faults_match(loop->faults, FAULT_IN_ENTER, FAULT_ERRNO);
  note_enter(loop, fault != NULL ? fault->value : ring_enter(&loop->ring, nanos));
}

void loop_turn(struct loop *loop, bool may_block) {
  loop_enter(loop, may_block);
  loop_run(loop);
}

struct buffers *loop_buffers_for(struct loop *loop, const struct ring_op *op) {
  return op->large ? loop->large_buffers : loop->buffers;
}

clock_time loop_now(const struct loop *loop) {
  return loop->now;
}

unsigned loop_in_flight(const struct loop *loop) {
  return loop->in_flight;
}

const struct loop_stats *loop_get_stats(const struct loop *loop) {
  return &loop->stats;
}
