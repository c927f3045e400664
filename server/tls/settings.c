#include "server/tls/settings.h"

#include <openssl/async.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "server/tls/openssl_error.h"

enum {
  NUM_TICKETS_MAX = 255,
  CACHE_SIZE_DEFAULT = 1024,
  CACHE_SIZE_MAX = 1 << 20,
  ALPN_WIRE_MAX = 65535,
  LIST_MAX = 65536,  // bytes of a list of ciphers, groups or algorithms
  SECURITY_LEVEL_MAX = 5,
  PSK_HINT_MAX = PSK_MAX_IDENTITY_LEN
};

// ---------------------------------------------------------------------------------------------
// Defaults.

void settings_default(enum tls_context_kind kind, struct tls_settings *out) {
  static const char session_id_context[] = "tlsagent";
  bool verifies = kind == TLS_CONTEXT_CLIENT;
  *out = (struct tls_settings){
      .present = TLS_SET_CIPHERS | TLS_SET_VERIFY_MODE | TLS_SET_VERIFY_FLAGS | TLS_SET_HOST_FLAGS |
                 TLS_SET_CHECK_HOSTNAME | TLS_SET_SESSION_ID_CONTEXT | TLS_SET_SESSION_CACHE_SIZE |
                 TLS_SET_POST_HANDSHAKE_AUTH,
      .ciphers = SETTINGS_DEFAULT_CIPHERS,
      .verify_mode = verifies ? TLS_VERIFY_REQUIRED : TLS_VERIFY_NONE,
      .verify_flags = X509_V_FLAG_TRUSTED_FIRST,
      .host_flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
      .check_hostname = verifies,
      .session_id_context = slice_of(session_id_context, sizeof(session_id_context) - 1),
      .session_cache_size = CACHE_SIZE_DEFAULT,
  };
}

static int default_level;

static void find_default_level(void) {
  SSL_CTX *ctx = SSL_CTX_new(TLS_method());
  default_level = ctx == NULL ? 0 : SSL_CTX_get_security_level(ctx);
  SSL_CTX_free(ctx);
}

int settings_default_level(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, find_default_level);
  return default_level;
}

// ---------------------------------------------------------------------------------------------
// Merging. What points somewhere is copied; the rest goes as it is.

struct text_field {
  enum tls_setting setting;
  size_t offset;
  const char *item;
};

