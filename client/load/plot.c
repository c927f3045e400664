#include "client/load/plot.h"

#include <math.h>
#include <string.h>

// The drawing's own units; it is scaled to the page.
enum {
  WIDTH = 760,
  HEIGHT = 300,
  LEFT = 78,
  RIGHT = 16,
  TOP = 14,
  BOTTOM = 46,
  MARKED_POINTS_MAX = 400,  // more are too much to hover over
  SHOWN_POINTS_MAX = 60     // more would be a line of dots
};

void plot_escape(const char *text, FILE *out) {
  for (; *text != '\0'; text++) {
    switch (*text) {
      case '<':
        fputs("&lt;", out);
        break;
      case '>':
        fputs("&gt;", out);
        break;
      case '&':
        fputs("&amp;", out);
        break;
      case '"':
        fputs("&quot;", out);
        break;
      default:
        fputc(*text, out);
    }
  }
}

// ---------------------------------------------------------------------------------------------
// Axes

// "1.00k" as "1k", "10.0 ms" as "10 ms".
static void trim_zeros(char *label) {
  char *point = strchr(label, '.');
  if (point == NULL) {
    return;
  }
  char *rest = point + strspn(point, ".0123456789");
  char *end = rest;
  while (end[-1] == '0') {
    end--;
  }
  end -= end[-1] == '.';
  memmove(end, rest, strlen(rest) + 1);
}

static void add_tick(struct plot_axis *axis, double at, plot_show *show) {
  if (axis->num_ticks < PLOT_TICKS_MAX) {
    struct plot_tick *tick = &axis->ticks[axis->num_ticks++];
    tick->at = at;
    show(at, tick->label);
    trim_zeros(tick->label);
  }
}

// The round number next above: 1, 2 or 5 with zeros.
static double round_up(double value) {
  static const double round[] = {1, 2, 5, 10};
  double decade = pow(10, floor(log10(value)));
  for (size_t i = 0; i < sizeof(round) / sizeof(round[0]); i++) {
    if (round[i] * decade >= value * 0.999999) {
      return round[i] * decade;
    }
  }
  return 10 * decade;
}

void plot_axis_linear(struct plot_axis *axis, double most, plot_show *show) {
  enum { STEPS = 6 };
  double step = round_up((most > 0 ? most : 1) / STEPS);
  *axis = (struct plot_axis){.most = step * ceil((most > 0 ? most : 1) / step - 1e-9)};
  for (int i = 0; step * i <= axis->most * 1.000001; i++) {
    add_tick(axis, step * i, show);
  }
}

void plot_axis_log(struct plot_axis *axis, double least, double most, plot_show *show) {
  static const double steps[] = {1, 2, 5};
  enum { SPARSE_FROM = 3 };  // decades
  int from = (int)floor(log10(least));
  int until = (int)ceil(log10(most) - 1e-9);
  until = until > from ? until : from + 1;
  *axis = (struct plot_axis){.least = pow(10, from), .most = pow(10, until), .is_log = true};
  size_t num_steps = until - from >= SPARSE_FROM ? 1 : sizeof(steps) / sizeof(steps[0]);
  for (int decade = from; decade < until; decade++) {
    for (size_t i = 0; i < num_steps; i++) {
      add_tick(axis, steps[i] * pow(10, decade), show);
    }
  }
  add_tick(axis, axis->most, show);
}

static double part_of(const struct plot_axis *axis, double value) {
  double part = axis->is_log ? log10(value / axis->least) / log10(axis->most / axis->least)
                             : (value - axis->least) / (axis->most - axis->least);
  return part < 0 || isnan(part) ? 0 : part > 1 ? 1 : part;
}

static double x_of(const struct plot *plot, double value) {
  return LEFT + part_of(&plot->x, value) * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct plot *plot, double value) {
  return HEIGHT - BOTTOM - part_of(&plot->y, value) * (HEIGHT - TOP - BOTTOM);
}

static void write_axes(const struct plot *plot, FILE *out) {
  for (size_t i = 0; i < plot->y.num_ticks; i++) {
    const struct plot_tick *tick = &plot->y.ticks[i];
    double y = y_of(plot, tick->at);
    fprintf(out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT,
            WIDTH - RIGHT, y, y);
    fprintf(out, "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
            LEFT - 8, y + 4, tick->label);
  }
  for (size_t i = 0; i < plot->x.num_ticks; i++) {
    const struct plot_tick *tick = &plot->x.ticks[i];
    double x = x_of(plot, tick->at);
    const char *anchor = i + 1 == plot->x.num_ticks && x > WIDTH - RIGHT - 30 ? "end" : "middle";
    fprintf(out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", x, x, TOP,
            HEIGHT - BOTTOM);
    fprintf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%s</text>\n", x,
            HEIGHT - BOTTOM + 18, anchor, tick->label);
  }
  fprintf(out, "<text class=\"label\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
          (WIDTH + LEFT - RIGHT) / 2, HEIGHT - 8, plot->x_label);
  fprintf(out,
          "<text class=\"label\" transform=\"translate(14 %d) rotate(-90)\" "
          "text-anchor=\"middle\">%s</text>\n",
          (HEIGHT + TOP - BOTTOM) / 2, plot->y_label);
}

// ---------------------------------------------------------------------------------------------
// Lines

static bool is_gap(const struct plot_line *line, size_t i) {
  return isnan(line->points[i].y);
}

static void write_path(const struct plot *plot, const struct plot_line *line, FILE *out) {
  for (size_t i = 0; i < line->num_points; i++) {
    if (!is_gap(line, i)) {
      fprintf(out, "%s%.1f %.1f", i == 0 || is_gap(line, i - 1) ? "M" : "L",
              x_of(plot, line->points[i].x), y_of(plot, line->points[i].y));
    }
  }
}

