#include "client/load/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace {

class HistogramTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(histogram_init(&histogram_, 1, 3600ULL * 1000 * 1000, 3));
  }
  void TearDown() override {
    histogram_cleanup(&histogram_);
  }
  std::string Printed(unsigned ticks, double scale) {
    char *text = nullptr;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    histogram_print(&histogram_, out, ticks, scale);
    fclose(out);
    std::string printed(text, len);
    free(text);
    return printed;
  }
  struct histogram histogram_;
};

// Deterministic, and spread over many sizes.
std::vector<uint64_t> Values(size_t num) {
  std::vector<uint64_t> values;
  uint64_t state = 42;
  for (size_t i = 0; i < num; i++) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    values.push_back((state >> 33) % (1ULL << (i % 31 + 1)));
  }
  return values;
}

TEST_F(HistogramTest, IsTheLayoutHdrHistograms) {
  // As HdrHistogram_c's hdr_init(1, 3600000000, 3) has it.
  EXPECT_EQ(histogram_.sub_bucket_count, 2048u);
  EXPECT_EQ(histogram_.num_counts, 23552u);
  EXPECT_EQ(histogram_.unit_magnitude, 0u);
  struct histogram coarse;
  ASSERT_TRUE(histogram_init(&coarse, 1000, 3600000000000ULL, 2));
  EXPECT_EQ(coarse.sub_bucket_count, 256u);
  EXPECT_EQ(coarse.unit_magnitude, 9u);
  histogram_cleanup(&coarse);
}

TEST_F(HistogramTest, IsAnEmptyOneAllZero) {
  EXPECT_EQ(histogram_min(&histogram_), 0u);
  EXPECT_EQ(histogram_max(&histogram_), 0u);
  EXPECT_EQ(histogram_mean(&histogram_), 0);
  EXPECT_EQ(histogram_stddev(&histogram_), 0);
  EXPECT_EQ(histogram_percentile(&histogram_, 99), 0u);
  EXPECT_EQ(Printed(5, 1).find("nan"), std::string::npos);
}

TEST_F(HistogramTest, AreTheFirstThreeDigitsKept) {
  for (uint64_t value : Values(5000)) {
    uint64_t low = histogram_lowest_equivalent(&histogram_, value);
    uint64_t high = histogram_highest_equivalent(&histogram_, value);
    ASSERT_LE(low, value);
    ASSERT_GE(high, value);
    ASSERT_LE(static_cast<double>(high - low), static_cast<double>(value) / 1000) << value;
  }
}

// The well-known example: 10,000 of 1 ms and one of 100 s.
TEST_F(HistogramTest, AreKnownPercentilesFound) {
  for (int i = 0; i < 10000; i++) {
    histogram_record(&histogram_, 1000);
  }
  histogram_record(&histogram_, 100000000);
  EXPECT_EQ(histogram_percentile(&histogram_, 30), 1000u);
  EXPECT_EQ(histogram_percentile(&histogram_, 99), 1000u);
  EXPECT_EQ(histogram_percentile(&histogram_, 99.99), 1000u);
  EXPECT_EQ(histogram_percentile(&histogram_, 99.999),
            histogram_highest_equivalent(&histogram_, 100000000));
  EXPECT_EQ(histogram_percentile(&histogram_, 100),
            histogram_highest_equivalent(&histogram_, 100000000));
  EXPECT_NEAR(histogram_mean(&histogram_), 10998.9, 11);
}

