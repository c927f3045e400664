#include "server/tls/trust_directory.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"
#include "server/tls/digest.h"
#include "server/tls/pem.h"

enum { FILE_NAME_SIZE = 32 };

// One file's certificate or list, as its name says. It is known by its bytes, so that a file that
// was replaced is read again, and one that was not costs no decoding.
struct kept {
  char file[FILE_NAME_SIZE];
  uint8_t digest[DIGEST_SIZE];
  size_t bytes;
  struct pem_object object;
};

struct trust_directory {
  struct tls_directory from;
  atomic_size_t refs;
  pthread_mutex_t mutex;  // guards what follows; not held while a file is read
  struct kept kept[TRUST_DIRECTORY_OBJECTS_MAX];
  size_t num_kept;
  size_t bytes;
  size_t num_replaced;  // since the last store began
  size_t replaced_bytes;
  bool is_full;  // which was logged
};

// What a store searches: the data of its X509_LOOKUP.
struct search {
  struct trust_directory *directories[TLS_TRUST_DIRECTORIES_MAX];
  size_t num;
};

// ---------------------------------------------------------------------------------------------
// Objects: a certificate or a list, the other is NULL.

static void object_ref(struct pem_object object) {
  if (object.certificate != NULL) {
    X509_up_ref(object.certificate);
  }
  if (object.crl != NULL) {
    X509_CRL_up_ref(object.crl);
  }
}

static bool object_store(X509_STORE *store, struct pem_object object) {
  return object.certificate != NULL ? X509_STORE_add_cert(store, object.certificate)
                                    : X509_STORE_add_crl(store, object.crl);
}

static bool object_is_of(struct pem_object object, const X509_NAME *name) {
  const X509_NAME *own = object.certificate != NULL ? X509_get_subject_name(object.certificate)
                                                    : X509_CRL_get_issuer(object.crl);
  return X509_NAME_cmp(own, name) == 0;
}

// ---------------------------------------------------------------------------------------------
// Directories.

struct trust_directory *trust_directory_new(const struct tls_directory *from) {
  struct trust_directory *directory = calloc(1, sizeof(*directory));
  if (directory != NULL) {
    directory->from = *from;
    directory->from.ref(from->owner);
    atomic_init(&directory->refs, 1);
    pthread_mutex_init(&directory->mutex, NULL);
  }
  return directory;
}

void trust_directory_ref(struct trust_directory *directory) {
  atomic_fetch_add_explicit(&directory->refs, 1, memory_order_relaxed);
}

void trust_directory_unref(struct trust_directory *directory) {
  if (directory == NULL ||
      atomic_fetch_sub_explicit(&directory->refs, 1, memory_order_acq_rel) != 1) {
    return;
  }
  for (size_t i = 0; i < directory->num_kept; i++) {
    pem_object_free(directory->kept[i].object);
  }
  pthread_mutex_destroy(&directory->mutex);
  directory->from.unref(directory->from.owner);
  free(directory);
}

bool trust_directory_is(const struct trust_directory *directory, const struct tls_directory *from) {
  return directory->from.device == from->device && directory->from.inode == from->inode;
}

// ---------------------------------------------------------------------------------------------
// One file.

// A file may hold a certificate and a list, and have a name for each.
static bool is_wanted(struct pem_object object, unsigned want) {
  return want == PEM_WANT_CRLS ? object.crl != NULL : object.certificate != NULL;
}

static struct pem_object find_kept(struct trust_directory *directory, const uint8_t *digest,
                                   unsigned want) {
  struct pem_object found = {0};
  pthread_mutex_lock(&directory->mutex);
  for (size_t i = 0; i < directory->num_kept && pem_object_is_nothing(found); i++) {
    if (is_wanted(directory->kept[i].object, want) &&
        memcmp(directory->kept[i].digest, digest, DIGEST_SIZE) == 0) {
      found = directory->kept[i].object;
    }
  }
  object_ref(found);
  pthread_mutex_unlock(&directory->mutex);
  return found;
}

// The place of what the file held before, or a new one, or NULL.
static struct kept *place_of(struct trust_directory *directory, const char *file) {
  size_t at = 0;
  while (at < directory->num_kept && strcmp(directory->kept[at].file, file) != 0) {
    at++;
  }
  return at == TRUST_DIRECTORY_OBJECTS_MAX ? NULL : &directory->kept[at];
}

