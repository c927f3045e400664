#include "client/load/histogram.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---------------------------------------------------------------------------------------------
// The layout: buckets that double in width, each cut into the same number of sub-buckets. The
// lower half of all but the first bucket is told more finely by the bucket before it, and so isn't
// kept.

static unsigned log2_floor(uint64_t value) {
  return 63U - (unsigned)__builtin_clzll(value);
}

static unsigned count_buckets(uint64_t highest, unsigned sub_bucket_count, unsigned magnitude) {
  uint64_t smallest_untrackable = (uint64_t)sub_bucket_count << magnitude;
  unsigned num = 1;
  while (smallest_untrackable <= highest) {
    if (smallest_untrackable > UINT64_MAX / 2) {
      return num + 1;
    }
    smallest_untrackable <<= 1;
    num++;
  }
  return num;
}

static void lay_out(struct histogram *histogram, uint64_t lowest, uint64_t highest,
                    unsigned digits) {
  static const unsigned tens[HISTOGRAM_DIGITS_MAX + 1] = {1, 10, 100, 1000, 10000};
  unsigned resolved = 2 * tens[digits];  // the largest value told apart in single steps
  unsigned magnitude = log2_floor(resolved - 1) + 1;
  histogram->highest_trackable = highest;
  histogram->unit_magnitude = log2_floor(lowest);
  histogram->sub_bucket_half_magnitude = magnitude - 1;
  histogram->sub_bucket_count = 1U << magnitude;
  histogram->sub_bucket_mask = (histogram->sub_bucket_count - 1ULL) << histogram->unit_magnitude;
  unsigned buckets = count_buckets(highest, histogram->sub_bucket_count, histogram->unit_magnitude);
  histogram->num_counts = (buckets + 1ULL) * (histogram->sub_bucket_count / 2);
}

bool histogram_init(struct histogram *histogram, uint64_t lowest, uint64_t highest,
                    unsigned digits) {
  assert(lowest >= 1 && highest >= 2 * lowest);
  assert(digits >= HISTOGRAM_DIGITS_MIN && digits <= HISTOGRAM_DIGITS_MAX);
  *histogram = (struct histogram){0};
  lay_out(histogram, lowest, highest, digits);
  histogram->counts = calloc(histogram->num_counts, sizeof(*histogram->counts));
  histogram_reset(histogram);
  return histogram->counts != NULL;
}

void histogram_cleanup(struct histogram *histogram) {
  free(histogram->counts);
  histogram->counts = NULL;
}

void histogram_reset(struct histogram *histogram) {
  if (histogram->counts != NULL && histogram->total > 0) {
    memset(histogram->counts + histogram->first, 0,
           (histogram->last - histogram->first + 1) * sizeof(*histogram->counts));
  }
  histogram->total = 0;
  histogram->least = UINT64_MAX;
  histogram->most = 0;
  histogram->first = histogram->num_counts;
  histogram->last = 0;
}

// How many bits a value lies above the first bucket.
static unsigned bucket_of(const struct histogram *histogram, uint64_t value) {
  unsigned top = log2_floor(value | histogram->sub_bucket_mask) + 1;
  return top - histogram->unit_magnitude - (histogram->sub_bucket_half_magnitude + 1);
}

static unsigned sub_bucket_of(const struct histogram *histogram, uint64_t value, unsigned bucket) {
  return (unsigned)(value >> (bucket + histogram->unit_magnitude));
}

static size_t index_of(const struct histogram *histogram, uint64_t value) {
  unsigned bucket = bucket_of(histogram, value);
  size_t base = (size_t)(bucket + 1) << histogram->sub_bucket_half_magnitude;
  return base + sub_bucket_of(histogram, value, bucket) - histogram->sub_bucket_count / 2;
}

static uint64_t value_at(const struct histogram *histogram, size_t index) {
  size_t bucket = index >> histogram->sub_bucket_half_magnitude;
  uint64_t half = histogram->sub_bucket_count / 2;
  uint64_t sub_bucket = (index & (half - 1)) + half;
  if (bucket == 0) {
    return (sub_bucket - half) << histogram->unit_magnitude;
  }
  return sub_bucket << (bucket - 1 + histogram->unit_magnitude);
}

uint64_t histogram_lowest_equivalent(const struct histogram *histogram, uint64_t value) {
  unsigned bucket = bucket_of(histogram, value);
  unsigned shift = bucket + histogram->unit_magnitude;
  return (uint64_t)sub_bucket_of(histogram, value, bucket) << shift;
}

uint64_t histogram_highest_equivalent(const struct histogram *histogram, uint64_t value) {
  unsigned shift = bucket_of(histogram, value) + histogram->unit_magnitude;
  return histogram_lowest_equivalent(histogram, value) + (1ULL << shift) - 1;
}

static uint64_t median_equivalent(const struct histogram *histogram, uint64_t value) {
  unsigned shift = bucket_of(histogram, value) + histogram->unit_magnitude;
  return histogram_lowest_equivalent(histogram, value) + ((1ULL << shift) >> 1);
}

// ---------------------------------------------------------------------------------------------
// Counting

void histogram_record(struct histogram *histogram, uint64_t value) {
  uint64_t counted = value < histogram->highest_trackable ? value : histogram->highest_trackable;
  size_t index = index_of(histogram, counted);
  histogram->counts[index]++;
  histogram->total++;
  histogram->least = counted < histogram->least ? counted : histogram->least;
  histogram->most = counted > histogram->most ? counted : histogram->most;
  histogram->first = index < histogram->first ? index : histogram->first;
  histogram->last = index > histogram->last ? index : histogram->last;
}

