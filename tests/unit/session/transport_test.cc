// The socket path's transport: how it begins, what it takes along, how it ends.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "server/ring/closer.h"
#include "server/session/session.h"
#include "tests/support/bomb.h"
#include "tests/unit/session/harness.h"

namespace {

// ---------------------------------------------------------------------------------------------
// Dialling

class Dial : public SessionTest {
 protected:
  struct session *Call(const std::string &host, uint16_t port) {
    Wish wish;
    wish.path = SESSION_DIAL;
    wish.host = host;
    wish.port = port;
    return Make(wish);
  }
};

TEST_F(Dial, DoHandsGetShakenOnAConnectionOfItsOwn) {
  uint16_t port = 0;
  int listener = ListenTcp(&port);
  struct session *session = Call("127.0.0.1", port);
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session, handshake);
  Peer peer = ServerPeer(accept(listener, nullptr, nullptr));
  EXPECT_TRUE(peer_handshake(peer.get()));
  EXPECT_EQ(ENGINE_DONE, handshake.Result());
  Operation write(SESSION_WRITE);
  EXPECT_EQ(ENGINE_DONE, Do(session, write.Data("hello")));
  EXPECT_EQ("hello", ReadPeer(peer, 5));
  close(listener);
}

TEST_F(Dial, IsANameResolved) {
  uint16_t port = 0;
  int listener = ListenTcp(&port);
  struct session *session = Call("localhost", port);
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session, handshake);
  Peer peer = ServerPeer(accept(listener, nullptr, nullptr));
  EXPECT_TRUE(peer_handshake(peer.get()));
  EXPECT_EQ(ENGINE_DONE, handshake.Result());
  close(listener);
}

// A port that was free a moment ago.
uint16_t NobodysPort() {
  uint16_t port = 0;
  close(ListenTcp(&port));
  return port;
}

TEST_F(Dial, IsARefusedConnectionAnOsError) {
  struct session *session = Call("127.0.0.1", NobodysPort());
  Operation handshake(SESSION_HANDSHAKE);
  EXPECT_EQ(ENGINE_FAILED, Do(session, handshake));
  EXPECT_EQ(TLS_ERROR_OS, handshake.op.error.kind);
  EXPECT_EQ(ECONNREFUSED, handshake.op.error.os_errno);
  Operation late(SESSION_WRITE);
  EXPECT_EQ(ENGINE_FAILED, Do(session, late.Data("x"))) << "and what comes later fails too";
  EXPECT_EQ(ECONNREFUSED, late.op.error.os_errno);
}

TEST_F(Dial, IsAnUnknownNameAResolveError) {
  struct session *session = Call("no-such-host.invalid", 443);
  Operation handshake(SESSION_HANDSHAKE);
  EXPECT_EQ(ENGINE_FAILED, Do(session, handshake));
  EXPECT_EQ(TLS_ERROR_RESOLVE, handshake.op.error.kind);
  EXPECT_STRNE("", handshake.op.error.text);
}

// Listens, and its queue is full: the kernel answers nobody who connects (listen(2)).
class FullListener {
 public:
  FullListener() : fd_(ListenTcp(&port)) {
    EXPECT_EQ(0, listen(fd_, 0));
    struct sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    for (int &waiting : waiting_) {
      waiting = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      (void)!connect(waiting, (struct sockaddr *)&address, sizeof(address));
    }
  }
  ~FullListener() {
    for (int waiting : waiting_) {
      close(waiting);
    }
    close(fd_);
  }
  uint16_t port = 0;

 private:
  int fd_;
  int waiting_[4];
};

TEST_F(Dial, CanItBeClosedWhileConnecting) {
  FullListener nobody;
  struct session *session = Call("127.0.0.1", nobody.port);
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session, handshake);
  Close(session);
  EXPECT_EQ(ENGINE_FAILED, handshake.Result());
}

TEST_F(Dial, CanItBeClosedWhileResolving) {
  for (int i = 0; i < 5; i++) {
    struct session *session = Call("no-such-host.invalid", 443);
    Operation handshake(SESSION_HANDSHAKE);
    Submit(session, handshake);
    Close(session);
    EXPECT_EQ(ENGINE_FAILED, handshake.Result());
  }
}

