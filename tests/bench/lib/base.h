// What every part of the benchmark needs: to say why it failed, to tell time, to stay on its cpu.
#ifndef TLSAGENT_TESTS_BENCH_LIB_BASE_H_
#define TLSAGENT_TESTS_BENCH_LIB_BASE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { PAYLOAD_BYTES = 64 };

// fail prints one line on stderr and returns false: `return fail("...")`.
bool fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// clock_nanos reads a clock. A process's CPU clock of clock_getcpuclockid(3) is one too.
uint64_t clock_nanos(clockid_t clock);

// now_nanos is the time for measuring how long something took.
static inline uint64_t now_nanos(void) {
  return clock_nanos(CLOCK_MONOTONIC);
}

// pin keeps the calling thread, and what it forks, on one cpu.
bool pin(int cpu);

// second_cpu returns the last cpu this process may use, and in *out_first the first. They are the
// same where there is only one.
int second_cpu(int *out_first);

#endif  // TLSAGENT_TESTS_BENCH_LIB_BASE_H_
