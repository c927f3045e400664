// From a request to a running handler: a column of checks, each with the sentence for its refusal.
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "server/rpc/rpc_priv.h"
#include "server/rpc/strings.h"
#include "server/rpc/text.h"

enum { QUOTED_NAME_MAX = 96 };

status_t refuse(struct sentence *why, enum status_code code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(why->text, sizeof(why->text), format, args);
  va_end(args);
  return status_of(code);
}

status_t refuse_limit(struct sentence *why, const char *name, uint64_t max) {
  char text[CEILING_TEXT_MAX];
  ceiling_text(text, name, max);
  counter_add(COUNTER_limits_hit, 1);
  return refuse(why, STATUS_RESOURCE_EXHAUSTED, "%s", text);
}

status_t take_or_refuse(struct ceiling *ceiling, uint64_t n, struct sentence *why) {
  if (ceiling_take(ceiling, n)) {
    return OK_STATUS;
  }
  const struct ceiling *lacking = ceiling_lacking(ceiling, n);
  return refuse_limit(why, lacking->name, lacking->max);
}

status_t admit_check_stage(const struct connection *connection, struct sentence *why) {
  if (connection->refused) {
    return refuse_limit(why, connection->refused_by.name, connection->refused_by.value);
  }
  if (connection->home->stage != RPC_SERVING) {
    return refuse(why, STATUS_UNAVAILABLE, "the daemon is stopping and takes no new calls");
  }
  return OK_STATUS;
}

// ---------------------------------------------------------------------------------------------
// Which method

static status_t refuse_method(const struct dispatch *dispatch, const struct envelope *envelope,
                              struct sentence *why) {
  char service[QUOTED_NAME_MAX];
  char method[QUOTED_NAME_MAX];
  text_quote(service, sizeof(service), envelope->service);
  text_quote(method, sizeof(method), envelope->method);
  return dispatch_has_service(dispatch, envelope->service)
             ? refuse(why, STATUS_UNIMPLEMENTED, "service \"%s\" has no method \"%s\"", service,
                      method)
             : refuse(why, STATUS_UNIMPLEMENTED, "there is no service \"%s\"", service);
}

static status_t find_method(const struct connection *connection, const struct request *request,
                            const struct method **out, struct sentence *why) {
  const struct dispatch *dispatch = connection->home->server->dispatch;
  const struct envelope *envelope = &request->envelope;
  *out = request->method != NULL ? request->method
                                 : dispatch_find(dispatch, envelope->service, envelope->method);
  return *out != NULL ? OK_STATUS : refuse_method(dispatch, envelope, why);
}

// ---------------------------------------------------------------------------------------------
// Whose call

