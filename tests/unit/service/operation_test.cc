// One call on a session, from its request to its answer, and every way that it can be cut short.
#include "server/service/operation.h"

#include <unistd.h>

#include <random>
#include <thread>

#include "tests/unit/service/harness.h"

namespace {

constexpr auto kDone = TLSAGENT__V1__STATE__STATE_DONE;
constexpr auto kWantRead = TLSAGENT__V1__STATE__STATE_WANT_READ;
constexpr auto kFailed = TLSAGENT__V1__STATE__STATE_FAILED;

How Within(int milliseconds) {
  How how;
  how.timeout_nano = milliseconds * 1000000ll;
  return how;
}

// Every question to a session of the client's own worker and of the other one.
class Operations : public Sessions, public testing::WithParamInterface<int> {
 protected:
  void SetUp() override {
    Sessions::SetUp();
    for (int i = 0; i < GetParam(); i++) {
      OpenInMemory();  // sessions go where there are fewest
    }
  }
  int CancelCall(uint32_t id) {
    auto request = New<V1(CancelRequest)>();
    request.stream_id = id;
    return client_->Call(request)->found;
  }
  bool NothingLeft() {
    return Eventually([this] { return LivingSessions() == 0 && CountedSessions() == 0; });
  }
};
INSTANTIATE_TEST_SUITE_P(Operation, Operations, testing::Values(0, 1));

TEST_P(Operations, DoesADeadlineLeaveTheSessionUsableAndLoseNothing) {
  uint64_t session = OpenOnFd();
  uint32_t id = StartRead(*client_, session, Within(20));
  EXPECT_EQ(STATUS_DEADLINE_EXCEEDED, client_->Finish<V1(ReadRequest)>(id).code);
  peer_write(peer_.get(), "kept", 4);
  EXPECT_EQ("kept", Text(Read(session)->data));
}

// Deadlines that fall anywhere: whatever a Read does not give, the next one has.
TEST_P(Operations, DoDeadlinesThatRaceTheDataLoseNothing) {
  uint64_t session = OpenOnFd();
  const std::string data = Pattern(200 * 1000);
  std::thread writer([&] {
    for (size_t at = 0; at < data.size(); at += 1000) {
      peer_write(peer_.get(), data.data() + at, 1000);
      usleep(at % 7 * 50);
    }
  });
  std::string heard;
  int expired = 0;
  for (int i = 0; heard.size() < data.size() && i < 100000; i++) {
    How how;
    how.timeout_nano = 1000 + i % 50 * 5000;
    auto reply = client_->Finish<V1(ReadRequest)>(StartRead(*client_, session, how));
    ASSERT_TRUE(reply.code == 0 || reply.code == STATUS_DEADLINE_EXCEEDED) << reply.message;
    heard += Text(reply->data);
    expired += reply.code != 0;
  }
  writer.join();
  EXPECT_GT(expired, 0);
  EXPECT_TRUE(heard == data);
}

TEST_P(Operations, DoesACancelledReadLoseNothing) {
  uint64_t session = OpenOnFd();
  uint32_t id = StartRead(*client_, session);
  EXPECT_TRUE(client_->Pending(id));
  EXPECT_TRUE(CancelCall(id));
  EXPECT_EQ(STATUS_CANCELLED, client_->Finish<V1(ReadRequest)>(id).code);
  EXPECT_FALSE(CancelCall(id));
  peer_write(peer_.get(), "kept", 4);
  EXPECT_EQ("kept", Text(Read(session)->data));
}

TEST_P(Operations, DoesACancelReachOneThatWaitsInLine) {
  uint64_t session = OpenOnFd();
  uint32_t first = StartRead(*client_, session);
  uint32_t second = StartRead(*client_, session);
  uint32_t third = StartRead(*client_, session);
  EXPECT_TRUE(client_->Pending(third));
  EXPECT_TRUE(CancelCall(second));
  EXPECT_EQ(STATUS_CANCELLED, client_->Finish<V1(ReadRequest)>(second).code);
  peer_write(peer_.get(), "one", 3);
  EXPECT_EQ("one", Text(client_->Finish<V1(ReadRequest)>(first)->data));
  peer_write(peer_.get(), "two", 3);
  EXPECT_EQ("two", Text(client_->Finish<V1(ReadRequest)>(third)->data));
}

TEST_P(Operations, CanAWriteBeCancelledWhileNobodyReads) {
  uint64_t session = OpenOnFd();
  auto write = New<V1(WriteRequest)>();
  std::string data(2 << 20, 'a');
  write.session = session;
  write.data = Binary(data);
  uint32_t id = client_->Start(write);
  EXPECT_TRUE(client_->Pending(id, 50));
  EXPECT_TRUE(CancelCall(id));
  EXPECT_EQ(STATUS_CANCELLED, client_->Finish<V1(WriteRequest)>(id).code);
  // What had been sent arrives, then what is written next.
  data = "end";
  write.data = Binary(data);
  id = client_->Start(write);
  std::string heard;
  while (heard.find("end") == std::string::npos) {
    std::string more = ReadPeer(peer_, 1);
    ASSERT_NE("", more);
    heard += more;
  }
  EXPECT_EQ(std::string(heard.size() - 3, 'a') + "end", heard);
  EXPECT_EQ(kDone, client_->Finish<V1(WriteRequest)>(id)->progress->state);
}

TEST_P(Operations, DoesAClientThatVanishesTakeItsSessionsAlong) {
  uint64_t session = OpenOnFd();
  StartRead(*client_, session);
  auto write = New<V1(WriteRequest)>();
  std::string data(1 << 20, 'a');
  write.session = session;
  write.data = Binary(data);
  client_->Start(write);
  client_->Disconnect();
  EXPECT_TRUE(SeesEnd(peer_fd(peer_.get())));
  EXPECT_TRUE(NothingLeft());
}

TEST_P(Operations, DoesCloseEndWhatWaits) {
  uint64_t session = OpenOnFd();
  uint32_t read = StartRead(*client_, session);
  EXPECT_TRUE(client_->Pending(read));
  EXPECT_EQ(0, Close(session));
  auto reply = client_->Finish<V1(ReadRequest)>(read);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(kFailed, reply->progress->state);
  EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_CLOSED_HERE, reply->progress->error->kind);
}

