#include "server/tls/certificate.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>

#include "server/tls/digest.h"
#include "server/tls/extensions.h"
#include "server/tls/names.h"
#include "server/tls/openssl_error.h"
#include "server/tls/pem.h"
#include "server/tls/text.h"
#include "server/tls/x509.h"

// ---------------------------------------------------------------------------------------------
// What is signed: serial number, validity.

static const char *time_text(struct decoding *to, const ASN1_TIME *when) {
  ASN1_TIME_print(to->scratch, when);  // of a bad one it writes "Bad time value"
  return text_taken(to);
}

static int64_t time_unix(const ASN1_TIME *when) {
  struct tm parts;
  return ASN1_TIME_to_tm(when, &parts) == 1 ? (int64_t)timegm(&parts) : 0;
}

static int version_of(const X509 *certificate) {
  long version = X509_get_version(certificate);
  return version < 0 || version >= INT_MAX ? 0 : (int)version + 1;
}

static void describe_validity(struct decoding *to, const X509 *certificate,
                              struct tls_certificate *out) {
  out->version = version_of(certificate);
  i2a_ASN1_INTEGER(to->scratch, X509_get0_serialNumber(certificate));
  out->serial_number = text_taken(to);
  out->not_before = time_text(to, X509_get0_notBefore(certificate));
  out->not_after = time_text(to, X509_get0_notAfter(certificate));
  out->not_before_unix = time_unix(X509_get0_notBefore(certificate));
  out->not_after_unix = time_unix(X509_get0_notAfter(certificate));
}

static void describe_names(struct decoding *to, X509 *certificate, struct tls_certificate *out) {
  const X509_NAME *subject = X509_get_subject_name(certificate);
  const X509_NAME *issuer = X509_get_issuer_name(certificate);
  out->subject = name_decode(to, subject);
  out->issuer = name_decode(to, issuer);
  out->subject_text = name_text(to, subject);
  out->issuer_text = name_text(to, issuer);
  out->subject_hash = (uint32_t)X509_subject_name_hash(certificate);
  out->self_issued = X509_NAME_cmp(subject, issuer) == 0;
}

// ---------------------------------------------------------------------------------------------
// The key and the signature.

static const char *algorithm_text(struct decoding *to, const X509 *certificate) {
  const X509_ALGOR *algorithm = NULL;
  const ASN1_OBJECT *object = NULL;
  X509_get0_signature(NULL, &algorithm, certificate);
  X509_ALGOR_get0(&object, NULL, NULL, algorithm);
  return text_of_object(to, object);
}

static const char *curve_text(struct decoding *to, const EVP_PKEY *key) {
  char name[80];
  size_t len = 0;
  bool known = EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, name, sizeof(name), &len);
  return known ? text_escaped(to, slice_of(name, len)) : "";
}

static void describe_known_key(struct decoding *to, const EVP_PKEY *key,
                               struct tls_certificate *out) {
  const char *type = EVP_PKEY_get0_type_name(key);
  out->key_type = text_escaped(to, slice_of_string(type == NULL ? "" : type));
  out->key_bits = EVP_PKEY_get_bits(key);
  out->key_curve = curve_text(to, key);
}

// A key of a kind that OpenSSL doesn't know has a name still.
static void describe_unknown_key(struct decoding *to, const X509_PUBKEY *spki,
                                 struct tls_certificate *out) {
  ASN1_OBJECT *algorithm = NULL;
  X509_PUBKEY_get0_param(&algorithm, NULL, NULL, NULL, spki);
  out->key_type = text_of_object(to, algorithm);
  out->key_curve = "";
}

static void describe_key(struct decoding *to, const X509 *certificate,
                         struct tls_certificate *out) {
  const X509_PUBKEY *spki = X509_get_X509_PUBKEY(certificate);
  const EVP_PKEY *key = X509_get0_pubkey(certificate);
  if (key != NULL) {
    describe_known_key(to, key, out);
  } else {
    describe_unknown_key(to, spki, out);
  }
  out->signature_algorithm = algorithm_text(to, certificate);
}

// ---------------------------------------------------------------------------------------------
// The encodings and their hashes.

status_t x509_der(const X509 *certificate, struct arena *arena, struct slice *out) {
  int len = i2d_X509((X509 *)certificate, NULL);
  unsigned char *der = len <= 0 ? NULL : arena_alloc(arena, (size_t)len);
  ENSURE(der != NULL, RESOURCE_EXHAUSTED);
  unsigned char *to = der;
  i2d_X509((X509 *)certificate, &to);
  *out = slice_of(der, (size_t)len);
  return OK_STATUS;
}

