#include "server/tls/trust.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/x509err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/list.h"
#include "server/tls/digest.h"
#include "server/tls/openssl_error.h"
#include "server/tls/pem.h"
#include "server/tls/system_trust.h"
#include "server/tls/trust_directory.h"
#include "server/tls/x509.h"

// ---------------------------------------------------------------------------------------------
// The registry: what is in use, found by what it is. It keeps nothing alive; keep() does.

struct shared {
  uint8_t digest[DIGEST_SIZE];
  size_t refs;
  struct list link;
};

// The content of one file, parsed, or a directory.
struct trust_part {
  struct shared shared;
  STACK_OF(X509) * certificates;
  STACK_OF(X509_CRL) * crls;
  struct trust_directory *directory;  // NULL for a file
  size_t bytes;  // of the file, or what the directory may bring; 0 for the system's, which is one
};

struct trust_set {
  struct shared shared;
  struct trust_part *parts[TLS_TRUST_PARTS_MAX];  // by digest, each once
  size_t num_parts;
  X509_STORE *store;
};

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct list registry_parts = {&registry_parts, &registry_parts};
static struct list registry_sets = {&registry_sets, &registry_sets};

static struct shared *find_locked(struct list *registry, const uint8_t *digest) {
  LIST_FOR(it, registry) {
    struct shared *shared = LIST_ENTRY(it, struct shared, link);
    if (memcmp(shared->digest, digest, DIGEST_SIZE) == 0) {
      shared->refs++;
      return shared;
    }
  }
  return NULL;
}

static struct shared *registry_find(struct list *registry, const uint8_t *digest) {
  pthread_mutex_lock(&registry_mutex);
  struct shared *found = find_locked(registry, digest);
  pthread_mutex_unlock(&registry_mutex);
  return found;
}

// Puts a new entry in, or finds that somebody was faster: returns the one that is in.
static struct shared *registry_add(struct list *registry, struct shared *fresh) {
  pthread_mutex_lock(&registry_mutex);
  struct shared *there = find_locked(registry, fresh->digest);
  if (there == NULL) {
    fresh->refs = 1;
    list_push_back(registry, &fresh->link);
    there = fresh;
  }
  pthread_mutex_unlock(&registry_mutex);
  return there;
}

static void registry_ref(struct shared *shared) {
  pthread_mutex_lock(&registry_mutex);
  shared->refs++;
  pthread_mutex_unlock(&registry_mutex);
}

// True when it was the last reference: the entry is out of the registry and the caller frees it.
static bool registry_unref(struct shared *shared) {
  pthread_mutex_lock(&registry_mutex);
  bool last = --shared->refs == 0;
  if (last) {
    list_remove(&shared->link);
  }
  pthread_mutex_unlock(&registry_mutex);
  return last;
}

// ---------------------------------------------------------------------------------------------
// Parts.

static void part_free(struct trust_part *part) {
  if (part != NULL) {
    sk_X509_pop_free(part->certificates, X509_free);
    sk_X509_CRL_pop_free(part->crls, X509_CRL_free);
    trust_directory_unref(part->directory);
    free(part);
  }
}

static void part_unref(struct trust_part *part) {
  if (registry_unref(&part->shared)) {
    part_free(part);
  }
}

static struct trust_part *part_new(const uint8_t *digest) {
  struct trust_part *part = calloc(1, sizeof(*part));
  if (part == NULL) {
    return NULL;
  }
  list_init(&part->shared.link);
  memcpy(part->shared.digest, digest, DIGEST_SIZE);
  part->certificates = sk_X509_new_null();
  part->crls = sk_X509_CRL_new_null();
  if (part->certificates == NULL || part->crls == NULL) {
    part_free(part);
    return NULL;
  }
  return part;
}

static int part_size(const struct trust_part *part) {
  return sk_X509_num(part->certificates) + sk_X509_CRL_num(part->crls);
}

static bool take_object(void *state, struct pem_object object) {
  struct trust_part *part = state;
  pem_settle(object);
  bool room = part_size(part) < TLS_TRUST_OBJECTS_MAX;
  bool kept =
      room && (object.certificate != NULL ? sk_X509_push(part->certificates, object.certificate) > 0
                                          : sk_X509_CRL_push(part->crls, object.crl) > 0);
  if (!kept) {
    pem_object_free(object);
  }
  return kept;
}

