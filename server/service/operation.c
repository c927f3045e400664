#include "server/service/operation.h"

#include "server/service/convert.h"
#include "server/session/desk.h"
#include "server/session/relay.h"

struct operation *operation_new(struct call *call, uint64_t handle, enum session_op_kind kind,
                                void (*respond)(struct operation *operation)) {
  struct operation *operation = arena_alloc(call_arena(call), sizeof(*operation));
  if (operation == NULL) {
    call_fail(call, STATUS_RESOURCE_EXHAUSTED, "no memory for the call");
    return NULL;
  }
  operation->session = handle_get(call_client(call), &session_handles, handle);
  if (operation->session == NULL) {
    call_fail(call, STATUS_NOT_FOUND, "no such session");
    return NULL;
  }
  operation->op.kind = kind;
  operation->op.done = operation_finish;
  operation->call = call;
  operation->respond = respond;
  return operation;
}

void operation_feed(struct operation *operation, const Tlsagent__V1__Feed *feed) {
  if (feed != NULL) {
    operation->op.input = slice_of_binary(feed->data);
    operation->op.input_eof = feed->eof;
  }
}

void operation_wait(struct operation *operation, const Tlsagent__V1__Wait *wait) {
  if (wait != NULL) {
    operation->op.has_wait = true;
    operation->op.wait_nanos = wait->milliseconds * NANOS_PER_MILLI;
  }
}

bool read_answer(const Tlsagent__V1__DecisionAnswer *from, struct engine_answer *out) {
  switch (from->answer_case) {
    case TLSAGENT__V1__DECISION_ANSWER__ANSWER_PROCEED:
      *out = (struct engine_answer){.kind = ENGINE_PROCEED};
      return true;
    case TLSAGENT__V1__DECISION_ANSWER__ANSWER_REFUSE_WITH_ALERT:
      *out = (struct engine_answer){.kind = ENGINE_REFUSE, .alert = from->refuse_with_alert};
      return true;
    case TLSAGENT__V1__DECISION_ANSWER__ANSWER_PSK:
      *out = (struct engine_answer){.kind = ENGINE_PSK,
                                    .identity = from->psk->identity,
                                    .key = slice_of_binary(from->psk->key)};
      return true;
    default:
      return false;
  }
}

bool operation_decide(struct operation *operation, const Tlsagent__V1__DecisionAnswer *decision) {
  operation->answers = decision != NULL;
  if (decision == NULL || read_answer(decision, &operation->answer)) {
    return true;
  }
  operation_refuse(operation, STATUS_INVALID_ARGUMENT,
                   "decision is empty: proceed, refuse_with_alert or psk");
  return false;
}

static void drop_handle(struct operation *operation) {
  if (operation->handle != 0) {
    status_t dropped =
        handle_drop(call_client(operation->call), &session_handles, operation->handle);
    (void)dropped;  // the client may have ended first, and its handles with it
    operation->handle = 0;
  }
}

void operation_abandon(struct operation *operation) {
  drop_handle(operation);
  session_close(operation->session, NULL);
}

void operation_refuse(struct operation *operation, enum status_code code, const char *text) {
  struct session *session = operation->session;
  call_fail(operation->call, code, "%s", text);
  session_unref(session);
}

static void cancelled(struct call *call) {
  struct operation *operation = call_state(call);
  session_cancel(&operation->op);
  if (operation->opening) {
    operation_abandon(operation);
  }
  operation_refuse(operation, STATUS_CANCELLED, "the call was cancelled");
}

void operation_finish(struct session_op *op) {
  struct operation *operation = op->owner;
  struct session *session = operation->session;
  bool failed = op->result == ENGINE_FAILED || op->result == ENGINE_CLOSED;
  bool gone = operation->opening && failed;
  if (gone) {
    drop_handle(operation);
  }
  operation->respond(operation);
  if (gone) {
    session_close(session, NULL);  // after the answer, which holds its output
  }
  session_unref(session);
}

// The answer counts at once, whatever else is queued, so that a second one comes too late.
static bool decide(struct operation *operation) {
  const char *why = NULL;
  status_t taken =
      operation->answers ? session_decide(operation->session, &operation->answer, &why) : OK_STATUS;
  if (!status_ok(taken)) {
    operation_refuse(operation, taken.code, why);
  }
  return status_ok(taken);
}

