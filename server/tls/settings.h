// Settings: kept, checked, put on an SSL_CTX, read back. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_SETTINGS_H_
#define TLSAGENT_SERVER_TLS_SETTINGS_H_

#include <openssl/ssl.h>

#include "server/base/arena.h"
#include "server/base/status.h"
#include "server/tls/context.h"
#include "server/tls/error.h"

#ifdef __cplusplus
extern "C" {
#endif

// SETTINGS_DEFAULT_CIPHERS is what contexts have when nobody says otherwise: forward secrecy and
// nothing that is broken. It names no security level, so that openssl.cnf's counts.
#define SETTINGS_DEFAULT_CIPHERS \
  "ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"

enum { SETTINGS_DEPTH_MAX = 100 };  // certificates in a chain; OpenSSL's own default

// settings_has tells whether a field has a value.
static inline bool settings_has(const struct tls_settings *settings, enum tls_setting setting) {
  return (settings->present & (uint32_t)setting) != 0;
}

// settings_names_level tells whether the ciphers name a security level, "@SECLEVEL=1".
bool settings_names_level(const struct tls_settings *settings);

// settings_default fills in what a context of this kind begins with. Fields it leaves out are
// OpenSSL's own, openssl.cnf included.
void settings_default(enum tls_context_kind kind, struct tls_settings *out);

// settings_default_level is the security level of a context for which nobody has set one.
int settings_default_level(void);

// settings_merge puts the fields present in change over those of into, and copies all that they
// point at into the arena. RESOURCE_EXHAUSTED past its ceiling.
status_t settings_merge(struct tls_settings *into, const struct tls_settings *change,
                        struct arena *arena);

// settings_check refuses what can't go together or is out of its range; change is what was asked
// for, merged what the context would then have.
status_t settings_check(const struct tls_settings *change, const struct tls_settings *merged,
                        struct tls_error *error);

// settings_check_kind refuses what a context of this kind has no use for.
status_t settings_check_kind(enum tls_context_kind kind, const struct tls_settings *change,
                             struct tls_error *error);

// settings_alpn_wire gives the protocols as TLS has them on the wire: each after its length.
status_t settings_alpn_wire(const struct tls_settings *settings, struct arena *arena,
                            struct slice *out);

// settings_apply puts every field that is present on a fresh SSL_CTX of this kind, except ALPN,
// decisions and events. The refused item is "settings.ciphers" and so on.
status_t settings_apply(SSL_CTX *ctx, enum tls_context_kind kind,
                        const struct tls_settings *settings, struct tls_error *error);

// settings_keep_level remembers the security level that the ciphers have set, for editions to come.
void settings_keep_level(SSL_CTX *ctx, struct tls_settings *settings);

// settings_read_back fills in what OpenSSL has settled where settings leave it open.
void settings_read_back(SSL_CTX *ctx, struct tls_settings *settings);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_SETTINGS_H_
