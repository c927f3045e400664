#include "server/ring/buffers.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "server/ring/ring.h"

namespace {

const unsigned kNum = 4;
const size_t kSize = 4096;

class Buffers : public ::testing::Test {
 protected:
  void SetUp() override {
    const char *why = nullptr;
    ASSERT_TRUE(ring_open(&ring_, 8, &why)) << why;
    ASSERT_EQ(0, buffers_new(&ring_, BUFFERS_COMMON, kNum, kSize, &buffers_));
    ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds_));
  }

  void TearDown() override {
    buffers_free(buffers_);
    ring_close(&ring_);
    close(fds_[0]);
    close(fds_[1]);
  }

  // Receives what the peer writes; returns the kernel's result and the buffer it chose.
  int Receive(unsigned *out_index) {
    io_uring_sqe *entry = io_uring_get_sqe(&ring_);
    io_uring_prep_recv(entry, fds_[0], nullptr, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = BUFFERS_COMMON;
    EXPECT_EQ(0, ring_enter(&ring_, NANOS_PER_SECOND));
    io_uring_cqe *cqe = nullptr;
    EXPECT_EQ(0, io_uring_peek_cqe(&ring_, &cqe));
    int result = cqe->res;
    *out_index = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    io_uring_cqe_seen(&ring_, cqe);
    return result;
  }

  void Write(const std::string &data) {
    ASSERT_EQ(static_cast<ssize_t>(data.size()), write(fds_[1], data.data(), data.size()));
  }

  io_uring ring_;
  buffers *buffers_ = nullptr;
  int fds_[2];
};

TEST_F(Buffers, DoesTheKernelHoldThemAllAtFirst) {
  EXPECT_EQ(kNum * kSize, buffers_kernel_bytes(buffers_));
  EXPECT_EQ(kSize, buffers_size(buffers_));
}

TEST_F(Buffers, IsABufferOursBetweenItsCompletionAndItsReturn) {
  Write("secret");
  unsigned index = 99;
  ASSERT_EQ(6, Receive(&index));
  uint8_t *data = buffers_take(buffers_, index);
  EXPECT_EQ((kNum - 1) * kSize, buffers_kernel_bytes(buffers_));
  EXPECT_EQ(0, memcmp(data, "secret", 6));
  buffers_give(buffers_, index, 6);
  EXPECT_EQ(kNum * kSize, buffers_kernel_bytes(buffers_));
}

TEST_F(Buffers, IsNothingLeftOfWhatTheLastOneHeld) {
  for (unsigned i = 0; i < kNum; i++) {
    Write("secret");
    unsigned index = 99;
    ASSERT_EQ(6, Receive(&index));
    buffers_take(buffers_, index);
    buffers_give(buffers_, index, 6);
  }
  for (unsigned i = 0; i < kNum; i++) {
    Write("s");
    unsigned index = 99;
    ASSERT_EQ(1, Receive(&index));
    uint8_t *data = buffers_take(buffers_, index);
    EXPECT_EQ(0, memcmp(data, "s\0\0\0\0\0", 6));
    buffers_give(buffers_, index, 1);
  }
}

TEST_F(Buffers, DoesTheKernelSayWhenThereAreNone) {
  unsigned taken[kNum];
  for (unsigned &index : taken) {
    Write("x");
    ASSERT_EQ(1, Receive(&index));
    buffers_take(buffers_, index);
  }
  EXPECT_EQ(0u, buffers_kernel_bytes(buffers_));
  Write("x");
  unsigned none = 0;
  EXPECT_EQ(-ENOBUFS, Receive(&none));
  for (unsigned index : taken) {
    buffers_give(buffers_, index, 1);
  }
  EXPECT_EQ(1, Receive(&none));
  buffers_take(buffers_, none);
  buffers_give(buffers_, none, 1);
}

using BuffersDeathTest = Buffers;

TEST_F(BuffersDeathTest, IsABufferThatComesTwiceNoticed) {
  buffers_take(buffers_, 1);
  EXPECT_DEATH(buffers_take(buffers_, 1), "HELD_BY_KERNEL");
  buffers_give(buffers_, 1, 0);
  EXPECT_DEATH(buffers_give(buffers_, 1, 0), "OURS");
}

TEST_F(BuffersDeathTest, IsATouchOfWhatTheKernelHoldsNoticed) {
  uint8_t *data = buffers_take(buffers_, 1);
  data[0] = 1;
  buffers_give(buffers_, 1, 1);
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
  EXPECT_DEATH(data[0] = 2, "use-after-poison");
#endif
#endif
}

TEST_F(BuffersDeathTest, IsFreeingWhatSomebodyReadsNoticed) {
  buffers_take(buffers_, 0);
  EXPECT_DEATH(buffers_free(buffers_), "num_ours == 0");
  buffers_give(buffers_, 0, 0);
}

}  // namespace
