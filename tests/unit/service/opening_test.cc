// SessionService.Connect and Accept.
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "tests/unit/service/harness.h"

namespace {

constexpr auto kDone = TLSAGENT__V1__STATE__STATE_DONE;
constexpr auto kWantRead = TLSAGENT__V1__STATE__STATE_WANT_READ;
constexpr auto kWantWrite = TLSAGENT__V1__STATE__STATE_WANT_WRITE;
constexpr auto kFailed = TLSAGENT__V1__STATE__STATE_FAILED;

class Opening : public Sessions {
 protected:
  // A request to connect with everything usual in it.
  struct Ask {
    explicit Ask(uint64_t context) {
      request.context = context;
      request.server_name = (char *)"host.test";
      request.transport = way.get();
    }
    Way way;
    V1(ConnectRequest) request = New<V1(ConnectRequest)>();
  };

  Reply<V1(AcceptResponse)> Accept(Way &way, const How &how = How()) {
    auto request = New<V1(AcceptRequest)>();
    request.context = server_context_;
    request.transport = way.get();
    return client_->Call(request, how);
  }
  // Nothing is left of a session that was not to be.
  bool NothingLeft() {
    return Eventually([this] { return LivingSessions() == 0 && CountedSessions() == 0; });
  }
};

How WithFds(const std::vector<int> &fds) {
  How how;
  how.fds = fds;
  return how;
}

// ---------------------------------------------------------------------------------------------
// In memory

TEST_F(Opening, DoesAClientBeginWithItsHello) {
  Ask ask(client_context_);
  ask.way.Memory();
  auto reply = client_->Call(ask.request);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_NE(0u, reply->session);
  EXPECT_EQ(kWantRead, reply->progress->state);
  EXPECT_EQ(0x16, Text(reply->progress->output)[0]) << "a handshake record";
  EXPECT_EQ(nullptr, reply->negotiated);
  EXPECT_EQ(nullptr, reply->peer);
}

TEST_F(Opening, CanAServerBeOpenedWithTheWholeHello) {
  Peer peer = ClientPeer(-1);
  peer_handshake(peer.get());
  std::string hello = TakePeer(peer);
  Way way;
  auto reply = Accept(way.Memory(hello));
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(kWantRead, reply->progress->state);
  EXPECT_EQ(hello.size(), reply->progress->input_consumed);
  FeedPeer(peer, Text(reply->progress->output));
  EXPECT_TRUE(peer_handshake(peer.get()));
}

TEST_F(Opening, IsAFailureGoneButForItsAlert) {
  Way way;
  auto reply = Accept(way.Memory(std::string("\x16\x03\x01\x00\x05rubbish!!", 14)));
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(0u, reply->session);
  EXPECT_EQ(kFailed, reply->progress->state);
  ASSERT_NE(nullptr, reply->progress->error);
  EXPECT_NE(0u, reply->progress->output.len) << "the alert must be sent";
  EXPECT_TRUE(NothingLeft());
}

TEST_F(Opening, IsAHelloThatIsCutOffTruncated) {
  Way way;
  auto reply = Accept(way.Memory("\x16\x03\x01", true));
  EXPECT_EQ(kFailed, reply->progress->state);
  EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_TRUNCATED, reply->progress->error->kind);
  EXPECT_EQ(0u, reply->session);
}

// ---------------------------------------------------------------------------------------------
// On a descriptor

TEST_F(Opening, IsOneRoundTripEnoughForAClient) {
  Sockets sockets;
  peer_ = ServerPeer(sockets.ReleaseTheirs());
  Ask ask(client_context_);
  ask.way.Fd();
  ask.request.decode_peer = true;
  uint32_t id = client_->Start(ask.request, WithFds({sockets.ours()}));
  EXPECT_TRUE(peer_handshake(peer_.get()));
  auto reply = client_->Finish<V1(ConnectRequest)>(id);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(kDone, reply->progress->state);
  EXPECT_EQ(0u, reply->progress->output.len) << "the daemon sends it itself";
  ASSERT_NE(nullptr, reply->negotiated);
  EXPECT_STREQ("TLSv1.3", reply->negotiated->version_name);
  EXPECT_STREQ("host.test", reply->negotiated->server_name);
  ASSERT_NE(nullptr, reply->peer);
  EXPECT_EQ(0, reply->peer->verify_code);
  ASSERT_NE(nullptr, reply->peer->certificate);
  EXPECT_EQ(Text(reply->peer->der), Text(reply->peer->certificate->der));
}

