#include "client/load/progress.h"

#include <unistd.h>

#include "client/load/units.h"

void progress_start(struct progress *progress, const struct options *options) {
  *progress = (struct progress){.out = options->quiet ? NULL : stderr,
                                .is_terminal = isatty(STDERR_FILENO) == 1};
}

// Goes back to the block's first line, and clears from there on.
static void rewind_block(struct progress *progress) {
  if (progress->num_lines > 0) {
    fprintf(progress->out, "\033[%uA\033[J", progress->num_lines);
  }
  progress->num_lines = 0;
}

struct texts {
  char rate[UNITS_TEXT_MAX];
  char p50[UNITS_TEXT_MAX];
  char p99[UNITS_TEXT_MAX];
  char most[UNITS_TEXT_MAX];
  char in[UNITS_TEXT_MAX];
  char out[UNITS_TEXT_MAX];
};

static void fill(const struct options *options, const struct sample *sample, struct texts *out) {
  const struct sample_phase *latency = &sample->phases[result_latency_phase(options)];
  double seconds = sample->seconds > 0 ? sample->seconds : 1;
  units_show_number((double)sample->counts.operations / seconds, out->rate);
  units_show_nanos(latency->p50_nanos, out->p50);
  units_show_nanos(latency->p99_nanos, out->p99);
  units_show_nanos(latency->most_nanos, out->most);
  units_show_bytes((double)sample->counts.bytes_in / seconds, out->in);
  units_show_bytes((double)sample->counts.bytes_out / seconds, out->out);
}

static void show_line(struct progress *progress, const struct sample *sample,
                      const struct texts *texts) {
  if (sample->at <= 0) {
    fprintf(progress->out, "%.0fs: warming up, %llu connections\n", sample->at,
            (unsigned long long)sample->established);
    return;
  }
  fprintf(progress->out,
          "%.0fs: %s/s, p50 %s, p99 %s, max %s, %llu connections, %llu errors, in %s/s, out "
          "%s/s\n",
          sample->at, texts->rate, texts->p50, texts->p99, texts->most,
          (unsigned long long)sample->established, (unsigned long long)sample->counts.errors,
          texts->in, texts->out);
}

static void show_bar(struct progress *progress, const struct options *options, double at) {
  enum { WIDTH = 40 };
  double whole = (double)options->duration_nanos / 1e9;
  if (whole <= 0) {
    fprintf(progress->out, "  %.0f s\n", at);
    return;
  }
  int done = at <= 0 ? 0 : at >= whole ? WIDTH : (int)(at / whole * WIDTH);
  fprintf(progress->out, "  [");
  for (int i = 0; i < WIDTH; i++) {
    fputc(i < done ? '#' : '.', progress->out);
  }
  fprintf(progress->out, "] %.0f of %.0f s%s\n", at <= 0 ? 0 : at, whole,
          at <= 0 ? ", warming up" : "");
}

static void show_block(struct progress *progress, const struct options *options,
                       const struct sample *sample, const struct texts *texts,
                       const struct counts *so_far) {
  rewind_block(progress);
  show_bar(progress, options, sample->at);
  progress->num_lines = 1;
  if (sample->at <= 0) {
    return;  // nothing is measured yet
  }
  fprintf(progress->out, "  %-12s %10s/s   connections %llu\n", WORKLOAD_NAMES[options->workload],
          texts->rate, (unsigned long long)sample->established);
  fprintf(progress->out, "  latency      p50 %s   p99 %s   max %s\n", texts->p50, texts->p99,
          texts->most);
  fprintf(progress->out, "  plaintext    in %s/s   out %s/s\n", texts->in, texts->out);
  fprintf(progress->out, "  so far       %llu operations, %llu errors\n",
          (unsigned long long)so_far->operations, (unsigned long long)so_far->errors);
  progress->num_lines += 4;
}

void progress_show(struct progress *progress, const struct options *options,
                   const struct sample *sample, const struct counts *so_far) {
  if (progress->out == NULL) {
    return;
  }
  struct texts texts;
  fill(options, sample, &texts);
  if (progress->is_terminal) {
    show_block(progress, options, sample, &texts, so_far);
  } else {
    show_line(progress, sample, &texts);
  }
}

void progress_end(struct progress *progress) {
  if (progress->out != NULL) {
    rewind_block(progress);
  }
}
