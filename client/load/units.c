#include "client/load/units.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
  const char *name;
  double factor;
};

static bool read_with_unit(const char *text, const struct unit *units, double most, double *out) {
  char *end = NULL;
  errno = 0;
  double number = strtod(text, &end);
  bool is_number = end != text && text[0] >= '0' && text[0] <= '9' && errno == 0;
  for (; is_number && units->name != NULL; units++) {
    if (strcasecmp(end, units->name) == 0) {
      *out = number * units->factor;
      return isfinite(*out) && *out <= most;
    }
  }
  return false;
}

bool units_duration(const char *text, uint64_t *out_nanos) {
  static const struct unit units[] = {{"", 1e9}, {"s", 1e9},  {"ms", 1e6},   {"us", 1e3},
                                      {"ns", 1}, {"m", 60e9}, {"h", 3600e9}, {NULL, 0}};
  const double year = 365.0 * 86400e9;
  double nanos = 0;
  if (!read_with_unit(text, units, year, &nanos)) {
    return false;
  }
  *out_nanos = (uint64_t)nanos;
  return true;
}

bool units_bytes(const char *text, uint64_t *out) {
  static const struct unit units[] = {{"", 1},         {"b", 1},        {"k", 0x1p10},
                                      {"kib", 0x1p10}, {"m", 0x1p20},   {"mib", 0x1p20},
                                      {"g", 0x1p30},   {"gib", 0x1p30}, {"t", 0x1p40},
                                      {"tib", 0x1p40}, {NULL, 0}};
  double bytes = 0;
  if (!read_with_unit(text, units, 0x1p60, &bytes)) {
    return false;
  }
  *out = (uint64_t)bytes;
  return true;
}

bool units_number(const char *text, double least, double most, double *out) {
  static const struct unit none[] = {{"", 1}, {NULL, 0}};
  return read_with_unit(text, none, most, out) && *out >= least;
}

bool units_count(const char *text, uint64_t least, uint64_t most, uint64_t *out) {
  char *end = NULL;
  errno = 0;
  unsigned long long number = strtoull(text, &end, 10);
  *out = number;
  return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && number >= least &&
         number <= most;
}

// Three digits that mean something, whatever the size.
static int decimals(double number) {
  return number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2;
}

static const char *show(double number, double base, const char *const *names, size_t num_names,
                        char out[UNITS_TEXT_MAX]) {
  size_t i = 0;
  while (i + 1 < num_names && number >= base * 0.9995) {
    number /= base;
    i++;
  }
  snprintf(out, UNITS_TEXT_MAX, "%.*f%s", decimals(number), number, names[i]);
  return out;
}

const char *units_show_nanos(double nanos, char out[UNITS_TEXT_MAX]) {
  static const char *const names[] = {" µs", " ms", " s"};
  return show(nanos / 1000, 1000, names, sizeof(names) / sizeof(names[0]), out);
}

const char *units_show_bytes(double bytes, char out[UNITS_TEXT_MAX]) {
  static const char *const names[] = {" KiB", " MiB", " GiB", " TiB"};
  if (bytes < 1024) {
    snprintf(out, UNITS_TEXT_MAX, "%.0f B", bytes);
    return out;
  }
  return show(bytes / 1024, 1024, names, sizeof(names) / sizeof(names[0]), out);
}

const char *units_show_number(double number, char out[UNITS_TEXT_MAX]) {
  static const char *const names[] = {"", "k", "M", "G"};
  if (number < 1000 && number == floor(number)) {
    snprintf(out, UNITS_TEXT_MAX, "%.0f", number);
    return out;
  }
  return show(number, 1000, names, sizeof(names) / sizeof(names[0]), out);
}
