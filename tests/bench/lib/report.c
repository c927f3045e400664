#include "tests/bench/lib/report.h"

#include <openssl/crypto.h>
#include <sys/utsname.h>

static const char *kernel(void) {
  static struct utsname name;
  return uname(&name) == 0 ? name.release : "?";
}

void report_setting(FILE *out, const struct setting *setting) {
  fprintf(
      out,
      "One worker on cpu %d, client on cpu %d, the same for every row; %u rounds of %g s each,\n"
      "interleaved; TLS 1.3, X25519, ECDSA P-256; %s; Linux %s\n",
      setting->daemon_cpu, setting->client_cpu, setting->rounds, setting->seconds,
      OpenSSL_version(OPENSSL_VERSION), kernel());
  if (setting->daemon_cpu == setting->client_cpu) {
    fputs("There is one cpu only: client and server take turns on it.\n", out);
  }
}

static void print_row(FILE *out, const struct row *row) {
  if (row->title != NULL) {
    fprintf(out, "%s\n", row->title);
  }
  fprintf(out, "  %-38s %5u %10.0f %8.2f %8.2f %8.2f %9.2f", row->label, row->calls,
          row->per_second.median, row->p50_us.min, row->p50_us.median, row->p50_us.max,
          row->p99_us.median);
  if (row->server_cpu_us.max > 0) {
    fprintf(out, " %8.2f %8.2f %8.2f\n", row->server_cpu_us.min, row->server_cpu_us.median,
            row->server_cpu_us.max);
  } else {
    fprintf(out, " %8s %8s %8s\n", "-", "-", "-");
  }
}

static void print_ratio(FILE *out, const struct ratio *ratio) {
  fprintf(out, "  %-56s %8.2f %8.2f %8.2f %8.2f", ratio->label, ratio->of_medians,
          ratio->by_round.min, ratio->by_round.median, ratio->by_round.max);
  if (ratio->aim > 0) {
    fprintf(out, "   <= %.2f %s", ratio->aim, ratio->of_medians <= ratio->aim ? "yes" : "NO");
  }
  fputc('\n', out);
}

void report_table(FILE *out, const struct row *rows, size_t num_rows, const struct ratio *ratios,
                  size_t num_ratios) {
  fprintf(out, "\n%-40s %5s %10s %26s %9s %26s\n", "", "round", "per second", "p50 microseconds",
          "p99 us", "server CPU microseconds");
  fprintf(out, "%-40s %5s %10s %8s %8s %8s %9s %8s %8s %8s\n", "", "trips", "median", "min",
          "median", "max", "median", "min", "median", "max");
  for (size_t i = 0; i < num_rows; i++) {
    print_row(out, &rows[i]);
  }
  if (num_ratios != 0) {
    fprintf(out, "\n%-58s %8s %26s   aim\n", "Ratios", "of the", "round by round");
    fprintf(out, "%-58s %8s %8s %8s %8s\n", "", "medians", "min", "median", "max");
  }
  for (size_t i = 0; i < num_ratios; i++) {
    print_ratio(out, &ratios[i]);
  }
}

static void print_spread(FILE *out, const char *name, const struct spread *spread) {
  fprintf(out, ", \"%s\": {\"min\": %.3f, \"median\": %.3f, \"max\": %.3f}", name, spread->min,
          spread->median, spread->max);
}

static void print_json_row(FILE *out, const struct row *row) {
  fprintf(out, "    {\"name\": \"%s\", \"round_trips\": %u", row->name, row->calls);
  print_spread(out, "per_second", &row->per_second);
  print_spread(out, "p50_us", &row->p50_us);
  print_spread(out, "p99_us", &row->p99_us);
  if (row->server_cpu_us.max > 0) {
    print_spread(out, "server_cpu_us", &row->server_cpu_us);
  }
  fputc('}', out);
}

static void print_json_ratio(FILE *out, const struct ratio *ratio) {
  fprintf(out, "    {\"name\": \"%s\", \"of_medians\": %.4f", ratio->name, ratio->of_medians);
  print_spread(out, "by_round", &ratio->by_round);
  if (ratio->aim > 0) {
    fprintf(out, ", \"aim\": %.2f, \"reached\": %s", ratio->aim,
            ratio->of_medians <= ratio->aim ? "true" : "false");
  }
  fputc('}', out);
}

// Names and versions here have no character that JSON would want escaped.
void report_json(FILE *out, const struct setting *setting, const struct row *rows, size_t num_rows,
                 const struct ratio *ratios, size_t num_ratios) {
  fprintf(out,
          "{\n  \"openssl\": \"%s\",\n  \"kernel\": \"%s\",\n  \"daemon_cpu\": %d,\n"
          "  \"client_cpu\": %d,\n  \"rounds\": %u,\n  \"seconds\": %g,\n  \"rows\": [\n",
          OpenSSL_version(OPENSSL_VERSION), kernel(), setting->daemon_cpu, setting->client_cpu,
          setting->rounds, setting->seconds);
  for (size_t i = 0; i < num_rows; i++) {
    print_json_row(out, &rows[i]);
    fputs(i + 1 < num_rows ? ",\n" : "\n", out);
  }
  fputs("  ],\n  \"ratios\": [\n", out);
  for (size_t i = 0; i < num_ratios; i++) {
    print_json_ratio(out, &ratios[i]);
    fputs(i + 1 < num_ratios ? ",\n" : "\n", out);
  }
  fputs("  ]\n}\n", out);
}
