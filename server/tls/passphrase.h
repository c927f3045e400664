// How much work it is to open an encrypted key. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_PASSPHRASE_H_
#define TLSAGENT_SERVER_TLS_PASSPHRASE_H_

#include <openssl/x509.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  PASSPHRASE_ITERATIONS_MAX = 2000000,  // of PBKDF2 and of the older functions: about a second
  PASSPHRASE_SCRYPT_MAX = 1 << 20       // N * r * p of scrypt: about as long
};

// passphrase_is_bearable tells whether deriving the key from a password, as the sealed key asks
// for, is work we do: whoever made the key has chosen the number, and it could keep a thread busy
// for hours. An algorithm that isn't known here is left to OpenSSL to refuse.
bool passphrase_is_bearable(const X509_SIG *sealed);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_PASSPHRASE_H_
