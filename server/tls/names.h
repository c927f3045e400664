// Distinguished names and subjectAltName. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_NAMES_H_
#define TLSAGENT_SERVER_TLS_NAMES_H_

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "server/tls/certificate.h"
#include "server/tls/text.h"

#ifdef __cplusplus
extern "C" {
#endif

// name_decode gives the steps of a name, each a set of attributes.
struct tls_name name_decode(struct decoding *to, const X509_NAME *name);

// name_text is a name on one line (RFC 2253).
const char *name_text(struct decoding *to, const X509_NAME *name);

// alternative_name_decode gives one name of subjectAltName.
struct tls_alternative_name alternative_name_decode(struct decoding *to, GENERAL_NAME *name);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_NAMES_H_
