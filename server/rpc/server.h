// The RPC server: listens, knows its peers, turns frames into calls and answers into frames.
#ifndef TLSAGENT_SERVER_RPC_SERVER_H_
#define TLSAGENT_SERVER_RPC_SERVER_H_

#include <stddef.h>

#include "server/base/limits.h"
#include "server/base/status.h"
#include "server/ring/worker.h"
#include "server/rpc/call.h"
#include "server/tenant/tenant.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rpc_server;

// A listening socket, and what it points at: the caller's, until after rpc_server_free.
struct rpc_listen {
  int fd;
  // Who everybody is that connects to it. NULL: a Unix socket, of which the kernel tells.
  const struct peer *peer;
};

struct rpc_config {
  const struct method *methods;
  size_t num_methods;
  const struct limits *limits;
  struct tenant *tenant;
  struct worker_pool *workers;
  const struct rpc_listen *listen;
  size_t num_listen;
};

// The three functions are for one thread, which is not a worker's: they wait for the workers.
//
// rpc_server_new starts accepting on every worker. INVALID_ARGUMENT when two methods have one name.
status_t rpc_server_new(const struct rpc_config *config, struct rpc_server **out);

// rpc_server_adopt makes a connection of a socket that nobody connected to a listening one: of
// peer, and served by the calling worker. Descriptors neither come nor go there. The fd is taken
// over.
void rpc_server_adopt(struct rpc_server *server, int fd, const struct peer *peer);

// rpc_server_drain stops accepting connections and starting calls (UNAVAILABLE), and returns when
// no call is in flight or the time has come. Returns how many calls are left. Not on a worker's
// thread.
size_t rpc_server_drain(struct rpc_server *server, clock_time until);

// rpc_server_free closes every connection, which cancels what is left, and waits until all is gone.
void rpc_server_free(struct rpc_server *server);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_SERVER_H_