#define TEXT_FIELD(setting, field) \
  { setting, offsetof(struct tls_settings, field), "settings." #field }

static const struct text_field text_fields[] = {
    TEXT_FIELD(TLS_SET_CIPHERS, ciphers),
    TEXT_FIELD(TLS_SET_CIPHERSUITES, ciphersuites),
    TEXT_FIELD(TLS_SET_GROUPS, groups),
    TEXT_FIELD(TLS_SET_SIGALGS, sigalgs),
    TEXT_FIELD(TLS_SET_CLIENT_SIGALGS, client_sigalgs),
    TEXT_FIELD(TLS_SET_PSK_HINT, psk_hint),
};

enum { NUM_TEXT_FIELDS = sizeof(text_fields) / sizeof(text_fields[0]) };

static const char **text_of(struct tls_settings *settings, const struct text_field *field) {
  return (const char **)(void *)((char *)settings + field->offset);
}

static const char *text_in(const struct tls_settings *settings, const struct text_field *field) {
  const char *const *at = (const void *)((const char *)settings + field->offset);
  return *at == NULL ? "" : *at;
}

static status_t merge_texts(struct tls_settings *into, const struct tls_settings *change,
                            struct arena *arena) {
  for (size_t i = 0; i < NUM_TEXT_FIELDS; i++) {
    if (settings_has(change, text_fields[i].setting)) {
      const char *copy = arena_string(arena, text_in(change, &text_fields[i]));
      ENSURE(copy != NULL, RESOURCE_EXHAUSTED);
      *text_of(into, &text_fields[i]) = copy;
    }
  }
  return OK_STATUS;
}

static status_t copy_slice(struct slice from, struct arena *arena, struct slice *out) {
  const uint8_t *copy = arena_copy(arena, from);
  ENSURE(copy != NULL, RESOURCE_EXHAUSTED);
  *out = slice_of(copy, from.len);
  return OK_STATUS;
}

static status_t merge_slices(struct tls_settings *into, const struct tls_settings *change,
                             struct arena *arena) {
  if (settings_has(change, TLS_SET_SESSION_ID_CONTEXT)) {
    TRY(copy_slice(change->session_id_context, arena, &into->session_id_context));
  }
  if (settings_has(change, TLS_SET_DH_PARAMS)) {
    TRY(copy_slice(change->dh_params, arena, &into->dh_params));
  }
  return OK_STATUS;
}

static status_t merge_alpn(struct tls_settings *into, const struct tls_settings *change,
                           struct arena *arena) {
  struct slice *protocols = arena_array(arena, change->num_alpn, sizeof(*protocols));
  ENSURE(protocols != NULL, RESOURCE_EXHAUSTED);
  for (size_t i = 0; i < change->num_alpn; i++) {
    TRY(copy_slice(change->alpn[i], arena, &protocols[i]));
  }
  into->alpn = protocols;
  into->num_alpn = change->num_alpn;
  into->alpn_require_overlap = change->alpn_require_overlap;
  return OK_STATUS;
}

// One line for each plain field: nobody can forget one without seeing the hole.
static void merge_numbers(struct tls_settings *into, const struct tls_settings *change) {
#define MERGE(setting, field)          \
  if (settings_has(change, setting)) { \
    into->field = change->field;       \
  }
  MERGE(TLS_SET_MIN_VERSION, min_version)
  MERGE(TLS_SET_MAX_VERSION, max_version)
  MERGE(TLS_SET_OPTIONS, options)
  MERGE(TLS_SET_VERIFY_MODE, verify_mode)
  MERGE(TLS_SET_VERIFY_FLAGS, verify_flags)
  MERGE(TLS_SET_HOST_FLAGS, host_flags)
  MERGE(TLS_SET_VERIFY_DEPTH, verify_depth)
  MERGE(TLS_SET_CHECK_HOSTNAME, check_hostname)
  MERGE(TLS_SET_NUM_TICKETS, num_tickets)
  MERGE(TLS_SET_SESSION_TIMEOUT, session_timeout)
  MERGE(TLS_SET_SESSION_CACHE_SIZE, session_cache_size)
  MERGE(TLS_SET_SECURITY_LEVEL, security_level)
  MERGE(TLS_SET_POST_HANDSHAKE_AUTH, post_handshake_auth)
  MERGE(TLS_SET_DECISIONS, decisions)
  MERGE(TLS_SET_EVENTS, events)
#undef MERGE
}

bool settings_names_level(const struct tls_settings *settings) {
  return settings_has(settings, TLS_SET_CIPHERS) && settings->ciphers != NULL &&
         strstr(settings->ciphers, "@SECLEVEL") != NULL;
}

// A cipher list may name a security level, "@SECLEVEL=1". The newer of the two counts.
static void drop_overruled_level(struct tls_settings *into, const struct tls_settings *change) {
  if (settings_names_level(change) && !settings_has(change, TLS_SET_SECURITY_LEVEL)) {
    into->present &= ~(uint32_t)TLS_SET_SECURITY_LEVEL;
  }
}

status_t settings_merge(struct tls_settings *into, const struct tls_settings *change,
                        struct arena *arena) {
  TRY(merge_texts(into, change, arena));
  TRY(merge_slices(into, change, arena));
  if (settings_has(change, TLS_SET_ALPN)) {
    TRY(merge_alpn(into, change, arena));
  }
  merge_numbers(into, change);
  into->present |= change->present;
  drop_overruled_level(into, change);
  return OK_STATUS;
}

// ---------------------------------------------------------------------------------------------
// Checks of single fields.

static bool is_version(int version) {
  return version == 0 || (version >= SSL3_VERSION && version <= TLS1_3_VERSION);
}

static status_t check_versions(const struct tls_settings *change, struct tls_error *error) {
  if (settings_has(change, TLS_SET_MIN_VERSION) && !is_version(change->min_version)) {
    return tls_refuse(error, "settings.min_version", "0x%x is no version", change->min_version);
  }
  if (settings_has(change, TLS_SET_MAX_VERSION) && !is_version(change->max_version)) {
    return tls_refuse(error, "settings.max_version", "0x%x is no version", change->max_version);
  }
  bool both =
      settings_has(change, TLS_SET_MIN_VERSION) && settings_has(change, TLS_SET_MAX_VERSION);
  if (both && change->max_version != 0 && change->min_version > change->max_version) {
    return tls_refuse(error, "settings.min_version", "above max_version");
  }
  return OK_STATUS;
}

static long long clamped(size_t n) {
  return n > INT32_MAX ? INT32_MAX : (long long)n;
}

struct range {
  enum tls_setting setting;
  const char *item;
  const char *unit;
  long long value, least, most;
};

static status_t check_range(const struct range *range, struct tls_error *error) {
  if (range->value >= range->least && range->value <= range->most) {
    return OK_STATUS;
  }
  return tls_refuse(error, range->item, "%lld%s is not from %lld to %lld", range->value,
                    range->unit, range->least, range->most);
}

static status_t check_ranges(const struct tls_settings *change, struct tls_error *error) {
  const struct range ranges[] = {
      {TLS_SET_VERIFY_MODE, "settings.verify_mode", "", change->verify_mode, TLS_VERIFY_NONE,
       TLS_VERIFY_REQUIRED},
      {TLS_SET_VERIFY_DEPTH, "settings.verify_depth", "", change->verify_depth, 0,
       SETTINGS_DEPTH_MAX},
      {TLS_SET_NUM_TICKETS, "settings.num_tickets", "", (long long)change->num_tickets, 0,
       NUM_TICKETS_MAX},
      {TLS_SET_SESSION_ID_CONTEXT, "settings.session_id_context", " bytes",
       clamped(change->session_id_context.len), 0, SSL_MAX_SID_CTX_LENGTH},
      {TLS_SET_SESSION_TIMEOUT, "settings.session_timeout_seconds", " seconds",
       change->session_timeout, 0, INT32_MAX},
      {TLS_SET_SESSION_CACHE_SIZE, "settings.session_cache_size", "", change->session_cache_size, 0,
       CACHE_SIZE_MAX},
      {TLS_SET_PSK_HINT, "settings.psk_identity_hint", " bytes",
       clamped(strlen(change->psk_hint == NULL ? "" : change->psk_hint)), 0, PSK_HINT_MAX},
      {TLS_SET_SECURITY_LEVEL, "settings.security_level", "", change->security_level, 0,
       SECURITY_LEVEL_MAX},
  };
  for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
    if (settings_has(change, ranges[i].setting)) {
      TRY(check_range(&ranges[i], error));
    }
  }
  return OK_STATUS;
}