static void write_line(const struct plot *plot, const struct plot_line *line, size_t number,
                       FILE *out) {
  if (line->is_filled) {
    fprintf(out, "<path class=\"area s%zu\" d=\"", number);
    write_path(plot, line, out);
    fprintf(out, "L%.1f %dL%.1f %dZ\"/>\n", x_of(plot, line->points[line->num_points - 1].x),
            HEIGHT - BOTTOM, x_of(plot, line->points[0].x), HEIGHT - BOTTOM);
  }
  fprintf(out, "<path class=\"line s%zu\" d=\"", number);
  write_path(plot, line, out);
  fprintf(out, "\"/>\n");
}

static void write_bars(const struct plot *plot, const struct plot_line *line, size_t number,
                       FILE *out) {
  double room = (double)(WIDTH - LEFT - RIGHT) / (double)(line->num_points + 1);
  double width = room > 12 ? 8 : room * 0.7;
  for (size_t i = 0; i < line->num_points; i++) {
    double top = y_of(plot, line->points[i].y);
    if (line->points[i].y > 0) {
      fprintf(out,
              "<rect class=\"bar s%zu\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
              number, x_of(plot, line->points[i].x) - width / 2, top, width, HEIGHT - BOTTOM - top);
    }
  }
}

// Marks say on hovering what they stand for.
static void write_marks(const struct plot *plot, const struct plot_line *line, size_t number,
                        FILE *out) {
  char x[UNITS_TEXT_MAX];
  char y[UNITS_TEXT_MAX];
  for (size_t i = 0; i < line->num_points && line->num_points <= MARKED_POINTS_MAX; i++) {
    const struct plot_point *point = &line->points[i];
    if (is_gap(line, i)) {
      continue;
    }
    bool shown = line->num_points <= SHOWN_POINTS_MAX;
    fprintf(out, "<circle class=\"mark%s s%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"%s\"><title>",
            shown ? "" : " quiet", number, x_of(plot, point->x), y_of(plot, point->y),
            shown ? "2.5" : "5");
    plot_escape(line->name, out);
    fprintf(out, ", %s: %s</title></circle>\n", plot->show_x(point->x, x),
            plot->show_y(point->y, y));
  }
}

static void write_legend(const struct plot *plot, FILE *out) {
  fprintf(out, "<ul class=\"legend\">");
  for (size_t i = 0; i < plot->num_lines; i++) {
    fprintf(out, "<li><span class=\"swatch s%zu\"></span>", i);
    plot_escape(plot->lines[i].name, out);
    fprintf(out, "</li>");
  }
  fprintf(out, "</ul>\n");
}

void plot_write(const struct plot *plot, FILE *out) {
  fprintf(out, "<div class=\"plot\"><svg viewBox=\"0 0 %d %d\" role=\"img\"><title>", WIDTH,
          HEIGHT);
  plot_escape(plot->title, out);
  fprintf(out, "</title>\n");
  write_axes(plot, out);
  for (size_t i = plot->num_lines; i-- > 0;) {  // the first is on top
    const struct plot_line *line = &plot->lines[i];
    if (line->num_points == 0) {
      continue;
    }
    if (line->is_bars) {
      write_bars(plot, line, i, out);
    } else {
      write_line(plot, line, i, out);
      write_marks(plot, line, i, out);
    }
  }
  fprintf(out, "</svg></div>\n");
  write_legend(plot, out);
}

// ---------------------------------------------------------------------------------------------
// Ranges

static void write_range(const struct plot *plot, const struct plot_range *range, double y,
                        FILE *out) {
  enum { THICK = 14 };
  char texts[4][UNITS_TEXT_MAX];
  double half = x_of(plot, range->half);
  double tail = x_of(plot, range->tail);
  fprintf(out, "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", LEFT - 8,
          y + 4, range->name);
  fprintf(out,
          "<g class=\"s0\"><title>%s: from %s, half within %s, 99 %% within %s, all within %s"
          "</title>\n",
          range->name, plot->show_x(range->least, texts[0]), plot->show_x(range->half, texts[1]),
          plot->show_x(range->tail, texts[2]), plot->show_x(range->most, texts[3]));
  fprintf(out, "<path class=\"line\" d=\"M%.1f %.1fH%.1f\"/>", x_of(plot, range->least), y,
          x_of(plot, range->most));
  fprintf(out, "<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"3\"/>",
          half, y - THICK / 2.0, tail > half + 2 ? tail - half : 2, THICK);
  fprintf(out, "</g>\n");
}

void plot_write_ranges(struct plot *plot, const struct plot_range *ranges, size_t num_ranges,
                       FILE *out) {
  enum { ROW = 34 };
  int height = TOP + BOTTOM + ROW * (int)num_ranges;
  fprintf(out, "<div class=\"plot\"><svg viewBox=\"0 0 %d %d\" role=\"img\"><title>", WIDTH,
          height);
  plot_escape(plot->title, out);
  fprintf(out, "</title>\n");
  for (size_t i = 0; i < plot->x.num_ticks; i++) {
    double x = x_of(plot, plot->x.ticks[i].at);
    fprintf(out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", x, x, TOP,
            height - BOTTOM);
    fprintf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%s</text>\n", x,
            height - BOTTOM + 18, i + 1 == plot->x.num_ticks ? "end" : "middle",
            plot->x.ticks[i].label);
  }
  for (size_t i = 0; i < num_ranges; i++) {
    write_range(plot, &ranges[i], TOP + ROW * ((double)i + 0.5), out);
  }
  fprintf(out, "<text class=\"label\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
          (WIDTH + LEFT - RIGHT) / 2, height - 8, plot->x_label);
  fprintf(out, "</svg></div>\n");
}
