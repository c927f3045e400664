// The proof that an SSL_CTX can shake hands, in memory, with a peer of ours that takes anything.
// Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_PROOF_H_
#define TLSAGENT_SERVER_TLS_PROOF_H_

#include <openssl/ssl.h>

#include "server/base/status.h"
#include "server/tls/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum proof {
  PROOF_GOOD,        // it shook hands
  PROOF_IMPOSSIBLE,  // TLS allows none with these settings and certificates
  PROOF_NO_MEMORY
};

// proof_start makes the peers, once, and lets them shake hands with each other: a process that has
// done so gets no damaged SSL_CTX when memory runs out later.
status_t proof_start(struct tls_error *error);

// proof_as_server and proof_as_client let ctx be one end. Whatever it verifies does not matter: the
// certificates are nobody's. Unless it is good, why is filled in.
enum proof proof_as_server(SSL_CTX *ctx, struct tls_error *why);
enum proof proof_as_client(SSL_CTX *ctx, struct tls_error *why);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_PROOF_H_
