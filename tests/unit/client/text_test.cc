// Can a stranger's text do anything to a terminal?

#include <gtest/gtest.h>
#include <stdlib.h>

#include <functional>
#include <string>

extern "C" {
#include "client/cli/text.h"
}

namespace {

std::string Written(const std::function<void(FILE *)> &write) {
  char *text = nullptr;
  size_t len = 0;
  FILE *out = open_memstream(&text, &len);
  write(out);
  fclose(out);
  const std::string result(text, len);
  free(text);
  return result;
}

std::string Safe(const std::string &text) {
  return Written([&](FILE *out) { print_safe_bytes(out, text.data(), text.size()); });
}

TEST(Text, IsOrdinaryTextLeftAlone) {
  EXPECT_EQ(Safe("CN=www.example.org,O=B\xC3\xBCro"), "CN=www.example.org,O=B\xC3\xBCro");
  EXPECT_EQ(Safe(""), "");
}

TEST(Text, AreControlCharactersShownAndNotSent) {
  EXPECT_EQ(Safe("\x1B]0;title\x07"), "\\x1B]0;title\\x07");
  EXPECT_EQ(Safe(std::string("good.example\0.evil", 18)), "good.example\\x00.evil");
  EXPECT_EQ(Safe("\xC2\x9B"
                 "31m"),
            "\\xC2\\x9B31m")
      << "a C1 control";
  EXPECT_EQ(Safe("a\r\nb"), "a\\x0D\\x0Ab");
}

TEST(Text, IsTextThatRunsBackwardsShown) {
  EXPECT_EQ(Safe("\xE2\x80\xAE"
                 "gpj.exe"),
            "\\xE2\\x80\\xAEgpj.exe");
  EXPECT_EQ(Safe("\xE2\x81\xA6"
                 "x"),
            "\\xE2\\x81\\xA6x");
}

TEST(Text, AreBytesThatAreNotUtf8Shown) {
  EXPECT_EQ(Safe("\xFF\xC3"), "\\xFF\\xC3");
}

TEST(Text, AreLinesKept) {
  EXPECT_EQ(Written([](FILE *out) { print_safe_lines(out, "one\n\x1Btwo"); }), "one\n\\x1Btwo\n");
}

TEST(Text, IsBase64ThatOfTheRfc) {
  const auto base64 = [](const std::string &text) {
    return Written(
        [&](FILE *out) { print_base64(out, tlsagent_bytes_of(text.data(), text.size())); });
  };
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64("\xFF\xFE\xFD"), "//79");
}

TEST(Text, IsHexSeparated) {
  EXPECT_EQ(Written([](FILE *out) { print_hex(out, tlsagent_bytes_of("\x00\xAB\x01", 3), ':'); }),
            "00:AB:01");
}

}  // namespace
