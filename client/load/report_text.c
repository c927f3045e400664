#include "client/load/report.h"
#include "client/load/units.h"

static void show_load(const struct options *options, FILE *out) {
  char text[UNITS_TEXT_MAX];
  if (options->rate > 0) {
    fprintf(out, "open loop, %s/s on at most %llu connections",
            units_show_number(options->rate, text), (unsigned long long)options->connections);
  } else {
    fprintf(out, "closed loop, %llu connections", (unsigned long long)options->connections);
  }
  fprintf(out, ", %llu worker%s", (unsigned long long)options->workers,
          options->workers == 1 ? "" : "s");
  if (options->resume_percent > 0) {
    fprintf(out, ", %g %% to be resumed", options->resume_percent);
  }
  fprintf(out, "\n");
}

static void show_head(const struct result *result, FILE *out) {
  const struct agreed *agreed = &result->agreed;
  fprintf(out, "%s of %s: ", WORKLOAD_NAMES[result->options->workload], result->options->target);
  show_load(result->options, out);
  if (agreed->known) {
    fprintf(out, "%s, %s%s%s%s%s\n", agreed->version, agreed->cipher,
            agreed->group[0] == '\0' ? "" : ", ", agreed->group,
            agreed->alpn[0] == '\0' ? "" : ", ALPN ", agreed->alpn);
  }
  fprintf(out, "\n");
}

static void show_row(const struct histogram *histogram, const char *name, FILE *out) {
  char text[UNITS_TEXT_MAX];
  static const double percents[] = {50, 90, 99, 99.9};
  fprintf(out, "  %-20s %10llu", name, (unsigned long long)histogram->total);
  fprintf(out, " %10s", units_show_nanos(histogram_mean(histogram), text));
  for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
    double nanos = (double)histogram_percentile(histogram, percents[i]);
    // µ is one column and two bytes.
    units_show_nanos(nanos, text);
    fprintf(out, " %*s", nanos < 999.5e3 ? 11 : 10, text);
  }
  units_show_nanos((double)histogram_max(histogram), text);
  fprintf(out, " %*s\n", histogram_max(histogram) < 999500 ? 11 : 10, text);
}

static void show_phases(const struct result *result, FILE *out) {
  fprintf(out, "  %-20s %10s %10s %10s %10s %10s %10s %10s\n", "phase", "count", "mean", "p50",
          "p90", "p99", "p99.9", "max");
  for (int i = 0; i < PHASE_COUNT; i++) {
    if (result->stats.phases[i].total > 0) {
      show_row(&result->stats.phases[i], PHASE_NAMES[i], out);
    }
  }
}

static void show_counts(const struct result *result, FILE *out) {
  const struct counts *counts = &result->stats.counts;
  char text[UNITS_TEXT_MAX];
  fprintf(out, "%s%llu operations in %.2f s: %s/s\n", result->interrupted ? "Interrupted. " : "",
          (unsigned long long)counts->operations, result->seconds,
          units_show_number(result_rate(result), text));
  fprintf(out, "%llu connections opened, %llu established (%llu resumed), %llu failed\n",
          (unsigned long long)counts->opened, (unsigned long long)counts->established,
          (unsigned long long)counts->resumed, (unsigned long long)counts->failed);
  if (counts->bytes_in + counts->bytes_out > 0) {
    double seconds = result->seconds > 0 ? result->seconds : 1;
    fprintf(out, "%s read", units_show_bytes((double)counts->bytes_in, text));
    fprintf(out, " (%s/s)", units_show_bytes((double)counts->bytes_in / seconds, text));
    fprintf(out, ", %s written", units_show_bytes((double)counts->bytes_out, text));
    fprintf(out, " (%s/s)\n", units_show_bytes((double)counts->bytes_out / seconds, text));
  }
}

static void show_cpu(const struct result *result, FILE *out) {
  double cpu = result->cpu_user + result->cpu_system;
  char text[UNITS_TEXT_MAX];
  fprintf(out, "%.2f s of this machine's cpu for the client (%.2f user, %.2f system)", cpu,
          result->cpu_user, result->cpu_system);
  if (result->stats.counts.operations > 0) {
    double each = cpu * 1e9 / (double)result->stats.counts.operations;
    fprintf(out, ", %s an operation", units_show_nanos(each, text));
  }
  fprintf(out, "\n");
}

static void show_lateness(const struct result *result, FILE *out) {
  const struct counts *counts = &result->stats.counts;
  if (result->options->rate <= 0) {
    return;
  }
  fprintf(out, "%llu operations were late for want of a free connection",
          (unsigned long long)counts->late);
  if (counts->missed > 0) {
    fprintf(out, ", and %llu of these never began: the corrected latency knows nothing of them",
            (unsigned long long)counts->missed);
  }
  fprintf(out, "\n");
  if (result->drain_seconds >= 0.01) {
    fprintf(out, "the last of them ended %.2f s after that time, and was waited for\n",
            result->drain_seconds);
  }
}

static void show_given_up(const struct counts *counts, FILE *out) {
  if (counts->given_up > 0) {
    fprintf(out, "%llu under way at the end were given up\n", (unsigned long long)counts->given_up);
  }
}

static void show_errors(const struct result *result, FILE *out) {
  const struct tally *tally = &result->stats.tally;
  if (result->stats.counts.errors == 0) {
    fprintf(out, "no errors\n");
    return;
  }
  fprintf(out, "\n%llu errors:\n", (unsigned long long)result->stats.counts.errors);
  for (size_t i = 0; i < tally->num_rows; i++) {
    const struct tally_row *row = &tally->rows[i];
    fprintf(out, "  %10llu  %s: %s: %s\n", (unsigned long long)row->count, PHASE_NAMES[row->phase],
            row->kind, row->reason);
  }
}

void report_text(const struct result *result, FILE *out) {
  const struct counts *counts = &result->stats.counts;
  show_head(result, out);
  show_counts(result, out);
  show_lateness(result, out);
  show_given_up(counts, out);
  if (result->options->resume_percent > 0 && counts->established > 0 && counts->resumed == 0) {
    fprintf(out, "the server gave nothing to resume, or took nothing: all handshakes were full\n");
  }
  show_cpu(result, out);
  if (counts->established + counts->operations > 0 ||
      result->stats.phases[PHASE_CONNECT].total > 0) {
    fprintf(out, "\n");
    show_phases(result, out);
  }
  show_errors(result, out);
}
