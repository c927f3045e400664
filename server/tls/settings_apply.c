#include <openssl/dh.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "server/tls/openssl_error.h"
#include "server/tls/pem.h"
#include "server/tls/settings.h"

struct applying {
  SSL_CTX *ctx;
  enum tls_context_kind kind;
  const struct tls_settings *settings;
  struct tls_error *error;
};

// openssl.cnf may ask for more than TLS 1.2: that stays.
static status_t apply_versions(const struct applying *to) {
  const struct tls_settings *settings = to->settings;
  long floor = SSL_CTX_get_min_proto_version(to->ctx);
  int min = settings_has(settings, TLS_SET_MIN_VERSION) ? settings->min_version
            : floor > TLS1_2_VERSION                    ? (int)floor
                                                        : TLS1_2_VERSION;
  if (!SSL_CTX_set_min_proto_version(to->ctx, min)) {
    return tls_refuse(to->error, "settings.min_version", "not supported by this OpenSSL");
  }
  if (settings_has(settings, TLS_SET_MAX_VERSION) &&
      !SSL_CTX_set_max_proto_version(to->ctx, settings->max_version)) {
    return tls_refuse(to->error, "settings.max_version", "not supported by this OpenSSL");
  }
  return OK_STATUS;
}

// One of the lists whose words OpenSSL takes or refuses: which function takes them.
typedef int list_setter(SSL_CTX *ctx, const char *list);

static int set_groups(SSL_CTX *ctx, const char *list) {
  return (int)SSL_CTX_set1_groups_list(ctx, list);
}

static int set_sigalgs(SSL_CTX *ctx, const char *list) {
  return (int)SSL_CTX_set1_sigalgs_list(ctx, list);
}

static int set_client_sigalgs(SSL_CTX *ctx, const char *list) {
  return (int)SSL_CTX_set1_client_sigalgs_list(ctx, list);
}

// OpenSSL refuses a list as a whole. The first word it would refuse alone is the one to name.
static void find_refused_word(SSL_CTX *ctx, list_setter *set, const char *list, char *out,
                              size_t size) {
  const char *at = list;
  snprintf(out, size, "%s", list);
  while (*at != '\0') {
    int len = (int)strcspn(at, ":");
    char word[64];
    snprintf(word, sizeof(word), "%.*s", len, at);
    if (!set(ctx, word)) {
      snprintf(out, size, "%s", word);
      return;
    }
    at += len + (at[len] == ':');
  }
}

static status_t apply_list(const struct applying *to, enum tls_setting setting, list_setter *set,
                           const char *list, const char *item) {
  if (!settings_has(to->settings, setting)) {
    return OK_STATUS;
  }
  ERR_clear_error();
  if (set(to->ctx, list)) {
    return OK_STATUS;
  }
  char word[64];
  ERR_set_mark();
  find_refused_word(to->ctx, set, list, word, sizeof(word));
  ERR_pop_to_mark();
  return tls_refuse(to->error, item, "unknown or not usable here: \"%s\"", word);
}

// Words it doesn't know are skipped by OpenSSL itself, as long as one is left.
static status_t apply_ciphers(const struct applying *to) {
  const struct tls_settings *settings = to->settings;
  ERR_clear_error();
  if (settings_has(settings, TLS_SET_CIPHERS) &&
      !SSL_CTX_set_cipher_list(to->ctx, settings->ciphers)) {
    return tls_refuse(to->error, "settings.ciphers", "no cipher can be selected from \"%.100s\"",
                      settings->ciphers);
  }
  return apply_list(to, TLS_SET_CIPHERSUITES, SSL_CTX_set_ciphersuites, settings->ciphersuites,
                    "settings.ciphersuites");
}

static status_t apply_algorithms(const struct applying *to) {
  const struct tls_settings *settings = to->settings;
  TRY(apply_list(to, TLS_SET_GROUPS, set_groups, settings->groups, "settings.groups"));
  TRY(apply_list(to, TLS_SET_SIGALGS, set_sigalgs, settings->sigalgs,
                 "settings.signature_algorithms"));
  return apply_list(to, TLS_SET_CLIENT_SIGALGS, set_client_sigalgs, settings->client_sigalgs,
                    "settings.client_signature_algorithms");
}

