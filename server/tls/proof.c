#include "server/tls/proof.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdbool.h>

#include "server/tls/groups.h"
#include "server/tls/openssl_error.h"

// Every cipher that this OpenSSL has, whatever it is worth.
#define ANY_CIPHER "ALL:COMPLEMENTOFALL:@SECLEVEL=0"

static SSL_CTX *peer_client;
static SSL_CTX *peer_server;

// ---------------------------------------------------------------------------------------------
// The handshake.

struct ends {
  SSL *client;
  SSL *server;
};

// Two memory BIOs, crossed: what one end writes the other reads.
static bool join(const struct ends *ends) {
  BIO *to_server = BIO_new(BIO_s_mem());
  BIO *to_client = BIO_new(BIO_s_mem());
  bool good = to_server != NULL && to_client != NULL && BIO_up_ref(to_server);
  if (good && !BIO_up_ref(to_client)) {
    BIO_free(to_server);
    good = false;
  }
  if (!good) {
    BIO_free(to_server);
    BIO_free(to_client);
    return false;
  }
  BIO_set_mem_eof_return(to_server, -1);
  BIO_set_mem_eof_return(to_client, -1);
  SSL_set_bio(ends->client, to_client, to_server);
  SSL_set_bio(ends->server, to_server, to_client);
  return true;
}

static bool step(SSL *ssl) {
  int result = SSL_do_handshake(ssl);
  return result == 1 || SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ;
}

static bool shake(const struct ends *ends) {
  enum { MOST_FLIGHTS = 16 };
  for (int i = 0; i < MOST_FLIGHTS; i++) {
    if (!step(ends->client) || !step(ends->server)) {
      return false;
    }
    if (SSL_is_init_finished(ends->client) && SSL_is_init_finished(ends->server)) {
      return true;
    }
  }
  return false;
}

// Nobody asks for the client's certificate, and nobody minds the server's.
static void trust_anybody(const struct ends *ends) {
  SSL_set_verify(ends->client, SSL_VERIFY_NONE, NULL);
  SSL_set_verify(ends->server, SSL_VERIFY_NONE, NULL);
  SSL_set_connect_state(ends->client);
  SSL_set_accept_state(ends->server);
  SSL_set_num_tickets(ends->server, 0);
}

static enum proof explain(struct tls_error *why) {
  const char *reason = ERR_reason_error_string(ERR_peek_last_error());
  status_t status = tls_refuse(why, "settings", "no handshake is possible with these: %s",
                               reason == NULL ? "OpenSSL gives no reason" : reason);
  return status.code == STATUS_RESOURCE_EXHAUSTED ? PROOF_NO_MEMORY : PROOF_IMPOSSIBLE;
}

static enum proof prove(SSL_CTX *client, SSL_CTX *server, struct tls_error *why) {
  ERR_clear_error();
  struct ends ends = {.client = SSL_new(client), .server = SSL_new(server)};
  enum proof proof = PROOF_NO_MEMORY;
  if (ends.client != NULL && ends.server != NULL && join(&ends)) {
    trust_anybody(&ends);
    proof = shake(&ends) ? PROOF_GOOD : explain(why);
  } else {
    (void)tls_out_of_memory(why);
  }
  SSL_free(ends.client);
  SSL_free(ends.server);
  ERR_clear_error();
  return proof;
}

enum proof proof_as_server(SSL_CTX *ctx, struct tls_error *why) {
  return prove(peer_client, ctx, why);
}

enum proof proof_as_client(SSL_CTX *ctx, struct tls_error *why) {
  return prove(ctx, peer_server, why);
}

// ---------------------------------------------------------------------------------------------
// The peers.

static bool fill_certificate(X509 *certificate, EVP_PKEY *key) {
  X509_NAME *name = X509_get_subject_name(certificate);
  return ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) &&
         X509_gmtime_adj(X509_getm_notBefore(certificate), -86400) != NULL &&
         X509_gmtime_adj(X509_getm_notAfter(certificate), 86400) != NULL &&
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"tlsagent", -1,
                                    -1, 0) &&
         X509_set_issuer_name(certificate, name) && X509_set_pubkey(certificate, key) &&
         X509_sign(certificate, key, EVP_sha256()) > 0;
}

static bool use_fresh_certificate(SSL_CTX *ctx) {
  EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
  X509 *certificate = X509_new();
  bool good = key != NULL && certificate != NULL && fill_certificate(certificate, key) &&
              SSL_CTX_use_cert_and_key(ctx, certificate, key, NULL, 1);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return good;
}

static SSL_CTX *peer_new(const SSL_METHOD *method) {
  SSL_CTX *ctx = SSL_CTX_new(method);
  if (ctx == NULL) {
    return NULL;
  }
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_security_level(ctx, 0);
  bool good = SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION) &&
              SSL_CTX_set_max_proto_version(ctx, 0) && SSL_CTX_set_cipher_list(ctx, ANY_CIPHER) &&
              SSL_CTX_set_ciphersuites(ctx,
                                       "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:"
                                       "TLS_AES_128_GCM_SHA256:TLS_AES_128_CCM_SHA256:"
                                       "TLS_AES_128_CCM_8_SHA256") &&
              SSL_CTX_set1_groups_list(ctx, groups_all());
  if (!good) {
    SSL_CTX_free(ctx);
    return NULL;
  }
  return ctx;
}

static void make_peers(void) {
  SSL_CTX *client = peer_new(TLS_client_method());
  SSL_CTX *server = peer_new(TLS_server_method());
  if (client == NULL || server == NULL || !use_fresh_certificate(server)) {
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    return;
  }
  peer_client = client;
  peer_server = server;
}

status_t proof_start(struct tls_error *error) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make_peers);
  if (peer_client == NULL) {
    return tls_refuse(error, "", "OpenSSL can't make a context");
  }
  struct tls_error why;
  return prove(peer_client, peer_server, &why) == PROOF_GOOD
             ? OK_STATUS
             : tls_refuse(error, "", "OpenSSL can't shake hands with itself: %s", why.text);
}
