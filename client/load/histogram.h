// A log-linear histogram in HdrHistogram's layout: every value keeps so many significant digits,
// whatever its size, in a table of fixed size. Histograms of one layout add up.
//
// Values are what the caller counts in; here that is nanoseconds.
#ifndef TLSAGENT_CLIENT_LOAD_HISTOGRAM_H_
#define TLSAGENT_CLIENT_LOAD_HISTOGRAM_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct histogram {
  // The layout, named as HdrHistogram names it.
  uint64_t highest_trackable;
  unsigned unit_magnitude;    // values are told apart in steps of 2^unit_magnitude
  unsigned sub_bucket_count;  // a power of two, large enough for the digits
  unsigned sub_bucket_half_magnitude;
  uint64_t sub_bucket_mask;
  size_t num_counts;

  uint64_t *counts;
  uint64_t total;
  uint64_t least;  // recorded, as it is; UINT64_MAX when there is none
  uint64_t most;
  size_t first;  // counts outside [first, last] are 0
  size_t last;
};

enum { HISTOGRAM_DIGITS_MIN = 1, HISTOGRAM_DIGITS_MAX = 4 };

// histogram_init makes an empty histogram of values from lowest (at least 1) to highest, of which
// the first so many digits are kept. False without memory.
bool histogram_init(struct histogram *histogram, uint64_t lowest, uint64_t highest,
                    unsigned digits);
void histogram_cleanup(struct histogram *histogram);

// histogram_record counts a value; one beyond the highest counts as the highest.
void histogram_record(struct histogram *histogram, uint64_t value);
// histogram_add adds what another histogram of the same layout has counted.
void histogram_add(struct histogram *histogram, const struct histogram *other);
void histogram_reset(struct histogram *histogram);

// What was counted. All are 0 of an empty histogram.
uint64_t histogram_min(const struct histogram *histogram);
uint64_t histogram_max(const struct histogram *histogram);
double histogram_mean(const struct histogram *histogram);
double histogram_stddev(const struct histogram *histogram);
// histogram_percentile is the value that percent of all values are at or below: the largest that
// the histogram can't tell from it.
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

// histogram_lowest_equivalent and histogram_highest_equivalent bound the values that are counted in
// one place with this one.
uint64_t histogram_lowest_equivalent(const struct histogram *histogram, uint64_t value);
uint64_t histogram_highest_equivalent(const struct histogram *histogram, uint64_t value);

// A walk over percentiles, as HdrHistogram's percentile iterator goes: so many steps from 0 to 50
// percent, as many again to 75, to 87.5 and so on, and 100 at the end.
struct histogram_step {
  uint64_t value;     // highest equivalent
  double percent;     // reached with this value
  uint64_t count_to;  // values up to this one
};
struct histogram_walk {
  const struct histogram *histogram;
  unsigned ticks_per_half;
  size_t index;  // in counts
  uint64_t count_to;
  double next_percent;
  bool ended;  // the last step reached the last value
  bool over;
};

void histogram_walk_start(struct histogram_walk *walk, const struct histogram *histogram,
                          unsigned ticks_per_half);
// histogram_walk_next gives the next step; false when there is none.
bool histogram_walk_next(struct histogram_walk *walk, struct histogram_step *out);

// histogram_print writes HdrHistogram's percentile distribution, values divided by scale.
void histogram_print(const struct histogram *histogram, FILE *out, unsigned ticks_per_half,
                     double scale);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_HISTOGRAM_H_
