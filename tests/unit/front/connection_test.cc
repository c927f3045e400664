// One connection: how far it comes, what is told of it, and that nothing of it stays.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/ring/closer.h"
#include "tests/support/bomb.h"
#include "tests/unit/front/harness.h"

namespace {

class Connection : public FrontTest {
 protected:
  explicit Connection(unsigned num_workers = 2) : FrontTest(num_workers) {}
  // A TLS client of the front, and what came to the back end.
  void Join(int version = 0, const struct pki_identity *identity = nullptr) {
    client_ = ClientPeer(front_listener_.Connect(), version, identity);
    ASSERT_TRUE(peer_handshake(client_.get()));
    at_back_end_ = back_end_.Accept();
  }
  void TearDown() override {
    if (at_back_end_ >= 0) {
      close(at_back_end_);
    }
  }
  void Talk() {
    EXPECT_TRUE(peer_write(client_.get(), "question", 8));
    EXPECT_EQ("question", ReadExactly(at_back_end_, 8));
    Write(at_back_end_, "answer");
    EXPECT_EQ("answer", ReadPeer(client_, 6));
  }
  // Both ends, one after the other.
  void Part() {
    shutdown(at_back_end_, SHUT_WR);
    EXPECT_EQ("", ReadPeer(client_, 1));
    peer_shutdown(client_.get());
    EXPECT_EQ("", ReadToEnd(at_back_end_));
  }
  // Nobody is there, and a moment ago somebody could have been.
  void TakeBackEndAway() {
    back_end_.Close();
  }
  Peer client_;
  int at_back_end_ = -1;
};

TEST_F(Connection, IsItRelayedToTheTarget) {
  Start();
  Join();
  Talk();
  Part();
  Record record = NextRecord();
  ASSERT_NE(nullptr, record);
  EXPECT_EQ(FRONT_RELAYED, record->stage);
  EXPECT_EQ(ENGINE_CLOSED, record->end.result);
  EXPECT_EQ(8u, record->end.bytes_read);
  EXPECT_EQ(6u, record->end.bytes_written);
  ASSERT_TRUE(record->has_negotiated);
  EXPECT_STREQ("TLSv1.3", record->negotiated.version_name);
  EXPECT_STREQ("host.test", record->negotiated.server_name);
  EXPECT_EQ(0, std::string(record->peer).find("127.0.0.1:")) << record->peer;
  struct front_stats stats = Stats();
  EXPECT_EQ(1u, stats.accepted);
  EXPECT_EQ(1u, stats.established);
  EXPECT_EQ(0u, stats.active);
  EXPECT_EQ(8u, stats.bytes_read);
  EXPECT_EQ(6u, stats.bytes_written);
  EXPECT_EQ(0u, stats.handshakes_failed + stats.dials_failed + stats.refused);
}

TEST_F(Connection, IsThePeersAddressItsOwn) {
  Start();
  int fd = front_listener_.Connect();
  struct sockaddr_in address = {};
  socklen_t len = sizeof(address);
  ASSERT_EQ(0, getsockname(fd, (struct sockaddr *)&address, &len));
  close(fd);
  Record record = NextRecord();
  ASSERT_NE(nullptr, record);
  EXPECT_EQ("127.0.0.1:" + std::to_string(ntohs(address.sin_port)), record->peer);
}

class OfAddress : public Connection {
 protected:
  OfAddress() : Connection(1) {}
};

TEST_F(OfAddress, IsItRelayedFromAndToUnixSockets) {
  Listening front(AF_UNIX);
  Listening back(AF_UNIX);
  std::swap(front.fd, front_listener_.fd);
  std::swap(back.fd, back_end_.fd);
  snprintf(config_.target.unix_path, sizeof(config_.target.unix_path), "%s", back.path.c_str());
  Start();
  Join();
  Talk();
  Part();
  Record record = NextRecord();
  ASSERT_NE(nullptr, record);
  EXPECT_EQ(ENGINE_CLOSED, record->end.result);
  EXPECT_STREQ("unix", record->peer);
}

// Whoever is at the Unix socket: the kernel would close it on the worker's thread, and hang.
TEST_F(OfAddress, IsADescriptorBesideThePlaintextNotTheWorkersToClose) {
  Listening back(AF_UNIX);
  std::swap(back.fd, back_end_.fd);
  snprintf(config_.target.unix_path, sizeof(config_.target.unix_path), "%s", back.path.c_str());
  Start();
  Join();
  Bomb bomb;
  Run([&] {  // where the relay is, so that this isn't the last to close it, who hangs
    Bomb::Send(at_back_end_, bomb.fd());
    close(bomb.Release());
  });
  EXPECT_EQ("x", ReadPeer(client_, 1));
  EXPECT_EQ(1u, closer_pending(getuid()));
  Talk();
  bomb.Defuse();
  EXPECT_TRUE(Eventually([] { return closer_pending(getuid()) == 0; }));
}

TEST_F(OfAddress, IsItRelayedFromIpv6) {
  Listening front(AF_INET6);
  std::swap(front.fd, front_listener_.fd);
  Start();
  Join();
  Talk();
  Part();
  Record record = NextRecord();
  ASSERT_NE(nullptr, record);
  EXPECT_EQ(0, std::string(record->peer).find("[::1]:")) << record->peer;
}

TEST_F(OfAddress, IsANameResolved) {
  snprintf(config_.target.host, sizeof(config_.target.host), "localhost");
  Start();
  Join();
  Talk();
}

TEST_F(Connection, IsAFailedHandshakeReportedAndTheTargetLeftAlone) {
  Start();
  int fd = front_listener_.Connect();
  Write(fd, "GET / HTTP/1.0\r\n\r\n");
  ReadToEnd(fd);
  close(fd);
  Record record = NextRecord();
  ASSERT_NE(nullptr, record);
  EXPECT_EQ(FRONT_HANDSHAKE, record->stage);
  EXPECT_EQ(ENGINE_FAILED, record->end.result);
  EXPECT_EQ(TLS_ERROR_TLS, record->end.error->kind);
  EXPECT_FALSE(record->has_negotiated);
  EXPECT_EQ(1u, Stats().handshakes_failed);
  EXPECT_FALSE(back_end_.HasOneWaiting());
}

TEST_F(Connection, IsAClientWhoVanishesBeforeTheHandshakeReported) {
  Start();
  close(front_listener_.Connect());
  Record record = NextRecord();
  ASSERT_NE(nullptr, record);
  EXPECT_EQ(FRONT_HANDSHAKE, record->stage);
  EXPECT_NE(TLS_ERROR_NONE, record->end.error->kind);
}

TEST_F(Connection, MayAHandshakeTakeNoLonger) {
  config_.handshake_nanos = 20 * NANOS_PER_MILLI;
  Start();
  int fd = front_listener_.Connect();
  EXPECT_EQ("", ReadToEnd(fd)) << "it says nothing, and is ended";
  close(fd);
  Record record = NextRecord();
  ASSERT_NE(nullptr, record);
  EXPECT_EQ(FRONT_HANDSHAKE, record->stage);
  EXPECT_EQ(TLS_ERROR_TIMEOUT, record->end.error->kind);
}

TEST_F(Connection, IsATargetThatIsAwayReportedAndTheNextOneTried) {
  uint16_t port = back_end_.port;
  TakeBackEndAway();
  Start();
  client_ = ClientPeer(front_listener_.Connect());
  ASSERT_TRUE(peer_handshake(client_.get()));
  EXPECT_EQ("", ReadPeer(client_, 1));
  Record record = NextRecord();
  ASSERT_NE(nullptr, record);
  EXPECT_EQ(FRONT_DIAL, record->stage);
  EXPECT_EQ(TLS_ERROR_OS, record->end.error->kind);
  EXPECT_EQ(ECONNREFUSED, record->end.error->os_errno);
  EXPECT_TRUE(record->has_negotiated);
  EXPECT_EQ(1u, Stats().dials_failed);
  EXPECT_EQ(port, config_.target.port);
}

TEST_F(Connection, IsATargetsPathThatIsNothingReported) {
  snprintf(config_.target.unix_path, sizeof(config_.target.unix_path), "/nowhere/at/all");
  Start();
  client_ = ClientPeer(front_listener_.Connect());
  ASSERT_TRUE(peer_handshake(client_.get()));
  Record record = NextRecord();
  ASSERT_NE(nullptr, record);
  EXPECT_EQ(FRONT_DIAL, record->stage);
  EXPECT_EQ(ENOENT, record->end.error->os_errno);
}

TEST_F(Connection, IsATargetsNameThatIsNoneReported) {
  snprintf(config_.target.host, sizeof(config_.target.host), "no-such-host.invalid");
  Start();
  client_ = ClientPeer(front_listener_.Connect());
  ASSERT_TRUE(peer_handshake(client_.get()));
  Record record = NextRecord();
  ASSERT_NE(nullptr, record);
  EXPECT_EQ(FRONT_DIAL, record->stage);
  EXPECT_EQ(TLS_ERROR_RESOLVE, record->end.error->kind);
}

TEST_F(Connection, IsATruncationReported) {
  Start();
  Join();
  Talk();
  client_.reset();
  EXPECT_EQ("", ReadToEnd(at_back_end_));
  Record record = NextRecord();
  ASSERT_NE(nullptr, record);
  EXPECT_EQ(FRONT_RELAYED, record->stage);
  EXPECT_EQ(TLS_ERROR_TRUNCATED, record->end.error->kind);
}

TEST_F(Connection, AreOfAnOwnersSessionsNoMoreThanAllowed) {
  limits_.sessions_per_owner = 2;
  Start();
  Join();
  int first = at_back_end_;
  Peer kept = std::move(client_);
  Join();
  int refused = front_listener_.Connect();
  EXPECT_EQ("", ReadToEnd(refused));
  close(refused);
  Record record = NextRecord();
  ASSERT_NE(nullptr, record);
  EXPECT_EQ(FRONT_REFUSED, record->stage);
  EXPECT_EQ(1u, Stats().refused);
  Talk();
  kept.reset();
  EXPECT_EQ("", ReadToEnd(first));
  close(first);
  EXPECT_TRUE(Eventually([this] { return Stats().active == 1; }));
  close(at_back_end_);
  Join();
  Talk();
}

// ---------------------------------------------------------------------------------------------
// The other way round: plaintext in, TLS out.

class Outward : public FrontTest {
 protected:
  Outward() {
    config_.context = client_context_;
    config_.role = ENGINE_CLIENT;
    snprintf(config_.server_name, sizeof(config_.server_name), "host.test");
  }
};

TEST_F(Outward, IsPlaintextRelayedToATlsServer) {
  Start();
  int near = front_listener_.Connect();
  Peer server = ServerPeer(back_end_.Accept());
  ASSERT_TRUE(peer_handshake(server.get()));
  Write(near, "question");
  EXPECT_EQ("question", ReadPeer(server, 8));
  peer_write(server.get(), "answer", 6);
  EXPECT_EQ("answer", ReadExactly(near, 6));
  shutdown(near, SHUT_WR);
  EXPECT_EQ("", ReadPeer(server, 1));
  peer_shutdown(server.get());
  EXPECT_EQ("", ReadToEnd(near));
  close(near);
  Record record = NextRecord();
  ASSERT_NE(nullptr, record);
  EXPECT_EQ(FRONT_RELAYED, record->stage);
  EXPECT_EQ(ENGINE_CLOSED, record->end.result);
}

TEST_F(Outward, IsAServerWithTheWrongNameRefused) {
  Start();
  int near = front_listener_.Connect();
  Peer server = ServerPeer(back_end_.Accept(), 0, pki_get()->wrong_host);
  EXPECT_FALSE(peer_handshake(server.get()) && ReadPeer(server, 1) != "");
  EXPECT_EQ("", ReadToEnd(near));
  close(near);
  Record record = NextRecord();
  ASSERT_NE(nullptr, record);
  EXPECT_EQ(FRONT_HANDSHAKE, record->stage);
  EXPECT_EQ(TLS_ERROR_VERIFY, record->end.error->kind);
}

TEST_F(Outward, IsAServerThatIsAwayReported) {
  back_end_.Close();
  Start();
  int near = front_listener_.Connect();
  EXPECT_EQ("", ReadToEnd(near));
  close(near);
  Record record = NextRecord();
  ASSERT_NE(nullptr, record);
  EXPECT_EQ(FRONT_DIAL, record->stage);
  EXPECT_EQ(ECONNREFUSED, record->end.error->os_errno);
}

// ---------------------------------------------------------------------------------------------
// Its front's end

TEST_F(Connection, DoesItEndWithItsFront) {
  Start();
  Join();
  Talk();
  front_close(front_);
  EXPECT_EQ("", ReadToEnd(at_back_end_));
  EXPECT_EQ("", ReadPeer(client_, 1));
  Record record = NextRecord();
  ASSERT_NE(nullptr, record);
  EXPECT_EQ(TLS_ERROR_CLOSED_HERE, record->end.error->kind);
}

TEST_F(Connection, DoesItGoOnWhileItsFrontIsDrained) {
  Start();
  Join();
  fronts_drain(&fronts_);
  fronts_drain(&fronts_);
  EXPECT_EQ(1u, fronts_await_end(&fronts_, clock_now()));
  Talk();
  EXPECT_FALSE(front_is_closed(front_));
  Part();
  EXPECT_EQ(0u, fronts_await_end(&fronts_, clock_now() + kPatienceMs * NANOS_PER_MILLI));
  EXPECT_TRUE(front_is_closed(front_));
  EXPECT_TRUE(front_was_drained(front_));
}

TEST_F(Connection, DoesNoOtherComeOnceItsFrontIsDrained) {
  Start();
  Join();
  fronts_drain(&fronts_);
  // Accepts that the kernel has begun may still end.
  usleep(50000);
  uint64_t accepted = Stats().accepted;
  close(front_listener_.Connect());
  usleep(50000);
  EXPECT_EQ(accepted, Stats().accepted);
  front_close(front_);
  EXPECT_EQ("", ReadToEnd(at_back_end_));
}

TEST_F(Connection, DoesItEndWithItsFrontInMidHandshake) {
  Start();
  int fd = front_listener_.Connect();
  EXPECT_TRUE(Eventually([this] { return Stats().active == 1; }));
  front_close(front_);
  EXPECT_EQ("", ReadToEnd(fd));
  close(fd);
  Record record = NextRecord();
  ASSERT_NE(nullptr, record);
  EXPECT_EQ(FRONT_HANDSHAKE, record->stage);
}

// TEST-NET-1 (RFC 5737): where it is routed nobody answers, and else it fails at once.
TEST_F(Connection, DoesItEndWithItsFrontWhileDialling) {
  snprintf(config_.target.host, sizeof(config_.target.host), "192.0.2.1");
  Start();
  client_ = ClientPeer(front_listener_.Connect());
  ASSERT_TRUE(peer_handshake(client_.get()));
  End();
  EXPECT_EQ("", ReadPeer(client_, 1));
}

TEST_F(Connection, IsADecisionThatNobodyTakesAFailedHandshake) {
  struct tls_context_change change = {};
  struct tls_pair pair = {};
  pair.chain = slice_of_string(pki_get()->server->chain_pem);
  pair.key = slice_of_string(pki_get()->server->key_pem);
  change.pairs = &pair;
  change.num_pairs = 1;
  change.settings.present = TLS_SET_DECISIONS;
  change.settings.decisions.server_name = true;
  struct tls_error error;
  ASSERT_TRUE(status_ok(tls_context_new(TLS_CONTEXT_SERVER, &change, &config_.context, &error)));
  Start();
  client_ = ClientPeer(front_listener_.Connect());
  EXPECT_FALSE(peer_handshake(client_.get()));
  Record record = NextRecord();
  ASSERT_NE(nullptr, record);
  EXPECT_EQ(FRONT_HANDSHAKE, record->stage);
  EXPECT_EQ(TLS_ERROR_INVALID, record->end.error->kind);
  tls_context_unref(config_.context);
}

}  // namespace
