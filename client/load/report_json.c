#include <jansson.h>
#include <stdlib.h>

#include "client/load/report.h"

// jansson fails without memory, and of text that isn't UTF-8, which is none here: see text().

static json_t *number(double value) {
  return json_real(value);
}

static json_t *integer(uint64_t value) {
  return json_integer((json_int_t)value);
}

// Command lines and peers are free to say bytes that are no UTF-8: then all but ASCII is escaped,
// as \xNN, and so is the backslash.
static json_t *escaped(const char *bytes) {
  char *out = NULL;
  size_t len = 0;
  FILE *stream = open_memstream(&out, &len);
  for (; stream != NULL && *bytes != '\0'; bytes++) {
    unsigned char byte = (unsigned char)*bytes;
    fprintf(stream, byte < 0x80 && byte != '\\' ? "%c" : "\\x%02x", byte);
  }
  json_t *string = stream != NULL && fclose(stream) == 0 ? json_string(out) : NULL;
  free(out);
  return string;
}

static json_t *text(const char *bytes) {
  json_t *string = json_string(bytes);
  return string != NULL ? string : escaped(bytes);
}

static json_t *text_or_null(const char *bytes) {
  return bytes == NULL ? json_null() : text(bytes);
}

static json_t *version_or_null(int version) {
  return version == 0 ? json_null() : text(version == 0x0303 ? "1.2" : "1.3");
}

static json_t *count_or_null(uint64_t count) {
  return count == 0 ? json_null() : integer(count);
}

static json_t *headers_of(const struct options *options) {
  json_t *out = json_array();
  for (size_t i = 0; i < options->num_headers; i++) {
    json_array_append_new(out, text(options->headers[i]));
  }
  return out;
}

static json_t *options_of(const struct options *options) {
  json_t *out = json_object();
  json_object_set_new(out, "connections", integer(options->connections));
  json_object_set_new(out, "rate", number(options->rate));
  json_object_set_new(out, "duration_seconds", number((double)options->duration_nanos / 1e9));
  json_object_set_new(out, "warmup_seconds", number((double)options->warmup_nanos / 1e9));
  json_object_set_new(out, "ramp_seconds", number((double)options->ramp_nanos / 1e9));
  json_object_set_new(out, "timeout_seconds", number((double)options->timeout_nanos / 1e9));
  json_object_set_new(out, "count", integer(options->count));
  json_object_set_new(out, "workers", integer(options->workers));
  json_object_set_new(out, "size", integer(options->size));
  json_object_set_new(out, "bytes", integer(options->bytes));
  json_object_set_new(out, "path", text_or_null(options->path));
  json_object_set_new(out, "headers",
                      options->num_headers == 0 ? json_null() : headers_of(options));
  json_object_set_new(out, "send", text_or_null(options->send));
  json_object_set_new(out, "expect_bytes", count_or_null(options->expect_bytes));
  json_object_set_new(out, "resume_percent", number(options->resume_percent));
  json_object_set_new(out, "tls_min", version_or_null(options->tls_min));
  json_object_set_new(out, "tls_max", version_or_null(options->tls_max));
  json_object_set_new(out, "groups", text_or_null(options->groups));
  json_object_set_new(out, "ciphers", text_or_null(options->ciphers));
  json_object_set_new(out, "ciphersuites", text_or_null(options->ciphersuites));
  json_object_set_new(out, "alpn", text_or_null(options->alpn));
  json_object_set_new(out, "sni", text_or_null(options->sni));
  json_object_set_new(out, "cert", text_or_null(options->cert));
  json_object_set_new(out, "ca", text_or_null(options->ca));
  json_object_set_new(out, "insecure", json_boolean(options->insecure));
  json_object_set_new(out, "shutdown", json_boolean(!options->no_shutdown));
  json_object_set_new(out, "reset", json_boolean(options->reset));
  json_object_set_new(out, "via", json_boolean(options->has_via));
  return out;
}

static json_t *phase_of(const struct histogram *histogram) {
  static const struct {
    const char *name;
    double percent;
  } percentiles[] = {{"p50_us", 50}, {"p75_us", 75},    {"p90_us", 90},     {"p95_us", 95},
                     {"p99_us", 99}, {"p999_us", 99.9}, {"p9999_us", 99.99}};
  json_t *out = json_object();
  json_object_set_new(out, "count", integer(histogram->total));
  json_object_set_new(out, "min_us", number((double)histogram_min(histogram) / 1e3));
  json_object_set_new(out, "mean_us", number(histogram_mean(histogram) / 1e3));
  for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++) {
    double nanos = (double)histogram_percentile(histogram, percentiles[i].percent);
    json_object_set_new(out, percentiles[i].name, number(nanos / 1e3));
  }
  json_object_set_new(out, "max_us", number((double)histogram_max(histogram) / 1e3));
  json_object_set_new(out, "stddev_us", number(histogram_stddev(histogram) / 1e3));
  return out;
}

// All phases but those that never were.
static json_t *phases_of(const struct result *result) {
  json_t *out = json_object();
  for (int i = 0; i < PHASE_COUNT; i++) {
    if (result->stats.phases[i].total > 0) {
      json_object_set_new(out, PHASE_NAMES[i], phase_of(&result->stats.phases[i]));
    }
  }
  return out;
}

static json_t *errors_of(const struct tally *tally) {
  json_t *out = json_array();
  for (size_t i = 0; i < tally->num_rows; i++) {
    const struct tally_row *row = &tally->rows[i];
    json_t *error = json_object();
    json_object_set_new(error, "phase", text(PHASE_NAMES[row->phase]));
    json_object_set_new(error, "kind", text(row->kind));
    json_object_set_new(error, "reason", text(row->reason));
    json_object_set_new(error, "count", integer(row->count));
    json_array_append_new(out, error);
  }
  return out;
}

