#include "server/tls/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>

// An algorithm looked up by name at each use costs OpenSSL 3.0 a lock and a microsecond.
static EVP_MD *sha256;

static void fetch(void) {
  sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

static bool hash(EVP_MD_CTX *context, const struct slice *data, size_t num, uint8_t *out) {
  bool good = EVP_DigestInit_ex(context, sha256, NULL) == 1;
  for (size_t i = 0; good && i < num; i++) {
    good = EVP_DigestUpdate(context, data[i].data, data[i].len) == 1;
  }
  return good && EVP_DigestFinal_ex(context, out, NULL) == 1;
}

status_t digest_of(const struct slice *data, size_t num, uint8_t out[DIGEST_SIZE]) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, fetch);
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  bool good = context != NULL && sha256 != NULL && hash(context, data, num, out);
  EVP_MD_CTX_free(context);
  ENSURE(good, RESOURCE_EXHAUSTED);
  return OK_STATUS;
}
