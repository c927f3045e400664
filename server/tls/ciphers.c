#include "server/tls/ciphers.h"

#include <openssl/objects.h>
#include <string.h>

static const char *long_name(int nid) {
  const char *name = nid == NID_undef ? NULL : OBJ_nid2ln(nid);
  return name == NULL ? "" : name;
}

static const char *or_empty(const char *text) {
  return text == NULL ? "" : text;
}

static const char *description(const SSL_CIPHER *cipher, struct arena *arena) {
  char line[256];
  if (SSL_CIPHER_description(cipher, line, sizeof(line)) == NULL) {
    return "";
  }
  line[strcspn(line, "\n")] = '\0';
  return arena_string(arena, line);
}

status_t cipher_describe(const SSL_CIPHER *cipher, struct arena *arena,
                         struct tls_cipher_info *out) {
  if (cipher == NULL) {
    *out = (struct tls_cipher_info){.name = "",
                                    .standard_name = "",
                                    .protocol = "",
                                    .description = "",
                                    .symmetric = "",
                                    .digest = "",
                                    .key_exchange = "",
                                    .authentication = ""};
    return OK_STATUS;
  }
  *out = (struct tls_cipher_info){
      .id = SSL_CIPHER_get_id(cipher),
      .name = or_empty(SSL_CIPHER_get_name(cipher)),
      .standard_name = or_empty(SSL_CIPHER_standard_name(cipher)),
      .protocol = or_empty(SSL_CIPHER_get_version(cipher)),
      .description = description(cipher, arena),
      .aead = SSL_CIPHER_is_aead(cipher) == 1,
      .symmetric = long_name(SSL_CIPHER_get_cipher_nid(cipher)),
      .digest = long_name(SSL_CIPHER_get_digest_nid(cipher)),
      .key_exchange = long_name(SSL_CIPHER_get_kx_nid(cipher)),
      .authentication = long_name(SSL_CIPHER_get_auth_nid(cipher)),
  };
  out->strength_bits = SSL_CIPHER_get_bits(cipher, &out->algorithm_bits);
  ENSURE(out->description != NULL, RESOURCE_EXHAUSTED);
  return OK_STATUS;
}
