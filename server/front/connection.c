// One connection of a front: accepted, shaken hands with, joined with its target, relayed.
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "server/base/counters.h"
#include "server/front/private.h"
#include "server/front/proxy.h"
#include "server/ring/closer.h"

enum { RECORD_BYTES_MAX = 2048 };

struct opening;

struct connection {
  struct list link;
  struct acceptor *acceptor;
  struct charge *charge;
  struct session *session;  // a reference; NULL before there is one
  struct opening *opening;  // until both ends are joined
  struct session_ended ended;
  char peer[FRONT_PEER_MAX];  // "" unless somebody is told
};

// What is needed only until then: a relay lives long, and there are many.
struct opening {
  struct connection *connection;
  struct session_op handshake;
  struct dial *dial;  // non-NULL while it is under way
  int fd;             // the end that waits for the other; -1 when it is the session's
  struct proxy_addresses addresses;
};

static const struct front_config *config_of(const struct connection *connection) {
  return &connection->acceptor->front->config;
}

static uid_t uid_of(const struct connection *connection) {
  return client_peer(config_of(connection)->client)->uid;
}

// Who waits for a close: nobody needs to, where it is TCP. A Unix socket may have others queued.
static uid_t closer_of_accepted(const struct connection *connection) {
  return connection->acceptor->front->accepts_tcp ? CLOSER_NOBODY : uid_of(connection);
}

static uid_t closer_of_dialed(const struct connection *connection) {
  bool is_tcp = config_of(connection)->target.unix_path[0] == '\0';
  return is_tcp ? CLOSER_NOBODY : uid_of(connection);
}

static uid_t closer_of_session(const struct connection *connection) {
  return config_of(connection)->role == ENGINE_SERVER ? closer_of_accepted(connection)
                                                      : closer_of_dialed(connection);
}

static uid_t closer_of_plain(const struct connection *connection) {
  return config_of(connection)->role == ENGINE_SERVER ? closer_of_dialed(connection)
                                                      : closer_of_accepted(connection);
}

// ---------------------------------------------------------------------------------------------
// Its end

// What is the engine's goes with it, and the record stays.
static void keep_texts(struct arena *arena, struct engine_negotiated *negotiated) {
  const uint8_t *alpn = arena_copy(arena, negotiated->alpn);
  const char *server_name = arena_string(arena, negotiated->server_name);
  negotiated->alpn = slice_of(alpn, alpn == NULL ? 0 : negotiated->alpn.len);
  negotiated->server_name = server_name == NULL ? "" : server_name;
}

static void describe(struct connection *connection, struct front_record *record) {
  struct engine *engine = connection->session == NULL ? NULL : session_engine(connection->session);
  record->has_negotiated =
      engine != NULL && engine_established(engine) &&
      status_ok(engine_negotiated(engine, &record->arena, &record->negotiated));
  if (record->has_negotiated) {
    keep_texts(&record->arena, &record->negotiated);
  }
}

static void keep_record(struct connection *connection, enum front_stage stage,
                        const struct relay_end *end) {
  struct front_record *record = calloc(1, sizeof(*record));
  if (record == NULL) {
    return;
  }
  arena_init(&record->arena, RECORD_BYTES_MAX);
  snprintf(record->peer, sizeof(record->peer), "%s", connection->peer);
  record->stage = stage;
  record->end = *end;
  if (end->error != NULL) {
    record->error = *end->error;
    record->end.error = &record->error;
  }
  describe(connection, record);
  front_add_record(connection->acceptor->front, record);
}

static void count_end(struct front *front, enum front_stage stage, const struct relay_end *end) {
  switch (stage) {
    case FRONT_REFUSED:
      atomic_fetch_add(&front->refused, 1);
      break;
    case FRONT_HANDSHAKE:
      atomic_fetch_add(&front->handshakes_failed, 1);
      break;
    case FRONT_DIAL:
      atomic_fetch_add(&front->dials_failed, 1);
      break;
    case FRONT_RELAYED:
      atomic_fetch_add(&front->bytes_read, end->bytes_read);
      atomic_fetch_add(&front->bytes_written, end->bytes_written);
      break;
  }
}

static void free_opening(struct connection *connection) {
  struct opening *opening = connection->opening;
  connection->opening = NULL;
  if (opening != NULL && opening->fd >= 0) {
    closer_close(closer_of_accepted(connection), opening->fd);
  }
  free(opening);
}

static void end(struct connection *connection, enum front_stage stage,
                const struct relay_end *end) {
  struct acceptor *acceptor = connection->acceptor;
  count_end(acceptor->front, stage, end);
  if (config_of(connection)->keep_records) {
    keep_record(connection, stage, end);
  }
  free_opening(connection);
  if (connection->session != NULL) {
    session_close(connection->session, NULL);
    session_unref(connection->session);
  }
  if (connection->charge != NULL) {
    charge_give(connection->charge);
  }
  list_remove(&connection->link);
  free(connection);
  acceptor_count(acceptor, -1);
}

