// SessionService.Relay and WaitEnd, and Connect and Accept that ask for a relay.
#include "server/service/relay.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "tests/support/fake_kernel.h"
#include "tests/unit/service/harness.h"

namespace {

class Relays : public Sessions {
 protected:
  ~Relays() override {
    CloseNear();
  }
  void CloseNear() {
    if (near_ >= 0) {
      close(near_);
    }
    near_ = -1;
  }
  void TakeNear() {
    CloseNear();
    near_ = client_->TakeFd();
    ASSERT_GE(near_, 0) << "no descriptor came";
    struct timeval patience = {kPatienceMs / 1000, 0};
    setsockopt(near_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }
  Reply<V1(RelayResponse)> Relay(uint64_t session, bool forget = false) {
    auto request = New<V1(RelayRequest)>();
    request.session = session;
    request.forget = forget;
    return client_->Call(request);
  }
  void Begin(enum engine_role role = ENGINE_CLIENT, bool forget = false) {
    session_ = OpenOnFd(role);
    auto reply = Relay(session_, forget);
    ASSERT_EQ(0, reply.code) << reply.message;
    EXPECT_FALSE(reply->kernel_tls);
    TakeNear();
  }
  uint32_t StartWaiting(const How &how = How()) {
    auto request = New<V1(WaitEndRequest)>();
    request.session = session_;
    return client_->Start(request, how);
  }
  Reply<V1(WaitEndResponse)> WaitEnd() {
    return client_->Finish<V1(WaitEndRequest)>(StartWaiting());
  }
  std::string ReadNear(size_t len) {
    std::string data(len, '\0');
    ssize_t n = recv(near_, &data[0], len, MSG_WAITALL);
    data.resize(n < 0 ? 0 : (size_t)n);
    return data;
  }
  void Talk() {
    EXPECT_EQ(5, send(near_, "hello", 5, MSG_NOSIGNAL));
    EXPECT_EQ("hello", ReadPeer(peer_, 5));
    EXPECT_TRUE(peer_write(peer_.get(), "hi", 2));
    EXPECT_EQ("hi", ReadNear(2));
  }
  void EndBoth() {
    shutdown(near_, SHUT_WR);
    EXPECT_EQ("", ReadPeer(peer_, 1));
    EXPECT_TRUE(peer_was_shut_down(peer_.get()));
    peer_shutdown(peer_.get());
    EXPECT_EQ("", ReadNear(1));
  }
  uint64_t session_ = 0;
  int near_ = -1;
};

TEST_F(Relays, DoesASessionBecomeOne) {
  for (enum engine_role role : {ENGINE_CLIENT, ENGINE_SERVER}) {
    Begin(role);
    Talk();
    EXPECT_EQ(FD_CLOEXEC, fcntl(near_, F_GETFD));
    EXPECT_EQ(0, fcntl(near_, F_GETFL) & O_NONBLOCK);
    EndBoth();
    auto end = WaitEnd();
    ASSERT_EQ(0, end.code) << end.message;
    EXPECT_EQ(TLSAGENT__V1__STATE__STATE_CLOSED, end->state);
    EXPECT_EQ(nullptr, end->error);
    EXPECT_EQ(2u, end->bytes_read);
    EXPECT_EQ(5u, end->bytes_written);
    EXPECT_EQ(0, Close(session_));
  }
}

TEST_F(Relays, MayItsEndBeAwaitedAtAnyTime) {
  Begin();
  uint32_t early = StartWaiting();
  uint32_t another = StartWaiting();
  EXPECT_TRUE(client_->Pending(early));
  peer_.reset();
  for (uint32_t id : {early, another, StartWaiting()}) {
    auto end = client_->Finish<V1(WaitEndRequest)>(id);
    ASSERT_EQ(0, end.code) << end.message;
    EXPECT_EQ(TLSAGENT__V1__STATE__STATE_FAILED, end->state);
    ASSERT_NE(nullptr, end->error);
    EXPECT_NE(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_UNSPECIFIED, end->error->kind);
  }
}

TEST_F(Relays, DoesADeadlineEndAWaitAndNothingElse) {
  Begin();
  How how;
  how.timeout_nano = 20 * 1000 * 1000;
  auto end = client_->Finish<V1(WaitEndRequest)>(StartWaiting(how));
  EXPECT_EQ(STATUS_DEADLINE_EXCEEDED, end.code);
  Talk();
}

TEST_F(Relays, IsAWaitCancelled) {
  Begin();
  uint32_t id = StartWaiting();
  EXPECT_TRUE(client_->Pending(id));
  auto cancel = New<V1(CancelRequest)>();
  cancel.stream_id = id;
  EXPECT_EQ(0, client_->Call(cancel).code);
  EXPECT_EQ(STATUS_CANCELLED, client_->Finish<V1(WaitEndRequest)>(id).code);
  Talk();
  EndBoth();
  EXPECT_EQ(TLSAGENT__V1__STATE__STATE_CLOSED, WaitEnd()->state);
}

TEST_F(Relays, DoesACloseEndIt) {
  Begin();
  uint32_t id = StartWaiting();
  EXPECT_TRUE(client_->Pending(id));
  EXPECT_EQ(0, Close(session_));
  auto end = client_->Finish<V1(WaitEndRequest)>(id);
  ASSERT_EQ(0, end.code) << end.message;
  EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_CLOSED_HERE, end->error->kind);
  EXPECT_EQ("", ReadNear(1));
  EXPECT_EQ(STATUS_NOT_FOUND, WaitEnd().code);
}

TEST_F(Relays, IsOneThatIsToBeForgottenGoneWithItsEnd) {
  Begin(ENGINE_SERVER, true);
  Talk();
  EXPECT_EQ(1u, CountedSessions());
  EndBoth();
  EXPECT_TRUE(Eventually([this] { return CountedSessions() == 0 && LivingSessions() == 0; }));
  EXPECT_EQ(STATUS_NOT_FOUND, WaitEnd().code);
}

TEST_F(Relays, MayOneThatIsToBeForgottenBeClosedBefore) {
  Begin(ENGINE_SERVER, true);
  EXPECT_EQ(0, Close(session_));
  EXPECT_TRUE(Eventually([this] { return CountedSessions() == 0 && LivingSessions() == 0; }));
}

TEST_F(Relays, DoesItEndWithItsClient) {
  Begin();
  StartWaiting();
  size_t before = NumOpenFds();
  client_->Disconnect();
  EXPECT_EQ("", ReadNear(1));
  EXPECT_TRUE(Eventually([this] { return CountedSessions() == 0 && LivingSessions() == 0; }));
  EXPECT_TRUE(Eventually([&] { return NumOpenFds() < before; }));
}

TEST_F(Relays, IsADescriptorThatNobodyTookNoLeak) {
  session_ = OpenOnFd();
  auto request = New<V1(RelayRequest)>();
  request.session = session_;
  client_->Start(request);
  client_->Disconnect();
  EXPECT_TRUE(Eventually([this] { return CountedSessions() == 0 && LivingSessions() == 0; }));
}

// ---------------------------------------------------------------------------------------------
// What else may not be

TEST_F(Relays, IsASessionThatIsNoneNotFound) {
  EXPECT_EQ(STATUS_NOT_FOUND, Relay(4711).code);
  EXPECT_EQ(STATUS_NOT_FOUND, Relay(client_context_).code) << "a handle of something else";
}

TEST_F(Relays, IsTheMemoryPathRefused) {
  session_ = OpenInMemory();
  auto reply = Relay(session_);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, reply.code);
  EXPECT_NE(std::string::npos, reply.message.find("socket path")) << reply.message;
  EXPECT_EQ(-1, client_->TakeFd());
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, WaitEnd().code) << "it is no relay";
}

