// These functions of SHA-2 are deprecated for EVP's, which allocate for each hash. Their state lies
// on the stack here, and is wiped.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "server/tls/tls13_kdf.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

enum { HASH_MAX = SHA384_DIGEST_LENGTH, BLOCK_MAX = SHA512_CBLOCK, NUM_NAMES = 3 };

// ---------------------------------------------------------------------------------------------
// The hashes.

union state {
  SHA256_CTX sha256;
  SHA512_CTX sha384;
};

struct tls13_kdf_hash {
  const char *names[NUM_NAMES];
  size_t len;
  size_t block;
  void (*begin)(union state *state);
  void (*add)(union state *state, struct slice data);
  void (*end)(union state *state, uint8_t *out);
};

static void sha256_begin(union state *state) {
  SHA256_Init(&state->sha256);
}

static void sha256_add(union state *state, struct slice data) {
  SHA256_Update(&state->sha256, data.data, data.len);
}

static void sha256_end(union state *state, uint8_t *out) {
  SHA256_Final(out, &state->sha256);
}

static void sha384_begin(union state *state) {
  SHA384_Init(&state->sha384);
}

static void sha384_add(union state *state, struct slice data) {
  SHA384_Update(&state->sha384, data.data, data.len);
}

static void sha384_end(union state *state, uint8_t *out) {
  SHA384_Final(out, &state->sha384);
}

static const struct tls13_kdf_hash hashes[] = {
    {{"SHA2-256", "SHA256", "SHA-256"},
     SHA256_DIGEST_LENGTH,
     SHA256_CBLOCK,
     sha256_begin,
     sha256_add,
     sha256_end},
    {{"SHA2-384", "SHA384", "SHA-384"},
     SHA384_DIGEST_LENGTH,
     SHA512_CBLOCK,
     sha384_begin,
     sha384_add,
     sha384_end},
};

static bool is_called(const struct tls13_kdf_hash *hash, const char *name) {
  for (size_t i = 0; i < NUM_NAMES; i++) {
    if (strcasecmp(hash->names[i], name) == 0) {
      return true;
    }
  }
  return false;
}

const struct tls13_kdf_hash *tls13_kdf_hash(const char *name) {
  for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
    if (is_called(&hashes[i], name)) {
      return &hashes[i];
    }
  }
  return NULL;
}

// ---------------------------------------------------------------------------------------------
// HMAC (RFC 2104).

struct hmac {
  union state inner;
  union state outer;
};

static void begin_with_pad(const struct tls13_kdf_hash *hash, const uint8_t *key, uint8_t pad,
                           union state *out) {
  uint8_t block[BLOCK_MAX];
  for (size_t i = 0; i < hash->block; i++) {
    block[i] = key[i] ^ pad;
  }
  hash->begin(out);
  hash->add(out, slice_of(block, hash->block));
  OPENSSL_cleanse(block, sizeof(block));
}

static void hmac_begin(const struct tls13_kdf_hash *hash, struct slice key, struct hmac *out) {
  uint8_t block[BLOCK_MAX] = {0};
  if (key.len > hash->block) {
    hash->begin(&out->inner);
    hash->add(&out->inner, key);
    hash->end(&out->inner, block);
  } else if (key.len > 0) {
    memcpy(block, key.data, key.len);
  }
  begin_with_pad(hash, block, 0x36, &out->inner);
  begin_with_pad(hash, block, 0x5c, &out->outer);
  OPENSSL_cleanse(block, sizeof(block));
}

static void hmac_end(const struct tls13_kdf_hash *hash, struct hmac *hmac, uint8_t *out) {
  uint8_t inner[HASH_MAX];
  hash->end(&hmac->inner, inner);
  hash->add(&hmac->outer, slice_of(inner, hash->len));
  hash->end(&hmac->outer, out);
  OPENSSL_cleanse(inner, sizeof(inner));
  OPENSSL_cleanse(hmac, sizeof(*hmac));
}

// ---------------------------------------------------------------------------------------------
// HKDF.

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

// T(i) of RFC 5869, section 2.3: the HMAC of the last one, info and i.
static void expand(const struct tls13_kdf_hash *hash, struct slice secret, struct slice info,
                   uint8_t *out, size_t len) {
  struct hmac keyed;
  uint8_t block[HASH_MAX];
  hmac_begin(hash, secret, &keyed);
  for (uint8_t i = 1; len > 0; i++) {
    struct hmac hmac = keyed;
    hash->add(&hmac.inner, slice_of(block, i == 1 ? 0 : hash->len));
    hash->add(&hmac.inner, info);
    hash->add(&hmac.inner, slice_of(&i, 1));
    hmac_end(hash, &hmac, block);
    size_t some = smaller(len, hash->len);
    memcpy(out, block, some);
    out += some;
    len -= some;
  }
  OPENSSL_cleanse(&keyed, sizeof(keyed));
  OPENSSL_cleanse(block, sizeof(block));
}

static uint8_t *put(uint8_t *to, struct slice data) {
  if (data.len > 0) {
    memcpy(to, data.data, data.len);
  }
  return to + data.len;
}

bool tls13_kdf_expand(const struct tls13_kdf_hash *hash, struct slice secret,
                      const struct tls13_kdf_label *label, struct slice data, uint8_t *out,
                      size_t len) {
  uint8_t info[2 + 1 + UINT8_MAX + 1 + UINT8_MAX];
  if (label->prefix.len > UINT8_MAX || label->label.len > UINT8_MAX - label->prefix.len ||
      data.len > UINT8_MAX || len > UINT8_MAX * hash->len) {
    return false;
  }
  uint8_t *to = info;
  *to++ = (uint8_t)(len >> 8);
  *to++ = (uint8_t)len;
  *to++ = (uint8_t)(label->prefix.len + label->label.len);
  to = put(put(to, label->prefix), label->label);
  *to++ = (uint8_t)data.len;
  to = put(to, data);
  expand(hash, secret, slice_of(info, (size_t)(to - info)), out, len);
  return true;
}

// What a stage hands to the next: derived from its secret and the hash of no messages.
static bool derive_salt(const struct tls13_kdf_hash *hash, struct slice before,
                        const struct tls13_kdf_label *label, uint8_t *out) {
  union state state;
  uint8_t of_nothing[HASH_MAX];
  hash->begin(&state);
  hash->end(&state, of_nothing);
  return tls13_kdf_expand(hash, before, label, slice_of(of_nothing, hash->len), out, hash->len);
}

bool tls13_kdf_extract(const struct tls13_kdf_hash *hash, const struct slice *before,
                       const struct tls13_kdf_label *label, const struct slice *input, uint8_t *out,
                       size_t len) {
  static const uint8_t zeros[HASH_MAX];
  uint8_t salt[HASH_MAX];
  if (len != hash->len || (before != NULL && !derive_salt(hash, *before, label, salt))) {
    return false;
  }
  struct hmac hmac;
  hmac_begin(hash, slice_of(salt, before == NULL ? 0 : hash->len), &hmac);
  hash->add(&hmac.inner, input == NULL ? slice_of(zeros, hash->len) : *input);
  hmac_end(hash, &hmac, out);
  OPENSSL_cleanse(salt, sizeof(salt));
  return true;
}
