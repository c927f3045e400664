// What the OpenSSL in use is and can do: versions, groups, constants, random bytes, ASN.1 objects.
#ifndef TLSAGENT_SERVER_TLS_LIBRARY_H_
#define TLSAGENT_SERVER_TLS_LIBRARY_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/arena.h"
#include "server/base/slice.h"
#include "server/base/status.h"
#include "server/tls/context.h"
#include "server/tls/error.h"

#ifdef __cplusplus
extern "C" {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"  // in C a struct and a function may share a name
#endif

struct tls_constant {
  const char *name;
  int64_t value;
};

struct tls_version {
  const char *name;  // "tls1.3"
  bool available;
};

struct tls_library_info {
  const char *version;           // OpenSSL_version(3)
  unsigned long version_number;  // of the library in use
  unsigned long build_number;    // of the headers
  const char *const *groups;     // names that settings take, found by trying each
  size_t num_groups;
  // SSL_OP_*, X509_V_FLAG_*, X509_CHECK_FLAG_*, SSL_AD_*, SSL_ERROR_*
  const struct tls_constant *constants;
  size_t num_constants;
  const struct tls_version *versions;  // those with a number, and whether they are compiled in
  size_t num_versions;
  const char *default_ciphers;
  const char *file_env, *file, *directory_env, *directory;  // X509_get_default_cert_*
  size_t secure_heap_bytes;                                 // 0: there is none
  bool secure_heap_locked;  // false: it may be swapped, mlock(2) was refused
};

// tls_library_info describes the library; static storage, after tls_library_start.
const struct tls_library_info *tls_library_info(void);

// tls_default_settings is what a context of that kind has before anything is set, as
// tls_context_describe tells it; static storage, after tls_library_start.
const struct tls_settings *tls_default_settings(enum tls_context_kind kind);

status_t tls_random(void *out, size_t len, struct tls_error *error);
void tls_add_entropy(struct slice data);

struct tls_object {
  int nid;
  const char *short_name;
  const char *long_name;
  const char *oid;
};

// tls_object_by_nid and tls_object_by_text look an ASN.1 object up; NOT_FOUND. Strings in the
// arena.
status_t tls_object_by_nid(int nid, struct arena *arena, struct tls_object *out);
status_t tls_object_by_text(const char *text, bool oid_only, struct arena *arena,
                            struct tls_object *out);

#ifdef __cplusplus
#pragma GCC diagnostic pop
}
#endif

#endif  // TLSAGENT_SERVER_TLS_LIBRARY_H_
