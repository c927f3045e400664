// Answers of gRPC: messages, statuses, and what a peer that does not read costs.
#include <unistd.h>

#include <thread>

#include "proto/ttrpc/ttrpc.pb-c.h"
#include "tests/unit/rpc/grpc_fixture.h"

namespace {

class GrpcAnswer : public Rpc {
 protected:
  uint64_t Charged() {
    return ceiling_used(&server_->shares.all.reply_bytes);
  }
  bool NothingCharged() {
    return Eventually([this] { return Charged() == 0; });
  }
};

TEST_F(GrpcAnswer, IsAMessageBetweenHeadersAndTrailers) {
  Http2 http2(Connect());
  for (const char *method : {"Echo", "Away"}) {
    const Stream &stream = http2.Call({method, Any("text", "value")});
    EXPECT_EQ("200", stream.Header(":status"));
    EXPECT_EQ("application/grpc", stream.Header("content-type"));
    EXPECT_EQ(Fields({{"grpc-status", "0"}}), stream.trailers);
    EXPECT_EQ("text", stream.TypeUrl());
    EXPECT_EQ("value", stream.Value());
  }
  EXPECT_TRUE(NothingCharged());
}

std::string Unbase64(const std::string &text) {
  static const std::string digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  uint32_t bits = 0;
  int num = 0;
  for (char c : text) {
    bits = bits << 6 | (uint32_t)digits.find(c);
    num += 6;
    if (num >= 8) {
      num -= 8;
      out += (char)(bits >> num);
    }
  }
  return out;
}

TEST_F(GrpcAnswer, IsAFailureInTrailersOnlyInAllItsForms) {
  Http2 http2(Connect());
  for (const char *method : {"Fail", "FailAway"}) {
    const Stream &stream = http2.Call({method, Any("100% of caf\xc3\xa9")});
    EXPECT_EQ("200", stream.Header(":status"));
    EXPECT_EQ("application/grpc", stream.Header("content-type"));
    EXPECT_EQ("5", stream.Header("grpc-status"));
    EXPECT_EQ("100%25 of caf%C3%A9", stream.Header("grpc-message"));
    EXPECT_TRUE(stream.trailers.empty());
    EXPECT_EQ("", stream.body);
    std::string details = Unbase64(stream.Header("grpc-status-details-bin"));
    Ttrpc__Status *status =
        ttrpc__status__unpack(nullptr, details.size(), (const uint8_t *)details.data());
    ASSERT_NE(nullptr, status);
    EXPECT_EQ(5, status->code);
    EXPECT_STREQ("100% of caf\xc3\xa9", status->message);
    ttrpc__status__free_unpacked(status, nullptr);
  }
}

TEST_F(GrpcAnswer, IsTextThatIsNoneMendedAndALongOneCut) {
  Http2 http2(Connect());
  EXPECT_EQ("a?b?", http2
                        .Call({"Fail", Any("",
                                           "a\xff"
                                           "b\x01")})
                        .Message());
  std::string cut = http2.Call({"Fail", Any(std::string(5000, '%'))}).Message();
  EXPECT_EQ(std::string(480, '%'), cut);
}

TEST_F(GrpcAnswer, IsOneLargerThanAFrameRefused) {
  Http2 http2(Connect());
  for (const char *method : {"Big", "BigAway"}) {
    const Stream &stream = http2.Call({method, Any("5000000")});
    EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, stream.Code());
    EXPECT_NE(std::string::npos, stream.Message().find("larger than a frame")) << stream.Message();
  }
  EXPECT_TRUE(NothingCharged());
}

TEST_F(GrpcAnswer, IsOneWithADescriptorRefusedAndTheDescriptorClosed) {
  Start();
  Http2 http2(Connect());
  EXPECT_EQ(0, http2.Call({"Echo", Any("")}).Code());
  size_t open = NumOpenFds();
  for (const char *method : {"GiveFd", "GiveAway"}) {
    const Stream &stream = http2.Call({method, Any("")});
    EXPECT_EQ(STATUS_FAILED_PRECONDITION, stream.Code());
    EXPECT_NE(std::string::npos, stream.Message().find("ttrpc")) << stream.Message();
  }
  EXPECT_TRUE(Eventually([open] { return NumOpenFds() == open; }));
  EXPECT_TRUE(NothingCharged());
}

