// Is a difference between two series more than their noise?
#ifndef TLSAGENT_CLIENT_LOAD_STATISTICS_H_
#define TLSAGENT_CLIENT_LOAD_STATISTICS_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { STATISTICS_LEAST = 5 };  // values of each series, below which nothing can be told

// statistics_mean is the mean of values, 0 of none.
double statistics_mean(const double *values, size_t num);

// statistics_chance is how likely two parts of one and the same series were to differ in their
// means by as much as these two do: a permutation test, whose result is the same every time. Near 0
// they differ by more than noise. 1 when one of them has less than STATISTICS_LEAST values, or
// there is no memory.
double statistics_chance(const double *a, size_t num_a, const double *b, size_t num_b);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_STATISTICS_H_
