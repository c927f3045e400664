// What --assert takes: "handshake.p99<20ms", "errors==0".
#ifndef TLSAGENT_CLIENT_LOAD_ASSERTION_H_
#define TLSAGENT_CLIENT_LOAD_ASSERTION_H_

#include <stdbool.h>

#include "client/load/phase.h"

#ifdef __cplusplus
extern "C" {
#endif

struct result;

enum comparison {
  COMPARISON_LESS,
  COMPARISON_AT_MOST,
  COMPARISON_MORE,
  COMPARISON_AT_LEAST,
  COMPARISON_EQUAL,
  COMPARISON_UNEQUAL
};

struct assertion {
  const char *text;
  bool is_phase;
  enum phase phase;  // is_phase
  unsigned figure;   // which statistic of the phase, or which figure of the run
  double percent;    // the percentile, where that is the statistic
  enum comparison comparison;
  double value;  // nanoseconds where it is a time
};

// assertion_parse reads one; false when it makes no sense. The text is kept.
bool assertion_parse(const char *text, struct assertion *out);

// assertion_holds tells whether it is true of a result, and what is in its place: not finite if
// there is nothing. A time of a phase that never was, and any figure of a run without operations
// but a count, holds for nothing.
bool assertion_holds(const struct assertion *assertion, const struct result *result, double *out);
// assertion_is_time tells whether its value is in nanoseconds.
bool assertion_is_time(const struct assertion *assertion);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_ASSERTION_H_
