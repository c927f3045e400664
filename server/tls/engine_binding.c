// What binds something else to a connection: keying material and channel bindings.
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#include "server/base/object.h"
#include "server/tls/engine_private.h"
#include "server/tls/openssl_error.h"

status_t engine_export(struct engine *engine, const char *label, const struct slice *context,
                       uint8_t *out, size_t len, struct tls_error *error) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  ENSURE(engine_established(engine), FAILED_PRECONDITION);
  const uint8_t none = 0;
  const uint8_t *data = context == NULL || context->len == 0 ? &none : context->data;
  size_t data_len = context == NULL ? 0 : context->len;
  ERR_clear_error();
  int exported = SSL_export_keying_material(engine->ssl, out, len, label, strlen(label), data,
                                            data_len, context != NULL);
  return exported == 1 ? OK_STATUS : tls_refuse(error, "label", "OpenSSL derives nothing by it");
}

// ---------------------------------------------------------------------------------------------
// Channel bindings.

static status_t copy(const uint8_t *data, size_t len, struct arena *arena, struct slice *out) {
  ENSURE(len > 0, NOT_FOUND);
  const uint8_t *copy = arena_copy(arena, slice_of(data, len));
  ENSURE(copy != NULL, RESOURCE_EXHAUSTED);
  *out = slice_of(copy, len);
  return OK_STATUS;
}

// The first Finished message of the handshake (RFC 5929, section 3) is the client's, or, of a
// resumed one, the server's. That isn't so in TLS 1.3, where it is taken all the same, as by
// Python: it is one message that both ends know.
static status_t bind_unique(const struct engine *engine, struct arena *arena, struct slice *out) {
  uint8_t finished[EVP_MAX_MD_SIZE];
  bool resumed = SSL_session_reused(engine->ssl) == 1;
  bool own = resumed != (engine->role == ENGINE_CLIENT);
  size_t len = own ? SSL_get_finished(engine->ssl, finished, sizeof(finished))
                   : SSL_get_peer_finished(engine->ssl, finished, sizeof(finished));
  return copy(finished, len < sizeof(finished) ? len : sizeof(finished), arena, out);
}

// Before TLS 1.3 it identifies a connection only with the extended master secret (RFC 9266,
// section 4.2).
static status_t bind_exporter(struct engine *engine, struct arena *arena, struct slice *out) {
  static const char label[] = "EXPORTER-Channel-Binding";
  enum { LENGTH = 32 };
  uint8_t data[LENGTH];
  struct tls_error error;
  const struct slice empty = slice_of(NULL, 0);
  bool unique =
      SSL_version(engine->ssl) >= TLS1_3_VERSION || SSL_get_extms_support(engine->ssl) == 1;
  ENSURE(unique, NOT_FOUND);
  ENSURE(status_ok(engine_export(engine, label, &empty, data, LENGTH, &error)), NOT_FOUND);
  return copy(data, LENGTH, arena, out);
}

// A server that resumed a session showed no certificate: the one of then may have been another of
// its context's, another context's, or one that was renewed since.
static X509 *server_certificate(const struct engine *engine) {
  if (engine->role == ENGINE_CLIENT) {
    return SSL_get0_peer_certificate(engine->ssl);
  }
  return SSL_session_reused(engine->ssl) == 0 ? SSL_get_certificate(engine->ssl) : NULL;
}

// The digest of the certificate's own signature, and SHA-256 in the place of those that are broken
// (RFC 5929, section 4.1). Algorithms that have none, or one of their own, have no binding.
static const EVP_MD *digest_of_signature(X509 *certificate) {
  int digest = NID_undef;
  if (!X509_get_signature_info(certificate, &digest, NULL, NULL, NULL) || digest == NID_undef) {
    return NULL;
  }
  return digest == NID_md5 || digest == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(digest);
}

static status_t bind_end_point(const struct engine *engine, struct arena *arena,
                               struct slice *out) {
  uint8_t hash[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  X509 *certificate = server_certificate(engine);
  const EVP_MD *digest = certificate == NULL ? NULL : digest_of_signature(certificate);
  ENSURE(digest != NULL && X509_digest(certificate, digest, hash, &len), NOT_FOUND);
  return copy(hash, len, arena, out);
}

static status_t bind(struct engine *engine, enum engine_binding kind, struct arena *arena,
                     struct slice *out) {
  switch (kind) {
    case ENGINE_BINDING_UNIQUE:
      return bind_unique(engine, arena, out);
    case ENGINE_BINDING_EXPORTER:
      return bind_exporter(engine, arena, out);
    case ENGINE_BINDING_END_POINT:
      return bind_end_point(engine, arena, out);
  }
  return status_of(STATUS_NOT_FOUND);
}

status_t engine_channel_binding(struct engine *engine, enum engine_binding kind,
                                struct arena *arena, struct slice *out) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  ENSURE(engine_established(engine), NOT_FOUND);
  status_t bound = bind(engine, kind, arena, out);
  ERR_clear_error();
  return bound;
}
