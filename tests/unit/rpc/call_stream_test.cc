// Streaming calls, by both protocols and on both workers: does each message come, in order, and
// does whoever is slow make the other wait?
#include <poll.h>
#include <sys/socket.h>

#include <thread>

#include "proto/ttrpc/ttrpc.pb-c.h"
#include "tests/unit/rpc/grpc_fixture.h"

namespace {

struct Message {
  std::string type_url;
  std::string value;
};

Message MessageOf(const std::string &bytes) {
  Ttrpc__Any *any = ttrpc__any__unpack(nullptr, bytes.size(), (const uint8_t *)bytes.data());
  EXPECT_NE(nullptr, any);
  if (any == nullptr) {
    return {};
  }
  Message out = {any->type_url, std::string((const char *)any->value.data, any->value.len)};
  ttrpc__any__free_unpacked(any, nullptr);
  return out;
}

// A streaming call of either protocol, as its client sees it.
class Caller {
 public:
  virtual ~Caller() = default;
  virtual void Open(const std::string &method) = 0;
  virtual void Ask(const std::string &method, const std::string &request) = 0;
  virtual void Send(const std::string &message) = 0;
  virtual void HalfClose() = 0;
  // What came until the end; code is how it ended.
  virtual std::vector<Message> Rest() = 0;
  // The next message.
  virtual Message Next() = 0;
  int code = -1;
  std::string text;
};

class GrpcCaller : public Caller {
 public:
  explicit GrpcCaller(Client client) : http2_(std::move(client)) {}
  void Open(const std::string &method) override {
    id_ = http2_.Submit(CallFields(method), "", false);
    http2_.Flush();
  }
  void Ask(const std::string &method, const std::string &request) override {
    id_ = http2_.Submit(CallFields(method), Prefixed(request));
    http2_.Flush();
    while (!http2_.At(id_).todo.empty() && http2_.Pump()) {  // its windows are small at first
    }
  }
  void Send(const std::string &message) override {
    http2_.More(id_, Prefixed(message), false);
    http2_.Flush();
  }
  void HalfClose() override {
    http2_.More(id_, "", true);
    http2_.Flush();
  }
  std::vector<Message> Rest() override {
    const Stream &stream = http2_.Await(id_);
    code = stream.Code();
    text = stream.Message();
    std::vector<Message> out;
    while (Whole()) {
      out.push_back(Take());
    }
    EXPECT_EQ(at_, stream.body.size());
    return out;
  }
  Message Next() override {
    while (!Whole() && http2_.Pump()) {
    }
    return Take();
  }
  Http2 &http2() {
    return http2_;
  }
  int32_t id() const {
    return id_;
  }

 private:
  size_t Length() {
    const uint8_t *prefix = (const uint8_t *)http2_.At(id_).body.data() + at_;
    return (size_t)prefix[1] << 24 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 8 | prefix[4];
  }
  bool Whole() {
    size_t left = http2_.At(id_).body.size() - at_;
    return left >= 5 && left - 5 >= Length();
  }
  Message Take() {
    size_t len = Length();
    at_ += 5 + len;
    return MessageOf(http2_.At(id_).body.substr(at_ - len, len));
  }
  Http2 http2_;
  int32_t id_ = 0;
  size_t at_ = 0;
};

class TtrpcCaller : public Caller {
 public:
  explicit TtrpcCaller(Client client) : client_(std::move(client)) {}
  void Open(const std::string &method) override {
    client_.Send(Frame(1, 1, Envelope({method}), FRAME_REMOTE_OPEN | FRAME_NO_DATA));
  }
  void Ask(const std::string &method, const std::string &request) override {
    client_.Send(Frame(1, 1, Envelope({method, request}), FRAME_REMOTE_CLOSED));
  }
  void Send(const std::string &message) override {
    client_.Send(Frame(1, 3, message));
  }
  void HalfClose() override {
    client_.Send(Frame(1, 3, "", FRAME_REMOTE_CLOSED | FRAME_NO_DATA));
  }
  std::vector<Message> Rest() override {
    std::vector<Message> out;
    while (code < 0) {
      Message message = Next();
      if (code < 0) {
        out.push_back(message);
      }
    }
    return out;
  }
  Message Next() override {
    std::string head = Exactly(10);
    std::string body =
        head.size() == 10
            ? Exactly((uint8_t)head[1] << 16 | (uint8_t)head[2] << 8 | (uint8_t)head[3])
            : "";
    if (head.size() < 10) {
      ADD_FAILURE() << "the connection ended";
      code = 1000;
    } else if (head[8] == 3 && head[9] == 0) {
      return MessageOf(body);
    } else if (head[8] == 3) {
      EXPECT_EQ(5, head[9]);
      EXPECT_EQ("", body);
      code = 0;
    } else {
      EXPECT_EQ(2, head[8]);
      Ttrpc__Response *response =
          ttrpc__response__unpack(nullptr, body.size(), (const uint8_t *)body.data());
      code = response->status->code;
      text = response->status->message;
      ttrpc__response__free_unpacked(response, nullptr);
    }
    return {};
  }

