#include "client/load/compare.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/load/phase.h"
#include "client/load/report.h"
#include "client/load/statistics.h"
#include "client/load/units.h"

enum {
  FILE_MAX = 64 << 20,
  SECONDS_MAX = 3600,  // of each run; more would take long to deal out
};

#define LIKELY_NOISE   0.01  // a chance above it is no finding
#define SHORTEST_DRAWN 0.5   // seconds: a last second with less left in it says little

static const char help[] =
    "Usage: tlsagent-load compare A.json B.json\n\n"
    "Says what changed from A to B, two reports of --json: rate, errors, cpu for an operation, "
    "and\n"
    "the percentiles of each phase. A change is called more than noise when the seconds of the "
    "two\n"
    "runs tell them apart: of 10,000 random ways to deal all of their seconds out to two runs (a\n"
    "permutation test), fewer than 1 in 100 differ as much in their means. That takes 5 seconds "
    "of\n"
    "each run, and better 20. Where a whole run was slower than usual, by what else the machines\n"
    "had to do, its seconds can't know: repeat the runs, A B A B, before you believe it.\n\n"
    "Errors are compared by their share of all operations (a test of two proportions).\n";

// ---------------------------------------------------------------------------------------------
// Reading

static json_t *fail(FILE *error, const char *path, const char *what) {
  fprintf(error, "tlsagent-load: %s: %s\n", path, what);
  return NULL;
}

// jansson's own words quote the file, whose bytes are no terminal's concern.
static void fail_at(FILE *error, const char *path, const json_error_t *fault) {
  char what[64];
  snprintf(what, sizeof(what), "no JSON at line %d, column %d", fault->line, fault->column);
  fail(error, path, what);
}

static json_t *parse(FILE *file, const char *path, FILE *error) {
  char *text = malloc(FILE_MAX);
  size_t len = text == NULL ? 0 : fread(text, 1, FILE_MAX, file);
  json_error_t fault;
  json_t *report = NULL;
  if (text == NULL || ferror(file) || len == FILE_MAX) {
    fail(error, path, "can't be read, or is larger than 64 MiB");
  } else {
    report = json_loadb(text, len, JSON_REJECT_DUPLICATES, &fault);
    if (report == NULL) {
      fail_at(error, path, &fault);
    }
  }
  free(text);
  return report;
}

// What every report has, whatever came of its run.
static bool is_whole(const json_t *report) {
  return json_is_object(json_object_get(report, "options")) &&
         json_is_number(json_object_get(report, "seconds")) &&
         json_is_number(json_object_get(report, "operations")) &&
         json_is_object(json_object_get(report, "phases")) &&
         json_is_array(json_object_get(report, "series"));
}

static json_t *load(const char *path, FILE *error) {
  FILE *file = fopen(path, "re");
  if (file == NULL) {
    return fail(error, path, strerrordesc_np(errno));
  }
  json_t *report = parse(file, path, error);
  fclose(file);
  const char *schema = json_string_value(json_object_get(report, "schema"));
  bool is_report = schema != NULL && strcmp(schema, "tlsagent-load/1") == 0 && is_whole(report);
  if (report != NULL && !is_report) {
    json_decref(report);
    return fail(error, path, "is no report of tlsagent-load --json");
  }
  return report;
}

// ---------------------------------------------------------------------------------------------
// Figures, of the run and of its seconds. What isn't there is NAN.

struct figure {
  const char *phase;  // NULL: of the whole run
  const char *name;   // of the field, "p99_us"
  const char *text;
  bool is_time;
  bool less_is_better;
};

static double number_of(const json_t *object, const char *name) {
  const json_t *value = json_object_get(object, name);
  return json_is_number(value) ? json_number_value(value) : NAN;
}

static double cpu_per_operation(const json_t *report) {
  const json_t *cpu = json_object_get(report, "cpu");
  double micros = 1e6 * (number_of(cpu, "user_seconds") + number_of(cpu, "system_seconds"));
  return micros / number_of(report, "operations");
}

static double of_run(const json_t *report, const struct figure *figure) {
  if (figure->phase != NULL) {
    const json_t *phases = json_object_get(report, "phases");
    return number_of(json_object_get(phases, figure->phase), figure->name);
  }
  return strcmp(figure->name, "cpu") == 0 ? cpu_per_operation(report)
                                          : number_of(report, figure->name);
}

static double of_second(const json_t *second, const struct figure *figure) {
  if (figure->phase != NULL) {
    const json_t *phases = json_object_get(second, "phases");
    return number_of(json_object_get(phases, figure->phase), figure->name);
  }
  return strcmp(figure->name, "cpu") == 0
             ? 1e6 * number_of(second, "cpu_seconds") / number_of(second, "operations")
             : number_of(second, figure->name);
}