TEST_F(Relays, IsASecondOneRefused) {
  Begin();
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Relay(session_).code);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Relay(session_, true).code);
  Talk();
}

TEST_F(Relays, IsItRefusedWhileACallIsInFlight) {
  session_ = OpenOnFd();
  uint32_t id = StartRead(*client_, session_);
  EXPECT_TRUE(client_->Pending(id));
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Relay(session_).code);
  peer_write(peer_.get(), "x", 1);
  EXPECT_EQ(0, client_->Finish<V1(ReadRequest)>(id).code);
  EXPECT_EQ(0, Relay(session_).code);
  TakeNear();
  Talk();
}

TEST_F(Relays, AreOperationsOnARelayRefused) {
  Begin();
  auto handshake = New<V1(HandshakeRequest)>();
  auto shut = New<V1(ShutdownRequest)>();
  auto certificate = New<V1(RequestClientCertificateRequest)>();
  auto keys = New<V1(UpdateKeysRequest)>();
  handshake.session = shut.session = certificate.session = keys.session = session_;
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Read(session_).code);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Write(session_, "x").code);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, client_->Call(handshake).code);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, client_->Call(shut).code);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, client_->Call(certificate).code);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, client_->Call(keys).code);
  EXPECT_EQ(0, Describe(session_).code);
  Talk();
}