static int verify_bits(const struct tls_settings *settings) {
  switch (settings->verify_mode) {
    case TLS_VERIFY_REQUIRED:
      return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    case TLS_VERIFY_OPTIONAL:
      return SSL_VERIFY_PEER;
    case TLS_VERIFY_NONE:
      break;
  }
  return SSL_VERIFY_NONE;
}

static status_t apply_verification(const struct applying *to) {
  const struct tls_settings *settings = to->settings;
  SSL_CTX_set_verify(to->ctx, verify_bits(settings), NULL);
  X509_VERIFY_PARAM *param = SSL_CTX_get0_param(to->ctx);
  X509_VERIFY_PARAM_clear_flags(param, X509_VERIFY_PARAM_get_flags(param));
  if (!X509_VERIFY_PARAM_set_flags(param, settings->verify_flags)) {
    return tls_refuse(to->error, "settings.verify_flags", "refused by OpenSSL");
  }
  X509_VERIFY_PARAM_set_hostflags(param, settings->host_flags);
  if (settings_has(settings, TLS_SET_VERIFY_DEPTH)) {
    SSL_CTX_set_verify_depth(to->ctx, settings->verify_depth);
  }
  return OK_STATUS;
}

static status_t apply_sessions(const struct applying *to) {
  const struct tls_settings *settings = to->settings;
  struct slice context = settings->session_id_context;
  if (to->kind != TLS_CONTEXT_CLIENT &&
      !SSL_CTX_set_session_id_context(to->ctx, context.data, (unsigned)context.len)) {
    return tls_refuse(to->error, "settings.session_id_context", "refused by OpenSSL");
  }
  if (settings_has(settings, TLS_SET_NUM_TICKETS) &&
      !SSL_CTX_set_num_tickets(to->ctx, settings->num_tickets)) {
    return tls_refuse(to->error, "settings.num_tickets", "refused by OpenSSL");
  }
  if (settings_has(settings, TLS_SET_SESSION_TIMEOUT)) {
    SSL_CTX_set_timeout(to->ctx, settings->session_timeout);
  }
  // For OpenSSL a size of 0 is one without bounds.
  bool keeps = settings->session_cache_size > 0 && to->kind != TLS_CONTEXT_CLIENT;
  SSL_CTX_set_session_cache_mode(to->ctx, keeps ? SSL_SESS_CACHE_SERVER : SSL_SESS_CACHE_OFF);
  SSL_CTX_sess_set_cache_size(to->ctx, settings->session_cache_size);
  return OK_STATUS;
}

static EVP_PKEY *decode_dh_params(const struct pem_block *block) {
  const unsigned char *from = block->data;
  if (strcmp(block->name, PEM_STRING_DHPARAMS) == 0) {
    return d2i_KeyParams(EVP_PKEY_DH, NULL, &from, block->len);
  }
  return d2i_KeyParams(EVP_PKEY_DHX, NULL, &from, block->len);
}

static bool is_dh_params(const struct pem_block *block) {
  return strcmp(block->name, PEM_STRING_DHPARAMS) == 0 ||
         strcmp(block->name, PEM_STRING_DHXPARAMS) == 0;
}

static EVP_PKEY *find_dh_params(BIO *reader) {
  EVP_PKEY *params = NULL;
  enum pem_result read = PEM_BLOCK;
  bool found = false;
  while (read == PEM_BLOCK && !found) {
    struct pem_block block;
    read = pem_next(reader, false, &block);
    found = read == PEM_BLOCK && is_dh_params(&block);
    if (found) {
      params = decode_dh_params(&block);
    }
    if (found && params == NULL) {
      ERR_raise(ERR_LIB_PEM, ERR_R_ASN1_LIB);  // as PEM_read_DHparams(3) would
    }
    pem_block_cleanup(&block);
  }
  return params;
}

static EVP_PKEY *read_dh_params(struct slice pem) {
  BIO *reader = pem_open(pem);
  EVP_PKEY *params = reader == NULL ? NULL : find_dh_params(reader);
  BIO_free(reader);
  return params;
}

