// When the operations of an open loop are meant to begin, whatever became of those before.
#ifndef TLSAGENT_CLIENT_LOAD_SCHEDULE_H_
#define TLSAGENT_CLIENT_LOAD_SCHEDULE_H_

#include <stdint.h>

#include "server/base/clock.h"

#ifdef __cplusplus
extern "C" {
#endif

// Even spacing at rate; within the ramp the rate grows evenly from nothing. Workers take turns: one
// of num_shares has every num_shares-th operation, its own number first.
struct schedule {
  clock_time start;
  double rate;  // a second, of all shares together
  uint64_t ramp_nanos;
  unsigned share;
  unsigned num_shares;
};

// schedule_at returns when the share's operation number n, from 0, is to begin.
clock_time schedule_at(const struct schedule *schedule, uint64_t n);

// schedule_find tells which of the operations [first, end) is the first that is due at a time or
// after it; end where none is.
uint64_t schedule_find(const struct schedule *schedule, clock_time when, uint64_t first,
                       uint64_t end);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_SCHEDULE_H_
