// Certificates as OpenSSL has them, to what we hand out. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_X509_H_
#define TLSAGENT_SERVER_TLS_X509_H_

#include <openssl/x509.h>

#include "server/tls/certificate.h"

#ifdef __cplusplus
extern "C" {
#endif

// x509_describe is tls_certificate_decode of a certificate that is decoded already.
// RESOURCE_EXHAUSTED past the arena's ceiling or without memory.
status_t x509_describe(X509 *certificate, struct arena *arena, struct tls_certificate *out);

// x509_der copies the certificate in DER.
status_t x509_der(const X509 *certificate, struct arena *arena, struct slice *out);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_X509_H_