static status_t apply_dh_params(const struct applying *to) {
  if (!settings_has(to->settings, TLS_SET_DH_PARAMS)) {
    return OK_STATUS;
  }
  ERR_clear_error();
  EVP_PKEY *params = read_dh_params(to->settings->dh_params);
  if (params == NULL) {
    return tls_refuse(to->error, "settings.dh_params",
                      "no Diffie-Hellman parameters in PEM in the bytes");
  }
  // On success they belong to the SSL_CTX.
  if (!SSL_CTX_set0_tmp_dh_pkey(to->ctx, params)) {
    EVP_PKEY_free(params);
    return tls_refuse(to->error, "settings.dh_params", "too weak for the security level");
  }
  return OK_STATUS;
}

static status_t apply_psk_hint(const struct applying *to) {
  if (settings_has(to->settings, TLS_SET_PSK_HINT) &&
      !SSL_CTX_use_psk_identity_hint(to->ctx, to->settings->psk_hint)) {
    return tls_refuse(to->error, "settings.psk_identity_hint", "refused by OpenSSL");
  }
  return OK_STATUS;
}

static uint64_t default_options(void) {
  return (SSL_OP_ALL & ~(uint64_t)SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS) | SSL_OP_NO_SSLv3 |
         SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE;
}

// What is asked for is the whole set; the defaults come on top of OpenSSL's and openssl.cnf's.
static void apply_options(const struct applying *to) {
  bool asked = settings_has(to->settings, TLS_SET_OPTIONS);
  if (asked) {
    SSL_CTX_clear_options(to->ctx, ~to->settings->options);
  }
  SSL_CTX_set_options(to->ctx, asked ? to->settings->options : default_options());
}

status_t settings_apply(SSL_CTX *ctx, enum tls_context_kind kind,
                        const struct tls_settings *settings, struct tls_error *error) {
  const struct applying to = {.ctx = ctx, .kind = kind, .settings = settings, .error = error};
  apply_options(&to);
  TRY(apply_versions(&to));
  TRY(apply_ciphers(&to));
  if (settings_has(settings, TLS_SET_SECURITY_LEVEL)) {
    SSL_CTX_set_security_level(ctx, settings->security_level);
  }
  TRY(apply_algorithms(&to));
  TRY(apply_verification(&to));
  TRY(apply_sessions(&to));
  TRY(apply_dh_params(&to));
  TRY(apply_psk_hint(&to));
  ERR_clear_error();
  return OK_STATUS;
}

// A level that a cipher list named stays when another list, that names none, comes in its place.
void settings_keep_level(SSL_CTX *ctx, struct tls_settings *settings) {
  if (settings_names_level(settings)) {
    settings->security_level = SSL_CTX_get_security_level(ctx);
    settings->present |= TLS_SET_SECURITY_LEVEL;
  }
}

void settings_read_back(SSL_CTX *ctx, struct tls_settings *settings) {
  settings->min_version = (int)SSL_CTX_get_min_proto_version(ctx);
  settings->max_version = (int)SSL_CTX_get_max_proto_version(ctx);
  settings->options = SSL_CTX_get_options(ctx);
  settings->verify_flags = X509_VERIFY_PARAM_get_flags(SSL_CTX_get0_param(ctx));
  settings->host_flags = X509_VERIFY_PARAM_get_hostflags(SSL_CTX_get0_param(ctx));
  int depth = SSL_CTX_get_verify_depth(ctx);
  settings->verify_depth = depth < 0 ? SETTINGS_DEPTH_MAX : depth;  // -1: the default counts
  settings->num_tickets = SSL_CTX_get_num_tickets(ctx);
  settings->session_timeout = SSL_CTX_get_timeout(ctx);
  settings->security_level = SSL_CTX_get_security_level(ctx);
  settings->present |= TLS_SET_MIN_VERSION | TLS_SET_MAX_VERSION | TLS_SET_OPTIONS |
                       TLS_SET_VERIFY_FLAGS | TLS_SET_HOST_FLAGS | TLS_SET_VERIFY_DEPTH |
                       TLS_SET_NUM_TICKETS | TLS_SET_SESSION_TIMEOUT | TLS_SET_SECURITY_LEVEL;
}