static json_t *sample_phases_of(const struct sample *sample) {
  json_t *out = json_object();
  for (int i = 0; i < PHASE_COUNT; i++) {
    const struct sample_phase *phase = &sample->phases[i];
    if (phase->num > 0) {
      json_t *of = json_object();
      json_object_set_new(of, "count", integer(phase->num));
      json_object_set_new(of, "p50_us", number(phase->p50_nanos / 1e3));
      json_object_set_new(of, "p90_us", number(phase->p90_nanos / 1e3));
      json_object_set_new(of, "p99_us", number(phase->p99_nanos / 1e3));
      json_object_set_new(out, PHASE_NAMES[i], of);
    }
  }
  return out;
}

static json_t *sample_of(const struct options *options, const struct sample *sample) {
  const struct sample_phase *latency = &sample->phases[result_latency_phase(options)];
  double seconds = sample->seconds > 0 ? sample->seconds : 1;
  json_t *out = json_object();
  json_object_set_new(out, "t", number(sample->at));
  json_object_set_new(out, "seconds", number(sample->seconds));
  json_object_set_new(out, "operations", integer(sample->counts.operations));
  json_object_set_new(out, "rate", number((double)sample->counts.operations / seconds));
  json_object_set_new(out, "errors", integer(sample->counts.errors));
  json_object_set_new(out, "p50_us", number(latency->p50_nanos / 1e3));
  json_object_set_new(out, "p99_us", number(latency->p99_nanos / 1e3));
  json_object_set_new(out, "max_us", number(latency->most_nanos / 1e3));
  json_object_set_new(out, "connections", integer(sample->established));
  json_object_set_new(out, "bytes_in", integer(sample->counts.bytes_in));
  json_object_set_new(out, "bytes_out", integer(sample->counts.bytes_out));
  json_object_set_new(out, "cpu_seconds", number(sample->cpu_seconds));
  json_object_set_new(out, "phases", sample_phases_of(sample));
  return out;
}

static json_t *series_of(const struct result *result) {
  json_t *out = json_array();
  for (size_t i = 0; i < result->num_samples; i++) {
    json_array_append_new(out, sample_of(result->options, &result->samples[i]));
  }
  return out;
}

static json_t *connections_of(const struct counts *counts) {
  json_t *out = json_object();
  json_object_set_new(out, "opened", integer(counts->opened));
  json_object_set_new(out, "established", integer(counts->established));
  json_object_set_new(out, "resumed", integer(counts->resumed));
  json_object_set_new(out, "failed", integer(counts->failed));
  return out;
}

static json_t *agreed_of(const struct agreed *agreed) {
  json_t *out = json_object();
  json_object_set_new(out, "version", text(agreed->version));
  json_object_set_new(out, "cipher", text(agreed->cipher));
  json_object_set_new(out, "group", text(agreed->group));
  json_object_set_new(out, "alpn", text(agreed->alpn));
  return out;
}

static json_t *bytes_of(const struct counts *counts) {
  json_t *out = json_object();
  json_object_set_new(out, "in", integer(counts->bytes_in));
  json_object_set_new(out, "out", integer(counts->bytes_out));
  return out;
}

static json_t *cpu_of(const struct result *result) {
  json_t *out = json_object();
  json_object_set_new(out, "user_seconds", number(result->cpu_user));
  json_object_set_new(out, "system_seconds", number(result->cpu_system));
  return out;
}

static json_t *document_of(const struct result *result) {
  const struct counts *counts = &result->stats.counts;
  json_t *out = json_object();
  json_object_set_new(out, "schema", text("tlsagent-load/1"));
  json_object_set_new(out, "target", text(result->options->target));
  json_object_set_new(out, "workload", text(WORKLOAD_NAMES[result->options->workload]));
  json_object_set_new(out, "engine", text(result->engine));
  json_object_set_new(out, "started_unix", integer((uint64_t)result->started));
  json_object_set_new(out, "options", options_of(result->options));
  json_object_set_new(out, "interrupted", json_boolean(result->interrupted));
  json_object_set_new(out, "seconds", number(result->seconds));
  json_object_set_new(out, "drain_seconds", number(result->drain_seconds));
  json_object_set_new(out, "operations", integer(counts->operations));
  json_object_set_new(out, "rate", number(result_rate(result)));
  json_object_set_new(out, "late", integer(counts->late));
  json_object_set_new(out, "missed", integer(counts->missed));
  json_object_set_new(out, "given_up", integer(counts->given_up));
  json_object_set_new(out, "connections", connections_of(counts));
  json_object_set_new(out, "agreed",
                      result->agreed.known ? agreed_of(&result->agreed) : json_null());
  json_object_set_new(out, "bytes", bytes_of(counts));
  json_object_set_new(out, "cpu", cpu_of(result));
  json_object_set_new(out, "phases", phases_of(result));
  json_object_set_new(out, "errors_total", integer(counts->errors));
  json_object_set_new(out, "errors", errors_of(&result->stats.tally));
  json_object_set_new(out, "series", series_of(result));
  return out;
}

bool report_json(const struct result *result, FILE *out) {
  json_t *document = document_of(result);
  bool good = document != NULL &&
              json_dumpf(document, out, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) == 0 &&
              fputc('\n', out) != EOF;
  json_decref(document);
  return good;
}