// As X509_load_cert_crl_file(3) and X509_load_crl_file(3) say of a file with nothing in it for
// them.
static status_t refuse_empty(const char *item, unsigned want, struct tls_error *error) {
  ERR_clear_error();
  return (want & PEM_WANT_CERTIFICATES) != 0
             ? tls_refuse_as(error, ERR_PACK(ERR_LIB_X509, 0, X509_R_NO_CERTIFICATE_OR_CRL_FOUND),
                             item, "no certificate in the bytes")
             : tls_refuse_as(error, ERR_PACK(ERR_LIB_X509, 0, X509_R_NO_CRL_FOUND), item,
                             "no revocation list in the bytes");
}

// A block of PEM that can't be read is X509_load_cert_crl_file(3)'s PEM lib, whatever is wrong with
// it; of DER it is what d2i_X509_bio(3) says.
static status_t refuse_damaged(const struct trust_part *part, struct slice data, const char *item,
                               unsigned want, struct tls_error *error) {
  unsigned long code =
      pem_looks_like(data) ? ERR_PACK(ERR_LIB_X509, 0, ERR_R_PEM_LIB) : ERR_peek_last_error();
  const char *what = (want & PEM_WANT_CERTIFICATES) != 0 ? "certificate" : "revocation list";
  if (part_size(part) == 0) {
    return tls_refuse_as(error, code, item, "no %s in the bytes", what);
  }
  const char *reason = ERR_reason_error_string(ERR_peek_last_error());
  char place[48];
  snprintf(place, sizeof(place), "%s[%d]", item, part_size(part));
  return tls_refuse_as(error, code, place, "%s %d can't be read%s%s", what, part_size(part) + 1,
                       reason == NULL ? "" : ": ", reason == NULL ? "" : reason);
}

static status_t part_parse(struct trust_part *part, struct slice data, unsigned want,
                           const char *item, struct tls_error *error) {
  switch (pem_each(data, want, take_object, part)) {
    case PEM_EACH_DAMAGED:
      return refuse_damaged(part, data, item, want, error);
    case PEM_EACH_STOPPED:
      return tls_refuse(error, item, "more than %d certificates and lists", TLS_TRUST_OBJECTS_MAX);
    case PEM_EACH_DONE:
      break;
  }
  return part_size(part) == 0 ? refuse_empty(item, want, error) : OK_STATUS;
}

// Bundles stay parsed for a while when nobody uses them: they are what short-lived clients come
// back for, and take OpenSSL 20 ms. Small files don't, and large ones would be a cost that nobody
// is charged with.
static bool is_bundle(const struct trust_part *part, size_t bytes) {
  enum { LEAST = 32 << 10, MOST = 1 << 20 };
  return part->directory == NULL && bytes >= LEAST && bytes <= MOST;
}

static void keep(struct trust_part *part) {
  enum { KEPT_MAX = 4 };
  static struct trust_part *kept[KEPT_MAX];  // guarded by the registry's mutex, as is oldest
  static size_t oldest;
  struct trust_part *dropped = NULL;
  bool is_kept = false;
  pthread_mutex_lock(&registry_mutex);
  for (size_t i = 0; i < KEPT_MAX; i++) {
    is_kept = is_kept || kept[i] == part;
  }
  if (!is_kept) {
    dropped = kept[oldest];
    kept[oldest] = part;
    oldest = (oldest + 1) % KEPT_MAX;
    part->shared.refs++;
  }
  pthread_mutex_unlock(&registry_mutex);
  if (dropped != NULL) {
    part_unref(dropped);
  }
}

static status_t part_share(struct trust_part *part, struct trust_part **out) {
  ERR_clear_error();
  struct shared *there = registry_add(&registry_parts, &part->shared);
  if (there != &part->shared) {
    part_free(part);
  }
  *out = LIST_ENTRY(there, struct trust_part, shared);
  return OK_STATUS;
}

