// The report as one page that needs nothing else: its style and its plots are in it.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/load/plot.h"
#include "client/load/report.h"
#include "client/load/units.h"

enum { TICKS_PER_HALF = 10, NINES_MAX = 6 };

static const char style[] =
    ":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b2430;--dim:#5b6675;"
    "--edge:#dfe3e9;--grid:#e8ebf0;--bad:#b3261e;--good:#1a7f4b;"
    "--s0:#2563c9;--s1:#d9580d;--s2:#11845b;--s3:#8a3fb5;--s4:#b0226c;--s5:#7a6a00}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1a2029;--ink:#e7ebf1;"
    "--dim:#9aa6b6;--edge:#2c3541;--grid:#28303b;--bad:#ff8a80;--good:#63d49b;"
    "--s0:#6ea8ff;--s1:#ff9a55;--s2:#4fd3a0;--s3:#c792ea;--s4:#ff7eb6;--s5:#e3cf57}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
    "font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',sans-serif}\n"
    "main{max-width:860px;margin:0 auto;padding:24px 16px 48px}\n"
    "h1{font-size:1.55rem;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}"
    "h2{font-size:1.1rem;margin:0 0 2px}p{margin:0 0 10px}.dim{color:var(--dim)}\n"
    "section{background:var(--card);border:1px solid var(--edge);border-radius:10px;"
    "padding:16px 18px;margin-top:16px}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(126px,1fr));gap:12px;"
    "margin-top:18px}.card{background:var(--card);border:1px solid var(--edge);border-radius:10px;"
    "padding:12px 14px}.card b{display:block;font-size:1.35rem;line-height:1.3;white-space:nowrap;"
    "font-variant-numeric:tabular-nums}.card span{color:var(--dim);font-size:.85rem}"
    ".card.bad b{color:var(--bad)}.card.good b{color:var(--good)}\n"
    ".plot{overflow-x:auto;margin:8px 0 0}svg{display:block;width:100%;min-width:560px;height:auto}"
    "svg text{font:12px system-ui,sans-serif;fill:var(--dim)}svg .label{font-size:12.5px}"
    ".grid{stroke:var(--grid);stroke-width:1}.line{fill:none;stroke:var(--c);stroke-width:2;"
    "stroke-linejoin:round}.area{fill:var(--c);opacity:.13}.bar{fill:var(--c)}"
    ".mark{fill:var(--c)}.quiet{opacity:0}.quiet:hover{opacity:1}\n"
    ".s0{--c:var(--s0)}.s1{--c:var(--s1)}.s2{--c:var(--s2)}.s3{--c:var(--s3)}.s4{--c:var(--s4)}"
    ".s5{--c:var(--s5)}.line.s1{stroke-dasharray:7 3}.line.s3{stroke-dasharray:2 3}"
    ".line.s4{stroke-dasharray:9 3 2 3}\n"
    ".legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;padding:0;margin:8px 0 0;"
    "font-size:.88rem}.swatch{display:inline-block;width:18px;height:4px;border-radius:2px;"
    "background:var(--c);margin-right:7px;vertical-align:middle}\n"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem;"
    "font-variant-numeric:tabular-nums}th,td{text-align:right;padding:5px 8px;"
    "border-bottom:1px solid var(--edge);white-space:nowrap}th{color:var(--dim);font-weight:600}"
    "th:first-child,td:first-child{text-align:left;padding-left:0}td.text{text-align:left;"
    "white-space:normal;overflow-wrap:anywhere}tr:last-child td{border-bottom:0}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 18px;margin:8px 0 0;"
    "font-size:.9rem}dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}\n"
    "footer{color:var(--dim);font-size:.85rem;margin-top:20px}\n";

static bool is_open_loop(const struct result *result) {
  return result->options->rate > 0;
}

static const struct histogram *main_latency(const struct result *result) {
  return &result->stats.phases[result_latency_phase(result->options)];
}

// ---------------------------------------------------------------------------------------------
// The head: what was done and how it went, in a sentence and in figures

static const char *title_of(const struct result *result) {
  return result->options->title != NULL ? result->options->title : result->options->target;
}

static const char *meaning_of(enum workload_kind workload) {
  static const char *const meanings[WORKLOAD_COUNT] = {
      [WORKLOAD_HANDSHAKE] = "TLS handshakes, each on a new connection",
      [WORKLOAD_ECHO] = "Messages sent and echoed back",
      [WORKLOAD_HTTP] = "HTTP/1.1 GET requests",
      [WORKLOAD_RAW] = "Requests, each with its answer",
      [WORKLOAD_DOWN] = "Downloads, each on a new connection",
      [WORKLOAD_UP] = "Uploads, each on a new connection",
      [WORKLOAD_IDLE] = "Connections established and held"};
  return meanings[workload];
}