static int hex_digit(uint8_t c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool hex_parse(struct slice hex, uint8_t *out, size_t len) {
  if (hex.len != 2 * len) {
    return false;
  }
  for (size_t i = 0; i < len; i++) {
    int high = hex_digit(hex.data[2 * i]);
    int low = hex_digit(hex.data[2 * i + 1]);
    if (high < 0 || low < 0) {
      return false;
    }
    out[i] = (uint8_t)(high << 4 | low);
  }
  return true;
}

static status_t refuse_token(struct sentence *why) {
  return refuse(why, STATUS_UNAUTHENTICATED,
                "metadata \"" TOKEN_KEY "\" is not the token of a client of this user");
}

static status_t make_client(struct connection *connection, struct sentence *why) {
  status_t status =
      client_new(connection->home->server->tenant, &connection->peer, &connection->client);
  return status_ok(status) ? status : refuse(why, status.code, "no memory for another client");
}

static status_t join_client(struct connection *connection, struct slice token,
                            struct sentence *why) {
  status_t status =
      client_join(connection->home->server->tenant, &connection->peer, token, &connection->client);
  return status_ok(status) ? status : refuse_token(why);
}

// The first call binds the connection to a client; a token on a later one must be that client's.
static status_t use_token(struct connection *connection, struct slice hex, struct sentence *why) {
  uint8_t bytes[CLIENT_TOKEN_BYTES];
  if (!hex_parse(hex, bytes, sizeof(bytes))) {
    return refuse_token(why);
  }
  struct slice token = slice_of(bytes, sizeof(bytes));
  if (connection->client == NULL) {
    return join_client(connection, token, why);
  }
  return client_has_token(connection->client, token) ? OK_STATUS : refuse_token(why);
}

static status_t bind_client(struct connection *connection, const struct envelope *envelope,
                            struct sentence *why) {
  if (envelope->has_token) {
    return use_token(connection, envelope->token, why);
  }
  return connection->client != NULL ? OK_STATUS : make_client(connection, why);
}

// ---------------------------------------------------------------------------------------------
// How many calls

static status_t count_call(struct connection *connection, struct sentence *why) {
  struct rpc_server *server = connection->home->server;
  if (connection->num_calls >= server->limits.calls_per_connection) {
    return refuse_limit(why, "calls_per_connection", server->limits.calls_per_connection);
  }
  return take_or_refuse(&connection->share->calls, 1, why);
}

static status_t make_call(struct connection *connection, struct call **out, struct sentence *why) {
  TRY(count_call(connection, why));
  *out = call_alloc(connection);
  if (*out == NULL) {
    ceiling_give(&connection->share->calls, 1);
    return refuse(why, STATUS_RESOURCE_EXHAUSTED, "out of memory");
  }
  return OK_STATUS;
}

static status_t admit(struct connection *connection, const struct request *request,
                      struct call **out, struct sentence *why) {
  const struct method *method = NULL;
  TRY(find_method(connection, request, &method, why));
  TRY(bind_client(connection, &request->envelope, why));
  TRY(make_call(connection, out, why));
  assert(*out != NULL);
  (*out)->method = method;
  return OK_STATUS;
}

// ---------------------------------------------------------------------------------------------
// What it asks; from here on there is a call, and a refusal is its answer.

static void take_over(struct connection *connection, const struct request *request,
                      struct call *call) {
  call->connection = connection;
  list_push_back(&connection->calls, &call->link);
  connection->num_calls++;
  call->codec = connection->codec;
  call->carries_fds = connection_carries_fds(connection);
  call->client = connection->client;
  client_ref(call->client);
  call->stream_id = request->stream_id;
  call->charged = request->charged;
  attachments_move(&call->descriptors, request->descriptors);
}

status_t check_attachments(const struct attachments *set, struct sentence *why) {
  if (set->too_many) {
    return refuse(why, STATUS_INVALID_ARGUMENT, "more than %d file descriptors came with the call",
                  STREAM_FDS_MAX);
  }
  const struct ceiling *lacking = set->over_ceiling;
  if (lacking != NULL) {
    return refuse_limit(why, lacking->name, lacking->max);
  }
  return OK_STATUS;
}

// A deadline that has passed already comes as a negative number.
static status_t set_deadline(struct call *call, int64_t timeout_nano, struct sentence *why) {
  if (timeout_nano < 0) {
    counter_add(COUNTER_calls_expired, 1);
    return refuse(why, STATUS_DEADLINE_EXCEEDED, "%s", call_cause_deadline.text);
  }
  if (timeout_nano == 0) {
    return OK_STATUS;
  }
  call->deadline = clock_add(clock_now(), (uint64_t)timeout_nano);
  status_t status = timer_set(call->home->loop, &call->timer, call->deadline);
  return status_ok(status) ? status : refuse(why, status.code, "out of memory for a timer");
}

static status_t refuse_payload(struct call *call, struct sentence *why) {
  return refuse(why, STATUS_INVALID_ARGUMENT, "the payload is not a %s",
                call->method->request->name);
}

static status_t check_strings(struct call *call, struct slice payload, struct sentence *why) {
  const ProtobufCFieldDescriptor *bad = NULL;
  switch (strings_check(call->method->request, payload, &bad)) {
    case STRINGS_GOOD:
      return OK_STATUS;
    case STRINGS_BAD:
      return refuse(why, STATUS_INVALID_ARGUMENT, "the field %s is not UTF-8, or holds a NUL",
                    bad->name);
    default:
      return refuse_payload(call, why);
  }
}

static status_t unpack(struct call *call, struct slice payload, struct sentence *why) {
  TRY(check_strings(call, payload, why));
  call->arena.max = ARENA_PER_REQUEST_BYTE * payload.len + ARENA_REQUEST_SLACK;
  status_t status = dispatch_unpack(call->method->request, payload, &call->arena, &call->request);
  call->arena.max = call->arena.used + ARENA_HANDLER_ROOM;
  switch (status.code) {
    case STATUS_OK:
      return status;
    case STATUS_RESOURCE_EXHAUSTED:
      return refuse(why, status.code, "the request has too many parts for its length");
    default:
      return refuse_payload(call, why);
  }
}

// A stream is opened for a method that takes one, and for no other.
static status_t prepare_stream(struct call *call, bool opens, struct sentence *why) {
  bool takes_stream = call->method->kind == METHOD_BOTH_SEND;
  if (opens != takes_stream) {
    return refuse(why, opens ? STATUS_UNIMPLEMENTED : STATUS_INVALID_ARGUMENT,
                  "method \"%s\" takes %s", call->method->name,
                  takes_stream ? "a stream of messages" : "one message");
  }
  if (call->method->kind != METHOD_UNARY && !status_ok(call_stream_new(call))) {
    return refuse(why, STATUS_RESOURCE_EXHAUSTED, "out of memory");
  }
  return OK_STATUS;
}

static status_t prepare(struct call *call, const struct request *request, struct sentence *why) {
  TRY(check_attachments(&call->descriptors, why));
  TRY(set_deadline(call, request->envelope.timeout_nano, why));
  TRY(prepare_stream(call, request->opens, why));
  if (request->opens) {
    call->arena.max = call->arena.used + ARENA_HANDLER_ROOM;
    return OK_STATUS;
  }
  return unpack(call, request->envelope.payload, why);
}

static void run(struct call *call, const struct request *request) {
  struct sentence why;
  status_t status = prepare(call, request, &why);
  if (!status_ok(status)) {
    call_fail_for(call, status.code, &why);
    return;
  }
  counter_add(COUNTER_calls_started, 1);
  call->method->handle(call, call->request);
}

void call_start(struct connection *connection, const struct request *request) {
  struct sentence why;
  struct call *call = NULL;
  status_t status = admit(connection, request, &call, &why);
  if (!status_ok(status)) {
    ceiling_give(&connection->share->request_bytes, request->charged);
    output_failure(connection, request->stream_id, status.code, why.text);
    return;
  }
  take_over(connection, request, call);
  run(call, request);
}
