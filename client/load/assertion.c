#include "client/load/assertion.h"

#include <ctype.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/load/result.h"
#include "client/load/units.h"

enum { WORD_SIZE = 64 };

enum statistic {
  STATISTIC_COUNT,
  STATISTIC_MIN,
  STATISTIC_MEAN,
  STATISTIC_MAX,
  STATISTIC_STDDEV,
  STATISTIC_PERCENTILE
};

static const char *const statistics[] = {[STATISTIC_COUNT] = "count",
                                         [STATISTIC_MIN] = "min",
                                         [STATISTIC_MEAN] = "mean",
                                         [STATISTIC_MAX] = "max",
                                         [STATISTIC_STDDEV] = "stddev"};

// ---------------------------------------------------------------------------------------------
// Figures of the whole run

static double cpu_per_operation(const struct result *result) {
  double nanos = (result->cpu_user + result->cpu_system) * 1e9;
  return nanos / (double)result->stats.counts.operations;
}

static const struct {
  const char *name;
  bool is_time;
  double (*of)(const struct result *result);
} run_figures[] = {
    {"rate", false, result_rate},
    {"cpu_per_operation", true, cpu_per_operation},
};
static const struct {
  const char *name;
  size_t offset;
} count_figures[] = {
#define X(name, meaning) {#name, offsetof(struct counts, name)},
    COUNT_TABLE(X)
#undef X
};

enum {
  NUM_RUN_FIGURES = sizeof(run_figures) / sizeof(run_figures[0]),
  NUM_COUNT_FIGURES = sizeof(count_figures) / sizeof(count_figures[0])
};

static bool find_figure(const char *name, unsigned *out) {
  for (unsigned i = 0; i < NUM_RUN_FIGURES; i++) {
    if (strcmp(name, run_figures[i].name) == 0) {
      *out = i;
      return true;
    }
  }
  for (unsigned i = 0; i < NUM_COUNT_FIGURES; i++) {
    if (strcmp(name, count_figures[i].name) == 0) {
      *out = NUM_RUN_FIGURES + i;
      return true;
    }
  }
  return false;
}

static double figure_of(const struct result *result, unsigned figure) {
  if (figure < NUM_RUN_FIGURES) {
    return run_figures[figure].of(result);
  }
  const char *counts = (const char *)&result->stats.counts;
  uint64_t count;
  memcpy(&count, counts + count_figures[figure - NUM_RUN_FIGURES].offset, sizeof(count));
  return (double)count;
}

// ---------------------------------------------------------------------------------------------
// Statistics of a phase

static bool find_phase(const char *name, enum phase *out) {
  for (int i = 0; i < PHASE_COUNT; i++) {
    if (strcmp(name, PHASE_NAMES[i]) == 0) {
      *out = (enum phase)i;
      return true;
    }
  }
  return false;
}

// "p99", "p99.9" and "p999", where nines beyond the second are behind the point.
static bool parse_percentile(const char *digits, double *out) {
  bool is_plain = digits[strspn(digits, "0123456789.")] == '\0';  // no exponent, no 0x
  if (!is_plain || !units_number(digits, 0, 999999, out)) {
    return false;
  }
  bool has_point = strchr(digits, '.') != NULL;
  size_t len = strlen(digits);
  if (!has_point && len > 2 && digits[0] == '9') {
    *out /= pow(10, (double)len - 2);
  }
  return *out <= 100;
}

static bool find_statistic(const char *name, struct assertion *out) {
  for (unsigned i = 0; i < sizeof(statistics) / sizeof(statistics[0]); i++) {
    if (strcmp(name, statistics[i]) == 0) {
      out->figure = i;
      return true;
    }
  }
  out->figure = STATISTIC_PERCENTILE;
  return name[0] == 'p' && parse_percentile(name + 1, &out->percent);
}

