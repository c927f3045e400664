#include "server/base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace {

bool Valid(const std::string &text) {
  return utf8_valid(slice_of(text.data(), text.size()));
}

// UTF-8 by the arithmetic of RFC 3629, section 3, apart from the table under test.
std::string Encode(uint32_t c) {
  std::string out;
  if (c < 0x80) {
    return std::string(1, (char)c);
  }
  int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static const int kLead[] = {0, 0xc0, 0xe0, 0xf0};
  out += (char)(kLead[more] | c >> 6 * more);
  for (int i = more - 1; i >= 0; i--) {
    out += (char)(0x80 | (c >> 6 * i & 0x3f));
  }
  return out;
}

TEST(Utf8, IsEveryCharacterTakenAndNoSurrogate) {
  for (uint32_t c = 0; c < 0x110000; c++) {
    bool surrogate = c >= 0xd800 && c < 0xe000;
    ASSERT_EQ(!surrogate, Valid(Encode(c))) << std::hex << c;
  }
}

TEST(Utf8, IsNothingBeyondUnicodeTaken) {
  EXPECT_FALSE(Valid("\xf4\x90\x80\x80"));
  EXPECT_FALSE(Valid("\xf5\x80\x80\x80"));
  EXPECT_FALSE(Valid("\xf8\x88\x80\x80\x80"));
  EXPECT_FALSE(Valid("\xff"));
  EXPECT_FALSE(Valid("\xfe"));
}

TEST(Utf8, IsNoOverlongFormTaken) {
  EXPECT_FALSE(Valid("\xc0\x80"));
  EXPECT_FALSE(Valid("\xc1\xbf"));
  EXPECT_FALSE(Valid("\xe0\x80\xaf"));
  EXPECT_FALSE(Valid("\xe0\x9f\xbf"));
  EXPECT_FALSE(Valid("\xf0\x8f\xbf\xbf"));
}

TEST(Utf8, IsNoTornCharacterTaken) {
  for (const std::string whole : {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x94\x92"}) {
    for (size_t len = 1; len < whole.size(); len++) {
      EXPECT_FALSE(Valid(whole.substr(0, len)));
      EXPECT_FALSE(Valid(whole.substr(0, len) + "a")) << "and nothing else goes in its place";
      EXPECT_FALSE(Valid(whole.substr(0, len) + whole));
    }
    EXPECT_FALSE(Valid(whole.substr(1)));
    EXPECT_TRUE(Valid("a" + whole + whole + "z"));
  }
}

TEST(Utf8, IsNothingAtAllText) {
  EXPECT_TRUE(Valid(""));
  EXPECT_TRUE(utf8_valid(slice_of(nullptr, 0)));
  EXPECT_TRUE(Valid(std::string("a\0b", 3)));
}

class Utf8Text : public testing::Test {
 protected:
  void SetUp() override {
    arena_init(&arena_, 256);
  }
  void TearDown() override {
    arena_cleanup(&arena_);
  }
  struct arena arena_;
};

TEST_F(Utf8Text, IsGoodTextNotCopied) {
  const char *text = "caf\xc3\xa9";
  EXPECT_EQ(text, utf8_text(&arena_, text));
  EXPECT_EQ(0u, arena_.used);
}

TEST_F(Utf8Text, IsEveryByteOutsideAsciiOfBadTextWritten) {
  EXPECT_STREQ("a\\xffz", utf8_text(&arena_, "a\xffz"));
  EXPECT_STREQ("\\xc3\\xa9\\xff", utf8_text(&arena_, "\xc3\xa9\xff"));
  EXPECT_STREQ("\\x80\n%s", utf8_text(&arena_, "\x80\n%s"));
}

TEST_F(Utf8Text, IsNoTextTheEmptyOne) {
  EXPECT_STREQ("", utf8_text(&arena_, nullptr));
}

TEST_F(Utf8Text, IsThereNothingWhenTheArenaIsFull) {
  std::string bad(100, '\xff');
  EXPECT_EQ(nullptr, utf8_text(&arena_, bad.c_str()));
  EXPECT_STREQ("\\xff", utf8_text(&arena_, "\xff"));
}

}  // namespace
