#include "server/tls/seal.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdbool.h>

// AES-256-GCM. A seal is nonce, ciphertext, tag. Nonces are random: one key is good for four
// billion seals.
enum { KEY_BYTES = 32, NONCE_BYTES = 12, TAG_BYTES = 16, SECRET_MAX = 1 << 20 };

static struct {
  pthread_once_t once;
  uint8_t *key;
  EVP_CIPHER *cipher;
} sealing = {.once = PTHREAD_ONCE_INIT};

static void start(void) {
  sealing.cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
  sealing.key = OPENSSL_secure_zalloc(KEY_BYTES);
  if (sealing.key != NULL && RAND_priv_bytes(sealing.key, KEY_BYTES) != 1) {
    OPENSSL_secure_clear_free(sealing.key, KEY_BYTES);
    sealing.key = NULL;
  }
}

status_t seal_start(void) {
  pthread_once(&sealing.once, start);
  ENSURE(sealing.cipher != NULL && sealing.key != NULL, RESOURCE_EXHAUSTED);
  return OK_STATUS;
}

void seal_wipe(struct sealed_secret *secret) {
  OPENSSL_clear_free(secret->data, secret->len);
  *secret = (struct sealed_secret){.data = NULL};
}

// ---------------------------------------------------------------------------------------------

static bool encrypt(EVP_CIPHER_CTX *ctx, struct slice secret, struct slice binding, uint8_t *out) {
  uint8_t *nonce = out;
  uint8_t *text = out + NONCE_BYTES;
  uint8_t *tag = text + secret.len;
  int len;
  return RAND_bytes(nonce, NONCE_BYTES) == 1 &&
         EVP_EncryptInit_ex2(ctx, sealing.cipher, sealing.key, nonce, NULL) == 1 &&
         EVP_EncryptUpdate(ctx, NULL, &len, binding.data, (int)binding.len) == 1 &&
         EVP_EncryptUpdate(ctx, text, &len, secret.data, (int)secret.len) == 1 &&
         EVP_EncryptFinal_ex(ctx, text + len, &len) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag) == 1;
}

status_t seal_close(struct slice secret, struct slice binding, struct arena *arena,
                    struct slice *out) {
  ENSURE(secret.len <= SECRET_MAX && binding.len <= SECRET_MAX, INVALID_ARGUMENT);
  TRY(seal_start());
  size_t len = NONCE_BYTES + secret.len + TAG_BYTES;
  uint8_t *sealed = arena_alloc(arena, len);
  EVP_CIPHER_CTX *ctx = sealed == NULL ? NULL : EVP_CIPHER_CTX_new();
  bool good = ctx != NULL && encrypt(ctx, secret, binding, sealed);
  EVP_CIPHER_CTX_free(ctx);
  ERR_clear_error();
  ENSURE(good, RESOURCE_EXHAUSTED);
  *out = slice_of(sealed, len);
  return OK_STATUS;
}

// ---------------------------------------------------------------------------------------------

static bool decrypt(EVP_CIPHER_CTX *ctx, struct slice sealed, struct slice binding, uint8_t *out,
                    size_t out_len) {
  const uint8_t *text = sealed.data + NONCE_BYTES;
  const uint8_t *tag = text + out_len;
  int len;
  return EVP_DecryptInit_ex2(ctx, sealing.cipher, sealing.key, sealed.data, NULL) == 1 &&
         EVP_DecryptUpdate(ctx, NULL, &len, binding.data, (int)binding.len) == 1 &&
         EVP_DecryptUpdate(ctx, out, &len, text, (int)out_len) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, (void *)tag) == 1 &&
         EVP_DecryptFinal_ex(ctx, out + len, &len) == 1;
}

static status_t open_into(struct slice sealed, struct slice binding, struct sealed_secret *secret) {
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  ENSURE(ctx != NULL, RESOURCE_EXHAUSTED);
  bool good = decrypt(ctx, sealed, binding, secret->data, secret->len);
  EVP_CIPHER_CTX_free(ctx);
  ERR_clear_error();
  ENSURE(good, INVALID_ARGUMENT);
  return OK_STATUS;
}

status_t seal_open(struct slice sealed, struct slice binding, struct sealed_secret *out) {
  const size_t least = NONCE_BYTES + TAG_BYTES;
  *out = (struct sealed_secret){.data = NULL};
  ENSURE(sealed.len > least && sealed.len <= least + SECRET_MAX && binding.len <= SECRET_MAX,
         INVALID_ARGUMENT);
  TRY(seal_start());
  out->len = sealed.len - least;
  out->data = OPENSSL_malloc(out->len);
  ENSURE(out->data != NULL, RESOURCE_EXHAUSTED);
  status_t opened = open_into(sealed, binding, out);
  if (!status_ok(opened)) {
    seal_wipe(out);
  }
  return opened;
}
