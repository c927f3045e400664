// SessionService, but for how sessions are opened.
#include <openssl/x509_vfy.h>
#include <unistd.h>

#include <thread>

#include "tests/unit/service/harness.h"

namespace {

constexpr auto kDone = TLSAGENT__V1__STATE__STATE_DONE;
constexpr auto kWantRead = TLSAGENT__V1__STATE__STATE_WANT_READ;
constexpr auto kWantWrite = TLSAGENT__V1__STATE__STATE_WANT_WRITE;
constexpr auto kClosed = TLSAGENT__V1__STATE__STATE_CLOSED;
constexpr auto kFailed = TLSAGENT__V1__STATE__STATE_FAILED;

class Session : public Sessions {
 protected:
  // Reads on the memory path, and keeps what was not consumed.
  Reply<V1(ReadResponse)> Pull(uint64_t session, uint32_t max = 0) {
    wire_ += TakePeer(peer_);
    auto reply = Read(session, wire_, max);
    wire_.erase(0, reply->progress->input_consumed);
    return reply;
  }
  Reply<V1(ShutdownResponse)> Shutdown(uint64_t session, bool await_peer = false) {
    auto request = New<V1(ShutdownRequest)>();
    request.session = session;
    request.await_peer = await_peer;
    return client_->Call(request);
  }
  Reply<V1(PeerCertificateResponse)> PeerCertificate(uint64_t session, bool decode = false) {
    auto request = New<V1(PeerCertificateRequest)>();
    request.session = session;
    request.decode = decode;
    return client_->Call(request);
  }
};

class EveryVersion : public Session, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Session, EveryVersion, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(EveryVersion, DoesAnythingGetThroughInMemory) {
  for (enum engine_role role : {ENGINE_CLIENT, ENGINE_SERVER}) {
    uint64_t session = OpenInMemory(role, GetParam());
    auto write = Write(session, "question");
    EXPECT_EQ(kDone, write->progress->state);
    EXPECT_EQ(8u, write->accepted);
    FeedPeer(peer_, Text(write->progress->output));
    EXPECT_EQ("question", ReadPeer(peer_, 8));
    peer_write(peer_.get(), "answer", 6);
    auto read = Pull(session);
    EXPECT_EQ(kDone, read->progress->state);
    EXPECT_EQ("answer", Text(read->data));
  }
}

TEST_P(EveryVersion, DoesAnythingGetThroughOnASocket) {
  for (enum engine_role role : {ENGINE_CLIENT, ENGINE_SERVER}) {
    uint64_t session = OpenOnFd(role, GetParam());
    auto write = Write(session, "question");
    EXPECT_EQ(kDone, write->progress->state);
    EXPECT_EQ(0u, write->progress->output.len);
    EXPECT_EQ("question", ReadPeer(peer_, 8));
    peer_write(peer_.get(), "answer", 6);
    EXPECT_EQ("answer", Text(Read(session)->data));
  }
}

// ---------------------------------------------------------------------------------------------
// Handshake

TEST_F(Session, IsADecisionNobodyAskedForRefused) {
  uint64_t session = OpenInMemory();
  V1(DecisionAnswer) decision;
  V1(Proceed) proceed = TLSAGENT__V1__PROCEED__INIT;
  tlsagent__v1__decision_answer__init(&decision);
  decision.answer_case = TLSAGENT__V1__DECISION_ANSWER__ANSWER_PROCEED;
  decision.proceed = &proceed;
  auto handshake = New<V1(HandshakeRequest)>();
  auto read = New<V1(ReadRequest)>();
  auto write = New<V1(WriteRequest)>();
  handshake.session = read.session = write.session = session;
  handshake.decision = read.decision = write.decision = &decision;
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, client_->Call(handshake).code);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, client_->Call(read).code);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, client_->Call(write).code);
}

TEST_F(Session, IsADoneHandshakeDoneAgain) {
  uint64_t session = OpenInMemory();
  auto request = New<V1(HandshakeRequest)>();
  request.session = session;
  request.decode_peer = true;
  auto reply = client_->Call(request);
  EXPECT_EQ(kDone, reply->progress->state);
  ASSERT_NE(nullptr, reply->negotiated);
  ASSERT_NE(nullptr, reply->peer->certificate);
  EXPECT_STREQ("EC", reply->peer->certificate->key_type);
}

