// SessionService, but for how sessions are opened (opening.c).
#include "server/service/convert.h"
#include "server/service/operation.h"
#include "server/service/visit.h"

enum { READ_DEFAULT = 16384 };

// ---------------------------------------------------------------------------------------------
// Handshake.

static void respond_handshake(struct operation *operation) {
  struct call *call = operation->call;
  Tlsagent__V1__HandshakeResponse response = TLSAGENT__V1__HANDSHAKE_RESPONSE__INIT;
  response.progress = operation_progress(operation);
  response.negotiated = describe_negotiated(call, operation->session);
  response.peer = describe_peer(call, operation->session, operation->decode_peer);
  reply(call, &response);
}

void session_handshake(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__HandshakeRequest *from = (const Tlsagent__V1__HandshakeRequest *)request;
  struct operation *operation =
      operation_new(call, from->session, SESSION_HANDSHAKE, respond_handshake);
  if (operation != NULL && operation_decide(operation, from->decision)) {
    operation->decode_peer = from->decode_peer;
    operation_feed(operation, from->feed);
    operation_wait(operation, from->wait);
    operation_run(operation);
  }
}

// ---------------------------------------------------------------------------------------------
// Read.

static void respond_read(struct operation *operation) {
  Tlsagent__V1__ReadResponse response = TLSAGENT__V1__READ_RESPONSE__INIT;
  response.progress = operation_progress(operation);
  response.data = binary_of(slice_of(operation->op.buffer, operation->op.transferred));
  response.pending = (uint32_t)engine_pending(session_engine(operation->session));
  response.more = session_has_more(operation->session);
  reply(operation->call, &response);
}

static size_t read_size(uint32_t asked) {
  uint64_t limit = environment.config.limits->read_bytes;
  size_t most = limit < payload_max() ? limit : payload_max();
  size_t size = asked == 0 ? READ_DEFAULT : asked;
  return size < most ? size : most;
}

void session_read(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__ReadRequest *from = (const Tlsagent__V1__ReadRequest *)request;
  struct operation *operation = operation_new(call, from->session, SESSION_READ, respond_read);
  if (operation == NULL || !operation_decide(operation, from->decision)) {
    return;
  }
  operation->op.buffer_size = read_size(from->max_bytes);
  operation->op.buffer = arena_bytes(call_arena(call), operation->op.buffer_size);
  operation->op.exact = from->exact_bytes;
  if (operation->op.buffer == NULL) {
    operation_refuse(operation, STATUS_RESOURCE_EXHAUSTED, "no memory for the plaintext");
    return;
  }
  operation_feed(operation, from->feed);
  operation_wait(operation, from->wait);
  operation_run(operation);
}

// ---------------------------------------------------------------------------------------------
// Write.

static void respond_write(struct operation *operation) {
  Tlsagent__V1__WriteResponse response = TLSAGENT__V1__WRITE_RESPONSE__INIT;
  response.progress = operation_progress(operation);
  response.accepted = operation->op.transferred;
  reply(operation->call, &response);
}

void session_write(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__WriteRequest *from = (const Tlsagent__V1__WriteRequest *)request;
  struct operation *operation = operation_new(call, from->session, SESSION_WRITE, respond_write);
  if (operation != NULL && operation_decide(operation, from->decision)) {
    operation->op.data = slice_of_binary(from->data);
    operation_feed(operation, from->feed);
    operation_wait(operation, from->wait);
    operation_run(operation);
  }
}

// ---------------------------------------------------------------------------------------------
// Shutdown.

static void respond_shutdown(struct operation *operation) {
  struct engine *engine = session_engine(operation->session);
  Tlsagent__V1__ShutdownResponse response = TLSAGENT__V1__SHUTDOWN_RESPONSE__INIT;
  response.progress = operation_progress(operation);
  response.sent = engine_shutdown_sent(engine);
  response.received = engine_shutdown_received(engine);
  response.trailing = binary_of(operation->op.trailing);
  response.discarded = operation->op.discarded;
  reply(operation->call, &response);
}

void session_shutdown(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__ShutdownRequest *from = (const Tlsagent__V1__ShutdownRequest *)request;
  struct operation *operation =
      operation_new(call, from->session, SESSION_SHUTDOWN, respond_shutdown);
  if (operation != NULL) {
    operation->op.await_peer = from->await_peer;
    operation_feed(operation, from->feed);
    operation_wait(operation, from->wait);
    operation_run(operation);
  }
}

// ---------------------------------------------------------------------------------------------
// Describe.

static const char *const path_names[] = {
    [SESSION_MEMORY] = "memory",
    [SESSION_FD] = "fd",
    [SESSION_DIAL] = "dial",
};

