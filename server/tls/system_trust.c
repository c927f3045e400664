#include "server/tls/system_trust.h"

#include <ctype.h>
#include <dirent.h>
#include <openssl/err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "server/tls/pem.h"
#include "server/tls/trust.h"

// Most of what is in the directory is in the file too. A block seen before isn't decoded again:
// that is what takes time.
struct seen {
  uint8_t digests[TLS_TRUST_OBJECTS_MAX][DIGEST_SIZE];
  size_t num;
};

struct collection {
  STACK_OF(X509) * certificates;
  STACK_OF(X509_CRL) * crls;
  struct seen *seen;
};

static const char *place(const char *variable, const char *fallback) {
  const char *named = secure_getenv(variable);
  return named != NULL && named[0] != '\0' ? named : fallback;
}

static const char *ca_file(void) {
  return place(X509_get_default_cert_file_env(), X509_get_default_cert_file());
}

static const char *ca_directories(void) {
  return place(X509_get_default_cert_dir_env(), X509_get_default_cert_dir());
}

static bool remember(struct seen *seen, const struct pem_block *block) {
  const struct slice data = slice_of(block->data, (size_t)block->len);
  uint8_t digest[DIGEST_SIZE];
  if (seen->num == TLS_TRUST_OBJECTS_MAX || !status_ok(digest_of(&data, 1, digest))) {
    return false;
  }
  for (size_t i = 0; i < seen->num; i++) {
    if (memcmp(seen->digests[i], digest, DIGEST_SIZE) == 0) {
      return false;
    }
  }
  memcpy(seen->digests[seen->num], digest, DIGEST_SIZE);
  seen->num++;
  return true;
}

static void keep(struct collection *into, struct pem_object object) {
  if (object.certificate != NULL && sk_X509_push(into->certificates, object.certificate) <= 0) {
    X509_free(object.certificate);
  }
  if (object.crl != NULL && sk_X509_CRL_push(into->crls, object.crl) <= 0) {
    X509_CRL_free(object.crl);
  }
}

static void read_blocks(struct collection *into, BIO *reader) {
  enum pem_result result = PEM_BLOCK;
  while (result == PEM_BLOCK) {
    struct pem_block block;
    result = pem_next(reader, false, &block);
    if (result == PEM_BLOCK && remember(into->seen, &block)) {
      keep(into, pem_decode(&block, PEM_WANT_CERTIFICATES | PEM_WANT_CRLS));
    }
    pem_block_cleanup(&block);
  }
}

static void read_file(struct collection *into, const char *path) {
  BIO *reader = BIO_new_file(path, "r");
  if (reader != NULL) {
    read_blocks(into, reader);
    BIO_free(reader);
  }
  ERR_clear_error();
}

// openssl-rehash(1) names certificates 8 hexadecimal digits and a number, lists the same with an r.
static bool is_hashed_name(const char *name) {
  size_t at = 0;
  while (at < 8 && isxdigit((unsigned char)name[at])) {
    at++;
  }
  if (at < 8 || name[at] != '.') {
    return false;
  }
  at += name[at + 1] == 'r' ? 2 : 1;
  size_t digits = strspn(name + at, "0123456789");
  return digits > 0 && name[at + digits] == '\0';
}

static void read_directory(struct collection *into, const char *path) {
  DIR *directory = opendir(path);
  struct dirent *entry;
  while (directory != NULL && (entry = readdir(directory)) != NULL) {
    char file[4096];
    int len = snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
    if (is_hashed_name(entry->d_name) && len > 0 && (size_t)len < sizeof(file)) {
      read_file(into, file);
    }
  }
  if (directory != NULL) {
    closedir(directory);
  }
}

// Calls visit for each directory of a list separated by colons.
static void each_directory(void (*visit)(void *state, const char *path), void *state) {
  const char *at = ca_directories();
  while (*at != '\0') {
    size_t len = strcspn(at, ":");
    char path[4096];
    if (len > 0 && len < sizeof(path)) {
      snprintf(path, sizeof(path), "%.*s", (int)len, at);
      visit(state, path);
    }
    at += len + (at[len] == ':');
  }
}

static void read_one_directory(void *state, const char *path) {
  read_directory(state, path);
}

status_t system_trust_read(STACK_OF(X509) * certificates, STACK_OF(X509_CRL) * crls) {
  struct seen *seen = calloc(1, sizeof(*seen));
  ENSURE(seen != NULL, RESOURCE_EXHAUSTED);
  struct collection into = {.certificates = certificates, .crls = crls, .seen = seen};
  read_file(&into, ca_file());
  each_directory(read_one_directory, &into);
  free(seen);
  return OK_STATUS;
}

// ---------------------------------------------------------------------------------------------

// A place and when it changed.
struct stamp {
  long long seconds, nanoseconds, size, inode;
};

struct stamping {
  status_t status;
  uint8_t digest[DIGEST_SIZE];
};

static void add_stamp(void *state, const char *path) {
  struct stamping *stamping = state;
  struct stat found;
  struct stamp stamp = {0};
  if (stat(path, &found) == 0) {
    stamp = (struct stamp){found.st_mtim.tv_sec, found.st_mtim.tv_nsec, found.st_size,
                           (long long)found.st_ino};
  }
  const struct slice data[] = {slice_of(stamping->digest, DIGEST_SIZE),
                               slice_of(path, strlen(path) + 1), slice_of(&stamp, sizeof(stamp))};
  if (status_ok(stamping->status)) {
    stamping->status = digest_of(data, sizeof(data) / sizeof(data[0]), stamping->digest);
  }
}

status_t system_trust_digest(uint8_t out[DIGEST_SIZE]) {
  struct stamping stamping = {.status = OK_STATUS};
  add_stamp(&stamping, ca_file());
  each_directory(add_stamp, &stamping);
  memcpy(out, stamping.digest, DIGEST_SIZE);
  return stamping.status;
}
