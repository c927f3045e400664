// What the headers of a request may say, and what they are answered with.
#include "tests/unit/rpc/grpc_fixture.h"

namespace {

class GrpcHeaders : public Rpc {
 protected:
  static Fields With(const std::string &name, const std::string &value) {
    Fields fields = CallFields("Echo");
    for (auto &field : fields) {
      if (field.first == name) {
        field.second = value;
        return fields;
      }
    }
    fields.emplace_back(name, value);
    return fields;
  }

  const Stream &Ask(Http2 &http2, const Fields &fields) {
    return http2.Await(http2.Submit(fields, Prefixed(Any("asked"))));
  }

  void ExpectServed(Http2 &http2) {
    EXPECT_EQ("still", http2.Call({"Echo", Any("still")}).TypeUrl());
  }
};

TEST_F(GrpcHeaders, IsWhatIsNotGrpcAnsweredInHttp) {
  Http2 http2(Connect());
  for (const char *type : {"application/json", "text/plain", "application/grpc+json", "x"}) {
    const Stream &stream = Ask(http2, With("content-type", type));
    EXPECT_EQ("415", stream.Header(":status")) << type;
    EXPECT_EQ(-1, stream.Code());
    EXPECT_EQ("", stream.body);
  }
  Fields none = CallFields("Echo");
  none.erase(none.begin() + 4);
  EXPECT_EQ("415", Ask(http2, none).Header(":status"));
  EXPECT_EQ("405", Ask(http2, With(":method", "GET")).Header(":status"));
  EXPECT_EQ("405", Ask(http2, With(":method", "PUT")).Header(":status"));
  ExpectServed(http2);
  EXPECT_EQ(1, Load(&g_ran));
}

TEST_F(GrpcHeaders, AreBothTypesTaken) {
  Http2 http2(Connect());
  for (const char *type : {"application/grpc", "application/grpc+proto", "application/grpc;a=b"}) {
    const Stream &stream = Ask(http2, With("content-type", type));
    EXPECT_EQ("200", stream.Header(":status"));
    EXPECT_EQ("application/grpc", stream.Header("content-type"));
    EXPECT_EQ(0, stream.Code());
    EXPECT_EQ("asked", stream.TypeUrl());
  }
}

TEST_F(GrpcHeaders, IsAPathThatIsNobodysUnimplemented) {
  Http2 http2(Connect());
  EXPECT_EQ("service \"toy.Toy\" has no method \"Nope\"",
            Ask(http2, With(":path", "/toy.Toy/Nope")).Message());
  EXPECT_EQ("there is no service \"toy\"", Ask(http2, With(":path", "/toy/Toy")).Message());
  for (const std::string &path :
       {std::string("/"), std::string("/toy.Toy"), std::string("/toy.Toy/"),
        "/toy.Toy/Echo" + std::string(300, 'o'), "/" + std::string(5000, 'x') + "/Echo"}) {
    const Stream &stream = Ask(http2, With(":path", path));
    EXPECT_EQ("200", stream.Header(":status"));
    EXPECT_EQ(STATUS_UNIMPLEMENTED, stream.Code()) << path;
  }
  ExpectServed(http2);
}

TEST_F(GrpcHeaders, IsATimeoutTheDeadline) {
  Http2 http2(Connect());
  EXPECT_EQ("never", http2.Call({"Deadline", Any("")}).TypeUrl());
  long millis = std::stol(
      http2.Await(http2.Submit(CallFields("Deadline", {{"grpc-timeout", "1H"}}), Prefixed(Any(""))))
          .TypeUrl());
  EXPECT_GT(millis, 3500000);
  EXPECT_LE(millis, 3600000);
}

TEST_F(GrpcHeaders, DoesATimeoutEndACall) {
  Http2 http2(Connect());
  for (const char *method : {"Park", "ParkAway"}) {
    const Stream &stream =
        http2.Await(http2.Submit(CallFields(method, {{"grpc-timeout", "20m"}}), Prefixed(Any(""))));
    EXPECT_EQ(STATUS_DEADLINE_EXCEEDED, stream.Code());
    EXPECT_EQ("the deadline has passed", stream.Message());
  }
  EXPECT_EQ(2, Load(&g_told));
}

TEST_F(GrpcHeaders, IsATimeoutOfNothingOver) {
  Http2 http2(Connect());
  EXPECT_EQ(STATUS_DEADLINE_EXCEEDED, Ask(http2, With("grpc-timeout", "0S")).Code());
  EXPECT_EQ(0, Load(&g_ran));
}

TEST_F(GrpcHeaders, IsATimeoutThatIsNoneRefused) {
  Http2 http2(Connect());
  for (const char *timeout : {"1", "S", "1x", "123456789S", "-1S"}) {
    EXPECT_EQ(STATUS_INVALID_ARGUMENT, Ask(http2, With("grpc-timeout", timeout)).Code()) << timeout;
  }
  ExpectServed(http2);
}

std::string Hex(const std::string &bytes) {
  std::string out;
  for (uint8_t c : bytes) {
    char digits[3];
    snprintf(digits, sizeof(digits), "%02x", c);
    out += digits;
  }
  return out;
}

TEST_F(GrpcHeaders, DoesATokenJoinAClientOfEitherProtocol) {
  Client ttrpc = Connect();
  std::string token = ttrpc.Call(1, {"Token", Any("")}).value;
  Http2 joined(Connect());
  EXPECT_EQ(token, joined.Call({"Token", Any(""), 0, Hex(token)}).Value());
  EXPECT_EQ(token, joined.Call({"Token", Any("")}).Value());
  Http2 own(Connect());
  std::string other = own.Call({"Token", Any("")}).Value();
  EXPECT_NE(token, other);
  EXPECT_EQ(STATUS_UNAUTHENTICATED, own.Call({"Token", Any(""), 0, Hex(token)}).Code());
  EXPECT_EQ(0, own.Call({"Token", Any(""), 0, Hex(other)}).Code());
  Client back = Connect();
  EXPECT_EQ(other, back.Call(1, {"Token", Any(""), 0, Hex(other)}).value);
}

TEST_F(GrpcHeaders, IsAWrongTokenRefused) {
  for (const std::string &token : {std::string("x"), std::string(32, '0'), std::string(33, '0'),
                                   std::string(1000, 'a'), std::string(32, 'g')}) {
    Http2 http2(Connect());
    EXPECT_EQ(STATUS_UNAUTHENTICATED, http2.Call({"Token", Any(""), 0, token}).Code()) << token;
    ExpectServed(http2);
  }
}

TEST_F(GrpcHeaders, IsOtherMetadataPassedOver) {
  Http2 http2(Connect());
  Fields fields = CallFields("Echo", {{"user-agent", "test"},
                                      {"grpc-accept-encoding", "gzip"},
                                      {"some-bin", "AAEC"},
                                      {"grpc-trace-bin", "AA"}});
  EXPECT_EQ(0, Ask(http2, fields).Code());
}

TEST_F(GrpcHeaders, IsMoreMetadataThanMayBeRefused) {
  Http2 http2(Connect());
  const Stream &large = Ask(http2, With("x", std::string(9000, 'x')));
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, large.Code());
  EXPECT_EQ("the metadata of a call is larger than 8192 bytes", large.Message());
  Fields many = CallFields("Echo");
  for (int i = 0; i < 300; i++) {
    many.emplace_back("k", "");
  }
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, Ask(http2, many).Code());
  EXPECT_EQ(0, Ask(http2, With("x", std::string(7000, 'x'))).Code());
  EXPECT_EQ(1, Load(&g_ran));
  EXPECT_EQ(8192u, http2.settings[NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE]);
}

}  // namespace