static void write_sentence(const struct result *result, FILE *out) {
  const struct options *options = result->options;
  char text[UNITS_TEXT_MAX];
  fprintf(out, "<p>%s: ", meaning_of(options->workload));
  if (is_open_loop(result)) {
    fprintf(out, "%s started every second, whatever became of those before, ",
            units_show_number(options->rate, text));
  } else {
    fprintf(out, "%llu at a time, the next one when one is done, ",
            (unsigned long long)options->connections);
  }
  fprintf(out, "for %.1f s%s.", result->seconds, result->interrupted ? " (interrupted)" : "");
  if (result->stats.counts.operations > 0) {
    double half = (double)histogram_percentile(main_latency(result), 50);
    fprintf(out, " Half of them took no longer than <b>%s</b>", units_show_nanos(half, text));
    double most = (double)histogram_percentile(main_latency(result), 99);
    fprintf(out, ", 99 of 100 no longer than <b>%s</b>.", units_show_nanos(most, text));
  }
  fprintf(out, "</p>\n");
}

static void write_card(FILE *out, const char *kind, const char *value, const char *what) {
  fprintf(out, "<div class=\"card %s\"><b>%s</b><span>%s</span></div>\n", kind, value, what);
}

static void write_cards(const struct result *result, FILE *out) {
  const struct counts *counts = &result->stats.counts;
  char text[UNITS_TEXT_MAX];
  double seconds = result->seconds > 0 ? result->seconds : 1;
  fprintf(out, "<div class=\"cards\">\n");
  write_card(out, "", units_show_number(result_rate(result), text), "operations a second");
  units_show_nanos((double)histogram_percentile(main_latency(result), 50), text);
  write_card(out, "", text, "median latency");
  units_show_nanos((double)histogram_percentile(main_latency(result), 99), text);
  write_card(out, "", text, "99th percentile");
  units_show_number((double)counts->errors, text);
  write_card(out, counts->errors > 0 ? "bad" : "good", text, "errors");
  if (counts->bytes_in + counts->bytes_out > 0) {
    units_show_bytes((double)(counts->bytes_in + counts->bytes_out) / seconds, text);
    write_card(out, "", text, "plaintext a second");
  }
  if (counts->operations > 0) {
    double cpu = (result->cpu_user + result->cpu_system) * 1e9;
    units_show_nanos(cpu / (double)counts->operations, text);
    write_card(out, "", text, "client cpu an operation");
  }
  fprintf(out, "</div>\n");
}

static void write_head(const struct result *result, FILE *out) {
  char when[64];
  struct tm broken;
  gmtime_r(&result->started, &broken);
  strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &broken);
  fprintf(out,
          "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>");
  plot_escape(title_of(result), out);
  fprintf(out, " - tlsagent-load</title>\n<style>\n%s</style></head>\n<body><main>\n<h1>", style);
  plot_escape(title_of(result), out);
  fprintf(out, "</h1>\n<p class=\"dim\">Load of ");
  plot_escape(result->options->target, out);
  fprintf(out, ", %s</p>\n", when);
  write_sentence(result, out);
  write_cards(result, out);
}

// ---------------------------------------------------------------------------------------------
// Plots

static const char *show_seconds(double value, char out[UNITS_TEXT_MAX]) {
  snprintf(out, UNITS_TEXT_MAX, "%g s", round(value * 10) / 10);
  return out;
}

static const char *show_rate(double value, char out[UNITS_TEXT_MAX]) {
  return units_show_number(value, out);
}

// On the axis a percentile stands at the number of its nines: 0, 90, 99, 99.9 are 0, 1, 2, 3.
static const char *show_nines(double nines, char out[UNITS_TEXT_MAX]) {
  snprintf(out, UNITS_TEXT_MAX, "%.6g %%", 100 * (1 - pow(10, -nines)));
  return out;
}

static size_t count_steps(const struct histogram *histogram) {
  struct histogram_walk walk;
  struct histogram_step step;
  size_t num = 0;
  histogram_walk_start(&walk, histogram, TICKS_PER_HALF);
  while (histogram_walk_next(&walk, &step)) {
    num++;
  }
  return num;
}

static bool add_line(struct plot *plot, const char *name, size_t num_points) {
  struct plot_line *line = &plot->lines[plot->num_lines];
  *line = (struct plot_line){.name = name};
  line->points = calloc(num_points + 1, sizeof(*line->points));
  plot->num_lines += line->points != NULL;
  return line->points != NULL;
}