 private:
  std::string Exactly(size_t len) {
    std::string out(len, '\0');
    size_t at = 0;
    struct pollfd poll_fd = {client_.fd(), POLLIN, 0};
    while (at < len && poll(&poll_fd, 1, kPatienceMs) == 1) {
      ssize_t n = recv(client_.fd(), &out[at], len - at, 0);
      if (n <= 0) {
        break;
      }
      at += (size_t)n;
    }
    out.resize(at);
    return out;
  }
  Client client_;
};

struct Case {
  const char *protocol;
  const char *where;
};

class CallStream : public Rpc, public testing::WithParamInterface<Case> {
 protected:
  std::unique_ptr<Caller> Dial() {
    if (std::string(GetParam().protocol) == "grpc") {
      return std::make_unique<GrpcCaller>(Connect());
    }
    return std::make_unique<TtrpcCaller>(Connect());
  }
  static std::string At(const std::string &method) {
    return method + GetParam().where;
  }
  bool Parked(int num) {
    return Eventually([num] { return Load(&g_parked) == num; });
  }
  void TearDown() override {
    EXPECT_TRUE(Eventually([this] {
      const struct share *all = &server_->shares.all;
      return ceiling_used(&all->calls) == 0 && ceiling_used(&all->request_bytes) == 0 &&
             ceiling_used(&all->reply_bytes) == 0;
    }));
    EXPECT_EQ(0, Load(&g_parked));
    Rpc::TearDown();
  }
};

TEST_P(CallStream, DoAllMessagesOfTheServerComeInOrder) {
  for (int num : {0, 1, 2, 1000}) {
    auto caller = Dial();
    caller->Ask(At("Count"), Any(std::to_string(num), "value"));
    std::vector<Message> messages = caller->Rest();
    EXPECT_EQ(0, caller->code) << caller->text;
    ASSERT_EQ((size_t)num, messages.size());
    for (int i = 0; i < num; i++) {
      EXPECT_EQ(std::to_string(i), messages[(size_t)i].type_url);
      EXPECT_EQ("value", messages[(size_t)i].value);
    }
  }
}

TEST_P(CallStream, DoLargeMessagesComeWhole) {
  auto caller = Dial();
  std::string value(300000, 'v');
  caller->Ask(At("Count"), Any("40", value));
  std::vector<Message> messages = caller->Rest();
  EXPECT_EQ(0, caller->code) << caller->text;
  ASSERT_EQ(40u, messages.size());
  for (const Message &message : messages) {
    EXPECT_EQ(value, message.value);
  }
}

TEST_P(CallStream, IsEachMessageAnsweredAsItComes) {
  auto caller = Dial();
  caller->Open(At("Chat"));
  for (int i = 0; i < 100; i++) {
    caller->Send(Any(std::to_string(i)));
    EXPECT_EQ(std::to_string(i), caller->Next().type_url);
  }
  caller->HalfClose();
  EXPECT_TRUE(caller->Rest().empty());
  EXPECT_EQ(0, caller->code) << caller->text;
}

TEST_P(CallStream, AreManyMessagesAtOnceAllTaken) {
  auto caller = Dial();
  caller->Open(At("Sum"));
  for (int i = 0; i < 2000; i++) {
    caller->Send(i % 3 == 0 ? "" : Any("x"));
  }
  caller->HalfClose();
  std::vector<Message> messages = caller->Rest();
  ASSERT_EQ(1u, messages.size()) << caller->text;
  EXPECT_EQ("2000", messages[0].type_url);
  EXPECT_EQ(0, caller->code);
}

TEST_P(CallStream, MayAStreamBeEmpty) {
  auto caller = Dial();
  caller->Open(At("Sum"));
  caller->HalfClose();
  std::vector<Message> messages = caller->Rest();
  ASSERT_EQ(1u, messages.size());
  EXPECT_EQ("0", messages[0].type_url);
}

TEST_P(CallStream, DoesAFailureComeAfterWhatWasSent) {
  auto caller = Dial();
  caller->Open(At("Refuse"));
  caller->Send(Any("first"));
  caller->Send(Any("second"));
  std::vector<Message> messages = caller->Rest();
  ASSERT_EQ(1u, messages.size());
  EXPECT_EQ("first", messages[0].type_url);
  EXPECT_EQ(STATUS_NOT_FOUND, caller->code);
  EXPECT_EQ("no more of this", caller->text);
}

TEST_P(CallStream, IsAMessageThatIsNoneTheEnd) {
  auto caller = Dial();
  caller->Open(At("Sum"));
  caller->Send("\xff\xff");
  EXPECT_TRUE(caller->Rest().empty());
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, caller->code);
}

