#include "server/ring/receivers.h"

#include <gtest/gtest.h>

#include <string>

namespace {

struct Named {
  receiver base;
  char name;
  std::string *log;
};

class Receivers : public ::testing::Test {
 protected:
  void SetUp() override {
    receivers_init(&receivers_, 3);
    for (int i = 0; i < 6; i++) {
      receiver_init(&named_[i].base, [](receiver *base) {
        Named *self = reinterpret_cast<Named *>(base);
        *self->log += self->name;
      });
      named_[i].name = static_cast<char>('a' + i);
      named_[i].log = &log_;
    }
  }
  receiver *At(int i) {
    return &named_[i].base;
  }

  receivers receivers_;
  Named named_[6];
  std::string log_;
};

TEST_F(Receivers, DoThoseWithoutABufferComeFirst) {
  receivers_queue(&receivers_, At(0));
  receivers_queue(&receivers_, At(1));
  receivers_starve(&receivers_, At(2), 1);
  receivers_run(&receivers_);
  EXPECT_EQ("cab", log_);
  EXPECT_FALSE(receivers_waiting(&receivers_));
}

TEST_F(Receivers, AreNoMoreStartedThanThereAreBuffers) {
  for (int i = 0; i < 5; i++) {
    receivers_queue(&receivers_, At(i));
  }
  receivers_run(&receivers_);
  EXPECT_EQ("abc", log_);
  EXPECT_TRUE(receivers_waiting(&receivers_));
  receivers_run(&receivers_);
  EXPECT_EQ("abcde", log_);
}

TEST_F(Receivers, IsNobodyInLineTwice) {
  receivers_queue(&receivers_, At(0));
  receivers_queue(&receivers_, At(0));
  receivers_starve(&receivers_, At(0), 1);
  receivers_queue(&receivers_, At(0));
  receivers_run(&receivers_);
  EXPECT_EQ("a", log_);
}

TEST_F(Receivers, MayOneLeaveTheLine) {
  receivers_queue(&receivers_, At(0));
  receivers_starve(&receivers_, At(1), 1);
  receiver_withdraw(At(0));
  receiver_withdraw(At(1));
  receiver_withdraw(At(2));
  receivers_run(&receivers_);
  EXPECT_EQ("", log_);
}

TEST_F(Receivers, DoesTheShortageEnd) {
  EXPECT_FALSE(receivers_short(&receivers_, 100));
  receivers_starve(&receivers_, At(0), 100);
  EXPECT_TRUE(receivers_short(&receivers_, 101));
  EXPECT_FALSE(receivers_short(&receivers_, 200));
}

}  // namespace
