#include "tests/bench/lib/tls_half.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "tests/bench/lib/base.h"

enum { DAY_SECONDS = 86400 };

bool fail_tls(const char *what) {
  char reason[256];
  ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
  ERR_clear_error();
  return fail("%s: %s", what, reason);
}

static bool sign_itself(struct identity *identity) {
  X509 *certificate = identity->certificate;
  X509_NAME *name = X509_get_subject_name(certificate);
  return X509_set_version(certificate, X509_VERSION_3) == 1 &&
         ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1 &&
         X509_gmtime_adj(X509_getm_notBefore(certificate), -DAY_SECONDS) != NULL &&
         X509_gmtime_adj(X509_getm_notAfter(certificate), DAY_SECONDS) != NULL &&
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost",
                                    -1, -1, 0) == 1 &&
         X509_set_issuer_name(certificate, name) == 1 &&
         X509_set_pubkey(certificate, identity->key) == 1 &&
         X509_sign(certificate, identity->key, EVP_sha256()) != 0;
}

bool identity_make(struct identity *identity, enum key_kind kind) {
  *identity = (struct identity){
      .certificate = X509_new(),
      .key = kind == KEY_ECDSA_P256 ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048),
      .chain_pem = BIO_new(BIO_s_mem()),
      .key_pem = BIO_new(BIO_s_mem()),
  };
  bool made =
      identity->certificate != NULL && identity->key != NULL && identity->chain_pem != NULL &&
      identity->key_pem != NULL && sign_itself(identity) &&
      PEM_write_bio_X509(identity->chain_pem, identity->certificate) == 1 &&
      PEM_write_bio_PrivateKey(identity->key_pem, identity->key, NULL, NULL, 0, NULL, NULL) == 1;
  return made || fail_tls("can't make a certificate");
}

void identity_free(struct identity *identity) {
  X509_free(identity->certificate);
  EVP_PKEY_free(identity->key);
  BIO_free(identity->chain_pem);
  BIO_free(identity->key_pem);
  *identity = (struct identity){0};
}

struct view pem_bytes(BIO *pem) {
  char *data = NULL;
  long len = BIO_get_mem_data(pem, &data);
  return (struct view){(const uint8_t *)data, (size_t)len};
}

static bool set_up(SSL_CTX *context, const struct identity *identity) {
  bool bounds = SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
                SSL_CTX_set1_groups_list(context, "X25519") == 1;
  if (!bounds || identity == NULL) {
    return bounds;
  }
  return SSL_CTX_use_certificate(context, identity->certificate) == 1 &&
         SSL_CTX_use_PrivateKey(context, identity->key) == 1;
}

SSL_CTX *tls_context(const struct identity *identity) {
  SSL_CTX *context = SSL_CTX_new(identity == NULL ? TLS_client_method() : TLS_server_method());
  if (context == NULL || !set_up(context, identity)) {
    fail_tls("can't make a context");
    SSL_CTX_free(context);
    return NULL;
  }
  return context;
}

bool half_open(struct tls_half *half, SSL_CTX *context, bool server) {
  *half = (struct tls_half){SSL_new(context), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem())};
  if (half->ssl == NULL || half->in == NULL || half->out == NULL) {
    return fail_tls("can't open a half");
  }
  BIO_set_mem_eof_return(half->in, -1);
  SSL_set_bio(half->ssl, half->in, half->out);
  if (server) {
    SSL_set_accept_state(half->ssl);
  } else {
    SSL_set_connect_state(half->ssl);
  }
  return true;
}

void half_close(struct tls_half *half) {
  SSL_free(half->ssl);  // and its BIOs
  *half = (struct tls_half){0};
}

bool half_give(struct tls_half *half, const void *data, size_t len) {
  return len == 0 || BIO_write(half->in, data, (int)len) == (int)len ||
         fail_tls("can't give ciphertext");
}

size_t half_take(struct tls_half *half, uint8_t *out, size_t size) {
  int taken = BIO_read(half->out, out, (int)size);
  return taken > 0 ? (size_t)taken : 0;
}

bool half_step(struct tls_half *half) {
  int result = SSL_do_handshake(half->ssl);
  return result == 1 || SSL_get_error(half->ssl, result) == SSL_ERROR_WANT_READ ||
         fail_tls("the handshake failed");
}

bool half_done(const struct tls_half *half) {
  return SSL_is_init_finished(half->ssl) == 1;
}

bool half_settle(struct tls_half *half) {
  uint8_t data[1];
  int result = SSL_read(half->ssl, data, sizeof(data));
  if (result > 0) {
    return fail("data came that nobody sent");
  }
  return SSL_get_error(half->ssl, result) == SSL_ERROR_WANT_READ || fail_tls("no tickets");
}
