#include "client/load/report.h"

#include <errno.h>
#include <string.h>

enum { TICKS_PER_HALF = 5, PATH_SIZE = 4096 };

static void write_csv(const struct result *result, FILE *out, bool *good) {
  (void)good;
  report_csv(result, out);
}

static void write_html(const struct result *result, FILE *out, bool *good) {
  (void)good;
  report_html(result, out);
}

static void write_json(const struct result *result, FILE *out, bool *good) {
  *good = report_json(result, out);
}

static bool is_stdout(const char *path) {
  return strcmp(path, "-") == 0;
}

static bool complain(const char *path) {
  fprintf(stderr, "tlsagent-load: %s: %s\n", is_stdout(path) ? "standard output" : path,
          strerrordesc_np(errno));
  return false;
}

bool report_flush(void) {
  return (fflush(stdout) == 0 && !ferror(stdout)) || complain("-");
}

// Opens, has it written and closes; "-" is standard output.
static bool write_file(const struct result *result, const char *path,
                       void (*write)(const struct result *result, FILE *out, bool *good)) {
  if (path == NULL) {
    return true;
  }
  FILE *out = is_stdout(path) ? stdout : fopen(path, "we");
  if (out == NULL) {
    return complain(path);
  }
  bool good = true;
  write(result, out, &good);
  good = fflush(out) == 0 && !ferror(out) && good;
  good = (is_stdout(path) || fclose(out) == 0) && good;
  return good || complain(path);
}

static bool write_phase(const struct result *result, enum phase phase) {
  char path[PATH_SIZE];
  snprintf(path, sizeof(path), "%s.%s.hdr", result->options->hdr, PHASE_NAMES[phase]);
  FILE *out = fopen(path, "we");
  if (out == NULL) {
    return complain(path);
  }
  histogram_print(&result->stats.phases[phase], out, TICKS_PER_HALF, 1e3);
  bool good = !ferror(out);
  return (fclose(out) == 0 && good) || complain(path);
}

static bool write_phases(const struct result *result) {
  bool good = true;
  for (int i = 0; result->options->hdr != NULL && i < PHASE_COUNT; i++) {
    if (result->stats.phases[i].total > 0) {
      good = write_phase(result, (enum phase)i) && good;
    }
  }
  return good;
}

// Where another report has standard output for itself, people read standard error.
static FILE *text_stream(const struct options *options) {
  const char *const paths[] = {options->json, options->csv, options->html};
  FILE *out = stdout;
  for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
    out = paths[i] != NULL && is_stdout(paths[i]) ? stderr : out;
  }
  return out;
}

bool report_all(const struct result *result) {
  const struct options *options = result->options;
  bool good = true;
  if (!options->quiet) {
    report_text(result, text_stream(options));
    good = report_flush();
  }
  good = write_file(result, options->json, write_json) && good;
  good = write_file(result, options->csv, write_csv) && good;
  good = write_file(result, options->html, write_html) && good;
  return write_phases(result) && good;
}
