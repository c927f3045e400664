// The extensions of a certificate. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_EXTENSIONS_H_
#define TLSAGENT_SERVER_TLS_EXTENSIONS_H_

#include <openssl/x509.h>

#include "server/tls/certificate.h"
#include "server/tls/text.h"

#ifdef __cplusplus
extern "C" {
#endif

// extensions_decode fills in what the extensions say. One that can't be read is as if it weren't
// there; of one that is there twice both count.
void extensions_decode(struct decoding *to, const X509 *certificate, struct tls_certificate *out);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_EXTENSIONS_H_
