// What OpenSSL calls back for every SSL of an engine. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_ENGINE_CALLBACKS_H_
#define TLSAGENT_SERVER_TLS_ENGINE_CALLBACKS_H_

#include <openssl/ssl.h>

#ifdef __cplusplus
extern "C" {
#endif

// engine_set_callbacks makes the engines of ctx see alerts and failed verifications. An SSL that
// belongs to no engine is left alone.
void engine_set_callbacks(SSL_CTX *ctx);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_ENGINE_CALLBACKS_H_