struct series {
  double *values;
  size_t num;
};

// What came after the measuring are the stragglers that were waited for.
static bool is_drawn(const json_t *report, const json_t *second) {
  double seconds = number_of(second, "seconds");
  bool is_late = number_of(second, "t") - seconds >= number_of(report, "seconds");
  return seconds >= SHORTEST_DRAWN && !is_late;
}

static struct series series_of(const json_t *report, const struct figure *figure) {
  const json_t *seconds = json_object_get(report, "series");
  size_t most = json_array_size(seconds);
  most = most < SECONDS_MAX ? most : SECONDS_MAX;
  struct series out = {.values = calloc(most + 1, sizeof(double))};
  for (size_t i = 0; out.values != NULL && i < most; i++) {
    const json_t *second = json_array_get(seconds, i);
    double value = of_second(second, figure);
    if (isfinite(value) && is_drawn(report, second)) {
      out.values[out.num++] = value;
    }
  }
  return out;
}

// ---------------------------------------------------------------------------------------------
// Rows

static const char *show(const struct figure *figure, double value, char out[UNITS_TEXT_MAX]) {
  return figure->is_time ? units_show_nanos(value * 1000, out) : units_show_number(value, out);
}

// A column of text that may hold a µ, which is one column and two bytes.
static void print_cell(FILE *out, const char *text, int width) {
  int wide = strstr(text, "µ") != NULL ? 1 : 0;
  fprintf(out, " %*s", width + wide, text);
}

// Of what was tested, from before to after; the same twice is noise, whatever its chance.
static const char *verdict_of(double chance, double before, double after, bool less_is_better) {
  if (chance >= LIKELY_NOISE || before == after) {
    return "within noise";
  }
  return (after < before) == less_is_better ? "better, more than noise" : "worse, more than noise";
}

// The test is one of the seconds' means, which may go one way where the figure of the whole run, a
// percentile of all or a mean of another weight, goes the other.
static bool goes_against(double change, double of_means) {
  return change * of_means < 0;
}

static void print_row(FILE *out, const struct figure *figure, double before, double after,
                      const char *verdict, const char *but) {
  char text[UNITS_TEXT_MAX];
  fprintf(out, "  %-28s", figure->text);
  print_cell(out, show(figure, before, text), 10);
  print_cell(out, show(figure, after, text), 10);
  if (before > 0) {
    fprintf(out, " %+8.1f %%", 100 * (after - before) / before);
  } else {
    fprintf(out, " %10s", "");
  }
  fprintf(out, "  %s%s\n", verdict, but);
}

static void test_seconds(const struct series *one, const struct series *other,
                         const struct figure *figure, double before, double after, FILE *out) {
  double chance = statistics_chance(one->values, one->num, other->values, other->num);
  double mean_before = statistics_mean(one->values, one->num);
  double mean_after = statistics_mean(other->values, other->num);
  const char *verdict = verdict_of(chance, mean_before, mean_after, figure->less_is_better);
  bool differs = chance < LIKELY_NOISE && goes_against(after - before, mean_after - mean_before);
  print_row(out, figure, before, after, verdict,
            differs ? ", by its seconds; not by the whole run" : "");
}

static void compare_figure(const json_t *a, const json_t *b, const struct figure *figure,
                           FILE *out) {
  double before = of_run(a, figure);
  double after = of_run(b, figure);
  if (!isfinite(before) || !isfinite(after)) {
    return;
  }
  struct series one = series_of(a, figure);
  struct series other = series_of(b, figure);
  if (one.num < STATISTICS_LEAST || other.num < STATISTICS_LEAST) {
    print_row(out, figure, before, after, "too few seconds to tell", "");
  } else {
    test_seconds(&one, &other, figure, before, after, out);
  }
  free(one.values);
  free(other.values);
}

static void compare_phase(const json_t *a, const json_t *b, const char *phase, FILE *out) {
  static const char *const percentiles[] = {"p50", "p90", "p99"};
  for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++) {
    char name[16];
    char text[64];
    snprintf(name, sizeof(name), "%s_us", percentiles[i]);
    snprintf(text, sizeof(text), "%s %s", phase, percentiles[i]);
    const struct figure figure = {
        .phase = phase, .name = name, .text = text, .is_time = true, .less_is_better = true};
    compare_figure(a, b, &figure, out);
  }
}

// ---------------------------------------------------------------------------------------------
// Errors: their share, since a run of twice the length has twice as many.

