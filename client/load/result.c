#include "client/load/result.h"

#include <stdlib.h>

double result_rate(const struct result *result) {
  return result->seconds > 0 ? (double)result->stats.counts.operations / result->seconds : 0;
}

void result_cleanup(struct result *result) {
  stats_cleanup(&result->stats);
  free(result->samples);
}