static bool has_room(const struct trust_directory *directory, const struct kept *place,
                     size_t bytes) {
  return place != NULL && bytes <= TRUST_DIRECTORY_BYTES_MAX - (directory->bytes - place->bytes) &&
         (pem_object_is_nothing(place->object) ||
          (directory->num_replaced < TRUST_DIRECTORY_REPLACED_MAX &&
           place->bytes <= TRUST_DIRECTORY_REPLACED_BYTES_MAX - directory->replaced_bytes));
}

// Takes a reference over from next, and gives the one of what was there before.
static struct pem_object put(struct trust_directory *directory, struct kept *place,
                             const struct kept *next) {
  struct pem_object before = place->object;
  if (pem_object_is_nothing(before)) {
    directory->num_kept++;
  } else {
    directory->num_replaced++;
    directory->replaced_bytes += place->bytes;
  }
  directory->bytes += next->bytes - place->bytes;
  *place = *next;
  return before;
}

// What a file holds now is kept instead of what it held.
static bool keep(struct trust_directory *directory, const struct kept *next) {
  struct pem_object before = {0};
  pthread_mutex_lock(&directory->mutex);
  struct kept *place = place_of(directory, next->file);
  bool room = has_room(directory, place, next->bytes);
  bool is_news = !room && !directory->is_full;
  directory->is_full = directory->is_full || !room;
  if (room) {
    object_ref(next->object);
    before = put(directory, place, next);
  }
  pthread_mutex_unlock(&directory->mutex);
  pem_object_free(before);
  if (is_news) {
    LOG_WARNING(
        "a directory of CA files has no room left in its context: files that are new or "
        "were replaced since are passed over until the context's trust is changed");
  }
  return room;
}

static struct pem_object decode_pem(struct slice data, unsigned want) {
  struct pem_object object = {0};
  BIO *reader = pem_open(data);
  enum pem_result read = reader == NULL ? PEM_DAMAGED : PEM_BLOCK;
  while (read == PEM_BLOCK && pem_object_is_nothing(object)) {
    struct pem_block block;
    read = pem_next(reader, false, &block);
    if (read == PEM_BLOCK) {
      object = pem_decode(&block, want);
    }
    pem_block_cleanup(&block);
  }
  BIO_free(reader);
  return object;
}

static struct pem_object decode_der(struct slice data, unsigned want) {
  struct pem_object object = {0};
  const unsigned char *from = data.data;
  if (want == PEM_WANT_CERTIFICATES) {
    object.certificate = d2i_X509(NULL, &from, (long)data.len);
  } else {
    object.crl = d2i_X509_CRL(NULL, &from, (long)data.len);
  }
  return object;
}

// The first of its kind in the file, if it is of that name.
static struct pem_object decode(struct slice data, unsigned want, const X509_NAME *name) {
  struct pem_object none = {0};
  struct pem_object object = pem_looks_like(data) ? decode_pem(data, want) : decode_der(data, want);
  if (pem_object_is_nothing(object) || object_is_of(object, name)) {
    pem_settle(object);
    return object;
  }
  pem_object_free(object);
  return none;
}

// A reference of what is in the file, or nothing.
static struct pem_object take_file(struct trust_directory *directory, const char *file,
                                   struct slice data, unsigned want, const X509_NAME *name) {
  struct pem_object none = {0};
  struct kept next = {.bytes = data.len};
  if (!status_ok(digest_of(&data, 1, next.digest))) {
    return none;
  }
  struct pem_object object = find_kept(directory, next.digest, want);
  if (!pem_object_is_nothing(object)) {
    return object;
  }
  object = decode(data, want, name);
  snprintf(next.file, sizeof(next.file), "%s", file);
  next.object = object;
  if (!pem_object_is_nothing(object) && !keep(directory, &next)) {
    pem_object_free(object);
    return none;
  }
  return object;
}

// ---------------------------------------------------------------------------------------------
// The search: all files of the name's hash, "1a2b3c4d.0" and up, lists "1a2b3c4d.r0" and up.

struct looking {
  X509_STORE *store;
  const X509_NAME *name;
  unsigned want;
  unsigned long hash;
  uint8_t *buffer;
};

// False when there is no such file, and so no further one.
static bool look_at(const struct looking *looking, struct trust_directory *directory,
                    unsigned suffix) {
  char file[FILE_NAME_SIZE];
  snprintf(file, sizeof(file), "%08lx.%s%u", looking->hash,
           looking->want == PEM_WANT_CRLS ? "r" : "", suffix);
  size_t len = 0;
  if (!directory->from.read(directory->from.owner, file, looking->buffer, TRUST_DIRECTORY_BYTES_MAX,
                            &len)) {
    return false;
  }
  struct pem_object object =
      take_file(directory, file, slice_of(looking->buffer, len), looking->want, looking->name);
  if (!pem_object_is_nothing(object)) {
    (void)object_store(looking->store, object);  // without memory it is not found
    pem_object_free(object);
  }
  return true;
}

