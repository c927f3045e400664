// The memory of one HTTP/2 session: what nghttp2 allocates, up to a ceiling. Past it nghttp2 hears
// that there is none, and gives the session up. What it frees is wiped, since tokens come in
// headers, and kept for the next request of whomever the worker serves.
#ifndef TLSAGENT_SERVER_RPC_GRPC_MEMORY_H_
#define TLSAGENT_SERVER_RPC_GRPC_MEMORY_H_

#include <nghttp2/nghttp2.h>
#include <stddef.h>

#include "server/rpc/spares.h"

#ifdef __cplusplus
extern "C" {
#endif

struct grpc_memory {
  nghttp2_mem functions;  // for nghttp2_session_server_new3
  struct spares *spares;
  size_t used;
  size_t max;
};

// grpc_memory_init makes functions whose user data is the memory itself, which must not move.
// Blocks come from the spares, which are of the thread that uses the session, and outlive it.
void grpc_memory_init(struct grpc_memory *memory, struct spares *spares, size_t max);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_GRPC_MEMORY_H_
