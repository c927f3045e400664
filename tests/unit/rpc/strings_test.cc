#include "server/rpc/strings.h"

#include <gtest/gtest.h>

#include <string>

extern "C" {
#include "proto/ttrpc/ttrpc.pb-c.h"
}

namespace {

std::string Field(int number, const std::string &value) {
  return std::string(1, static_cast<char>(number << 3 | 2)) +
         std::string(1, static_cast<char>(value.size())) + value;
}

// The name of the field that a ttrpc.Request is refused for, or "" when it is not.
std::string Refused(const std::string &message) {
  const ProtobufCFieldDescriptor *bad = nullptr;
  switch (
      strings_check(&ttrpc__request__descriptor, slice_of(message.data(), message.size()), &bad)) {
    case STRINGS_GOOD:
      return "";
    case STRINGS_BAD:
      return bad->name;
    default:
      return "malformed";
  }
}

TEST(Strings, PlainTextAndUtf8AreGood) {
  EXPECT_EQ(Refused(Field(1, "service") + Field(2, "M\xc3\xa9thode")), "");
  EXPECT_EQ(Refused(""), "");
}

TEST(Strings, ANulIsRefusedByTheNameOfItsField) {
  EXPECT_EQ(Refused(Field(2, std::string("good\0evil", 9))), "method");
}

TEST(Strings, WhatIsNotUtf8IsRefused) {
  EXPECT_EQ(Refused(Field(1, "\xff")), "service");
  EXPECT_EQ(Refused(Field(1, "\xc0\xaf")), "service");
  EXPECT_EQ(Refused(Field(1, "\xed\xa0\x80")), "service");
}

TEST(Strings, BytesMayHoldAnything) {
  EXPECT_EQ(Refused(Field(3, std::string("\0\xff", 2))), "");
}

TEST(Strings, SubMessagesAreLookedThrough) {
  EXPECT_EQ(Refused(Field(5, Field(1, "key") + Field(2, "value"))), "");
  EXPECT_EQ(Refused(Field(5, Field(1, "key") + Field(2, std::string(1, '\0')))), "value");
}

TEST(Strings, UnknownFieldsMayHoldAnything) {
  EXPECT_EQ(Refused(Field(15, std::string(1, '\0'))), "");
}

TEST(Strings, WhatDoesNotParseIsRefused) {
  EXPECT_EQ(Refused("\x0a\x7f"), "malformed");
  EXPECT_EQ(Refused(Field(5, "\x0a\x7f")), "malformed");
}

TEST(Strings, NothingHidesBehindWhatOnlyTheUnpackingWouldRead) {
  // A field number past 2^29 - 1: protobuf-c skips it as an unknown field and reads on.
  const std::string strange("\x80\x80\x80\x80\x10\x00", 6);
  EXPECT_EQ(Refused(strange + Field(1, "\xff")), "malformed");
  EXPECT_EQ(Refused(Field(5, strange + Field(1, "\xff"))), "malformed");
}

}  // namespace
