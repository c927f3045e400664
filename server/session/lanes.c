// The queues of operations, and the loop that answers them.
#include <assert.h>
#include <errno.h>

#include "server/base/log.h"
#include "server/base/object.h"
#include "server/ring/loop.h"
#include "server/session/private.h"

// While its output went out, somebody else's operation can have brought the decision.
static bool is_stale(struct session *session, enum engine_result result) {
  return result == ENGINE_WANT_DECISION && engine_decision(session->engine) == NULL;
}

static void answer(struct session_op *op, enum engine_result result) {
  list_remove(&op->link);
  timer_cancel(worker_loop(op->session->worker), &op->wait_timer);
  op->result = is_stale(op->session, result) ? ENGINE_WANT_INPUT : result;
  op->done(op);
}

static void fail(struct session_op *op, const struct tls_error *error) {
  op->error = *error;
  answer(op, ENGINE_FAILED);
}

static struct session_op *first_of(struct list *lane) {
  return list_empty(lane) ? NULL : LIST_ENTRY(lane->next, struct session_op, link);
}

static void fail_lane(struct list *lane, const struct tls_error *error) {
  struct session_op *op;
  while ((op = first_of(lane)) != NULL) {
    fail(op, error);
  }
}

static bool wants(enum engine_result result) {
  return result == ENGINE_WANT_INPUT || result == ENGINE_WANT_OUTPUT;
}

// ---------------------------------------------------------------------------------------------
// The memory path: every operation runs once.

static void run_on_memory(struct session *session, struct session_op *op) {
  engine_set_input(session->engine, op->input, op->input_eof);
  enum engine_result result = session_step(session, op);
  op->input_consumed = op->input.len - engine_input_left(session->engine);
  engine_set_input(session->engine, slice_of(NULL, 0), false);
  answer(op, result);
}

static void advance_memory(struct session *session) {
  struct session_op *op;
  while ((op = first_of(&session->in_lane)) != NULL) {
    run_on_memory(session, op);
    struct bytes *output = engine_output(session->engine);
    bytes_skip(output, bytes_len(output));
  }
}

// ---------------------------------------------------------------------------------------------
// The socket path.

// The peer's bytes have run out: is there a reason why no more will come?
static enum engine_result starved(struct session *session, struct session_op *op,
                                  enum engine_result result) {
  if (result != ENGINE_WANT_INPUT || session->in_errno == 0) {
    return result;
  }
  tls_error_os(&op->error, session->in_errno, "receive");
  session_fail(session, &op->error);
  return ENGINE_FAILED;
}

static enum engine_result step_on_socket(struct session *session, struct session_op *op) {
  size_t had = bytes_len(&session->inbox);
  bool eof = session->ended && session->in_errno == 0;
  engine_set_input(session->engine, bytes_peek(&session->inbox), eof);
  enum engine_result result = session_step(session, op);
  size_t left = engine_input_left(session->engine);
  engine_set_input(session->engine, slice_of(NULL, 0), false);
  bytes_skip(&session->inbox, had - left);
  op->tried = true;
  return starved(session, op, result);
}

// A shutdown that has seen the peer's close_notify hands out what came after it, unless nobody
// asked for that.
static void answer_with_trailing(struct session *session, struct session_op *op,
                                 enum engine_result result) {
  if (op->kind == SESSION_SHUTDOWN && !op->keep_trailing &&
      engine_shutdown_received(session->engine)) {
    op->trailing = bytes_peek(&session->inbox);
  }
  size_t trailing = op->trailing.len;
  answer(op, result);
  bytes_consume(&session->inbox, trailing);
}

// Answers now, or when the kernel has taken the output the operation made. With nothing taken any
// more it waits there for fail_senders.
static void answer_after_flush(struct session *session, struct session_op *op) {
  bool lost = session->out_errno != 0;
  if (op->kind != SESSION_READ && (lost || transport_unsent(session) > 0)) {
    list_remove(&op->link);
    list_push_back(&session->flushing, &op->link);
    return;
  }
  answer_with_trailing(session, op, op->result);
}

// It waits for the peer, or for who was asked to decide.
static bool waits(struct session *session, const struct session_op *op) {
  if (op->expired) {
    return false;
  }
  return wants(op->result) || (op->result == ENGINE_WANT_DECISION && session_ask(session));
}

// Runs the first operation of a lane. True when it was answered, so that the next one can run.
static bool lane_step(struct session *session, struct list *lane) {
  struct session_op *op = first_of(lane);
  if (op == NULL) {
    return false;
  }
  op->result = step_on_socket(session, op);
  while (transport_flush(session) && op->result == ENGINE_WANT_OUTPUT) {
    op->result = step_on_socket(session, op);
  }
  if (waits(session, op)) {
    return false;
  }
  if (wants(op->result)) {
    answer(op, op->result);
  } else {
    answer_after_flush(session, op);
  }
  return true;
}

static bool wants_input(struct list *lane) {
  struct session_op *op = first_of(lane);
  return op != NULL && op->result == ENGINE_WANT_INPUT;
}

static void ask_for_input(struct session *session) {
  if (!session->ended && (wants_input(&session->in_lane) || wants_input(&session->out_lane))) {
    stream_receive(session->stream);
  }
}

static void answer_flushed(struct session *session) {
  while (!list_empty(&session->flushing) && transport_unsent(session) == 0) {
    struct session_op *op = first_of(&session->flushing);
    answer_with_trailing(session, op, op->result);
  }
}

