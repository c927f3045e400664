// Session tickets of servers, under keys that change. Sealed as OpenSSL's own are: AES-256-CBC,
// then HMAC-SHA256 over all of it, which OpenSSL compares before it decrypts.
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>

#include "server/tls/engine_callbacks.h"
#include "server/tls/engine_private.h"
#include "server/tls/ticket_keys.h"

// What SSL_CTX_set_tlsext_ticket_key_evp_cb(3) wants of us. None at all: the client gets no ticket,
// or the handshake is a full one.
enum verdict { NONE = 0, GOOD = 1, GOOD_TO_RENEW = 2 };

enum { IV_BYTES = 16 };

static EVP_CIPHER *cipher;

static void fetch_cipher(void) {
  cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
}

static bool set_keys(const struct ticket_key *key, const uint8_t *iv, EVP_CIPHER_CTX *encryption,
                     EVP_MAC_CTX *mac, bool sealing) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  static char digest[] = "SHA256";
  const OSSL_PARAM params[] = {
      OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, sizeof(digest) - 1), OSSL_PARAM_END};
  pthread_once(&once, fetch_cipher);
  return cipher != NULL &&
         EVP_CipherInit_ex2(encryption, cipher, key->aes, iv, sealing, NULL) == 1 &&
         EVP_MAC_init(mac, key->mac, sizeof(key->mac), params) == 1;
}

static enum verdict seal(struct ticket_keys *keys, uint8_t *name, uint8_t *iv,
                         EVP_CIPHER_CTX *encryption, EVP_MAC_CTX *mac) {
  struct ticket_key key;
  if (!ticket_keys_current(keys, ticket_keys_now(keys), &key)) {
    return NONE;
  }
  memcpy(name, key.name, sizeof(key.name));
  bool good = RAND_bytes(iv, IV_BYTES) == 1 && set_keys(&key, iv, encryption, mac, true);
  ticket_key_wipe(&key);
  return good ? GOOD : NONE;
}

// In TLS 1.3 a client should use a ticket once (RFC 8446, appendix C.4), so that it always needs
// another.
static enum verdict unseal(const SSL *ssl, struct ticket_keys *keys, const uint8_t *name,
                           const uint8_t *iv, EVP_CIPHER_CTX *encryption, EVP_MAC_CTX *mac) {
  struct ticket_key key;
  enum ticket_key_age age =
      ticket_keys_find(keys, slice_of(name, TICKET_KEY_NAME_BYTES), ticket_keys_now(keys), &key);
  if (age == TICKET_KEY_UNKNOWN) {
    return NONE;
  }
  bool good = set_keys(&key, iv, encryption, mac, false);
  ticket_key_wipe(&key);
  if (!good) {
    return NONE;
  }
  return age == TICKET_KEY_OLD || SSL_version(ssl) >= TLS1_3_VERSION ? GOOD_TO_RENEW : GOOD;
}

// The keys are those of the context that the engine was made on, to whichever it was switched
// since, as OpenSSL has it for its own.
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *encryption,
                     EVP_MAC_CTX *mac, int sealing) {
  const struct engine *engine = SSL_get_app_data(ssl);
  struct ticket_keys *keys = engine == NULL ? NULL : engine->edition->ticket_keys;
  if (keys == NULL) {
    return NONE;
  }
  // What fails here ends no handshake, and must not be taken for the reason when one ends later.
  ERR_set_mark();
  enum verdict verdict = sealing ? seal(keys, name, iv, encryption, mac)
                                 : unseal(ssl, keys, name, iv, encryption, mac);
  ERR_pop_to_mark();
  return (int)verdict;
}

bool tickets_set_callback(SSL_CTX *ctx) {
  return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1;
}
