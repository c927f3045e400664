#include "server/base/arena.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

class Arena : public testing::Test {
 protected:
  void SetUp() override {
    arena_init(&arena_, 1 << 20);
  }
  void TearDown() override {
    arena_cleanup(&arena_);
  }

  struct arena arena_;
};

TEST_F(Arena, IsWhatItGivesZeroedAndAligned) {
  for (size_t size = 1; size < 300; size++) {
    uint8_t *block = (uint8_t *)arena_alloc(&arena_, size);
    ASSERT_NE(nullptr, block);
    EXPECT_EQ(0u, (uintptr_t)block % 16);
    EXPECT_EQ(std::string(size, '\0'), std::string((char *)block, size));
    memset(block, 0xff, size);
  }
}

TEST_F(Arena, DoBlocksKeepApart) {
  std::vector<uint8_t *> blocks;
  for (int i = 0; i < 1000; i++) {
    uint8_t *block = (uint8_t *)arena_alloc(&arena_, 50);
    ASSERT_NE(nullptr, block);
    memset(block, i & 0xff, 50);
    blocks.push_back(block);
  }
  for (int i = 0; i < 1000; i++) {
    EXPECT_EQ(std::string(50, (char)(i & 0xff)), std::string((char *)blocks[(size_t)i], 50));
  }
}

TEST_F(Arena, IsMemoryZeroedAgainAfterAReset) {
  memset(arena_alloc(&arena_, 100), 0xff, 100);
  arena_reset(&arena_);
  EXPECT_EQ(std::string(100, '\0'), std::string((char *)arena_alloc(&arena_, 100), 100));
}

TEST_F(Arena, DoesTheCeilingHold) {
  struct arena small;
  arena_init(&small, 64);
  EXPECT_NE(nullptr, arena_alloc(&small, 32));
  EXPECT_EQ(nullptr, arena_alloc(&small, 48));
  EXPECT_LE(small.used, 64u);
  arena_cleanup(&small);
}

TEST_F(Arena, CanAllOfTheCeilingBeUsed) {
  struct arena small;
  arena_init(&small, 64);
  EXPECT_NE(nullptr, arena_alloc(&small, 64));
  EXPECT_EQ(nullptr, arena_alloc(&small, 0));
  EXPECT_EQ(64u, small.used);
  arena_cleanup(&small);
}

TEST_F(Arena, CanNoSizeOverflowTheCheck) {
  EXPECT_EQ(nullptr, arena_alloc(&arena_, SIZE_MAX));
  EXPECT_EQ(nullptr, arena_alloc(&arena_, SIZE_MAX - 15));
  EXPECT_EQ(nullptr, arena_array(&arena_, SIZE_MAX / 2, 3));
  EXPECT_EQ(nullptr, arena_array(&arena_, 3, SIZE_MAX / 2));
}

TEST_F(Arena, IsAnAllocationOfNothingAPointer) {
  EXPECT_NE(nullptr, arena_alloc(&arena_, 0));
  EXPECT_NE(nullptr, arena_array(&arena_, 0, 8));
  EXPECT_NE(nullptr, arena_array(&arena_, 8, 0));
}

TEST_F(Arena, DoesALowCeilingThatIsRaisedGiveMore) {
  struct arena small;
  arena_init(&small, 16);
  EXPECT_EQ(nullptr, arena_alloc(&small, 100));
  small.max = 1024;
  EXPECT_NE(nullptr, arena_alloc(&small, 100));
  arena_cleanup(&small);
}

TEST_F(Arena, DoesAResetKeepOneOrdinaryBlockOnly) {
  arena_alloc(&arena_, 100);
  arena_alloc(&arena_, 100000);
  arena_reset(&arena_);
  EXPECT_EQ(0u, arena_.used);
  void *first = arena_alloc(&arena_, 8);
  arena_reset(&arena_);
  EXPECT_EQ(first, arena_alloc(&arena_, 8));
}

TEST_F(Arena, AreCopiesCopies) {
  char text[] = "text";
  char *copy = arena_string(&arena_, text);
  uint8_t *bytes = arena_copy(&arena_, slice_of(text, 4));
  text[0] = 'n';
  EXPECT_STREQ("text", copy);
  EXPECT_EQ(0, memcmp("text", bytes, 4));
  EXPECT_NE(nullptr, arena_copy(&arena_, slice_of(NULL, 0)));
}

TEST_F(Arena, DoesPrintfMeasureWhatItWrites) {
  std::string longer(5000, 'x');
  EXPECT_STREQ("7 of 9", arena_printf(&arena_, "%d of %d", 7, 9));
  EXPECT_EQ(longer, arena_printf(&arena_, "%s", longer.c_str()));
}

TEST_F(Arena, IsAPrintfPastTheCeilingNull) {
  struct arena small;
  arena_init(&small, 16);
  EXPECT_EQ(nullptr, arena_printf(&small, "%s", "more than sixteen bytes"));
  arena_cleanup(&small);
}

}  // namespace