// No handshake gets an answer to what could not be sent. A peer that has gone may have said why,
// and its end comes after that.
static bool waits_in_vain(const struct session *session) {
  bool peer_has_gone = session->out_errno == EPIPE || session->out_errno == ECONNRESET;
  return !engine_established(session->engine) && !peer_has_gone;
}

// Nothing can be sent any more. What was received before can still be read, and one that has failed
// already keeps its own reason.
static void fail_senders(struct session *session) {
  if (session->out_errno == 0) {
    return;
  }
  struct tls_error error;
  tls_error_os(&error, session->out_errno, "send");
  session_fail(session, &error);
  struct session_op *op;
  while ((op = first_of(&session->flushing)) != NULL) {
    if (op->result != ENGINE_FAILED) {
      op->error = error;
    }
    answer_with_trailing(session, op, ENGINE_FAILED);
  }
  fail_lane(&session->out_lane, &error);
  if (waits_in_vain(session)) {
    fail_lane(&session->in_lane, &error);
  }
}

static void advance_socket(struct session *session) {
  if (!transport_ready(session)) {
    if (session->failed) {
      session_fail_ops(session);  // the dial came to nothing
    }
    return;
  }
  transport_flush(session);  // what had no room before
  bool more = true;
  while (more && !session->closed) {
    fail_senders(session);  // before one of them gives the engine what can't leave
    more = lane_step(session, &session->in_lane);
    more = lane_step(session, &session->out_lane) || more;
  }
  if (!session->closed) {
    fail_senders(session);
    answer_flushed(session);
    ask_for_input(session);
  }
}

// ---------------------------------------------------------------------------------------------

void session_advance(struct session *session) {
  session_ref(session);  // an answer may give the last other reference back
  if (session->relay != NULL) {
    relay_advance(session);
  } else if (session->path == SESSION_MEMORY) {
    advance_memory(session);
  } else {
    advance_socket(session);
  }
  session_unref(session);
}

// Established sessions go first; handshakes are bounded per turn.
void session_schedule(struct session *session) {
  enum task_class class_ = engine_established(session->engine) ? TASK_DATA : TASK_HANDSHAKE;
  task_schedule(worker_loop(session->worker), &session->advance, class_);
}

void session_fail_ops(struct session *session) {
  fail_lane(&session->flushing, session_error(session));
  fail_lane(&session->in_lane, session_error(session));
  fail_lane(&session->out_lane, session_error(session));
}

static struct list *lane_of(struct session *session, const struct session_op *op) {
  // The memory path has one lane: nothing waits in it, so order is all that matters.
  if (session->path == SESSION_MEMORY) {
    return &session->in_lane;
  }
  return op->kind == SESSION_HANDSHAKE || op->kind == SESSION_READ ? &session->in_lane
                                                                   : &session->out_lane;
}

// After one has left its lane unanswered by it: what the next one needs may be there already.
static void look_again(struct session *session) {
  if (!list_empty(&session->in_lane) || !list_empty(&session->out_lane)) {
    session_schedule(session);
  }
}

// Whose turn it is gets it, however long a storm of handshakes has kept it waiting.
static bool is_about_to_run(struct session *session, struct session_op *op) {
  return !op->tried && transport_ready(session) && first_of(lane_of(session, op)) == op;
}

// One that is done but for its output is told to wait for the peer to read: were it told that it is
// done, a close would lose what it wrote.
static void wait_ran_out(struct timer *timer) {
  struct session_op *op = LIST_ENTRY(timer, struct session_op, wait_timer);
  struct session *session = op->session;
  if (is_about_to_run(session, op)) {
    op->expired = true;
    return;
  }
  session_ref(session);
  answer(op, op->result == ENGINE_DONE ? ENGINE_WANT_OUTPUT : op->result);
  look_again(session);
  session_unref(session);
}

// A wait of nothing still looks once at what the kernel holds: one short turn. Without room for the
// timer the operation waits for its call's deadline.
static void start_waiting(struct session *session, struct session_op *op) {
  enum { ONE_TURN_NANOS = 100000 };
  uint64_t nanos = op->wait_nanos < ONE_TURN_NANOS ? ONE_TURN_NANOS : op->wait_nanos;
  struct loop *loop = worker_loop(session->worker);
  status_t set = timer_set(loop, &op->wait_timer, clock_add(clock_now(), nanos));
  if (!status_ok(set)) {
    LOG_WARNING("no timer for a wait: %s", status_name(set.code));
  }
}

static void reset_outcome(struct session_op *op) {
  bool sends = op->kind != SESSION_HANDSHAKE && op->kind != SESSION_READ;
  op->input_consumed = 0;
  op->transferred = 0;
  op->discarded = 0;
  op->trailing = slice_of(NULL, 0);
  op->tried = false;
  op->expired = false;
  op->result = sends ? ENGINE_WANT_OUTPUT : ENGINE_WANT_INPUT;
}

void session_submit(struct session *session, struct session_op *op) {
  OBJECT_CHECK(session, SESSION_MAGIC);
  reset_outcome(op);
  op->session = session;
  list_init(&op->link);
  timer_init(&op->wait_timer, wait_ran_out);
  assert(session->relay == NULL);
  list_push_back(lane_of(session, op), &op->link);
  if (session->closed) {
    session_fail_ops(session);
    return;
  }
  if (op->has_wait && session->path != SESSION_MEMORY) {
    start_waiting(session, op);
  }
  if (engine_established(session->engine)) {
    session_advance(session);
  } else {
    session_schedule(session);
  }
}

void session_cancel(struct session_op *op) {
  list_remove(&op->link);
  timer_cancel(worker_loop(op->session->worker), &op->wait_timer);
  look_again(op->session);
}
