// One peer's socket: who is let in, who is told why not, and what its end takes along.
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "server/ring/closer.h"
#include "tests/support/bomb.h"
#include "tests/unit/rpc/rpc_fixture.h"

namespace {

class Connection : public Rpc {
 protected:
  bool Parked(int num) {
    return Eventually([num] { return Load(&g_parked) == num; });
  }

  void ExpectRefused(Client &client, const std::string &limit, int value) {
    Answer answer = client.Call(1, {"Echo"});
    EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, answer.code);
    EXPECT_NE(std::string::npos,
              answer.message.find("limit \"" + limit + "\" (" + std::to_string(value) + ")"))
        << answer.message;
    EXPECT_TRUE(client.AtEnd());
  }

  static void ExpectServed(Client &client, uint32_t id = 1) {
    EXPECT_EQ(0, client.Call(id, {"Echo"}).code);
  }
};

// ---------------------------------------------------------------------------------------------
// Past a limit

TEST_F(Connection, IsOnePastTheDaemonsLimitToldSoAndClosed) {
  limits_.connections = 2;
  limits_.connections_per_owner = 2;
  Client one = Connect();
  Client two = Connect();
  ExpectServed(one);
  ExpectServed(two);
  Client three = Connect();
  ExpectRefused(three, "connections_per_owner", 2);
  ExpectServed(one, 3);
  ExpectServed(two, 3);
}

TEST_F(Connection, IsTheDaemonsLimitNamedWhenItIsThatOne) {
  limits_.connections = 1;
  Client one = Connect();
  ExpectServed(one);
  Client two = Connect();
  ExpectRefused(two, "connections", 1);
}

TEST_F(Connection, IsThereRoomAgainWhenOneHasGone) {
  limits_.connections = 1;
  {
    Client one = Connect();
    ExpectServed(one);
    Client two = Connect();
    ExpectRefused(two, "connections", 1);
  }
  ASSERT_TRUE(AllGone());
  Client three = Connect();
  ExpectServed(three);
}

TEST_F(Connection, AreManyPastTheLimitAllTold) {
  limits_.connections = 1;
  Client one = Connect();
  ExpectServed(one);
  std::vector<Client> many;
  for (int i = 0; i < 100; i++) {
    many.push_back(Connect());  // more than a worker listens to at a time
  }
  for (Client &client : many) {
    client.Send(RequestFrame(1, {"Echo"}));
    std::unique_ptr<Answer> answer = client.Receive();
    ASSERT_NE(nullptr, answer);
    EXPECT_EQ(1u, answer->stream_id);
    EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, answer->code);
    EXPECT_TRUE(client.AtEnd());
  }
  ExpectServed(one, 3);
}

// ---------------------------------------------------------------------------------------------
// Strangers