// How likely both shares are one, by the normal approximation.
static double chance_of_shares(double errors_a, double all_a, double errors_b, double all_b) {
  double share = (errors_a + errors_b) / (all_a + all_b);
  double spread = sqrt(share * (1 - share) * (1 / all_a + 1 / all_b));
  double distance = fabs(errors_a / all_a - errors_b / all_b);
  return spread > 0 ? erfc(distance / spread / sqrt(2)) : 1;
}

static void compare_errors(const json_t *a, const json_t *b, FILE *out) {
  static const struct figure figure = {.text = "errors, of 100 attempts", .less_is_better = true};
  double errors_a = number_of(a, "errors_total");
  double errors_b = number_of(b, "errors_total");
  double all_a = errors_a + number_of(a, "operations");
  double all_b = errors_b + number_of(b, "operations");
  if (!(all_a > 0 && all_b > 0)) {
    return;
  }
  double before = 100 * errors_a / all_a;
  double after = 100 * errors_b / all_b;
  double chance = chance_of_shares(errors_a, all_a, errors_b, all_b);
  print_row(out, &figure, before, after, verdict_of(chance, before, after, true), "");
}

// ---------------------------------------------------------------------------------------------
// What makes the comparison one of apples and pears

// A report of an earlier version lacks some of what a later one has.
static bool is_nothing(const json_t *value) {
  return value == NULL || json_is_null(value);
}

// Files come from anywhere: what they hold goes to a terminal as ASCII, without its controls.
static void print_value(FILE *out, const json_t *value) {
  char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
  fprintf(out, "%s", is_nothing(value) || text == NULL ? "nothing" : text);
  free(text);
}

static void print_name(FILE *out, const char *name) {
  bool is_plain = name[strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789")] == '\0';
  json_t *string = is_plain ? NULL : json_string(name);
  if (is_plain) {
    fprintf(out, "%s", name);
  } else {
    print_value(out, string);
  }
  json_decref(string);
}

static void compare_value(const json_t *a, const json_t *b, const char *name, FILE *out) {
  const json_t *before = json_object_get(a, name);
  const json_t *after = json_object_get(b, name);
  bool both_nothing = is_nothing(before) && is_nothing(after);
  if (both_nothing || json_equal(before, after) == 1) {
    return;
  }
  fprintf(out, "  differs: ");
  print_name(out, name);
  fprintf(out, " was ");
  print_value(out, before);
  fprintf(out, " and is ");
  print_value(out, after);
  fprintf(out, "\n");
}

static void compare_options(const json_t *a, const json_t *b, FILE *out) {
  static const char *const names[] = {"workload", "target", "agreed", "engine"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    compare_value(a, b, names[i], out);
  }
  json_t *options = json_object_get(a, "options");
  json_t *others = json_object_get(b, "options");
  const char *name;
  json_t *value;
  json_object_foreach(options, name, value) {
    compare_value(options, others, name, out);
  }
  json_object_foreach(others, name, value) {
    if (json_object_get(options, name) == NULL) {
      compare_value(options, others, name, out);
    }
  }
}

// ---------------------------------------------------------------------------------------------

static void compare(const json_t *a, const json_t *b, FILE *out) {
  static const struct figure rate = {.name = "rate", .text = "operations a second"};
  static const struct figure cpu = {
      .name = "cpu", .text = "client cpu an operation", .is_time = true, .less_is_better = true};
  compare_options(a, b, out);
  fprintf(out, "  %-28s %10s %10s %10s\n", "", "A", "B", "change");
  compare_figure(a, b, &rate, out);
  compare_errors(a, b, out);
  compare_figure(a, b, &cpu, out);
  for (int i = 0; i < PHASE_COUNT; i++) {
    compare_phase(a, b, PHASE_NAMES[i], out);
  }
}

bool compare_files(const char *a, const char *b, FILE *out, FILE *error) {
  json_t *one = load(a, error);
  json_t *other = one == NULL ? NULL : load(b, error);
  bool good = other != NULL;
  if (good) {
    fprintf(out, "A: %s\nB: %s\n", a, b);
    compare(one, other, out);
  }
  json_decref(one);
  json_decref(other);
  return good;
}

int compare_main(int argc, char **argv) {
  enum { FAILED = 1, USAGE = 2 };
  if (argc == 1 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
    fputs(help, stdout);
    return report_flush() ? 0 : FAILED;
  }
  if (argc != 2) {
    fprintf(stderr, "tlsagent-load: compare takes two files; see `tlsagent-load compare --help`\n");
    return USAGE;
  }
  bool good = compare_files(argv[0], argv[1], stdout, stderr);
  return report_flush() && good ? 0 : FAILED;
}
