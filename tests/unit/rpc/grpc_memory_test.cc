#include "server/rpc/grpc_memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>

namespace {

class GrpcMemory : public testing::Test {
 protected:
  GrpcMemory() {
    spares_init(&spares_);
    grpc_memory_init(&memory_, &spares_, 10000);
  }
  ~GrpcMemory() override {
    spares_cleanup(&spares_);
  }
  void *Alloc(size_t size) {
    return memory_.functions.malloc(size, memory_.functions.mem_user_data);
  }
  void *Zeroed(size_t num, size_t size) {
    return memory_.functions.calloc(num, size, memory_.functions.mem_user_data);
  }
  void *Resize(void *block, size_t size) {
    return memory_.functions.realloc(block, size, memory_.functions.mem_user_data);
  }
  void Free(void *block) {
    memory_.functions.free(block, memory_.functions.mem_user_data);
  }
  struct spares spares_;
  struct grpc_memory memory_;
};

TEST_F(GrpcMemory, IsThereNothingPastTheCeiling) {
  void *block = Alloc(9000);
  ASSERT_NE(nullptr, block);
  EXPECT_EQ(nullptr, Alloc(2000));
  EXPECT_EQ(nullptr, Zeroed(2, 1000));
  EXPECT_EQ(nullptr, Resize(nullptr, 2000));
  Free(block);
  EXPECT_EQ(0u, memory_.used);
  block = Alloc(9000);
  EXPECT_NE(nullptr, block);
  Free(block);
}

TEST_F(GrpcMemory, IsTheSumOfManyBounded) {
  void *blocks[200];
  size_t num = 0;
  while (num < 200 && (blocks[num] = Alloc(100)) != nullptr) {
    num++;
  }
  EXPECT_GT(num, 50u);
  EXPECT_LE(num, 100u);
  while (num > 0) {
    Free(blocks[--num]);
  }
  EXPECT_EQ(0u, memory_.used);
}

TEST_F(GrpcMemory, CanAProductNotOverflow) {
  EXPECT_EQ(nullptr, Zeroed(SIZE_MAX / 2, 4));
  EXPECT_EQ(nullptr, Zeroed(SIZE_MAX, SIZE_MAX));
}

TEST_F(GrpcMemory, DoesALargerBlockHaveWhatTheSmallerHad) {
  char *block = (char *)Alloc(8);
  ASSERT_NE(nullptr, block);
  memcpy(block, "content", 8);
  block = (char *)Resize(block, 4000);
  ASSERT_NE(nullptr, block);
  EXPECT_STREQ("content", block);
  EXPECT_EQ(nullptr, Resize(block, 20000));
  EXPECT_STREQ("content", block);  // it is still there, as after realloc(3)
  Free(block);
  EXPECT_EQ(0u, memory_.used);
}

TEST_F(GrpcMemory, IsNothingFreedForNothing) {
  Free(nullptr);
  EXPECT_EQ(0u, memory_.used);
}

TEST_F(GrpcMemory, IsZeroedMemoryZero) {
  char *block = (char *)Zeroed(10, 10);
  ASSERT_NE(nullptr, block);
  for (int i = 0; i < 100; i++) {
    EXPECT_EQ(0, block[i]);
  }
  Free(block);
}

}  // namespace
