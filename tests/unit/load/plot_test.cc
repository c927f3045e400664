#include "client/load/plot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>

namespace {

std::string Labels(const struct plot_axis &axis) {
  std::string labels;
  for (size_t i = 0; i < axis.num_ticks; i++) {
    labels += (i == 0 ? "" : " | ") + std::string(axis.ticks[i].label);
  }
  return labels;
}

TEST(Plot, AreTicksRound) {
  struct plot_axis axis;
  plot_axis_linear(&axis, 2950, units_show_number);
  EXPECT_EQ(Labels(axis), "0 | 500 | 1k | 1.5k | 2k | 2.5k | 3k");
  EXPECT_EQ(axis.most, 3000);
  plot_axis_linear(&axis, 0, units_show_number);
  EXPECT_GT(axis.most, 0);
  plot_axis_log(&axis, 3e6, 80e6, units_show_nanos);
  EXPECT_EQ(Labels(axis), "1 ms | 2 ms | 5 ms | 10 ms | 20 ms | 50 ms | 100 ms");
  plot_axis_log(&axis, 1500, 2e9, units_show_nanos);
  EXPECT_EQ(Labels(axis), "1 µs | 10 µs | 100 µs | 1 ms | 10 ms | 100 ms | 1 s | 10 s");
}

TEST(Plot, DoesEveryValueFitItsAxis) {
  for (double most : {1e-3, 0.7, 1.0, 9.99, 10.0, 123.0, 99999.0, 1e12}) {
    struct plot_axis axis;
    plot_axis_linear(&axis, most, units_show_number);
    EXPECT_GE(axis.most, most * 0.999999) << most;
    EXPECT_LE(axis.most, most * 2.01) << most;
    EXPECT_LE(axis.num_ticks, static_cast<size_t>(PLOT_TICKS_MAX));
    plot_axis_log(&axis, most, most * 300, units_show_number);
    EXPECT_LE(axis.least, most * 1.000001);
    EXPECT_GE(axis.most, most * 299.999);
  }
}

class WrittenPlot : public ::testing::Test {
 protected:
  std::string Written() {
    char *text = nullptr;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    plot_write(&plot_, out);
    fclose(out);
    std::string written(text, len);
    free(text);
    return written;
  }
  struct plot plot_ = {};
};

TEST_F(WrittenPlot, IsAGapNoLine) {
  struct plot_point points[] = {{0, 1}, {1, 2}, {2, NAN}, {3, 2}, {4, 1}};
  plot_.title = "a <title>";
  plot_.x_label = plot_.y_label = "";
  plot_.show_x = plot_.show_y = units_show_number;
  plot_axis_linear(&plot_.x, 4, units_show_number);
  plot_axis_linear(&plot_.y, 2, units_show_number);
  plot_.lines[0].name = "line";
  plot_.lines[0].points = points;
  plot_.lines[0].num_points = 5;
  plot_.num_lines = 1;
  std::string written = Written();
  size_t at = written.find(" d=\"M");
  std::string path = written.substr(at, written.find("\"/>", at) - at);
  EXPECT_EQ(std::count(path.begin(), path.end(), 'M'), 2) << path;
  EXPECT_EQ(written.find("nan"), std::string::npos) << written;
  EXPECT_NE(written.find("a &lt;title&gt;"), std::string::npos);
}

}  // namespace
