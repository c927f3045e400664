#include "server/ring/op.h"

#include <assert.h>
#include <errno.h>

#include "server/ring/loop_private.h"

// A cancellation that found nothing is asked again, in case the kernel had its target in its hands.
enum { STOP_AGAIN_MS = 10 };

void op_init(struct ring_op *op, enum op_kind kind, int fd,
             void (*done)(struct ring_op *op, const struct op_result *result)) {
  *op = (struct ring_op){.kind = kind, .fd = fd, .done = done};
  list_init(&op->link);
}

void op_answer(struct loop *loop, struct ring_op *op, int result) {
  list_remove(&op->link);
  op->state = OP_ANSWERED;
  op->answer = result;
  list_push_back(&loop->answered, &op->link);
}

// A target that the kernel does not know yet is cancelled here.
static bool answer_cancel(struct loop *loop, struct ring_op *cancel) {
  if (cancel->target->state == OP_IN_FLIGHT) {
    return false;
  }
  bool found = cancel->target->state == OP_WAITING;
  if (found) {
    op_answer(loop, cancel->target, -ECANCELED);
  }
  op_answer(loop, cancel, found ? 0 : -ENOENT);
  return true;
}

static bool suffer_fault(struct loop *loop, struct ring_op *op) {
  const struct fault *cut = faults_match(loop->faults, op->kind, FAULT_SHORT);
  op->limit = cut == NULL ? 0 : (size_t)cut->value;
  const struct fault *error = faults_match(loop->faults, op->kind, FAULT_ERRNO);
  if (error != NULL) {
    op_answer(loop, op, -error->value);
  }
  return error != NULL;
}

static bool give_place(struct loop *loop, struct ring_op *op) {
  struct io_uring_sqe *entry = io_uring_get_sqe(&loop->ring);
  if (entry == NULL) {
    return false;
  }
  op_prepare(op, entry);
  op->state = OP_IN_FLIGHT;
  return true;
}

void op_start(struct loop *loop, struct ring_op *op) {
  OBJECT_CHECK(loop, LOOP_MAGIC);
  assert(op->state == OP_IDLE);
  assert(op->done != NULL);
  loop->in_flight++;
  if (suffer_fault(loop, op) || (op->kind == OP_CANCEL && answer_cancel(loop, op))) {
    return;
  }
  // In order: a cancellation must not overtake its target.
  if (list_empty(&loop->waiting) && give_place(loop, op)) {
    return;
  }
  op->state = OP_WAITING;
  list_push_back(&loop->waiting, &op->link);
}

void ops_submit_waiting(struct loop *loop) {
  while (!list_empty(&loop->waiting)) {
    struct ring_op *op = LIST_ENTRY(loop->waiting.next, struct ring_op, link);
    if (!give_place(loop, op)) {
      return;
    }
    list_remove(&op->link);
  }
}

void op_finish(struct loop *loop, struct ring_op *op, const struct op_result *result) {
  assert(op->state == OP_IN_FLIGHT || op->state == OP_ANSWERED);
  if (!result->more) {
    assert(loop->in_flight > 0);
    loop->in_flight--;
    op->state = OP_IDLE;
  }
  op->done(op, result);
}

static void stop_now(struct op_stopper *stopper) {
  timer_cancel(stopper->loop, &stopper->again);
  stopper->asked_meanwhile = false;
  stopper->cancel.target = stopper->target;
  op_start(stopper->loop, &stopper->cancel);
}

static void on_again(struct timer *timer) {
  struct op_stopper *stopper = LIST_ENTRY(timer, struct op_stopper, again);
  op_stopper_stop(stopper);
  if (!op_stopper_busy(stopper)) {
    stopper->rested(stopper->owner);
  }
}

static void stop_later(struct op_stopper *stopper) {
  clock_time when = clock_add(clock_now(), STOP_AGAIN_MS * NANOS_PER_MILLI);
  if (!status_ok(timer_set(stopper->loop, &stopper->again, when))) {
    stop_now(stopper);
  }
}

static void on_cancelled(struct ring_op *op, const struct op_result *result) {
  (void)result;  // kernels differ; only the target's result counts
  struct op_stopper *stopper = LIST_ENTRY(op, struct op_stopper, cancel);
  if (op_busy(stopper->target) && stopper->asked_meanwhile) {
    stop_now(stopper);
  } else if (op_busy(stopper->target) && stopper->wanted) {
    stop_later(stopper);
  }
  stopper->rested(stopper->owner);
}

void op_stopper_init(struct op_stopper *stopper, struct loop *loop, struct ring_op *target,
                     void (*rested)(void *owner), void *owner) {
  *stopper = (struct op_stopper){.loop = loop, .target = target, .rested = rested, .owner = owner};
  op_init(&stopper->cancel, OP_CANCEL, -1, on_cancelled);
  timer_init(&stopper->again, on_again);
}

void op_stopper_stop(struct op_stopper *stopper) {
  if (!op_busy(stopper->target)) {
    op_stopper_rest(stopper);
    return;
  }
  stopper->wanted = true;
  if (op_busy(&stopper->cancel)) {
    stopper->asked_meanwhile = true;
    return;
  }
  stop_now(stopper);
}

void op_stopper_rest(struct op_stopper *stopper) {
  stopper->wanted = false;
  stopper->asked_meanwhile = false;
  timer_cancel(stopper->loop, &stopper->again);
}

bool op_stopper_busy(const struct op_stopper *stopper) {
  return op_busy(&stopper->cancel) || stopper->again.place != 0;
}
