#include "server/tls/groups.h"

#include <openssl/err.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

// What OpenSSL 3.0 to 3.5 may have, in the order of 3.5's preference. There is no way to ask 3.0
// for a list.
static const char *const candidates[] = {
    "X25519MLKEM768",
    "SecP256r1MLKEM768",
    "SecP384r1MLKEM1024",
    "MLKEM512",
    "MLKEM768",
    "MLKEM1024",
    "X25519",
    "P-256",
    "X448",
    "P-384",
    "P-521",
    "ffdhe2048",
    "ffdhe3072",
    "ffdhe4096",
    "ffdhe6144",
    "ffdhe8192",
    "brainpoolP256r1",
    "brainpoolP384r1",
    "brainpoolP512r1",
    "brainpoolP256r1tls13",
    "brainpoolP384r1tls13",
    "brainpoolP512r1tls13",
    "secp256k1",
};

enum { NUM_CANDIDATES = sizeof(candidates) / sizeof(candidates[0]) };

static const char *found[NUM_CANDIDATES];
static size_t num_found;
static char joined[NUM_CANDIDATES * 24];

static void try_each(SSL_CTX *ctx) {
  size_t used = 0;
  for (size_t i = 0; i < NUM_CANDIDATES; i++) {
    if (SSL_CTX_set1_groups_list(ctx, candidates[i])) {
      used += (size_t)snprintf(joined + used, sizeof(joined) - used, "%s%s", used == 0 ? "" : ":",
                               candidates[i]);
      found[num_found++] = candidates[i];
    }
  }
}

static void find(void) {
  SSL_CTX *ctx = SSL_CTX_new(TLS_method());
  if (ctx != NULL) {
    try_each(ctx);
    SSL_CTX_free(ctx);
  }
  ERR_clear_error();
}

static void find_once(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, find);
}

const char *const *groups_found(size_t *out_num) {
  find_once();
  *out_num = num_found;
  return found;
}

const char *groups_all(void) {
  find_once();
  return joined;
}
