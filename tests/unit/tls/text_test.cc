#include "server/tls/text.h"

#include <openssl/objects.h>

#include "tests/unit/tls/harness.h"

namespace {

class TextTest : public ::testing::Test {
 protected:
  void SetUp() override {
    to_.scratch = BIO_new(BIO_s_mem());
  }
  void TearDown() override {
    BIO_free(to_.scratch);
  }
  std::string Escaped(const std::string &text) {
    return text_escaped(&to_, Slice(text));
  }
  Arena arena_;
  struct decoding to_ = {arena_, nullptr};
};

TEST_F(TextTest, IsTextLeftAsItIs) {
  EXPECT_EQ(Escaped("plain text"), "plain text");
  EXPECT_EQ(Escaped("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
            "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(Escaped(""), "");
}

TEST_F(TextTest, IsWhatIsNoTextEscaped) {
  EXPECT_EQ(Escaped(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(Escaped("a\nb\x7f"), "a\\x0ab\\x7f");
  EXPECT_EQ(Escaped("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(Escaped("\xc3"), "\\xc3");                    // cut short
  EXPECT_EQ(Escaped("\xc0\xaf"), "\\xc0\\xaf");           // overlong
  EXPECT_EQ(Escaped("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(Escaped("\xc2\x9b"
                    "31m"),
            "\\xc2\\x9b31m");  // a terminal's control character
}

TEST_F(TextTest, IsExactTextAllOrNothing) {
  EXPECT_STREQ(text_exact(&to_, Slice("ab")), "ab");
  EXPECT_STREQ(text_exact(&to_, Slice("")), "");
  EXPECT_EQ(text_exact(&to_, Slice(std::string("a\0b", 3))), nullptr);
  EXPECT_EQ(text_exact(&to_, Slice("\xff")), nullptr);
}

TEST_F(TextTest, IsTheScratchEmptyAfterwards) {
  BIO_puts(to_.scratch, "one");
  EXPECT_STREQ(text_taken(&to_), "one");
  EXPECT_STREQ(text_taken(&to_), "");
}

TEST_F(TextTest, HaveObjectsTheirNames) {
  EXPECT_STREQ(text_of_object(&to_, OBJ_nid2obj(NID_commonName)), "commonName");
  EXPECT_STREQ(text_of_oid(&to_, OBJ_nid2obj(NID_commonName)), "2.5.4.3");
  ASN1_OBJECT *unknown = OBJ_txt2obj("1.2.3.4.5.6", 1);
  EXPECT_STREQ(text_of_object(&to_, unknown), "1.2.3.4.5.6");
  ASN1_OBJECT_free(unknown);
}

TEST_F(TextTest, IsAFullArenaRemembered) {
  Arena small(20);
  struct decoding to = {small, to_.scratch};
  EXPECT_STREQ(text_escaped(&to, Slice(std::string(100, 'x'))), "");
  EXPECT_TRUE(small.arena.exhausted);
}

}  // namespace
