// Is what programs read JSON, whatever the texts in it?

#include <gtest/gtest.h>
#include <stdlib.h>

#include <functional>
#include <string>

extern "C" {
#include "client/cli/json.h"
}

namespace {

std::string Written(const std::function<void(struct json *)> &write) {
  char *text = nullptr;
  size_t len = 0;
  FILE *out = open_memstream(&text, &len);
  struct json json = {};
  json.out = out;
  write(&json);
  fclose(out);
  const std::string result(text, len);
  free(text);
  return result;
}

std::string TextOf(const std::string &text) {
  return Written(
      [&](struct json *json) { json_text_bytes(json, nullptr, text.data(), text.size()); });
}

TEST(Json, AreCommasAndLinesWhereTheyBelong) {
  const std::string text = Written([](struct json *json) {
    json_begin_object(json, nullptr);
    json_text(json, "a", "x");
    json_begin_array(json, "b");
    json_end_array(json);
    json_begin_array(json, "c");
    json_number(json, nullptr, -5);
    json_unsigned(json, nullptr, UINT64_MAX);
    json_bool(json, nullptr, true);
    json_null(json, nullptr);
    json_end_array(json);
    json_begin_object(json, "d");
    json_end_object(json);
    json_fraction(json, "e", 1.5);
    json_end_object(json);
    json_end(json);
  });
  EXPECT_EQ(text,
            "{\n  \"a\": \"x\",\n  \"b\": [],\n  \"c\": [\n    -5,\n    18446744073709551615,\n"
            "    true,\n    null\n  ],\n  \"d\": {},\n  \"e\": 1.500\n}\n");
}

TEST(Json, IsEveryCharacterThatWouldBreakItEscaped) {
  EXPECT_EQ(TextOf("a\"b\\c\nd\te"), R"("a\"b\\c\nd\u0009e")");
  EXPECT_EQ(TextOf(std::string("a\0b", 3)), R"("a\u0000b")");
  EXPECT_EQ(TextOf("\x7F\x1B[31m"), R"("\u007f\u001b[31m")");
}

TEST(Json, IsUtf8KeptAndEverythingElseReplaced) {
  EXPECT_EQ(TextOf("gr\xC3\xBC\xC3\x9F \xF0\x9F\x94\x92"),
            "\"gr\xC3\xBC\xC3\x9F \xF0\x9F\x94\x92\"");
  EXPECT_EQ(TextOf("\xC3"), R"("\ufffd")") << "cut off";
  EXPECT_EQ(TextOf("\xC0\xAF"), R"("\ufffd\ufffd")") << "overlong";
  EXPECT_EQ(TextOf("\xED\xA0\x80"), R"("\ufffd\ufffd\ufffd")") << "a surrogate";
  EXPECT_EQ(TextOf("\xF4\x90\x80\x80"), R"("\ufffd\ufffd\ufffd\ufffd")") << "beyond Unicode";
  EXPECT_EQ(TextOf("\xFF\xFEok"), R"("\ufffd\ufffdok")");
}

TEST(Json, AreKeysEscapedToo) {
  EXPECT_EQ(Written([](struct json *json) {
              json_begin_object(json, nullptr);
              json_number(json, "a\"b", 1);
              json_end_object(json);
            }),
            "{\n  \"a\\\"b\": 1\n}");
}

}  // namespace
