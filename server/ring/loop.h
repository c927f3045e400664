// A loop is one io_uring, driven by one thread: operations in, completions out, timers, tasks.
//
// Operations are structs of the caller's. Completions are first collected and then run, never from
// inside a submit, so that a callback may start, cancel or free anything but the operation it is
// for, unless that one is finished (op.h). All functions are for the loop's own thread; what comes
// from other threads comes as messages (worker.h). The ring can be told to fail (faults.h), which
// is how the error paths are tested.
#ifndef TLSAGENT_SERVER_RING_LOOP_H_
#define TLSAGENT_SERVER_RING_LOOP_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "server/base/clock.h"
#include "server/base/list.h"
#include "server/base/slice.h"
#include "server/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct loop;

struct loop_config {
  unsigned ring_entries;         // submission entries, a power of two
  unsigned num_buffers;          // receive buffers, a power of two, at most LOOP_BUFFERS_MAX
  size_t buffer_size;            // bytes of each, at least LOOP_BUFFER_SIZE_MIN
  unsigned handshakes_per_turn;  // TASK_HANDSHAKE tasks run in one turn, at least 1
};

enum {
  LOOP_BUFFERS_MAX = 32768,
  LOOP_BUFFER_SIZE_MIN = 4096,
  // Beside the receive buffers, for streams with much to receive (stream_receive_bulk).
  LOOP_LARGE_BUFFER_SIZE = 256 * 1024,
  LOOP_LARGE_BUFFERS_BYTES = 8 * LOOP_LARGE_BUFFER_SIZE,
  LOOP_BULK_STREAMS = 32,
  LOOP_TIMERS_MAX = 1 << 20
};

// loop_new makes a ring that belongs to the calling thread. On failure *out_why says in one line
// what was refused and what would mend it (static storage).
status_t loop_new(const struct loop_config *config, struct loop **out, const char **out_why);
// loop_free frees a loop with nothing in flight, on its own thread.
void loop_free(struct loop *loop);

// loop_run runs what is ready: timers, completions, tasks. loop_enter is the turn's one
// io_uring_enter: it submits what was started, and waits for completions if may_block and nothing
// is ready. It always comes back within a second.
void loop_run(struct loop *loop);
void loop_enter(struct loop *loop, bool may_block);
// loop_turn is loop_run and loop_enter.
void loop_turn(struct loop *loop, bool may_block);

// loop_now returns the time at which the turn began.
clock_time loop_now(const struct loop *loop);
// loop_in_flight returns how many operations are not finished.
unsigned loop_in_flight(const struct loop *loop);
// loop_ready tells whether the next turn has something to do without waiting.
bool loop_ready(const struct loop *loop);

struct loop_stats {
  uint64_t turns;
  uint64_t enters;  // io_uring_enter calls; one a turn, but when the submission queue is full
  uint64_t enter_failures;  // of them failed, and were tried again
  uint64_t completions;
  uint64_t no_buffers;  // receives that found no buffer
  uint64_t descriptors_dropped;
};

const struct loop_stats *loop_get_stats(const struct loop *loop);

// ---------------------------------------------------------------------------------------------
// Timers: one shot, ordered by time.

struct timer {
  clock_time when;
  size_t place;  // in the loop's heap, one-based; 0 when not set
  void (*fire)(struct timer *timer);
};

void timer_init(struct timer *timer, void (*fire)(struct timer *timer));
// timer_set (re)arms the timer. RESOURCE_EXHAUSTED when the heap can't grow.
status_t timer_set(struct loop *loop, struct timer *timer, clock_time when);
// timer_cancel disarms it; harmless when it is not armed.
void timer_cancel(struct loop *loop, struct timer *timer);

// ---------------------------------------------------------------------------------------------
// Tasks: work for later in this turn, or for a later turn.

enum task_class {
  TASK_DATA,      // established sessions and everything cheap: all that are ready, every turn
  TASK_HANDSHAKE  // expensive: at most loop_config.handshakes_per_turn a turn, after the data
};

struct task {
  struct list link;
  void (*run)(struct task *task);
};

void task_init(struct task *task, void (*run)(struct task *task));
// task_schedule queues the task, once; harmless when it is queued already.
void task_schedule(struct loop *loop, struct task *task, enum task_class class_);
void task_cancel(struct task *task);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RING_LOOP_H_