TEST_F(Relays, IsTheEndOfWhatIsNoRelayRefused) {
  session_ = OpenOnFd();
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, WaitEnd().code);
  session_ = 4711;
  EXPECT_EQ(STATUS_NOT_FOUND, WaitEnd().code);
}

// ---------------------------------------------------------------------------------------------
// In one call

class InOneCall : public Relays {
 protected:
  InOneCall() {
    protobuf_c_message_init(&tlsagent__v1__relay_options__descriptor, &options_.base);
  }
  V1(RelayOptions) options_;
};

TEST_F(InOneCall, DoesAcceptGiveOne) {
  ::Sockets sockets;
  peer_ = ClientPeer(sockets.ReleaseTheirs());
  Way way;
  How how;
  how.fds.push_back(sockets.ours());
  auto request = New<V1(AcceptRequest)>();
  request.context = server_context_;
  request.transport = way.Fd().get();
  request.relay = &options_;
  uint32_t id = client_->Start(request, how);
  EXPECT_TRUE(peer_handshake(peer_.get()));
  auto reply = client_->Finish<V1(AcceptRequest)>(id);
  ASSERT_EQ(0, reply.code) << reply.message;
  ASSERT_NE(nullptr, reply->relay);
  EXPECT_NE(nullptr, reply->negotiated);
  session_ = reply->session;
  TakeNear();
  Talk();
  EndBoth();
  EXPECT_EQ(TLSAGENT__V1__STATE__STATE_CLOSED, WaitEnd()->state);
}

TEST_F(InOneCall, DoesConnectGiveOneAfterTheFirstWrite) {
  ::Sockets sockets;
  peer_ = ServerPeer(sockets.ReleaseTheirs());
  Way way;
  How how;
  how.fds.push_back(sockets.ours());
  const std::string first = "first";
  options_.forget = true;
  auto request = New<V1(ConnectRequest)>();
  request.context = client_context_;
  request.transport = way.Fd().get();
  request.server_name = (char *)"host.test";
  request.first_write = Binary(first);
  request.relay = &options_;
  uint32_t id = client_->Start(request, how);
  EXPECT_TRUE(peer_handshake(peer_.get()));
  EXPECT_EQ("first", ReadPeer(peer_, 5));
  auto reply = client_->Finish<V1(ConnectRequest)>(id);
  ASSERT_EQ(0, reply.code) << reply.message;
  ASSERT_NE(nullptr, reply->relay);
  TakeNear();
  Talk();
  EndBoth();
  EXPECT_TRUE(Eventually([this] { return CountedSessions() == 0; }));
}

TEST_F(InOneCall, IsThereNoneWithoutAHandshake) {
  ::Sockets sockets;
  peer_ = ServerPeer(sockets.ReleaseTheirs(), 0, pki_get()->wrong_host);
  Way way;
  How how;
  how.fds.push_back(sockets.ours());
  auto request = New<V1(ConnectRequest)>();
  request.context = client_context_;
  request.transport = way.Fd().get();
  request.server_name = (char *)"host.test";
  request.relay = &options_;
  uint32_t id = client_->Start(request, how);
  peer_handshake(peer_.get());
  auto reply = client_->Finish<V1(ConnectRequest)>(id);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(TLSAGENT__V1__STATE__STATE_FAILED, reply->progress->state);
  EXPECT_EQ(nullptr, reply->relay);
  EXPECT_EQ(-1, client_->TakeFd());
}