static status_t hash_key(const X509 *certificate, uint8_t out[DIGEST_SIZE]) {
  unsigned char *der = NULL;
  int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  ENSURE(len > 0, RESOURCE_EXHAUSTED);
  const struct slice spki = slice_of(der, (size_t)len);
  status_t status = digest_of(&spki, 1, out);
  OPENSSL_free(der);
  return status;
}

static status_t describe_encodings(struct decoding *to, X509 *certificate,
                                   struct tls_certificate *out) {
  TRY(x509_der(certificate, to->arena, &out->der));
  TRY(digest_of(&out->der, 1, out->fingerprint_sha256));
  TRY(hash_key(certificate, out->spki_sha256));
  ENSURE(PEM_write_bio_X509(to->scratch, certificate), RESOURCE_EXHAUSTED);
  char *pem = NULL;
  long len = BIO_get_mem_data(to->scratch, &pem);
  out->pem = text_exact(to, slice_of(pem, len < 0 ? 0 : (size_t)len));
  (void)BIO_reset(to->scratch);
  ENSURE(out->pem != NULL, RESOURCE_EXHAUSTED);
  return OK_STATUS;
}

// ---------------------------------------------------------------------------------------------

static status_t describe(struct decoding *to, X509 *certificate, struct tls_certificate *out) {
  TRY(describe_encodings(to, certificate, out));
  describe_validity(to, certificate, out);
  describe_names(to, certificate, out);
  describe_key(to, certificate, out);
  extensions_decode(to, certificate, out);
  decoding_check(to);
  ENSURE(!to->arena->exhausted && !to->lacked_memory, RESOURCE_EXHAUSTED);
  return OK_STATUS;
}

status_t x509_describe(X509 *certificate, struct arena *arena, struct tls_certificate *out) {
  ERR_clear_error();
  *out = (struct tls_certificate){0};
  struct decoding to = {.arena = arena, .scratch = BIO_new(BIO_s_mem())};
  status_t status =
      to.scratch == NULL ? status_of(STATUS_RESOURCE_EXHAUSTED) : describe(&to, certificate, out);
  BIO_free(to.scratch);
  ERR_clear_error();
  return status;
}

status_t tls_certificate_decode(struct slice der, struct arena *arena, struct tls_certificate *out,
                                struct tls_error *error) {
  ERR_clear_error();
  const unsigned char *from = der.data;
  X509 *certificate =
      der.len == 0 || der.len > LONG_MAX ? NULL : d2i_X509(NULL, &from, (long)der.len);
  if (certificate == NULL) {
    return tls_refuse(error, "certificates", "not a certificate");
  }
  bool whole = from == der.data + der.len;
  status_t status = whole ? x509_describe(certificate, arena, out)
                          : tls_refuse(error, "certificates", "bytes follow the certificate");
  X509_free(certificate);
  if (status.code == STATUS_RESOURCE_EXHAUSTED) {
    (void)tls_out_of_memory(error);
  }
  return status;
}

// ---------------------------------------------------------------------------------------------
// Several at once.

struct collecting {
  struct arena *arena;
  size_t max;
  struct tls_certificate *list;
  size_t num;
  size_t room;
  status_t status;
};

static status_t make_room(struct collecting *to) {
  if (to->num < to->room) {
    return OK_STATUS;
  }
  size_t room = to->room == 0 ? 4 : to->room * 2;
  struct tls_certificate *list = arena_array(to->arena, room, sizeof(*list));
  ENSURE(list != NULL, RESOURCE_EXHAUSTED);
  if (to->num > 0) {
    memcpy(list, to->list, to->num * sizeof(*list));
  }
  to->list = list;
  to->room = room;
  return OK_STATUS;
}

static status_t collect(struct collecting *to, X509 *certificate) {
  TRY(make_room(to));
  TRY(x509_describe(certificate, to->arena, &to->list[to->num]));
  to->num++;
  return OK_STATUS;
}

static bool take(void *state, struct pem_object object) {
  struct collecting *to = state;
  to->status = collect(to, object.certificate);
  X509_free(object.certificate);
  return status_ok(to->status) && to->num < to->max;
}

status_t tls_certificates_decode(struct slice data, size_t max, struct arena *arena,
                                 struct tls_certificate **out, size_t *out_num,
                                 struct tls_error *error) {
  struct collecting to = {.arena = arena, .max = max, .status = OK_STATUS};
  enum pem_each_result result = pem_each(data, PEM_WANT_CERTIFICATES, take, &to);
  if (!status_ok(to.status)) {
    return tls_out_of_memory(error);
  }
  if (result == PEM_EACH_DAMAGED && to.num > 0) {
    return tls_refuse(error, "certificates", "certificate %zu can't be read", to.num + 1);
  }
  if (to.num == 0) {
    return tls_refuse(error, "certificates", "no certificate in the bytes");
  }
  ERR_clear_error();
  *out = to.list;
  *out_num = to.num;
  return OK_STATUS;
}
