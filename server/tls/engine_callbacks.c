#include "server/tls/engine_callbacks.h"

#include <openssl/x509_vfy.h>

#include "server/tls/engine_private.h"

// Alerts that end nothing: the peer is done writing, or tells that what follows was its user's
// wish.
static bool ends_session(const SSL *ssl, int level, int alert) {
  if (alert == SSL_AD_CLOSE_NOTIFY || alert == SSL_AD_USER_CANCELLED) {
    return false;
  }
  return level == SSL3_AL_FATAL || SSL_version(ssl) >= TLS1_3_VERSION;
}

static void on_event(const SSL *ssl, int where, int value) {
  if ((where & SSL_CB_ALERT) == 0) {
    return;
  }
  struct engine *engine = SSL_get_app_data(ssl);
  int level = value >> 8;
  int alert = value & 0xff;
  if (engine != NULL && ends_session(ssl, level, alert)) {
    engine->alert = alert;
    if (engine->error != NULL) {
      engine->error->alert = alert;
    }
  }
}

static struct engine *engine_of(X509_STORE_CTX *verification) {
  SSL *ssl = X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx());
  return ssl == NULL ? NULL : SSL_get_app_data(ssl);
}

// OpenSSL drops the chain of a peer it refuses. People want to see what was wrong with it.
static void keep_refused(struct engine *engine, X509_STORE_CTX *verification) {
  STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(verification);
  if (engine != NULL && sent != NULL && engine->refused_chain == NULL) {
    engine->refused_chain = X509_chain_up_ref(sent);
  }
}

static int on_verify(X509_STORE_CTX *verification, void *state) {
  (void)state;
  struct engine *engine = engine_of(verification);
  if (engine != NULL && engine->skips_verify) {
    X509_STORE_CTX_set_error(verification, X509_V_ERR_UNSPECIFIED);
    return 1;
  }
  int verified = X509_verify_cert(verification);
  if (verified <= 0) {
    keep_refused(engine, verification);
  }
  return verified > 0;
}

void engine_set_callbacks(SSL_CTX *ctx) {
  SSL_CTX_set_info_callback(ctx, on_event);
  SSL_CTX_set_cert_verify_callback(ctx, on_verify, NULL);
}
