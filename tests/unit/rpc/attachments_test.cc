#include "server/rpc/attachments.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <vector>

#include "tests/unit/rpc/rpc_fixture.h"

namespace {

class Attachments : public testing::Test {
 protected:
  void SetUp() override {
    open_before_ = NumOpenFds();
    ceiling_init(&ceiling_, nullptr, "descriptors", 20);
    attachments_init(&set_, &ceiling_, getuid());
    attachments_init(&other_, &ceiling_, getuid());
  }

  void TearDown() override {
    attachments_close(&set_);
    attachments_close(&other_);
    EXPECT_EQ(0u, ceiling_used(&ceiling_));
    EXPECT_EQ(open_before_, NumOpenFds());
  }

  static void Add(struct attachments *set, size_t num, size_t dropped = 0) {
    std::vector<int> fds;
    for (size_t i = 0; i < num; i++) {
      fds.push_back(FileWith(std::to_string(i)));
    }
    attachments_add(set, fds.data(), num, dropped);
  }

  size_t open_before_;
  struct ceiling ceiling_;
  struct attachments set_;
  struct attachments other_;
};

TEST_F(Attachments, IsEveryOneThereOnce) {
  Add(&set_, 3);
  int fd = -1;
  ASSERT_TRUE(status_ok(attachments_take(&set_, 2, &fd)));
  EXPECT_EQ("2", ReadAll(fd));
  close(fd);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, attachments_take(&set_, 2, &fd).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, attachments_take(&set_, 3, &fd).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, attachments_take(&set_, SIZE_MAX, &fd).code);
  EXPECT_EQ(2u, ceiling_used(&ceiling_));
}

TEST_F(Attachments, DoTheyMoveInOrder) {
  Add(&set_, 1);
  Add(&other_, 2);
  attachments_move(&set_, &other_);
  EXPECT_EQ(3u, set_.num);
  EXPECT_EQ(0u, other_.num);
  EXPECT_EQ(3u, ceiling_used(&ceiling_));
  int fd = -1;
  ASSERT_TRUE(status_ok(attachments_take(&set_, 2, &fd)));
  EXPECT_EQ("1", ReadAll(fd));
  close(fd);
}

TEST_F(Attachments, AreSixteenTheMost) {
  Add(&set_, 16);
  EXPECT_FALSE(set_.too_many);
  Add(&other_, 1);
  attachments_move(&set_, &other_);
  EXPECT_TRUE(set_.too_many);
  EXPECT_EQ(0u, set_.num);
  EXPECT_EQ(0u, ceiling_used(&ceiling_));
}

TEST_F(Attachments, IsWhatWasDroppedOnTheWayAComplaint) {
  Add(&set_, 16, 4);
  EXPECT_TRUE(set_.too_many);
  EXPECT_EQ(0u, set_.num);
  attachments_move(&other_, &set_);
  EXPECT_TRUE(other_.too_many);
  EXPECT_FALSE(set_.too_many);
}

TEST_F(Attachments, IsTheCeilingAComplaintOfItsOwn) {
  Add(&other_, 15);
  Add(&set_, 6);
  EXPECT_EQ(&ceiling_, set_.over_ceiling);
  EXPECT_FALSE(set_.too_many);
  EXPECT_EQ(0u, set_.num);
  EXPECT_EQ(15u, ceiling_used(&ceiling_));
}

TEST_F(Attachments, DoesACallNeverSeeAPartOfWhatItWasGiven) {
  Add(&set_, 10);
  Add(&set_, 11);
  EXPECT_EQ(&ceiling_, set_.over_ceiling);
  EXPECT_EQ(0u, set_.num);
  Add(&set_, 1);
  EXPECT_EQ(0u, set_.num);
}

TEST_F(Attachments, IsAClosedSetAsNew) {
  Add(&set_, 3, 1);
  attachments_close(&set_);
  EXPECT_FALSE(set_.too_many);
  Add(&set_, 2);
  EXPECT_EQ(2u, set_.num);
}

TEST_F(Attachments, IsMovingNothingNothing) {
  attachments_move(&set_, &other_);
  EXPECT_EQ(0u, set_.num);
  EXPECT_FALSE(set_.too_many);
}

}  // namespace
