#include "server/rpc/envelope.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proto/ttrpc/ttrpc.pb-c.h"
#include "tests/unit/rpc/rpc_fixture.h"

namespace {

std::string Text(struct slice slice) {
  return slice.len == 0 ? "" : std::string((const char *)slice.data, slice.len);
}

// On memory of exactly that size, so that ASan sees one byte too many.
class Envelopes : public testing::Test {
 protected:
  bool Parse(const std::string &body) {
    memory_.assign(body.begin(), body.end());
    memory_.shrink_to_fit();
    return envelope_parse(slice_of(memory_.data(), memory_.size()), &envelope_);
  }

  std::vector<char> memory_;
  struct envelope envelope_;
};

std::string Metadata(const std::string &key, const std::string &value) {
  return BytesField(5, BytesField(1, key) + BytesField(2, value));
}

TEST_F(Envelopes, IsEverythingInIt) {
  ASSERT_TRUE(Parse(BytesField(1, "a.Service") + BytesField(2, "Method") +
                    BytesField(3, "payload") + VarintField(4, 1500) + Metadata("other", "x") +
                    Metadata("tlsagent-token", "00ff")));
  EXPECT_EQ("a.Service", Text(envelope_.service));
  EXPECT_EQ("Method", Text(envelope_.method));
  EXPECT_EQ("payload", Text(envelope_.payload));
  EXPECT_EQ(1500, envelope_.timeout_nano);
  EXPECT_TRUE(envelope_.has_token);
  EXPECT_EQ("00ff", Text(envelope_.token));
}

TEST_F(Envelopes, IsAnEmptyOneEmpty) {
  ASSERT_TRUE(Parse(""));
  EXPECT_EQ(0u, envelope_.service.len);
  EXPECT_EQ(0u, envelope_.method.len);
  EXPECT_EQ(0u, envelope_.payload.len);
  EXPECT_EQ(0, envelope_.timeout_nano);
  EXPECT_FALSE(envelope_.has_token);
}

TEST_F(Envelopes, CanATimeoutBeNegative) {
  ASSERT_TRUE(Parse(VarintField(4, (uint64_t)-5)));
  EXPECT_EQ(-5, envelope_.timeout_nano);
}

TEST_F(Envelopes, AreUnknownFieldsPassedOver) {
  ASSERT_TRUE(Parse(VarintField(100, 1) + BytesField(2, "Method") + BytesField(99, "x") +
                    Varint(98 << 3 | 5) + "1234" + Varint(97 << 3 | 1) + "12345678"));
  EXPECT_EQ("Method", Text(envelope_.method));
}

TEST_F(Envelopes, DoesTheLastOfTwoCountAndTheFirstToken) {
  ASSERT_TRUE(Parse(BytesField(2, "One") + BytesField(2, "Two") + Metadata("tlsagent-token", "aa") +
                    Metadata("tlsagent-token", "bb")));
  EXPECT_EQ("Two", Text(envelope_.method));
  EXPECT_EQ("aa", Text(envelope_.token));
}

TEST_F(Envelopes, IsAnEmptyTokenAToken) {
  ASSERT_TRUE(Parse(Metadata("tlsagent-token", "")));
  EXPECT_TRUE(envelope_.has_token);
  EXPECT_EQ(0u, envelope_.token.len);
}

TEST_F(Envelopes, IsAFieldOfTheWrongTypeRefused) {
  for (uint32_t number : {1, 2, 3, 5}) {
    EXPECT_FALSE(Parse(VarintField(number, 1))) << number;
  }
  EXPECT_FALSE(Parse(BytesField(4, "12")));
  EXPECT_FALSE(Parse(BytesField(5, VarintField(1, 1))));
}

TEST_F(Envelopes, IsACutEnvelopeRefusedUnlessItIsCutBetweenFields) {
  std::string whole = Envelope({"Method", "payload", 5, "token"});
  for (size_t len = 0; len < whole.size(); len++) {
    bool parsed = Parse(whole.substr(0, len));
    Ttrpc__Request *theirs = ttrpc__request__unpack(nullptr, len, (const uint8_t *)whole.data());
    EXPECT_EQ(theirs != nullptr, parsed) << len;
    ttrpc__request__free_unpacked(theirs, nullptr);
  }
}

std::string Written(const ProtobufCMessage *response, uint32_t stream_id) {
  struct reply_size size = reply_measure(response);
  std::vector<uint8_t> out(size.frame);
  reply_write(out.data(), size, stream_id, response);
  return std::string(out.begin(), out.end());
}

TEST(Reply, IsItWhatProtobufWouldWrite) {
  for (size_t len : {0u, 1u, 120u, 127u, 128u, 129u, 130u, 16383u, 16384u, 70000u}) {
    std::string value(len, 'v');
    Ttrpc__Any any = TTRPC__ANY__INIT;
    any.value = {len, (uint8_t *)value.data()};
    std::string payload = len == 0 ? "" : BytesField(2, value);
    std::string body = payload.empty() ? "" : BytesField(2, payload);
    EXPECT_EQ(Frame(77, 2, body), Written(&any.base, 77)) << len;
  }
}

TEST(Reply, IsTheLargestFrameFourMebibytes) {
  std::string value(4 << 20, 'v');
  Ttrpc__Any any = TTRPC__ANY__INIT;
  any.value = {(4 << 20) - 10, (uint8_t *)value.data()};
  EXPECT_EQ(10u + (4 << 20), reply_measure(&any.base).frame);
  any.value.len++;
  EXPECT_EQ(SIZE_MAX, reply_measure(&any.base).frame);
}

std::string Failure(uint32_t stream_id, enum status_code code, const std::string &text) {
  uint8_t out[FAILURE_FRAME_MAX];
  size_t size = failure_write(out, stream_id, code, text.c_str());
  EXPECT_LE(size, sizeof(out));
  return std::string((char *)out, size);
}

TEST(Failure, IsItAResponseWithAStatus) {
  EXPECT_EQ(Frame(9, 2, BytesField(1, VarintField(1, 5) + BytesField(2, "no such thing"))),
            Failure(9, STATUS_NOT_FOUND, "no such thing"));
}

TEST(Failure, IsALongSentenceCut) {
  EXPECT_EQ(Frame(9, 2, BytesField(1, VarintField(1, 16) + BytesField(2, std::string(480, 'x')))),
            Failure(9, STATUS_UNAUTHENTICATED, std::string(100000, 'x')));
}

TEST(Failure, WouldAPeersParserTakeIt) {
  EXPECT_EQ(Frame(9, 2, BytesField(1, VarintField(1, 3) + BytesField(2, "bad ? name"))),
            Failure(9, STATUS_INVALID_ARGUMENT, "bad \xff name"));
}

}  // namespace