void operation_submit(struct operation *operation) {
  struct call *call = operation->call;
  if (call_is_cancelled(call)) {
    if (operation->opening) {
      operation_abandon(operation);
    }
    operation_refuse(operation, STATUS_CANCELLED, "the call was cancelled");
    return;
  }
  if (session_is_relay(operation->session)) {
    operation_refuse(operation, STATUS_FAILED_PRECONDITION,
                     "the session is a relay: its plaintext goes by the descriptor");
    return;
  }
  if (session_is_held(operation->session)) {
    operation_refuse(operation, STATUS_FAILED_PRECONDITION,
                     "the session is streamed: its plaintext goes by that call");
    return;
  }
  if (!decide(operation)) {
    return;
  }
  operation->op.owner = operation;
  call_set_state(call, operation);
  call_on_cancel(call, cancelled);
  session_submit(operation->session, &operation->op);
}

static void submit_on_worker(struct call *call) {
  operation_submit(call_state(call));
}

static bool misfed(const struct operation *operation) {
  return session_get_path(operation->session) != SESSION_MEMORY &&
         (operation->op.input.len > 0 || operation->op.input_eof);
}

void operation_run(struct operation *operation) {
  if (misfed(operation)) {
    operation_refuse(operation, STATUS_INVALID_ARGUMENT,
                     "feed is for the memory path: this session receives by itself");
    return;
  }
  call_set_state(operation->call, operation);
  call_move(operation->call, session_worker(operation->session), submit_on_worker);
}

// At most so much that an answer full of plaintext or output fits its connection with them; the
// rest is for the next answer.
static void write_events(struct operation *operation, Tlsagent__V1__Progress *out) {
  struct arena *arena = call_arena(operation->call);
  struct engine_event *events = NULL;
  size_t num = 0;
  status_t taken = engine_take_events(session_engine(operation->session), arena, payload_max() / 4,
                                      &events, &num);
  if (status_ok(taken) && num > 0) {
    out->events = convert_events(arena, events, num, &out->n_events);
  }
}

Tlsagent__V1__Progress *operation_progress(struct operation *operation) {
  struct arena *arena = call_arena(operation->call);
  Tlsagent__V1__Progress *out = ARENA_MESSAGE(arena, Progress, progress);
  if (out == NULL) {
    return NULL;
  }
  out->state = (Tlsagent__V1__State)operation->op.result;
  out->output = binary_of(session_output(operation->session));
  out->input_consumed = operation->op.input_consumed;
  if (operation->op.result == ENGINE_FAILED) {
    out->error = convert_error(arena, &operation->op.error);
  }
  if (operation->op.result == ENGINE_WANT_DECISION) {
    out->decision = convert_decision(arena, engine_decision(session_engine(operation->session)));
  }
  write_events(operation, out);
  return out;
}

// ---------------------------------------------------------------------------------------------

Tlsagent__V1__Negotiated *describe_negotiated(struct call *call, struct session *session) {
  struct engine_negotiated negotiated;
  struct arena *arena = call_arena(call);
  if (!engine_established(session_engine(session)) ||
      !status_ok(engine_negotiated(session_engine(session), arena, &negotiated))) {
    return NULL;
  }
  return convert_negotiated(arena, &negotiated);
}

bool peer_is_known(struct session *session) {
  return engine_established(session_engine(session)) ||
         session_error(session)->kind == TLS_ERROR_VERIFY;
}

Tlsagent__V1__Peer *describe_peer(struct call *call, struct session *session, bool decode) {
  struct engine_peer peer;
  struct arena *arena = call_arena(call);
  if (!peer_is_known(session) || !status_ok(engine_peer(session_engine(session), arena, &peer)) ||
      peer.der.len == 0) {
    return NULL;
  }
  Tlsagent__V1__Peer *out = ARENA_MESSAGE(arena, Peer, peer);
  if (out == NULL) {
    return NULL;
  }
  out->der = binary_of(peer.der);
  out->verify_code = peer.verify_code;
  out->verify_message = (char *)peer.verify_message;
  struct tls_certificate certificate;
  if (decode && status_ok(engine_peer_certificate(session_engine(session), arena, &certificate))) {
    out->certificate = convert_certificate(arena, &certificate);
  }
  return out;
}
