#include "server/rpc/ceiling.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace {

TEST(Ceiling, DoesItHoldToTheLastOne) {
  struct ceiling ceiling;
  ceiling_init(&ceiling, nullptr, "things", 10);
  EXPECT_TRUE(ceiling_take(&ceiling, 7));
  EXPECT_FALSE(ceiling_take(&ceiling, 4));
  EXPECT_TRUE(ceiling_take(&ceiling, 3));
  EXPECT_FALSE(ceiling_take(&ceiling, 1));
  EXPECT_TRUE(ceiling_take(&ceiling, 0));
  EXPECT_EQ(10u, ceiling_used(&ceiling));
  ceiling_give(&ceiling, 10);
  EXPECT_EQ(0u, ceiling_used(&ceiling));
}

TEST(Ceiling, CanNoNumberOverflowIt) {
  struct ceiling ceiling;
  ceiling_init(&ceiling, nullptr, "things", 10);
  EXPECT_TRUE(ceiling_take(&ceiling, 5));
  EXPECT_FALSE(ceiling_take(&ceiling, UINT64_MAX));
  EXPECT_FALSE(ceiling_take(&ceiling, UINT64_MAX - 4));
}

TEST(Ceiling, DoesItTakeFromItsParentToo) {
  struct ceiling all;
  struct ceiling one;
  struct ceiling two;
  ceiling_init(&all, nullptr, "things", 10);
  ceiling_init(&one, &all, "things_per_owner", 7);
  ceiling_init(&two, &all, "things_per_owner", 7);
  EXPECT_TRUE(ceiling_take(&one, 7));
  EXPECT_FALSE(ceiling_take(&one, 1));
  EXPECT_EQ(&one, ceiling_lacking(&one, 1));
  EXPECT_FALSE(ceiling_take(&two, 4));
  EXPECT_EQ(&all, ceiling_lacking(&two, 4));
  EXPECT_EQ(0u, ceiling_used(&two));
  EXPECT_TRUE(ceiling_take(&two, 3));
  ceiling_give(&one, 7);
  ceiling_give(&two, 3);
  EXPECT_EQ(0u, ceiling_used(&all));
}

TEST(Ceiling, IsItNeverPassedByThreads) {
  struct ceiling ceiling;
  ceiling_init(&ceiling, nullptr, "things", 100);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&ceiling] {
      for (int n = 0; n < 20000; n++) {
        if (ceiling_take(&ceiling, 40)) {
          EXPECT_LE(ceiling_used(&ceiling), 100u);
          ceiling_give(&ceiling, 40);
        }
      }
    });
  }
  for (std::thread &thread : threads) {
    thread.join();
  }
  EXPECT_EQ(0u, ceiling_used(&ceiling));
}

TEST(Ceiling, DoesTheSentenceSayWhatToDo) {
  char text[CEILING_TEXT_MAX];
  ceiling_text(text, "calls_per_connection", 64);
  EXPECT_STREQ(
      "limit \"calls_per_connection\" (64) is reached: wait for answers, or start tlsagentd with "
      "--limit calls_per_connection=N",
      text);
}

}  // namespace
