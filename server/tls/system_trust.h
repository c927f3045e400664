// The system's own trust: the CA file and the directory of hashed CA files that OpenSSL is built to
// look in, or that SSL_CERT_FILE and SSL_CERT_DIR name. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_SYSTEM_TRUST_H_
#define TLSAGENT_SERVER_TLS_SYSTEM_TRUST_H_

#include <openssl/x509.h>

#include "server/base/status.h"
#include "server/tls/digest.h"

#ifdef __cplusplus
extern "C" {
#endif

// system_trust_digest tells one state of the system's trust from another, by the places and when
// they last changed.
status_t system_trust_digest(uint8_t out[DIGEST_SIZE]);

// system_trust_read adds all of it to the stacks, each certificate and list once. What can't be
// read is skipped. It is read at once and not as handshakes ask for it: a handshake must not wait
// for a disk.
status_t system_trust_read(STACK_OF(X509) * certificates, STACK_OF(X509_CRL) * crls);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_SYSTEM_TRUST_H_
