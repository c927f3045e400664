// A request as it comes: torn, too large, too much, too little, given up.
#include <thread>

#include "tests/unit/rpc/grpc_fixture.h"

namespace {

class GrpcStream : public Rpc {
 protected:
  bool Parked(int num) {
    return Eventually([num] { return Load(&g_parked) == num; });
  }
  bool NothingCharged() {
    return Eventually([this] { return ceiling_used(&server_->shares.all.request_bytes) == 0; });
  }
};

TEST_F(GrpcStream, IsARequestTornAtEveryByteTheSame) {
  size_t len = 2;
  for (size_t at = 1; at < len; at++) {
    Http2 http2(Connect());
    int32_t id = http2.SubmitCall({"Echo", Any("torn")});
    std::string bytes = http2.Pending();
    len = bytes.size();
    http2.Send(bytes.substr(0, at));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    http2.Send(bytes.substr(at));
    ASSERT_EQ("torn", http2.Await(id).TypeUrl()) << at;
  }
  EXPECT_GT(len, 100u);
}

TEST_F(GrpcStream, IsARequestByteByByteTheSame) {
  Http2 http2(Connect());
  int32_t id = http2.SubmitCall({"Echo", Any("bytes")});
  for (char byte : http2.Pending()) {
    http2.Send(std::string(1, byte));
  }
  EXPECT_EQ("bytes", http2.Await(id).TypeUrl());
}

// What is lent to a stream is only good until what was received goes.
TEST_F(GrpcStream, IsAMessageWithMoreBehindItRefusedHoweverItIsTorn) {
  size_t len = 2;
  for (size_t at = 1; at < len; at++) {
    Http2 http2(Connect());
    int32_t id = http2.Submit(CallFields("Echo"), Prefixed(Any("torn")) + "x");
    std::string bytes = http2.Pending();
    len = bytes.size();
    http2.Send(bytes.substr(0, at));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    http2.Send(bytes.substr(at));
    ASSERT_EQ(STATUS_UNIMPLEMENTED, http2.Await(id).Code()) << at;
  }
  EXPECT_TRUE(NothingCharged());
}

TEST_F(GrpcStream, IsAMessageWhosePaddingComesLaterTheSame) {
  std::string message = Prefixed(Any("padded"));
  std::string frame = FrameOf(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_PADDED, 1,
                              '\x09' + message + std::string(9, '\0'));
  for (size_t at = 1; at < frame.size(); at++) {
    Http2 http2(Connect());
    ASSERT_EQ(1, http2.Submit(CallFields("Echo"), "", false));
    http2.Send(http2.Pending() + frame.substr(0, at));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    http2.Send(frame.substr(at));
    while (http2.At(1).trailers.empty() && http2.Pump()) {
    }
    ASSERT_EQ("padded", http2.At(1).TypeUrl()) << at;
  }
}

TEST_F(GrpcStream, MayAMessageComeInAnyFrames) {
  Http2 http2(Connect());
  std::string body = Prefixed(Any("framed", "value"));
  for (size_t step : {1u, 2u, 3u, 5u, 7u}) {
    int32_t id = http2.Submit(CallFields("Echo"), "", false);
    for (size_t at = 0; at < body.size(); at += step) {
      http2.More(id, body.substr(at, step), false);
      http2.Flush();
    }
    http2.More(id, "", true);
    EXPECT_EQ("framed", http2.Await(id).TypeUrl());
  }
  EXPECT_TRUE(NothingCharged());
}

TEST_F(GrpcStream, AreLargeMessagesWholeBothWays) {
  Http2 http2(Connect());
  for (size_t size : {16000u, 65536u, 300000u, 4000000u}) {
    std::string value(size, 'v');
    for (size_t i = 0; i < size; i += 1000) {
      value[i] = (char)i;
    }
    const Stream &stream = http2.Call({size % 2 == 0 ? "Echo" : "Away", Any("", value)});
    ASSERT_EQ(0, stream.Code()) << stream.Message();
    EXPECT_EQ(value, stream.Value());
  }
  EXPECT_TRUE(NothingCharged());
}

TEST_F(GrpcStream, IsAMessagePastTheLimitRefusedByItsPrefix) {
  limits_.frame_bytes = 10000;
  Http2 http2(Connect());
  int32_t id =
      http2.Submit(CallFields("Echo"), Prefixed(std::string(20000, 'x')).substr(0, 5), false);
  const Stream &stream = http2.Await(id);
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, stream.Code());
  EXPECT_EQ("a frame of 20000 bytes is larger than limit \"frame_bytes\" (10000)",
            stream.Message());
  EXPECT_EQ((uint32_t)NGHTTP2_NO_ERROR, stream.error);
  EXPECT_EQ("after", http2.Call({"Echo", Any("after")}).TypeUrl());
  EXPECT_TRUE(NothingCharged());
}

TEST_F(GrpcStream, DoesALyingLengthTakeNoMemory) {
  limits_.request_bytes = 1 << 20;
  limits_.request_bytes_per_owner = 1 << 20;
  Http2 http2(Connect());
  std::vector<int32_t> ids;
  for (int i = 0; i < 3; i++) {
    ids.push_back(
        http2.Submit(CallFields("Echo"), Prefixed(std::string(500000, 'x')).substr(0, 100), false));
  }
  const Stream &refused = http2.Await(ids[2]);
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, refused.Code());
  EXPECT_NE(std::string::npos, refused.Message().find("request_bytes")) << refused.Message();
  http2.Reset(ids[0]);
  http2.Reset(ids[1]);
  EXPECT_EQ(0, http2.Call({"Echo", Any("after")}).Code());
  EXPECT_TRUE(NothingCharged());
}

