#include "client/load/stats.h"

#include <string.h>

#define LOWEST_NANOS  100ULL
#define HIGHEST_NANOS 3600000000000ULL

enum { DIGITS = 3 };

void counts_add(struct counts *counts, const struct counts *other) {
#define X(name, meaning) counts->name += other->name;
  COUNT_TABLE(X)
#undef X
}

bool latencies_init(struct histogram phases[PHASE_COUNT]) {
  bool good = true;
  for (int i = 0; i < PHASE_COUNT; i++) {
    good = histogram_init(&phases[i], LOWEST_NANOS, HIGHEST_NANOS, DIGITS) && good;
  }
  return good;
}

void latencies_cleanup(struct histogram phases[PHASE_COUNT]) {
  for (int i = 0; i < PHASE_COUNT; i++) {
    histogram_cleanup(&phases[i]);
  }
}

bool stats_init(struct stats *stats) {
  memset(stats, 0, sizeof(*stats));
  return latencies_init(stats->phases);
}

void stats_cleanup(struct stats *stats) {
  latencies_cleanup(stats->phases);
}

void stats_add(struct stats *stats, const struct stats *other) {
  counts_add(&stats->counts, &other->counts);
  tally_add(&stats->tally, &other->tally);
  for (int i = 0; i < PHASE_COUNT; i++) {
    histogram_add(&stats->phases[i], &other->phases[i]);
  }
}

void stats_reset(struct stats *stats) {
  stats->counts = (struct counts){0};
  stats->tally = (struct tally){.num_rows = 0};
  for (int i = 0; i < PHASE_COUNT; i++) {
    histogram_reset(&stats->phases[i]);
  }
}
