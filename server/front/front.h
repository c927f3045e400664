// A front: a listening socket whose connections are relayed without a client on their way. Every
// worker accepts on it; a connection stays where it was accepted, from its TLS handshake to its
// end.
#ifndef TLSAGENT_SERVER_FRONT_FRONT_H_
#define TLSAGENT_SERVER_FRONT_FRONT_H_

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/base/arena.h"
#include "server/base/clock.h"
#include "server/base/list.h"
#include "server/base/status.h"
#include "server/ring/dial.h"
#include "server/ring/worker.h"
#include "server/session/desk.h"
#include "server/session/relay.h"
#include "server/tenant/tenant.h"
#include "server/tls/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"  // in C a struct and a function may share a name
#endif

struct front;

// The fronts of a daemon that are not closed: for who wants them all to come to an end. Any thread.
struct fronts {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  struct list all;
  size_t num;
};
void fronts_init(struct fronts *fronts);
// fronts_drain stops accepting, everywhere. Each front closes with its last connection.
void fronts_drain(struct fronts *fronts);
// fronts_await_end returns when all are closed or the time has come, with how many are left. Not on
// a worker's thread.
size_t fronts_await_end(struct fronts *fronts, clock_time until);

enum {
  FRONT_HOST_MAX = 255,
  FRONT_UNIX_PATH_MAX = 107,
  FRONT_RECORDS_MAX = 1024,  // records that wait to be fetched; what comes beyond is counted
  FRONT_PEER_MAX = 64
};

// Where connections go on to: a Unix socket's path, or a host and a port.
struct front_target {
  char unix_path[FRONT_UNIX_PATH_MAX + 1];  // "" for TCP
  char host[FRONT_HOST_MAX + 1];
  uint16_t port;
};

struct session;

// Who sees to connections in place of a target: for servers only. Called on the connection's
// worker.
struct front_handler {
  // Gives the plaintext's other end, a stream socket that is taken over, for a session that has
  // shaken hands. charge is what it counts as, until then for front_config's client; it may be
  // moved. On failure error says why.
  status_t (*open)(void *owner, struct session *session, struct charge *charge, int *out,
                   struct tls_error *error);
  // A connection ended before it was relayed.
  void (*failed)(void *owner, const char *peer, const struct tls_error *error);
  void *owner;
};

struct front_config {
  struct fronts *fronts;        // outlives it
  struct client *client;        // whose sessions they count as; a reference is taken
  struct tls_context *context;  // a reference is taken
  enum engine_role role;        // SERVER: TLS with who connects; CLIENT: TLS with the target
  int fd;                       // a listening stream socket, taken over
  struct front_target target;
  const struct front_handler *handler;   // NULL: the target; outlives it
  char server_name[FRONT_HOST_MAX + 1];  // CLIENT
  bool proxy_protocol;                   // SERVER
  bool keep_records;
  uint64_t handshake_nanos;
  uint64_t idle_nanos;       // 0: never
  uint64_t total_nanos;      // 0: never
  unsigned max_connections;  // each worker takes its share; 0: no such limit
  size_t max_output;         // of each session
  struct worker_pool *workers;
  struct resolver *resolver;
  struct desk_place place;  // where its sessions bring decisions
};

// front_new begins to accept, and returns one reference. The fd is taken over in any case.
// RESOURCE_EXHAUSTED.
status_t front_new(const struct front_config *config, struct front **out);
// front_ref and front_unref count references; any thread.
void front_ref(struct front *front);
void front_unref(struct front *front);
// front_close stops accepting and closes the connections, soon; any thread, and any number of
// times.
void front_close(struct front *front);

struct front_stats {
  uint64_t accepted;
  uint64_t active;
  uint64_t established;
  uint64_t handshakes_failed;
  uint64_t dials_failed;
  uint64_t refused;
  uint64_t bytes_read;
  uint64_t bytes_written;
};
void front_describe(struct front *front, struct front_stats *out);

// The numbers are those of tlsagent.v1.RelayStage.
enum front_stage { FRONT_REFUSED = 1, FRONT_HANDSHAKE = 2, FRONT_DIAL = 3, FRONT_RELAYED = 4 };

// How one connection went.
struct front_record {
  struct list link;
  char peer[FRONT_PEER_MAX];
  enum front_stage stage;
  bool has_negotiated;
  struct engine_negotiated negotiated;
  struct relay_end end;
  struct tls_error error;  // what end.error points at
  struct arena arena;      // what negotiated points into
};

// front_take gives the oldest record away, for front_record_free, or returns NULL. *out_lost is how
// many were lost since the last call.
struct front_record *front_take(struct front *front, uint64_t *out_lost);
void front_record_free(struct front_record *record);

// Who waits for a record. ready is called on the worker, once, when there may be one.
struct front_waiter {
  struct list link;
  struct worker *worker;
  struct message message;
  void (*ready)(struct front_waiter *waiter);
};
// front_await registers a waiter of the calling worker, which must live until it is called or
// forgotten. Also the front's end calls it.
void front_await(struct front *front, struct front_waiter *waiter,
                 void (*ready)(struct front_waiter *waiter));
// front_forget takes a waiter back. False: its call is on its way.
bool front_forget(struct front *front, struct front_waiter *waiter);
// front_is_closed tells whether front_close was called, or its last connection ended after
// fronts_drain, of which front_was_drained tells.
bool front_is_closed(struct front *front);
bool front_was_drained(struct front *front);

#ifdef __cplusplus
#pragma GCC diagnostic pop
}
#endif

#endif  // TLSAGENT_SERVER_FRONT_FRONT_H_