static status_t check_texts(const struct tls_settings *change, struct tls_error *error) {
  for (size_t i = 0; i < NUM_TEXT_FIELDS; i++) {
    if (settings_has(change, text_fields[i].setting) &&
        strlen(text_in(change, &text_fields[i])) > LIST_MAX) {
      return tls_refuse(error, text_fields[i].item, "longer than %d bytes", LIST_MAX);
    }
  }
  return OK_STATUS;
}

static status_t check_alpn(const struct tls_settings *change, struct tls_error *error) {
  size_t total = 0;
  for (size_t i = 0; settings_has(change, TLS_SET_ALPN) && i < change->num_alpn; i++) {
    char item[48];
    snprintf(item, sizeof(item), "settings.alpn.protocols[%zu]", i);
    if (change->alpn[i].len < 1 || change->alpn[i].len > 255) {
      return tls_refuse(error, item, "%zu bytes are not from 1 to 255", change->alpn[i].len);
    }
    total += change->alpn[i].len + 1;
    if (total > ALPN_WIRE_MAX) {
      return tls_refuse(error, item, "more than %d bytes in all", ALPN_WIRE_MAX);
    }
  }
  return OK_STATUS;
}

// Checking a name in a certificate that nobody verified would be a promise without a ground.
static status_t check_hostname_rule(const struct tls_settings *change,
                                    const struct tls_settings *merged, struct tls_error *error) {
  if (!merged->check_hostname || merged->verify_mode != TLS_VERIFY_NONE) {
    return OK_STATUS;
  }
  bool asked = settings_has(change, TLS_SET_CHECK_HOSTNAME);
  return tls_refuse(error, "settings.check_hostname", "%s",
                    asked ? "can't be true while verify_mode is NONE: set verify_mode to REQUIRED"
                          : "is true, and verify_mode can't be NONE then: set check_hostname to "
                            "false as well");
}

status_t settings_check(const struct tls_settings *change, const struct tls_settings *merged,
                        struct tls_error *error) {
  TRY(check_versions(change, error));
  TRY(check_ranges(change, error));
  TRY(check_texts(change, error));
  TRY(check_alpn(change, error));
  return check_hostname_rule(change, merged, error);
}

status_t settings_check_kind(enum tls_context_kind kind, const struct tls_settings *change,
                             struct tls_error *error) {
  bool client_only = kind == TLS_CONTEXT_CLIENT;
  if (client_only && change->decisions.server_name) {
    return tls_refuse(error, "settings.decisions.server_name", "a client is asked for no name");
  }
  if (client_only && change->decisions.psk_server) {
    return tls_refuse(error, "settings.decisions.psk_server",
                      "a client has no identity to look up");
  }
  if (client_only && settings_has(change, TLS_SET_PSK_HINT)) {
    return tls_refuse(error, "settings.psk_identity_hint", "a client gives no hint");
  }
  if (kind == TLS_CONTEXT_SERVER && change->decisions.psk_client) {
    return tls_refuse(error, "settings.decisions.psk_client", "a server offers no key");
  }
  if ((change->decisions.psk_client || change->decisions.psk_server) && !ASYNC_is_capable()) {
    return tls_refuse(error, "settings.decisions",
                      "this OpenSSL has no fibres for keys to wait on");
  }
  return OK_STATUS;
}

status_t settings_alpn_wire(const struct tls_settings *settings, struct arena *arena,
                            struct slice *out) {
  *out = slice_of(NULL, 0);
  size_t total = 0;
  for (size_t i = 0; i < settings->num_alpn; i++) {
    total += settings->alpn[i].len + 1;
  }
  uint8_t *wire = arena_alloc(arena, total);
  ENSURE(wire != NULL, RESOURCE_EXHAUSTED);
  uint8_t *to = wire;
  for (size_t i = 0; i < settings->num_alpn; i++) {
    *to++ = (uint8_t)settings->alpn[i].len;
    memcpy(to, settings->alpn[i].data, settings->alpn[i].len);
    to += settings->alpn[i].len;
  }
  *out = slice_of(wire, total);
  return OK_STATUS;
}
