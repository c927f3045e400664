// RelayService.
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "server/base/counters.h"
#include "server/front/front.h"
#include "server/ring/closer.h"
#include "server/service/convert.h"
#include "server/service/descriptors.h"
#include "server/service/relay.h"

enum { HANDSHAKE_SECONDS = 10, ENDS_MAX = 256 };

static void ref_front(void *object) {
  front_ref(object);
}

static void unref_front(void *object) {
  front_unref(object);
}

static void end_front(void *object) {
  front_close(object);
}

static const struct handle_kind listener_handles = {
    .name = "listener",
    .quota = QUOTA_LISTENERS,
    .ref = ref_front,
    .unref = unref_front,
    .end = end_front,
};

// ---------------------------------------------------------------------------------------------
// Reading

static void forbid(struct refusal *refusal) {
  refusal_set(refusal, STATUS_PERMISSION_DENIED,
              "dialling this target is not allowed: start tlsagentd with --allow-dial HOST:PORT or "
              "--allow-dial unix:PATH");
}

// A pattern with * would be matched by what leads out of its folder.
static bool goes_up(const char *path) {
  const size_t len = strlen(path);
  return strstr(path, "/../") != NULL || (len >= 3 && strcmp(path + len - 3, "/..") == 0);
}

static void read_unix(const char *path, struct front_target *out, struct refusal *refusal) {
  if (path[0] != '/' || strlen(path) >= sizeof(out->unix_path) || goes_up(path)) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT,
                "to.unix_path is an absolute path of at most 107 bytes, without \"..\"");
    return;
  }
  snprintf(out->unix_path, sizeof(out->unix_path), "%s", path);
  if (!policy_allows_unix(environment.config.policy, path)) {
    forbid(refusal);
  }
}

static void read_tcp(const Tlsagent__V1__DialTransport *from, struct front_target *out,
                     struct refusal *refusal) {
  if (from->host[0] == '\0' || strlen(from->host) >= sizeof(out->host) || from->port == 0 ||
      from->port > UINT16_MAX) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "to.tcp needs a host and a port of 1 to 65535");
    return;
  }
  snprintf(out->host, sizeof(out->host), "%s", from->host);
  out->port = (uint16_t)from->port;
  if (!policy_allows_dial(environment.config.policy, out->host, out->port)) {
    forbid(refusal);
  }
}

static void read_target(const Tlsagent__V1__RelayTarget *from, struct front_target *out,
                        struct refusal *refusal) {
  switch (from == NULL ? TLSAGENT__V1__RELAY_TARGET__ADDRESS__NOT_SET : from->address_case) {
    case TLSAGENT__V1__RELAY_TARGET__ADDRESS_TCP:
      read_tcp(from->tcp, out, refusal);
      break;
    case TLSAGENT__V1__RELAY_TARGET__ADDRESS_UNIX_PATH:
      read_unix(from->unix_path, out, refusal);
      break;
    default:
      refusal_set(refusal, STATUS_INVALID_ARGUMENT, "to is absent: tcp or unix_path");
      break;
  }
}

static void read_role(const Tlsagent__V1__ListenRequest *from, struct front_config *out,
                      struct refusal *refusal) {
  if (from->role != TLSAGENT__V1__ROLE__ROLE_SERVER &&
      from->role != TLSAGENT__V1__ROLE__ROLE_CLIENT) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "role is ROLE_SERVER or ROLE_CLIENT");
    return;
  }
  out->role = (enum engine_role)from->role;
  const char *name = from->server_name[0] != '\0' ? from->server_name : out->target.host;
  if (strlen(name) >= sizeof(out->server_name)) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "server_name has more than 255 bytes");
  } else if (out->role == ENGINE_CLIENT) {
    snprintf(out->server_name, sizeof(out->server_name), "%s", name);
  } else if (from->server_name[0] != '\0') {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "server_name is for ROLE_CLIENT");
  }
  if (out->role == ENGINE_CLIENT && from->proxy_protocol) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "proxy_protocol is for ROLE_SERVER");
  }
}

static void read_request(struct call *call, const Tlsagent__V1__ListenRequest *from,
                         struct front_config *out, struct refusal *refusal) {
  uint32_t handshake = from->handshake_seconds == 0 ? HANDSHAKE_SECONDS : from->handshake_seconds;
  *out = (struct front_config){
      .fronts = &environment.fronts,
      .client = call_client(call),
      .proxy_protocol = from->proxy_protocol,
      .keep_records = from->keep_ends,
      .handshake_nanos = handshake * NANOS_PER_SECOND,
      .idle_nanos = from->idle_seconds * NANOS_PER_SECOND,
      .total_nanos = from->total_seconds * NANOS_PER_SECOND,
      .max_connections = from->max_connections,
      .max_output = environment.config.limits->session_output_bytes,
      .workers = environment.config.workers,
      .resolver = environment.config.resolver,
  };
  read_target(from->to, &out->target, refusal);
  read_role(from, out, refusal);
}

