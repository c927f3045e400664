#include "server/base/clock.h"

#include <gtest/gtest.h>

namespace {

TEST(Clock, DoesItNeverGoBack) {
  clock_time last = clock_now();
  for (int i = 0; i < 1000; i++) {
    clock_time now = clock_now();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(Clock, IsASumThatDoesNotFitNever) {
  EXPECT_EQ(30u, clock_add(10, 20));
  EXPECT_EQ(CLOCK_NEVER, clock_add(10, UINT64_MAX));
  EXPECT_EQ(CLOCK_NEVER, clock_add(CLOCK_NEVER, 1));
  EXPECT_EQ(CLOCK_NEVER, clock_add(1, UINT64_MAX - 1));
}

TEST(Clock, IsASecondABillionNanoseconds) {
  EXPECT_EQ(NANOS_PER_SECOND, 1000 * NANOS_PER_MILLI);
}

}  // namespace
