// SessionService.Connect and Accept: a request becomes a session on the least loaded worker.
#include <sys/socket.h>

#include "server/base/counters.h"
#include "server/ring/closer.h"
#include "server/service/convert.h"
#include "server/service/descriptors.h"
#include "server/service/operation.h"
#include "server/service/relay.h"

static void ref_session(void *object) {
  session_ref(object);
}

static void unref_session(void *object) {
  session_unref(object);
}

static void end_session(void *object) {
  session_end(object);
}

const struct handle_kind session_handles = {
    .name = "session",
    .quota = QUOTA_SESSIONS,
    .ref = ref_session,
    .unref = unref_session,
    .end = end_session,
};

// What Connect and Accept have in common, from the request to the session.
struct opening {
  struct operation operation;   // first: what a call's state points at later
  struct tls_context *context;  // a reference
  struct session_config config;
  struct desk_place place;
  const Tlsagent__V1__FdTransport *fd;
};

// ---------------------------------------------------------------------------------------------
// Reading.

static void read_dial(struct opening *opening, const Tlsagent__V1__DialTransport *dial,
                      struct refusal *refusal) {
  const struct policy *policy = environment.config.policy;
  opening->config.path = SESSION_DIAL;
  opening->config.host = dial->host;
  opening->config.port = (uint16_t)dial->port;
  opening->config.resolver = environment.config.resolver;
  if (opening->config.engine.role == ENGINE_SERVER) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "a server does not dial: pass a descriptor");
  } else if (dial->host[0] == '\0' || dial->port == 0 || dial->port > UINT16_MAX) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "dial needs a host and a port of 1 to 65535");
  } else if (!policy_allows_dial(policy, dial->host, (uint16_t)dial->port)) {
    refusal_set(
        refusal, STATUS_PERMISSION_DENIED,
        "dialling this target is not allowed: start tlsagentd with --allow-dial HOST:PORT, or "
        "connect yourself and pass the descriptor");
  }
}

static void read_transport(struct opening *opening, const Tlsagent__V1__Transport *transport,
                           struct refusal *refusal) {
  switch (transport == NULL ? TLSAGENT__V1__TRANSPORT__PATH__NOT_SET : transport->path_case) {
    case TLSAGENT__V1__TRANSPORT__PATH_MEMORY:
      opening->config.path = SESSION_MEMORY;
      if (opening->config.engine.max_output > payload_max()) {
        opening->config.engine.max_output = payload_max();
      }
      operation_feed(&opening->operation, transport->memory->feed);
      break;
    case TLSAGENT__V1__TRANSPORT__PATH_FD:
      opening->config.path = SESSION_FD;
      opening->fd = transport->fd;
      break;
    case TLSAGENT__V1__TRANSPORT__PATH_DIAL:
      read_dial(opening, transport->dial, refusal);
      break;
    default:
      refusal_set(refusal, STATUS_INVALID_ARGUMENT, "transport is absent: memory, fd or dial");
      break;
  }
}

static struct opening *opening_new(struct call *call, enum engine_role role,
                                   void (*respond)(struct operation *operation)) {
  struct opening *opening = arena_alloc(call_arena(call), sizeof(*opening));
  if (opening == NULL) {
    call_fail(call, STATUS_RESOURCE_EXHAUSTED, "no memory for the call");
    return NULL;
  }
  opening->operation.op.kind = SESSION_HANDSHAKE;
  opening->operation.op.done = operation_finish;
  opening->operation.call = call;
  opening->operation.respond = respond;
  opening->operation.opening = true;
  opening->config.engine.role = role;
  opening->config.engine.max_output = environment.config.limits->session_output_bytes;
  return opening;
}

// ---------------------------------------------------------------------------------------------
// Making the session, on its worker.

// Only a connected stream socket can carry TLS, and only that can be waited for on the ring.
static bool is_connected_stream(int fd) {
  int type = 0;
  socklen_t len = sizeof(type);
  struct sockaddr_storage peer;
  socklen_t peer_len = sizeof(peer);
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
         getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0;
}

static bool take_socket(struct opening *opening) {
  struct call *call = opening->operation.call;
  struct refusal refusal = {0};
  int fd = -1;
  if (!take_descriptor(call, opening->fd->fd, opening->fd->token, &fd, &refusal)) {
    call_fail(call, refusal.code, "%s", refusal.text);
    return false;
  }
  if (!is_connected_stream(fd)) {
    closer_close(opening->config.uid, fd);
    call_fail(call, STATUS_INVALID_ARGUMENT, "the descriptor is no connected stream socket");
    return false;
  }
  opening->config.fd = fd;
  return true;
}

