#include "server/tls/keys.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pemerr.h>
#include <openssl/pkcs12.h>
#include <openssl/sslerr.h>
#include <openssl/x509err.h>
#include <stdio.h>
#include <string.h>

#include "server/tls/openssl_error.h"
#include "server/tls/passphrase.h"
#include "server/tls/pem.h"
#include "server/tls/secure_heap.h"
#include "server/tls/wiping_heap.h"

// One pair as it is being read: what was given, and whom to blame.
struct reading {
  const struct tls_pair *from;
  size_t index;
  struct tls_error *error;
};

static status_t refuse(const struct reading *reading, const char *part, const char *text) {
  char item[48];
  snprintf(item, sizeof(item), "pairs[%zu].%s", reading->index, part);
  return tls_refuse_as(reading->error, 0, item, "%s", text);
}

static status_t refuse_as(const struct reading *reading, unsigned long code, const char *part,
                          const char *text) {
  const char *reason = ERR_reason_error_string(ERR_peek_last_error());
  char item[48];
  snprintf(item, sizeof(item), "pairs[%zu].%s", reading->index, part);
  return tls_refuse_as(reading->error, code, item, "%s%s%s", text, reason == NULL ? "" : ": ",
                       reason == NULL ? "" : reason);
}

// As SSL_CTX_use_certificate_chain_file(3) and SSL_CTX_use_PrivateKey_file(3) say of a file in
// which they find nothing that they can read, and of a wrong password.
static status_t refuse_unreadable(const struct reading *reading, const char *part,
                                  const char *text) {
  return refuse_as(reading, ERR_PACK(ERR_LIB_SSL, 0, ERR_R_PEM_LIB), part, text);
}

// ---------------------------------------------------------------------------------------------
// The chain.

static bool take_certificate(void *state, struct pem_object object) {
  struct own_pair *pair = state;
  if (pair->certificate == NULL) {
    pair->certificate = object.certificate;
    return true;
  }
  bool room = sk_X509_num(pair->intermediates) + 1 < TLS_CHAIN_MAX;
  if (room && sk_X509_push(pair->intermediates, object.certificate) > 0) {
    return true;
  }
  X509_free(object.certificate);
  return false;
}

// The first certificate is the one that matters; a later one is refused by what OpenSSL says of it.
static status_t refuse_chain(const struct reading *reading, const struct own_pair *pair) {
  if (pair->certificate == NULL) {
    return refuse_unreadable(reading, "chain", "no certificate in the bytes");
  }
  unsigned long code = ERR_peek_last_error();
  return refuse_as(
      reading, ERR_GET_LIB(code) == ERR_LIB_PEM ? code : ERR_PACK(ERR_LIB_PEM, 0, ERR_R_ASN1_LIB),
      "chain", "a certificate can't be read");
}

static status_t parse_chain(const struct reading *reading, struct own_pair *out) {
  out->intermediates = sk_X509_new_null();
  if (out->intermediates == NULL) {
    return tls_out_of_memory(reading->error);
  }
  switch (pem_each(reading->from->chain, PEM_WANT_CERTIFICATES, take_certificate, out)) {
    case PEM_EACH_DAMAGED:
      return refuse_chain(reading, out);
    case PEM_EACH_STOPPED:
      return refuse(reading, "chain", "more than 32 certificates in one chain");
    case PEM_EACH_DONE:
      break;
  }
  return out->certificate == NULL ? refuse_chain(reading, out) : OK_STATUS;
}

// ---------------------------------------------------------------------------------------------
// The key. PEM is taken apart here and not by PEM_read_bio_PrivateKey, so that each way to fail can
// be told from the others, and every copy of the key on the way is ours to wipe.

static bool is_key(const char *name) {
  size_t len = strlen(name);
  size_t suffix = strlen("PRIVATE KEY");
  return len >= suffix && strcmp(name + len - suffix, "PRIVATE KEY") == 0;
}

// Told from a wrong password by the code, for those who ask a person only when they have to.
static status_t check_password(const struct reading *reading) {
  if (!reading->from->has_password) {
    ERR_clear_error();
    return refuse_as(reading, ERR_PACK(ERR_LIB_PEM, 0, PEM_R_BAD_PASSWORD_READ), "password",
                     "the key is encrypted and there is no password");
  }
  return OK_STATUS;
}

static status_t refuse_wrong_password(const struct reading *reading) {
  ERR_clear_error();  // whatever the bytes looked like then
  return refuse_unreadable(reading, "password", "wrong password");
}

static status_t refuse_password(const struct reading *reading) {
  unsigned long code = ERR_peek_last_error();
  bool unsupported = ERR_GET_REASON(code) == ERR_R_UNSUPPORTED ||
                     tls_queue_says(ERR_LIB_EVP, EVP_R_UNSUPPORTED_ALGORITHM) ||
                     tls_queue_says(ERR_LIB_EVP, EVP_R_UNKNOWN_PBE_ALGORITHM);
  return unsupported
             ? refuse_unreadable(reading, "key", "the key is encrypted in a way we don't support")
             : refuse_wrong_password(reading);
}