TEST_F(Opening, IsOneRoundTripEnoughForAServer) {
  uint64_t session = OpenOnFd(ENGINE_SERVER);
  EXPECT_NE(0u, session);
  EXPECT_STREQ("host.test", Describe(session)->negotiated->server_name);
}

TEST_F(Opening, IsAPeerThatDoesNotVerifyShown) {
  Sockets sockets;
  peer_ = ServerPeer(sockets.ReleaseTheirs(), 0, pki_get()->self_signed);
  std::thread peer([&] {
    peer_handshake(peer_.get());
    ReadPeer(peer_, 1);
  });
  auto reply = ConnectOnFd(sockets.ours());
  EXPECT_EQ(0u, reply->session);
  EXPECT_EQ(kFailed, reply->progress->state);
  EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_VERIFY, reply->progress->error->kind);
  ASSERT_NE(nullptr, reply->peer);
  EXPECT_NE(0u, reply->peer->der.len);
  EXPECT_NE(0, reply->peer->verify_code);
  EXPECT_EQ(nullptr, reply->negotiated);
  sockets.CloseOurs();
  peer.join();
  EXPECT_TRUE(NothingLeft());
}

TEST_F(Opening, IsTheDescriptorClosedWhenItFailed) {
  Sockets sockets;
  EXPECT_EQ(15, send(sockets.ours(), "HTTP/1.1 400 No", 15, 0));
  int theirs = sockets.ReleaseTheirs();
  auto reply = ConnectOnFd(theirs);
  close(theirs);
  EXPECT_EQ(kFailed, reply->progress->state);
  EXPECT_TRUE(SeesEnd(sockets.ours()));
  EXPECT_TRUE(NothingLeft());
}

TEST_F(Opening, IsFirstDataSentWithTheHandshake) {
  Sockets sockets;
  peer_ = ServerPeer(sockets.ReleaseTheirs());
  Ask ask(client_context_);
  std::string data = Pattern(100000);
  ask.way.Fd();
  ask.request.first_write = Binary(data);
  uint32_t id = client_->Start(ask.request, WithFds({sockets.ours()}));
  EXPECT_TRUE(peer_handshake(peer_.get()));
  EXPECT_TRUE(ReadPeer(peer_, data.size()) == data);
  auto reply = client_->Finish<V1(ConnectRequest)>(id);
  EXPECT_EQ(kDone, reply->progress->state);
  EXPECT_EQ(data.size(), Describe(reply->session)->bytes_written);
}

TEST_F(Opening, DoesFirstDataThatNobodyReadsGiveUp) {
  Sockets sockets;
  peer_ = ServerPeer(sockets.ReleaseTheirs());
  Ask ask(client_context_);
  Wait wait(50);
  std::string data = Pattern(2 << 20);
  ask.way.Fd();
  ask.request.wait = wait.get();
  ask.request.first_write = Binary(data);
  uint32_t id = client_->Start(ask.request, WithFds({sockets.ours()}));
  EXPECT_TRUE(peer_handshake(peer_.get()));
  auto reply = client_->Finish<V1(ConnectRequest)>(id);
  EXPECT_EQ(0, reply.code);
  EXPECT_EQ(kWantWrite, reply->progress->state);
  EXPECT_NE(nullptr, reply->negotiated);
  EXPECT_NE(0u, reply->session);
}

// ---------------------------------------------------------------------------------------------
// What makes no sense

TEST_F(Opening, IsARequestWithoutATransportRefused) {
  Ask ask(client_context_);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_->Call(ask.request).code);
  ask.request.transport = nullptr;
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_->Call(ask.request).code);
}

