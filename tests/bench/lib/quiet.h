// Is anybody else using our cpus? What they do to caches and wake-ups, figures can't tell from
// ours.
#ifndef TLSAGENT_TESTS_BENCH_LIB_QUIET_H_
#define TLSAGENT_TESTS_BENCH_LIB_QUIET_H_

#include <stdint.h>

enum { WATCHED = 2 };

// One look at both cpus.
struct quiet {
  uint64_t now;
  uint64_t idle[WATCHED];
  uint64_t ours[WATCHED];
};

// quiet_look looks at two cpus, and takes note of what our own processes have used of each.
void quiet_look(struct quiet *quiet, const int cpus[WATCHED], const uint64_t ours[WATCHED]);

// quiet_others returns the larger share of a cpu that others had between two looks, 0 to 1.
// /proc/stat counts in hundredths of a second: over less than a few tenths it says little.
double quiet_others(const struct quiet *before, const struct quiet *after);

#endif  // TLSAGENT_TESTS_BENCH_LIB_QUIET_H_
