#include "server/rpc/grpc_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

struct slice SliceOf(const std::string &text) {
  return slice_of(text.data(), text.size());
}

std::string TextOf(struct slice slice) {
  return std::string((const char *)slice.data, slice.len);
}

// ---------------------------------------------------------------------------------------------
// Paths

TEST(GrpcPath, IsCutAtItsLastSlash) {
  struct slice service;
  struct slice method;
  ASSERT_TRUE(grpc_path_parse(slice_of_string("/a.b.Service/Method"), &service, &method));
  EXPECT_EQ("a.b.Service", TextOf(service));
  EXPECT_EQ("Method", TextOf(method));
  ASSERT_TRUE(grpc_path_parse(slice_of_string("/a/b/M"), &service, &method));
  EXPECT_EQ("a/b", TextOf(service));
  EXPECT_EQ("M", TextOf(method));
}

TEST(GrpcPath, IsAnythingElseNone) {
  struct slice service;
  struct slice method;
  for (const char *path : {"", "/", "//", "a/b", "/a", "/a/", "//b", "*", "a"}) {
    EXPECT_FALSE(grpc_path_parse(slice_of_string(path), &service, &method)) << path;
  }
}

// ---------------------------------------------------------------------------------------------
// Timeouts

TEST(GrpcTimeout, IsEachUnitRead) {
  const struct {
    const char *text;
    int64_t nanos;
  } cases[] = {{"1n", 1},
               {"1u", 1000},
               {"1m", 1000000},
               {"1S", 1000000000},
               {"2M", 120000000000},
               {"1H", 3600000000000},
               {"0S", 0},
               {"99999999n", 99999999},
               {"00000007S", 7000000000}};
  for (const auto &c : cases) {
    int64_t nanos = -1;
    EXPECT_TRUE(grpc_timeout_parse(slice_of_string(c.text), &nanos)) << c.text;
    EXPECT_EQ(c.nanos, nanos) << c.text;
  }
}

TEST(GrpcTimeout, IsMoreThanFitsTheMost) {
  int64_t nanos = 0;
  EXPECT_TRUE(grpc_timeout_parse(slice_of_string("99999999H"), &nanos));
  EXPECT_EQ(INT64_MAX, nanos);
  EXPECT_TRUE(grpc_timeout_parse(slice_of_string("2562047H"), &nanos));
  EXPECT_EQ(2562047 * 3600000000000, nanos);
  EXPECT_TRUE(grpc_timeout_parse(slice_of_string("2562048H"), &nanos));
  EXPECT_EQ(INT64_MAX, nanos);
}

TEST(GrpcTimeout, IsAnythingElseNone) {
  int64_t nanos = 0;
  for (const char *text : {"", "S", "1", "1s", "1h", "-1S", "+1S", " 1S", "1S ", "1 S", "1.5S",
                           "123456789S", "0x1S", "1SS"}) {
    EXPECT_FALSE(grpc_timeout_parse(slice_of_string(text), &nanos)) << text;
  }
}

// ---------------------------------------------------------------------------------------------
// Types

TEST(GrpcType, AreTheTwoNamesOursWithAnyParameters) {
  for (const char *type : {"application/grpc", "application/grpc+proto", "application/grpc;a=b",
                           "application/grpc+proto; a=b", "application/grpc ;a=b"}) {
    EXPECT_TRUE(grpc_type_is_ours(slice_of_string(type))) << type;
  }
}

TEST(GrpcType, IsAnythingElseNot) {
  for (const char *type :
       {"", "application/json", "application/grp", "application/grpcx", "application/grpc+json",
        "application/grpc+protobuf", "application/grpc-web", "text/application/grpc"}) {
    EXPECT_FALSE(grpc_type_is_ours(slice_of_string(type))) << type;
  }
}

// ---------------------------------------------------------------------------------------------
// Messages

std::string Encoded(const std::string &text) {
  std::string out(3 * text.size() + 1, 'x');
  size_t len = grpc_percent_encode(out.data(), text.c_str());
  EXPECT_EQ('\0', out[len]);
  out.resize(len);
  return out;
}

TEST(GrpcMessage, IsPrintableAsciiAsItIs) {
  EXPECT_EQ("", Encoded(""));
  EXPECT_EQ(" !~\"/:", Encoded(" !~\"/:"));
}

TEST(GrpcMessage, IsEverythingElseInHexadecimal) {
  EXPECT_EQ("100%25", Encoded("100%"));
  EXPECT_EQ("%0A%0D%7F%01", Encoded("\n\r\x7f\x01"));
  EXPECT_EQ("%C3%A9", Encoded("\xc3\xa9"));
  EXPECT_EQ("%FF%FF", Encoded("\xff\xff"));
}

// ---------------------------------------------------------------------------------------------
// Binary values

std::string Base64(const std::string &bytes) {
  std::string out(GRPC_BASE64_LEN(bytes.size()), '\0');
  EXPECT_EQ(out.size(), grpc_base64(out.data(), SliceOf(bytes)));
  return out;
}

// RFC 4648, section 10, without the padding.
TEST(GrpcBase64, IsItUnpadded) {
  EXPECT_EQ("", Base64(""));
  EXPECT_EQ("Zg", Base64("f"));
  EXPECT_EQ("Zm8", Base64("fo"));
  EXPECT_EQ("Zm9v", Base64("foo"));
  EXPECT_EQ("Zm9vYg", Base64("foob"));
  EXPECT_EQ("Zm9vYmE", Base64("fooba"));
  EXPECT_EQ("Zm9vYmFy", Base64("foobar"));
}

TEST(GrpcBase64, AreAllBytesAndCharactersThere) {
  EXPECT_EQ("+///", Base64("\xfb\xff\xff"));
  EXPECT_EQ("AAEC", Base64(std::string("\0\1\2", 3)));
}

}  // namespace
