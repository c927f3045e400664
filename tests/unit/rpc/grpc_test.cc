// The session: hello and goodbye, what peers may not do, and how often.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "tests/unit/rpc/grpc_fixture.h"

namespace {

std::string Repeated(const std::string &frame, int times) {
  std::string out;
  for (int i = 0; i < times; i++) {
    out += frame;
  }
  return out;
}

class Grpc : public Rpc {
 protected:
  bool Parked(int num) {
    return Eventually([num] { return Load(&g_parked) == num; });
  }

  // A peer of bytes alone that has said hello.
  Client Raw() {
    Client client = Connect();
    client.Send(kPreface + FrameOf(NGHTTP2_SETTINGS, 0, 0, ""));
    return client;
  }

  // What comes until the end.
  static std::string Everything(Client &client) {
    std::string all;
    char data[65536];
    struct pollfd poll_fd = {client.fd(), POLLIN, 0};
    for (ssize_t n = 1; n > 0;) {
      n = poll(&poll_fd, 1, kPatienceMs) == 1 ? recv(client.fd(), data, sizeof(data), 0) : -1;
      all.append(data, n > 0 ? (size_t)n : 0);
    }
    return all;
  }

  // What the last GOAWAY in it says, or -1.
  static int64_t LastGoaway(const std::string &all) {
    int64_t word = -1;
    for (size_t at = 0; at + 9 <= all.size();) {
      const uint8_t *head = (const uint8_t *)all.data() + at;
      if (head[3] == NGHTTP2_GOAWAY && at + 17 <= all.size()) {
        word = head[16];
      }
      at += 9 + ((size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2]);
    }
    return word;
  }
  static int64_t LastWord(Client &client) {
    return LastGoaway(Everything(client));
  }

  // The peer said too much: it is told to calm down, and closed; others are served.
  void ExpectCalmed(Client &client, uint64_t floods_before) {
    EXPECT_EQ(NGHTTP2_ENHANCE_YOUR_CALM, LastWord(client));
    EXPECT_EQ(floods_before + 1, counter_read(COUNTER_floods));
    Http2 other(Connect());
    EXPECT_EQ(0, other.Call({"Echo", Any("")}).Code());
  }
};

// ---------------------------------------------------------------------------------------------
// Beginning

TEST_F(Grpc, DoesItSayWhatAPeerMayDo) {
  uint64_t before = counter_read(COUNTER_connections_grpc);
  limits_.calls_per_connection = 7;
  Http2 http2(Connect());
  EXPECT_EQ(0, http2.Call({"Echo", Any("")}).Code());
  EXPECT_EQ(7u, http2.settings[NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS]);
  EXPECT_GE(http2.settings[NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE], 65536u + 5);
  EXPECT_EQ(1u, http2.settings[NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES]);
  EXPECT_EQ(before + 1, counter_read(COUNTER_connections_grpc));
}

TEST_F(Grpc, IsAPrefaceThatGoesWrongAtAnyByteClosed) {
  uint64_t before = counter_read(COUNTER_frames_malformed);
  std::string preface = kPreface;
  for (size_t at = 1; at < preface.size(); at++) {
    Client client = Connect();
    client.Send(preface.substr(0, at) + "x");
    EXPECT_TRUE(client.AtEnd()) << at;
  }
  EXPECT_EQ(before + preface.size() - 1, counter_read(COUNTER_frames_malformed));
}

TEST_F(Grpc, IsAPeerThatNeverSaysHelloWaitedForOnlySoLong) {
  limits_.request_millis = 100;
  std::string preface = kPreface;
  for (size_t len : {1u, 4u, 23u, 24u}) {
    Client slow = Connect();
    slow.Send(preface.substr(0, len));
    EXPECT_TRUE(slow.AtEnd());
  }
  EXPECT_TRUE(AllGone());
}

TEST_F(Grpc, MayASessionThatOwesNothingStay) {
  limits_.request_millis = 100;
  Http2 idle(Connect());
  EXPECT_EQ(0, idle.Call({"Echo", Any("")}).Code());
  Client slow = Connect();
  slow.Send("P");
  EXPECT_TRUE(slow.AtEnd());  // an idle one's time was over as well
  EXPECT_EQ(0, idle.Call({"Echo", Any("")}).Code());
}

TEST_F(Grpc, IsAHeaderBlockThatNeverEndsWaitedForOnlySoLong) {
  limits_.request_millis = 100;
  Http2 http2(Connect());
  http2.Send(http2.Pending() + FrameOf(NGHTTP2_HEADERS, 0, 1, "\x83\x86"));
  EXPECT_TRUE(http2.AtEnd());
}

TEST_F(Grpc, IsARefusedConnectionToldByItsFirstCall) {
  limits_.connections = 1;
  Http2 one(Connect());
  EXPECT_EQ(0, one.Call({"Echo", Any("")}).Code());
  Http2 two(Connect());
  const Stream &stream = two.Call({"Echo", Any("")});
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, stream.Code());
  EXPECT_NE(std::string::npos, stream.Message().find("limit \"connections\" (1)"));
  EXPECT_TRUE(two.AtEnd());
  EXPECT_EQ(0, one.Call({"Echo", Any("")}).Code());
}