static status_t refuse_key(const struct reading *reading) {
  unsigned long code = ERR_peek_last_error();
  bool unsupported = ERR_GET_REASON(code) == ERR_R_UNSUPPORTED ||
                     tls_queue_says(ERR_LIB_EVP, EVP_R_UNSUPPORTED_PRIVATE_KEY_ALGORITHM);
  return refuse_unreadable(
      reading, "key", unsupported ? "the key's type is not supported" : "the key can't be read");
}

static status_t parse_plain(const struct reading *reading, struct slice der, EVP_PKEY **out) {
  const unsigned char *from = der.data;
  EVP_PKEY *key = der.len > LONG_MAX ? NULL : d2i_AutoPrivateKey(NULL, &from, (long)der.len);
  if (key == NULL) {
    return refuse_key(reading);
  }
  if (from != der.data + der.len) {
    EVP_PKEY_free(key);
    return refuse(reading, "key", "there are bytes after the key");
  }
  *out = key;
  return OK_STATUS;
}

static status_t parse_info(const struct reading *reading, PKCS8_PRIV_KEY_INFO *info,
                           EVP_PKEY **out) {
  *out = EVP_PKCS82PKEY(info);
  PKCS8_PRIV_KEY_INFO_free(info);
  return *out == NULL ? refuse_key(reading) : OK_STATUS;
}

// PKCS #8's own encryption (RFC 5958).
static status_t parse_encrypted(const struct reading *reading, X509_SIG *sealed, EVP_PKEY **out) {
  TRY(check_password(reading));
  if (!passphrase_is_bearable(sealed)) {
    return refuse(reading, "key", "deriving the key from its password takes too many iterations");
  }
  struct slice password = reading->from->password;
  ERR_clear_error();
  PKCS8_PRIV_KEY_INFO *info = PKCS8_decrypt(sealed, (const char *)password.data, (int)password.len);
  return info == NULL ? refuse_password(reading) : parse_info(reading, info, out);
}

static int give_password(char *out, int size, int writing, void *state) {
  const struct slice *password = state;
  (void)writing;
  if (size < 0 || password->len > (size_t)size) {
    return 0;
  }
  if (password->len > 0) {
    memcpy(out, password->data, password->len);
  }
  return (int)password->len;
}

// The older encryption of PEM blocks (RFC 1421): the header names cipher and salt.
static status_t open_block(const struct reading *reading, struct pem_block *block) {
  EVP_CIPHER_INFO cipher;
  if (!PEM_get_EVP_CIPHER_INFO(block->header, &cipher)) {
    return refuse_unreadable(reading, "key", "the key is encrypted in a way we don't support");
  }
  if (cipher.cipher == NULL) {
    return OK_STATUS;
  }
  TRY(check_password(reading));
  struct slice password = reading->from->password;
  ERR_clear_error();
  if (!PEM_do_header(&cipher, block->data, &block->len, give_password, &password)) {
    return refuse_password(reading);
  }
  return OK_STATUS;
}

static status_t parse_der(const struct reading *reading, struct slice der, EVP_PKEY **out) {
  const unsigned char *from = der.data;
  X509_SIG *sealed = der.len > LONG_MAX ? NULL : d2i_X509_SIG(NULL, &from, (long)der.len);
  ERR_clear_error();
  status_t status =
      sealed != NULL ? parse_encrypted(reading, sealed, out) : parse_plain(reading, der, out);
  X509_SIG_free(sealed);
  return status;
}

// A wrong password can decrypt to bytes that pass the cipher's padding and are no key.
static status_t parse_block(const struct reading *reading, struct pem_block *block,
                            EVP_PKEY **out) {
  TRY(open_block(reading, block));
  bool was_encrypted = strstr(block->header, "ENCRYPTED") != NULL;
  status_t status = parse_der(reading, slice_of(block->data, (size_t)block->len), out);
  if (was_encrypted && status.code == STATUS_INVALID_ARGUMENT) {
    return refuse_wrong_password(reading);
  }
  return status;
}

static status_t refuse_no_key(const struct reading *reading) {
  ERR_clear_error();
  return refuse_unreadable(reading, "key", "no private key in the bytes");
}

static status_t parse_pem(const struct reading *reading, BIO *reader, EVP_PKEY **out) {
  while (true) {
    struct pem_block block;
    enum pem_result read = pem_next(reader, true, &block);
    if (read != PEM_BLOCK) {
      pem_block_cleanup(&block);
      return read == PEM_END ? refuse_no_key(reading)
                             : refuse_unreadable(reading, "key", "the key can't be read");
    }
    bool found = is_key(block.name);
    status_t status = found ? parse_block(reading, &block, out) : OK_STATUS;
    pem_block_cleanup(&block);
    if (found) {
      return status;
    }
  }
}

