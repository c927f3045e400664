// Certificate chains with their private keys, out of the bytes they come in. Inside server/tls
// only.
#ifndef TLSAGENT_SERVER_TLS_KEYS_H_
#define TLSAGENT_SERVER_TLS_KEYS_H_

#include <openssl/x509.h>
#include <stddef.h>

#include "server/base/status.h"
#include "server/tls/context.h"
#include "server/tls/error.h"

#ifdef __cplusplus
extern "C" {
#endif

// A pair, parsed and matched. Counted by OpenSSL, member by member.
struct own_pair {
  X509 *certificate;
  STACK_OF(X509) * intermediates;  // never NULL in a pair that was parsed
  EVP_PKEY *key;
};

enum {
  TLS_PASSWORD_MAX = 1024,
  TLS_CHAIN_MAX = 32  // certificates in one chain, the own one included
};

// own_pair_parse makes a pair of what the client gave; index names it in errors ("pairs[1].key").
// INVALID_ARGUMENT: no certificate or no key in the bytes, a password missing or wrong, a key of
// another certificate. RESOURCE_EXHAUSTED: no memory, or no room in the secure heap.
status_t own_pair_parse(const struct tls_pair *from, size_t index, struct own_pair *out,
                        struct tls_error *error);

// own_pair_copy takes a reference of each member.
status_t own_pair_copy(const struct own_pair *from, struct own_pair *out, struct tls_error *error);

// own_pair_cleanup gives the references back. An empty pair is fine.
void own_pair_cleanup(struct own_pair *pair);

// own_pair_type is the type of the pair's key: "RSA". OpenSSL keeps one pair of each.
const char *own_pair_type(const struct own_pair *pair);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_KEYS_H_