TEST_F(Opening, IsAnothersContextNotFound) {
  Client other = Connect();
  Ask ask(client_context_);
  ask.way.Memory();
  EXPECT_EQ(STATUS_NOT_FOUND, other.Call(ask.request).code);
  ask.request.context = 0;
  EXPECT_EQ(STATUS_NOT_FOUND, client_->Call(ask.request).code);
}

TEST_F(Opening, IsADescriptorThatDidNotComeRefused) {
  Sockets sockets;
  Ask ask(client_context_);
  ask.way.Fd(0);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_->Call(ask.request).code);
  ask.way.Fd(1);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_->Call(ask.request, WithFds({sockets.ours()})).code);
  ask.way.Fd(UINT32_MAX);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_->Call(ask.request, WithFds({sockets.ours()})).code);
  sockets.CloseOurs();
  EXPECT_TRUE(SeesEnd(sockets.ReleaseTheirs())) << "what came and was not used is closed";
}

TEST_F(Opening, IsWhatIsNoConnectedStreamRefused) {
  int datagrams[2];
  uint16_t port = 0;
  ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams));
  int listener = ListenTcp(&port);
  int unconnected = socket(AF_INET, SOCK_STREAM, 0);
  int pipe_fds[2];
  ASSERT_EQ(0, pipe(pipe_fds));
  size_t before = NumOpenFds();
  for (int wrong : {datagrams[0], listener, unconnected, pipe_fds[0]}) {
    auto reply = ConnectOnFd(wrong);
    EXPECT_EQ(STATUS_INVALID_ARGUMENT, reply.code);
  }
  EXPECT_TRUE(Eventually([&] { return NumOpenFds() == before; }));
  EXPECT_TRUE(NothingLeft());
  for (int fd : {datagrams[0], datagrams[1], listener, unconnected, pipe_fds[0], pipe_fds[1]}) {
    close(fd);
  }
}

TEST_F(Opening, IsARoleThatDoesNotFitTheContextAnAnswer) {
  Sockets sockets;
  Ask ask(server_context_);
  ask.way.Fd();
  auto reply = client_->Call(ask.request, WithFds({sockets.ours()}));
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(0u, reply->session);
  EXPECT_EQ(kFailed, reply->progress->state);
  EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_INVALID, reply->progress->error->kind);
  sockets.CloseOurs();
  EXPECT_TRUE(SeesEnd(sockets.ReleaseTheirs()));
}

TEST_F(Opening, IsAClientThatChecksNamesAndHasNoneAnAnswer) {
  Ask ask(client_context_);
  ask.way.Memory();
  ask.request.server_name = (char *)"";
  auto reply = client_->Call(ask.request);
  EXPECT_EQ(0, reply.code);
  EXPECT_EQ(kFailed, reply->progress->state);
  EXPECT_EQ(0u, reply->session);
}

TEST_F(Opening, IsASessionToResumeThatIsNoneAnAnswer) {
  Ask ask(client_context_);
  ask.way.Memory();
  std::string rubbish(200, 'x');
  V1(BytesValue) resumption = TLSAGENT__V1__BYTES_VALUE__INIT;
  ask.request.resumption = &resumption;
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_->Call(ask.request).code) << "empty";
  resumption.value = Binary(rubbish);
  auto reply = client_->Call(ask.request);
  EXPECT_EQ(0, reply.code);
  EXPECT_EQ(0u, reply->session);
  EXPECT_EQ(kFailed, reply->progress->state);
  EXPECT_STREQ("resumption", reply->progress->error->item);
}

TEST_F(Opening, IsFirstDataForTheSocketPath) {
  Ask ask(client_context_);
  ask.way.Memory();
  std::string data = "x";
  ask.request.first_write = Binary(data);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_->Call(ask.request).code);
}

// ---------------------------------------------------------------------------------------------
// No longer than asked