// Every block is decoded in the secure heap, which all share: none may be large.
static status_t parse_key_in(const struct reading *reading, struct slice data, EVP_PKEY **out) {
  enum { BYTES_MAX = 128 << 10 };
  ERR_clear_error();
  if (data.len > BYTES_MAX) {
    return refuse(reading, "key", "more than 128 KiB to look for a key in");
  }
  if (!pem_looks_like(data)) {
    return parse_der(reading, data, out);
  }
  BIO *reader = pem_open(data);
  if (reader == NULL) {
    return tls_out_of_memory(reading->error);
  }
  status_t status = parse_pem(reading, reader, out);
  BIO_free(reader);
  return status;
}

static status_t check_room(const struct reading *reading) {
  if (secure_heap_has_room()) {
    return OK_STATUS;
  }
  tls_error_os(reading->error, ENOMEM, "the secure heap is full of private keys");
  return status_of(STATUS_RESOURCE_EXHAUSTED);
}

static status_t parse_key(const struct reading *reading, EVP_PKEY **out) {
  struct slice chain = reading->from->chain;
  if (reading->from->password.len > TLS_PASSWORD_MAX) {
    return refuse(reading, "password", "a password cannot be longer than 1024 bytes");
  }
  TRY(check_room(reading));
  if (reading->from->key.len > 0) {
    return parse_key_in(reading, reading->from->key, out);
  }
  return pem_looks_like(chain) ? parse_key_in(reading, chain, out)
                               : refuse_unreadable(reading, "key", "there is no private key");
}

// ---------------------------------------------------------------------------------------------
// Both together.

static bool key_fits_intermediate(const struct own_pair *pair) {
  for (int i = 0; i < sk_X509_num(pair->intermediates); i++) {
    if (X509_check_private_key(sk_X509_value(pair->intermediates, i), pair->key) == 1) {
      return true;
    }
  }
  return false;
}

static status_t match(const struct reading *reading, const struct own_pair *pair) {
  if (X509_check_private_key(pair->certificate, pair->key) == 1) {
    return OK_STATUS;
  }
  unsigned long code = ERR_peek_last_error();
  bool other_type = ERR_GET_REASON(code) == X509_R_KEY_TYPE_MISMATCH;
  bool later = key_fits_intermediate(pair);
  ERR_clear_error();
  // OpenSSL has a place for each type of key, and looks for the certificate in the key's own.
  const unsigned long mismatch = other_type
                                     ? ERR_PACK(ERR_LIB_SSL, 0, SSL_R_NO_CERTIFICATE_ASSIGNED)
                                     : ERR_PACK(ERR_LIB_X509, 0, X509_R_KEY_VALUES_MISMATCH);
  if (later) {
    return refuse_as(reading, mismatch, "chain",
                     "the key's own certificate must be the first of the chain");
  }
  return refuse_as(reading, mismatch, "key",
                   other_type ? "the key is of another type than the certificate's"
                              : "the key does not belong to the certificate");
}

// One signature with RSA of 8192 bits takes 30 ms, of 16384 bits a quarter of a second, during
// which the thread serves nobody else.
static status_t check_size(const struct reading *reading, const EVP_PKEY *key) {
  enum { BITS_MAX = 8192 };
  return EVP_PKEY_get_bits(key) <= BITS_MAX
             ? OK_STATUS
             : refuse(reading, "key", "a key of more than 8192 bits is too slow");
}

static status_t parse(const struct reading *reading, struct own_pair *out) {
  TRY(parse_chain(reading, out));
  TRY(parse_key(reading, &out->key));
  TRY(check_size(reading, out->key));
  return match(reading, out);
}

status_t own_pair_parse(const struct tls_pair *from, size_t index, struct own_pair *out,
                        struct tls_error *error) {
  *out = (struct own_pair){0};
  const struct reading reading = {.from = from, .index = index, .error = error};
  wiping_heap_begin();
  status_t status = parse(&reading, out);
  if (!status_ok(status)) {
    own_pair_cleanup(out);
  }
  ERR_clear_error();
  wiping_heap_end();
  return status;
}

status_t own_pair_copy(const struct own_pair *from, struct own_pair *out, struct tls_error *error) {
  *out = (struct own_pair){.intermediates = X509_chain_up_ref(from->intermediates)};
  if (out->intermediates == NULL) {
    return tls_out_of_memory(error);
  }
  X509_up_ref(from->certificate);
  EVP_PKEY_up_ref(from->key);
  out->certificate = from->certificate;
  out->key = from->key;
  return OK_STATUS;
}

void own_pair_cleanup(struct own_pair *pair) {
  X509_free(pair->certificate);
  sk_X509_pop_free(pair->intermediates, X509_free);
  EVP_PKEY_free(pair->key);
  *pair = (struct own_pair){0};
}

const char *own_pair_type(const struct own_pair *pair) {
  const char *name = EVP_PKEY_get0_type_name(pair->key);
  return name == NULL ? "" : name;
}