TEST_F(Dial, CanItBeGivenUpBeforeItIsConnected) {
  FullListener nobody;
  struct session *session = Call("127.0.0.1", nobody.port);
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session, handshake);
  Cancel(handshake);
  Close(session);
  Release(session);
  EXPECT_TRUE(Eventually([] { return Living() == 0; }));
}

// The answer to one that waited is a want-state, and the connection goes on being made.
TEST_F(Dial, DoesAWaitRunOutWhileDialling) {
  uint16_t port = 0;
  int listener = ListenTcp(&port);
  struct session *session = Call("127.0.0.1", port);
  Operation impatient(SESSION_HANDSHAKE);
  EXPECT_EQ(ENGINE_WANT_INPUT, Do(session, impatient.Wait(20)));
  Peer peer = ServerPeer(accept(listener, nullptr, nullptr));
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session, handshake);
  EXPECT_TRUE(peer_handshake(peer.get()));
  EXPECT_EQ(ENGINE_DONE, handshake.Result());
  close(listener);
}

TEST_F(Dial, IsAResolverThatIsFullSaid) {
  struct resolver *full = nullptr;
  ASSERT_TRUE(status_ok(resolver_new(1, 0, &full)));
  std::swap(full, resolver_);
  Wish wish;
  wish.path = SESSION_DIAL;
  wish.host = "localhost";
  wish.port = 443;
  struct tls_error error;
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, TryMake(wish, &error).code);
  std::swap(full, resolver_);
  resolver_free(full);
}

// ---------------------------------------------------------------------------------------------
// Ends

class Transport : public Shaken {};

TEST_F(Transport, IsACleanEndToldFromATruncation) {
  Shake();
  Operation read(SESSION_READ);
  Submit(session_, read.Room(10));
  peer_shutdown(peer_.get());
  EXPECT_EQ(ENGINE_CLOSED, read.Result());
  Shake();
  Operation cut(SESSION_READ);
  Submit(session_, cut.Room(10));
  peer_.reset();
  EXPECT_EQ(ENGINE_FAILED, cut.Result());
  EXPECT_EQ(TLS_ERROR_TRUNCATED, cut.op.error.kind);
}

TEST_F(Transport, IsWhatCameBeforeTheEndStillThere) {
  Shake();
  std::string data = Pattern(200 * 1000);
  std::thread writer([&] {
    EXPECT_TRUE(peer_write(peer_.get(), data.data(), data.size()));
    peer_.reset();
  });
  std::string heard;
  enum engine_result result = ENGINE_DONE;
  Operation last(SESSION_READ);
  while (result == ENGINE_DONE) {
    Operation read(SESSION_READ);
    result = Do(session_, read.Room(10000));
    heard += read.plaintext;
  }
  EXPECT_EQ(ENGINE_FAILED, result);
  EXPECT_TRUE(heard == data);
  writer.join();
}

