#include "client/load/schedule.h"

#include <math.h>

// While the rate grows, rate * t^2 / (2 * ramp) operations have begun after t.
clock_time schedule_at(const struct schedule *schedule, uint64_t n) {
  double ordinal = (double)n * schedule->num_shares + schedule->share;
  double ramp = (double)schedule->ramp_nanos / NANOS_PER_SECOND;
  double in_ramp = schedule->rate * ramp / 2;
  double seconds = ordinal < in_ramp ? sqrt(2 * ordinal * ramp / schedule->rate)
                                     : ramp + (ordinal - in_ramp) / schedule->rate;
  return clock_add(schedule->start, (uint64_t)(seconds * (double)NANOS_PER_SECOND));
}

uint64_t schedule_find(const struct schedule *schedule, clock_time when, uint64_t first,
                       uint64_t end) {
  while (first < end) {
    uint64_t middle = first + (end - first) / 2;
    if (schedule_at(schedule, middle) >= when) {
      end = middle;
    } else {
      first = middle + 1;
    }
  }
  return first;
}
