#include "server/tls/library.h"

#include <assert.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <string.h>

#include "server/tls/context.h"
#include "server/tls/groups.h"
#include "server/tls/kdf_provider.h"
#include "server/tls/openssl_error.h"
#include "server/tls/proof.h"
#include "server/tls/seal.h"
#include "server/tls/secure_heap.h"
#include "server/tls/settings.h"
#include "server/tls/wiping_heap.h"

static const struct tls_constant constants[] = {
#define CONSTANT(name) {#name, (int64_t)(name)},
#include "server/tls/constants.inc"
#undef CONSTANT
};

#ifdef OPENSSL_NO_SSL3
#define HAS_SSL3 false
#else
#define HAS_SSL3 true
#endif
#ifdef OPENSSL_NO_TLS1
#define HAS_TLS1 false
#else
#define HAS_TLS1 true
#endif
#ifdef OPENSSL_NO_TLS1_1
#define HAS_TLS1_1 false
#else
#define HAS_TLS1_1 true
#endif
#ifdef OPENSSL_NO_TLS1_2
#define HAS_TLS1_2 false
#else
#define HAS_TLS1_2 true
#endif
#ifdef OPENSSL_NO_TLS1_3
#define HAS_TLS1_3 false
#else
#define HAS_TLS1_3 true
#endif

static const struct tls_version versions[] = {
    {"ssl3", HAS_SSL3},     {"tls1", HAS_TLS1},     {"tls1.1", HAS_TLS1_1},
    {"tls1.2", HAS_TLS1_2}, {"tls1.3", HAS_TLS1_3},
};

static struct tls_settings default_settings[TLS_CONTEXT_SERVER + 1];

const struct tls_settings *tls_default_settings(enum tls_context_kind kind) {
  assert(kind >= TLS_CONTEXT_BOTH && kind <= TLS_CONTEXT_SERVER);
  return &default_settings[kind];
}

// ---------------------------------------------------------------------------------------------
// Starting.

static status_t start_random(struct tls_error *error) {
  unsigned char taste[16];
  bool ready = RAND_status() == 1 && RAND_bytes(taste, sizeof(taste)) == 1;
  OPENSSL_cleanse(taste, sizeof(taste));
  return ready ? OK_STATUS : tls_refuse(error, "", "OpenSSL's random generator isn't seeded");
}

// Kept for as long as the process lives, and read once.
static status_t keep_defaults(enum tls_context_kind kind, struct tls_context *context) {
  enum { MAX = 1 << 20 };
  static struct arena arenas[TLS_CONTEXT_SERVER + 1];
  struct tls_context_info info;
  if (default_settings[kind].present != 0) {
    return OK_STATUS;
  }
  arena_init(&arenas[kind], MAX);
  TRY(tls_context_describe(context, &arenas[kind], &info));
  default_settings[kind] = info.settings;
  return OK_STATUS;
}

// The first SSL_CTX of each kind fetches the algorithms that all others find ready.
static status_t warm_up(struct tls_error *error) {
  static const enum tls_context_kind kinds[] = {TLS_CONTEXT_BOTH, TLS_CONTEXT_CLIENT,
                                                TLS_CONTEXT_SERVER};
  const struct tls_context_change nothing = {.num_pairs = 0};
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
    struct tls_context *context;
    TRY(tls_context_new(kinds[i], &nothing, &context, error));
    status_t kept = keep_defaults(kinds[i], context);
    tls_context_unref(context);
    if (!status_ok(kept)) {
      return tls_out_of_memory(error);
    }
  }
  return OK_STATUS;
}

status_t tls_library_start(struct tls_error *error) {
  wiping_heap_start();
  secure_heap_start();
  // openssl.cnf is the machine's own policy: providers, lowest version, security level. What
  // contexts set comes on top of it.
  if (!OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, NULL)) {
    return tls_refuse(error, "", "OpenSSL can't start; is openssl.cnf sound?");
  }
  ERR_clear_error();
  kdf_provider_start();
  TRY(start_random(error));
  if (!status_ok(seal_start())) {
    return tls_refuse(error, "", "OpenSSL has no AES-256-GCM, or no memory");
  }
  TRY(proof_start(error));
  return warm_up(error);
}

// ---------------------------------------------------------------------------------------------

static struct tls_library_info library_info;

static void fill_info(void) {
  library_info = (struct tls_library_info){
      .version = OpenSSL_version(OPENSSL_VERSION),
      .version_number = OpenSSL_version_num(),
      .build_number = OPENSSL_VERSION_NUMBER,
      .constants = constants,
      .num_constants = sizeof(constants) / sizeof(constants[0]),
      .versions = versions,
      .num_versions = sizeof(versions) / sizeof(versions[0]),
      .default_ciphers = SETTINGS_DEFAULT_CIPHERS,
      .file_env = X509_get_default_cert_file_env(),
      .file = X509_get_default_cert_file(),
      .directory_env = X509_get_default_cert_dir_env(),
      .directory = X509_get_default_cert_dir(),
      .secure_heap_bytes = secure_heap_bytes(),
      .secure_heap_locked = secure_heap_is_locked(),
  };
  library_info.groups = groups_found(&library_info.num_groups);
}

const struct tls_library_info *tls_library_info(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, fill_info);
  return &library_info;
}

status_t tls_random(void *out, size_t len, struct tls_error *error) {
  ERR_clear_error();
  if (len > INT_MAX) {
    return tls_refuse(error, "length", "too many bytes at once");
  }
  return RAND_bytes(out, (int)len) == 1 ? OK_STATUS
                                        : tls_refuse(error, "", "no random bytes to be had");
}

// Credited with nothing: a client can't know how good its bytes are, nor can we.
void tls_add_entropy(struct slice data) {
  if (data.len > 0 && data.len <= INT_MAX) {
    RAND_add(data.data, (int)data.len, 0.0);
  }
}

// ---------------------------------------------------------------------------------------------
// ASN.1 objects.

static status_t describe_object(const ASN1_OBJECT *object, struct arena *arena,
                                struct tls_object *out) {
  char oid[256];
  int nid = OBJ_obj2nid(object);
  ENSURE(nid != NID_undef, NOT_FOUND);
  if (OBJ_obj2txt(oid, sizeof(oid), object, 1) <= 0) {
    oid[0] = '\0';
  }
  *out = (struct tls_object){.nid = nid,
                             .short_name = OBJ_nid2sn(nid),
                             .long_name = OBJ_nid2ln(nid),
                             .oid = arena_string(arena, oid)};
  ENSURE(out->oid != NULL, RESOURCE_EXHAUSTED);
  return OK_STATUS;
}

status_t tls_object_by_nid(int nid, struct arena *arena, struct tls_object *out) {
  const ASN1_OBJECT *object = nid <= 0 ? NULL : OBJ_nid2obj(nid);
  status_t status =
      object == NULL ? status_of(STATUS_NOT_FOUND) : describe_object(object, arena, out);
  ERR_clear_error();
  return status;
}

status_t tls_object_by_text(const char *text, bool oid_only, struct arena *arena,
                            struct tls_object *out) {
  enum {
    LONGEST = 256
  };  // an OID's numbers have no bound, and OpenSSL's time is quadratic in them
  ASN1_OBJECT *object = strlen(text) > LONGEST ? NULL : OBJ_txt2obj(text, oid_only);
  status_t status =
      object == NULL ? status_of(STATUS_NOT_FOUND) : describe_object(object, arena, out);
  ASN1_OBJECT_free(object);
  ERR_clear_error();
  return status;
}
