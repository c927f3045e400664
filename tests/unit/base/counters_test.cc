#include "server/base/counters.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

namespace {

TEST(Counters, DoThreadsLoseNoCount) {
  uint64_t before = counter_read(COUNTER_limits_hit);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([] {
      for (int n = 0; n < 10000; n++) {
        counter_add(COUNTER_limits_hit, 1);
      }
    });
  }
  for (std::thread &thread : threads) {
    thread.join();
  }
  EXPECT_EQ(before + 40000, counter_read(COUNTER_limits_hit));
}

TEST(Counters, DoesOneLeaveTheOthersAlone) {
  uint64_t other = counter_read(COUNTER_calls_failed);
  counter_add(COUNTER_calls_started, 5);
  EXPECT_EQ(5u, counter_read(COUNTER_calls_started));
  EXPECT_EQ(other, counter_read(COUNTER_calls_failed));
}

TEST(Counters, HasEachANameOfItsOwn) {
  std::set<std::string> names;
  for (int i = 0; i < COUNTER_COUNT; i++) {
    names.insert(counter_name((enum counter)i));
  }
  EXPECT_EQ((size_t)COUNTER_COUNT, names.size());
  EXPECT_STREQ("connections_accepted", counter_name(COUNTER_connections_accepted));
}

}  // namespace
