// The memory of one HTTP/2 session: what nghttp2 allocates, up to a ceiling. Past it nghttp2 hears
// that there is none, and gives the session up. What it frees is wiped: tokens come in headers.
#ifndef TLSAGENT_SERVER_RPC_GRPC_MEMORY_H_
#define TLSAGENT_SERVER_RPC_GRPC_MEMORY_H_

#include <nghttp2/nghttp2.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct grpc_memory {
  nghttp2_mem functions;  // for nghttp2_session_server_new3
  size_t used;
  size_t max;
};

// grpc_memory_init makes functions whose user data is the memory itself, which must not move.
void grpc_memory_init(struct grpc_memory *memory, size_t max);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_GRPC_MEMORY_H_