TEST_F(InOneCall, IsOneThatHasToWaitNone) {
  ::Sockets sockets;
  peer_ = ClientPeer(sockets.ReleaseTheirs());
  Way way;
  ::Wait wait(20);
  How how;
  how.fds.push_back(sockets.ours());
  auto request = New<V1(AcceptRequest)>();
  request.context = server_context_;
  request.transport = way.Fd().get();
  request.relay = &options_;
  request.wait = wait.get();
  auto reply = client_->Call(request, how);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(TLSAGENT__V1__STATE__STATE_WANT_READ, reply->progress->state);
  EXPECT_EQ(nullptr, reply->relay);
  session_ = reply->session;
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Relay(session_).code);
  auto handshake = New<V1(HandshakeRequest)>();
  handshake.session = session_;
  uint32_t id = client_->Start(handshake);
  EXPECT_TRUE(peer_handshake(peer_.get()));
  EXPECT_EQ(0, client_->Finish<V1(HandshakeRequest)>(id).code);
  EXPECT_EQ(0, Relay(session_).code);
  TakeNear();
  Talk();
}

TEST_F(InOneCall, IsTheMemoryPathRefused) {
  Way way;
  auto connect = New<V1(ConnectRequest)>();
  connect.context = client_context_;
  connect.transport = way.Memory().get();
  connect.server_name = (char *)"host.test";
  connect.relay = &options_;
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_->Call(connect).code);
  auto accept = New<V1(AcceptRequest)>();
  accept.context = server_context_;
  accept.transport = way.get();
  accept.relay = &options_;
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_->Call(accept).code);
  EXPECT_TRUE(Eventually([] { return LivingSessions() == 0; }));
}

// ---------------------------------------------------------------------------------------------
// The kernel in place of a relay. What it is told is looked at in tests/unit/session.

class KernelRelays : public Relays {
 protected:
  static void SetUpTestSuite() {
    Relays::SetUpTestSuite();
    engine_allow_traffic_keys();
  }
  KernelRelays() {
    kernel_has_tls_ = true;
    kernel_tls_ = true;
  }
  // A server, for its peer has nothing to send at once.
  Reply<V1(AcceptResponse)> Accept(Tlsagent__V1__KernelTls wish, bool tcp = true,
                                   bool forget = false) {
    int ours = -1;
    int theirs = -1;
    Connected(tcp, &ours, &theirs);
    peer_ = ClientPeer(theirs);
    V1(RelayOptions) relay = TLSAGENT__V1__RELAY_OPTIONS__INIT;
    relay.kernel_tls = wish;
    relay.forget = forget;
    Way way;
    How how;
    how.fds.push_back(ours);
    auto request = New<V1(AcceptRequest)>();
    request.context = server_context_;
    request.transport = way.Fd().get();
    request.relay = &relay;
    uint32_t id = client_->Start(request, how);
    close(ours);
    shaken_ = peer_handshake(peer_.get());
    auto reply = client_->Finish<V1(AcceptRequest)>(id);
    session_ = reply->session;
    return reply;
  }
  static void Connected(bool tcp, int *ours, int *theirs) {
    if (!tcp) {
      Sockets sockets;
      *ours = fcntl(sockets.ours(), F_DUPFD_CLOEXEC, 0);
      *theirs = sockets.ReleaseTheirs();
      return;
    }
    uint16_t port = 0;
    int listener = ListenTcp(&port);
    struct sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *theirs = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(0, connect(*theirs, (struct sockaddr *)&address, sizeof(address)));
    *ours = accept(listener, nullptr, nullptr);
    close(listener);
  }
  static constexpr auto kNever = TLSAGENT__V1__KERNEL_TLS__KERNEL_TLS_NEVER;
  static constexpr auto kIfPossible = TLSAGENT__V1__KERNEL_TLS__KERNEL_TLS_IF_POSSIBLE;
  static constexpr auto kRequired = TLSAGENT__V1__KERNEL_TLS__KERNEL_TLS_REQUIRED;
  bool shaken_ = false;
};

