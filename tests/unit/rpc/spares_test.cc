#include "server/rpc/spares.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

class Spares : public testing::Test {
 protected:
  Spares() {
    spares_init(&spares_);
  }
  ~Spares() override {
    spares_cleanup(&spares_);
  }
  uint8_t *Take(size_t size) {
    return (uint8_t *)spares_take(&spares_, size);
  }
  static bool IsZero(const uint8_t *block) {
    return std::all_of(block, block + spares_room(block), [](uint8_t byte) { return byte == 0; });
  }
  struct spares spares_;
};

TEST_F(Spares, HasABlockWhatWasAskedFor) {
  for (size_t size : {0u, 1u, 15u, 16u, 17u, 1000u, 1024u, 1025u, 100000u}) {
    uint8_t *block = Take(size);
    ASSERT_NE(nullptr, block);
    EXPECT_EQ(0u, (uintptr_t)block % 16);
    EXPECT_GE(spares_room(block), size);
    EXPECT_LT(spares_room(block), size + 2 * SPARES_STEP);
    EXPECT_GT(spares_cost(block), spares_room(block));
    memset(block, 0xff, spares_room(block));
    spares_give(&spares_, block);
  }
}

// Sizes of one class get each other's blocks, and nothing that was in them.
TEST_F(Spares, IsEveryBlockZeroHoweverItWasUsed) {
  for (size_t size = 1; size < 3 * SPARES_SIZE_MAX; size += 7) {
    uint8_t *block = Take(size);
    ASSERT_TRUE(IsZero(block)) << size;
    memset(block, 0xff, spares_room(block));
    spares_give(&spares_, block);
  }
}

TEST_F(Spares, AreTwoBlocksNeverTheSame) {
  std::vector<uint8_t *> blocks;
  for (int round = 0; round < 3; round++) {
    for (uint8_t i = 0; i < 100; i++) {
      blocks.push_back(Take(200));
      memset(blocks.back(), i, 200);
    }
    for (uint8_t i = 0; i < 100; i++) {
      EXPECT_EQ(i, blocks[i][0]);
      EXPECT_EQ(i, blocks[i][199]);
      spares_give(&spares_, blocks[i]);
    }
    blocks.clear();
  }
}

TEST_F(Spares, IsWhatIsKeptBounded) {
  std::vector<uint8_t *> blocks;
  for (size_t i = 0; i < 2 * SPARES_BYTES_MAX / 1024; i++) {
    blocks.push_back(Take(1024));
    blocks.push_back(Take(100));
  }
  for (uint8_t *block : blocks) {
    spares_give(&spares_, block);
    ASSERT_LE(spares_.kept, (size_t)SPARES_BYTES_MAX);
  }
  spares_cleanup(&spares_);
  EXPECT_EQ(0u, spares_.kept);
}

TEST_F(Spares, IsALargeBlockNotKept) {
  spares_give(&spares_, Take(SPARES_SIZE_MAX + 1));
  EXPECT_EQ(0u, spares_.kept);
}

TEST_F(Spares, IsThereNoneOfASizeThatCannotBe) {
  EXPECT_EQ(nullptr, Take(SIZE_MAX));
  EXPECT_EQ(nullptr, Take(SIZE_MAX - SPARES_STEP));
}

TEST_F(Spares, IsNothingGivenForNothing) {
  spares_give(&spares_, nullptr);
  EXPECT_EQ(0u, spares_.kept);
}

}  // namespace