static void free_lines(struct plot *plot) {
  for (size_t i = 0; i < plot->num_lines; i++) {
    free(plot->lines[i].points);
  }
}

static void add_percentiles(struct plot *plot, const char *name,
                            const struct histogram *histogram) {
  struct histogram_walk walk;
  struct histogram_step step;
  if (histogram->total == 0 || !add_line(plot, name, count_steps(histogram))) {
    return;
  }
  struct plot_line *line = &plot->lines[plot->num_lines - 1];
  histogram_walk_start(&walk, histogram, TICKS_PER_HALF);
  while (histogram_walk_next(&walk, &step)) {
    double most = log10((double)histogram->total) + 0.0;
    double nines = step.percent >= 100 ? most : -log10(1 - step.percent / 100);
    nines = nines > NINES_MAX ? NINES_MAX : nines;
    line->points[line->num_points++] =
        (struct plot_point){.x = nines, .y = (double)(step.value > 0 ? step.value : 1)};
  }
}

static void lay_percentile_axes(struct plot *plot) {
  double least = INFINITY;
  double most = 0;
  double nines = 1;
  for (size_t i = 0; i < plot->num_lines; i++) {
    const struct plot_line *line = &plot->lines[i];
    least = fmin(least, line->points[0].y);
    most = fmax(most, line->points[line->num_points - 1].y);
    nines = fmax(nines, line->points[line->num_points - 1].x);
  }
  plot_axis_log(&plot->y, fmax(least, 1000), fmax(most, 2000), units_show_nanos);
  plot->x = (struct plot_axis){.most = nines};
  for (int i = 0; i <= (int)nines; i++) {
    struct plot_tick *tick = &plot->x.ticks[plot->x.num_ticks++];
    tick->at = i;
    show_nines(i, tick->label);
  }
}

static void write_percentiles(const struct result *result, FILE *out) {
  static const struct {
    enum phase phase;
    const char *name;
  } shown[] = {{PHASE_CORRECTED, "operation, from its intended start"},
               {PHASE_OPERATION, "operation"},
               {PHASE_CONNECT, "connect"},
               {PHASE_HANDSHAKE, "handshake"},
               {PHASE_FIRST_BYTE, "first byte"},
               {PHASE_TRANSFER, "transfer"}};
  struct plot plot = {.title = "Latency by percentile",
                      .x_label = "percent of all that took no longer",
                      .y_label = "latency",
                      .show_x = show_nines,
                      .show_y = units_show_nanos};
  for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
    add_percentiles(&plot, shown[i].name, &result->stats.phases[shown[i].phase]);
  }
  if (plot.num_lines > 0) {
    lay_percentile_axes(&plot);
    fprintf(out,
            "<section><h2>Latency by percentile</h2>\n<p class=\"dim\">How long the fastest "
            "so many percent took at most. To the right are the slow ones, each line of the "
            "grid ten times as rare as the one before.</p>\n");
    plot_write(&plot, out);
    fprintf(out, "</section>\n");
  }
  free_lines(&plot);
}

static double rate_of(const struct options *options, const struct sample *sample) {
  (void)options;
  return (double)sample->counts.operations / sample->seconds;
}

static double errors_of(const struct options *options, const struct sample *sample) {
  (void)options;
  return (double)sample->counts.errors / sample->seconds;
}

// A second in which nothing ended has no latency.
static double latency_or_gap(const struct sample_phase *latency, double nanos) {
  return latency->num > 0 ? nanos : NAN;
}

static double half_of(const struct options *options, const struct sample *sample) {
  const struct sample_phase *latency = &sample->phases[result_latency_phase(options)];
  return latency_or_gap(latency, latency->p50_nanos);
}

static double tail_of(const struct options *options, const struct sample *sample) {
  const struct sample_phase *latency = &sample->phases[result_latency_phase(options)];
  return latency_or_gap(latency, latency->p99_nanos);
}

static double most_of(const struct options *options, const struct sample *sample) {
  const struct sample_phase *latency = &sample->phases[result_latency_phase(options)];
  return latency_or_gap(latency, latency->most_nanos);
}

// A last second of which little is left says little, and isn't drawn.
static bool is_drawn(const struct result *result, size_t i) {
  const struct sample *sample = &result->samples[i];
  return sample->seconds >= 0.5 || (result->num_samples == 1 && sample->seconds > 0);
}