static void look_in(const struct looking *looking, struct trust_directory *directory) {
  bool more = true;
  for (unsigned suffix = 0; more && suffix < TRUST_DIRECTORY_SUFFIXES_MAX; suffix++) {
    more = look_at(looking, directory, suffix);
  }
}

static void search_all(const struct search *search, X509_STORE *store, X509_LOOKUP_TYPE type,
                       const X509_NAME *name) {
  int good = 0;
  struct looking looking = {
      .store = store,
      .name = name,
      .want = type == X509_LU_CRL ? PEM_WANT_CRLS : PEM_WANT_CERTIFICATES,
      .hash = X509_NAME_hash_ex(name, NULL, NULL, &good),
      .buffer = malloc(TRUST_DIRECTORY_BYTES_MAX),
  };
  for (size_t i = 0; good && looking.buffer != NULL && i < search->num; i++) {
    look_in(&looking, search->directories[i]);
  }
  free(looking.buffer);
}

// OpenSSL takes no reference of what a search gives: it has to be the store's. What it counts when
// it is put in is given back here.
static bool give(X509_STORE *store, X509_LOOKUP_TYPE type, const X509_NAME *name,
                 X509_OBJECT *out) {
  X509_STORE_lock(store);
  X509_OBJECT *found =
      X509_OBJECT_retrieve_by_subject(X509_STORE_get0_objects(store), type, (X509_NAME *)name);
  struct pem_object object = {0};
  if (found != NULL && type == X509_LU_CRL) {
    object.crl = X509_OBJECT_get0_X509_CRL(found);
    X509_OBJECT_set1_X509_CRL(out, object.crl);
  } else if (found != NULL) {
    object.certificate = X509_OBJECT_get0_X509(found);
    X509_OBJECT_set1_X509(out, object.certificate);
  }
  pem_object_free(object);
  X509_STORE_unlock(store);
  return found != NULL;
}

// Whatever couldn't be read on the way is no error of the handshake's.
static int by_subject(X509_LOOKUP *lookup, X509_LOOKUP_TYPE type, const X509_NAME *name,
                      X509_OBJECT *out) {
  const struct search *search = X509_LOOKUP_get_method_data(lookup);
  X509_STORE *store = X509_LOOKUP_get_store(lookup);
  if (search == NULL || name == NULL || (type != X509_LU_X509 && type != X509_LU_CRL)) {
    return 0;
  }
  ERR_set_mark();
  search_all(search, store, type, name);
  ERR_pop_to_mark();
  return give(store, type, name, out);
}

// ---------------------------------------------------------------------------------------------

static void free_search(X509_LOOKUP *lookup) {
  struct search *search = X509_LOOKUP_get_method_data(lookup);
  for (size_t i = 0; search != NULL && i < search->num; i++) {
    trust_directory_unref(search->directories[i]);
  }
  free(search);
}

static X509_LOOKUP_METHOD *method;

static void make_method(void) {
  method = X509_LOOKUP_meth_new("tlsagent's directories");
  if (method != NULL) {
    X509_LOOKUP_meth_set_get_by_subject(method, by_subject);
    X509_LOOKUP_meth_set_free(method, free_search);
  }
}

static X509_LOOKUP *add_lookup(X509_STORE *store) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make_method);
  return method == NULL ? NULL : X509_STORE_add_lookup(store, method);
}

// What was replaced is in older stores only.
static bool store_kept(struct trust_directory *directory, X509_STORE *store) {
  bool good = true;
  pthread_mutex_lock(&directory->mutex);
  for (size_t i = 0; good && i < directory->num_kept; i++) {
    good = object_store(store, directory->kept[i].object);
  }
  directory->num_replaced = 0;
  directory->replaced_bytes = 0;
  directory->is_full = false;
  pthread_mutex_unlock(&directory->mutex);
  return good;
}

bool trust_directories_attach(struct trust_directory *const *directories, size_t num,
                              X509_STORE *store) {
  struct search *search = calloc(1, sizeof(*search));
  X509_LOOKUP *lookup = search == NULL ? NULL : add_lookup(store);
  if (lookup == NULL || !X509_LOOKUP_set_method_data(lookup, search)) {
    free(search);
    return false;
  }
  bool good = true;
  for (size_t i = 0; i < num; i++) {
    trust_directory_ref(directories[i]);
    search->directories[search->num++] = directories[i];
    good = good && store_kept(directories[i], store);
  }
  return good;
}
