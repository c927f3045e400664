#include "server/rpc/codec.h"

#include <gtest/gtest.h>

#include <string>

namespace {

const struct codec *CodecOf(const std::string &first) {
  return codec_for(slice_of(first.data(), first.size()));
}

TEST(Codec, IsAZeroTtrpc) {
  EXPECT_EQ(&codec_ttrpc, CodecOf(std::string(1, '\0')));
  EXPECT_EQ(&codec_ttrpc, CodecOf(std::string("\0\0\0\5", 4)));
}

TEST(Codec, IsEverythingElseNobodys) {
  EXPECT_EQ(&codec_grpc, CodecOf("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
  EXPECT_EQ(&codec_token, CodecOf("TOKEN put "));
  EXPECT_EQ(&codec_token, CodecOf("T"));
  EXPECT_EQ(nullptr, CodecOf("GET / HTTP/1.1\r\n"));
  EXPECT_EQ(nullptr, CodecOf("\x16\x03\x01"));
  EXPECT_EQ(nullptr, CodecOf(""));
}

}  // namespace
