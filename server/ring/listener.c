#include "server/ring/listener.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"
#include "server/base/object.h"
#include "server/ring/closer.h"
#include "server/ring/op.h"

enum { LISTENER_MAGIC = 0x6c69736e };

enum { RETRY_MS = 100 };

struct listener {
  uint32_t magic;
  struct loop *loop;
  const struct listener_events *events;
  void *owner;
  bool closing;
  bool paused;
  bool in_trouble;    // the trouble was logged, and nothing was accepted since
  struct ring_op op;  // the accept, or the poll before it
  struct op_stopper stopper;
  struct timer retry;
  struct task closed;
};

// One at a time, not multishot: where several loops wait on a socket, the kernel wakes the one that
// waits longest, and a multishot, which waits for ever, gets every connection for its loop alone.
static void start_accept(struct listener *listener) {
  if (!listener->closing && !listener->paused && !op_busy(&listener->op)) {
    listener->op.kind = OP_ACCEPT;
    op_start(listener->loop, &listener->op);
  }
}

static void start_poll(struct listener *listener) {
  listener->op.kind = OP_POLL;
  listener->op.events = POLLIN;
  op_start(listener->loop, &listener->op);
}

static void on_retry(struct timer *timer) {
  start_accept(LIST_ENTRY(timer, struct listener, retry));
}

static void retry_later(struct listener *listener, int os_errno) {
  if (!listener->in_trouble) {
    LOG_WARNING("accept: %s; trying again every %d ms", strerrordesc_np(os_errno), RETRY_MS);
    listener->in_trouble = true;
  }
  clock_time when = clock_add(clock_now(), RETRY_MS * NANOS_PER_MILLI);
  if (!status_ok(timer_set(listener->loop, &listener->retry, when))) {
    start_accept(listener);
  }
}

static void maybe_closed(struct listener *listener) {
  if (listener->closing && !op_busy(&listener->op) && !op_stopper_busy(&listener->stopper)) {
    task_schedule(listener->loop, &listener->closed, TASK_DATA);
  }
}

static void on_closed(struct task *task) {
  struct listener *listener = LIST_ENTRY(task, struct listener, closed);
  listener->events->on_closed(listener->owner);
  listener->magic = 0;
  free(listener);
}

static void take(struct listener *listener, int fd) {
  listener->in_trouble = false;
  if (listener->closing) {
    closer_close(CLOSER_DAEMON, fd);
  } else {
    listener->events->on_accept(listener->owner, fd);
  }
}

static void recover(struct listener *listener, enum op_kind kind, int value) {
  switch (op_outcome(kind, value)) {
    case OP_SUCCEEDED:
    case OP_AGAIN:
    case OP_CANCELLED:
      start_accept(listener);
      return;
    case OP_POLL_FIRST:
      start_poll(listener);
      return;
    case OP_NO_BUFFER:
    case OP_LATER:
    case OP_FAILED:
      retry_later(listener, -value);
      return;
  }
}

static void on_accepted(struct ring_op *op, const struct op_result *result) {
  struct listener *listener = LIST_ENTRY(op, struct listener, op);
  OBJECT_CHECK(listener, LISTENER_MAGIC);
  if (op->kind == OP_ACCEPT && result->value >= 0) {
    take(listener, result->value);
  }
  if (listener->closing) {
    op_stopper_rest(&listener->stopper);
    maybe_closed(listener);
  } else {
    recover(listener, op->kind, result->value);
  }
}

static void on_stopper_rested(void *owner) {
  maybe_closed(owner);
}

status_t listener_new(struct loop *loop, int fd, const struct listener_events *events, void *owner,
                      struct listener **out) {
  struct listener *listener = calloc(1, sizeof(*listener));
  ENSURE(listener != NULL, RESOURCE_EXHAUSTED);
  listener->magic = LISTENER_MAGIC;
  listener->loop = loop;
  listener->events = events;
  listener->owner = owner;
  op_init(&listener->op, OP_ACCEPT, fd, on_accepted);
  op_stopper_init(&listener->stopper, loop, &listener->op, on_stopper_rested, listener);
  timer_init(&listener->retry, on_retry);
  task_init(&listener->closed, on_closed);
  start_accept(listener);
  *out = listener;
  return OK_STATUS;
}

void listener_pause(struct listener *listener, bool paused) {
  OBJECT_CHECK(listener, LISTENER_MAGIC);
  listener->paused = paused;
  start_accept(listener);
}

void listener_close(struct listener *listener) {
  OBJECT_CHECK(listener, LISTENER_MAGIC);
  if (listener->closing) {
    return;
  }
  listener->closing = true;
  timer_cancel(listener->loop, &listener->retry);
  op_stopper_stop(&listener->stopper);
  maybe_closed(listener);
}