static double statistic_of(const struct histogram *histogram, const struct assertion *assertion) {
  switch (assertion->figure) {
    case STATISTIC_COUNT:
      return (double)histogram->total;
    case STATISTIC_MIN:
      return (double)histogram_min(histogram);
    case STATISTIC_MEAN:
      return histogram_mean(histogram);
    case STATISTIC_MAX:
      return (double)histogram_max(histogram);
    case STATISTIC_STDDEV:
      return histogram_stddev(histogram);
    default:
      return (double)histogram_percentile(histogram, assertion->percent);
  }
}

bool assertion_is_time(const struct assertion *assertion) {
  if (assertion->is_phase) {
    return assertion->figure != STATISTIC_COUNT;
  }
  return assertion->figure < NUM_RUN_FIGURES && run_figures[assertion->figure].is_time;
}

// ---------------------------------------------------------------------------------------------
// Reading one

static bool parse_name(char *name, struct assertion *out) {
  char *point = strchr(name, '.');
  if (point == NULL) {
    return find_figure(name, &out->figure);
  }
  *point = '\0';
  out->is_phase = true;
  return find_phase(name, &out->phase) && find_statistic(point + 1, out);
}

static const char *parse_comparison(const char *text, enum comparison *out) {
  static const struct {
    const char *text;
    enum comparison comparison;
  } words[] = {{"<=", COMPARISON_AT_MOST}, {">=", COMPARISON_AT_LEAST}, {"==", COMPARISON_EQUAL},
               {"!=", COMPARISON_UNEQUAL}, {"<", COMPARISON_LESS},      {">", COMPARISON_MORE}};
  for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
    size_t len = strlen(words[i].text);
    if (strncmp(text, words[i].text, len) == 0) {
      *out = words[i].comparison;
      return text + len;
    }
  }
  return NULL;
}

// A time without a unit is in microseconds, as the JSON has it.
static bool parse_value(const char *text, struct assertion *out) {
  if (!assertion_is_time(out)) {
    return units_number(text, 0, 1e18, &out->value);
  }
  uint64_t nanos = 0;
  if (units_number(text, 0, 1e12, &out->value)) {
    out->value *= 1000;
    return true;
  }
  bool good = units_duration(text, &nanos);
  out->value = (double)nanos;
  return good;
}

bool assertion_parse(const char *text, struct assertion *out) {
  char words[WORD_SIZE];
  size_t len = 0;
  *out = (struct assertion){.text = text};
  for (const char *at = text; *at != '\0'; at++) {
    if (len == sizeof(words) - 1) {
      return false;
    }
    words[len] = *at;
    len += *at != ' ';
  }
  words[len] = '\0';
  size_t name_len = strcspn(words, "<>=!");
  const char *value = parse_comparison(words + name_len, &out->comparison);
  if (value == NULL) {
    return false;
  }
  char number[WORD_SIZE];
  snprintf(number, sizeof(number), "%s", value);
  words[name_len] = '\0';
  return parse_name(words, out) && parse_value(number, out);
}

// ---------------------------------------------------------------------------------------------

static bool compare(double left, enum comparison comparison, double right) {
  switch (comparison) {
    case COMPARISON_LESS:
      return left < right;
    case COMPARISON_AT_MOST:
      return left <= right;
    case COMPARISON_MORE:
      return left > right;
    case COMPARISON_AT_LEAST:
      return left >= right;
    case COMPARISON_EQUAL:
      return left == right;
    case COMPARISON_UNEQUAL:
      return left != right;
  }
  return false;
}

bool assertion_holds(const struct assertion *assertion, const struct result *result, double *out) {
  if (!assertion->is_phase) {
    *out = figure_of(result, assertion->figure);
    return isfinite(*out) && compare(*out, assertion->comparison, assertion->value);
  }
  const struct histogram *histogram = &result->stats.phases[assertion->phase];
  bool is_known = histogram->total > 0 || assertion->figure == STATISTIC_COUNT;
  *out = is_known ? statistic_of(histogram, assertion) : NAN;
  return is_known && compare(*out, assertion->comparison, assertion->value);
}