TEST_F(Session, DoesAFailedHandshakeStayUntilClose) {
  Way way;
  auto request = New<V1(AcceptRequest)>();
  request.context = server_context_;
  request.transport = way.Memory().get();
  uint64_t session = client_->Call(request)->session;
  Feed rubbish("this is no ClientHello");
  auto handshake = New<V1(HandshakeRequest)>();
  handshake.session = session;
  handshake.feed = rubbish.get();
  auto reply = client_->Call(handshake);
  EXPECT_EQ(kFailed, reply->progress->state);
  EXPECT_NE(nullptr, reply->progress->error);
  EXPECT_EQ(kFailed, Describe(session)->state);
  EXPECT_NE(nullptr, Describe(session)->error);
  EXPECT_EQ(0, Close(session));
  EXPECT_EQ(STATUS_NOT_FOUND, Describe(session).code);
}

// ---------------------------------------------------------------------------------------------
// Read

TEST_F(Session, DoesAReadGiveNoMoreThanAskedFor) {
  uint64_t session = OpenInMemory();
  std::string data = Pattern(40000);
  peer_write(peer_.get(), data.data(), data.size());
  auto some = Pull(session, 100);
  EXPECT_EQ(data.substr(0, 100), Text(some->data));
  EXPECT_EQ(16384u - 100, some->pending);
  auto record = Pull(session);
  EXPECT_EQ(data.substr(100, 16384), Text(record->data)) << "16384 when it is not said";
  auto rest = Pull(session, UINT32_MAX);
  EXPECT_TRUE(data.substr(16484) == Text(rest->data));
  EXPECT_EQ(0u, rest->pending);
  EXPECT_EQ(kWantRead, Pull(session)->progress->state);
}

TEST_F(Session, IsAReadHeldToItsLimit) {
  uint64_t session = OpenOnFd();
  std::string data = Pattern(1 << 20);
  std::thread writer([&] { peer_write(peer_.get(), data.data(), data.size()); });
  std::string heard;
  while (heard.size() < data.size()) {
    auto reply = Read(session, "", UINT32_MAX);
    ASSERT_EQ(kDone, reply->progress->state);
    EXPECT_LE(reply->data.len, limits_.read_bytes);
    heard += Text(reply->data);
  }
  writer.join();
  EXPECT_TRUE(data == heard);
}

TEST_F(Session, IsInputThatWasNotTakenSaid) {
  uint64_t session = OpenInMemory();
  peer_write(peer_.get(), "first", 5);
  std::string first = TakePeer(peer_);
  peer_write(peer_.get(), "second", 6);
  std::string second = TakePeer(peer_);
  auto reply = Read(session, wire_ + first + second, 5);
  EXPECT_EQ("first", Text(reply->data));
  EXPECT_EQ(wire_.size() + first.size(), reply->progress->input_consumed);
  EXPECT_EQ("second", Text(Read(session, second, 100)->data));
}

TEST_F(Session, IsTheEndOfTheTransportAsTheFeedSays) {
  uint64_t session = OpenInMemory();
  Feed eof(wire_, true);
  auto request = New<V1(ReadRequest)>();
  request.session = session;
  request.feed = eof.get();
  auto reply = client_->Call(request);
  EXPECT_EQ(kFailed, reply->progress->state);
  EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_TRUNCATED, reply->progress->error->kind);
}

// ---------------------------------------------------------------------------------------------
// Write

TEST_F(Session, DoesALargeWriteGoInPiecesInMemory) {
  uint64_t session = OpenInMemory();
  std::string data = Pattern(1 << 20);
  size_t sent = 0;
  int calls = 0;
  V1(State) state = kWantWrite;
  while (state == kWantWrite) {
    auto reply = Write(session, data.substr(sent));
    state = reply->progress->state;
    EXPECT_GT(reply->accepted, 0u);
    EXPECT_LE(reply->progress->output.len, limits_.session_output_bytes);
    FeedPeer(peer_, Text(reply->progress->output));
    ASSERT_TRUE(data.substr(sent, reply->accepted) == ReadPeer(peer_, reply->accepted));
    sent += reply->accepted;
    calls++;
  }
  EXPECT_EQ(kDone, state);
  EXPECT_EQ(data.size(), sent);
  EXPECT_GT(calls, 5);
}

TEST_F(Session, DoesALargeWriteGoInOneOnASocket) {
  uint64_t session = OpenOnFd();
  std::string data = Pattern(3 << 20);
  std::string heard;
  std::thread reader([&] { heard = ReadPeer(peer_, data.size()); });
  auto reply = Write(session, data);
  EXPECT_EQ(kDone, reply->progress->state);
  EXPECT_EQ(data.size(), reply->accepted);
  reader.join();
  EXPECT_TRUE(data == heard);
}