TEST_F(Opening, CanAHandshakeThatTakesLongBeGoneOnWith) {
  Sockets sockets;
  Ask ask(client_context_);
  Wait wait(20);
  ask.way.Fd();
  ask.request.wait = wait.get();
  auto reply = client_->Call(ask.request, WithFds({sockets.ours()}));
  EXPECT_EQ(kWantRead, reply->progress->state);
  ASSERT_NE(0u, reply->session);
  peer_ = ServerPeer(sockets.ReleaseTheirs());
  auto go_on = New<V1(HandshakeRequest)>();
  go_on.session = reply->session;
  uint32_t id = client_->Start(go_on);
  EXPECT_TRUE(peer_handshake(peer_.get()));
  EXPECT_EQ(kDone, client_->Finish<V1(HandshakeRequest)>(id)->progress->state);
}

TEST_F(Opening, DoesADeadlineTakeTheSessionAlong) {
  Sockets sockets;
  How how = WithFds({sockets.ours()});
  how.timeout_nano = 20 * 1000 * 1000;
  Ask ask(client_context_);
  ask.way.Fd();
  EXPECT_EQ(STATUS_DEADLINE_EXCEEDED, client_->Call(ask.request, how).code);
  sockets.CloseOurs();
  int theirs = sockets.ReleaseTheirs();
  EXPECT_TRUE(SeesEnd(theirs));
  close(theirs);
  EXPECT_TRUE(NothingLeft());
}

TEST_F(Opening, DoesACancelTakeTheSessionAlong) {
  Sockets sockets;
  Ask ask(client_context_);
  ask.way.Fd();
  uint32_t id = client_->Start(ask.request, WithFds({sockets.ours()}));
  EXPECT_TRUE(client_->Pending(id));
  auto cancel = New<V1(CancelRequest)>();
  cancel.stream_id = id;
  EXPECT_TRUE(client_->Call(cancel)->found);
  EXPECT_EQ(STATUS_CANCELLED, client_->Finish<V1(ConnectRequest)>(id).code);
  EXPECT_TRUE(NothingLeft());
}

TEST_F(Opening, DoesNothingStayOfAClientThatVanishes) {
  size_t before = NumOpenFds();
  for (int i = 0; i < 20; i++) {
    Client other = Connect();
    uint64_t context = ClientContext(other);
    Sockets sockets;
    Ask ask(context);
    ask.way.Fd();
    uint32_t id = other.Start(ask.request, WithFds({sockets.ours()}));
    if (i % 2 == 0) {
      EXPECT_TRUE(other.Pending(id, 5));
    }
    other.Disconnect();
  }
  EXPECT_TRUE(NothingLeft());
  EXPECT_TRUE(Eventually([&] { return NumOpenFds() == before; }));
  EXPECT_TRUE(Eventually([this] { return CountedContexts() == 2; }));
}

// ---------------------------------------------------------------------------------------------
// Where, and how many

TEST_F(Opening, AreSessionsSpreadOverTheWorkers) {
  for (int i = 0; i < 10; i++) {
    OpenOnFd(i % 2 == 0 ? ENGINE_CLIENT : ENGINE_SERVER);
  }
  EXPECT_EQ(5u, worker_load(worker_pool_at(workers(), 0)));
  EXPECT_EQ(5u, worker_load(worker_pool_at(workers(), 1)));
}

class FewSessions : public Opening {
 protected:
  FewSessions() {
    limits_.sessions = 4;
    limits_.sessions_per_owner = 3;
  }
};

TEST_F(FewSessions, IsOneTooManyRefusedAndNoOneElseDisturbed) {
  uint64_t first = OpenInMemory();
  OpenOnFd();
  OpenOnFd(ENGINE_SERVER);
  Sockets sockets;
  auto refused = ConnectOnFd(sockets.ours());
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, refused.code);
  EXPECT_NE(std::string::npos, refused.message.find("sessions_per_owner")) << refused.message;
  sockets.CloseOurs();
  int theirs = sockets.ReleaseTheirs();
  EXPECT_TRUE(SeesEnd(theirs));
  close(theirs);
  EXPECT_TRUE(Eventually([] { return LivingSessions() == 3; }));
  EXPECT_EQ(kDone, Describe(first)->state);
  EXPECT_EQ(0, Close(first));
  EXPECT_NE(0u, OpenInMemory());
}

}  // namespace
