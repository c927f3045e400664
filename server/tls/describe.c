#include <openssl/err.h>

#include "server/tls/ciphers.h"
#include "server/tls/context_private.h"
#include "server/tls/settings.h"
#include "server/tls/x509.h"

// In the order a session would offer them: those a fresh SSL has, which begin with TLS 1.3's.
static status_t describe_ciphers(SSL_CTX *ctx, struct arena *arena, struct tls_context_info *out) {
  STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(ctx);
  int num = ciphers == NULL ? 0 : sk_SSL_CIPHER_num(ciphers);
  out->ciphers = arena_array(arena, (size_t)num, sizeof(*out->ciphers));
  ENSURE(out->ciphers != NULL, RESOURCE_EXHAUSTED);
  for (int i = 0; i < num; i++) {
    TRY(cipher_describe(sk_SSL_CIPHER_value(ciphers, i), arena, &out->ciphers[i]));
    out->num_ciphers++;
  }
  return OK_STATUS;
}

static status_t describe_pairs(const struct edition *edition, struct arena *arena,
                               struct tls_context_info *out) {
  out->certificates = arena_array(arena, edition->num_pairs, sizeof(*out->certificates));
  ENSURE(out->certificates != NULL, RESOURCE_EXHAUSTED);
  for (size_t i = 0; i < edition->num_pairs; i++) {
    TRY(x509_describe(edition->pairs[i].certificate, arena, &out->certificates[i]));
    out->num_certificates++;
  }
  return OK_STATUS;
}

// The edition goes its way; what settings point at is copied.
static status_t describe_settings(const struct edition *edition, struct arena *arena,
                                  struct tls_settings *out) {
  TRY(settings_merge(out, &edition->settings, arena));
  settings_read_back(edition->ctx, out);
  return OK_STATUS;
}

static status_t describe(const struct edition *edition, struct arena *arena,
                         struct tls_context_info *out) {
  TRY(describe_settings(edition, arena, &out->settings));
  TRY(describe_ciphers(edition->ctx, arena, out));
  TRY(describe_pairs(edition, arena, out));
  out->trust = trust_set_counts(edition->trust);
  return OK_STATUS;
}

status_t tls_context_describe(struct tls_context *context, struct arena *arena,
                              struct tls_context_info *out) {
  *out = (struct tls_context_info){.num_ciphers = 0};
  struct edition *edition = tls_context_enter(context);
  status_t status = describe(edition, arena, out);
  tls_context_leave(context, edition);
  out->sessions = tls_context_stats(context);
  ERR_clear_error();
  return status;
}

status_t tls_context_list_trust(struct tls_context *context, struct arena *arena,
                                struct slice **out_der, size_t *out_num) {
  struct edition *edition = tls_context_enter(context);
  status_t status = trust_set_certificates(edition->trust, arena, out_der, out_num);
  tls_context_leave(context, edition);
  return status;
}