static void respond_describe(struct call *call, struct visit *visit) {
  struct session *session = visit->session;
  struct engine *engine = session_engine(session);
  Tlsagent__V1__DescribeSessionResponse response = TLSAGENT__V1__DESCRIBE_SESSION_RESPONSE__INIT;
  response.role = (Tlsagent__V1__Role)engine_get_role(engine);
  response.state = (Tlsagent__V1__State)session_state(session);
  response.negotiated = describe_negotiated(call, session);
  response.peer = describe_peer(call, session, false);
  if (session_state(session) == ENGINE_FAILED) {
    response.error = convert_error(call_arena(call), session_error(session));
  }
  response.pending = (uint32_t)engine_pending(engine);
  response.shutdown_sent = engine_shutdown_sent(engine);
  response.shutdown_received = engine_shutdown_received(engine);
  response.bytes_read = session_bytes_read(session);
  response.bytes_written = session_bytes_written(session);
  response.transport = (char *)path_names[session_get_path(session)];
  reply(call, &response);
}

void session_describe(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__DescribeSessionRequest *from =
      (const Tlsagent__V1__DescribeSessionRequest *)request;
  start_visit(call, from->session, false, respond_describe);
}

// ---------------------------------------------------------------------------------------------
// PeerCertificate.

static void write_chains(struct call *call, struct visit *visit,
                         Tlsagent__V1__PeerCertificateResponse *out) {
  struct arena *arena = call_arena(call);
  struct engine_chains chains;
  if (!status_ok(engine_peer_chains(session_engine(visit->session), arena, &chains))) {
    return;
  }
  out->verified_chain = binary_list(arena, chains.verified, chains.num_verified);
  out->n_verified_chain = out->verified_chain == NULL ? 0 : chains.num_verified;
  out->unverified_chain = binary_list(arena, chains.unverified, chains.num_unverified);
  out->n_unverified_chain = out->unverified_chain == NULL ? 0 : chains.num_unverified;
  if (visit->decode) {
    out->verified_certificates =
        decode_chain(arena, chains.verified, chains.num_verified, &out->n_verified_certificates);
    out->unverified_certificates = decode_chain(arena, chains.unverified, chains.num_unverified,
                                                &out->n_unverified_certificates);
  }
}

static void respond_peer_certificate(struct call *call, struct visit *visit) {
  Tlsagent__V1__PeerCertificateResponse response = TLSAGENT__V1__PEER_CERTIFICATE_RESPONSE__INIT;
  response.peer = describe_peer(call, visit->session, visit->decode);
  if (!peer_is_known(visit->session)) {
    call_fail(call, STATUS_FAILED_PRECONDITION, "the handshake is not done yet");
    return;
  }
  write_chains(call, visit, &response);
  reply(call, &response);
}

void session_peer_certificate(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__PeerCertificateRequest *from =
      (const Tlsagent__V1__PeerCertificateRequest *)request;
  start_visit(call, from->session, from->decode, respond_peer_certificate);
}

// ---------------------------------------------------------------------------------------------
// SetContext.

static void reply_set(struct call *call, struct status set, const struct tls_error *error) {
  Tlsagent__V1__SetContextResponse response = TLSAGENT__V1__SET_CONTEXT_RESPONSE__INIT;
  switch (set.code) {
    case STATUS_OK:
      reply(call, &response);
      break;
    case STATUS_INVALID_ARGUMENT:
      call_fail(call, set.code, "%s", error->text);
      break;
    case STATUS_FAILED_PRECONDITION:
      call_fail(call, set.code, "the handshake is under way and waits for no server-name decision");
      break;
    default:
      call_fail(call, set.code, "no memory for the context");
      break;
  }
}

static void respond_set_context(struct call *call, struct visit *visit) {
  const Tlsagent__V1__SetContextRequest *from =
      (const Tlsagent__V1__SetContextRequest *)call_request(call);
  struct tls_context *context = handle_get(call_client(call), &context_handles, from->context);
  if (context == NULL) {
    call_fail(call, STATUS_NOT_FOUND, "no such context");
    return;
  }
  struct tls_error error;
  struct status set = engine_set_context(session_engine(visit->session), context, &error);
  reply_set(call, set, &error);
  tls_context_unref(context);
}

void session_set_context(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__SetContextRequest *from = (const Tlsagent__V1__SetContextRequest *)request;
  start_visit(call, from->session, false, respond_set_context);
}

// ---------------------------------------------------------------------------------------------
// Close: answered when the ring has let go of the descriptor and its close is queued.

static void reply_closed(struct session_closed *waiter) {
  struct visit *visit = LIST_ENTRY(waiter, struct visit, closed);
  Tlsagent__V1__CloseSessionResponse response = TLSAGENT__V1__CLOSE_SESSION_RESPONSE__INIT;
  reply(visit->call, &response);
}

static uint64_t handle_of(const struct call *call) {
  return ((const Tlsagent__V1__CloseSessionRequest *)call_request(call))->session;
}

static void respond_close(struct call *call, struct visit *visit) {
  if (!status_ok(handle_drop(call_client(call), &session_handles, handle_of(call)))) {
    call_fail(call, STATUS_NOT_FOUND, "no such session");  // another Close was faster
    return;
  }
  visit->closed.closed = reply_closed;
  session_close(visit->session, &visit->closed);
}

void session_close_handle(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__CloseSessionRequest *from =
      (const Tlsagent__V1__CloseSessionRequest *)request;
  start_visit(call, from->session, false, respond_close);
}
