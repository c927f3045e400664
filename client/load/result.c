#include "client/load/result.h"

#include <stdlib.h>

enum phase result_latency_phase(const struct options *options) {
  return options->rate > 0 ? PHASE_CORRECTED : PHASE_OPERATION;
}

double result_rate(const struct result *result) {
  return result->seconds > 0 ? (double)result->stats.counts.operations / result->seconds : 0;
}

void result_cleanup(struct result *result) {
  stats_cleanup(&result->stats);
  free(result->samples);
}
