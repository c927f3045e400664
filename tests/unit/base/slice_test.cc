#include "server/base/slice.h"

#include <gtest/gtest.h>

#include <string>

namespace {

std::string Text(struct slice slice) {
  return slice.len == 0 ? "" : std::string((const char *)slice.data, slice.len);
}

TEST(Slice, DoesTakeMoveBytesFromTheFront) {
  struct slice from = slice_of_string("abcdef");
  struct slice out;
  ASSERT_TRUE(slice_take(&from, 2, &out));
  EXPECT_EQ("ab", Text(out));
  EXPECT_EQ("cdef", Text(from));
}

TEST(Slice, IsATakeOfTooMuchNoChange) {
  struct slice from = slice_of_string("abc");
  struct slice out = slice_of_string("before");
  EXPECT_FALSE(slice_take(&from, 4, &out));
  EXPECT_FALSE(slice_take(&from, SIZE_MAX, &out));
  EXPECT_EQ("abc", Text(from));
  EXPECT_EQ("before", Text(out));
}

TEST(Slice, CanAllAndNothingBeTaken) {
  struct slice from = slice_of_string("abc");
  struct slice out;
  EXPECT_TRUE(slice_take(&from, 0, &out));
  EXPECT_EQ(0u, out.len);
  EXPECT_TRUE(slice_take(&from, 3, &out));
  EXPECT_EQ(0u, from.len);
  EXPECT_TRUE(slice_take(&from, 0, &out));
  EXPECT_FALSE(slice_take(&from, 1, &out));
}

TEST(Slice, CanNothingBeTakenFromNowhere) {
  struct slice from = slice_of(NULL, 0);
  struct slice out;
  EXPECT_TRUE(slice_take(&from, 0, &out));
  EXPECT_FALSE(slice_take(&from, 1, &out));
}

TEST(Slice, IsWhatFollowsTheRest) {
  struct slice word = slice_of_string("abc");
  EXPECT_TRUE(slice_equal(slice_after(word, 0), word));
  EXPECT_TRUE(slice_equal(slice_after(word, 1), slice_of_string("bc")));
  EXPECT_EQ(0U, slice_after(word, 3).len);
  EXPECT_EQ(nullptr, slice_after(slice_of(nullptr, 0), 0).data);
}

TEST(Slice, AreNumbersReadBigEndFirst) {
  const uint8_t bytes[] = {0xff, 0x80, 0x01, 0x02, 0x7f};
  struct slice from = slice_of(bytes, sizeof(bytes));
  uint32_t number = 0;
  uint8_t byte = 0;
  ASSERT_TRUE(slice_take_be32(&from, &number));
  EXPECT_EQ(0xff800102u, number);
  ASSERT_TRUE(slice_take_u8(&from, &byte));
  EXPECT_EQ(0x7f, byte);
  EXPECT_FALSE(slice_take_u8(&from, &byte));
}

TEST(Slice, IsAShortNumberNone) {
  struct slice from = slice_of_string("abc");
  uint32_t number = 7;
  EXPECT_FALSE(slice_take_be32(&from, &number));
  EXPECT_EQ(7u, number);
  EXPECT_EQ(3u, from.len);
}

TEST(Slice, WhenAreTwoEqual) {
  EXPECT_TRUE(slice_equal(slice_of(NULL, 0), slice_of_string("")));
  EXPECT_TRUE(slice_equal(slice_of_string("ab"), slice_of("abc", 2)));
  EXPECT_FALSE(slice_equal(slice_of_string("ab"), slice_of_string("abc")));
  EXPECT_FALSE(slice_equal(slice_of_string("abd"), slice_of_string("abc")));
}

}  // namespace