static status_t part_of_bytes(struct slice data, unsigned want, const char *item,
                              struct trust_part **out, struct tls_error *error) {
  const uint8_t kind = (uint8_t)want;
  const struct slice content[] = {slice_of(&kind, sizeof(kind)), data};
  uint8_t digest[DIGEST_SIZE];
  if (!status_ok(digest_of(content, 2, digest))) {
    return tls_out_of_memory(error);
  }
  struct shared *found = registry_find(&registry_parts, digest);
  if (found != NULL) {
    *out = LIST_ENTRY(found, struct trust_part, shared);
    return OK_STATUS;
  }
  struct trust_part *part = part_new(digest);
  if (part == NULL) {
    return tls_out_of_memory(error);
  }
  part->bytes = data.len;
  status_t parsed = part_parse(part, data, want, item, error);
  if (!status_ok(parsed)) {
    part_free(part);
    return parsed;
  }
  TRY(part_share(part, out));
  if (is_bundle(*out, data.len)) {
    keep(*out);
  }
  return OK_STATUS;
}

static status_t part_of_system(const char *item, struct trust_part **out, struct tls_error *error) {
  uint8_t digest[DIGEST_SIZE];
  if (!status_ok(system_trust_digest(digest))) {
    return tls_out_of_memory(error);
  }
  struct shared *found = registry_find(&registry_parts, digest);
  if (found != NULL) {
    *out = LIST_ENTRY(found, struct trust_part, shared);
    return OK_STATUS;
  }
  struct trust_part *part = part_new(digest);
  if (part == NULL || !status_ok(system_trust_read(part->certificates, part->crls))) {
    part_free(part);
    return tls_out_of_memory(error);
  }
  if (part_size(part) == 0) {
    part_free(part);
    return tls_refuse(error, item,
                      "the system trusts no certificate (on Debian: apt-get install "
                      "ca-certificates)");
  }
  TRY(part_share(part, out));
  keep(*out);
  return OK_STATUS;
}

// No two contexts share one: each is to see what its own handshakes have found.
static status_t part_of_directory(const struct tls_directory *from, struct trust_part **out,
                                  struct tls_error *error) {
  static _Atomic uint64_t last_number;
  static const char kind[] = "directory";
  const uint64_t number = atomic_fetch_add(&last_number, 1) + 1;
  const struct slice name[] = {slice_of_string(kind), slice_of(&number, sizeof(number))};
  uint8_t digest[DIGEST_SIZE];
  if (!status_ok(digest_of(name, 2, digest))) {
    return tls_out_of_memory(error);
  }
  struct trust_part *part = part_new(digest);
  struct trust_directory *directory = part == NULL ? NULL : trust_directory_new(from);
  if (directory == NULL) {
    part_free(part);
    return tls_out_of_memory(error);
  }
  part->directory = directory;
  part->bytes = TRUST_DIRECTORY_BYTES_MAX;
  return part_share(part, out);
}

// ---------------------------------------------------------------------------------------------
// Sets.

static void set_free(struct trust_set *set) {
  for (size_t i = 0; i < set->num_parts; i++) {
    part_unref(set->parts[i]);
  }
  X509_STORE_free(set->store);
  free(set);
}

void trust_set_unref(struct trust_set *set) {
  if (set != NULL && registry_unref(&set->shared)) {
    set_free(set);
  }
}

struct trust_set *trust_set_ref(struct trust_set *set) {
  registry_ref(&set->shared);
  return set;
}

// Takes over the caller's reference. Parts are kept in the order of their digests, each once, so
// that the same trust given in another order is the same set.
static void set_insert(struct trust_set *set, struct trust_part *part) {
  size_t at = 0;
  int compared = 1;
  assert(part != NULL);
  while (at < set->num_parts && compared > 0) {
    compared = memcmp(part->shared.digest, set->parts[at]->shared.digest, DIGEST_SIZE);
    at += compared > 0;
  }
  if (at < set->num_parts && compared == 0) {
    part_unref(part);
    return;
  }
  memmove(&set->parts[at + 1], &set->parts[at], (set->num_parts - at) * sizeof(set->parts[0]));
  set->parts[at] = part;
  set->num_parts++;
}

static status_t check_room(const struct trust_set *set, const char *item, struct tls_error *error) {
  return set->num_parts < TLS_TRUST_PARTS_MAX
             ? OK_STATUS
             : tls_refuse(error, item, "more than %d files of trust", TLS_TRUST_PARTS_MAX);
}

static status_t check_bytes(const struct trust_set *set, size_t max, const char *item,
                            struct tls_error *error) {
  size_t sum = 0;
  for (size_t i = 0; i < set->num_parts; i++) {
    sum += set->parts[i]->bytes;
  }
  return max == 0 || sum <= max
             ? OK_STATUS
             : tls_refuse(error, item, "%zu bytes of trust in all, and %zu are allowed", sum, max);
}