TEST_F(KernelRelays, IsTheConnectionHandedOverWhenThatIsWished) {
  for (auto wish : {kIfPossible, kRequired}) {
    FakeKernel kernel;
    auto reply = Accept(wish);
    ASSERT_EQ(0, reply.code) << reply.message;
    ASSERT_NE(nullptr, reply->relay);
    EXPECT_TRUE(reply->relay->kernel_tls) << reply->relay->kernel_tls_why;
    EXPECT_STREQ("", reply->relay->kernel_tls_why);
    EXPECT_EQ(3u, kernel.Order().size());
    TakeNear();
    struct sockaddr_in peer = {};
    socklen_t len = sizeof(peer);
    EXPECT_EQ(0, getpeername(near_, (struct sockaddr *)&peer, &len));
    EXPECT_EQ(AF_INET, peer.sin_family) << "it is the connection's own";
    auto end = WaitEnd();
    ASSERT_EQ(0, end.code) << end.message;
    EXPECT_EQ(TLSAGENT__V1__STATE__STATE_DONE, end->state);
    EXPECT_EQ(nullptr, end->error);
    EXPECT_EQ(STATUS_FAILED_PRECONDITION, Read(session_).code);
    EXPECT_EQ(0, Close(session_));
  }
}

TEST_F(KernelRelays, IsItNotUnlessItIsWished) {
  FakeKernel kernel;
  auto reply = Accept(kNever);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_FALSE(reply->relay->kernel_tls);
  EXPECT_STREQ("", reply->relay->kernel_tls_why);
  EXPECT_TRUE(kernel.Order().empty());
  TakeNear();
  Talk();
}

TEST_F(KernelRelays, DoesOneThatIsToBeForgottenGoAtOnce) {
  FakeKernel kernel;
  auto reply = Accept(kRequired, true, true);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_TRUE(Eventually([this] { return CountedSessions() == 0 && LivingSessions() == 0; }));
}

TEST_F(KernelRelays, DoesARelayServeWhereItIsNotPossible) {
  auto reply = Accept(kIfPossible, false);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_FALSE(reply->relay->kernel_tls);
  EXPECT_STREQ("the socket is not TCP", reply->relay->kernel_tls_why);
  TakeNear();
  Talk();
}

TEST_F(KernelRelays, IsWhatIsRequiredAndNotPossibleRefusedWithItsSession) {
  auto reply = Accept(kRequired, false);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, reply.code);
  EXPECT_NE(std::string::npos, reply.message.find("the socket is not TCP")) << reply.message;
  EXPECT_TRUE(shaken_) << "only then it shows";
  EXPECT_TRUE(Eventually([this] { return CountedSessions() == 0 && LivingSessions() == 0; }));
}

TEST_F(KernelRelays, IsHalfAConnectionAnError) {
  FakeKernel kernel;
  kernel.Refuse(0, 0, EINVAL);
  auto reply = Accept(kIfPossible);
  EXPECT_EQ(STATUS_ABORTED, reply.code);
  EXPECT_NE(std::string::npos, reply.message.find("the session is lost")) << reply.message;
  EXPECT_TRUE(Eventually([this] { return CountedSessions() == 0 && LivingSessions() == 0; }));
}

TEST_F(KernelRelays, IsAWishThatComesLateToldSo) {
  session_ = OpenOnFd(ENGINE_SERVER);
  auto request = New<V1(RelayRequest)>();
  request.session = session_;
  request.kernel_tls = kRequired;
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, client_->Call(request).code);
  request.kernel_tls = kIfPossible;
  auto reply = client_->Call(request);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_FALSE(reply->kernel_tls);
  EXPECT_STRNE("", reply->kernel_tls_why);
  TakeNear();
  Talk();
}

TEST_F(KernelRelays, IsAWishThatIsNoneRefused) {
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Accept((Tlsagent__V1__KernelTls)3).code);
  auto request = New<V1(RelayRequest)>();
  request.session = OpenOnFd(ENGINE_SERVER);
  request.kernel_tls = (Tlsagent__V1__KernelTls)-1;
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_->Call(request).code);
}

class RelaysWithoutOption : public KernelRelays {
 protected:
  RelaysWithoutOption() {
    kernel_tls_ = false;
  }
};

TEST_F(RelaysWithoutOption, IsTheKernelNotEvenAsked) {
  FakeKernel kernel;
  auto reply = Accept(kIfPossible);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_FALSE(reply->relay->kernel_tls);
  EXPECT_NE(nullptr, strstr(reply->relay->kernel_tls_why, "--kernel-tls"));
  TakeNear();
  Talk();
  reply = Accept(kRequired);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, reply.code);
  EXPECT_NE(std::string::npos, reply.message.find("--kernel-tls")) << reply.message;
  EXPECT_FALSE(shaken_) << "it is refused before";
  EXPECT_TRUE(kernel.Order().empty());
}

}  // namespace
