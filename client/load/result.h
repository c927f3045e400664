// A run, once it is over: what every report is made from.
#ifndef TLSAGENT_CLIENT_LOAD_RESULT_H_
#define TLSAGENT_CLIENT_LOAD_RESULT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "client/load/options.h"
#include "client/load/stats.h"

#ifdef __cplusplus
extern "C" {
#endif

// One second of it, or what was left of the last.
struct sample {
  double at;       // its end, in seconds from the beginning of the measuring
  double seconds;  // its length
  struct counts counts;
  struct sample_phase {
    uint64_t num;
    double p50_nanos;
    double p90_nanos;
    double p99_nanos;
    double most_nanos;
  } phases[PHASE_COUNT];
  uint64_t established;  // connections held at its end
  double cpu_seconds;
};

// What the first handshake agreed on.
struct agreed {
  bool known;
  char version[16];
  char cipher[64];
  char group[48];
  char alpn[64];
};

struct result {
  const struct options *options;
  time_t started;
  double seconds;        // measured; what rates are of
  double drain_seconds;  // after it, until the last straggler of an open loop was done
  bool interrupted;
  struct stats stats;
  double cpu_user;
  double cpu_system;
  struct agreed agreed;
  struct sample *samples;
  size_t num_samples;
  const char *engine;  // who did the TLS
};

// The phase that tells how long operations take: from the intended start in an open loop.
enum phase result_latency_phase(const struct options *options);
// result_rate is operations a second.
double result_rate(const struct result *result);
// result_cleanup frees what it holds.
void result_cleanup(struct result *result);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_RESULT_H_