TEST_P(Operations, IsAnothersSessionNotFound) {
  uint64_t session = OpenOnFd();
  Client other = Connect();
  auto reply = other.Finish<V1(ReadRequest)>(StartRead(other, session));
  EXPECT_EQ(STATUS_NOT_FOUND, reply.code);
  auto close = New<V1(CloseSessionRequest)>();
  close.session = session;
  EXPECT_EQ(STATUS_NOT_FOUND, other.Call(close).code);
  EXPECT_EQ(kDone, Write(session, "mine")->progress->state);
}

TEST_P(Operations, IsAContextsHandleNoSession) {
  EXPECT_EQ(STATUS_NOT_FOUND, Read(client_context_).code);
  EXPECT_EQ(STATUS_NOT_FOUND, Read(0).code);
  EXPECT_EQ(STATUS_NOT_FOUND, Read(UINT64_MAX).code);
}

TEST_P(Operations, IsFeedForTheMemoryPathOnly) {
  uint64_t session = OpenOnFd();
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Read(session, "ciphertext").code);
  Feed eof("", true);
  auto request = New<V1(ReadRequest)>();
  request.session = session;
  request.feed = eof.get();
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_->Call(request).code);
  EXPECT_EQ(kDone, Write(session, "still fine")->progress->state);
}

TEST_P(Operations, IsAWaitForTheSocketPathOnly) {
  uint64_t session = OpenInMemory();
  Wait wait(60000);
  auto request = New<V1(ReadRequest)>();
  request.session = session;
  request.wait = wait.get();
  EXPECT_EQ(kWantRead, client_->Call(request)->progress->state) << "in memory nothing waits";
}