// Returns the largest value.
static double add_series(struct plot *plot, const struct result *result, const char *name,
                         double (*of)(const struct options *options, const struct sample *sample)) {
  double most = 0;
  if (!add_line(plot, name, result->num_samples)) {
    return 0;
  }
  struct plot_line *line = &plot->lines[plot->num_lines - 1];
  for (size_t i = 0; i < result->num_samples; i++) {
    if (is_drawn(result, i)) {
      double value = of(result->options, &result->samples[i]);
      line->points[line->num_points++] =
          (struct plot_point){.x = result->samples[i].at, .y = value};
      most = fmax(most, value);
    }
  }
  return most;
}

static double last_second(const struct result *result) {
  return result->num_samples == 0 ? 1 : result->samples[result->num_samples - 1].at;
}

static void lay_time_axes(struct plot *plot, const struct result *result, double most,
                          plot_show *show) {
  plot_axis_linear(&plot->y, most, show);
  plot_axis_linear(&plot->x, last_second(result), show_seconds);
  plot->x.most = fmax(last_second(result), 1e-3);
  while (plot->x.num_ticks > 1 && plot->x.ticks[plot->x.num_ticks - 1].at > plot->x.most) {
    plot->x.num_ticks--;
  }
}

static void write_rate(const struct result *result, FILE *out) {
  struct plot plot = {.title = "Rate and errors over time",
                      .x_label = "seconds since the measuring began",
                      .y_label = "a second",
                      .show_x = show_seconds,
                      .show_y = show_rate};
  double most = add_series(&plot, result, "operations a second", rate_of);
  plot.lines[0].is_filled = true;
  double errors = result->stats.counts.errors == 0
                      ? 0
                      : add_series(&plot, result, "errors a second", errors_of);
  if (plot.num_lines > 1) {
    plot.lines[1].is_bars = true;
  }
  lay_time_axes(&plot, result, fmax(most, errors), show_rate);
  fprintf(out, "<section><h2>Rate and errors over time</h2>\n");
  plot_write(&plot, out);
  fprintf(out, "</section>\n");
  free_lines(&plot);
}

static void write_latency(const struct result *result, FILE *out) {
  struct plot plot = {.title = "Latency over time",
                      .x_label = "seconds since the measuring began",
                      .y_label = "latency",
                      .show_x = show_seconds,
                      .show_y = units_show_nanos};
  add_series(&plot, result, "median", half_of);
  add_series(&plot, result, "99th percentile", tail_of);
  double most = add_series(&plot, result, "slowest", most_of);
  lay_time_axes(&plot, result, most, units_show_nanos);
  double least = most;
  for (size_t i = 0; plot.num_lines > 0 && i < plot.lines[0].num_points; i++) {
    least = fmin(least, plot.lines[0].points[i].y);  // fmin leaves gaps aside
  }
  if (most > 0) {
    plot_axis_log(&plot.y, fmax(least, 100), fmax(most, 200), units_show_nanos);
  }
  fprintf(out,
          "<section><h2>Latency over time</h2>\n<p class=\"dim\">Of the operations that ended "
          "within each second%s.</p>\n",
          is_open_loop(result) ? ", from their intended start" : "");
  plot_write(&plot, out);
  fprintf(out, "</section>\n");
  free_lines(&plot);
}

// ---------------------------------------------------------------------------------------------
// Tables

static void write_time_cell(FILE *out, double nanos) {
  char text[UNITS_TEXT_MAX];
  fprintf(out, "<td>%s</td>", units_show_nanos(nanos, text));
}

static void write_ranges(const struct result *result, FILE *out) {
  struct plot plot = {.title = "The phases' durations",
                      .x_label =
                          "line: from the fastest to the slowest; bar: from the median to "
                          "the 99th percentile",
                      .show_x = units_show_nanos};
  struct plot_range ranges[PHASE_COUNT];
  size_t num = 0;
  double least = INFINITY;
  double most = 0;
  for (int i = 0; i < PHASE_COUNT; i++) {
    const struct histogram *histogram = &result->stats.phases[i];
    if (histogram->total == 0) {
      continue;
    }
    ranges[num] = (struct plot_range){.name = i == PHASE_CORRECTED ? "corrected" : PHASE_NAMES[i],
                                      .least = (double)histogram_min(histogram),
                                      .half = (double)histogram_percentile(histogram, 50),
                                      .tail = (double)histogram_percentile(histogram, 99),
                                      .most = (double)histogram_max(histogram)};
    least = fmin(least, ranges[num].half);
    most = fmax(most, ranges[num].most);
    num++;
  }
  if (num > 0) {
    plot_axis_log(&plot.x, fmax(least, 1000), fmax(most, 2000), units_show_nanos);
    plot_write_ranges(&plot, ranges, num, out);
  }
}