static void fail(struct connection *connection, enum front_stage stage,
                 const struct tls_error *error) {
  const struct front_handler *handler = config_of(connection)->handler;
  if (handler != NULL) {
    handler->failed(handler->owner, connection->peer, error);
  }
  const struct relay_end how = {.result = ENGINE_FAILED, .error = error};
  end(connection, stage, &how);
}

static void fail_os(struct connection *connection, enum front_stage stage, int os_errno,
                    const char *what) {
  struct tls_error error;
  tls_error_os(&error, os_errno, what);
  fail(connection, stage, &error);
}

static void on_ended(struct session_ended *waiter) {
  struct connection *connection = LIST_ENTRY(waiter, struct connection, ended);
  struct relay_end how = {.result = ENGINE_FAILED};
  session_relay_end(connection->session, &how);
  end(connection, FRONT_RELAYED, &how);
}

// ---------------------------------------------------------------------------------------------
// Joining

static struct slice greeting(struct connection *connection, uint8_t room[PROXY_HEADER_MAX]) {
  if (!config_of(connection)->proxy_protocol) {
    return slice_of(NULL, 0);
  }
  size_t len =
      proxy_header(&connection->opening->addresses, session_engine(connection->session), room);
  return slice_of(room, len);
}

// plain is the end without TLS.
static void join(struct connection *connection, int plain) {
  const struct front_config *config = config_of(connection);
  uint8_t room[PROXY_HEADER_MAX];
  const struct relay_config relay = {
      .fd = plain,
      .uid = closer_of_plain(connection),
      .greeting = greeting(connection, room),
      .idle_nanos = config->idle_nanos,
      .total_nanos = config->total_nanos,
  };
  if (!status_ok(session_relay(connection->session, &relay))) {
    fail_os(connection, FRONT_DIAL, ENOMEM, "relay");
    return;
  }
  free_opening(connection);
  atomic_fetch_add(&connection->acceptor->front->established, 1);
  connection->ended.ended = on_ended;
  list_init(&connection->ended.link);
  session_await_end(connection->session, &connection->ended);
}

static void ask_handler(struct connection *connection) {
  const struct front_handler *handler = config_of(connection)->handler;
  struct tls_error error;
  int plain = -1;
  if (status_ok(
          handler->open(handler->owner, connection->session, connection->charge, &plain, &error))) {
    join(connection, plain);
  } else {
    fail(connection, FRONT_DIAL, &error);
  }
}

// ---------------------------------------------------------------------------------------------
// The handshake

static void start_dial(struct connection *connection);

static void fail_handshake(struct connection *connection, const struct session_op *op) {
  struct tls_error error = op->error;
  if (op->result == ENGINE_WANT_DECISION) {
    tls_error_simple(&error, TLS_ERROR_INVALID,
                     "the context asks for decisions, and nobody has made them");
  } else if (op->result != ENGINE_FAILED) {
    tls_error_simple(&error, TLS_ERROR_TIMEOUT, "the handshake took too long");
  }
  fail(connection, FRONT_HANDSHAKE, &error);
}

static void on_shaken(struct session_op *op) {
  struct connection *connection = op->owner;
  if (op->result != ENGINE_DONE) {
    fail_handshake(connection, op);
  } else if (config_of(connection)->handler != NULL) {
    ask_handler(connection);
  } else if (config_of(connection)->role == ENGINE_SERVER) {
    start_dial(connection);
  } else {
    int plain = connection->opening->fd;
    connection->opening->fd = -1;
    join(connection, plain);
  }
}

static void start_handshake(struct connection *connection, int fd) {
  const struct front_config *config = config_of(connection);
  const struct session_config session = {
      .context = config->context,
      .engine = {.role = config->role,
                 .server_name = config->server_name[0] == '\0' ? NULL : config->server_name,
                 .max_output = config->max_output,
                 .growing_records = true},
      .path = SESSION_FD,
      .fd = fd,
      .uid = closer_of_session(connection),
  };
  struct tls_error error;
  status_t made = session_new(&session, &connection->session, &error);
  if (made.code == STATUS_INVALID_ARGUMENT) {
    fail(connection, FRONT_HANDSHAKE, &error);
  } else if (!status_ok(made)) {
    fail_os(connection, FRONT_REFUSED, ENOMEM, "a session");
  } else {
    struct session_op *op = &connection->opening->handshake;
    session_ask_at(connection->session, &config->place);
    *op = (struct session_op){.kind = SESSION_HANDSHAKE,
                              .has_wait = true,
                              .wait_nanos = config->handshake_nanos,
                              .done = on_shaken,
                              .owner = connection};
    session_submit(connection->session, op);
  }
}

