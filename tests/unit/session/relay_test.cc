// A relay: what comes out at one side when something happens at the other.
#include "server/session/relay.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "server/ring/closer.h"
#include "server/tls/error.h"
#include "tests/support/bomb.h"
#include "tests/unit/session/harness.h"

namespace {

// Who waits for a relay's end, and what it was then.
struct Ending {
  struct session_ended waiter = {};
  struct session *session = nullptr;
  struct relay_end end = {};
  struct tls_error error = {};
  std::atomic<int> times{0};
};

void OnEnded(struct session_ended *waiter) {
  Ending *ending = LIST_ENTRY(waiter, Ending, waiter);
  EXPECT_TRUE(session_relay_end(ending->session, &ending->end));
  ending->error = *ending->end.error;
  ending->times++;
}

// All that comes until the end, whose errno is told; 0 for a clean one.
std::string ReadToEnd(int fd, int *os_errno = nullptr) {
  std::string data;
  char buffer[16384];
  ssize_t n;
  while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
    data.append(buffer, (size_t)n);
  }
  if (os_errno != nullptr) {
    *os_errno = n < 0 ? errno : 0;
  }
  return data;
}

std::string ReadSome(int fd, size_t len) {
  std::string data(len, '\0');
  ssize_t n = recv(fd, data.data(), len, MSG_WAITALL);
  data.resize(n < 0 ? 0 : (size_t)n);
  return data;
}

bool WriteTo(int fd, const std::string &data) {
  size_t sent = 0;
  while (sent < data.size()) {
    ssize_t n = send(fd, data.data() + sent, data.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) {
      return false;
    }
    sent += (size_t)n;
  }
  return true;
}

