// Line plots as inline SVG: axes, grid, lines. Colours are the page's (CSS classes s0, s1, ...).
#ifndef TLSAGENT_CLIENT_LOAD_PLOT_H_
#define TLSAGENT_CLIENT_LOAD_PLOT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "client/load/units.h"

#ifdef __cplusplus
extern "C" {
#endif

// A number as text for people; the text is out.
typedef const char *plot_show(double value, char out[UNITS_TEXT_MAX]);

struct plot_point {
  double x;
  double y;
};

struct plot_line {
  const char *name;
  struct plot_point *points;  // by rising x; one whose y is NAN is a gap
  size_t num_points;
  bool is_filled;  // down to the axis
  bool is_bars;    // each from the axis up
};

enum { PLOT_LINES_MAX = 8, PLOT_TICKS_MAX = 16 };

struct plot_tick {
  double at;
  char label[UNITS_TEXT_MAX];
};

struct plot_axis {
  double least;
  double most;
  bool is_log;
  struct plot_tick ticks[PLOT_TICKS_MAX];
  size_t num_ticks;
};

struct plot {
  const char *title;  // of the plot for those who don't see it
  const char *x_label;
  const char *y_label;
  struct plot_axis x;
  struct plot_axis y;
  struct plot_line lines[PLOT_LINES_MAX];
  size_t num_lines;
  plot_show *show_x;  // of a point, in its tooltip
  plot_show *show_y;
};

// plot_axis_linear lays an axis from 0 to at least most, with round ticks; plot_axis_log from at
// most least to at least most, which are above 0.
void plot_axis_linear(struct plot_axis *axis, double most, plot_show *show);
void plot_axis_log(struct plot_axis *axis, double least, double most, plot_show *show);

// plot_write writes the plot and its legend as HTML.
void plot_write(const struct plot *plot, FILE *out);

// What lies between its least and its most, with the half and 99 percent of it marked.
struct plot_range {
  const char *name;
  double least, half, tail, most;
};

// plot_write_ranges writes one row for each range along plot->x.
void plot_write_ranges(struct plot *plot, const struct plot_range *ranges, size_t num_ranges,
                       FILE *out);

// plot_escape writes text so that HTML means it as it is.
void plot_escape(const char *text, FILE *out);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_PLOT_H_