TEST_F(GrpcStream, IsACompressedMessageUnimplemented) {
  Http2 http2(Connect());
  const Stream &stream = http2.Await(
      http2.Submit(CallFields("Echo", {{"grpc-encoding", "gzip"}}), Prefixed("squeezed", true)));
  EXPECT_EQ(STATUS_UNIMPLEMENTED, stream.Code());
  EXPECT_EQ("identity", stream.Trailer("grpc-accept-encoding"));
  EXPECT_EQ("", http2.Call({"Fail", Any("x")}).Trailer("grpc-accept-encoding"));
}

TEST_F(GrpcStream, IsACallWithoutExactlyOneMessageRefused) {
  Http2 http2(Connect());
  std::string one = Prefixed(Any("one"));
  EXPECT_EQ(STATUS_UNIMPLEMENTED, http2.Await(http2.Submit(CallFields("Echo"), "")).Code());
  EXPECT_EQ(STATUS_UNIMPLEMENTED, http2.Await(http2.Submit(CallFields("Echo"), one + one)).Code());
  EXPECT_EQ(STATUS_UNIMPLEMENTED, http2.Await(http2.Submit(CallFields("Echo"), one + "x")).Code());
  for (size_t len : {1u, 4u, 5u, 7u}) {
    EXPECT_EQ(STATUS_INVALID_ARGUMENT,
              http2.Await(http2.Submit(CallFields("Echo"), one.substr(0, len))).Code())
        << len;
  }
  EXPECT_EQ(0, http2.Await(http2.Submit(CallFields("Echo"), Prefixed(""))).Code());
  EXPECT_EQ(1, Load(&g_ran));
  EXPECT_TRUE(NothingCharged());
}

TEST_F(GrpcStream, IsARequestThatIsNotItsMessageRefused) {
  Http2 http2(Connect());
  const Stream &stream = http2.Call({"Echo", "\xff\xff\xff"});
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, stream.Code());
  EXPECT_EQ("the payload is not a ttrpc.Any", stream.Message());
}

TEST_F(GrpcStream, DoesAResetCancelTheCall) {
  Http2 http2(Connect());
  for (const char *method : {"Park", "ParkAway"}) {
    int told = Load(&g_told);
    int32_t id = http2.SubmitCall({method, Any("")});
    http2.Flush();
    ASSERT_TRUE(Parked(1));
    http2.Reset(id);
    http2.Flush();
    ASSERT_TRUE(Parked(0));
    EXPECT_EQ(told + 1, Load(&g_told));
  }
  EXPECT_EQ(0, http2.Call({"Echo", Any("after")}).Code());
  EXPECT_TRUE(Eventually([this] { return ceiling_used(&server_->shares.all.calls) == 0; }));
}

TEST_F(GrpcStream, MayAResetComeAtAnyTime) {
  Http2 http2(Connect());
  std::string body = Prefixed(Any("", std::string(100000, 'x')));
  for (const char *method : {"Echo", "Away", "Big", "BigAway", "Deaf", "DeafAway", "Nope"}) {
    for (size_t len : {0u, 3u, 5u, 50000u, 100000u}) {
      int32_t id = http2.Submit(CallFields(method), body.substr(0, len), false);
      http2.Flush();
      http2.Reset(id);
      http2.Flush();
    }
    std::string asked = Prefixed(Any("20", ""));
    for (int wait : {0, 1, 30}) {
      int32_t id = http2.Submit(CallFields(method), asked);
      http2.Flush();
      std::this_thread::sleep_for(std::chrono::milliseconds(wait));
      http2.Reset(id);
      http2.Flush();
    }
    EXPECT_EQ(0, http2.Call({"Echo", Any("after")}).Code());
  }
  EXPECT_TRUE(Eventually([this] { return ceiling_used(&server_->shares.all.calls) == 0; }));
  EXPECT_TRUE(NothingCharged());
  EXPECT_TRUE(Eventually([this] { return ceiling_used(&server_->shares.all.reply_bytes) == 0; }));
}

TEST_F(GrpcStream, DoesTheConnectionsEndCancelWhatIsInFlight) {
  {
    Http2 http2(Connect());
    http2.SubmitCall({"Park", Any("")});
    http2.SubmitCall({"ParkAway", Any("")});
    http2.Submit(CallFields("Echo"), Prefixed(std::string(5000, 'x')).substr(0, 100), false);
    http2.Flush();
    ASSERT_TRUE(Parked(2));
  }
  EXPECT_TRUE(Parked(0));
  EXPECT_TRUE(AllGone());
}

TEST_F(GrpcStream, IsARequestThatNeverEndsWaitedForOnlySoLong) {
  limits_.request_millis = 100;
  Http2 http2(Connect());
  int32_t parked = http2.SubmitCall({"Park", Any("")});
  int32_t slow = http2.Submit(CallFields("Echo"), Prefixed("a message").substr(0, 7), false);
  const Stream &stream = http2.Await(slow);
  EXPECT_EQ(STATUS_DEADLINE_EXCEEDED, stream.Code());
  EXPECT_NE(std::string::npos, stream.Message().find("request_millis")) << stream.Message();
  EXPECT_EQ(0, http2.Call({"Echo", Any("others go on")}).Code());
  EXPECT_FALSE(http2.At(parked).closed);
  http2.Reset(parked);
  http2.Flush();
  EXPECT_TRUE(NothingCharged());
}

TEST_F(GrpcStream, DoesCancelByIdReachItToo) {
  Http2 http2(Connect());
  int32_t id = http2.SubmitCall({"Park", Any("")});
  EXPECT_EQ("true", http2.Call({"Cancel", Any(std::to_string(id))}).TypeUrl());
  EXPECT_EQ(STATUS_CANCELLED, http2.Await(id).Code());
}

}  // namespace