TEST_P(Operations, IsEachFailuresReasonItsOwn) {
  uint64_t session = OpenOnFd();
  peer_.reset();
  auto write = Write(session, "to nobody");
  EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_OS, write->progress->error->kind);
  auto read = Read(session);
  EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_TRUNCATED, read->progress->error->kind);
  EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_OS, Describe(session)->error->kind);
}

TEST_P(Operations, DoesAReadWhoseWaitRanOutAnswerWithWhatItWants) {
  uint64_t session = OpenOnFd();
  for (uint32_t milliseconds : {0u, 1u, 30u}) {
    Wait wait(milliseconds);
    auto request = New<V1(ReadRequest)>();
    request.session = session;
    request.wait = wait.get();
    auto reply = client_->Call(request);
    EXPECT_EQ(0, reply.code);
    EXPECT_EQ(kWantRead, reply->progress->state);
    EXPECT_EQ(nullptr, reply->progress->error);
  }
}

// ---------------------------------------------------------------------------------------------

// Clients that open, use, cancel and drop sessions as they please, on all workers at once.
class Storm : public Sessions {
 protected:
  static void Play(Client client, uint64_t context, int seed, int rounds);
};

void ReadSome(Client &client, uint64_t session, std::mt19937 &random) {
  Wait wait(random() % 3);
  auto read = New<V1(ReadRequest)>();
  read.session = session;
  read.wait = random() % 2 == 0 ? wait.get() : nullptr;
  uint32_t id = client.Start(read, Within(1 + (int)(random() % 5)));
  if (random() % 2 == 0) {
    auto cancel = New<V1(CancelRequest)>();
    cancel.stream_id = id;
    client.Call(cancel);
  }
  client.Finish<V1(ReadRequest)>(id);
}

void CloseSometimes(Client &client, uint64_t session, std::mt19937 &random) {
  auto read = New<V1(ReadRequest)>();
  auto close = New<V1(CloseSessionRequest)>();
  read.session = session;
  close.session = session;
  if (random() % 3 == 0) {
    return;
  }
  uint32_t pending = client.Start(read);
  EXPECT_EQ(0, client.Call(close).code);
  int code = client.Finish<V1(ReadRequest)>(pending).code;
  EXPECT_TRUE(code == 0 || code == STATUS_NOT_FOUND) << code;
}

void Storm::Play(Client client, uint64_t context, int seed, int rounds) {
  std::mt19937 random((unsigned)seed);
  for (int i = 0; i < rounds; i++) {
    Sockets sockets;
    Way way;
    Wait wait(5);
    auto connect = New<V1(ConnectRequest)>();
    connect.context = context;
    connect.transport = way.Fd().get();
    connect.server_name = (char *)"host.test";
    connect.wait = random() % 2 == 0 ? wait.get() : nullptr;
    How how = Within(1 + (int)(random() % 20));
    how.fds.push_back(sockets.ours());
    uint32_t id = client.Start(connect, how);
    sockets.CloseOurs();
    if (random() % 3 > 0) {
      Peer peer = ServerPeer(sockets.ReleaseTheirs());
      struct timeval soon = {0, 50000};
      setsockopt(peer_fd(peer.get()), SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
      peer_handshake(peer.get());
      peer_write(peer.get(), "hello", 5);
      auto reply = client.Finish<V1(ConnectRequest)>(id);
      if (reply->session != 0) {
        ReadSome(client, reply->session, random);
        CloseSometimes(client, reply->session, random);
      }
    } else if (random() % 2 == 0) {
      client.Finish<V1(ConnectRequest)>(id);
    }
  }
}

TEST_F(Storm, DoesNothingStayBehind) {
  size_t before = NumOpenFds();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([this, i] {
      Client client = Connect();
      uint64_t context = ClientContext(client);
      Play(std::move(client), context, i, 60);
    });
  }
  for (std::thread &thread : threads) {
    thread.join();
  }
  EXPECT_TRUE(Eventually([this] { return LivingSessions() == 0 && CountedSessions() == 0; }));
  EXPECT_TRUE(Eventually([&] { return NumOpenFds() == before; }));
}

}  // namespace
