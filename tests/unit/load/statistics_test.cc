#include "client/load/statistics.h"

#include <gtest/gtest.h>

#include <vector>

namespace {

double Chance(const std::vector<double> &a, const std::vector<double> &b) {
  return statistics_chance(a.data(), a.size(), b.data(), b.size());
}

// Between -1 and 1, the same every time.
std::vector<double> Noise(size_t num, double around, unsigned seed) {
  std::vector<double> values;
  for (size_t i = 0; i < num; i++) {
    seed = seed * 1664525 + 1013904223;
    values.push_back(around + (static_cast<double>(seed >> 8) / (1 << 23) - 1));
  }
  return values;
}

TEST(Statistics, IsNoiseLikely) {
  EXPECT_GT(Chance(Noise(20, 100, 1), Noise(20, 100, 2)), 0.05);
  EXPECT_EQ(Chance({5, 5, 5, 5, 5}, {5, 5, 5, 5, 5}), 1);
}

TEST(Statistics, IsAShiftUnlikely) {
  EXPECT_LT(Chance(Noise(20, 100, 1), Noise(20, 102, 2)), 0.001);
  EXPECT_LT(Chance(Noise(8, 100, 1), Noise(9, 102, 2)), 0.01);
}

// How often is noise taken for a finding? As often as was agreed to.
TEST(Statistics, IsNoiseSeldomTakenForMore) {
  int findings = 0;
  for (unsigned seed = 0; seed < 100; seed++) {
    findings += Chance(Noise(10, 100, seed), Noise(10, 100, seed + 1000)) < 0.01 ? 1 : 0;
  }
  EXPECT_LE(findings, 5);
}

TEST(Statistics, DoesItSayNothingOfTooFew) {
  EXPECT_EQ(Chance({1, 1, 1, 1}, {9, 9, 9, 9, 9}), 1);
  EXPECT_EQ(Chance({}, {}), 1);
}

TEST(Statistics, IsTheMeanTheMean) {
  std::vector<double> values = {1, 2, 6};
  EXPECT_EQ(statistics_mean(values.data(), 3), 3);
  EXPECT_EQ(statistics_mean(values.data(), 0), 0);
}

}  // namespace