TEST_F(Connection, IsOneThatSpeaksNeitherProtocolClosed) {
  uint64_t before = counter_read(COUNTER_frames_malformed);
  Client good = Connect();
  for (const char *hello : {"POST / HTTP/1.1\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "\x16\x03\x01"}) {
    Client client = Connect();
    client.Send(hello);
    EXPECT_TRUE(client.AtEnd());
  }
  EXPECT_EQ(before + 3, counter_read(COUNTER_frames_malformed));
  ExpectServed(good);
}

TEST_F(Connection, IsOneThatStopsSpeakingItClosed) {
  Client client = Connect();
  ExpectServed(client);
  client.Send(RequestFrame(3, {"Park"}));
  ASSERT_TRUE(Parked(1));
  client.Send("\x01garbage");
  EXPECT_TRUE(client.AtEnd());
  EXPECT_TRUE(Parked(0));
}

TEST_F(Connection, AreAnswersGivenBeforeTheGarbageLost) {
  // They may be: a peer that breaks the protocol is owed nothing. But nobody crashes.
  Client client = Connect();
  client.Send(RequestFrame(1, {"Echo"}) + RequestFrame(3, {"Away"}) + "\xff");
  EXPECT_TRUE(client.AtEnd());
  EXPECT_TRUE(AllGone());
}

// ---------------------------------------------------------------------------------------------
// The end

TEST_F(Connection, AreAnswersGivenBeforeTheEndStillSent) {
  Client client = Connect();
  client.Send(RequestFrame(1, {"Big", Any("1000000")}) + RequestFrame(3, {"Echo", Any("last")}));
  ASSERT_EQ(0, shutdown(client.fd(), SHUT_WR));
  std::unique_ptr<Answer> answer = client.Receive();
  ASSERT_NE(nullptr, answer);
  EXPECT_EQ(1000000u, answer->value.size());
  answer = client.Receive();
  ASSERT_NE(nullptr, answer);
  EXPECT_EQ("last", answer->type_url);
  EXPECT_EQ(nullptr, client.Receive());
  EXPECT_TRUE(AllGone());
}

TEST_F(Connection, DoesTheEndCancelWhatIsStillInFlight) {
  Client client = Connect();
  client.Send(RequestFrame(1, {"Park"}) + RequestFrame(3, {"ParkAway"}));
  ASSERT_TRUE(Parked(2));
  ASSERT_EQ(0, shutdown(client.fd(), SHUT_WR));
  EXPECT_TRUE(Parked(0));
  EXPECT_TRUE(client.AtEnd());
  EXPECT_TRUE(AllGone());
}

TEST_F(Connection, IsOneThatEndsInMidFrameForgotten) {
  Client good = Connect();
  ExpectServed(good);
  std::string frame = RequestFrame(1, {"Echo", Any("", std::string(100000, 'x'))});
  for (size_t len : {1u, 9u, 10u, 11u, 50000u, 100000u}) {
    Client client = Connect();
    client.Send(frame.substr(0, len));
  }
  EXPECT_TRUE(Eventually([this] { return Connections() == 1; }));
  EXPECT_EQ(0u, ceiling_used(&server_->shares.all.request_bytes));
  ExpectServed(good, 3);
}

TEST_F(Connection, DoesOneThatWaitsInMidFrameDisturbNobody) {
  Client slow = Connect();
  slow.Send(RequestFrame(1, {"Echo", Any("", std::string(100000, 'x'))}).substr(0, 500));
  Client good = Connect();
  for (uint32_t id = 1; id < 100; id += 2) {
    ExpectServed(good, id);
  }
}

// ---------------------------------------------------------------------------------------------
// Patience

TEST_F(Connection, IsAFrameThatNeverEndsWaitedForOnlySoLong) {
  limits_.request_millis = 100;
  uint64_t before = counter_read(COUNTER_requests_unfinished);
  std::string frame = RequestFrame(1, {"Echo", Any("", std::string(1000, 'x'))});
  for (size_t len : {1u, 9u, 10u, 500u}) {
    Client slow = Connect();
    slow.Send(frame.substr(0, len));
    EXPECT_TRUE(slow.AtEnd());
  }
  EXPECT_EQ(before + 4, counter_read(COUNTER_requests_unfinished));
  EXPECT_TRUE(AllGone());
}

TEST_F(Connection, MayAConnectionThatOwesNothingStayForever) {
  limits_.request_millis = 100;
  Client silent = Connect();
  Client idle = Connect();
  ExpectServed(idle);
  Client slow = Connect();
  slow.Send(std::string(1, '\0'));
  EXPECT_TRUE(slow.AtEnd());  // others' time was over as well
  ExpectServed(silent);
  ExpectServed(idle, 3);
}

TEST_F(Connection, HasEachFrameATimeOfItsOwn) {
  limits_.request_millis = 500;
  Client client = Connect();
  std::string all;
  for (uint32_t id = 1; id < 41; id += 2) {
    all += RequestFrame(id, {"Echo", Any("", std::string(100, 'x'))});
  }
  // Always in the middle of one, for longer than one may take.
  size_t step = all.size() / 39;
  for (size_t at = 0; at < all.size(); at += step) {
    client.Send(all.substr(at, step));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  for (uint32_t id = 1; id < 41; id += 2) {
    std::unique_ptr<Answer> answer = client.Receive();
    ASSERT_NE(nullptr, answer);
    EXPECT_EQ(id, answer->stream_id);
  }
}

TEST_F(Connection, DoConnectionsThatComeAndGoLeaveNothing) {
  Start();
  size_t open = NumOpenFds();
  for (int i = 0; i < 200; i++) {
    Client client = Connect();
    if (i % 3 != 0) {
      ExpectServed(client);
    }
    if (i % 3 == 1) {
      client.Send(RequestFrame(3, {i % 2 == 0 ? "Park" : "ParkAway"}));
    }
  }
  EXPECT_TRUE(AllGone());
  EXPECT_TRUE(Eventually([open] { return NumOpenFds() <= open; }));
}

TEST_F(Connection, IsWhoeverMakesClosesHangGivenNothingMoreToClose) {
  Client quiet = Connect();
  Client sends = Connect();
  ExpectServed(quiet);
  ExpectServed(sends);
  Bomb bomb;
  closer_close(getuid(), bomb.Release());
  for (int i = 0; i < CLOSER_HANGING_MAX; i++) {
    closer_close(getuid(), dup(STDERR_FILENO));
  }
  ASSERT_TRUE(Eventually([] { return closer_behind(getuid()); }));
  size_t pending = closer_pending(getuid());
  for (int i = 0; i < 50; i++) {
    Client refused = Connect();
    refused.SendSome(std::string(10000, 'x'));
    EXPECT_TRUE(refused.AtEnd());
  }
  EXPECT_EQ(pending, closer_pending(getuid()));
  sends.Send(RequestFrame(3, {"Echo"}), {STDERR_FILENO});
  EXPECT_TRUE(sends.AtEnd());
  EXPECT_LE(closer_pending(getuid()), pending + 2);
  ExpectServed(quiet, 3);
  bomb.Defuse();
  EXPECT_TRUE(Eventually([] { return closer_pending(getuid()) == 0; }));
  Client late = Connect();
  ExpectServed(late);
}

TEST_F(Connection, DoManyAtOnceGetWhatTheyAskFor) {
  Start();
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; t++) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 20; i++) {
        Client client = Connect();
        std::string text = std::to_string(t) + "." + std::to_string(i);
        EXPECT_EQ(text, client.Call(1, {"Echo", Any(text)}).type_url);
        EXPECT_EQ(text, client.Call(3, {"Away", Any(text)}).type_url);
      }
    });
  }
  for (std::thread &thread : threads) {
    thread.join();
  }
  EXPECT_TRUE(AllGone());
}

}  // namespace