// The engine refused: an answer, as if the handshake had failed at once.
static void reply_refused(struct opening *opening, const struct tls_error *error) {
  struct call *call = opening->operation.call;
  Tlsagent__V1__ConnectResponse connect = TLSAGENT__V1__CONNECT_RESPONSE__INIT;
  Tlsagent__V1__AcceptResponse accept = TLSAGENT__V1__ACCEPT_RESPONSE__INIT;
  Tlsagent__V1__Progress progress = TLSAGENT__V1__PROGRESS__INIT;
  progress.state = TLSAGENT__V1__STATE__STATE_FAILED;
  progress.error = convert_error(call_arena(call), error);
  connect.progress = &progress;
  accept.progress = &progress;
  bool client = opening->config.engine.role == ENGINE_CLIENT;
  reply(call, client ? (const void *)&connect : (const void *)&accept);
}

static void fail_making(struct call *call, struct status made, enum session_path path) {
  if (made.code != STATUS_RESOURCE_EXHAUSTED || path != SESSION_DIAL) {
    call_fail(call, made.code, "no memory for another session");
    return;
  }
  counter_add(COUNTER_limits_hit, 1);
  call_fail(
      call, made.code,
      "limit \"resolver_queue\" (%llu) is reached: too many host names wait to be resolved; try "
      "again, or start tlsagentd with --limit resolver_queue=N",
      (unsigned long long)environment.config.limits->resolver_queue);
}

static bool make_session(struct opening *opening) {
  struct call *call = opening->operation.call;
  struct tls_error error;
  if (opening->config.path == SESSION_FD && !take_socket(opening)) {
    return false;
  }
  status_t made = session_new(&opening->config, &opening->operation.session, &error);
  if (made.code == STATUS_INVALID_ARGUMENT) {
    reply_refused(opening, &error);
  } else if (!status_ok(made)) {
    fail_making(call, made, opening->config.path);
  }
  return status_ok(made);
}

static bool name_session(struct opening *opening) {
  struct operation *operation = &opening->operation;
  struct session *session = operation->session;
  session_ref(session);
  status_t added =
      handle_add(call_client(operation->call), &session_handles, session, &operation->handle);
  if (status_ok(added)) {
    opening->place.session = operation->handle;
    session_ask_at(session, &opening->place);
    return true;
  }
  session_unref(session);
  session_close(session, NULL);
  operation_refuse(
      operation, added.code,
      "no more sessions: close some, or raise --limit sessions and sessions_per_owner");
  return false;
}

static void open_on_worker(struct call *call) {
  struct opening *opening = call_state(call);
  struct tls_context *context = opening->context;
  if (call_is_cancelled(call)) {
    call_fail(call, STATUS_CANCELLED, "the call was cancelled");
  } else if (make_session(opening) && name_session(opening)) {
    operation_submit(&opening->operation);
  }
  tls_context_unref(context);
}

// A session that has a descriptor will need it closed.
static bool is_behind(const struct opening *opening) {
  return opening->config.path != SESSION_MEMORY && closer_behind(opening->config.uid);
}

static void fail_behind(struct call *call) {
  counter_add(COUNTER_limits_hit, 1);
  call_fail(call, STATUS_RESOURCE_EXHAUSTED,
            "too many descriptors of this user wait to be closed, since closing one of them hangs: "
            "end what holds it, or use the memory path");
}

// Every step of a memory session comes by a call, and the connection's worker is the one that has
// it; the others do their own I/O wherever there is time.
static struct worker *place(const struct opening *opening) {
  struct worker_pool *pool = environment.config.workers;
  struct worker *home = call_home(opening->operation.call);
  return opening->config.path == SESSION_MEMORY ? worker_pool_near(pool, home)
                                                : worker_pool_least_loaded(pool, home);
}

static void start_opening(struct opening *opening, uint64_t context,
                          const struct refusal *refusal) {
  struct call *call = opening->operation.call;
  if (refused(refusal)) {
    call_fail(call, refusal->code, "%s", refusal->text);
    return;
  }
  opening->config.uid = client_peer(call_client(call))->uid;
  opening->config.engine.owner = slice_of(client_token(call_client(call)), CLIENT_TOKEN_BYTES);
  if (is_behind(opening)) {
    fail_behind(call);
    return;
  }
  opening->context = handle_get(call_client(call), &context_handles, context);
  if (opening->context == NULL) {
    call_fail(call, STATUS_NOT_FOUND, "no such context");
    return;
  }
  opening->config.context = opening->context;
  opening->place = place_at_desk(call, context);
  call_set_state(call, opening);
  call_move(call, place(opening), open_on_worker);
}

// ---------------------------------------------------------------------------------------------
// The relay, when one was asked for.

// False: the call has been failed, and the session is gone. That comes first: the operation goes
// with the call.
static bool relay_if_done(struct operation *operation, struct begun_relay *out) {
  *out = (struct begun_relay){.fd = -1};
  if (operation->relay == NULL || operation->op.result != ENGINE_DONE) {
    return true;
  }
  if (begin_relay(operation->call, operation->session, operation->handle, operation->relay, out)) {
    return true;
  }
  operation_abandon(operation);
  call_fail(operation->call, out->code, "%s", out->why);
  return false;
}