void histogram_add(struct histogram *histogram, const struct histogram *other) {
  assert(histogram->num_counts == other->num_counts);
  assert(histogram->unit_magnitude == other->unit_magnitude);
  if (other->total == 0) {
    return;
  }
  for (size_t i = other->first; i <= other->last; i++) {
    histogram->counts[i] += other->counts[i];
  }
  histogram->total += other->total;
  histogram->least = other->least < histogram->least ? other->least : histogram->least;
  histogram->most = other->most > histogram->most ? other->most : histogram->most;
  histogram->first = other->first < histogram->first ? other->first : histogram->first;
  histogram->last = other->last > histogram->last ? other->last : histogram->last;
}

// ---------------------------------------------------------------------------------------------
// Reading. Like HdrHistogram's own, the least and the most are told as their places' bounds.

uint64_t histogram_min(const struct histogram *histogram) {
  return histogram->total == 0 ? 0 : histogram_lowest_equivalent(histogram, histogram->least);
}

uint64_t histogram_max(const struct histogram *histogram) {
  return histogram->total == 0 ? 0 : histogram_highest_equivalent(histogram, histogram->most);
}

double histogram_mean(const struct histogram *histogram) {
  if (histogram->total == 0) {
    return 0;
  }
  double sum = 0;
  for (size_t i = histogram->first; i <= histogram->last; i++) {
    if (histogram->counts[i] > 0) {
      uint64_t middle = median_equivalent(histogram, value_at(histogram, i));
      sum += (double)histogram->counts[i] * (double)middle;
    }
  }
  return sum / (double)histogram->total;
}

double histogram_stddev(const struct histogram *histogram) {
  if (histogram->total == 0) {
    return 0;
  }
  double mean = histogram_mean(histogram);
  double sum = 0;
  for (size_t i = histogram->first; i <= histogram->last; i++) {
    if (histogram->counts[i] > 0) {
      double off = (double)median_equivalent(histogram, value_at(histogram, i)) - mean;
      sum += (double)histogram->counts[i] * off * off;
    }
  }
  return sqrt(sum / (double)histogram->total);
}

// How many values percent of them are, rounded up: half a value isn't reached by less than one. The
// hair, as HdrHistogram has one since 2.1.10, is for what arithmetic adds to 99.9 % of 1000.
static uint64_t count_at(const struct histogram *histogram, double percent) {
  const double hair = 1e-12;
  double count = percent / 100 * (double)histogram->total;
  uint64_t wanted = (uint64_t)ceil(count - count * hair);
  return wanted < 1 ? 1 : wanted;
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent) {
  if (histogram->total == 0) {
    return 0;
  }
  double bounded = percent < 0 ? 0 : percent > 100 ? 100 : percent;
  uint64_t wanted = count_at(histogram, bounded);
  uint64_t seen = 0;
  size_t index = histogram->first;
  for (; index < histogram->last; index++) {
    seen += histogram->counts[index];
    if (seen >= wanted) {
      break;
    }
  }
  return histogram_highest_equivalent(histogram, value_at(histogram, index));
}

// ---------------------------------------------------------------------------------------------
// Walking

void histogram_walk_start(struct histogram_walk *walk, const struct histogram *histogram,
                          unsigned ticks_per_half) {
  *walk = (struct histogram_walk){.histogram = histogram,
                                  .ticks_per_half = ticks_per_half,
                                  .index = histogram->first,
                                  .over = histogram->total == 0};
  if (!walk->over) {
    walk->count_to = histogram->counts[walk->index];
  }
}

// Each halving of what is left to 100 gets the same number of ticks.
static double next_tick(double percent, unsigned ticks_per_half) {
  double halvings = floor(log2(100 / (100 - percent))) + 1;
  return percent + 100 / (ticks_per_half * pow(2, halvings));
}

bool histogram_walk_next(struct histogram_walk *walk, struct histogram_step *out) {
  if (walk->over) {
    return false;
  }
  const struct histogram *histogram = walk->histogram;
  // All were told of by a step below 100: that is said once more, as 100.
  walk->over = walk->ended;
  double percent = walk->ended ? 100 : walk->next_percent;
  uint64_t wanted = count_at(histogram, percent);
  while (walk->count_to < wanted) {
    walk->count_to += histogram->counts[++walk->index];
  }
  *out = (struct histogram_step){
      .value = histogram_highest_equivalent(histogram, value_at(histogram, walk->index)),
      .percent = percent,
      .count_to = walk->count_to};
  walk->ended = walk->count_to == histogram->total;
  walk->next_percent = next_tick(percent, walk->ticks_per_half);
  return true;
}

void histogram_print(const struct histogram *histogram, FILE *out, unsigned ticks_per_half,
                     double scale) {
  struct histogram_walk walk;
  struct histogram_step step;
  fprintf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
  histogram_walk_start(&walk, histogram, ticks_per_half);
  while (histogram_walk_next(&walk, &step)) {
    fprintf(out, "%12.3f %2.12f %10llu", (double)step.value / scale, step.percent / 100,
            (unsigned long long)step.count_to);
    if (step.percent < 100) {
      fprintf(out, " %14.2f", 1 / (1 - step.percent / 100));
    }
    fprintf(out, "\n");
  }
  fprintf(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", histogram_mean(histogram) / scale,
          histogram_stddev(histogram) / scale);
  fprintf(out, "#[Max     = %12.3f, Total count    = %12llu]\n",
          (double)histogram_max(histogram) / scale, (unsigned long long)histogram->total);
  fprintf(out, "#[Buckets = %12zu, SubBuckets     = %12u]\n",
          histogram->num_counts / (histogram->sub_bucket_count / 2) - 1,
          histogram->sub_bucket_count);
}
