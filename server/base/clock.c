#include "server/base/clock.h"

#include <time.h>

clock_time clock_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * NANOS_PER_SECOND + (uint64_t)now.tv_nsec;
}

void clock_condition_init(pthread_cond_t *condition) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(condition, &attributes);
  pthread_condattr_destroy(&attributes);
}

struct timespec clock_timespec(clock_time when) {
  clock_time latest = clock_add(clock_now(), 365ULL * 24 * 3600 * NANOS_PER_SECOND);
  clock_time time = when < latest ? when : latest;
  return (struct timespec){.tv_sec = (time_t)(time / NANOS_PER_SECOND),
                           .tv_nsec = (long)(time % NANOS_PER_SECOND)};
}