// The peer's windows are closed: an answer waits, charged, and holds up nobody.
TEST_F(GrpcAnswer, DoesOneWaitForThePeersWindow) {
  Http2 http2(Connect());
  const nghttp2_settings_entry closed = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
  nghttp2_submit_settings(http2.session(), NGHTTP2_FLAG_NONE, &closed, 1);
  int32_t id = http2.SubmitCall({"Big", Any("100000")});
  EXPECT_EQ(STATUS_NOT_FOUND, http2.Call({"Fail", Any("x")}).Code());
  EXPECT_FALSE(http2.At(id).closed);
  EXPECT_GT(Charged(), 100000u);
  nghttp2_session_set_local_window_size(http2.session(), NGHTTP2_FLAG_NONE, id, 1 << 20);
  EXPECT_EQ(100000u, http2.Await(id).Value().size());
  EXPECT_TRUE(NothingCharged());
}

TEST_F(GrpcAnswer, IsMoreThanMayWaitRefusedByName) {
  limits_.queued_bytes = 1 << 20;
  Http2 http2(Connect());
  const nghttp2_settings_entry closed = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
  nghttp2_submit_settings(http2.session(), NGHTTP2_FLAG_NONE, &closed, 1);
  int32_t first = http2.SubmitCall({"Big", Any("700000")});
  const Stream &second = http2.Call({"Big", Any("700000")});
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, second.Code());
  EXPECT_NE(std::string::npos, second.Message().find("\"queued_bytes\"")) << second.Message();
  EXPECT_FALSE(http2.At(first).closed);
  http2.Reset(first);
  http2.Flush();
  EXPECT_TRUE(NothingCharged());
}

TEST_F(GrpcAnswer, IsAPeerThatNeverReadsBoundedAndDisturbsNobody) {
  limits_.queued_bytes = 1 << 20;
  Http2 unread(Connect());
  for (int i = 0; i < 64; i++) {
    unread.SubmitCall({"Big", Any("500000")});
  }
  nghttp2_session_set_local_window_size(unread.session(), NGHTTP2_FLAG_NONE, 0, 100 << 20);
  unread.Flush();
  Http2 good(Connect());
  for (int i = 0; i < 50; i++) {
    EXPECT_EQ(0, good.Call({i % 2 == 0 ? "Echo" : "Away", Any("good")}).Code());
    EXPECT_LE(Charged(), 2 * limits_.queued_bytes);
  }
}

TEST_F(GrpcAnswer, DoAThousandStreamsAllGetTheirs) {
  limits_.calls_per_connection = 1000;
  limits_.calls = 2000;
  limits_.calls_per_owner = 2000;
  Http2 http2(Connect());
  std::vector<int32_t> ids;
  while (http2.settings.empty()) {
    ASSERT_TRUE(http2.Pump());
  }
  for (int i = 0; i < 1000; i++) {
    ids.push_back(http2.SubmitCall({i % 2 == 0 ? "Echo" : "Away", Any(std::to_string(i))}));
  }
  for (int i = 0; i < 1000; i++) {
    ASSERT_EQ(std::to_string(i), http2.Await(ids[(size_t)i]).TypeUrl());
  }
  EXPECT_TRUE(NothingCharged());
}

TEST_F(GrpcAnswer, AreAnswersGivenBeforeTheEndStillSent) {
  Http2 http2(Connect());
  int32_t big = http2.SubmitCall({"Big", Any("50000")});
  int32_t last = http2.SubmitCall({"Echo", Any("last")});
  http2.Flush();
  ASSERT_EQ(0, shutdown(http2.fd(), SHUT_WR));
  EXPECT_EQ(50000u, http2.Await(big).Value().size());
  EXPECT_EQ("last", http2.Await(last).TypeUrl());
  EXPECT_TRUE(http2.AtEnd());
  EXPECT_TRUE(AllGone());
}

}  // namespace
