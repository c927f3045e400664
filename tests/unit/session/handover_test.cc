// Who has the connection, and what is told of the session, once the kernel has the keys or not.
#include "server/session/handover.h"

#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>

#include "server/session/relay.h"
#include "tests/support/fake_kernel.h"
#include "tests/unit/session/harness.h"

namespace {

struct Ending {
  struct session_ended waiter = {};
  struct session *session = nullptr;
  struct relay_end end = {};
  std::atomic<int> times{0};
};

void OnEnded(struct session_ended *waiter) {
  Ending *ending = LIST_ENTRY(waiter, Ending, waiter);
  EXPECT_TRUE(session_relay_end(ending->session, &ending->end));
  ending->times++;
}

class HandoverTest : public SessionTest {
 protected:
  static void SetUpTestSuite() {
    SessionTest::SetUpTestSuite();
    engine_allow_traffic_keys();
  }
  void Shake(enum engine_role role, int version = 0, bool tcp = true, bool keys = true) {
    Sockets sockets(tcp);
    Wish wish;
    wish.role = role;
    wish.path = SESSION_FD;
    wish.fd = sockets.ours;
    wish.traffic_keys = keys;
    struct stat socket;
    ASSERT_EQ(fstat(sockets.ours, &socket), 0);
    inode_ = socket.st_ino;
    session_ = Make(wish);
    peer_ = role == ENGINE_CLIENT ? ServerPeer(sockets.theirs, version)
                                  : ClientPeer(sockets.theirs, version);
    Operation handshake(SESSION_HANDSHAKE);
    Submit(session_, handshake);
    ASSERT_TRUE(peer_handshake(peer_.get()));
    ASSERT_EQ(ENGINE_DONE, handshake.Result()) << handshake.op.error.text;
  }
  enum handover_result HandOver() {
    enum handover_result result = HANDOVER_BROKE;
    Run([&] { result = session_hand_over(session_, &out_); });
    return result;
  }
  std::string WhyNot() {
    EXPECT_EQ(HandOver(), HANDOVER_NOT_POSSIBLE);
    EXPECT_EQ(out_.fd, -1);
    return out_.why;
  }
  // The session is as it was.
  void Talk() {
    Operation write(SESSION_WRITE);
    EXPECT_EQ(Do(session_, write.Data("still here")), ENGINE_DONE);
    EXPECT_EQ(ReadPeer(peer_, 10), "still here");
  }
  struct session *session_ = nullptr;
  Peer peer_;
  ino_t inode_ = 0;
  struct handover out_ = {};
  FakeKernel kernel_;
};

TEST_F(HandoverTest, DoesTheSocketComeBackWhileItsKeysGo) {
  for (enum engine_role role : {ENGINE_CLIENT, ENGINE_SERVER}) {
    Shake(role);
    ASSERT_EQ(HandOver(), HANDOVER_DONE) << out_.why;
    struct stat socket;
    ASSERT_EQ(fstat(out_.fd, &socket), 0);
    EXPECT_EQ(socket.st_ino, inode_);
    EXPECT_FALSE(kernel_.Send().empty());
    EXPECT_FALSE(kernel_.Receive().empty());
    EXPECT_NE(kernel_.Send(), kernel_.Receive());
    char nothing;
    EXPECT_EQ(recv(out_.fd, &nothing, 1, MSG_DONTWAIT | MSG_PEEK) < 0, role == ENGINE_SERVER)
        << "the connection is open, and a client's has tickets coming";
    close(out_.fd);
  }
}

TEST_F(HandoverTest, IsTheSessionOverAndItsConnectionNot) {
  Shake(ENGINE_SERVER);
  ASSERT_EQ(HandOver(), HANDOVER_DONE) << out_.why;
  Ending ending;
  ending.session = session_;
  ending.waiter.ended = OnEnded;
  Run([&] {
    list_init(&ending.waiter.link);
    EXPECT_TRUE(session_is_relay(session_));
    session_await_end(session_, &ending.waiter);
  });
  ASSERT_TRUE(Eventually([&] { return ending.times == 1; }));
  EXPECT_EQ(ending.end.result, ENGINE_DONE);
  Close(session_);
  Run([&] {
    EXPECT_TRUE(session_relay_end(session_, &ending.end));
    EXPECT_EQ(ending.end.result, ENGINE_DONE) << "closing it later changes nothing";
  });
  char nothing;
  EXPECT_EQ(recv(out_.fd, &nothing, 1, MSG_DONTWAIT), -1);
  EXPECT_EQ(errno, EAGAIN);
  close(out_.fd);
}

TEST_F(HandoverTest, DoesASessionThatWasHandedOverStaySo) {
  Shake(ENGINE_SERVER);
  ASSERT_EQ(HandOver(), HANDOVER_DONE) << out_.why;
  close(out_.fd);
  EXPECT_EQ(WhyNot(),
            "the session is no established one of the socket path, or has calls in flight");
  EXPECT_EQ(kernel_.Order().size(), 3u);
}

TEST_F(HandoverTest, IsHalfAConnectionNone) {
  kernel_.Refuse(0, 0, EINVAL);
  Shake(ENGINE_SERVER);
  EXPECT_EQ(HandOver(), HANDOVER_BROKE);
  EXPECT_STREQ(out_.why,
               "the kernel took the keys to send with, and not those to receive: Invalid argument");
  EXPECT_EQ(out_.fd, -1);
  Operation write(SESSION_WRITE);
  EXPECT_EQ(Do(session_, write.Data("x")), ENGINE_FAILED);
  EXPECT_EQ(write.op.error.kind, TLS_ERROR_OS);
  EXPECT_EQ(write.op.error.os_errno, EINVAL);
  EXPECT_EQ(ReadPeer(peer_, 1), "");
}

TEST_F(HandoverTest, DoesAKernelThatRefusesLeaveTheSessionAsItWas) {
  Shake(ENGINE_CLIENT);
  kernel_.Refuse(ENOENT, 0, 0);
  EXPECT_EQ(WhyNot(), "the kernel refused: No such file or directory");
  Talk();
  kernel_.Refuse(0, 0, 0);
  Operation tickets(SESSION_READ);
  EXPECT_EQ(Do(session_, tickets.Room(100).Wait(1)), ENGINE_WANT_INPUT);
  EXPECT_EQ(WhyNot(), "the daemon is reading from the socket")
      << "what was asked for isn't taken back";
}

TEST_F(HandoverTest, IsOnlyTls13OnTcpHandedOver) {
  Shake(ENGINE_CLIENT, TLS1_2_VERSION);
  EXPECT_EQ(WhyNot(), "only TLS 1.3 is handed to the kernel");
  Talk();
  Shake(ENGINE_CLIENT, 0, false);
  EXPECT_EQ(WhyNot(), "the socket is not TCP");
  Talk();
  Shake(ENGINE_CLIENT, 0, true, false);
  EXPECT_EQ(WhyNot(),
            "the keys of this session were not kept: the wish has to come with Connect or Accept");
  Talk();
  EXPECT_TRUE(kernel_.Order().empty());
}

TEST_F(HandoverTest, IsNothingLostThatThePeerSentBefore) {
  Shake(ENGINE_SERVER);
  ASSERT_TRUE(peer_write(peer_.get(), "early birds", 11));
  Operation first(SESSION_READ);
  ASSERT_EQ(Do(session_, first.Room(5)), ENGINE_DONE);
  EXPECT_EQ(WhyNot(), "the peer has sent something already");
  Operation rest(SESSION_READ);
  ASSERT_EQ(Do(session_, rest.Room(100)), ENGINE_DONE);
  EXPECT_EQ(first.plaintext + rest.plaintext, "early birds");
}

// A client whose request comes in one piece with its Finished.
TEST_F(HandoverTest, IsNothingLostThatCameWithTheHandshake) {
  Sockets sockets(true);
  Wish wish;
  wish.role = ENGINE_SERVER;
  wish.path = SESSION_FD;
  wish.fd = sockets.ours;
  wish.traffic_keys = true;
  session_ = Make(wish);
  peer_ = ClientPeer(-1);
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session_, handshake);
  bool done = false;
  for (int i = 0; i < 10 && !done; i++) {
    done = peer_handshake(peer_.get());
    if (done) {
      ASSERT_TRUE(peer_write(peer_.get(), "GET /", 5));
    }
    std::string flight = TakePeer(peer_);
    ASSERT_EQ(send(sockets.theirs, flight.data(), flight.size(), 0), (ssize_t)flight.size());
    char buffer[16384];
    ssize_t got = done ? 0 : recv(sockets.theirs, buffer, sizeof(buffer), 0);
    ASSERT_GE(got, 0);
    FeedPeer(peer_, std::string(buffer, (size_t)got));
  }
  ASSERT_EQ(handshake.Result(), ENGINE_DONE) << handshake.op.error.text;
  EXPECT_EQ(WhyNot(), "the peer has sent something already");
  EXPECT_TRUE(kernel_.Order().empty());
  Operation read(SESSION_READ);
  ASSERT_EQ(Do(session_, read.Room(100)), ENGINE_DONE);
  EXPECT_EQ(read.plaintext, "GET /");
  close(sockets.theirs);
}

TEST_F(HandoverTest, DoesItWaitForCallsAndReads) {
  Shake(ENGINE_SERVER);
  Operation read(SESSION_READ);
  Submit(session_, read.Room(100));
  ASSERT_TRUE(read.Pending());
  EXPECT_EQ(WhyNot(),
            "the session is no established one of the socket path, or has calls in flight");
  Cancel(read);
  EXPECT_EQ(WhyNot(), "the daemon is reading from the socket");
  Talk();
}

}  // namespace
