#include "client/load/report.h"

void report_csv(const struct result *result, FILE *out) {
  fprintf(out,
          "t,seconds,operations,rate,errors,p50_us,p99_us,max_us,connections,bytes_in,bytes_out,"
          "cpu_seconds\n");
  for (size_t i = 0; i < result->num_samples; i++) {
    const struct sample *sample = &result->samples[i];
    const struct sample_phase *latency = &sample->phases[result_latency_phase(result->options)];
    double seconds = sample->seconds > 0 ? sample->seconds : 1;
    fprintf(out, "%.3f,%.3f,%llu,%.3f,%llu,%.3f,%.3f,%.3f,%llu,%llu,%llu,%.6f\n", sample->at,
            sample->seconds, (unsigned long long)sample->counts.operations,
            (double)sample->counts.operations / seconds, (unsigned long long)sample->counts.errors,
            latency->p50_nanos / 1e3, latency->p99_nanos / 1e3, latency->most_nanos / 1e3,
            (unsigned long long)sample->established, (unsigned long long)sample->counts.bytes_in,
            (unsigned long long)sample->counts.bytes_out, sample->cpu_seconds);
  }
}
