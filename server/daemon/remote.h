// Clients from other machines: TCP with TLS, by the daemon's own engine. Each has to show a
// certificate of the clients' CA, and is the owner that the certificate names.
//
// A connection's TLS is a relay between its socket and a local one, whose other end the RPC server
// has: to that it is a connection like all others, but that it carries no descriptors.
#ifndef TLSAGENT_SERVER_DAEMON_REMOTE_H_
#define TLSAGENT_SERVER_DAEMON_REMOTE_H_

#include <stddef.h>

#include "server/base/limits.h"
#include "server/base/status.h"
#include "server/daemon/listen.h"
#include "server/daemon/options.h"
#include "server/ring/worker.h"
#include "server/rpc/server.h"
#include "server/tenant/tenant.h"

#ifdef __cplusplus
extern "C" {
#endif

struct remote;

struct remote_config {
  const struct listen_tls *files;
  const struct limits *limits;
  struct listen_sockets *sockets;  // whose TCP sockets are taken over
  struct tenant *tenant;
  struct worker_pool *workers;
  struct rpc_server *server;  // may be freed once remote_drain was called
};

// remote_start reads the files, and begins to accept. On failure the reason has been logged.
status_t remote_start(const struct remote_config *config, struct remote **out);

// remote_drain stops accepting, and gives the RPC server no more connections. remote_stop, after
// the RPC server has closed its connections, waits a moment until their last bytes are sent, and
// ends what is left. Not on a worker's thread; what they post to workers has run when they were
// visited again. NULL is fine for both.
void remote_drain(struct remote *remote);
void remote_stop(struct remote *remote);
// remote_free is for after the workers' end.
void remote_free(struct remote *remote);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_DAEMON_REMOTE_H_
