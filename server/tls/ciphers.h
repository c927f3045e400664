// Ciphers in words. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_CIPHERS_H_
#define TLSAGENT_SERVER_TLS_CIPHERS_H_

#include <openssl/ssl.h>

#include "server/base/arena.h"
#include "server/tls/context.h"

#ifdef __cplusplus
extern "C" {
#endif

// cipher_describe tells all about a cipher; of NULL, that there is none. RESOURCE_EXHAUSTED past
// the arena's ceiling.
status_t cipher_describe(const SSL_CIPHER *cipher, struct arena *arena,
                         struct tls_cipher_info *out);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_CIPHERS_H_