static void write_phases(const struct result *result, FILE *out) {
  static const double percents[] = {50, 90, 99, 99.9};
  fprintf(out, "<section><h2>Phases</h2>\n");
  write_ranges(result, out);
  fprintf(out,
          "<div class=\"scroll\"><table><tr><th>phase</th>"
          "<th>count</th><th>mean</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th>"
          "<th>max</th></tr>\n");
  for (int i = 0; i < PHASE_COUNT; i++) {
    const struct histogram *histogram = &result->stats.phases[i];
    if (histogram->total == 0) {
      continue;
    }
    fprintf(out, "<tr title=\"%s\"><td>%s</td><td>%llu</td>", PHASE_MEANINGS[i], PHASE_NAMES[i],
            (unsigned long long)histogram->total);
    write_time_cell(out, histogram_mean(histogram));
    for (size_t p = 0; p < sizeof(percents) / sizeof(percents[0]); p++) {
      write_time_cell(out, (double)histogram_percentile(histogram, percents[p]));
    }
    write_time_cell(out, (double)histogram_max(histogram));
    fprintf(out, "</tr>\n");
  }
  fprintf(out, "</table></div>\n<dl>");
  for (int i = 0; i < PHASE_COUNT; i++) {
    if (result->stats.phases[i].total > 0) {
      fprintf(out, "<dt>%s</dt><dd>%s</dd>", PHASE_NAMES[i], PHASE_MEANINGS[i]);
    }
  }
  fprintf(out, "</dl></section>\n");
}

static void write_errors(const struct result *result, FILE *out) {
  const struct tally *tally = &result->stats.tally;
  if (tally->num_rows == 0) {
    return;
  }
  fprintf(out,
          "<section><h2>Errors</h2>\n<div class=\"scroll\"><table><tr><th>phase</th>"
          "<th>count</th><th>kind</th><th style=\"text-align:left\">reason</th></tr>\n");
  for (size_t i = 0; i < tally->num_rows; i++) {
    const struct tally_row *row = &tally->rows[i];
    fprintf(out, "<tr><td>%s</td><td>%llu</td><td>", PHASE_NAMES[row->phase],
            (unsigned long long)row->count);
    plot_escape(row->kind, out);
    fprintf(out, "</td><td class=\"text\">");
    plot_escape(row->reason, out);
    fprintf(out, "</td></tr>\n");
  }
  fprintf(out, "</table></div></section>\n");
}

static void write_fact(FILE *out, const char *name, const char *value) {
  if (value != NULL && value[0] != '\0') {
    fprintf(out, "<dt>%s</dt><dd>", name);
    plot_escape(value, out);
    fprintf(out, "</dd>");
  }
}

static void write_facts(const struct result *result, FILE *out) {
  const struct options *options = result->options;
  const struct counts *counts = &result->stats.counts;
  fprintf(out, "<section><h2>Details</h2><dl>");
  fprintf(out,
          "<dt>connections</dt><dd>%llu opened, %llu established (%llu resumed), %llu failed</dd>",
          (unsigned long long)counts->opened, (unsigned long long)counts->established,
          (unsigned long long)counts->resumed, (unsigned long long)counts->failed);
  if (is_open_loop(result)) {
    fprintf(out,
            "<dt>late</dt><dd>%llu found no free connection when they were due, %llu of these "
            "never began</dd>",
            (unsigned long long)counts->late, (unsigned long long)counts->missed);
  }
  fprintf(out, "<dt>given up</dt><dd>%llu were under way at the end</dd>",
          (unsigned long long)counts->given_up);
  fprintf(out, "<dt>at a time</dt><dd>at most %llu connections, %llu threads</dd>",
          (unsigned long long)options->connections, (unsigned long long)options->workers);
  write_fact(out, "TLS", result->agreed.version);
  write_fact(out, "cipher", result->agreed.cipher);
  write_fact(out, "group", result->agreed.group);
  write_fact(out, "ALPN", result->agreed.alpn);
  fprintf(out, "<dt>verification</dt><dd>%s</dd>", options->insecure ? "none" : "on");
  fprintf(out, "<dt>client cpu</dt><dd>%.2f s user, %.2f s system</dd>", result->cpu_user,
          result->cpu_system);
  write_fact(out, "engine", result->engine);
  fprintf(out, "</dl></section>\n");
}

void report_html(const struct result *result, FILE *out) {
  write_head(result, out);
  write_percentiles(result, out);
  if (result->num_samples > 0) {
    write_rate(result, out);
    write_latency(result, out);
  }
  write_phases(result, out);
  write_errors(result, out);
  write_facts(result, out);
  fprintf(out, "<footer>Made by tlsagent-load.</footer>\n</main></body></html>\n");
}