// More than are listened to: each hears it in the protocol that it has begun to speak.
TEST_F(Grpc, IsARefusedConnectionToldUnaskedInItsOwnProtocol) {
  limits_.connections = 1;
  num_workers_ = 1;
  Open();
  std::vector<Client> others;
  for (int i = 0; i < 1 + REFUSED_MAX; i++) {
    others.emplace_back(path_);
  }
  Client http2(path_);
  Client silent(path_);
  Client token(path_);
  token.Send("TOKEN get 0123456789abcdef0123456789abcdef\n");
  http2.Send(kPreface + FrameOf(NGHTTP2_SETTINGS, 0, 0, ""));
  Start();
  std::string all = Everything(http2);
  EXPECT_EQ(FrameOf(NGHTTP2_SETTINGS, 0, 0, ""), all.substr(0, 9));
  EXPECT_EQ(NGHTTP2_ENHANCE_YOUR_CALM, LastGoaway(all));
  EXPECT_NE(std::string::npos, all.find("limit \"connections\" (1) is reached"));
  std::unique_ptr<Answer> answer = silent.Receive();
  ASSERT_NE(nullptr, answer);
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, answer->code);
  EXPECT_EQ(0u, Everything(token).find("ERR limit \"connections\" (1) is reached"));
}

// ---------------------------------------------------------------------------------------------
// Descriptors

TEST_F(Grpc, AreDescriptorsThatComeClosed) {
  Start();
  Http2 http2(Connect());
  EXPECT_EQ(0, http2.Call({"Echo", Any("")}).Code());
  size_t open = NumOpenFds();
  for (int i = 0; i < 10; i++) {
    int32_t id = http2.SubmitCall({"LeaveFds", Any("")});
    int fd = FileWith("unwanted");
    http2.Send(http2.Pending(), {fd, fd});
    close(fd);
    EXPECT_EQ("0", http2.Await(id).TypeUrl());
  }
  EXPECT_TRUE(Eventually([open] { return NumOpenFds() == open; }));
  EXPECT_EQ(0u, ceiling_used(&server_->shares.all.descriptors));
}

// ---------------------------------------------------------------------------------------------
// Floods

TEST_F(Grpc, IsARapidResetCalmed) {
  uint64_t floods = counter_read(COUNTER_floods);
  Http2 http2(Connect());
  for (int i = 0; i < 3000 && http2.goaways.empty(); i++) {
    int32_t id = http2.SubmitCall({"Park", Any("")});
    http2.Flush();
    http2.Reset(id);
    http2.PumpSome();
  }
  EXPECT_TRUE(http2.AtEnd());
  ASSERT_FALSE(http2.goaways.empty());
  EXPECT_EQ((uint32_t)NGHTTP2_ENHANCE_YOUR_CALM, http2.goaways.back().second);
  EXPECT_EQ(floods + 1, counter_read(COUNTER_floods));
  EXPECT_TRUE(Parked(0));
  EXPECT_TRUE(AllGone());
}

TEST_F(Grpc, IsWhoeverCancelsNowAndThenServed) {
  Http2 http2(Connect());
  for (int i = 0; i < 1000; i++) {
    int32_t id = http2.SubmitCall({"Park", Any("")});
    EXPECT_EQ(0, http2.Call({"Echo", Any("")}).Code());
    http2.Reset(id);
  }
  EXPECT_TRUE(http2.goaways.empty());
  EXPECT_TRUE(Eventually([&] {
    http2.Flush();
    return Load(&g_parked) == 0;
  }));
}

