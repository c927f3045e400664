// Whom contexts trust. Certificates are parsed once and shared by what they are: two contexts that
// trust the same bytes have the same X509_STORE. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_TRUST_H_
#define TLSAGENT_SERVER_TLS_TRUST_H_

#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "server/base/status.h"
#include "server/tls/context.h"
#include "server/tls/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  TLS_TRUST_PARTS_MAX = 64,  // files of certificates or lists in one context
  // Certificates and lists in one context. Adding one to an X509_STORE sorts all that are in it:
  // ten thousand would take OpenSSL 3.0 a minute, during which the thread does nothing else.
  TLS_TRUST_OBJECTS_MAX = 1024
};

// A set of trusted certificates and lists, counted; any thread may use it. It never changes, but
// that one with directories grows by what handshakes find in them, and so is shared by the editions
// of one context only.
struct trust_set;

// What the parts of a tls_trust are called in the request they came with: "trust.certificates".
struct trust_items {
  const char *certificates;
  const char *crls;
  const char *system;
  const char *directories;
};

// trust_set_extend makes, or finds, the set of all that is in base, which may be NULL, and in more.
// INVALID_ARGUMENT with an item by the names in items: "trust.certificates[0]".
status_t trust_set_extend(const struct trust_set *base, const struct tls_trust *more,
                          const struct trust_items *items, struct trust_set **out,
                          struct tls_error *error);

struct trust_set *trust_set_ref(struct trust_set *set);
void trust_set_unref(struct trust_set *set);  // NULL is fine

// trust_set_store is the set as OpenSSL takes it, owned by the set.
X509_STORE *trust_set_store(const struct trust_set *set);

// trust_set_counts tells how much is in it.
struct tls_trust_counts trust_set_counts(const struct trust_set *set);

// trust_set_certificates gives the CA certificates, in the arena; RESOURCE_EXHAUSTED past its
// ceiling.
status_t trust_set_certificates(const struct trust_set *set, struct arena *arena,
                                struct slice **out_der, size_t *out_num);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_TRUST_H_
