// How TLS 1.3 derives its secrets (RFC 8446, section 7.1): HKDF (RFC 5869) over SHA-256 and
// SHA-384, without an allocation, a look-up or a lock. Inside server/tls only; any thread.
#ifndef TLSAGENT_SERVER_TLS_TLS13_KDF_H_
#define TLSAGENT_SERVER_TLS_TLS13_KDF_H_

#include <stdbool.h>
#include <stdint.h>

#include "server/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tls13_kdf_hash;

// tls13_kdf_hash finds a hash by one of the names that OpenSSL has for it. NULL: it is none of TLS
// 1.3's.
const struct tls13_kdf_hash *tls13_kdf_hash(const char *name);

// A label and what stands before all labels, "tls13 ".
struct tls13_kdf_label {
  struct slice prefix;
  struct slice label;
};

// tls13_kdf_expand is HKDF-Expand-Label; data is the transcript's hash, or empty. False when label,
// data or the output are longer than their lengths can say.
bool tls13_kdf_expand(const struct tls13_kdf_hash *hash, struct slice secret,
                      const struct tls13_kdf_label *label, struct slice data, uint8_t *out,
                      size_t len);

// tls13_kdf_extract goes from one stage of the key schedule to the next: HKDF-Extract of input, or
// of zeros for NULL, with what is derived from the secret of the stage before as salt, or without
// salt for NULL. False when len isn't that of the hash.
bool tls13_kdf_extract(const struct tls13_kdf_hash *hash, const struct slice *before,
                       const struct tls13_kdf_label *label, const struct slice *input, uint8_t *out,
                       size_t len);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_TLS13_KDF_H_