TEST_F(Grpc, AreFloodsOfWhatCostsOnlyCalmed) {
  Start();
  const std::string floods[] = {
      FrameOf(NGHTTP2_PING, 0, 0, "12345678"),
      FrameOf(NGHTTP2_SETTINGS, 0, 0, ""),
      FrameOf(NGHTTP2_PRIORITY, 0, 1, std::string("\0\0\0\0\x10", 5)),
  };
  for (const std::string &frame : floods) {
    uint64_t before = counter_read(COUNTER_floods);
    Client client = Raw();
    SCOPED_TRACE((int)(uint8_t)frame[3]);
    std::thread flood([&] { client.Send(Repeated(frame, 20000)); });
    ExpectCalmed(client, before);
    flood.join();
  }
}

TEST_F(Grpc, IsAFloodOfEmptyDataCalmed) {
  uint64_t before = counter_read(COUNTER_floods);
  Http2 http2(Connect());
  int32_t id = http2.Submit(CallFields("Echo"), "", false);
  http2.Send(http2.Pending() + Repeated(FrameOf(NGHTTP2_DATA, 0, (uint32_t)id, ""), 10000));
  EXPECT_TRUE(http2.AtEnd());
  ASSERT_FALSE(http2.goaways.empty());
  EXPECT_EQ((uint32_t)NGHTTP2_ENHANCE_YOUR_CALM, http2.goaways.back().second);
  EXPECT_EQ(before + 1, counter_read(COUNTER_floods));
}

TEST_F(Grpc, IsAFloodOfContinuationsClosed) {
  Http2 http2(Connect());
  http2.Send(http2.Pending() + FrameOf(NGHTTP2_HEADERS, 0, 1, "\x83\x86") +
             Repeated(FrameOf(NGHTTP2_CONTINUATION, 0, 1, ""), 10000));
  EXPECT_TRUE(http2.AtEnd());
  EXPECT_TRUE(AllGone());
}

TEST_F(Grpc, ArePingsAnswered) {
  Http2 http2(Connect());
  for (int i = 0; i < 50; i++) {
    nghttp2_submit_ping(http2.session(), NGHTTP2_FLAG_NONE, nullptr);
  }
  while (http2.num_pongs < 50 && http2.Pump()) {
  }
  EXPECT_EQ(50, http2.num_pongs);
}

TEST_F(Grpc, IsAnAnswerToAPingThatNobodySentIgnored) {
  Http2 http2(Connect());
  EXPECT_EQ(0, http2.Call({"Echo", Any("")}).Code());
  http2.Send(FrameOf(NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "12345678"));
  EXPECT_EQ(0, http2.Call({"Echo", Any("")}).Code());
  EXPECT_TRUE(http2.goaways.empty());
}

TEST_F(Grpc, AreMoreStreamsThanMayBeRefused) {
  limits_.calls_per_connection = 4;
  Http2 http2(Connect());
  EXPECT_EQ(0, http2.Call({"Echo", Any("")}).Code());
  // A peer that minds no settings.
  std::string all;
  for (uint32_t id = 101; id < 301; id += 2) {
    all += FrameOf(NGHTTP2_HEADERS, 4, id, "\x83\x86");
  }
  http2.Send(all);
  EXPECT_TRUE(http2.AtEnd());
  EXPECT_TRUE(AllGone());
}

// What breaks the rules ends the connection, and nothing else.
TEST_F(Grpc, IsGarbageClosed) {
  Http2 good(Connect());
  EXPECT_EQ(0, good.Call({"Echo", Any("")}).Code());
  const std::string garbage[] = {
      std::string(100, '\xff'),
      FrameOf(NGHTTP2_DATA, 0, 0, "for no stream"),
      FrameOf(NGHTTP2_HEADERS, 4, 2, "\x83\x86"),
      FrameOf(NGHTTP2_HEADERS, 4, 1, "\xff\xff\xff\xff\xff\xff\xff\xff"),
      FrameOf(NGHTTP2_PING, 0, 0, "short"),
      FrameOf(NGHTTP2_WINDOW_UPDATE, 0, 0, std::string("\x7f\xff\xff\xff", 4)),
      FrameOf(NGHTTP2_CONTINUATION, 4, 1, ""),
      FrameOf(NGHTTP2_PUSH_PROMISE, 4, 1, std::string(4, '\0')),
  };
  for (const std::string &bytes : garbage) {
    Http2 http2(Connect());
    http2.Send(http2.Pending() + bytes);
    EXPECT_TRUE(http2.AtEnd());
  }
  EXPECT_EQ(0, good.Call({"Echo", Any("")}).Code());
}

