#include "server/tls/kdf_provider.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "server/tls/tls13_kdf.h"

// Before "default" by the alphabet, by which OpenSSL sorts providers now and then: see start().
#define NAME "agent"
// A property of its own, that takes the place of none that openssl.cnf has a wish about.
#define PROPERTY "tlsagent.kdf=yes"

// ---------------------------------------------------------------------------------------------
// The algorithm (EVP_KDF-TLS13_KDF(7)). libssl gives all parameters with the derivation itself: no
// context has to keep any.

struct request {
  const struct tls13_kdf_hash *hash;
  int mode;
  struct slice key, salt, data;
  bool has_key, has_salt;
  struct tls13_kdf_label label;
};

static bool is(const OSSL_PARAM *param, const char *name) {
  return strcmp(param->key, name) == 0;
}

// Names of digests come with a NUL behind them, whether their length counts it or not.
static bool take(const OSSL_PARAM *param, struct request *out) {
  struct slice data = slice_of(param->data, param->data_size);
  if (is(param, OSSL_KDF_PARAM_MODE)) {
    return OSSL_PARAM_get_int(param, &out->mode) == 1;
  }
  if (is(param, OSSL_KDF_PARAM_DIGEST)) {
    out->hash = tls13_kdf_hash(param->data);
  } else if (is(param, OSSL_KDF_PARAM_KEY)) {
    out->key = data;
    out->has_key = true;
  } else if (is(param, OSSL_KDF_PARAM_SALT)) {
    out->salt = data;
    out->has_salt = true;
  } else if (is(param, OSSL_KDF_PARAM_PREFIX)) {
    out->label.prefix = data;
  } else if (is(param, OSSL_KDF_PARAM_LABEL)) {
    out->label.label = data;
  } else if (is(param, OSSL_KDF_PARAM_DATA)) {
    out->data = data;
  }
  return true;
}

static int derive(void *context, unsigned char *out, size_t len, const OSSL_PARAM params[]) {
  struct request request = {.mode = -1};
  (void)context;
  for (const OSSL_PARAM *at = params; at != NULL && at->key != NULL; at++) {
    if (!take(at, &request)) {
      return 0;
    }
  }
  if (request.hash == NULL) {
    return 0;
  }
  switch (request.mode) {
    case EVP_KDF_HKDF_MODE_EXPAND_ONLY:
      return tls13_kdf_expand(request.hash, request.key, &request.label, request.data, out, len);
    case EVP_KDF_HKDF_MODE_EXTRACT_ONLY:
      return tls13_kdf_extract(request.hash, request.has_salt ? &request.salt : NULL,
                               &request.label, request.has_key ? &request.key : NULL, out, len);
    default:
      return 0;
  }
}

// A context of no state: any address but NULL will do.
static void *context_new(void *provider) {
  return provider;
}

static void context_free(void *context) {
  (void)context;
}

static void context_reset(void *context) {
  (void)context;
}

// What could be set before a derivation would be forgotten: better to say so.
static int set_params(void *context, const OSSL_PARAM params[]) {
  (void)context;
  return params == NULL || params->key == NULL;
}

static const OSSL_PARAM *settable_params(void *context, void *provider) {
  static const OSSL_PARAM none[] = {OSSL_PARAM_END};
  (void)context;
  (void)provider;
  return none;
}

#define FUNCTION(id, function) \
  { id, (void (*)(void))(function) }

static const OSSL_DISPATCH kdf_functions[] = {
    FUNCTION(OSSL_FUNC_KDF_NEWCTX, context_new),
    FUNCTION(OSSL_FUNC_KDF_FREECTX, context_free),
    FUNCTION(OSSL_FUNC_KDF_RESET, context_reset),
    FUNCTION(OSSL_FUNC_KDF_DERIVE, derive),
    FUNCTION(OSSL_FUNC_KDF_SET_CTX_PARAMS, set_params),
    FUNCTION(OSSL_FUNC_KDF_SETTABLE_CTX_PARAMS, settable_params),
    {0, NULL},
};

// ---------------------------------------------------------------------------------------------
// The provider.

static const OSSL_ALGORITHM *query_operation(void *provider, int operation, int *no_store) {
  static const OSSL_ALGORITHM kdfs[] = {
      {OSSL_KDF_NAME_TLS1_3_KDF, "provider=" NAME "," PROPERTY, kdf_functions, NULL},
      {NULL, NULL, NULL, NULL}};
  (void)provider;
  *no_store = 0;
  return operation == OSSL_OP_KDF ? kdfs : NULL;
}

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                         const OSSL_DISPATCH **out, void **out_provider) {
  static const OSSL_DISPATCH functions[] = {
      FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query_operation), {0, NULL}};
  static char provider;
  (void)handle;
  (void)in;
  *out = functions;
  *out_provider = &provider;
  return 1;
}

static const char *query;

// It is for what was tried: the libssl of 3.0, which gives all parameters at once. Later ones look
// up less by themselves. FIPS 140 has no use for algorithms of ours, and nobody has who left out
// OpenSSL's own provider.
static bool is_welcome(void) {
  return OpenSSL_version_num() < 0x30100000L && OSSL_PROVIDER_available(NULL, "default") == 1 &&
         OSSL_PROVIDER_available(NULL, "fips") == 0;
}

// Whoever doesn't say whose algorithm he wants gets that of the provider that OpenSSL asked first.
static bool comes_first(void) {
  EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_3_KDF, NULL);
  bool ours = kdf != NULL && strcmp(OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(kdf)), NAME) == 0;
  EVP_KDF_free(kdf);
  return ours;
}

static OSSL_PROVIDER *loaded;

static void unload(void) {
  if (loaded != NULL) {
    OSSL_PROVIDER_unload(loaded);
    loaded = NULL;
  }
}

static bool load(void) {
  const int keep_fallbacks = 1;  // the default provider is one, unless openssl.cnf loads it
  if (OSSL_PROVIDER_add_builtin(NULL, NAME, provider_init) == 1) {
    loaded = OSSL_PROVIDER_try_load(NULL, NAME, keep_fallbacks);
  }
  return loaded != NULL && OPENSSL_atexit(unload) == 1;
}

// To ask by a query costs a handshake 2 %: the query goes along with each look-up of any algorithm.
static void start(void) {
  if (!load() || !is_welcome()) {
    unload();
  } else if (!comes_first()) {
    query = "?" PROPERTY;
  }
  ERR_clear_error();
}

void kdf_provider_start(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, start);
}

const char *kdf_provider_query(void) {
  return query;
}