static status_t add_parts(struct trust_set *set, const struct slice *data, size_t num,
                          unsigned want, const char *name, struct tls_error *error) {
  for (size_t i = 0; i < num; i++) {
    char item[48];
    struct trust_part *part = NULL;
    snprintf(item, sizeof(item), "%s[%zu]", name, i);
    TRY(check_room(set, item, error));
    TRY(part_of_bytes(data[i], want, item, &part, error));
    set_insert(set, part);
  }
  return OK_STATUS;
}

static status_t add_system(struct trust_set *set, const char *item, struct tls_error *error) {
  struct trust_part *part = NULL;
  TRY(check_room(set, item, error));
  TRY(part_of_system(item, &part, error));
  set_insert(set, part);
  return OK_STATUS;
}

static size_t list_directories(const struct trust_set *set, struct trust_directory **out) {
  size_t num = 0;
  for (size_t i = 0; i < set->num_parts; i++) {
    if (set->parts[i]->directory != NULL) {
      out[num++] = set->parts[i]->directory;
    }
  }
  return num;
}

static bool has_directory(struct trust_directory *const *directories, size_t num,
                          const struct tls_directory *wanted) {
  for (size_t i = 0; i < num; i++) {
    if (trust_directory_is(directories[i], wanted)) {
      return true;
    }
  }
  return false;
}

static status_t add_directory(struct trust_set *set, const struct tls_directory *from,
                              const char *item, struct tls_error *error) {
  struct trust_directory *there[TLS_TRUST_DIRECTORIES_MAX];
  struct trust_part *part = NULL;
  size_t num = list_directories(set, there);
  if (has_directory(there, num, from)) {
    return OK_STATUS;
  }
  if (num == TLS_TRUST_DIRECTORIES_MAX) {
    return tls_refuse(error, item, "more than %d directories", TLS_TRUST_DIRECTORIES_MAX);
  }
  TRY(check_room(set, item, error));
  TRY(part_of_directory(from, &part, error));
  set_insert(set, part);
  return OK_STATUS;
}

static status_t add_directories(struct trust_set *set, const struct tls_trust *more,
                                const char *name, struct tls_error *error) {
  for (size_t i = 0; i < more->num_directories; i++) {
    char item[48];
    snprintf(item, sizeof(item), "%s[%zu]", name, i);
    TRY(add_directory(set, &more->directories[i], item, error));
  }
  return OK_STATUS;
}

static void add_base(struct trust_set *set, const struct trust_set *base) {
  for (size_t i = 0; base != NULL && i < base->num_parts; i++) {
    registry_ref(&base->parts[i]->shared);
    set_insert(set, base->parts[i]);
  }
}

static status_t collect_parts(struct trust_set *set, const struct trust_set *base,
                              const struct tls_trust *more, const struct trust_items *items,
                              struct tls_error *error) {
  add_base(set, base);
  // A file of CA certificates may carry their lists too.
  TRY(add_parts(set, more->certificates, more->num_certificates,
                PEM_WANT_CERTIFICATES | PEM_WANT_CRLS, items->certificates, error));
  TRY(add_parts(set, more->crls, more->num_crls, PEM_WANT_CRLS, items->crls, error));
  TRY(add_directories(set, more, items->directories, error));
  TRY(check_bytes(set, more->max_bytes, items->certificates, error));
  return more->system ? add_system(set, items->system, error) : OK_STATUS;
}

static status_t set_digest(struct trust_set *set) {
  struct slice digests[TLS_TRUST_PARTS_MAX];
  for (size_t i = 0; i < set->num_parts; i++) {
    digests[i] = slice_of(set->parts[i]->shared.digest, DIGEST_SIZE);
  }
  return digest_of(digests, set->num_parts, set->shared.digest);
}

static bool store_part(X509_STORE *store, const struct trust_part *part) {
  for (int i = 0; i < sk_X509_num(part->certificates); i++) {
    if (!X509_STORE_add_cert(store, sk_X509_value(part->certificates, i))) {
      return false;
    }
  }
  for (int i = 0; i < sk_X509_CRL_num(part->crls); i++) {
    if (!X509_STORE_add_crl(store, sk_X509_CRL_value(part->crls, i))) {
      return false;
    }
  }
  return true;
}

