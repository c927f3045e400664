#include "tests/bench/lib/quiet.h"

#include <stdio.h>
#include <unistd.h>

#include "tests/bench/lib/base.h"

// What a cpu has idled so far, waiting for disks included; proc(5) has the columns.
static uint64_t idle_nanos(int cpu) {
  char line[512];
  unsigned number;
  unsigned long long idle;
  unsigned long long disk;
  unsigned long long found = 0;
  FILE *stat = fopen("/proc/stat", "re");
  while (stat != NULL && fgets(line, sizeof(line), stat) != NULL) {
    if (sscanf(line, "cpu%u %*u %*u %*u %llu %llu", &number, &idle, &disk) == 3 &&
        number == (unsigned)cpu) {
      found = idle + disk;
    }
  }
  if (stat != NULL) {
    fclose(stat);
  }
  return found * 1000000000U / (unsigned long)sysconf(_SC_CLK_TCK);
}

void quiet_look(struct quiet *quiet, const int cpus[WATCHED], const uint64_t ours[WATCHED]) {
  quiet->now = now_nanos();
  for (int i = 0; i < WATCHED; i++) {
    quiet->idle[i] = idle_nanos(cpus[i]);
    // Where there is one cpu, all that is ours is on it.
    quiet->ours[i] = cpus[0] == cpus[1] ? ours[0] + ours[1] : ours[i];
  }
}

double quiet_others(const struct quiet *before, const struct quiet *after) {
  double elapsed = (double)(after->now - before->now);
  double most = 0;
  for (int i = 0; i < WATCHED; i++) {
    double idle = (double)(after->idle[i] - before->idle[i]);
    double ours = (double)(after->ours[i] - before->ours[i]);
    double others = (elapsed - idle - ours) / elapsed;
    most = others > most ? others : most;
  }
  return most;
}
