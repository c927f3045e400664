#include "client/load/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace {

constexpr clock_time kStart = 5 * NANOS_PER_SECOND;

TEST(Schedule, AreOperationsEvenlySpaced) {
  struct schedule schedule = {kStart, 1000, 0, 0, 1};
  for (uint64_t n = 0; n < 5000; n++) {
    EXPECT_NEAR(static_cast<double>(schedule_at(&schedule, n) - kStart),
                static_cast<double>(n) * 1e6, 2);
  }
}

TEST(Schedule, DoSharesTakeTurns) {
  struct schedule whole = {kStart, 300, 0, 0, 1};
  std::vector<clock_time> all;
  for (unsigned share = 0; share < 3; share++) {
    struct schedule part = {kStart, 300, 0, share, 3};
    for (uint64_t n = 0; n < 100; n++) {
      all.push_back(schedule_at(&part, n));
    }
  }
  std::sort(all.begin(), all.end());
  for (uint64_t n = 0; n < all.size(); n++) {
    EXPECT_EQ(all[n], schedule_at(&whole, n));
  }
}

TEST(Schedule, DoesTheRateGrowWithinTheRamp) {
  const uint64_t ramp = 10 * NANOS_PER_SECOND;
  struct schedule schedule = {kStart, 100, ramp, 0, 1};
  // Half of what the full rate would do has begun by the end of the ramp, a quarter of that by half
  // of it.
  EXPECT_NEAR(static_cast<double>(schedule_at(&schedule, 500) - kStart), 10e9, 1e3);
  EXPECT_NEAR(static_cast<double>(schedule_at(&schedule, 125) - kStart), 5e9, 1e3);
  EXPECT_NEAR(static_cast<double>(schedule_at(&schedule, 600) - kStart), 11e9, 1e3);
  EXPECT_EQ(schedule_at(&schedule, 0), kStart);
  for (uint64_t n = 1; n < 1000; n++) {
    EXPECT_GT(schedule_at(&schedule, n), schedule_at(&schedule, n - 1));
  }
}

TEST(Schedule, IsTheFirstOfATimeFound) {
  struct schedule schedule = {kStart, 10, 0, 0, 1};
  clock_time second = kStart + NANOS_PER_SECOND;
  EXPECT_EQ(schedule_find(&schedule, second, 0, 100), 10u);
  EXPECT_EQ(schedule_find(&schedule, second + 1, 0, 100), 11u);
  EXPECT_EQ(schedule_find(&schedule, second, 30, 100), 30u);
  EXPECT_EQ(schedule_find(&schedule, second, 0, 5), 5u);
  EXPECT_EQ(schedule_find(&schedule, second, 0, 0), 0u);
  EXPECT_EQ(schedule_find(&schedule, 0, 0, 100), 0u);
}

}  // namespace