void Reset(Peer *peer) {
  struct linger now = {1, 0};
  setsockopt(peer_fd(peer->get()), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  peer->reset();
}

TEST_F(Transport, IsAResetAnOsError) {
  Shake(ENGINE_CLIENT, 0, true);
  Operation read(SESSION_READ);
  Submit(session_, read.Room(10));
  Reset(&peer_);
  EXPECT_EQ(ENGINE_FAILED, read.Result());
  EXPECT_EQ(TLS_ERROR_OS, read.op.error.kind);
  EXPECT_EQ(ECONNRESET, read.op.error.os_errno);
  EXPECT_EQ(TLS_ERROR_OS, session_error(session_)->kind);
}

TEST_F(Transport, DoWritesToNobodyFailAndSayWhy) {
  Shake();
  peer_.reset();
  Operation write(SESSION_WRITE);
  EXPECT_EQ(ENGINE_FAILED, Do(session_, write.Data(Pattern(1000))));
  EXPECT_EQ(TLS_ERROR_OS, write.op.error.kind);
  EXPECT_EQ(EPIPE, write.op.error.os_errno);
  Operation again(SESSION_WRITE);
  EXPECT_EQ(ENGINE_FAILED, Do(session_, again.Data("x")));
  EXPECT_EQ(EPIPE, again.op.error.os_errno);
  Operation shutdown(SESSION_SHUTDOWN);
  EXPECT_EQ(ENGINE_FAILED, Do(session_, shutdown));
}

// The peer said why it left before it left: a write that failed must not hide that.
TEST_F(Transport, CanTheLastWordsBeReadAfterAWriteFailed) {
  Shake();
  peer_write(peer_.get(), "last words", 10);
  peer_shutdown(peer_.get());
  peer_.reset();
  Operation write(SESSION_WRITE);
  EXPECT_EQ(ENGINE_FAILED, Do(session_, write.Data("too late")));
  Operation read(SESSION_READ);
  EXPECT_EQ(ENGINE_DONE, Do(session_, read.Room(100)));
  EXPECT_EQ("last words", read.plaintext);
  Operation end(SESSION_READ);
  EXPECT_EQ(ENGINE_CLOSED, Do(session_, end.Room(100)));
}

// Each operation has its own reason, the session the first.
TEST_F(Transport, IsAFailureNotBlamedOnAnEarlierOne) {
  Shake();
  peer_.reset();
  Operation write(SESSION_WRITE);
  EXPECT_EQ(ENGINE_FAILED, Do(session_, write.Data("x")));
  Operation read(SESSION_READ);
  EXPECT_EQ(ENGINE_FAILED, Do(session_, read.Room(100)));
  EXPECT_EQ(TLS_ERROR_TRUNCATED, read.op.error.kind);
  EXPECT_EQ(TLS_ERROR_OS, session_error(session_)->kind);
}

TEST_F(Transport, DoesAnAlertInTheMiddleOfAHandshakeSayWhich) {
  struct tls_context *strict =
      MakeContext(TLS_CONTEXT_SERVER, pki_get()->server, pki_get()->root, false);
  Sockets sockets;
  Wish wish;
  wish.role = ENGINE_SERVER;
  wish.path = SESSION_FD;
  wish.fd = sockets.ours;
  wish.context = strict;
  struct session *session = Make(wish);
  Peer peer = ClientPeer(sockets.theirs, TLS1_2_VERSION);  // and no certificate
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session, handshake);
  EXPECT_FALSE(peer_handshake(peer.get())) << "it was told before the session was gone";
  EXPECT_EQ(ENGINE_FAILED, handshake.Result());
  EXPECT_EQ(TLS_ERROR_TLS, handshake.op.error.kind);
  EXPECT_STREQ("PEER_DID_NOT_RETURN_A_CERTIFICATE", handshake.op.error.reason);
  EXPECT_EQ(SSL_AD_HANDSHAKE_FAILURE, handshake.op.error.alert);
  tls_context_unref(strict);
}

// ---------------------------------------------------------------------------------------------
// What follows TLS

TEST_F(Transport, IsWhatFollowsCloseNotifyHandedBack) {
  Shake();
  peer_shutdown(peer_.get());
  EXPECT_EQ(9, send(peer_fd(peer_.get()), "plaintext", 9, 0));
  Operation read(SESSION_READ);
  Submit(session_, read.Room(10));
  EXPECT_EQ(ENGINE_CLOSED, read.Result());
  Operation shutdown(SESSION_SHUTDOWN);
  EXPECT_EQ(ENGINE_DONE, Do(session_, shutdown));
  EXPECT_EQ("plaintext", shutdown.trailing);
  Operation again(SESSION_SHUTDOWN);
  EXPECT_EQ(ENGINE_DONE, Do(session_, again));
  EXPECT_EQ("", again.trailing) << "once";
}

