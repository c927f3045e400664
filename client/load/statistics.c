#include "client/load/statistics.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 10000 };

// Shuffling needs no secret, but the same result every time.
struct dice {
  uint64_t state;
};

static uint64_t roll(struct dice *dice) {
  dice->state ^= dice->state << 13;
  dice->state ^= dice->state >> 7;
  dice->state ^= dice->state << 17;
  return dice->state;
}

double statistics_mean(const double *values, size_t num) {
  double sum = 0;
  for (size_t i = 0; i < num; i++) {
    sum += values[i];
  }
  return num == 0 ? 0 : sum / (double)num;
}

static double difference(const double *all, size_t num_a, size_t num_b) {
  return fabs(statistics_mean(all, num_a) - statistics_mean(all + num_a, num_b));
}

// Only who is among the first num_a counts, not their order.
static void deal(struct dice *dice, double *all, size_t num_a, size_t num) {
  for (size_t i = 0; i < num_a; i++) {
    size_t other = i + (size_t)(roll(dice) % (num - i));
    double value = all[i];
    all[i] = all[other];
    all[other] = value;
  }
}

double statistics_chance(const double *a, size_t num_a, const double *b, size_t num_b) {
  double *all = calloc(num_a + num_b + 1, sizeof(*all));
  if (num_a < STATISTICS_LEAST || num_b < STATISTICS_LEAST || all == NULL) {
    free(all);
    return 1;
  }
  memcpy(all, a, num_a * sizeof(*a));
  memcpy(all + num_a, b, num_b * sizeof(*b));
  // Sums in another order differ in their last bits.
  double found = difference(all, num_a, num_b) * (1 - 1e-9);
  struct dice dice = {.state = 0x9e3779b97f4a7c15ULL};
  size_t as_large = 1;  // the one that was found is one of those that could be
  for (int i = 0; i < ROUNDS; i++) {
    deal(&dice, all, num_a, num_a + num_b);
    as_large += difference(all, num_a, num_b) >= found;
  }
  free(all);
  return (double)as_large / (ROUNDS + 1);
}
