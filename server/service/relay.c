// SessionService.Relay and WaitEnd.
#include "server/service/relay.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/ring/closer.h"
#include "server/service/convert.h"
#include "server/service/descriptors.h"
#include "server/service/visit.h"
#include "server/session/handover.h"

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

__attribute__((format(printf, 3, 4))) static bool fail(struct begun_relay *out,
                                                       enum status_code code, const char *format,
                                                       ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(out->why, sizeof(out->why), format, arguments);
  va_end(arguments);
  out->code = code;
  return false;
}

static bool fail_beginning(struct begun_relay *out, struct status begun) {
  if (begun.code == STATUS_FAILED_PRECONDITION) {
    return fail(out, begun.code,
                "only a session of the socket path becomes a relay, once its handshake is done, "
                "while it hasn't ended and has no other call in flight");
  }
  return fail(out, STATUS_RESOURCE_EXHAUSTED, "no memory, or no descriptors, for a relay");
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

static bool relay_with(struct call *call, struct session *session,
                       const Tlsagent__V1__RelayOptions *options, struct begun_relay *out) {
  status_t begun = begin(call, session, options, &out->fd);
  return status_ok(begun) || fail_beginning(out, begun);
}

// ---------------------------------------------------------------------------------------------
// The kernel in place of a relay.

const char *why_no_kernel_tls(void) {
  if (!environment.config.kernel_has_tls) {
    return "this kernel has no TLS, or keeps it from tlsagentd: load its module \"tls\" before "
           "tlsagentd starts, or let the relay serve";
  }
  return environment.config.kernel_tls
             ? NULL
             : "this kernel has TLS, but tlsagentd was started without --kernel-tls: the relay "
               "serves";
}

void check_kernel_tls(Tlsagent__V1__KernelTls wish, struct refusal *refusal) {
  if ((uint32_t)wish > TLSAGENT__V1__KERNEL_TLS__KERNEL_TLS_REQUIRED) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "kernel_tls is unknown");
  } else if (wish == TLSAGENT__V1__KERNEL_TLS__KERNEL_TLS_REQUIRED && why_no_kernel_tls() != NULL) {
    refusal_set(refusal, STATUS_FAILED_PRECONDITION, why_no_kernel_tls());
  }
}

// False: there is to be no relay either.
static bool hand_over(struct call *call, struct session *session, bool required,
                      struct begun_relay *out) {
  struct handover handover;
  switch (session_hand_over(session, &handover)) {
    case HANDOVER_DONE:
      out->response.kernel_tls = true;
      out->fd = handover.fd;
      return true;
    case HANDOVER_BROKE:
      return fail(out, STATUS_ABORTED, "%s; the session is lost", handover.why);
    case HANDOVER_NOT_POSSIBLE:
      break;
  }
  if (required) {
    return fail(out, STATUS_FAILED_PRECONDITION,
                "kernel_tls is required, and not possible for this session: %s. Ask for "
                "KERNEL_TLS_IF_POSSIBLE to have a relay then",
                handover.why);
  }
  out->response.kernel_tls_why = arena_string(call_arena(call), handover.why);
  return true;
}

static bool hand_over_if_wished(struct call *call, struct session *session,
                                Tlsagent__V1__KernelTls wish, struct begun_relay *out) {
  const char *why = why_no_kernel_tls();
  if (wish == TLSAGENT__V1__KERNEL_TLS__KERNEL_TLS_NEVER) {
    return true;
  }
  if (why != NULL) {
    out->response.kernel_tls_why = (char *)why;
    return true;
  }
  return hand_over(call, session, wish == TLSAGENT__V1__KERNEL_TLS__KERNEL_TLS_REQUIRED, out);
}

// ---------------------------------------------------------------------------------------------

// By the kernel or by a relay, with a descriptor for the answer.
static bool begin_with_answer(struct call *call, struct session *session, uint64_t handle,
                              const Tlsagent__V1__RelayOptions *options, struct begun_relay *out) {
  struct forgetter *forgetter = options->forget ? forgetter_new(call, handle) : NULL;
  if (options->forget && forgetter == NULL) {
    return fail_beginning(out, status_of(STATUS_RESOURCE_EXHAUSTED));
  }
  if (!hand_over_if_wished(call, session, options->kernel_tls, out) ||
      (out->fd < 0 && !relay_with(call, session, options, out))) {
    forgetter_free(forgetter);
    return false;
  }
  if (forgetter != NULL) {
    session_await_end(session, &forgetter->waiter);
  }
  out->begun = true;
  return true;
}

// The token is made first: a relay that can't be had is none to begin.
static bool begin_with_token(struct call *call, struct session *session, uint64_t handle,
                             const Tlsagent__V1__RelayOptions *options, struct begun_relay *out) {
  struct refusal refusal = {0};
  uint8_t *token = arena_bytes(call_arena(call), DEPOSIT_TOKEN_BYTES);
  if (token == NULL) {
    return fail(out, STATUS_RESOURCE_EXHAUSTED, "no memory for the call");
  }
  if (!make_token(call, DEPOSIT_OUT, token, &refusal)) {
    return fail(out, refusal.code, "%s", refusal.text);
  }
  if (!begin_with_answer(call, session, handle, options, out)) {
    deposit_drop(call, token);
    return false;
  }
  deposit_leave(call, token, out->fd);
  out->fd = -1;
  out->response.token = binary_of(slice_of(token, DEPOSIT_TOKEN_BYTES));
  return true;
}

bool begin_relay(struct call *call, struct session *session, uint64_t handle,
                 const Tlsagent__V1__RelayOptions *options, struct begun_relay *out) {
  *out = (struct begun_relay){.fd = -1, .response = TLSAGENT__V1__RELAY_RESPONSE__INIT};
  return options->by_token ? begin_with_token(call, session, handle, options, out)
                           : begin_with_answer(call, session, handle, options, out);
}

static void respond_relay(struct call *call, struct visit *visit) {
  const Tlsagent__V1__RelayRequest *from = (const Tlsagent__V1__RelayRequest *)call_request(call);
  Tlsagent__V1__RelayOptions options = TLSAGENT__V1__RELAY_OPTIONS__INIT;
  options.idle_seconds = from->idle_seconds;
  options.total_seconds = from->total_seconds;
  options.forget = from->forget;
  options.kernel_tls = from->kernel_tls;
  options.by_token = from->by_token;
  struct begun_relay relay;
  if (begin_relay(call, visit->session, from->session, &options, &relay)) {
    reply_with_fd(call, &relay.response, relay.fd);
  } else {
    call_fail(call, relay.code, "%s", relay.why);
  }
}

void session_begin_relay(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__RelayRequest *from = (const Tlsagent__V1__RelayRequest *)request;
  struct refusal refusal = {0};
  check_kernel_tls(from->kernel_tls, &refusal);
  if (!from->by_token && !call_carries_fds(call)) {
    refusal_set(&refusal, STATUS_FAILED_PRECONDITION, RELAY_NOT_CARRIED);
  }
  if (refused(&refusal)) {
    call_fail(call, refusal.code, "%s", refusal.text);
    return;
  }
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
