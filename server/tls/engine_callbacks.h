// What OpenSSL calls back for every SSL of an engine. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_ENGINE_CALLBACKS_H_
#define TLSAGENT_SERVER_TLS_ENGINE_CALLBACKS_H_

#include <openssl/ssl.h>
#include <stdbool.h>

#include "server/tls/context.h"

#ifdef __cplusplus
extern "C" {
#endif

// engine_set_callbacks makes the engines of ctx see alerts and failed verifications. An SSL that
// belongs to no engine is left alone.
void engine_set_callbacks(SSL_CTX *ctx);

// decisions_set_callback makes the servers of ctx ask about the server name, if settings say so.
void decisions_set_callback(SSL_CTX *ctx, const struct tls_settings *settings);

// events_set_callback makes the engines of ctx collect the key log, if settings say so, and hear of
// it if their traffic keys may be asked for.
void events_set_callback(SSL_CTX *ctx, const struct tls_settings *settings);

// tickets_set_callback makes the servers of ctx seal tickets with the keys of the edition that an
// engine was made on. An SSL that belongs to no engine gives none. False without memory.
bool tickets_set_callback(SSL_CTX *ctx);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_ENGINE_CALLBACKS_H_