// ---------------------------------------------------------------------------------------------
// The target

static void fail_dial(struct connection *connection, const struct dial_result *result) {
  struct tls_error error;
  if (result->gai_error != 0) {
    tls_error_simple(&error, TLS_ERROR_RESOLVE, gai_strerror(result->gai_error));
    fail(connection, FRONT_DIAL, &error);
  } else {
    fail_os(connection, FRONT_DIAL, result->os_errno, "connect");
  }
}

static void on_dialed(void *owner, const struct dial_result *result) {
  struct connection *connection = owner;
  connection->opening->dial = NULL;
  if (result->fd < 0) {
    fail_dial(connection, result);
  } else if (config_of(connection)->role == ENGINE_SERVER) {
    join(connection, result->fd);
  } else {
    start_handshake(connection, result->fd);
  }
}

static void start_dial(struct connection *connection) {
  const struct front_config *config = config_of(connection);
  const struct front_target *target = &config->target;
  struct dial **dial = &connection->opening->dial;
  status_t started =
      target->unix_path[0] != '\0'
          ? dial_unix_start(config->resolver, target->unix_path, on_dialed, connection, dial)
          : dial_start(config->resolver, target->host, target->port, on_dialed, connection, dial);
  if (!status_ok(started)) {
    fail_os(connection, FRONT_DIAL, EAGAIN, "connect");
  }
}

// ---------------------------------------------------------------------------------------------
// Its beginning

// For people, and for nothing else: what can't be told stays empty.
static void write_peer(const struct sockaddr_storage *address, char out[FRONT_PEER_MAX]) {
  char text[INET6_ADDRSTRLEN];
  if (address->ss_family == AF_INET) {
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
    snprintf(out, FRONT_PEER_MAX, "%s:%u", text, ntohs(in->sin_port));
  } else if (address->ss_family == AF_INET6) {
    const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)address;
    inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof(text));
    snprintf(out, FRONT_PEER_MAX, "[%s]:%u", text, ntohs(in->sin6_port));
  } else {
    snprintf(out, FRONT_PEER_MAX, "unix");
  }
}

static void note_addresses(struct connection *connection, int fd) {
  const struct front_config *config = config_of(connection);
  if (config->keep_records || config->proxy_protocol || config->handler != NULL) {
    proxy_look_at(fd, &connection->opening->addresses);
    write_peer(&connection->opening->addresses.source, connection->peer);
  }
}

static struct connection *connection_new(struct acceptor *acceptor) {
  struct connection *connection = calloc(1, sizeof(*connection));
  struct opening *opening = calloc(1, sizeof(*opening));
  if (connection == NULL || opening == NULL) {
    free(connection);
    free(opening);
    return NULL;
  }
  *opening = (struct opening){.connection = connection, .fd = -1};
  connection->acceptor = acceptor;
  connection->opening = opening;
  list_push_back(&acceptor->connections, &connection->link);
  acceptor_count(acceptor, 1);
  return connection;
}

static bool is_behind(struct connection *connection) {
  return closer_behind(uid_of(connection));
}

void connection_start(struct acceptor *acceptor, int fd) {
  struct connection *connection = connection_new(acceptor);
  if (connection == NULL) {
    atomic_fetch_add(&acceptor->front->refused, 1);
    closer_close(client_peer(acceptor->front->config.client)->uid, fd);
    return;
  }
  note_addresses(connection, fd);
  connection->opening->fd = fd;
  status_t charged =
      charge_take(config_of(connection)->client, QUOTA_SESSIONS, &connection->charge);
  if (!status_ok(charged) || is_behind(connection)) {
    counter_add(COUNTER_limits_hit, 1);
    fail_os(connection, FRONT_REFUSED, EMFILE, "a limit is reached: accept");
  } else if (config_of(connection)->role == ENGINE_CLIENT) {
    start_dial(connection);
  } else {
    connection->opening->fd = -1;
    start_handshake(connection, fd);
  }
}

static void close_now(struct connection *connection) {
  struct opening *opening = connection->opening;
  if (opening != NULL && opening->dial != NULL) {
    dial_cancel(opening->dial);
    opening->dial = NULL;
    fail_os(connection, FRONT_DIAL, ECANCELED, "connect");
  } else {
    session_close(connection->session, NULL);  // what waits for it is told, and ends the connection
  }
}

void connections_close(struct acceptor *acceptor) {
  LIST_FOR(link, &acceptor->connections) {
    close_now(LIST_ENTRY(link, struct connection, link));
  }
}
