// What TLS costs a server that has it in its own process: the least that the servers measured by
// tests/bench/peers could cost with the same libssl. Both ends are in one thread, over memory BIOs.
//
//   in_process MEASURE SECONDS      MEASURE: ecdsa, rsa (full handshakes), resumption, down, up
//
// It prints one line of JSON: the CPU microseconds of the server's share of an operation, and how
// many operations make a GiB, where bytes are what counts.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/lib/base.h"
#include "tests/bench/lib/contender.h"

static const double GIB = 1073741824.0;

static const struct measure {
  const char *name;
  const struct kind *kind;
  enum key_kind key;
  size_t num_tickets;  // of a full handshake
  double operations_per_gib;
} measures[] = {
    {"ecdsa", &local_handshake, KEY_ECDSA_P256, 0, 0},
    {"rsa", &local_handshake, KEY_RSA_2048, 0, 0},
    {"resumption", &local_resumption, KEY_ECDSA_P256, 1, 0},
    {"down", &local_down, KEY_ECDSA_P256, 0, GIB / BULK_BYTES},
    {"up", &local_up, KEY_ECDSA_P256, 0, GIB / BULK_BYTES},
};
enum { MEASURES = sizeof(measures) / sizeof(measures[0]) };

static const struct measure *find(const char *name) {
  for (size_t i = 0; i < MEASURES; i++) {
    if (strcmp(measures[i].name, name) == 0) {
      return &measures[i];
    }
  }
  fail("there is no measure %s", name);
  return NULL;
}

// As the servers are set: the same suite for all, tickets only where there is resumption.
static bool set_up(struct stage *stage, const struct measure *measure) {
  if (!identity_make(&stage->identity, measure->key)) {
    return false;
  }
  stage->client = tls_context(NULL);
  stage->server = tls_context(&stage->identity);
  return stage->client != NULL && stage->server != NULL &&
         SSL_CTX_set_ciphersuites(stage->server, "TLS_AES_128_GCM_SHA256") == 1 &&
         SSL_CTX_set_num_tickets(stage->server, measure->num_tickets) == 1;
}

static bool run(const struct stage *stage, const struct measure *measure, struct turn *turn,
                double seconds) {
  void *self = measure->kind->open(stage, 0);
  if (self == NULL) {
    return false;
  }
  turn_begin(turn, seconds / 4);  // caches and allocators settle
  bool good = measure->kind->run(self, turn);
  turn_begin(turn, seconds);
  good = good && measure->kind->run(self, turn);
  measure->kind->close(self);
  return good;
}

int main(int argc, char **argv) {
  const struct measure *measure = argc == 3 ? find(argv[1]) : NULL;
  double seconds = argc == 3 ? strtod(argv[2], NULL) : 0;
  struct stage stage = {0};
  struct turn turn = {0};
  if (measure == NULL || seconds <= 0) {
    fail("takes a measure and seconds: see the head of its source");
    return 2;
  }
  bool good =
      turn_alloc(&turn, seconds) && set_up(&stage, measure) && run(&stage, measure, &turn, seconds);
  if (good) {
    struct figures figures = turn_figures(&turn, turn.server_nanos);
    printf(
        "{\"openssl\": \"%s\", \"operations\": %zu, \"server_cpu_us\": %.4f, "
        "\"operations_per_gib\": %.0f}\n",
        OpenSSL_version(OPENSSL_VERSION), turn.num, figures.server_cpu_us,
        measure->operations_per_gib);
  }
  SSL_CTX_free(stage.client);
  SSL_CTX_free(stage.server);
  identity_free(&stage.identity);
  turn_free(&turn);
  return good ? 0 : 1;
}