// ---------------------------------------------------------------------------------------------
// Listen

static bool is_listening_stream(int fd) {
  int type = 0;
  int listens = 0;
  socklen_t len = sizeof(int);
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
         getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens != 0;
}

static bool take_listener(struct call *call, const Tlsagent__V1__ListenRequest *from, int *out) {
  struct refusal refusal = {0};
  if (!take_descriptor(call, from->fd, from->fd_token, out, &refusal)) {
    call_fail(call, refusal.code, "%s", refusal.text);
    return false;
  }
  if (!is_listening_stream(*out)) {
    closer_close(client_peer(call_client(call))->uid, *out);
    call_fail(call, STATUS_INVALID_ARGUMENT, "the descriptor is no listening stream socket");
    return false;
  }
  return true;
}

static void fail_full(struct call *call) {
  struct quota_limit limit = client_limit(call_client(call), QUOTA_LISTENERS);
  counter_add(COUNTER_limits_hit, 1);
  call_fail(call, STATUS_RESOURCE_EXHAUSTED,
            "limit \"%s\" (%llu) is reached: close listeners, or start tlsagentd with --limit %s=N",
            limit.name, (unsigned long long)limit.value, limit.name);
}

static void start_front(struct call *call, const struct front_config *config) {
  Tlsagent__V1__ListenResponse response = TLSAGENT__V1__LISTEN_RESPONSE__INIT;
  struct front *front;
  if (!status_ok(front_new(config, &front))) {
    call_fail(call, STATUS_RESOURCE_EXHAUSTED, "no memory for a listener");
    return;
  }
  status_t added = handle_add(call_client(call), &listener_handles, front, &response.listener);
  if (status_ok(added)) {
    reply(call, &response);
    return;
  }
  front_close(front);
  front_unref(front);
  if (added.code == STATUS_RESOURCE_EXHAUSTED) {
    fail_full(call);
  } else {
    call_fail(call, added.code, "the client has ended");
  }
}

// The role must be the context's: the first connection would be too late to say so.
static bool check_context(struct call *call, const struct front_config *config) {
  enum tls_context_kind kind = tls_context_get_kind(config->context);
  enum tls_context_kind other =
      config->role == ENGINE_SERVER ? TLS_CONTEXT_CLIENT : TLS_CONTEXT_SERVER;
  if (kind == other) {
    call_fail(call, STATUS_INVALID_ARGUMENT, "the context is not for this role");
  }
  return kind != other;
}

void relay_listen(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__ListenRequest *from = (const Tlsagent__V1__ListenRequest *)request;
  struct refusal refusal = {0};
  struct front_config config;
  read_request(call, from, &config, &refusal);
  if (refused(&refusal)) {
    call_fail(call, refusal.code, "%s", refusal.text);
    return;
  }
  config.context = handle_get(call_client(call), &context_handles, from->context);
  if (config.context == NULL) {
    call_fail(call, STATUS_NOT_FOUND, "no such context");
    return;
  }
  config.place = place_at_desk(call, from->context);
  if (check_context(call, &config) && take_listener(call, from, &config.fd)) {
    start_front(call, &config);
  }
  tls_context_unref(config.context);
}

// ---------------------------------------------------------------------------------------------
// Describe and Close

static struct front *find(struct call *call, uint64_t handle) {
  struct front *front = handle_get(call_client(call), &listener_handles, handle);
  if (front == NULL) {
    call_fail(call, STATUS_NOT_FOUND, "no such listener");
  }
  return front;
}

void relay_describe(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__DescribeListenerRequest *from =
      (const Tlsagent__V1__DescribeListenerRequest *)request;
  Tlsagent__V1__DescribeListenerResponse response = TLSAGENT__V1__DESCRIBE_LISTENER_RESPONSE__INIT;
  struct front *front = find(call, from->listener);
  struct front_stats stats;
  if (front == NULL) {
    return;
  }
  front_describe(front, &stats);
  front_unref(front);
  response.accepted = stats.accepted;
  response.active = stats.active;
  response.established = stats.established;
  response.handshakes_failed = stats.handshakes_failed;
  response.dials_failed = stats.dials_failed;
  response.refused = stats.refused;
  response.bytes_read = stats.bytes_read;
  response.bytes_written = stats.bytes_written;
  reply(call, &response);
}