void ResetOnClose(int fd) {
  struct linger now = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

// Hands are shaken; near_ is the end of the plaintext that a program would have.
class RelayTest : public Shaken {
 protected:
  ~RelayTest() override {
    CloseNear();
  }
  void CloseNear() {
    if (near_ >= 0) {
      close(near_);
    }
    near_ = -1;
  }
  // The session's end of a new plaintext connection.
  int MakePlain(bool tcp) {
    Sockets plain(tcp);
    CloseNear();
    near_ = plain.theirs;
    struct timeval patience = {kPatienceMs / 1000, 0};
    setsockopt(near_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(near_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return plain.ours;
  }
  status_t TryBegin(struct relay_config config) {
    config.uid = getuid();
    status_t begun = OK_STATUS;
    Run([&] { begun = session_relay(session_, &config); });
    return begun;
  }
  void Begin(bool plain_tcp = false, struct relay_config config = {}) {
    config.fd = MakePlain(plain_tcp);
    ASSERT_TRUE(status_ok(TryBegin(config)));
    Await(&ending_);
  }
  void Await(Ending *ending) {
    ending->session = session_;
    ending->waiter.ended = OnEnded;
    Run([&] {
      list_init(&ending->waiter.link);
      session_await_end(session_, &ending->waiter);
    });
  }
  bool HasEnded() {
    return ending_.times > 0;
  }
  // How it ended, once it has.
  enum tls_error_kind Kind() {
    EXPECT_TRUE(Eventually([&] { return HasEnded(); }));
    EXPECT_EQ(1, ending_.times);
    return ending_.end.result == ENGINE_CLOSED ? TLS_ERROR_NONE : ending_.error.kind;
  }
  // No more than this happens.
  bool GoesOn() {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return !HasEnded();
  }
  bool PeerHearsEnd() {
    char byte;
    return peer_read(peer_.get(), &byte, 1) == 0 && peer_was_shut_down(peer_.get());
  }
  bool PeerHearsAlert() {
    char byte;
    return peer_read(peer_.get(), &byte, 1) == 0 &&
           ERR_GET_REASON(ERR_peek_error()) == SSL_AD_REASON_OFFSET + SSL_AD_BAD_RECORD_MAC;
  }
  void EndBoth() {
    shutdown(near_, SHUT_WR);
    EXPECT_TRUE(PeerHearsEnd());
    peer_shutdown(peer_.get());
    EXPECT_EQ("", ReadToEnd(near_));
    EXPECT_EQ(TLS_ERROR_NONE, Kind());
  }
  // Both hear the other.
  void Talk(const std::string &text = "a word") {
    EXPECT_TRUE(peer_write(peer_.get(), text.data(), text.size()));
    EXPECT_EQ(text, ReadSome(near_, text.size()));
    EXPECT_TRUE(WriteTo(near_, text));
    EXPECT_EQ(text, ReadPeer(peer_, text.size()));
  }
  uint64_t TurnsOfTheLoop() {
    uint64_t turns = 0;
    Run([&] { turns = loop_get_stats(worker_loop(worker()))->turns; });
    return turns;
  }

  int near_ = -1;
  Ending ending_;
};

// What the two sides are.
struct Sides {
  enum engine_role role;
  int version;
  bool peer_tcp;
  bool plain_tcp;
};

class Relay : public RelayTest, public testing::WithParamInterface<Sides> {
 protected:
  void Start(struct relay_config config = {}) {
    const Sides &sides = GetParam();
    Shake(sides.role, sides.version, sides.peer_tcp);
    Begin(sides.plain_tcp, config);
  }
};

INSTANTIATE_TEST_SUITE_P(, Relay,
                         testing::Values(Sides{ENGINE_SERVER, TLS1_3_VERSION, true, true},
                                         Sides{ENGINE_SERVER, TLS1_2_VERSION, false, true},
                                         Sides{ENGINE_CLIENT, TLS1_3_VERSION, false, false},
                                         Sides{ENGINE_CLIENT, TLS1_2_VERSION, true, false}));

// ---------------------------------------------------------------------------------------------
// Bytes

TEST_P(Relay, DoBytesGoBothWays) {
  Start();
  Talk("one");
  Talk("another");
  EXPECT_TRUE(GoesOn());
  EndBoth();
  EXPECT_EQ(10u, ending_.end.bytes_read);
  EXPECT_EQ(10u, ending_.end.bytes_written);
  EXPECT_GT(ending_.end.nanos, 0u);
}

TEST_P(Relay, DoesMuchGoOneWayAndThenTheOther) {
  Start();
  const std::string data = Pattern(3 * 1000 * 1000);
  std::thread up([&] { EXPECT_TRUE(peer_write(peer_.get(), data.data(), data.size())); });
  EXPECT_TRUE(ReadSome(near_, data.size()) == data);
  up.join();
  std::thread down([&] { EXPECT_TRUE(WriteTo(near_, data)); });
  EXPECT_TRUE(ReadPeer(peer_, data.size()) == data);
  down.join();
  EndBoth();
  EXPECT_EQ(data.size(), ending_.end.bytes_read);
  EXPECT_EQ(data.size(), ending_.end.bytes_written);
}

// One thread for both directions of the TLS connection, since SSL is for one at a time.
void WriteAndRead(const Peer &peer, const std::string &data, std::string *heard) {
  fcntl(peer_fd(peer.get()), F_SETFL, O_NONBLOCK);
  SSL *ssl = peer_ssl(peer.get());
  SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  size_t sent = 0;
  bool at_work = true;
  for (int idle = 0; at_work && idle < kPatienceMs; idle++) {
    char buffer[7000];
    size_t n = 0;
    if (sent < data.size() && SSL_write_ex(ssl, data.data() + sent, data.size() - sent, &n) == 1) {
      sent += n;
      idle = 0;
    }
    if (SSL_read_ex(ssl, buffer, sizeof(buffer), &n) == 1) {
      heard->append(buffer, n);
      idle = 0;
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    at_work = sent < data.size() || heard->size() < data.size();
  }
  fcntl(peer_fd(peer.get()), F_SETFL, 0);
}

TEST_P(Relay, DoesMuchGoBothWaysAtOncePastSlowReaders) {
  Start();
  const std::string data = Pattern(4 * 1000 * 1000);
  std::string at_peer;
  std::string at_near;
  std::thread peer([&] { WriteAndRead(peer_, data, &at_peer); });
  std::thread writer([&] { EXPECT_TRUE(WriteTo(near_, data)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  at_near = ReadSome(near_, data.size());
  writer.join();
  peer.join();
  EXPECT_TRUE(at_near == data);
  EXPECT_TRUE(at_peer == data);
  EndBoth();
}

TEST_P(Relay, IsTheGreetingBeforeAllElse) {
  struct relay_config config = {};
  config.greeting = slice_of_string("who is there\r\n");
  Start(config);
  peer_write(peer_.get(), "me", 2);
  EXPECT_EQ("who is there\r\nme", ReadSome(near_, 16));
  EndBoth();
  EXPECT_EQ(2u, ending_.end.bytes_read) << "the greeting is not the peer's";
}

// ---------------------------------------------------------------------------------------------
// Ends

TEST_P(Relay, MayThePlaintextSideGoOnWhenThePeerHasEnded) {
  Start();
  peer_write(peer_.get(), "last", 4);
  peer_shutdown(peer_.get());
  EXPECT_EQ("last", ReadToEnd(near_));
  EXPECT_TRUE(GoesOn());
  const std::string data = Pattern(100 * 1000);
  std::thread writer([&] {
    EXPECT_TRUE(WriteTo(near_, data));
    shutdown(near_, SHUT_WR);
  });
  EXPECT_TRUE(ReadPeer(peer_, data.size()) == data);
  EXPECT_TRUE(PeerHearsEnd());
  writer.join();
  EXPECT_EQ(TLS_ERROR_NONE, Kind());
}

TEST_P(Relay, MayThePeerGoOnWhenThePlaintextSideHasEnded) {
  Start();
  EXPECT_TRUE(WriteTo(near_, "last"));
  shutdown(near_, SHUT_WR);
  EXPECT_EQ("last", ReadPeer(peer_, 4));
  EXPECT_TRUE(PeerHearsEnd());
  EXPECT_TRUE(GoesOn()) << "the peer's close_notify is awaited";
  const std::string data = Pattern(100 * 1000);
  std::thread writer([&] {
    EXPECT_TRUE(peer_write(peer_.get(), data.data(), data.size()));
    peer_shutdown(peer_.get());
  });
  EXPECT_TRUE(ReadToEnd(near_) == data);
  writer.join();
  EXPECT_EQ(TLS_ERROR_NONE, Kind());
}

TEST_P(Relay, IsATruncationReportedAndNoCleanEndOfTcp) {
  Start();
  Talk();  // takes the tickets: who leaves something unread resets
  peer_write(peer_.get(), "what came", 9);
  EXPECT_EQ("what came", ReadSome(near_, 9));
  peer_.reset();
  int os_errno = 0;
  EXPECT_EQ("", ReadToEnd(near_, &os_errno));
  EXPECT_EQ(GetParam().plain_tcp ? ECONNRESET : 0, os_errno);
  EXPECT_EQ(TLS_ERROR_TRUNCATED, Kind());
  EXPECT_EQ(15u, ending_.end.bytes_read);
}

TEST_P(Relay, IsWhatCameBeforeATruncationStillThere) {
  Start();
  Talk();
  const std::string data = Pattern(1000 * 1000);
  std::thread writer([&] {
    EXPECT_TRUE(peer_write(peer_.get(), data.data(), data.size()));
    peer_.reset();
  });
  EXPECT_TRUE(ReadSome(near_, data.size()) == data);
  writer.join();
  EXPECT_EQ(TLS_ERROR_TRUNCATED, Kind());
}

TEST_P(Relay, IsAForgedRecordAFailureOfBoth) {
  Start();
  Talk();
  EXPECT_TRUE(WriteTo(peer_fd(peer_.get()), std::string("\x17\x03\x03\x00\x40", 5) + Pattern(64)));
  int os_errno = 0;
  EXPECT_EQ("", ReadToEnd(near_, &os_errno));
  EXPECT_EQ(GetParam().plain_tcp ? ECONNRESET : 0, os_errno);
  EXPECT_EQ(TLS_ERROR_TLS, Kind());
  EXPECT_TRUE(PeerHearsAlert());
}

TEST_P(Relay, DoesTheSessionsCloseEndItAtOnce) {
  Start();
  Talk();
  Close(session_);
  int os_errno = 0;
  EXPECT_EQ("", ReadToEnd(near_, &os_errno));
  EXPECT_EQ(GetParam().plain_tcp ? ECONNRESET : 0, os_errno);
  EXPECT_EQ(TLS_ERROR_CLOSED_HERE, Kind());
  EXPECT_FALSE(PeerHearsEnd());
}

TEST_P(Relay, DoesTheSessionsCloseEndItWhateverIsUnderWay) {
  Start();
  const std::string data = Pattern(20 * 1000 * 1000);
  std::thread writer([&] { EXPECT_FALSE(WriteTo(near_, data)); });
  std::thread peer([&] { EXPECT_FALSE(peer_write(peer_.get(), data.data(), data.size())); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  Close(session_);
  writer.join();
  peer.join();
  EXPECT_EQ(TLS_ERROR_CLOSED_HERE, Kind());
}

class TcpRelay : public RelayTest {
 protected:
  void Start(bool plain_tcp = true, struct relay_config config = {}) {
    Shake(ENGINE_SERVER, TLS1_3_VERSION, true);
    Begin(plain_tcp, config);
    Talk();
  }
  int PeerErrno() {
    char byte;
    return recv(peer_fd(peer_.get()), &byte, 1, 0) < 0 ? errno : 0;
  }
};

TEST_F(TcpRelay, IsThePeersResetPassedOn) {
  Start();
  ResetOnClose(peer_fd(peer_.get()));
  peer_.reset();
  int os_errno = 0;
  EXPECT_EQ("", ReadToEnd(near_, &os_errno));
  EXPECT_EQ(ECONNRESET, os_errno);
  EXPECT_EQ(TLS_ERROR_OS, Kind());
  EXPECT_EQ(ECONNRESET, ending_.error.os_errno);
}

TEST_F(TcpRelay, IsThePlaintextSidesResetPassedOn) {
  Start();
  ResetOnClose(near_);
  CloseNear();
  EXPECT_EQ(ECONNRESET, PeerErrno());
  EXPECT_EQ(TLS_ERROR_OS, Kind());
  EXPECT_EQ(ECONNRESET, ending_.error.os_errno);
}

TEST_F(TcpRelay, IsAReaderWhoHasGoneNoticedWithTheFirstByteForHim) {
  Start(false);
  CloseNear();
  EXPECT_TRUE(PeerHearsEnd());
  peer_write(peer_.get(), "hello?", 6);
  EXPECT_EQ(ECONNRESET, PeerErrno());
  EXPECT_EQ(TLS_ERROR_OS, Kind());
  EXPECT_EQ(EPIPE, ending_.error.os_errno);
}

TEST_F(TcpRelay, IsWhatWasWrittenBeforeTheEndThere) {
  Start(false);
  const std::string data = Pattern(1000 * 1000);
  std::thread writer([&] {
    EXPECT_TRUE(WriteTo(near_, data));
    CloseNear();
  });
  EXPECT_TRUE(ReadPeer(peer_, data.size()) == data);
  EXPECT_TRUE(PeerHearsEnd());
  peer_shutdown(peer_.get());
  writer.join();
  EXPECT_EQ(TLS_ERROR_NONE, Kind());
}

TEST_F(TcpRelay, IsAPeerThatNeverAnswersCloseNotifyGivenUpWhenNobodyReads) {
  Start(false);
  CloseNear();
  EXPECT_TRUE(PeerHearsEnd());
  EXPECT_EQ(TLS_ERROR_TIMEOUT, Kind());
  EXPECT_EQ(0, PeerErrno());
}

// Past the time after which a peer that only owes its close_notify is given up.
TEST_F(RelayTest, IsALateReaderWaitedForThoughThePlaintextSideHasGone) {
  Shake(ENGINE_SERVER);
  Begin();
  const std::string data = Pattern(300 << 10);
  ASSERT_TRUE(WriteTo(near_, data));
  CloseNear();
  std::this_thread::sleep_for(std::chrono::seconds(6));
  EXPECT_FALSE(HasEnded());
  EXPECT_TRUE(ReadPeer(peer_, data.size()) == data);
  EXPECT_TRUE(PeerHearsEnd());
  peer_shutdown(peer_.get());
  EXPECT_EQ(TLS_ERROR_NONE, Kind());
}

// ---------------------------------------------------------------------------------------------
// Bounds

// What a writer gets rid of until nothing is taken any more.
size_t Push(int fd) {
  const std::string data = Pattern(1 << 16);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  size_t taken = 0;
  for (int refused = 0; refused < 100 && taken < (size_t)64 << 20;) {
    ssize_t n = send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (n > 0) {
      taken += (size_t)n;
      refused = 0;
    } else {
      refused++;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  fcntl(fd, F_SETFL, 0);
  return taken;
}

// What two Unix sockets hold, and what the relay does.
constexpr size_t kHeldAtMost = 2 << 20;

TEST_F(RelayTest, DoesAPeerThatDoesntReadStopWhoWrites) {
  Shake(ENGINE_SERVER);
  Begin();
  size_t taken = Push(near_);
  EXPECT_GT(taken, 0u);
  EXPECT_LT(taken, kHeldAtMost);
  EXPECT_EQ(taken, ReadPeer(peer_, taken).size()) << "and nothing is lost";
  Talk();
  EndBoth();
}

TEST_F(RelayTest, DoesAPlaintextSideThatDoesntReadStopThePeer) {
  Shake(ENGINE_SERVER);
  Begin();
  fcntl(peer_fd(peer_.get()), F_SETFL, O_NONBLOCK);
  SSL_set_mode(peer_ssl(peer_.get()), SSL_MODE_ENABLE_PARTIAL_WRITE);
  const std::string data = Pattern(16384);
  size_t taken = 0;
  for (int refused = 0; refused < 100 && taken < (size_t)64 << 20;) {
    size_t n = 0;
    if (SSL_write_ex(peer_ssl(peer_.get()), data.data(), data.size(), &n) == 1) {
      taken += n;
      refused = 0;
    } else {
      refused++;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  EXPECT_GT(taken, 0u);
  EXPECT_LT(taken, kHeldAtMost);
  EXPECT_EQ(taken, ReadSome(near_, taken).size());
  Close(session_);
  EXPECT_EQ(TLS_ERROR_CLOSED_HERE, Kind());
}

TEST_F(RelayTest, DoesNothingTurnWhileNobodyReads) {
  Shake(ENGINE_SERVER);
  Begin();
  Push(near_);
  uint64_t before = TurnsOfTheLoop();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LT(TurnsOfTheLoop() - before, 50u);
  Close(session_);
}

// ---------------------------------------------------------------------------------------------
// Time

TEST_P(Relay, IsAnIdleOneEnded) {
  struct relay_config config = {};
  config.idle_nanos = 50 * NANOS_PER_MILLI;
  Start(config);
  EXPECT_TRUE(PeerHearsEnd());
  EXPECT_EQ(TLS_ERROR_TIMEOUT, Kind());
}

TEST_F(RelayTest, IsOneThatIsUsedNotIdle) {
  Shake(ENGINE_SERVER);
  struct relay_config config = {};
  config.idle_nanos = 1 * NANOS_PER_SECOND;
  Begin(false, config);
  for (int i = 0; i < 15; i++) {
    Talk();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_FALSE(HasEnded());
  EXPECT_EQ(TLS_ERROR_TIMEOUT, Kind());
}

TEST_P(Relay, IsItsTotalTimeItsEndThoughBytesGo) {
  struct relay_config config = {};
  config.total_nanos = 300 * NANOS_PER_MILLI;
  Start(config);
  while (!HasEnded() && peer_write(peer_.get(), "x", 1) && ReadSome(near_, 1) == "x") {
  }
  EXPECT_EQ(TLS_ERROR_TIMEOUT, Kind());
}

// What is queued can't go out, and the last bytes are waited for without turning round.
TEST_F(RelayTest, DoesNothingTurnWhileTheLastBytesAreWaitedFor) {
  Shake(ENGINE_SERVER);
  struct relay_config config = {};
  config.total_nanos = 300 * NANOS_PER_MILLI;
  config.idle_nanos = 100 * NANOS_PER_MILLI;
  Begin(false, config);
  Push(near_);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  uint64_t before = TurnsOfTheLoop();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(TurnsOfTheLoop() - before, 50u);
  EXPECT_EQ(TLS_ERROR_TIMEOUT, Kind()) << "and not for ever";
}

// After a quiet second the engine's buffers are given back.
TEST_F(RelayTest, DoesItGoOnAfterAQuietSecond) {
  Shake(ENGINE_SERVER);
  Begin();
  Talk();
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  Talk(Pattern(20000));
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  Talk();
  EndBoth();
}

// ---------------------------------------------------------------------------------------------
// What goes on underneath

TEST_F(RelayTest, ArePeersKeyUpdatesSeenTo) {
  Shake(ENGINE_SERVER, TLS1_3_VERSION);
  Begin();
  for (int type : {SSL_KEY_UPDATE_REQUESTED, SSL_KEY_UPDATE_NOT_REQUESTED}) {
    Talk();
    ASSERT_EQ(1, SSL_key_update(peer_ssl(peer_.get()), type));
    Talk(Pattern(50000));
  }
  EndBoth();
}

TEST_F(RelayTest, IsAFloodOfKeyUpdatesNoHarm) {
  Shake(ENGINE_SERVER, TLS1_3_VERSION);
  Begin();
  for (int i = 0; i < 2000; i++) {
    ASSERT_EQ(1, SSL_key_update(peer_ssl(peer_.get()), SSL_KEY_UPDATE_REQUESTED));
    ASSERT_EQ(1, SSL_do_handshake(peer_ssl(peer_.get())));
  }
  Talk();
  EndBoth();
}

TEST_F(RelayTest, IsARenegotiationRefusedAndNoHarm) {
  Shake(ENGINE_SERVER, TLS1_2_VERSION);
  Begin();
  Talk();
  SSL_renegotiate(peer_ssl(peer_.get()));
  EXPECT_NE(1, SSL_do_handshake(peer_ssl(peer_.get())));
  peer_.reset();
  EXPECT_NE(TLS_ERROR_NONE, Kind());
}

// ---------------------------------------------------------------------------------------------
// Beginning

TEST_F(RelayTest, IsPlaintextThatWasntReadTheFirstToCome) {
  Shake(ENGINE_SERVER);
  const std::string data = Pattern(60000);
  ASSERT_TRUE(peer_write(peer_.get(), data.data(), data.size()));
  Operation read(SESSION_READ);
  ASSERT_EQ(ENGINE_DONE, Do(session_, read.Room(100)));
  Begin();
  EXPECT_TRUE(ReadSome(near_, data.size() - 100) == data.substr(100));
  Talk();
  EndBoth();
  EXPECT_EQ(data.size() + 6, ending_.end.bytes_read) << "of the session, not of the relay alone";
}

TEST_F(RelayTest, IsAnEndThatCameBeforeItTold) {
  Shake(ENGINE_SERVER, TLS1_2_VERSION);
  peer_write(peer_.get(), "last", 4);
  Operation read(SESSION_READ);
  ASSERT_EQ(ENGINE_DONE, Do(session_, read.Room(1)));
  peer_.reset();
  Begin();
  EXPECT_EQ("ast", ReadToEnd(near_));
  EXPECT_EQ(TLS_ERROR_TRUNCATED, Kind());
}

TEST_F(RelayTest, MayOperationsHaveGoneBefore) {
  Shake(ENGINE_CLIENT);
  Operation write(SESSION_WRITE);
  ASSERT_EQ(ENGINE_DONE, Do(session_, write.Data("hello")));
  Operation impatient(SESSION_READ);
  ASSERT_EQ(ENGINE_WANT_INPUT, Do(session_, impatient.Room(10).Wait(20)));
  EXPECT_EQ("hello", ReadPeer(peer_, 5));
  Begin();
  Talk();
  EndBoth();
}

// What has been accepted goes out, whatever became of the call.
TEST_F(RelayTest, IsWhatAWriteLeftBehindBeforeWhatComesNext) {
  for (size_t max_output : {(size_t)64 << 10, (size_t)128 << 10, (size_t)1 << 20}) {
    Shake(ENGINE_SERVER, TLS1_3_VERSION, false, max_output);
    ending_.times = 0;
    const std::string data = Pattern(2 << 20);
    Operation write(SESSION_WRITE);
    ASSERT_EQ(ENGINE_WANT_OUTPUT, Do(session_, write.Data(data).Wait(20)));
    size_t accepted = write.op.transferred;
    ASSERT_GT(accepted, 0u);
    Begin();
    std::thread writer([&] { EXPECT_TRUE(WriteTo(near_, data)); });
    EXPECT_TRUE(ReadPeer(peer_, accepted) == data.substr(0, accepted));
    EXPECT_TRUE(ReadPeer(peer_, data.size()) == data);
    writer.join();
    EndBoth();
  }
}

class Refused : public RelayTest {
 protected:
  // The descriptor is taken over all the same.
  void ExpectRefused(enum status_code code, struct relay_config config = {}) {
    config.fd = MakePlain(false);
    EXPECT_EQ(code, TryBegin(config).code);
    EXPECT_EQ("", ReadToEnd(near_)) << "it is closed";
  }
};

TEST_F(Refused, BeforeTheHandshakeIsDone) {
  Sockets sockets;
  session_ = MakeOn(sockets.ours, ENGINE_CLIENT);
  ExpectRefused(STATUS_FAILED_PRECONDITION);
  close(sockets.theirs);
}

TEST_F(Refused, WhileAnOperationIsInFlight) {
  Shake();
  Operation read(SESSION_READ);
  Submit(session_, read.Room(10));
  ExpectRefused(STATUS_FAILED_PRECONDITION);
  EXPECT_TRUE(read.Pending());
  Cancel(read);
  Begin();
  Talk();
}

TEST_F(Refused, ASecondTime) {
  Shake();
  Begin();
  int first = near_;
  near_ = -1;
  ExpectRefused(STATUS_FAILED_PRECONDITION);
  CloseNear();
  near_ = first;
  Talk();
}

TEST_F(Refused, AfterItHasEnded) {
  Shake();
  Begin();
  EndBoth();
  ExpectRefused(STATUS_FAILED_PRECONDITION);
}

TEST_F(Refused, AfterTheOwnCloseNotify) {
  Shake();
  Operation bye(SESSION_SHUTDOWN);
  Do(session_, bye);
  ExpectRefused(STATUS_FAILED_PRECONDITION);
}

TEST_F(Refused, AfterClose) {
  Shake();
  Close(session_);
  ExpectRefused(STATUS_FAILED_PRECONDITION);
}

TEST_F(Refused, AfterAFailure) {
  Shake();
  peer_.reset();
  Operation read(SESSION_READ);
  ASSERT_EQ(ENGINE_FAILED, Do(session_, read.Room(10)));
  ExpectRefused(STATUS_FAILED_PRECONDITION);
}

TEST_F(Refused, WithAGreetingThatIsTooLong) {
  Shake();
  const std::string speech = Pattern(4097);
  struct relay_config config = {};
  config.greeting = slice_of(speech.data(), speech.size());
  ExpectRefused(STATUS_INVALID_ARGUMENT, config);
  config.greeting.len = 4096;
  Begin(false, config);
  EXPECT_TRUE(ReadSome(near_, 4096) == speech.substr(0, 4096));
}

class RefusedInMemory : public InMemory {};

TEST_F(RefusedInMemory, WithoutASocket) {
  Begin();
  Shake();
  Sockets plain;
  struct relay_config config = {};
  config.fd = plain.ours;
  config.uid = getuid();
  status_t begun = OK_STATUS;
  Run([&] { begun = session_relay(session_, &config); });
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, begun.code);
  EXPECT_EQ("", ReadToEnd(plain.theirs));
  close(plain.theirs);
}

// ---------------------------------------------------------------------------------------------
// Who waits for the end

TEST_F(RelayTest, IsTheEndToldToAllWhoWaitAndToWhoComesLate) {
  Shake();
  Begin();
  Ending second;
  Ending forgotten;
  Await(&second);
  Await(&forgotten);
  struct relay_end end;
  Run([&] {
    EXPECT_TRUE(session_is_relay(session_));
    EXPECT_FALSE(session_relay_end(session_, &end));
    session_forget_end(&forgotten.waiter);
    session_forget_end(&forgotten.waiter);
  });
  EndBoth();
  EXPECT_TRUE(Eventually([&] { return second.times == 1; }));
  Ending late;
  Await(&late);
  EXPECT_EQ(1, late.times) << "at once";
  EXPECT_EQ(ENGINE_CLOSED, late.end.result);
  EXPECT_EQ(0, forgotten.times);
  Close(session_);
  Ending last;
  Await(&last);
  EXPECT_EQ(ENGINE_CLOSED, last.end.result) << "as it was, whatever came of the session since";
}

TEST_F(RelayTest, IsASessionNoRelayUntilItIsOne) {
  Shake();
  struct relay_end end;
  Run([&] {
    EXPECT_FALSE(session_is_relay(session_));
    EXPECT_FALSE(session_relay_end(session_, &end));
  });
}

TEST_F(RelayTest, AreBytesCounted) {
  Shake();
  uint64_t in = counter_read(COUNTER_plaintext_bytes_in);
  uint64_t out = counter_read(COUNTER_plaintext_bytes_out);
  Begin();
  Talk("12345");
  EXPECT_EQ(5u, counter_read(COUNTER_plaintext_bytes_in) - in);
  EXPECT_EQ(5u, counter_read(COUNTER_plaintext_bytes_out) - out);
}

// ---------------------------------------------------------------------------------------------
// Descriptors beside the plaintext

TEST_F(RelayTest, AreDescriptorsBesideThePlaintextClosedAndTheBytesPassedOn) {
  Shake();
  Begin();
  int ends[2];
  ASSERT_EQ(0, pipe(ends));
  Bomb::Send(near_, ends[1]);  // with an x
  close(ends[1]);
  EXPECT_EQ("x", ReadPeer(peer_, 1));
  EXPECT_EQ(0, read(ends[0], ends, 1)) << "nobody holds it";
  close(ends[0]);
  Talk();
  EndBoth();
}

TEST_F(RelayTest, IsADescriptorBesideThePlaintextNotTheWorkersToClose) {
  Shake();
  struct relay_config config = {};
  config.fd = MakePlain(false);
  Bomb bomb;
  Bomb::Send(near_, bomb.fd());
  close(bomb.Release());  // before the relay has it: the last to close it hangs
  ASSERT_TRUE(status_ok(TryBegin(config)));
  EXPECT_EQ("x", ReadPeer(peer_, 1));
  EXPECT_TRUE(Eventually([] { return closer_pending(getuid()) == 1; }));
  Talk();
  bomb.Defuse();
  EXPECT_TRUE(Eventually([] { return closer_pending(getuid()) == 0; }));
}

// ---------------------------------------------------------------------------------------------
// When the kernel says no

class RelayFaults : public RelayTest {
 protected:
  void TearDown() override {
    Run([this] { loop_set_faults(worker_loop(worker()), nullptr); });
  }
  // On the worker, which may still look at those of before.
  void Suffer(const std::vector<struct fault> &table) {
    Run([&] {
      table_ = table;
      faults_ = {table_.data(), table_.size()};
      loop_set_faults(worker_loop(worker()), &faults_);
    });
  }
  std::vector<struct fault> table_;
  struct faults faults_ = {};
};

constexpr unsigned kAlways = 1000000;

TEST_F(RelayFaults, DoShortSendsAndReceivesLoseNothing) {
  Shake(ENGINE_SERVER);
  Begin();
  Suffer(
      {{OP_SEND, 1, kAlways, FAULT_SHORT, 701, 0}, {OP_RECVMSG, 1, kAlways, FAULT_SHORT, 333, 0}});
  Talk(Pattern(100000));
  EndBoth();
}

// A receive without a buffer, a send without memory: it is tried again.
TEST_F(RelayFaults, IsWhatMayBeTriedAgainTriedAgain) {
  for (int os_errno : {ENOBUFS, EAGAIN, EINTR}) {
    Shake(ENGINE_SERVER, TLS1_3_VERSION, true);
    ending_.times = 0;
    Begin(true);
    Suffer({{OP_SEND, 2, 3, FAULT_ERRNO, os_errno == ENOBUFS ? EAGAIN : os_errno, 0},
            {OP_RECV, 2, 3, FAULT_ERRNO, os_errno, 0}});
    Talk(Pattern(50000));
    Talk();
    EndBoth();
  }
}

TEST_F(RelayFaults, DoLateAnswersLoseNothing) {
  Shake(ENGINE_SERVER);
  Begin();
  Suffer({{OP_SEND, 1, kAlways, FAULT_LATE, 3, 0}, {OP_RECVMSG, 1, kAlways, FAULT_LATE, 2, 0}});
  Talk(Pattern(300000));
  EndBoth();
}

TEST_F(RelayFaults, IsAFailureOfEitherSideTheRelays) {
  for (int where : {(int)OP_SEND, (int)OP_RECV}) {
    for (unsigned nth : {1u, 2u, 3u}) {
      Shake(ENGINE_SERVER, TLS1_3_VERSION, true);
      ending_.times = 0;
      Begin(true);
      Talk();
      Suffer({{where, nth, 1, FAULT_ERRNO, EHOSTUNREACH, 0}});
      for (int i = 0; i < 4; i++) {
        WriteTo(near_, "x");
        peer_write(peer_.get(), "y", 1);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
      EXPECT_EQ(TLS_ERROR_OS, Kind()) << where << " " << nth;
      EXPECT_EQ(EHOSTUNREACH, ending_.error.os_errno) << where << " " << nth;
      Suffer({});
    }
  }
}

}  // namespace