TEST_F(Session, DoesAReadThatWaitsHoldUpNoWrite) {
  uint64_t session = OpenOnFd();
  uint32_t read = StartRead(*client_, session);
  EXPECT_EQ(kDone, Write(session, "first")->progress->state);
  EXPECT_EQ("first", ReadPeer(peer_, 5));
  EXPECT_TRUE(client_->Pending(read, 5));
  peer_write(peer_.get(), "second", 6);
  EXPECT_EQ("second", Text(client_->Finish<V1(ReadRequest)>(read)->data));
}

// ---------------------------------------------------------------------------------------------
// Shutdown

TEST_F(Session, DoesAShutdownSayHowTheStreamEnded) {
  uint64_t session = OpenOnFd();
  auto sent = Shutdown(session);
  EXPECT_EQ(kDone, sent->progress->state);
  EXPECT_TRUE(sent->sent);
  EXPECT_FALSE(sent->received);
  EXPECT_EQ("", ReadPeer(peer_, 1));
  EXPECT_TRUE(peer_was_shut_down(peer_.get()));
  peer_write(peer_.get(), "unread", 6);
  peer_shutdown(peer_.get());
  auto both = Shutdown(session, true);
  EXPECT_EQ(kDone, both->progress->state);
  EXPECT_TRUE(both->received);
  EXPECT_EQ(6u, both->discarded);
  auto described = Describe(session);
  EXPECT_TRUE(described->shutdown_sent);
  EXPECT_TRUE(described->shutdown_received);
  EXPECT_EQ(kClosed, described->state);
}

TEST_F(Session, AreTheBytesAfterTheEndHandedBack) {
  uint64_t session = OpenOnFd();
  peer_shutdown(peer_.get());
  EXPECT_EQ(9, write(peer_fd(peer_.get()), "plaintext", 9));
  EXPECT_EQ(kClosed, Read(session)->progress->state);
  auto reply = Shutdown(session);
  EXPECT_TRUE(reply->sent);
  EXPECT_TRUE(reply->received);
  EXPECT_EQ("plaintext", Text(reply->trailing));
}

// ---------------------------------------------------------------------------------------------
// Describe

TEST_F(Session, IsASessionDescribed) {
  uint64_t session = OpenOnFd();
  Write(session, "12345");
  peer_write(peer_.get(), "123", 3);
  Read(session, "", 1);
  auto reply = Describe(session);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(TLSAGENT__V1__ROLE__ROLE_CLIENT, reply->role);
  EXPECT_EQ(kDone, reply->state);
  EXPECT_STREQ("fd", reply->transport);
  EXPECT_EQ(5u, reply->bytes_written);
  EXPECT_EQ(1u, reply->bytes_read);
  EXPECT_EQ(2u, reply->pending);
  EXPECT_EQ(nullptr, reply->error);
  EXPECT_EQ(TLSAGENT__V1__PROTOCOL_VERSION__PROTOCOL_VERSION_TLS_1_3, reply->negotiated->version);
  EXPECT_STREQ("ok", reply->peer->verify_message);
}

TEST_F(Session, IsOneThatHasNotBegunDescribed) {
  Way way;
  auto request = New<V1(AcceptRequest)>();
  request.context = server_context_;
  request.transport = way.Memory().get();
  auto reply = Describe(client_->Call(request)->session);
  EXPECT_EQ(TLSAGENT__V1__ROLE__ROLE_SERVER, reply->role);
  EXPECT_EQ(kWantRead, reply->state);
  EXPECT_STREQ("memory", reply->transport);
  EXPECT_EQ(nullptr, reply->negotiated);
  EXPECT_EQ(nullptr, reply->peer);
}

// Describe never queues: not even behind a Read that waits.
TEST_F(Session, DoesDescribeNotWaitInLine) {
  uint64_t session = OpenOnFd();
  uint32_t read = StartRead(*client_, session);
  EXPECT_EQ(kDone, Describe(session)->state);
  EXPECT_EQ(0, PeerCertificate(session).code);
  EXPECT_TRUE(client_->Pending(read, 5));
}

// ---------------------------------------------------------------------------------------------
// PeerCertificate

TEST_F(Session, AreBothChainsOfThePeerTold) {
  uint64_t session = OpenOnFd();
  auto reply = PeerCertificate(session, true);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(3u, reply->n_verified_chain) << "server, intermediate, root";
  EXPECT_EQ(2u, reply->n_unverified_chain) << "as it was sent";
  ASSERT_EQ(3u, reply->n_verified_certificates);
  ASSERT_EQ(2u, reply->n_unverified_certificates);
  EXPECT_EQ(Text(reply->peer->der), Text(reply->verified_chain[0]));
  EXPECT_EQ(Text(reply->peer->der), Text(reply->unverified_chain[0]));
  EXPECT_EQ(Text(reply->verified_chain[2]), Text(reply->verified_certificates[2]->der));
  EXPECT_EQ(0u, PeerCertificate(session)->n_verified_certificates);
}

