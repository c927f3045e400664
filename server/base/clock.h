// Time as the daemon counts it: nanoseconds of CLOCK_MONOTONIC.
#ifndef TLSAGENT_SERVER_BASE_CLOCK_H_
#define TLSAGENT_SERVER_BASE_CLOCK_H_

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

// A point in time. CLOCK_NEVER is later than every other.
typedef uint64_t clock_time;

#define CLOCK_NEVER      UINT64_MAX
#define NANOS_PER_SECOND 1000000000ULL
#define NANOS_PER_MILLI  1000000ULL

clock_time clock_now(void);

// clock_add returns now + nanos, or CLOCK_NEVER when that does not fit.
static inline clock_time clock_add(clock_time now, uint64_t nanos) {
  return nanos > CLOCK_NEVER - now ? CLOCK_NEVER : now + nanos;
}

// clock_condition_init makes a condition whose timed waits are measured by this clock;
// clock_timespec is until when one waits, a year at most.
void clock_condition_init(pthread_cond_t *condition);
struct timespec clock_timespec(clock_time when);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_BASE_CLOCK_H_
