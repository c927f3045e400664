#include "server/rpc/share.h"

#include <gtest/gtest.h>

namespace {

class Share : public testing::Test {
 protected:
  Share() {
    struct limits limits;
    limits_default(&limits);
    limits.calls = 10;
    limits.calls_per_owner = 7;
    shares_init(&shares_, &limits);
  }
  ~Share() override {
    shares_cleanup(&shares_);
  }

  struct shares shares_;
};

TEST_F(Share, ConnectionsOfOneUserHaveOneShare) {
  struct share *first = share_enter(&shares_, 1000);
  EXPECT_EQ(first, share_enter(&shares_, 1000));
  EXPECT_NE(first, share_enter(&shares_, 1001));
}

TEST_F(Share, WhatOneUserUsesUpIsThereForAnother) {
  struct share *greedy = share_enter(&shares_, 1000);
  struct share *other = share_enter(&shares_, 1001);
  EXPECT_TRUE(ceiling_take(&greedy->calls, 7));
  EXPECT_FALSE(ceiling_take(&greedy->calls, 1));
  EXPECT_STREQ("calls_per_owner", ceiling_lacking(&greedy->calls, 1)->name);
  EXPECT_TRUE(ceiling_take(&other->calls, 3));
}

TEST_F(Share, ACallMayOutliveItsConnection) {
  struct share *share = share_enter(&shares_, 1000);
  EXPECT_TRUE(ceiling_take(&share->calls, 1));
  share_leave(&shares_, share);
  share_enter(&shares_, 1001);  // looks for shares that nobody uses
  EXPECT_EQ(share, share_enter(&shares_, 1000));
  ceiling_give(&share->calls, 1);
  EXPECT_EQ(0u, ceiling_used(&shares_.all.calls));
}

TEST_F(Share, SharesThatNobodyUsesDoNotPileUp) {
  for (uid_t uid = 0; uid < 1000; uid++) {
    share_leave(&shares_, share_enter(&shares_, uid));
  }
  size_t left = 0;
  LIST_FOR(link, &shares_.list) {
    left++;
  }
  EXPECT_EQ(1u, left);
}

}  // namespace
