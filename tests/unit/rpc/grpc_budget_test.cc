#include "server/rpc/grpc_budget.h"

#include <gtest/gtest.h>

namespace {

constexpr clock_time kStart = 1000 * NANOS_PER_SECOND;

class GrpcBudget : public testing::Test {
 protected:
  GrpcBudget() {
    grpc_budget_init(&budget_, kStart);
  }
  bool Spend(uint64_t cost, clock_time after = 0) {
    return grpc_budget_spend(&budget_, cost, kStart + after);
  }
  struct grpc_budget budget_;
};

TEST_F(GrpcBudget, MayAllOfItBeSpentAtOnceAndNoMore) {
  EXPECT_TRUE(Spend(GRPC_BUDGET_MAX));
  EXPECT_FALSE(Spend(1));
  EXPECT_TRUE(Spend(0));
}

TEST_F(GrpcBudget, DoesWhatIsTooMuchCostNothing) {
  EXPECT_FALSE(Spend(GRPC_BUDGET_MAX + 1));
  EXPECT_TRUE(Spend(GRPC_BUDGET_MAX));
}

TEST_F(GrpcBudget, DoesItComeBackWithTimeInWholePieces) {
  const clock_time piece = NANOS_PER_SECOND / GRPC_BUDGET_PER_SECOND;
  ASSERT_TRUE(Spend(GRPC_BUDGET_MAX));
  EXPECT_FALSE(Spend(1, piece - 1));
  EXPECT_TRUE(Spend(1, piece));
  EXPECT_FALSE(Spend(1, piece + piece / 2));
  EXPECT_TRUE(Spend(1, 2 * piece));  // halves that were looked at before count too
  EXPECT_FALSE(Spend(GRPC_BUDGET_PER_SECOND, NANOS_PER_SECOND));
  EXPECT_TRUE(Spend(GRPC_BUDGET_PER_SECOND - 2, NANOS_PER_SECOND));
}

TEST_F(GrpcBudget, DoesItNeverGrowPastItsMost) {
  EXPECT_FALSE(Spend(GRPC_BUDGET_MAX + 1, 3600 * NANOS_PER_SECOND));
  grpc_budget_earn(&budget_);
  EXPECT_FALSE(Spend(GRPC_BUDGET_MAX + 1, 3600 * NANOS_PER_SECOND));
  EXPECT_TRUE(Spend(GRPC_BUDGET_MAX, 3600 * NANOS_PER_SECOND));
}

TEST_F(GrpcBudget, DoesItComeBackWithAnswers) {
  ASSERT_TRUE(Spend(GRPC_BUDGET_MAX));
  grpc_budget_earn(&budget_);
  EXPECT_TRUE(Spend(GRPC_BUDGET_PER_ANSWER));
  EXPECT_FALSE(Spend(1));
}

}  // namespace
