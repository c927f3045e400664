// What time is it, for deadlines?
#ifndef TLSAGENT_CLIENT_C_CLOCK_H_
#define TLSAGENT_CLIENT_C_CLOCK_H_

#include <stdint.h>
#include <time.h>

// tla_clock_ms returns milliseconds of a clock that nobody sets.
static inline uint64_t tla_clock_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#endif  // TLSAGENT_CLIENT_C_CLOCK_H_
