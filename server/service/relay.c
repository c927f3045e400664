// SessionService.Relay and WaitEnd.
#include "server/service/relay.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/ring/closer.h"
#include "server/service/convert.h"
#include "server/service/visit.h"

// ---------------------------------------------------------------------------------------------
// Forgetting: the handle goes when the relay has ended.

struct forgetter {
  struct session_ended waiter;
  struct client *client;
  uint64_t handle;
};

static void forget(struct session_ended *waiter) {
  struct forgetter *forgetter = LIST_ENTRY(waiter, struct forgetter, waiter);
  struct client *client = forgetter->client;
  status_t dropped = handle_drop(client, &session_handles, forgetter->handle);
  (void)dropped;  // the client may have been faster
  free(forgetter);
  client_unref(client);
}

static struct forgetter *forgetter_new(struct call *call, uint64_t handle) {
  struct forgetter *forgetter = malloc(sizeof(*forgetter));
  if (forgetter != NULL) {
    *forgetter = (struct forgetter){
        .waiter = {.ended = forget}, .client = call_client(call), .handle = handle};
    list_init(&forgetter->waiter.link);
    client_ref(forgetter->client);
  }
  return forgetter;
}

static void forgetter_free(struct forgetter *forgetter) {
  if (forgetter != NULL) {
    client_unref(forgetter->client);
    free(forgetter);
  }
}

// ---------------------------------------------------------------------------------------------
// Beginning

static void fail_beginning(struct call *call, struct status begun) {
  if (begun.code == STATUS_FAILED_PRECONDITION) {
    call_fail(call, begun.code,
              "only a session of the socket path becomes a relay, once its handshake is done, "
              "while it hasn't ended and has no other call in flight");
  } else {
    call_fail(call, STATUS_RESOURCE_EXHAUSTED, "no memory, or no descriptors, for a relay");
  }
}

static status_t begin(struct call *call, struct session *session,
                      const Tlsagent__V1__RelayOptions *options, int *out_fd) {
  int ends[2];
  ENSURE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, RESOURCE_EXHAUSTED);
  const struct relay_config config = {
      .fd = ends[0],
      .uid = client_peer(call_client(call))->uid,
      .idle_nanos = options->idle_seconds * NANOS_PER_SECOND,
      .total_nanos = options->total_seconds * NANOS_PER_SECOND,
  };
  status_t begun = session_relay(session, &config);
  if (!status_ok(begun)) {
    close(ends[1]);
    return begun;
  }
  *out_fd = ends[1];
  return OK_STATUS;
}

bool begin_relay(struct call *call, struct session *session, uint64_t handle,
                 const Tlsagent__V1__RelayOptions *options, int *out_fd) {
  struct forgetter *forgetter = options->forget ? forgetter_new(call, handle) : NULL;
  status_t begun = options->forget && forgetter == NULL ? status_of(STATUS_RESOURCE_EXHAUSTED)
                                                        : begin(call, session, options, out_fd);
  if (!status_ok(begun)) {
    forgetter_free(forgetter);
    fail_beginning(call, begun);
    return false;
  }
  if (forgetter != NULL) {
    session_await_end(session, &forgetter->waiter);
  }
  return true;
}

static void respond_relay(struct call *call, struct visit *visit) {
  const Tlsagent__V1__RelayRequest *from = (const Tlsagent__V1__RelayRequest *)call_request(call);
  Tlsagent__V1__RelayResponse response = TLSAGENT__V1__RELAY_RESPONSE__INIT;
  Tlsagent__V1__RelayOptions options = TLSAGENT__V1__RELAY_OPTIONS__INIT;
  options.idle_seconds = from->idle_seconds;
  options.total_seconds = from->total_seconds;
  options.forget = from->forget;
  int fd = -1;
  if (begin_relay(call, visit->session, from->session, &options, &fd)) {
    reply_with_fd(call, &response, fd);
  }
}

void session_begin_relay(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__RelayRequest *from = (const Tlsagent__V1__RelayRequest *)request;
  start_visit(call, from->session, false, respond_relay);
}

// ---------------------------------------------------------------------------------------------
// Its end

struct end_wait {
  struct session_ended waiter;
  struct call *call;
  struct session *session;  // a reference
};

Tlsagent__V1__WaitEndResponse *convert_end(struct arena *arena, const struct relay_end *end) {
  Tlsagent__V1__WaitEndResponse *out = ARENA_MESSAGE(arena, WaitEndResponse, wait_end_response);
  if (out == NULL) {
    return NULL;
  }
  out->state = (Tlsagent__V1__State)end->result;
  if (end->result == ENGINE_FAILED) {
    out->error = convert_error(arena, end->error);
  }
  out->bytes_read = end->bytes_read;
  out->bytes_written = end->bytes_written;
  out->milliseconds = end->nanos / NANOS_PER_MILLI;
  return out;
}

static void reply_end(struct session_ended *waiter) {
  struct end_wait *wait = LIST_ENTRY(waiter, struct end_wait, waiter);
  struct session *session = wait->session;
  Tlsagent__V1__WaitEndResponse nothing = TLSAGENT__V1__WAIT_END_RESPONSE__INIT;
  struct relay_end end = {.result = ENGINE_FAILED};
  session_relay_end(session, &end);
  const Tlsagent__V1__WaitEndResponse *out = convert_end(call_arena(wait->call), &end);
  reply(wait->call, out == NULL ? &nothing : out);
  session_unref(session);
}

static void give_up_waiting(struct call *call) {
  struct end_wait *wait = call_state(call);
  struct session *session = wait->session;
  session_forget_end(&wait->waiter);
  call_fail(call, STATUS_CANCELLED, "the call was cancelled");
  session_unref(session);
}

static void respond_wait_end(struct call *call, struct visit *visit) {
  struct end_wait *wait = arena_alloc(call_arena(call), sizeof(*wait));
  if (!session_is_relay(visit->session)) {
    call_fail(call, STATUS_FAILED_PRECONDITION, "the session is no relay");
    return;
  }
  if (wait == NULL) {
    call_fail(call, STATUS_RESOURCE_EXHAUSTED, "no memory for the call");
    return;
  }
  if (call_is_cancelled(call)) {
    call_fail(call, STATUS_CANCELLED, "the call was cancelled");
    return;
  }
  *wait =
      (struct end_wait){.waiter = {.ended = reply_end}, .call = call, .session = visit->session};
  list_init(&wait->waiter.link);
  session_ref(wait->session);
  call_set_state(call, wait);
  call_on_cancel(call, give_up_waiting);
  session_await_end(wait->session, &wait->waiter);
}

void session_wait_end(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__WaitEndRequest *from = (const Tlsagent__V1__WaitEndRequest *)request;
  start_visit(call, from->session, false, respond_wait_end);
}
