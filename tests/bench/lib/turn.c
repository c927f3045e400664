#include "tests/bench/lib/turn.h"

#include <stdlib.h>

#include "tests/bench/lib/base.h"

// Nothing measured here is done more often in a second.
enum { OPERATIONS_PER_SECOND_MAX = 2000000, SAMPLES_MIN = 1024, SAMPLES_MAX = 32000000 };

bool turn_alloc(struct turn *turn, double seconds) {
  double wanted = seconds * OPERATIONS_PER_SECOND_MAX + SAMPLES_MIN;
  *turn = (struct turn){.max = wanted < SAMPLES_MAX ? (size_t)wanted : SAMPLES_MAX};
  turn->samples = calloc(turn->max, sizeof(*turn->samples));
  return turn->samples != NULL || fail("no memory for %zu samples", turn->max);
}

void turn_free(struct turn *turn) {
  free(turn->samples);
  *turn = (struct turn){0};
}

void turn_begin(struct turn *turn, double seconds) {
  turn->num = 0;
  turn->server_nanos = 0;
  turn->start = now_nanos();
  turn->last = turn->start;
  turn->deadline = turn->start + (uint64_t)(seconds * 1e9);
}

void turn_add_since(struct turn *turn, uint64_t began) {
  turn->last = now_nanos();
  uint64_t took = turn->last - began;
  if (turn->num < turn->max) {
    turn->samples[turn->num++] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
  }
}

static int by_nanos(const void *left, const void *right) {
  uint32_t a = *(const uint32_t *)left;
  uint32_t b = *(const uint32_t *)right;
  return (a > b) - (a < b);
}

struct figures turn_figures(struct turn *turn, uint64_t server_nanos) {
  if (turn->num == 0) {
    return (struct figures){0};
  }
  qsort(turn->samples, turn->num, sizeof(*turn->samples), by_nanos);
  return (struct figures){
      .per_second = (double)turn->num * 1e9 / (double)(turn->last - turn->start),
      .p50_us = turn->samples[turn->num / 2] / 1e3,
      .p99_us = turn->samples[turn->num * 99 / 100] / 1e3,
      .server_cpu_us = (double)server_nanos / 1e3 / (double)turn->num,
  };
}

static int by_value(const void *left, const void *right) {
  double a = *(const double *)left;
  double b = *(const double *)right;
  return (a > b) - (a < b);
}

struct spread spread_of(double *values, size_t num) {
  qsort(values, num, sizeof(*values), by_value);
  return (struct spread){
      .min = values[0],
      .median = (values[(num - 1) / 2] + values[num / 2]) / 2,
      .max = values[num - 1],
  };
}