static void read_relay(struct opening *opening, const Tlsagent__V1__RelayOptions *relay,
                       struct refusal *refusal) {
  opening->operation.relay = relay;
  opening->config.engine.growing_records = relay != NULL;
  if (relay == NULL) {
    return;
  }
  opening->config.engine.traffic_keys =
      relay->kernel_tls != TLSAGENT__V1__KERNEL_TLS__KERNEL_TLS_NEVER &&
      why_no_kernel_tls() == NULL;
  check_kernel_tls(relay->kernel_tls, refusal);
  if (opening->config.path == SESSION_MEMORY) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "a relay is for the socket path");
  }
  if (!relay->by_token && !call_carries_fds(opening->operation.call)) {
    refusal_set(refusal, STATUS_FAILED_PRECONDITION, RELAY_NOT_CARRIED);
  }
}

// ---------------------------------------------------------------------------------------------
// Connect.

static void respond_connect(struct operation *operation) {
  struct call *call = operation->call;
  Tlsagent__V1__ConnectResponse response = TLSAGENT__V1__CONNECT_RESPONSE__INIT;
  response.session = operation->handle;
  response.progress = operation_progress(operation);
  response.negotiated = describe_negotiated(call, operation->session);
  response.peer = describe_peer(call, operation->session, operation->decode_peer);
  struct begun_relay relayed;
  if (relay_if_done(operation, &relayed)) {
    response.relay = relayed.begun ? &relayed.response : NULL;
    reply_with_fd(call, &response, relayed.fd);
  }
}

// The answer waits for the first write too.
static void write_first(struct session_op *op) {
  struct operation *operation = op->owner;
  op->done = operation_finish;
  if (op->result != ENGINE_DONE) {
    operation_finish(op);
    return;
  }
  op->kind = SESSION_WRITE;
  op->data = operation->first_write;
  operation_submit(operation);
}

static const char *connect_name(const Tlsagent__V1__ConnectRequest *from) {
  if (from->server_name[0] != '\0') {
    return from->server_name;
  }
  bool dials =
      from->transport != NULL && from->transport->path_case == TLSAGENT__V1__TRANSPORT__PATH_DIAL;
  return dials ? from->transport->dial->host : NULL;
}

void session_connect(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__ConnectRequest *from = (const Tlsagent__V1__ConnectRequest *)request;
  struct refusal refusal = {0};
  struct opening *opening = opening_new(call, ENGINE_CLIENT, respond_connect);
  if (opening == NULL) {
    return;
  }
  read_transport(opening, from->transport, &refusal);
  if (from->resumption != NULL) {
    opening->config.engine.resumption = slice_of_binary(from->resumption->value);
    if (from->resumption->value.len == 0) {
      refusal_set(&refusal, STATUS_INVALID_ARGUMENT, "resumption is empty: leave it out");
    }
  }
  opening->config.engine.server_name = connect_name(from);
  opening->operation.decode_peer = from->decode_peer;
  opening->operation.first_write = slice_of_binary(from->first_write);
  if (from->first_write.len > 0) {
    opening->operation.op.done = write_first;
    if (opening->config.path == SESSION_MEMORY) {
      refusal_set(&refusal, STATUS_INVALID_ARGUMENT, "first_write is for the socket path");
    }
  }
  read_relay(opening, from->relay, &refusal);
  operation_wait(&opening->operation, from->wait);
  start_opening(opening, from->context, &refusal);
}

// ---------------------------------------------------------------------------------------------
// Accept.

static void respond_accept(struct operation *operation) {
  struct call *call = operation->call;
  Tlsagent__V1__AcceptResponse response = TLSAGENT__V1__ACCEPT_RESPONSE__INIT;
  response.session = operation->handle;
  response.progress = operation_progress(operation);
  response.negotiated = describe_negotiated(call, operation->session);
  response.peer = describe_peer(call, operation->session, operation->decode_peer);
  struct begun_relay relayed;
  if (relay_if_done(operation, &relayed)) {
    response.relay = relayed.begun ? &relayed.response : NULL;
    reply_with_fd(call, &response, relayed.fd);
  }
}

void session_accept(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__AcceptRequest *from = (const Tlsagent__V1__AcceptRequest *)request;
  struct refusal refusal = {0};
  struct opening *opening = opening_new(call, ENGINE_SERVER, respond_accept);
  if (opening == NULL) {
    return;
  }
  read_transport(opening, from->transport, &refusal);
  opening->operation.decode_peer = from->decode_peer;
  read_relay(opening, from->relay, &refusal);
  operation_wait(&opening->operation, from->wait);
  start_opening(opening, from->context, &refusal);
}