TEST_F(Transport, IsItHandedBackToOneThatAwaitedThePeer) {
  Shake();
  Operation shutdown(SESSION_SHUTDOWN);
  Submit(session_, shutdown.AwaitPeer());
  EXPECT_TRUE(shutdown.Pending());
  char byte;
  EXPECT_EQ(0u, peer_read(peer_.get(), &byte, 1));
  EXPECT_TRUE(peer_was_shut_down(peer_.get()));
  peer_shutdown(peer_.get());
  EXPECT_EQ(ENGINE_DONE, shutdown.Result());
}

TEST_F(Transport, IsPlaintextBeforeThePeersCloseNotifyCountedAway) {
  Shake();
  peer_write(peer_.get(), "unread", 6);
  peer_shutdown(peer_.get());
  Operation shutdown(SESSION_SHUTDOWN);
  EXPECT_EQ(ENGINE_DONE, Do(session_, shutdown.AwaitPeer()));
  EXPECT_EQ(6u, shutdown.op.discarded);
}

TEST_F(Transport, IsAShutdownWhosePeerJustLeavesTruncated) {
  Shake();
  Operation shutdown(SESSION_SHUTDOWN);
  Submit(session_, shutdown.AwaitPeer());
  char byte;
  EXPECT_EQ(0u, peer_read(peer_.get(), &byte, 1));
  peer_.reset();
  EXPECT_EQ(ENGINE_FAILED, shutdown.Result());
  EXPECT_EQ(TLS_ERROR_TRUNCATED, shutdown.op.error.kind);
}

// ---------------------------------------------------------------------------------------------
// The descriptor

TEST_F(Transport, IsTheFlagOfTheCallersSocketLeftAlone) {
  for (int flag : {0, O_NONBLOCK}) {
    Sockets sockets(true);
    int callers = dup(sockets.ours);
    fcntl(callers, F_SETFL, flag);
    session_ = MakeOn(sockets.ours, ENGINE_SERVER);
    peer_ = ClientPeer(sockets.theirs);
    Operation handshake(SESSION_HANDSHAKE);
    Submit(session_, handshake);
    EXPECT_TRUE(peer_handshake(peer_.get()));
    EXPECT_EQ(ENGINE_DONE, handshake.Result());
    Operation read(SESSION_READ);
    Submit(session_, read.Room(10));
    usleep(10000);
    peer_write(peer_.get(), "x", 1);
    EXPECT_EQ(ENGINE_DONE, read.Result());
    EXPECT_EQ(flag, fcntl(callers, F_GETFL) & O_NONBLOCK);
    close(callers);
  }
}

TEST_F(Transport, CanItBeClosedInEveryState) {
  for (int bytes = 0; bytes < 3000; bytes += 271) {
    Sockets sockets;
    struct session *session = MakeOn(sockets.ours, ENGINE_SERVER);
    Operation handshake(SESSION_HANDSHAKE);
    Operation read(SESSION_READ);
    Submit(session, handshake);
    Submit(session, read.Room(10));
    Peer peer = ClientPeer(-1);
    peer_handshake(peer.get());
    std::string hello = TakePeer(peer).substr(0, (size_t)bytes);
    EXPECT_EQ((ssize_t)hello.size(), send(sockets.theirs, hello.data(), hello.size(), 0));
    usleep((useconds_t)(bytes % 3) * 500);
    Close(session);
    EXPECT_EQ(ENGINE_FAILED, handshake.Result());
    EXPECT_EQ(ENGINE_FAILED, read.Result());
    close(sockets.theirs);
  }
}

// ---------------------------------------------------------------------------------------------
// When the kernel says no

class Faults : public Shaken {
 protected:
  void TearDown() override {
    Run([this] { loop_set_faults(worker_loop(worker()), nullptr); });
  }
  void Suffer(std::vector<struct fault> table) {
    table_ = table;
    faults_ = {table_.data(), table_.size()};
    Run([this] { loop_set_faults(worker_loop(worker()), &faults_); });
  }
  std::vector<struct fault> table_;
  struct faults faults_ = {};
};

