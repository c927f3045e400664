// One contender's turn: how many operations, how long each took.
#ifndef TLSAGENT_TESTS_BENCH_LIB_TURN_H_
#define TLSAGENT_TESTS_BENCH_LIB_TURN_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct turn {
  uint64_t start;     // when the turn began
  uint64_t deadline;  // when no further operation is begun
  uint64_t last;      // when the last operation ended
  uint32_t *samples;  // nanoseconds of each operation
  size_t num;
  size_t max;
  uint64_t server_nanos;  // CPU of the server's half, where only the contender itself can tell
};

// What one turn came to.
struct figures {
  double per_second;
  double p50_us;
  double p99_us;
  double server_cpu_us;  // CPU of the server for each operation; 0: can't be told
};

// One figure over all rounds.
struct spread {
  double min;
  double median;
  double max;
};

// turn_alloc makes room for the samples of turns of this many seconds.
bool turn_alloc(struct turn *turn, double seconds);
void turn_free(struct turn *turn);

// turn_begin starts a turn.
void turn_begin(struct turn *turn, double seconds);

// turn_goes_on returns whether there is time for another operation.
static inline bool turn_goes_on(const struct turn *turn) {
  return turn->last < turn->deadline && turn->num < turn->max;
}

// turn_add counts an operation that began at a time of its own, and ends now. The end is the
// start of the next one, so that one look at the clock serves both.
void turn_add_since(struct turn *turn, uint64_t began);

static inline void turn_add(struct turn *turn) {
  turn_add_since(turn, turn->last);
}

// turn_figures sums the turn up. It sorts the samples.
struct figures turn_figures(struct turn *turn, uint64_t server_nanos);

// spread_of sorts values and tells the least, the middle and the most of them.
struct spread spread_of(double *values, size_t num);

#endif  // TLSAGENT_TESTS_BENCH_LIB_TURN_H_
