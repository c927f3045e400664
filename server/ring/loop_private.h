// What a loop is made of. For this folder only.
#ifndef TLSAGENT_SERVER_RING_LOOP_PRIVATE_H_
#define TLSAGENT_SERVER_RING_LOOP_PRIVATE_H_

#include <liburing.h>

#include "server/base/object.h"
#include "server/ring/buffers.h"
#include "server/ring/faults.h"
#include "server/ring/loop.h"
#include "server/ring/op.h"
#include "server/ring/receivers.h"
#include "server/ring/timers.h"

enum { LOOP_MAGIC = 0x6c6f6f70 };

enum {
  LARGE_BUFFERS = LOOP_LARGE_BUFFERS_BYTES / LOOP_LARGE_BUFFER_SIZE,
  COMPLETIONS_MAX = 256,  // run in one turn; what is more waits in the ring for the next
  LATE_MAX = 256          // completions held back by FAULT_LATE
};

struct completion {
  struct ring_op *op;
  struct op_result result;
};

// A completion that a fault holds back.
struct late_completion {
  struct completion completion;
  uint64_t turn;
};

struct loop {
  uint32_t magic;
  struct io_uring ring;
  struct buffers *buffers;
  struct buffers *large_buffers;
  unsigned num_bulk;  // streams that receive into these
  clock_time now;

  struct list waiting;   // operations without a place in the submission queue, oldest first
  struct list answered;  // operations whose result is known without the kernel
  unsigned in_flight;    // operations not idle
  unsigned failures_in_a_row;

  struct completion completions[COMPLETIONS_MAX];
  size_t num_completions;

  struct receivers receivers;

  struct timers timers;
  struct list tasks[2];  // by enum task_class
  unsigned handshakes_per_turn;

  struct faults *faults;
  struct late_completion late[LATE_MAX];
  size_t num_late;

  struct loop_stats stats;
};

// loop_buffers_for returns the buffers that a receive takes its own from.
struct buffers *loop_buffers_for(struct loop *loop, const struct ring_op *op);

// op_prepare fills in an entry for the operation (op_table.c).
void op_prepare(const struct ring_op *op, struct io_uring_sqe *entry);

// ops_submit_waiting gives waiting operations the places there are, in order.
void ops_submit_waiting(struct loop *loop);
// op_answer makes result the operation's, without the kernel.
void op_answer(struct loop *loop, struct ring_op *op, int result);
// op_finish hands a result to the operation's owner.
void op_finish(struct loop *loop, struct ring_op *op, const struct op_result *result);

// faults_hold keeps a completion back which a fault delays, or returns false. faults_release moves
// those whose turn has come to the loop's completions.
bool faults_hold(struct loop *loop, const struct completion *completion);
void faults_release(struct loop *loop);

#endif  // TLSAGENT_SERVER_RING_LOOP_PRIVATE_H_