void relay_close_listener(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__CloseListenerRequest *from =
      (const Tlsagent__V1__CloseListenerRequest *)request;
  Tlsagent__V1__CloseListenerResponse response = TLSAGENT__V1__CLOSE_LISTENER_RESPONSE__INIT;
  if (status_ok(handle_drop(call_client(call), &listener_handles, from->listener))) {
    reply(call, &response);
  } else {
    call_fail(call, STATUS_NOT_FOUND, "no such listener");
  }
}

// ---------------------------------------------------------------------------------------------
// Next

struct next {
  struct front_waiter waiter;
  struct call *call;
  struct front *front;  // a reference
  struct list records;  // that the answer is made of
  bool watched;         // who is told that the caller has gone is registered
  bool given_up;        // the caller has gone while the news was on its way
  Tlsagent__V1__RelayedConnection *ends[ENDS_MAX];
};

static Tlsagent__V1__RelayedConnection *convert_record(struct arena *arena,
                                                       const struct front_record *record) {
  Tlsagent__V1__RelayedConnection *out =
      ARENA_MESSAGE(arena, RelayedConnection, relayed_connection);
  if (out == NULL) {
    return NULL;
  }
  out->peer = (char *)record->peer;
  out->stage = (Tlsagent__V1__RelayStage)record->stage;
  out->negotiated = record->has_negotiated ? convert_negotiated(arena, &record->negotiated) : NULL;
  out->end = convert_end(arena, &record->end);
  return out;
}

static bool take_ends(struct next *next, Tlsagent__V1__NextEndsResponse *out) {
  struct front_record *record = NULL;
  uint64_t lost = 0;
  while (out->n_ends < ENDS_MAX && (record = front_take(next->front, &lost)) != NULL) {
    list_push_back(&next->records, &record->link);
    next->ends[out->n_ends] = convert_record(call_arena(next->call), record);
    const bool converted = next->ends[out->n_ends] != NULL;
    out->n_ends += converted ? 1 : 0;
    out->lost += lost + (converted ? 0 : 1);
  }
  out->ends = next->ends;
  return !list_empty(&next->records);
}

static void free_records(struct list *records) {
  struct list *link;
  while ((link = list_pop_front(records)) != NULL) {
    front_record_free(LIST_ENTRY(link, struct front_record, link));
  }
}

// The answer points into the records. The call, and next with it, may be gone after the reply.
static void answer(struct next *next, const Tlsagent__V1__NextEndsResponse *response) {
  struct front *front = next->front;
  struct list records;
  list_push_back(&next->records, &records);
  list_remove(&next->records);
  reply(next->call, response);
  free_records(&records);
  front_unref(front);
}

static void look(struct next *next);

static void finish(struct next *next, enum status_code code, const char *why) {
  struct front *front = next->front;
  call_fail(next->call, code, "%s", why);
  front_unref(front);
}

static void finish_closed(struct next *next) {
  if (front_was_drained(next->front)) {
    finish(next, STATUS_UNAVAILABLE, "the daemon is stopping, and the listener has ended");
  } else {
    finish(next, STATUS_NOT_FOUND, "no such listener");
  }
}

static void on_ready(struct front_waiter *waiter) {
  struct next *next = LIST_ENTRY(waiter, struct next, waiter);
  if (next->given_up) {
    finish(next, STATUS_CANCELLED, "the call was cancelled");
  } else {
    look(next);
  }
}

static void give_up(struct call *call) {
  struct next *next = call_state(call);
  next->given_up = true;
  if (front_forget(next->front, &next->waiter)) {
    finish(next, STATUS_CANCELLED, "the call was cancelled");
  }
}

// It may be over after this.
static void watch_caller(struct next *next) {
  if (!next->watched) {
    next->watched = true;
    call_on_cancel(next->call, give_up);
  }
}

static void look(struct next *next) {
  Tlsagent__V1__NextEndsResponse response = TLSAGENT__V1__NEXT_ENDS_RESPONSE__INIT;
  struct front *front = next->front;
  if (take_ends(next, &response)) {
    answer(next, &response);
  } else if (front_is_closed(front)) {
    finish_closed(next);
  } else {
    front_await(front, &next->waiter, on_ready);
    watch_caller(next);
  }
}

void relay_next(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__NextEndsRequest *from = (const Tlsagent__V1__NextEndsRequest *)request;
  struct next *next = arena_alloc(call_arena(call), sizeof(*next));
  struct front *front = find(call, from->listener);
  if (front == NULL) {
    return;
  }
  if (next == NULL) {
    front_unref(front);
    call_fail(call, STATUS_RESOURCE_EXHAUSTED, "no memory for the call");
    return;
  }
  next->call = call;
  next->front = front;
  list_init(&next->records);
  call_set_state(call, next);
  look(next);
}
