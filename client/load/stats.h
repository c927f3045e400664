// What one worker has measured, or all of them together.
#ifndef TLSAGENT_CLIENT_LOAD_STATS_H_
#define TLSAGENT_CLIENT_LOAD_STATS_H_

#include <stdbool.h>
#include <stdint.h>

#include "client/load/histogram.h"
#include "client/load/phase.h"
#include "client/load/tally.h"

#ifdef __cplusplus
extern "C" {
#endif

// COUNT_TABLE lists what is counted: X(name, meaning).
#define COUNT_TABLE(X)                                                   \
  X(operations, "operations done")                                       \
  X(opened, "connections begun")                                         \
  X(established, "handshakes done")                                      \
  X(resumed, "of them by resumption")                                    \
  X(failed, "connections that failed before they were established")      \
  X(errors, "operations and connections that failed")                    \
  X(late, "operations that found no free connection when they were due") \
  X(missed, "of them never begun")                                       \
  X(given_up, "operations under way at the end that were given up")      \
  X(bytes_in, "plaintext read")                                          \
  X(bytes_out, "plaintext written")

struct counts {
#define X(name, meaning) uint64_t name;
  COUNT_TABLE(X)
#undef X
};

// counts_add adds other to counts.
void counts_add(struct counts *counts, const struct counts *other);

struct stats {
  struct counts counts;
  struct histogram phases[PHASE_COUNT];
  struct tally tally;
};

// stats_init makes empty stats. False without memory.
bool stats_init(struct stats *stats);
void stats_cleanup(struct stats *stats);
void stats_add(struct stats *stats, const struct stats *other);
void stats_reset(struct stats *stats);

// latencies_init makes empty histograms of latencies in nanoseconds, one for each phase: up to 1 h
// with three digits, in steps of no less than 64 ns. False without memory; clean up in any case.
bool latencies_init(struct histogram phases[PHASE_COUNT]);
void latencies_cleanup(struct histogram phases[PHASE_COUNT]);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_STATS_H_