TEST_F(Faults, DoShortSendsAndReceivesLoseNothing) {
  Shake();
  Suffer({{OP_SEND, 1, 1000000, FAULT_SHORT, 7, 0}, {OP_RECVMSG, 1, 1000000, FAULT_SHORT, 3, 0}});
  const std::string data = Pattern(20000);
  std::string heard;
  std::thread reader([&] { heard = ReadPeer(peer_, data.size()); });
  Operation write(SESSION_WRITE);
  EXPECT_EQ(ENGINE_DONE, Do(session_, write.Data(data)));
  reader.join();
  EXPECT_TRUE(heard == data);
  peer_write(peer_.get(), data.data(), 3000);
  std::string read_back;
  while (read_back.size() < 3000) {
    Operation read(SESSION_READ);
    ASSERT_EQ(ENGINE_DONE, Do(session_, read.Room(5000)));
    read_back += read.plaintext;
  }
  EXPECT_TRUE(read_back == data.substr(0, 3000));
}

TEST_F(Faults, IsAFailedSendToldToWhoeverWaitsForIt) {
  Shake();
  Operation read(SESSION_READ);
  Submit(session_, read.Room(10));
  Suffer({{OP_SEND, 1, 1, FAULT_ERRNO, EHOSTUNREACH, 0}});
  Operation write(SESSION_WRITE);
  EXPECT_EQ(ENGINE_FAILED, Do(session_, write.Data("x")));
  EXPECT_EQ(EHOSTUNREACH, write.op.error.os_errno);
  EXPECT_FALSE(read.Done());
  peer_write(peer_.get(), "y", 1);
  EXPECT_EQ(ENGINE_DONE, read.Result());
}

TEST_F(Faults, DoesAHandshakeThatCantSendFail) {
  Sockets sockets;
  session_ = MakeOn(sockets.ours, ENGINE_CLIENT);
  Suffer({{OP_SEND, 1, 1, FAULT_ERRNO, ENETDOWN, 0}});
  Operation handshake(SESSION_HANDSHAKE);
  EXPECT_EQ(ENGINE_FAILED, Do(session_, handshake)) << "no answer will come";
  EXPECT_EQ(ENETDOWN, handshake.op.error.os_errno);
  close(sockets.theirs);
}

// The last flight is made and the handshake done, but for the peer.
TEST_F(Faults, IsAHandshakeWhoseLastFlightIsLostNotDone) {
  Sockets sockets;
  session_ = MakeOn(sockets.ours, ENGINE_CLIENT);
  peer_ = ServerPeer(sockets.theirs, TLS1_3_VERSION);
  std::thread peer([&] {
    peer_handshake(peer_.get());
    peer_.reset();
  });
  Suffer({{OP_SEND, 2, 1, FAULT_ERRNO, EPIPE, 0}});
  Operation handshake(SESSION_HANDSHAKE);
  EXPECT_EQ(ENGINE_FAILED, Do(session_, handshake));
  EXPECT_EQ(EPIPE, handshake.op.error.os_errno);
  Close(session_);
  peer.join();
}

// The kernel would close it on the worker's thread, and hang.
TEST_F(Transport, IsADescriptorBesideTheCiphertextNotTheWorkersToClose) {
  Sockets sockets;
  Bomb bomb;
  Bomb::Send(sockets.theirs, bomb.fd());
  close(bomb.Release());
  session_ = MakeOn(sockets.ours, ENGINE_CLIENT);
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session_, handshake);
  EXPECT_TRUE(Eventually([] { return closer_pending(getuid()) == 1; }));
  close(sockets.theirs);
  EXPECT_EQ(ENGINE_FAILED, handshake.Result()) << "the worker goes on";
  bomb.Defuse();
  EXPECT_TRUE(Eventually([] { return closer_pending(getuid()) == 0; }));
}

TEST_F(Faults, IsAFailedReceiveTold) {
  Shake();
  Suffer({{OP_RECVMSG, 1, 1, FAULT_ERRNO, ETIMEDOUT, 0}});
  Operation read(SESSION_READ);
  EXPECT_EQ(ENGINE_FAILED, Do(session_, read.Room(10)));
  EXPECT_EQ(TLS_ERROR_OS, read.op.error.kind);
  EXPECT_EQ(ETIMEDOUT, read.op.error.os_errno);
}

}  // namespace