TEST_F(Session, IsAClientWithoutACertificateNobody) {
  uint64_t session = OpenOnFd(ENGINE_SERVER);
  auto reply = PeerCertificate(session);
  ASSERT_EQ(0, reply.code);
  EXPECT_EQ(nullptr, reply->peer);
  EXPECT_EQ(0u, reply->n_unverified_chain);
  EXPECT_EQ(nullptr, Describe(session)->peer);
}

TEST_F(Session, IsTheClientsCertificateTheServersToSee) {
  uint64_t context = MakeContext(*client_, TLSAGENT__V1__CONTEXT_KIND__CONTEXT_KIND_SERVER,
                                 pki_get()->server, pki_get()->root);
  auto configure = New<V1(ConfigureContextRequest)>();
  V1(ContextSettings) settings = TLSAGENT__V1__CONTEXT_SETTINGS__INIT;
  V1(VerifyModeValue) mode = TLSAGENT__V1__VERIFY_MODE_VALUE__INIT;
  mode.value = TLSAGENT__V1__VERIFY_MODE__VERIFY_MODE_REQUIRED;
  settings.verify_mode = &mode;
  configure.context = context;
  configure.settings = &settings;
  ASSERT_EQ(nullptr, client_->Call(configure)->error);
  Sockets sockets;
  peer_ = ClientPeer(sockets.ReleaseTheirs(), 0, pki_get()->client);
  Way way;
  How how;
  how.fds.push_back(sockets.ours());
  auto request = New<V1(AcceptRequest)>();
  request.context = context;
  request.transport = way.Fd().get();
  uint32_t id = client_->Start(request, how);
  EXPECT_TRUE(peer_handshake(peer_.get()));
  auto reply = client_->Finish<V1(AcceptRequest)>(id);
  ASSERT_EQ(kDone, reply->progress->state);
  const struct pki_identity *shown = pki_get()->client;
  EXPECT_EQ(std::string((const char *)shown->der.data, shown->der.len), Text(reply->peer->der));
  EXPECT_EQ(3u, PeerCertificate(reply->session)->n_verified_chain);
}

TEST_F(Session, IsThereNoPeerBeforeTheHandshake) {
  Way way;
  auto request = New<V1(AcceptRequest)>();
  request.context = server_context_;
  request.transport = way.Memory().get();
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, PeerCertificate(client_->Call(request)->session).code);
}

// ---------------------------------------------------------------------------------------------
// Close

TEST_F(Session, IsTheDescriptorClosedWhenCloseIsAnswered) {
  for (int i = 0; i < 4; i++) {
    uint64_t session = OpenOnFd();
    EXPECT_EQ(0, Close(session));
    EXPECT_EQ(STATUS_NOT_FOUND, Close(session));
    EXPECT_EQ(STATUS_NOT_FOUND, Write(session, "x").code);
    EXPECT_TRUE(SeesEnd(peer_fd(peer_.get())));
  }
  EXPECT_EQ(0u, CountedSessions());
  EXPECT_TRUE(Eventually([] { return LivingSessions() == 0; }));
}

TEST_F(Session, HasARaceToCloseOneWinner) {
  for (int i = 0; i < 20; i++) {
    uint64_t session = i % 2 == 0 ? OpenOnFd() : OpenInMemory();
    auto request = New<V1(CloseSessionRequest)>();
    request.session = session;
    uint32_t one = client_->Start(request);
    uint32_t two = client_->Start(request);
    int codes[] = {client_->Finish<V1(CloseSessionRequest)>(one).code,
                   client_->Finish<V1(CloseSessionRequest)>(two).code};
    EXPECT_EQ(STATUS_NOT_FOUND, codes[0] + codes[1]);
  }
}

TEST_F(Session, DoSessionsOutliveTheContextTheyCameFrom) {
  uint64_t session = OpenOnFd();
  auto release = New<V1(ReleaseContextRequest)>();
  release.context = client_context_;
  EXPECT_EQ(0, client_->Call(release).code);
  EXPECT_EQ(kDone, Write(session, "still here")->progress->state);
  EXPECT_EQ("still here", ReadPeer(peer_, 10));
  EXPECT_STREQ("TLSv1.3", Describe(session)->negotiated->version_name);
}

}  // namespace
