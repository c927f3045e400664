#include "server/base/bytes.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace {

std::string Content(const struct bytes *bytes) {
  struct slice slice = bytes_peek(bytes);
  return slice.len == 0 ? "" : std::string((const char *)slice.data, slice.len);
}

class Bytes : public testing::Test {
 protected:
  void SetUp() override {
    bytes_init(&bytes_, 4096);
  }
  void TearDown() override {
    bytes_cleanup(&bytes_);
  }

  status_t Append(const std::string &text) {
    return bytes_append(&bytes_, slice_of(text.data(), text.size()));
  }

  struct bytes bytes_;
};

TEST_F(Bytes, IsANewQueueEmptyAndWithoutMemory) {
  EXPECT_EQ(0u, bytes_len(&bytes_));
  EXPECT_EQ(4096u, bytes_room(&bytes_));
  EXPECT_EQ(nullptr, bytes_.data);
  EXPECT_EQ(0u, bytes_peek(&bytes_).len);
}

TEST_F(Bytes, ComesOutWhatWentInInOrder) {
  ASSERT_TRUE(status_ok(Append("hello, ")));
  ASSERT_TRUE(status_ok(Append("world")));
  bytes_consume(&bytes_, 7);
  EXPECT_EQ("world", Content(&bytes_));
}

TEST_F(Bytes, DoesTheCeilingHoldToTheByte) {
  ASSERT_TRUE(status_ok(Append(std::string(4096, 'a'))));
  EXPECT_EQ(0u, bytes_room(&bytes_));
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, Append("b").code);
  EXPECT_EQ(std::string(4096, 'a'), Content(&bytes_));
  EXPECT_LE(bytes_.capacity, bytes_.max);
}

TEST_F(Bytes, IsAFailedAppendNoChange) {
  ASSERT_TRUE(status_ok(Append("kept")));
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, Append(std::string(4093, 'x')).code);
  EXPECT_EQ("kept", Content(&bytes_));
}

TEST_F(Bytes, CanNoLengthOverflowTheCheck) {
  uint8_t *out = nullptr;
  ASSERT_TRUE(status_ok(Append("x")));
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, bytes_reserve(&bytes_, SIZE_MAX, &out).code);
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, bytes_reserve(&bytes_, SIZE_MAX - 1, &out).code);
}

TEST_F(Bytes, DoesCommitTakeLessThanWasReserved) {
  uint8_t *out = nullptr;
  ASSERT_TRUE(status_ok(bytes_reserve(&bytes_, 100, &out)));
  memcpy(out, "abc", 3);
  bytes_commit(&bytes_, 3);
  EXPECT_EQ("abc", Content(&bytes_));
}

TEST_F(Bytes, IsAppendingNothingFine) {
  EXPECT_TRUE(status_ok(bytes_append(&bytes_, slice_of(NULL, 0))));
  bytes_consume(&bytes_, 0);
  EXPECT_EQ(0u, bytes_len(&bytes_));
}

TEST_F(Bytes, AreConsumedBytesWiped) {
  ASSERT_TRUE(status_ok(Append("secret and more")));
  const uint8_t *front = bytes_peek(&bytes_).data;
  bytes_consume(&bytes_, 6);
  EXPECT_EQ(std::string(6, '\0'), std::string((const char *)front, 6));
  EXPECT_EQ(" and more", Content(&bytes_));
}

TEST_F(Bytes, IsNothingLeftWhereMovedBytesWere) {
  ASSERT_TRUE(status_ok(Append(std::string(500, '-') + "secret")));
  bytes_consume(&bytes_, 500);
  const size_t capacity = bytes_.capacity;
  ASSERT_TRUE(status_ok(Append(std::string(capacity - 506 + 1, '.'))));
  ASSERT_EQ(0u, bytes_.start) << "it was not moved";
  bytes_consume(&bytes_, bytes_len(&bytes_));
  EXPECT_EQ(std::string::npos, std::string((const char *)bytes_.data, capacity).find("secret"));
}

TEST_F(Bytes, DoesAnEmptyQueueGiveItsMemoryBack) {
  ASSERT_TRUE(status_ok(Append("x")));
  bytes_release_if_empty(&bytes_);
  EXPECT_NE(nullptr, bytes_.data);
  bytes_consume(&bytes_, 1);
  bytes_release_if_empty(&bytes_);
  EXPECT_EQ(nullptr, bytes_.data);
  EXPECT_EQ(4096u, bytes_.max);
  EXPECT_TRUE(status_ok(Append("again")));
}

TEST_F(Bytes, DoesATrimmedQueueHaveWhatItNeeds) {
  bytes_cleanup(&bytes_);
  bytes_init(&bytes_, 1 << 20);
  bytes_trim(&bytes_);
  ASSERT_TRUE(status_ok(Append(std::string(500000, 'x') + "rest")));
  const size_t capacity = bytes_.capacity;
  bytes_trim(&bytes_);
  EXPECT_EQ(capacity, bytes_.capacity);
  bytes_consume(&bytes_, 499000);
  bytes_trim(&bytes_);
  EXPECT_EQ(4096u, bytes_.capacity);
  EXPECT_EQ(std::string(1000, 'x') + "rest", Content(&bytes_));
  bytes_consume(&bytes_, 1004);
  bytes_trim(&bytes_);
  EXPECT_EQ(nullptr, bytes_.data);
  EXPECT_TRUE(status_ok(Append("again")));
}

TEST_F(Bytes, CanItBeUsedAgainAfterCleanup) {
  ASSERT_TRUE(status_ok(Append("x")));
  bytes_cleanup(&bytes_);
  ASSERT_TRUE(status_ok(Append("y")));
  EXPECT_EQ("y", Content(&bytes_));
}

TEST_F(Bytes, IsAMovingWindowNeverLargerThanTwiceItsContent) {
  for (int i = 0; i < 1000; i++) {
    ASSERT_TRUE(status_ok(Append(std::string(100, (char)('a' + i % 26)))));
    if (bytes_len(&bytes_) > 300) {
      bytes_consume(&bytes_, 100);
    }
  }
  EXPECT_LE(bytes_.capacity, 1024u);
}

TEST_F(Bytes, DoesItAgreeWithAStringWhateverIsDone) {
  std::mt19937 random(7);
  std::string model;
  for (int i = 0; i < 20000; i++) {
    size_t n = random() % 700;
    if (random() % 2 == 0) {
      std::string more(n, (char)('a' + random() % 26));
      bool fits = model.size() + n <= 4096;
      ASSERT_EQ(fits, status_ok(Append(more)));
      model += fits ? more : "";
    } else {
      n = n < model.size() ? n : model.size();
      bytes_consume(&bytes_, n);
      model.erase(0, n);
    }
    ASSERT_EQ(model, Content(&bytes_));
    ASSERT_LE(bytes_.start, bytes_.end);
    ASSERT_LE(bytes_.end, bytes_.capacity);
    ASSERT_LE(bytes_.capacity, bytes_.max);
  }
}

}  // namespace