// ---------------------------------------------------------------------------------------------
// The end

TEST_F(Grpc, IsADrainSaidInTwoStepsAndCallsInFlightFinish) {
  Http2 http2(Connect());
  int32_t parked = http2.SubmitCall({"Deaf", Any("300")});
  http2.Flush();
  ASSERT_TRUE(Parked(1));
  std::thread drain([this] {
    EXPECT_EQ(0u, rpc_server_drain(server_, clock_add(clock_now(), 20 * NANOS_PER_SECOND)));
  });
  while (http2.goaways.empty() && http2.Pump()) {
  }
  ASSERT_EQ(1u, http2.goaways.size());
  EXPECT_EQ(INT32_MAX, http2.goaways[0].first);
  EXPECT_EQ("rested", http2.Await(parked).TypeUrl());
  EXPECT_TRUE(http2.AtEnd());
  drain.join();
  ASSERT_EQ(2u, http2.goaways.size());
  EXPECT_EQ(parked, http2.goaways[1].first);
  EXPECT_EQ((uint32_t)NGHTTP2_NO_ERROR, http2.goaways[1].second);
}

TEST_F(Grpc, IsACallThatCrossedTheNoticeToldThatTheDaemonStops) {
  Http2 http2(Connect());
  while (http2.settings.empty()) {
    ASSERT_TRUE(http2.Pump());
  }
  int32_t parked = http2.SubmitCall({"Deaf", Any("300")});
  http2.Flush();
  ASSERT_TRUE(Parked(1));
  EXPECT_EQ(0,
            http2.Call({"Echo", Any("")}).Code());  // all else that the daemon had to say has come
  std::thread drain([this] {
    EXPECT_EQ(0u, rpc_server_drain(server_, clock_add(clock_now(), 20 * NANOS_PER_SECOND)));
  });
  struct pollfd notice = {http2.fd(), POLLIN, 0};
  ASSERT_EQ(1, poll(&notice, 1, kPatienceMs));  // it has come, and is not looked at yet
  EXPECT_EQ(STATUS_UNAVAILABLE, http2.Call({"Echo", Any("")}).Code());
  EXPECT_EQ("rested", http2.Await(parked).TypeUrl());
  drain.join();
}

TEST_F(Grpc, IsAPeerThatSaysGoodbyeLetGo) {
  Http2 http2(Connect());
  EXPECT_EQ(0, http2.Call({"Echo", Any("")}).Code());
  nghttp2_session_terminate_session(http2.session(), NGHTTP2_NO_ERROR);
  EXPECT_TRUE(http2.AtEnd());
  EXPECT_TRUE(AllGone());
}

TEST_F(Grpc, DoConnectionsThatComeAndGoLeaveNothing) {
  Start();
  size_t open = NumOpenFds();
  for (int i = 0; i < 100; i++) {
    Http2 http2(Connect());
    if (i % 3 != 0) {
      EXPECT_EQ(0, http2.Call({"Echo", Any("")}).Code());
    }
    if (i % 3 == 1) {
      http2.SubmitCall({i % 2 == 0 ? "Park" : "ParkAway", Any("")});
      http2.Flush();
    }
  }
  EXPECT_TRUE(AllGone());
  EXPECT_TRUE(Eventually([open] { return NumOpenFds() <= open; }));
}

// What the memory plan says of a connection holds.
TEST_F(Grpc, DoesASessionFitItsMemory) {
  Http2 http2(Connect());
  for (int i = 0; i < 64; i++) {
    http2.Submit(CallFields("Echo", {{"x", std::string(6000, 'x')}}),
                 Prefixed(std::string(1000, 'x')).substr(0, 500), false);
  }
  EXPECT_EQ(0, http2.Pump() ? 0 : 1);
  http2.Flush();
  EXPECT_EQ(0u, http2.goaways.size());
  http2.Reset(1);
  EXPECT_EQ(0, http2.Call({"Echo", Any("")}).Code());
}

}  // namespace
