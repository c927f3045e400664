#include "server/ring/closer.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/base/clock.h"
#include "server/base/list.h"

enum { STACK_BYTES = 256 * 1024 };

// How long a close may take before it counts as hanging.
#define HANGING_NANOS (100 * NANOS_PER_MILLI)

// One descriptor that waits.
struct entry {
  struct list link;  // in its line
  int fd;
};

// An owner with something to close; freed when all is closed.
struct line {
  struct list link;   // in all
  struct list ready;  // in ready_lines, while nothing of it is being closed and something waits
  struct list entries;
  uid_t owner;
  size_t num_pending;
  clock_time began;  // when the close under way did, or what is ready became so
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;  // guards what follows
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct list all = {.next = &all, .prev = &all};
static struct list ready_lines = {.next = &ready_lines, .prev = &ready_lines};
static unsigned num_ready;
static unsigned num_threads;
static unsigned num_idle;  // of them, also those that begin, or were woken and are on their way

// ---------------------------------------------------------------------------------------------
// Lines. All called with the lock held.

static struct line *find(uid_t owner) {
  LIST_FOR(link, &all) {
    struct line *line = LIST_ENTRY(link, struct line, link);
    if (line->owner == owner) {
      return line;
    }
  }
  return NULL;
}

static struct line *find_or_make(uid_t owner) {
  struct line *line = find(owner);
  if (line != NULL) {
    return line;
  }
  line = calloc(1, sizeof(*line));
  if (line != NULL) {
    line->owner = owner;
    list_init(&line->ready);
    list_init(&line->entries);
    list_push_back(&all, &line->link);
  }
  return line;
}

static void make_ready(struct line *line) {
  line->began = clock_now();
  list_push_back(&ready_lines, &line->ready);
  num_ready++;
}

static struct line *take_ready(void) {
  struct list *link = list_pop_front(&ready_lines);
  num_ready -= link != NULL;
  return link == NULL ? NULL : LIST_ENTRY(link, struct line, ready);
}

static bool queue(uid_t owner, struct entry *entry) {
  struct line *line = find_or_make(owner);
  if (line == NULL) {
    return false;
  }
  list_push_back(&line->entries, &entry->link);
  line->num_pending++;
  if (line->num_pending == 1) {
    make_ready(line);
  }
  return true;
}

static void note_closed(struct line *line) {
  line->num_pending--;
  if (line->num_pending > 0) {
    make_ready(line);
    return;
  }
  list_remove(&line->link);
  free(line);
}

// ---------------------------------------------------------------------------------------------
// A thread: takes the line that is ready longest, and closes one of it

// Also turning SO_LINGER off may wait: whoever shares the socket may hold the kernel's lock of it.
// He may turn it on again at once, too, but then this thread waits, and only his line with it.
static void close_now(int fd) {
  struct linger off = {0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
  close(fd);
}

static void serve(struct line *line) {
  struct entry *entry = LIST_ENTRY(list_pop_front(&line->entries), struct entry, link);
  line->began = clock_now();
  pthread_mutex_unlock(&lock);
  close_now(entry->fd);
  free(entry);
  pthread_mutex_lock(&lock);
  note_closed(line);
}

// Returns with the next line, or NULL when enough other threads wait for one.
static struct line *next_line(void) {
  struct line *line = take_ready();
  while (line == NULL && num_idle < CLOSER_IDLE_MAX) {
    num_idle++;
    pthread_cond_wait(&changed, &lock);
    num_idle--;
    line = take_ready();
  }
  return line;
}

static void *thread_main(void *arg) {
  (void)arg;
  pthread_setname_np(pthread_self(), "tlsagent-close");
  pthread_mutex_lock(&lock);
  num_idle--;
  struct line *line = NULL;
  while ((line = next_line()) != NULL) {
    serve(line);
  }
  num_threads--;
  pthread_mutex_unlock(&lock);
  return NULL;
}

// Detached: nobody waits for a thread whose close hangs, and the end of the process ends it.
static int create_thread(void) {
  pthread_attr_t attributes;
  pthread_t thread;
  int error = pthread_attr_init(&attributes);
  if (error != 0) {
    return error;
  }
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  error = pthread_create(&thread, &attributes, thread_main, NULL);
  pthread_attr_destroy(&attributes);
  return error;
}

// Signals are for the main thread. Without a new thread those that are there get to it, or the next
// call tries again.
static void start_thread(void) {
  sigset_t every;
  sigset_t before;
  sigfillset(&every);
  pthread_sigmask(SIG_SETMASK, &every, &before);
  if (create_thread() == 0) {
    num_threads++;
    num_idle++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void call_threads(void) {
  if (num_ready > num_idle && num_threads < CLOSER_THREADS_MAX) {
    start_thread();
  }
  if (num_ready > 0) {
    pthread_cond_signal(&changed);
  }
}

// ---------------------------------------------------------------------------------------------
// For everybody else

void closer_close(uid_t owner, int fd) {
  if (owner == CLOSER_NOBODY) {
    close(fd);
    return;
  }
  struct entry *entry = malloc(sizeof(*entry));
  bool is_queued = false;
  if (entry != NULL) {
    entry->fd = fd;
    pthread_mutex_lock(&lock);
    is_queued = queue(owner, entry);
    call_threads();
    pthread_mutex_unlock(&lock);
  }
  if (!is_queued) {
    // Rule 25 is broken: without memory the choice is this or to keep the descriptor for ever.
    free(entry);
    close_now(fd);
  }
}

size_t closer_pending(uid_t owner) {
  pthread_mutex_lock(&lock);
  const struct line *line = find(owner);
  size_t num = line == NULL ? 0 : line->num_pending;
  pthread_mutex_unlock(&lock);
  return num;
}

static bool is_behind(const struct line *line) {
  if (line->num_pending <= CLOSER_HANGING_MAX) {
    return false;
  }
  return line->num_pending > CLOSER_PENDING_MAX ||
         clock_now() > clock_add(line->began, HANGING_NANOS);
}

bool closer_behind(uid_t owner) {
  pthread_mutex_lock(&lock);
  const struct line *line = find(owner);
  bool behind = line != NULL && is_behind(line);
  pthread_mutex_unlock(&lock);
  return behind;
}
