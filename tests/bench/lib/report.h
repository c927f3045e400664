// What was measured, for a person or for a program.
#ifndef TLSAGENT_TESTS_BENCH_LIB_REPORT_H_
#define TLSAGENT_TESTS_BENCH_LIB_REPORT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "tests/bench/lib/turn.h"

// One contender over all rounds.
struct row {
  const char *name;   // for programs: "ping-64-raw"
  const char *title;  // of the part of the table that begins here, or NULL
  const char *label;
  unsigned calls;  // round trips of one operation
  struct spread per_second;
  struct spread p50_us;
  struct spread p99_us;
  struct spread server_cpu_us;  // zeros: can't be told
};

// One contender against another, round by round.
struct ratio {
  const char *name;
  const char *label;
  double of_medians;
  struct spread by_round;
  double aim;  // the issue's; 0: it has none
};

// On what it was measured.
struct setting {
  int daemon_cpu;
  int client_cpu;
  unsigned rounds;
  double seconds;
  const char *daemon;  // the program, or NULL
};

// report_setting prints the head of the table, before anything is measured.
void report_setting(FILE *out, const struct setting *setting);
void report_table(FILE *out, const struct row *rows, size_t num_rows, const struct ratio *ratios,
                  size_t num_ratios);
void report_json(FILE *out, const struct setting *setting, const struct row *rows, size_t num_rows,
                 const struct ratio *ratios, size_t num_ratios);

#endif  // TLSAGENT_TESTS_BENCH_LIB_REPORT_H_
