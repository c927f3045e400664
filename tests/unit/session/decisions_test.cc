// Sessions that wait for a decision, on their worker and its fibres.
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "tests/support/fibres.h"
#include "tests/unit/session/harness.h"

namespace {

unsigned GiveKey(SSL *, const char *, char *identity, unsigned max_identity, unsigned char *key,
                 unsigned) {
  snprintf(identity, max_identity, "me");
  memcpy(key, "secret", 6);
  return 6;
}

class Decisions : public SessionTest {
 protected:
  void SetUp() override {
    tls_context_change change = {};
    tls_pair pair = {};
    pair.chain = slice_of_string(pki_get()->server->chain_pem);
    pair.key = slice_of_string(pki_get()->server->key_pem);
    change.pairs = &pair;
    change.num_pairs = 1;
    change.settings.present = TLS_SET_DECISIONS;
    change.settings.decisions.server_name = true;
    asking_ = MakeAsking(&change);
    change.num_pairs = 0;
    change.settings.decisions.server_name = false;
    change.settings.decisions.psk_server = true;
    change.settings.present |= TLS_SET_CIPHERS | TLS_SET_CIPHERSUITES;
    change.settings.ciphers = "PSK";
    change.settings.ciphersuites = "TLS_AES_128_GCM_SHA256";
    psk_ = MakeAsking(&change);
  }
  void TearDown() override {
    tls_context_unref(asking_);
    tls_context_unref(psk_);
  }
  static struct tls_context *MakeAsking(const struct tls_context_change *change) {
    struct tls_context *context = nullptr;
    struct tls_error error;
    EXPECT_EQ(STATUS_OK, tls_context_new(TLS_CONTEXT_SERVER, change, &context, &error).code)
        << error.text;
    return context;
  }
  struct session *MakeServer(struct tls_context *context, int fd = -1) {
    Wish wish;
    wish.role = ENGINE_SERVER;
    wish.path = fd < 0 ? SESSION_MEMORY : SESSION_FD;
    wish.fd = fd;
    wish.context = context;
    return Make(wish);
  }
  void Answer(struct session *session, enum engine_answer_kind kind, const char *key = "",
              status_code expected = STATUS_OK) {
    Run([&] {
      struct engine_answer answer = {};
      const char *why = nullptr;
      answer.kind = kind;
      answer.alert = 40;
      answer.identity = "";
      answer.key = slice_of_string(key);
      EXPECT_EQ(expected, engine_answer(session_engine(session), &answer, &why).code);
    });
  }
  static Peer PskPeer(int fd, int version) {
    Peer peer = ClientPeer(fd, version);
    SSL_set_cipher_list(peer_ssl(peer.get()), "PSK");
    SSL_set_ciphersuites(peer_ssl(peer.get()), "TLS_AES_128_GCM_SHA256");
    SSL_set_psk_client_callback(peer_ssl(peer.get()), GiveKey);
    SSL_set_verify(peer_ssl(peer.get()), SSL_VERIFY_NONE, nullptr);
    return peer;
  }
  // The peer's first flight on a socket, from one in memory.
  static void Send(const Peer &peer, int fd) {
    peer_handshake(peer.get());
    std::string hello = TakePeer(peer);
    EXPECT_EQ((ssize_t)hello.size(), send(fd, hello.data(), hello.size(), 0));
  }
  struct tls_context *asking_ = nullptr;
  struct tls_context *psk_ = nullptr;
};

TEST_F(Decisions, AreBothLanesAnsweredWithIt) {
  Sockets sockets;
  struct session *session = MakeServer(asking_, sockets.ours);
  Operation read(SESSION_READ);
  Operation write(SESSION_WRITE);
  Submit(session, read.Room(10));
  Submit(session, write.Data("early"));
  Send(ClientPeer(-1), sockets.theirs);
  EXPECT_EQ(ENGINE_WANT_DECISION, read.Result());
  EXPECT_EQ(ENGINE_WANT_DECISION, write.Result());
  EXPECT_EQ(0u, write.op.transferred);
  EXPECT_EQ(ENGINE_WANT_DECISION, session_state(session));
  Operation again(SESSION_HANDSHAKE);
  EXPECT_EQ(ENGINE_WANT_DECISION, Do(session, again.Wait(10000))) << "and no wait is for it";
  close(sockets.theirs);
}

TEST_F(Decisions, DoesAnAnsweredHandshakeGoOnOnASocket) {
  Sockets sockets;
  struct session *session = MakeServer(asking_, sockets.ours);
  Peer peer = ClientPeer(sockets.theirs);
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session, handshake);
  std::thread shaking([&] { EXPECT_TRUE(peer_handshake(peer.get())); });
  EXPECT_EQ(ENGINE_WANT_DECISION, handshake.Result());
  Answer(session, ENGINE_PROCEED);
  Operation rest(SESSION_HANDSHAKE);
  EXPECT_EQ(ENGINE_DONE, Do(session, rest));
  shaking.join();
  EXPECT_EQ(ENGINE_DONE, session_state(session));
}

