// The host a peer claims to be: is it a name, an address, or neither? Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_HOST_H_
#define TLSAGENT_SERVER_TLS_HOST_H_

#include <openssl/x509_vfy.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HOST_MAX = 255 };  // bytes, as in DNS and in SNI

// host_fault says in words why this can't be a host; NULL when it can.
const char *host_fault(const char *host);

// host_copy copies a host without fault, less the dot that ends an absolute name: "example.org." is
// in no certificate and not allowed in SNI (RFC 6066, section 3).
void host_copy(const char *host, char out[HOST_MAX + 1]);

// host_is_address tells whether it is an IPv4 or IPv6 address rather than a name.
bool host_is_address(const char *host);

// host_expect makes a verification check that the certificate is for host. False without memory, or
// when OpenSSL doesn't take it.
bool host_expect(X509_VERIFY_PARAM *param, const char *host);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_HOST_H_