TEST_P(CallStream, IsAMessagePastTheLimitTheEnd) {
  limits_.frame_bytes = 10000;
  auto caller = Dial();
  caller->Open(At("Sum"));
  caller->Send(Any("", std::string(20000, 'x')));
  EXPECT_TRUE(caller->Rest().empty());
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, caller->code);
}

TEST_P(CallStream, DoesTheConnectionsEndTellTheHandler) {
  for (const char *method : {"Chat", "Sink", "Sum"}) {
    {
      auto caller = Dial();
      caller->Open(At(method));
      caller->Send(Any("x"));
      caller->Send(Any("y"));
      ASSERT_TRUE(Parked(1));
    }
    EXPECT_TRUE(Parked(0));
  }
  {
    auto caller = Dial();
    caller->Ask(At("Count"), Any("1000", std::string(100000, 'x')));
    ASSERT_TRUE(Parked(1));
  }
  EXPECT_TRUE(Parked(0));
}

// A client that does not read: the handler stops, and what waits has a bound.
TEST_P(CallStream, DoesAHandlerWaitForASlowClient) {
  auto caller = Dial();
  caller->Ask(At("Count"), Any("200", std::string(100000, 'v')));
  ASSERT_TRUE(Parked(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(1, Load(&g_parked));
  EXPECT_LT(ceiling_used(&server_->shares.all.reply_bytes), 2u << 20);
  EXPECT_EQ(200u, caller->Rest().size());
  EXPECT_EQ(0, caller->code) << caller->text;
}

// A handler that does not take: the client stops (gRPC), or is stopped.
TEST_P(CallStream, DoesASlowHandlerBoundWhatWaits) {
  auto caller = Dial();
  caller->Open(At("Sink"));
  std::string message = Any("", std::string(10000, 'x'));
  for (int i = 0; i < 300; i++) {
    caller->Send(message);
  }
  if (std::string(GetParam().protocol) == "ttrpc") {
    EXPECT_TRUE(caller->Rest().empty());
    EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, caller->code);
    return;
  }
  ASSERT_TRUE(Eventually([] { return Load(&g_ran) == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_LT(ceiling_used(&server_->shares.all.request_bytes), 1u << 20);
  GrpcCaller *grpc = static_cast<GrpcCaller *>(caller.get());
  EXPECT_FALSE(grpc->http2().At(grpc->id()).closed);
  grpc->http2().Reset(grpc->id());
  grpc->http2().Flush();
  EXPECT_TRUE(Parked(0));
}

// Else many calls would each hold as much as a message can have, past all limits.
TEST_P(CallStream, IsALargeMessageChargedWhileItIsHeld) {
  auto caller = Dial();
  std::string message = Any("", std::string(300000, 'x'));
  caller->Open("Held");
  for (int i = 0; i < 3; i++) {
    caller->Send(message);
    Message held = caller->Next();
    EXPECT_EQ("0", held.type_url);
    EXPECT_LE(message.size(), std::stoul(held.value));
  }
  caller->HalfClose();
  EXPECT_TRUE(caller->Rest().empty());
}

TEST_P(CallStream, MayItMoveWithItsFirstMessage) {
  for (int num : {0, 1, 3, 500}) {
    auto caller = Dial();
    caller->Open(At("MovingChat"));
    for (int i = 0; i <= num; i++) {
      caller->Send(Any(std::to_string(i)));
    }
    for (int i = 1; i <= num; i++) {
      ASSERT_EQ(std::to_string(i), caller->Next().type_url);
    }
    caller->HalfClose();
    EXPECT_TRUE(caller->Rest().empty());
    EXPECT_EQ(0, caller->code) << caller->text;
  }
}

TEST_P(CallStream, MayTheClientVanishWhileItMoves) {
  for (int i = 0; i < 100; i++) {
    auto caller = Dial();
    caller->Open(At("MovingChat"));
    if (i % 4 > 0) {
      caller->Send(Any("x"));
    }
    if (i % 4 == 2) {
      caller->Send("\xff\xff");
    }
    if (i % 4 == 3) {
      caller->HalfClose();
    }
  }
  EXPECT_TRUE(Parked(0));
}

TEST_P(CallStream, DoesTheEndOfServiceFollowACallThatMoves) {
  auto caller = Dial();
  caller->Open("MovingDrained");
  caller->Send(Any("first"));
  EXPECT_TRUE(caller->Rest().empty());
  EXPECT_EQ(0, caller->code) << caller->text;
  EXPECT_EQ(1, Load(&g_ran));
}

TEST_P(CallStream, IsAStreamOpenedForNoOther) {
  auto unary = Dial();
  unary->Open("Nope");
  unary->HalfClose();
  unary->Rest();
  EXPECT_EQ(STATUS_UNIMPLEMENTED, unary->code);
}

// Many calls of one connection, which ttrpc's caller here can't have; tests/e2e/streams_test.py has
// them.

class Many : public Rpc {};

// None is told of a limit that its neighbours have filled.
TEST_F(Many, DoAllCallsOfAConnectionTogetherFitItsQueue) {
  limits_.queued_bytes = 1 << 20;
  for (const char *method : {"Count", "CountAway"}) {
    Http2 http2(Connect());
    std::vector<int32_t> ids;
    std::string request = Prefixed(Any("300", std::string(700, 'v')));
    for (int i = 0; i < 60; i++) {
      ids.push_back(http2.Submit(CallFields(method), request));
    }
    http2.Flush();
    ASSERT_TRUE(Eventually([] { return Load(&g_parked) == 60; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_LT(ceiling_used(&server_->shares.all.reply_bytes), 1u << 20);
    for (int32_t id : ids) {
      EXPECT_EQ(0, http2.Await(id).Code()) << http2.At(id).Message();
    }
  }
}

// What only one of the protocols can do.

class Torn : public Rpc {};

TEST_F(Torn, IsAStreamThatEndsInMidMessageRefused) {
  Http2 http2(Connect());
  std::string whole = Prefixed(Any("message"));
  for (size_t len : {1u, 4u, 5u, 9u}) {
    for (const char *method : {"Sum", "SumAway"}) {
      int32_t id = http2.Submit(CallFields(method), whole + whole.substr(0, len));
      EXPECT_EQ(STATUS_INVALID_ARGUMENT, http2.Await(id).Code()) << len;
    }
  }
  EXPECT_TRUE(Eventually([] { return Load(&g_parked) == 0; }));
}

TEST_F(Torn, AreMessagesTornAnywhereTheSame) {
  Http2 http2(Connect());
  std::string all = Prefixed(Any("a")) + Prefixed("") + Prefixed(Any("", std::string(40000, 'x')));
  for (size_t step : {1u, 4u, 6u, 1000u}) {
    int32_t id = http2.Submit(CallFields("Sum"), "", false);
    size_t torn = step < 10 ? 60 : all.size();  // the large one goes at once
    for (size_t at = 0; at < torn; at += step) {
      http2.More(id, all.substr(at, std::min(step, torn - at)), false);
      http2.Flush();
    }
    http2.More(id, all.substr(torn), true);
    EXPECT_EQ("3", MessageOf(http2.Await(id).body.substr(5)).type_url) << step;
  }
}

TEST_F(Torn, MayTheLastFrameCarryAMessage) {
  Client client = Connect();
  client.Send(Frame(1, 1, Envelope({"Sum"}), FRAME_REMOTE_OPEN) + Frame(1, 3, Any("one")) +
              Frame(1, 3, Any("two"), FRAME_REMOTE_CLOSED));
  char head[10];
  ASSERT_EQ(10, recv(client.fd(), head, sizeof(head), MSG_WAITALL));
  EXPECT_EQ(3, head[8]);
  std::string body((size_t)head[3], '\0');
  ASSERT_EQ((ssize_t)body.size(), recv(client.fd(), &body[0], body.size(), MSG_WAITALL));
  EXPECT_EQ("2", MessageOf(body).type_url);
}

INSTANTIATE_TEST_SUITE_P(All, CallStream,
                         testing::Values(Case{"grpc", ""}, Case{"grpc", "Away"}, Case{"ttrpc", ""},
                                         Case{"ttrpc", "Away"}),
                         [](const testing::TestParamInfo<Case> &info) {
                           return std::string(info.param.protocol) + info.param.where;
                         });

}  // namespace