TEST_F(Decisions, IsASessionThatWaitsClosed) {
  Sockets sockets;
  struct session *session = MakeServer(asking_, sockets.ours);
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session, handshake);
  Send(ClientPeer(-1), sockets.theirs);
  EXPECT_EQ(ENGINE_WANT_DECISION, handshake.Result());
  Close(session);
  char byte;
  EXPECT_EQ(0, recv(sockets.theirs, &byte, 1, 0)) << "and nothing is sent";
  close(sockets.theirs);
}

class Keys : public Decisions, public testing::WithParamInterface<int> {
 protected:
  void SetUp() override {
    if (!CanGoBackToFibres()) {
      GTEST_SKIP() << "no fibres";
    }
    Decisions::SetUp();
  }
};
INSTANTIATE_TEST_SUITE_P(Decisions, Keys, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(Keys, DoesTheHandshakeGoOnWithAKey) {
  Sockets sockets;
  struct session *session = MakeServer(psk_, sockets.ours);
  Peer peer = PskPeer(sockets.theirs, GetParam());
  Operation read(SESSION_READ);
  Submit(session, read.Room(10));
  std::thread shaking([&] {
    EXPECT_TRUE(peer_handshake(peer.get()));
    EXPECT_TRUE(peer_write(peer.get(), "hello", 5));
  });
  EXPECT_EQ(ENGINE_WANT_DECISION, read.Result());
  Run([&] { EXPECT_STREQ("me", engine_decision(session_engine(session))->psk_identity); });
  Answer(session, ENGINE_PROCEED, "", STATUS_INVALID_ARGUMENT);
  Answer(session, ENGINE_PSK, "secret");
  Operation rest(SESSION_READ);
  EXPECT_EQ(ENGINE_DONE, Do(session, rest.Room(10)));
  EXPECT_EQ("hello", rest.plaintext);
  shaking.join();
}

// Whether anything is lost is for LeakSanitizer to say.
TEST_P(Keys, AreManyThatWaitFreedOnTheirWorker) {
  if (GetParam() != TLS1_3_VERSION) {
    GTEST_SKIP() << "there a ClientHello is enough to be asked";
  }
  enum { MANY = 200 };
  uint64_t before = Living();
  std::vector<Sockets> sockets(MANY);
  std::vector<struct session *> waiting;
  for (Sockets &pair : sockets) {
    struct session *session = MakeServer(psk_, pair.ours);
    Peer peer = PskPeer(-1, GetParam());
    Operation handshake(SESSION_HANDSHAKE);
    Send(peer, pair.theirs);
    EXPECT_EQ(ENGINE_WANT_DECISION, Do(session, handshake));
    waiting.push_back(session);
  }
  Sockets other;
  struct session *served = MakeServer(server_context_, other.ours);
  Peer peer = ClientPeer(other.theirs);
  Operation handshake(SESSION_HANDSHAKE);
  Submit(served, handshake);
  EXPECT_TRUE(peer_handshake(peer.get())) << "others go on";
  EXPECT_EQ(ENGINE_DONE, handshake.Result());
  for (size_t i = 0; i < waiting.size(); i++) {
    Close(waiting[i]);
    Release(waiting[i]);
    close(sockets[i].theirs);
  }
  EXPECT_TRUE(Eventually([&] { return Living() == before + 1; }));
}

}  // namespace
