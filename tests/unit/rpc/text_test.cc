#include "server/rpc/text.h"

#include <gtest/gtest.h>

#include <string>

namespace {

std::string Mended(const std::string &text, size_t size = 64) {
  std::string out(size, 'x');
  text_mend(&out[0], size, text.c_str());
  return out.c_str();
}

std::string Quoted(const std::string &text, size_t size = 64) {
  std::string out(size, 'x');
  text_quote(&out[0], size, slice_of(text.data(), text.size()));
  return out.c_str();
}

TEST(Text, IsGoodTextLeftAlone) {
  for (const char *text : {"", "plain", "grüße", "日本語", "🔒", "\u07ff\u0800\uffff\U0010ffff"}) {
    EXPECT_EQ(text, Mended(text));
  }
}

TEST(Text, DoesWhatIsNotUtf8BecomeAQuestionMark) {
  EXPECT_EQ("a?b", Mended("a\xff"
                          "b"));
  EXPECT_EQ("??", Mended("\xc0\x80"));            // an overlong NUL
  EXPECT_EQ("???", Mended("\xe0\x80\x80"));       // overlong
  EXPECT_EQ("???", Mended("\xed\xa0\x80"));       // a surrogate
  EXPECT_EQ("????", Mended("\xf4\x90\x80\x80"));  // past U+10FFFF
  EXPECT_EQ("????", Mended("\xf0\x80\x80\x80"));  // overlong
  EXPECT_EQ("?", Mended("\xc3"));                 // cut
  EXPECT_EQ("??", Mended("\xf0\x9f"));            // cut
  EXPECT_EQ("?A", Mended("\xc3"
                         "A"));
}

TEST(Text, DoControlCharactersBecomeQuestionMarks) {
  EXPECT_EQ("a?b?c?", Mended("a\nb\x1b"
                             "c\x7f"));
}

TEST(Text, IsACharacterNeverCutInTwo) {
  EXPECT_EQ("ab", Mended("ab\u00fc", 4));
  EXPECT_EQ("ab\u00fc", Mended("ab\u00fc", 5));
  EXPECT_EQ("", Mended("🔒", 4));
  EXPECT_EQ("🔒", Mended("🔒", 5));
  EXPECT_EQ("", Mended("abc", 1));
}

TEST(Text, IsAQuotedNamePrintable) {
  EXPECT_EQ("tlsagent.v1.X", Quoted("tlsagent.v1.X"));
  EXPECT_EQ("a?b??c", Quoted(std::string("a\0b\xc3\xbc"
                                         "c",
                                         6)));
  EXPECT_EQ("", Quoted(""));
}

TEST(Text, IsALongNameCutAndSaysSo) {
  EXPECT_EQ("abcd...", Quoted("abcdefghijkl", 8));
  EXPECT_EQ("abcdefg", Quoted("abcdefg", 8));
  EXPECT_EQ("abcd...", Quoted("abcdefgh", 8));
}

}  // namespace