static status_t set_check_size(const struct trust_set *set, const struct trust_items *items,
                               struct tls_error *error) {
  int total = 0;
  for (size_t i = 0; i < set->num_parts; i++) {
    total += part_size(set->parts[i]);
  }
  return total > TLS_TRUST_OBJECTS_MAX
             ? tls_refuse(error, items->certificates, "more than %d certificates and lists in all",
                          TLS_TRUST_OBJECTS_MAX)
             : OK_STATUS;
}

static bool store_directories(struct trust_set *set) {
  struct trust_directory *directories[TLS_TRUST_DIRECTORIES_MAX];
  size_t num = list_directories(set, directories);
  return num == 0 || trust_directories_attach(directories, num, set->store);
}

static status_t set_build_store(struct trust_set *set, struct tls_error *error) {
  set->store = X509_STORE_new();
  bool good = set->store != NULL;
  for (size_t i = 0; good && i < set->num_parts; i++) {
    good = store_part(set->store, set->parts[i]);
  }
  if (!good || !store_directories(set)) {
    return tls_out_of_memory(error);
  }
  ERR_clear_error();
  return OK_STATUS;
}

// Gives the set that is in the registry for these parts, which may be this one.
static status_t set_share(struct trust_set *set, const struct trust_items *items,
                          struct trust_set **out, struct tls_error *error) {
  struct shared *found = registry_find(&registry_sets, set->shared.digest);
  if (found == NULL) {
    TRY(set_check_size(set, items, error));
    TRY(set_build_store(set, error));
    found = registry_add(&registry_sets, &set->shared);
  }
  *out = LIST_ENTRY(found, struct trust_set, shared);
  return OK_STATUS;
}

static status_t set_make(struct trust_set *set, const struct trust_set *base,
                         const struct tls_trust *more, const struct trust_items *items,
                         struct trust_set **out, struct tls_error *error) {
  TRY(collect_parts(set, base, more, items, error));
  if (!status_ok(set_digest(set))) {
    return tls_out_of_memory(error);
  }
  return set_share(set, items, out, error);
}

status_t trust_set_extend(const struct trust_set *base, const struct tls_trust *more,
                          const struct trust_items *items, struct trust_set **out,
                          struct tls_error *error) {
  struct trust_set *set = calloc(1, sizeof(*set));
  if (set == NULL) {
    return tls_out_of_memory(error);
  }
  list_init(&set->shared.link);
  *out = NULL;
  status_t status = set_make(set, base, more, items, out, error);
  if (*out != set) {
    set_free(set);
  }
  return status;
}

X509_STORE *trust_set_store(const struct trust_set *set) {
  return set->store;
}

// ---------------------------------------------------------------------------------------------
// What is in it. A search by a handshake may sort the store's stack and add to it, under its lock.

static void count_object(struct tls_trust_counts *counts, const X509_OBJECT *object) {
  X509 *certificate = X509_OBJECT_get0_X509(object);
  if (certificate != NULL) {
    counts->certificates++;
    counts->ca_certificates += X509_check_ca(certificate) > 0;
  } else {
    counts->crls++;
  }
}

static struct tls_trust_counts count_locked(const struct trust_set *set) {
  struct tls_trust_counts counts = {0};
  STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(set->store);
  for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
    count_object(&counts, sk_X509_OBJECT_value(objects, i));
  }
  return counts;
}

struct tls_trust_counts trust_set_counts(const struct trust_set *set) {
  X509_STORE_lock(set->store);
  struct tls_trust_counts counts = count_locked(set);
  X509_STORE_unlock(set->store);
  return counts;
}

static status_t list_locked(const struct trust_set *set, struct arena *arena,
                            struct slice **out_der, size_t *out_num) {
  STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(set->store);
  *out_der = arena_array(arena, count_locked(set).ca_certificates, sizeof(**out_der));
  ENSURE(*out_der != NULL, RESOURCE_EXHAUSTED);
  for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
    X509 *certificate = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
    if (certificate != NULL && X509_check_ca(certificate) > 0) {
      TRY(x509_der(certificate, arena, &(*out_der)[*out_num]));
      (*out_num)++;
    }
  }
  return OK_STATUS;
}

status_t trust_set_certificates(const struct trust_set *set, struct arena *arena,
                                struct slice **out_der, size_t *out_num) {
  *out_num = 0;
  X509_STORE_lock(set->store);
  status_t status = list_locked(set, arena, out_der, out_num);
  X509_STORE_unlock(set->store);
  return status;
}
