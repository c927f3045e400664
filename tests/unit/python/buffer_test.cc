// Does a queue give what was put into it, whatever happens in between?

#include "client/python/buffer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace {

class Buffer : public testing::Test {
 protected:
  ~Buffer() override {
    buffer_free(&buffer_);
  }
  void Append(const std::string &data) {
    ASSERT_TRUE(buffer_append(&buffer_, data.data(), data.size()));
  }
  std::string Held() const {
    const size_t len = buffer_len(&buffer_);
    return len == 0 ? "" : std::string(reinterpret_cast<const char *>(buffer_front(&buffer_)), len);
  }
  struct buffer buffer_ = {};
};

TEST_F(Buffer, IsOneOfZerosEmpty) {
  EXPECT_EQ(0u, buffer_len(&buffer_));
  EXPECT_EQ(nullptr, buffer_front(&buffer_));
  buffer_drop(&buffer_, 0);
  buffer_free(&buffer_);
  EXPECT_EQ(0u, buffer_len(&buffer_));
}

TEST_F(Buffer, IsNothingAppendedNothing) {
  EXPECT_TRUE(buffer_append(&buffer_, nullptr, 0));
  EXPECT_EQ(nullptr, buffer_front(&buffer_));
}

TEST_F(Buffer, DoBytesComeOutAsTheyWentIn) {
  Append("one");
  Append("two");
  EXPECT_EQ("onetwo", Held());
  buffer_drop(&buffer_, 2);
  EXPECT_EQ("etwo", Held());
  Append("three");
  EXPECT_EQ("etwothree", Held());
  buffer_drop(&buffer_, 9);
  EXPECT_EQ("", Held());
}

TEST_F(Buffer, DoesPeekingLeaveWhatItShows) {
  char out[8] = "";
  EXPECT_EQ(0u, buffer_peek(&buffer_, out, sizeof(out)));
  Append("onetwo");
  buffer_drop(&buffer_, 1);
  EXPECT_EQ(3u, buffer_peek(&buffer_, out, 3));
  EXPECT_EQ("net", std::string(out));
  EXPECT_EQ(5u, buffer_peek(&buffer_, out, sizeof(out)));
  EXPECT_EQ("netwo", std::string(out));
  EXPECT_EQ("netwo", Held());
}

TEST_F(Buffer, DoesOnlyWhatIsAddedCount) {
  uint8_t *room = buffer_room(&buffer_, 10);
  ASSERT_NE(nullptr, room);
  room[0] = 'a';
  room[1] = 'b';
  EXPECT_EQ(0u, buffer_len(&buffer_));
  buffer_added(&buffer_, 2);
  EXPECT_EQ("ab", Held());
}

TEST_F(Buffer, IsRoomThatNoMemoryHasRefusedAndNothingLost) {
  Append("kept");
  EXPECT_EQ(nullptr, buffer_room(&buffer_, SIZE_MAX));
  EXPECT_FALSE(buffer_append(&buffer_, "", SIZE_MAX - 2));
  EXPECT_EQ("kept", Held());
}

// A long queue of which little is taken at a time, and a short one for long.
TEST_F(Buffer, DoesItNotGrowWhileAsMuchGoesAsComes) {
  Append(std::string(3000, 'x'));
  for (int i = 0; i < 10000; i++) {
    Append("0123456789");
    buffer_drop(&buffer_, 10);
  }
  EXPECT_EQ(3000u, buffer_len(&buffer_));
  EXPECT_LE(buffer_.size, 16384u);
}

TEST_F(Buffer, DoesALargeOneGiveItsMemoryBack) {
  Append(std::string(3 << 20, 'x'));
  buffer_drop(&buffer_, 1 << 20);
  EXPECT_EQ(2u << 20, buffer_len(&buffer_));
  buffer_drop(&buffer_, 2 << 20);
  EXPECT_EQ(0u, buffer_.size);
  Append("again");
  EXPECT_EQ("again", Held());
}

TEST_F(Buffer, IsItAQueueInAnyOrderOfThings) {
  std::mt19937 random(7);
  std::string model;
  for (int i = 0; i < 20000; i++) {
    const size_t len = random() % 3000;
    if (random() % 2 == 0) {
      const std::string data(len, static_cast<char>(random()));
      Append(data);
      model += data;
    } else {
      const size_t dropped = len < model.size() ? len : model.size();
      buffer_drop(&buffer_, dropped);
      model.erase(0, dropped);
    }
    if (i % 100 == 0) {
      ASSERT_EQ(model, Held());
    }
  }
}

}  // namespace
