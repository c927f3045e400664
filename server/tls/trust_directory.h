// Directories of hashed CA files (openssl-rehash(1)), searched as handshakes need them: what has
// been found is in the store from then on, and what has not is looked for again. Inside server/tls
// only; any thread.
#ifndef TLSAGENT_SERVER_TLS_TRUST_DIRECTORY_H_
#define TLSAGENT_SERVER_TLS_TRUST_DIRECTORY_H_

#include <openssl/x509_vfy.h>
#include <stdbool.h>

#include "server/base/status.h"
#include "server/tls/context.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  // What one directory may bring into a store, each file as it is now. Past it the rest is as if it
  // weren't there.
  TRUST_DIRECTORY_OBJECTS_MAX = 256,
  TRUST_DIRECTORY_BYTES_MAX = 256 << 10,
  // What is kept besides of files that were replaced: a store gives nothing back before its end, so
  // it has the old ones as well. Past it a file is as it was first found, and that is logged, once
  // for each store: until the trust of the context is changed, which begins another.
  TRUST_DIRECTORY_REPLACED_MAX = 768,
  TRUST_DIRECTORY_REPLACED_BYTES_MAX = 768 << 10,
  // Files of one hash that are looked at in one search.
  TRUST_DIRECTORY_SUFFIXES_MAX = 32
};

struct trust_directory;

// trust_directory_new makes one with one reference, and takes one of from. NULL without memory.
struct trust_directory *trust_directory_new(const struct tls_directory *from);
void trust_directory_ref(struct trust_directory *directory);
void trust_directory_unref(struct trust_directory *directory);  // NULL is fine

// trust_directory_is tells whether it is the directory from.
bool trust_directory_is(const struct trust_directory *directory, const struct tls_directory *from);

// trust_directories_attach has store search the directories, at most TLS_TRUST_DIRECTORIES_MAX, and
// adds what was found in them before. Once for each store. False without memory.
bool trust_directories_attach(struct trust_directory *const *directories, size_t num,
                              X509_STORE *store);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_TRUST_DIRECTORY_H_
