// Which key exchange groups this OpenSSL has. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_GROUPS_H_
#define TLSAGENT_SERVER_TLS_GROUPS_H_

#include <openssl/ssl.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// groups_found lists, by the names that settings take, the groups that are there, found by trying
// each. Static storage; the first call does the work.
const char *const *groups_found(size_t *out_num);

// groups_all is the same list as settings take it: "X25519:P-256".
const char *groups_all(void);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_GROUPS_H_