TEST_F(HistogramTest, ArePercentilesThoseOfTheSortedValues) {
  std::vector<uint64_t> values = Values(20000);
  for (uint64_t value : values) {
    histogram_record(&histogram_, value);
  }
  std::sort(values.begin(), values.end());
  for (double percent : {0.1, 1.0, 25.0, 50.0, 75.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
    // All of these are whole numbers of 20,000.
    auto rank = static_cast<size_t>(std::lround(percent * 200));
    uint64_t exact = values[rank - 1];
    EXPECT_EQ(histogram_percentile(&histogram_, percent),
              histogram_highest_equivalent(&histogram_, exact))
        << percent;
  }
}

TEST_F(HistogramTest, IsTheMeanAndTheSpreadThatOfTheValues) {
  double sum = 0;
  double squares = 0;
  for (int i = 1; i <= 1000; i++) {
    histogram_record(&histogram_, static_cast<uint64_t>(i));
    sum += i;
    squares += i * i;
  }
  double mean = sum / 1000;
  EXPECT_NEAR(histogram_mean(&histogram_), mean, 1e-9);
  EXPECT_NEAR(histogram_stddev(&histogram_), std::sqrt(squares / 1000 - mean * mean), 1e-9);
}

TEST_F(HistogramTest, DoPartsAddUpToTheWhole) {
  struct histogram parts[2];
  ASSERT_TRUE(histogram_init(&parts[0], 1, 3600ULL * 1000 * 1000, 3));
  ASSERT_TRUE(histogram_init(&parts[1], 1, 3600ULL * 1000 * 1000, 3));
  std::vector<uint64_t> values = Values(3000);
  for (size_t i = 0; i < values.size(); i++) {
    histogram_record(&histogram_, values[i]);
    histogram_record(&parts[i % 2], values[i]);
  }
  histogram_add(&parts[0], &parts[1]);
  EXPECT_EQ(parts[0].total, histogram_.total);
  EXPECT_EQ(parts[0].least, histogram_.least);
  EXPECT_EQ(parts[0].most, histogram_.most);
  EXPECT_TRUE(
      std::equal(histogram_.counts, histogram_.counts + histogram_.num_counts, parts[0].counts));
  histogram_cleanup(&parts[0]);
  histogram_cleanup(&parts[1]);
}

TEST_F(HistogramTest, IsNothingLeftAfterAReset) {
  histogram_record(&histogram_, 5);
  histogram_record(&histogram_, 70000);
  histogram_reset(&histogram_);
  EXPECT_EQ(histogram_.total, 0u);
  EXPECT_TRUE(std::all_of(histogram_.counts, histogram_.counts + histogram_.num_counts,
                          [](uint64_t count) { return count == 0; }));
  histogram_record(&histogram_, 7);
  EXPECT_EQ(histogram_min(&histogram_), 7u);
  EXPECT_EQ(histogram_max(&histogram_), 7u);
}

TEST_F(HistogramTest, IsWhatIsTooLargeCountedAsTheLargest) {
  histogram_record(&histogram_, UINT64_MAX);
  EXPECT_EQ(histogram_.total, 1u);
  EXPECT_EQ(histogram_.most, 3600ULL * 1000 * 1000);
  histogram_record(&histogram_, 0);
  EXPECT_EQ(histogram_min(&histogram_), 0u);
}

TEST_F(HistogramTest, DoesTheWalkEndAtAHundredPercent) {
  for (uint64_t value : Values(1000)) {
    histogram_record(&histogram_, value);
  }
  struct histogram_walk walk;
  struct histogram_step step = {};
  struct histogram_step last = {};
  histogram_walk_start(&walk, &histogram_, 5);
  size_t num = 0;
  while (histogram_walk_next(&walk, &step)) {
    EXPECT_GE(step.percent, last.percent);
    EXPECT_GE(step.value, last.value);
    EXPECT_GE(100.0 * static_cast<double>(step.count_to), step.percent * 1000 - 1e-6);
    last = step;
    ASSERT_LT(++num, 1000u);
  }
  EXPECT_EQ(last.percent, 100);
  EXPECT_EQ(last.count_to, 1000u);
  EXPECT_EQ(last.value, histogram_max(&histogram_));
}

// Rounded to the nearest value a rare one would be left out: 50 of 51 aren't 99 % of them.
TEST_F(HistogramTest, IsAPercentileReachedByNoLess) {
  for (uint64_t value = 1; value <= 51; value++) {
    histogram_record(&histogram_, value);
  }
  EXPECT_EQ(histogram_percentile(&histogram_, 99), 51u);
  EXPECT_EQ(histogram_percentile(&histogram_, 98), 50u);
  EXPECT_EQ(histogram_percentile(&histogram_, 50), 26u);
  EXPECT_EQ(histogram_percentile(&histogram_, 0), 1u);
}

TEST_F(HistogramTest, DoesArithmeticAddNoValue) {
  for (uint64_t value = 1; value <= 1000; value++) {
    histogram_record(&histogram_, value);
    for (uint64_t percent = 1; percent <= 100; percent++) {
      if (value * percent % 100 == 0) {
        ASSERT_EQ(histogram_percentile(&histogram_, static_cast<double>(percent)),
                  value * percent / 100)
            << percent << " % of " << value;
      }
    }
  }
  EXPECT_EQ(histogram_percentile(&histogram_, 99.9), 999u);
}

TEST_F(HistogramTest, DoWalkAndPercentileAgree) {
  for (uint64_t value = 1; value <= 300; value++) {
    histogram_record(&histogram_, value);
    struct histogram_walk walk;
    struct histogram_step step;
    histogram_walk_start(&walk, &histogram_, 5);
    while (histogram_walk_next(&walk, &step)) {
      ASSERT_EQ(step.value, histogram_percentile(&histogram_, step.percent))
          << step.percent << " % of " << value;
    }
  }
}

// What HdrHistogram prints for these values (Java's outputPercentileDistribution, 1 tick).
TEST_F(HistogramTest, IsItPrintedAsHdrHistogramPrintsIt) {
  for (uint64_t value : {1000, 2000, 3000, 4000}) {
    histogram_record(&histogram_, value);
  }
  EXPECT_EQ(Printed(1, 1000),
            "       Value     Percentile TotalCount 1/(1-Percentile)\n"
            "\n"
            "       1.000 0.000000000000          1           1.00\n"
            "       2.000 0.500000000000          2           2.00\n"
            "       3.001 0.750000000000          3           4.00\n"
            "       4.001 0.875000000000          4           8.00\n"
            "       4.001 1.000000000000          4\n"
            "#[Mean    =        2.501, StdDeviation   =        1.118]\n"
            "#[Max     =        4.001, Total count    =            4]\n"
            "#[Buckets =           22, SubBuckets     =         2048]\n");
}

}  // namespace
