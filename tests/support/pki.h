// Certificates for tests, made at run time, so that none expires. Any thread may use what is made.
#ifndef TLSAGENT_TESTS_SUPPORT_PKI_H_
#define TLSAGENT_TESTS_SUPPORT_PKI_H_

#include <openssl/x509.h>
#include <stdbool.h>

#include "server/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

enum pki_key { PKI_EC, PKI_RSA, PKI_ED25519 };

// A certificate with its key. The texts end in NUL.
struct pki_identity {
  X509 *certificate;
  EVP_PKEY *key;
  struct slice der;      // of the certificate
  struct slice key_der;  // PKCS #8
  char *pem;             // of the certificate
  char *chain_pem;       // the certificate, then its issuers without the root
  char *key_pem;         // PKCS #8
};

// What a certificate is to be like. All zero: an EC key, valid from yesterday for a month.
struct pki_request {
  const char *name;  // common name
  enum pki_key key;
  const struct pki_identity *issuer;  // NULL: signed by itself
  const char *alt_names;              // "DNS:localhost,IP:127.0.0.1"
  const char *extended_key_usage;     // "serverAuth"
  bool ca;
  int from_days;  // from today; 0: -1
  int to_days;    // from today; 0: 30
};

// pki_issue makes a certificate; aborts when it can't. pki_free it.
struct pki_identity *pki_issue(const struct pki_request *request);
void pki_free(struct pki_identity *identity);

// pki_crl returns a list of one revoked certificate (or none for NULL) in PEM, signed by issuer.
// free(3) it.
char *pki_crl(const struct pki_identity *issuer, const struct pki_identity *revoked);

// pki_encrypted_key returns the key in PEM, encrypted with the password: as PKCS #8, or the way of
// old
// ("Proc-Type: 4,ENCRYPTED"). free(3) it.
char *pki_encrypted_key(const struct pki_identity *identity, const char *password,
                        bool traditional);

// What most tests need. "The host" is the DNS name host.test, with 127.0.0.1 and ::1.
struct pki {
  struct pki_identity *root;
  struct pki_identity *intermediate;  // by root
  struct pki_identity *server;        // the host, EC, by intermediate
  struct pki_identity *server_rsa;    // the host, RSA, by intermediate
  struct pki_identity *client;        // by intermediate
  struct pki_identity *expired;       // the host, a week ago, by intermediate
  struct pki_identity *wrong_host;    // other.test, by intermediate
  struct pki_identity *self_signed;   // the host
  struct pki_identity *other_root;    // issued nothing
};

// pki_get returns the one of this process, made at the first call.
const struct pki *pki_get(void);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_TESTS_SUPPORT_PKI_H_
