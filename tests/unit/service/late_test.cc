// SessionService.RequestClientCertificate and UpdateKeys.
#include <thread>

#include "tests/unit/service/harness.h"

namespace {

constexpr auto kDone = TLSAGENT__V1__STATE__STATE_DONE;
constexpr auto kFailed = TLSAGENT__V1__STATE__STATE_FAILED;

class Late : public Sessions {
 protected:
  void SetUp() override {
    Sessions::SetUp();
    V1(VerifyModeValue) mode;
    V1(BoolValue) late;
    V1(ContextSettings) settings;
    V1(TrustSettings) trust;
    tlsagent__v1__verify_mode_value__init(&mode);
    tlsagent__v1__bool_value__init(&late);
    tlsagent__v1__context_settings__init(&settings);
    tlsagent__v1__trust_settings__init(&trust);
    Material root(pki_get()->root->pem);
    V1(Material) * roots[] = {root.get()};
    mode.value = TLSAGENT__V1__VERIFY_MODE__VERIFY_MODE_REQUIRED;
    late.value = 1;
    settings.verify_mode = &mode;
    settings.post_handshake_auth = &late;
    trust.certificates = roots;
    trust.n_certificates = 1;
    auto request = New<V1(ConfigureContextRequest)>();
    request.context = server_context_;
    request.settings = &settings;
    request.trust = &trust;
    auto reply = client_->Call(request);
    ASSERT_EQ(STATUS_OK, reply.code) << reply.message;
    ASSERT_EQ(nullptr, reply->error);
  }
  // Opens a server whose peer has that certificate, on a socket or in memory.
  uint64_t Open(const pki_identity *identity, bool socket) {
    Sockets sockets;
    peer_ = ClientPeer(socket ? sockets.ReleaseTheirs() : -1, TLS1_3_VERSION, identity);
    SSL_set_post_handshake_auth(peer_ssl(peer_.get()), 1);
    Way way;
    How how;
    auto request = New<V1(AcceptRequest)>();
    request.context = server_context_;
    if (socket) {
      how.fds.push_back(sockets.ours());
      request.transport = way.Fd().get();
      uint32_t id = client_->Start(request, how);
      EXPECT_TRUE(peer_handshake(peer_.get()));
      return client_->Finish<V1(AcceptRequest)>(id)->session;
    }
    peer_handshake(peer_.get());
    request.transport = way.Memory(TakePeer(peer_)).get();
    auto opened = client_->Call(request);
    FeedPeer(peer_, Text(opened->progress->output));
    EXPECT_TRUE(peer_handshake(peer_.get()));
    Feed feed(TakePeer(peer_));
    auto shake = New<V1(HandshakeRequest)>();
    shake.session = opened->session;
    shake.feed = feed.get();
    auto shaken = client_->Call(shake);
    EXPECT_EQ(kDone, shaken->progress->state);
    FeedPeer(peer_, Text(shaken->progress->output));
    return opened->session;
  }
  Reply<V1(RequestClientCertificateResponse)> Ask(uint64_t session) {
    auto request = New<V1(RequestClientCertificateRequest)>();
    request.session = session;
    return client_->Call(request);
  }
  Reply<V1(UpdateKeysResponse)> Update(uint64_t session, bool both) {
    auto request = New<V1(UpdateKeysRequest)>();
    request.session = session;
    request.request_peer = both;
    return client_->Call(request);
  }
  std::string PeerOf(uint64_t session) {
    auto request = New<V1(PeerCertificateRequest)>();
    request.session = session;
    auto reply = client_->Call(request);
    EXPECT_EQ(STATUS_OK, reply.code);
    return reply->peer == nullptr ? "" : Text(reply->peer->der);
  }
};

TEST_F(Late, IsTheCertificateThereAfterTheNextRoundInMemory) {
  uint64_t session = Open(pki_get()->client, false);
  EXPECT_EQ("", PeerOf(session));
  auto asked = Ask(session);
  EXPECT_EQ(kDone, asked->progress->state);
  EXPECT_EQ(0u, asked->progress->output.len);
  FeedPeer(peer_, Text(Write(session, "hello")->progress->output));
  EXPECT_EQ("hello", ReadPeer(peer_, 5));
  peer_write(peer_.get(), "me", 2);
  EXPECT_EQ("me", Text(Read(session, TakePeer(peer_))->data));
  EXPECT_EQ(std::string((const char *)pki_get()->client->der.data, pki_get()->client->der.len),
            PeerOf(session));
}

// The Read that waits takes the request along.
TEST_F(Late, IsTheCertificateAskedForOnASocketWhileAReadWaits) {
  uint64_t session = Open(pki_get()->client, true);
  uint32_t waiting = StartRead(*client_, session);
  EXPECT_TRUE(client_->Pending(waiting));
  EXPECT_EQ(kDone, Ask(session)->progress->state);
  char byte;
  std::thread reader([&] { peer_read(peer_.get(), &byte, 1); });  // answers the request
  EXPECT_TRUE(Eventually([&] { return !PeerOf(session).empty(); }));
  EXPECT_EQ(1u, Write(session, "x")->accepted);
  reader.join();
  peer_write(peer_.get(), "me", 2);
  EXPECT_EQ("me", Text(client_->Finish<V1(ReadRequest)>(waiting)->data));
}

TEST_F(Late, DoesTheReadFailThatMeetsNoCertificate) {
  for (bool socket : {false, true}) {
    uint64_t session = Open(nullptr, socket);
    EXPECT_EQ(kDone, Ask(session)->progress->state);
    FeedPeer(peer_, socket ? "" : Text(Write(session, "hello")->progress->output));
    if (socket) {
      Write(session, "hello");
    }
    EXPECT_EQ("hello", ReadPeer(peer_, 5));
    auto read = Read(session, socket ? "" : TakePeer(peer_));
    EXPECT_EQ(kFailed, read->progress->state);
    ASSERT_NE(nullptr, read->progress->error);
    EXPECT_STREQ("PEER_DID_NOT_RETURN_A_CERTIFICATE", read->progress->error->reason);
    EXPECT_EQ(kFailed, Describe(session)->state);
  }
}

TEST_F(Late, IsARefusalNoEnd) {
  uint64_t client = OpenInMemory(ENGINE_CLIENT);
  auto asked = Ask(client);
  EXPECT_EQ(STATUS_OK, asked.code);
  EXPECT_EQ(kFailed, asked->progress->state);
  EXPECT_STREQ("SSL", asked->progress->error->library);
  EXPECT_STREQ("NOT_SERVER", asked->progress->error->reason);
  EXPECT_EQ(kDone, Describe(client)->state);
  EXPECT_EQ(kDone, Write(client, "go on")->progress->state);
  EXPECT_EQ(STATUS_NOT_FOUND, Ask(client + 1).code);
}

TEST_F(Late, DoKeysChange) {
  for (bool both : {false, true}) {
    uint64_t session = OpenInMemory(ENGINE_CLIENT, TLS1_3_VERSION);
    EXPECT_EQ(kDone, Update(session, both)->progress->state);
    EXPECT_GT(Text(Update(session, both)->progress->output).size() +
                  Text(Write(session, "")->progress->output).size(),
              0u);
    EXPECT_EQ(kDone, Describe(session)->state);
  }
  uint64_t old = OpenInMemory(ENGINE_CLIENT, TLS1_2_VERSION);
  auto refused = Update(old, false);
  EXPECT_EQ(kFailed, refused->progress->state);
  EXPECT_STREQ("WRONG_SSL_VERSION", refused->progress->error->reason);
  EXPECT_EQ(kDone, Describe(old)->state);
}

TEST_F(Late, DoKeysChangeOnASocket) {
  uint64_t session = Open(pki_get()->client, true);
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(kDone, Update(session, true)->progress->state);
    Write(session, "hello");
    EXPECT_EQ("hello", ReadPeer(peer_, 5));
    peer_write(peer_.get(), "answer", 6);
    EXPECT_EQ("answer", Text(Read(session)->data));
  }
}

}  // namespace
