// Certificates decoded, and chains verified. No state; every function may be called from any
// thread.
#ifndef TLSAGENT_SERVER_TLS_CERTIFICATE_H_
#define TLSAGENT_SERVER_TLS_CERTIFICATE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/arena.h"
#include "server/base/slice.h"
#include "server/base/status.h"
#include "server/tls/error.h"

#ifdef __cplusplus
extern "C" {
#endif

// One attribute of a name. text is valid UTF-8 without NUL, or NULL and raw has the octets.
struct tls_name_attribute {
  const char *type;        // long name or dotted OID
  const char *short_type;  // short name or dotted OID
  const char *text;
  struct slice raw;
};

struct tls_relative_name {
  struct tls_name_attribute *attributes;
  size_t num_attributes;
};

struct tls_name {
  struct tls_relative_name *steps;
  size_t num_steps;
};

// The numbers are those of tlsagent.v1.AlternativeNameKind.
enum tls_alternative_name_kind {
  TLS_ALT_DNS = 1,
  TLS_ALT_EMAIL = 2,
  TLS_ALT_URI = 3,
  TLS_ALT_IP = 4,
  TLS_ALT_DIRECTORY = 5,
  TLS_ALT_REGISTERED_ID = 6,
  TLS_ALT_OTHER = 7
};

struct tls_alternative_name {
  enum tls_alternative_name_kind kind;
  struct slice value;         // octets as in the certificate (DNS, email, URI, IP)
  const char *text;           // for people; control and non-UTF-8 bytes as \xNN
  struct tls_name directory;  // TLS_ALT_DIRECTORY
  const char *label;          // TLS_ALT_OTHER: OpenSSL's label, "othername"
};

// Field for field the Certificate of tlsagent.v1. Strings are never NULL, and valid UTF-8; control
// characters and what else is no text are written \xNN. An extension that can't be read is as if it
// weren't there, of one that is there twice both count, a time that is none is "Bad time value" and
// 0. What Python's getpeercert() shows is here in the same form.
struct tls_certificate {
  struct tls_name subject;
  struct tls_name issuer;
  int version;
  const char *serial_number;
  const char *not_before;
  const char *not_after;
  int64_t not_before_unix;
  int64_t not_after_unix;
  struct tls_alternative_name *alt_names;
  size_t num_alt_names;
  const char **ocsp;
  size_t num_ocsp;
  const char **ca_issuers;
  size_t num_ca_issuers;
  const char **crl_points;
  size_t num_crl_points;
  uint8_t fingerprint_sha256[32];
  uint8_t spki_sha256[32];
  const char *key_type;
  int key_bits;
  const char *key_curve;
  const char *signature_algorithm;
  const char **key_usage;
  size_t num_key_usage;
  const char **extended_key_usage;
  size_t num_extended_key_usage;
  bool has_basic_constraints;
  bool ca;
  bool has_path_length;
  uint32_t path_length;
  struct slice der;
  const char *pem;
  uint32_t subject_hash;
  const char *subject_text;  // RFC 2253
  const char *issuer_text;
  bool self_issued;
};

// tls_certificate_decode decodes one certificate from DER into the arena. INVALID_ARGUMENT with
// error when it is none; RESOURCE_EXHAUSTED when the arena's ceiling is reached.
status_t tls_certificate_decode(struct slice der, struct arena *arena, struct tls_certificate *out,
                                struct tls_error *error);

// tls_certificates_decode decodes up to max certificates from PEM (other blocks skipped) or
// concatenated DER. None at all, or one that can't be read, is INVALID_ARGUMENT.
status_t tls_certificates_decode(struct slice data, size_t max, struct arena *arena,
                                 struct tls_certificate **out, size_t *out_num,
                                 struct tls_error *error);

// The numbers are those of tlsagent.v1.VerifyPurpose.
enum tls_purpose { TLS_PURPOSE_ANY = 0, TLS_PURPOSE_SERVER = 1, TLS_PURPOSE_CLIENT = 2 };

// What to verify, and by whom. Materials are PEM or DER each.
struct tls_verify_request {
  struct slice chain;  // the certificate first, then the intermediates in any order
  const struct slice *trust;
  size_t num_trust;
  bool system_trust;
  const struct slice *crls;
  size_t num_crls;
  const char *host;  // name or address; NULL or empty: none is checked
  enum tls_purpose purpose;
  unsigned long flags;  // X509_V_FLAG_*, to set
  bool has_time;
  int64_t at_unix;
};

struct tls_verify_failure {
  long code;  // X509_V_ERR_*
  const char *message;
};

struct tls_verify_depth {
  int depth;
  bool has_certificate;
  struct tls_certificate certificate;
  struct tls_verify_failure *failures;
  size_t num_failures;
};

struct tls_verify_result {
  bool ok;
  struct tls_verify_depth *depths;  // from 0 up
  size_t num_depths;
};

// tls_chain_verify verifies a chain and reports every failure at every depth. For a purpose other
// than ANY keys and signatures must be as strong as a TLS context wants them by default.
// INVALID_ARGUMENT with error when an input can't be read: "chain", "trust[0]", "crls[0]",
// "system_trust", "host". RESOURCE_EXHAUSTED: no memory, or the arena is full.
status_t tls_chain_verify(const struct tls_verify_request *request, struct arena *arena,
                          struct tls_verify_result *out, struct tls_error *error);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_CERTIFICATE_H_
