// The socket path: who waits for whom, who is answered when, and what is never lost.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "server/session/session.h"
#include "tests/unit/session/harness.h"

namespace {

// ---------------------------------------------------------------------------------------------
// Shaking hands

struct Way {
  enum engine_role role;
  int version;
  bool tcp;
};

class Ways : public Shaken, public testing::WithParamInterface<Way> {};
INSTANTIATE_TEST_SUITE_P(Lanes, Ways,
                         testing::Values(Way{ENGINE_CLIENT, TLS1_2_VERSION, true},
                                         Way{ENGINE_CLIENT, TLS1_3_VERSION, true},
                                         Way{ENGINE_SERVER, TLS1_2_VERSION, false},
                                         Way{ENGINE_SERVER, TLS1_3_VERSION, false}));

TEST_P(Ways, DoesAnythingGetThroughAtAll) {
  Shake(GetParam().role, GetParam().version, GetParam().tcp);
  Operation write(SESSION_WRITE);
  EXPECT_EQ(ENGINE_DONE, Do(session_, write.Data("question")));
  EXPECT_EQ("question", ReadPeer(peer_, 8));
  Operation read(SESSION_READ);
  Submit(session_, read.Room(100));
  EXPECT_TRUE(peer_write(peer_.get(), "answer", 6));
  EXPECT_EQ(ENGINE_DONE, read.Result());
  EXPECT_EQ("answer", read.plaintext);
}

TEST_P(Ways, DoMegabytesGoBothWaysAtOnce) {
  Shake(GetParam().role, GetParam().version, GetParam().tcp);
  const std::string data = Pattern(4 << 20);
  std::string heard;
  std::thread reader([&] { heard = ReadPeer(peer_, data.size()); });
  Operation write(SESSION_WRITE);
  EXPECT_EQ(ENGINE_DONE, Do(session_, write.Data(data)));
  EXPECT_EQ(data.size(), write.op.transferred);
  reader.join();
  EXPECT_TRUE(data == heard);
  std::thread writer([&] { EXPECT_TRUE(peer_write(peer_.get(), data.data(), data.size())); });
  std::string read_back;
  while (read_back.size() < data.size()) {
    Operation read(SESSION_READ);
    ASSERT_EQ(ENGINE_DONE, Do(session_, read.Room(100000)));
    read_back += read.plaintext;
  }
  writer.join();
  EXPECT_TRUE(data == read_back);
}

class Lanes : public Shaken {
 protected:
  // Makes the way to the peer so narrow that a write soon has to wait.
  void Narrow(size_t max_output = 64 * 1024) {
    Sockets sockets;
    int size = 4096;
    setsockopt(sockets.ours, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    session_ = MakeOn(sockets.ours, ENGINE_CLIENT, max_output);
    peer_ = ServerPeer(sockets.theirs);
    Operation handshake(SESSION_HANDSHAKE);
    Submit(session_, handshake);
    ASSERT_TRUE(peer_handshake(peer_.get()));
    ASSERT_EQ(ENGINE_DONE, handshake.Result());
  }
};

TEST_F(Lanes, IsAVerifyFailureToldToBothEnds) {
  Sockets sockets;
  session_ = MakeOn(sockets.ours, ENGINE_CLIENT);
  peer_ = ServerPeer(sockets.theirs, 0, pki_get()->self_signed);
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session_, handshake);
  EXPECT_FALSE(peer_handshake(peer_.get()) && ReadPeer(peer_, 1) != "");
  EXPECT_EQ(ENGINE_FAILED, handshake.Result());
  EXPECT_EQ(TLS_ERROR_VERIFY, handshake.op.error.kind);
  EXPECT_EQ(ENGINE_FAILED, session_state(session_));
}

TEST_F(Lanes, IsAHandshakeThatEndsInTheMiddleTruncated) {
  Sockets sockets;
  session_ = MakeOn(sockets.ours, ENGINE_SERVER);
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session_, handshake);
  EXPECT_EQ(5, send(sockets.theirs, "\x16\x03\x01\x02\x00", 5, 0));
  close(sockets.theirs);
  EXPECT_EQ(ENGINE_FAILED, handshake.Result());
  EXPECT_EQ(TLS_ERROR_TRUNCATED, handshake.op.error.kind);
}

TEST_F(Lanes, DoReadsAndWritesBeforeTheHandshakeWaitForIt) {
  Sockets sockets(true);
  session_ = MakeOn(sockets.ours, ENGINE_CLIENT);
  Operation read(SESSION_READ);
  Operation write(SESSION_WRITE);
  Submit(session_, read.Room(10));
  Submit(session_, write.Data("early"));
  peer_ = ServerPeer(sockets.theirs);
  EXPECT_TRUE(peer_handshake(peer_.get()));
  EXPECT_EQ("early", ReadPeer(peer_, 5));
  EXPECT_EQ(ENGINE_DONE, write.Result());
  EXPECT_TRUE(peer_write(peer_.get(), "reply", 5));
  EXPECT_EQ(ENGINE_DONE, read.Result());
  EXPECT_EQ("reply", read.plaintext);
}

// ---------------------------------------------------------------------------------------------
// Order

TEST_F(Lanes, DoesAReadThatWaitsHoldUpNoWrite) {
  Shake();
  Operation read(SESSION_READ);
  Operation write(SESSION_WRITE);
  Submit(session_, read.Room(10));
  EXPECT_EQ(ENGINE_DONE, Do(session_, write.Data("first")));
  EXPECT_EQ("first", ReadPeer(peer_, 5));
  EXPECT_FALSE(read.Done());
  peer_write(peer_.get(), "second", 6);
  EXPECT_EQ(ENGINE_DONE, read.Result());
  EXPECT_EQ("second", read.plaintext);
}

TEST_F(Lanes, DoReadsGetTheirBytesInOrder) {
  Shake();
  Operation one(SESSION_READ);
  Operation two(SESSION_READ);
  Operation three(SESSION_READ);
  for (Operation *read : {&one, &two, &three}) {
    Submit(session_, read->Room(2));
  }
  peer_write(peer_.get(), "aabbc", 5);
  EXPECT_EQ(ENGINE_DONE, three.Result());
  EXPECT_EQ("aa", one.plaintext);
  EXPECT_EQ("bb", two.plaintext);
  EXPECT_EQ("c", three.plaintext);
}

TEST_F(Lanes, DoWritesLeaveInOrder) {
  Narrow();
  const std::string data = Pattern(600 * 1000);
  Operation one(SESSION_WRITE);
  Operation two(SESSION_WRITE);
  Operation three(SESSION_WRITE);
  Submit(session_, one.Data(data.substr(0, 200000)));
  Submit(session_, two.Data(data.substr(200000, 200000)));
  Submit(session_, three.Data(data.substr(400000)));
  EXPECT_TRUE(ReadPeer(peer_, data.size()) == data);
  for (Operation *write : {&one, &two, &three}) {
    EXPECT_EQ(ENGINE_DONE, write->Result());
  }
}

TEST_F(Lanes, DoesAShutdownWaitForTheWritesBeforeIt) {
  Narrow();
  const std::string data = Pattern(400 * 1000);
  Operation write(SESSION_WRITE);
  Operation shutdown(SESSION_SHUTDOWN);
  Submit(session_, write.Data(data));
  Submit(session_, shutdown);
  EXPECT_TRUE(ReadPeer(peer_, data.size() + 1) == data);
  EXPECT_TRUE(peer_was_shut_down(peer_.get()));
  EXPECT_EQ(ENGINE_DONE, write.Result());
  EXPECT_EQ(ENGINE_DONE, shutdown.Result());
}

// ---------------------------------------------------------------------------------------------
// Output

TEST_F(Lanes, IsAWriteAnsweredWhenTheKernelHasIt) {
  Narrow();
  Operation write(SESSION_WRITE);
  Submit(session_, write.Data(Pattern(20000)));
  EXPECT_TRUE(write.Pending()) << "the peer does not read";
  EXPECT_EQ(Pattern(20000), ReadPeer(peer_, 20000));
  EXPECT_EQ(ENGINE_DONE, write.Result());
}

// The engine's output and the stream's queue both have room for a part of it only.
TEST_F(Lanes, IsAWriteOfEveryLengthAnswered) {
  for (size_t max_output : {64 * 1024, 128 * 1024}) {
    Shake(ENGINE_CLIENT, 0, false, max_output);
    size_t heard = 0;
    size_t sent = 0;
    std::thread reader([&] { heard = ReadPeer(peer_, SIZE_MAX).size(); });
    for (size_t len = 10 * 1000; len < 300 * 1000; len += 9973) {
      Operation write(SESSION_WRITE);
      EXPECT_EQ(ENGINE_DONE, Do(session_, write.Data(Pattern(len)))) << len;
      EXPECT_EQ(len, write.op.transferred);
      sent += len;
    }
    Operation shutdown(SESSION_SHUTDOWN);
    EXPECT_EQ(ENGINE_DONE, Do(session_, shutdown));
    reader.join();
    EXPECT_EQ(sent, heard);
  }
}

TEST_F(Lanes, IsAPeerThatNeverReadsHeldToTheCeiling) {
  Narrow();
  Operation write(SESSION_WRITE);
  Submit(session_, write.Data(Pattern(4 << 20)));
  EXPECT_TRUE(write.Pending(100));
  Run([&] { EXPECT_LE(write.op.transferred, 512u * 1024); });
  Close(session_);
  EXPECT_EQ(ENGINE_FAILED, write.Result());
  EXPECT_EQ(TLS_ERROR_CLOSED_HERE, write.op.error.kind);
}

TEST_F(Lanes, IsAPeerThatNeverStopsHeldToTheCeiling) {
  Shake();
  int flags = fcntl(peer_fd(peer_.get()), F_GETFL);
  fcntl(peer_fd(peer_.get()), F_SETFL, flags | O_NONBLOCK);
  const std::string data = Pattern(16384);
  size_t sent = 0;
  for (int idle = 0; idle < 100;) {
    bool taken = peer_write(peer_.get(), data.data(), data.size());
    sent += taken ? data.size() : 0;
    idle = taken ? 0 : idle + 1;
    usleep(taken ? 0 : 1000);
  }
  EXPECT_LT(sent, 4u << 20) << "nobody reads: it stays in the kernel";
}

// ---------------------------------------------------------------------------------------------
// Waiting, and no longer

TEST_F(Lanes, DoesAReadGiveUpAfterItsWait) {
  Shake();
  Operation read(SESSION_READ);
  clock_time before = clock_now();
  EXPECT_EQ(ENGINE_WANT_INPUT, Do(session_, read.Room(10).Wait(30)));
  EXPECT_GE(clock_now() - before, 30 * NANOS_PER_MILLI);
  peer_write(peer_.get(), "later", 5);
  Operation again(SESSION_READ);
  EXPECT_EQ(ENGINE_DONE, Do(session_, again.Room(10).Wait(10000)));
  EXPECT_EQ("later", again.plaintext);
}

TEST_F(Lanes, DoesAWaitOfNothingSeeWhatTheKernelHolds) {
  Shake();
  Operation nothing(SESSION_READ);
  EXPECT_EQ(ENGINE_WANT_INPUT, Do(session_, nothing.Room(10).Wait(0)));
  peer_write(peer_.get(), "there", 5);
  // One look is one turn; on a busy machine the first can be too early.
  std::string seen;
  for (int i = 0; i < 100 && seen.empty(); i++) {
    Operation read(SESSION_READ);
    Do(session_, read.Room(10).Wait(0));
    seen = read.plaintext;
  }
  EXPECT_EQ("there", seen);
}

TEST_F(Lanes, CanAHandshakeBeDoneByWaitsOfNothing) {
  Sockets sockets;
  session_ = MakeOn(sockets.ours, ENGINE_CLIENT);
  peer_ = ServerPeer(sockets.theirs);
  std::thread peer([&] { EXPECT_TRUE(peer_handshake(peer_.get())); });
  enum engine_result result = ENGINE_WANT_INPUT;
  for (int i = 0; i < 100000 && result == ENGINE_WANT_INPUT; i++) {
    Operation handshake(SESSION_HANDSHAKE);
    result = Do(session_, handshake.Wait(0));
  }
  EXPECT_EQ(ENGINE_DONE, result);
  peer.join();
}

TEST_F(Lanes, DoesOneThatWaitsInLineGiveUpToo) {
  Shake();
  Operation first(SESSION_READ);
  Operation second(SESSION_READ);
  Submit(session_, first.Room(10));
  EXPECT_EQ(ENGINE_WANT_INPUT, Do(session_, second.Room(10).Wait(20)));
  EXPECT_FALSE(first.Done());
  peer_write(peer_.get(), "x", 1);
  EXPECT_EQ(ENGINE_DONE, first.Result());
}

// What was accepted is in the stream, what was not is the caller's to send again.
TEST_F(Lanes, DoesAWriteThatGivesUpSayHowMuchItSent) {
  Narrow();
  const std::string data = Pattern(1 << 20);
  std::string heard;
  std::thread reader;
  size_t sent = 0;
  int gave_up = 0;
  enum engine_result result = ENGINE_WANT_OUTPUT;
  while (result == ENGINE_WANT_OUTPUT) {
    Operation write(SESSION_WRITE);
    result = Do(session_, write.Data(data.substr(sent)).Wait(20));
    sent += write.op.transferred;
    gave_up += result == ENGINE_WANT_OUTPUT;
    if (gave_up == 2 && !reader.joinable()) {
      reader = std::thread([&] { heard = ReadPeer(peer_, data.size()); });
    }
  }
  EXPECT_EQ(ENGINE_DONE, result);
  EXPECT_EQ(data.size(), sent);
  EXPECT_GE(gave_up, 2);
  reader.join();
  EXPECT_TRUE(heard == data);
}

TEST_F(Lanes, IsWhatIsQueuedAndNotSentNotCalledDone) {
  Narrow();
  Operation write(SESSION_WRITE);
  EXPECT_EQ(ENGINE_WANT_OUTPUT, Do(session_, write.Data(Pattern(20000)).Wait(20)));
  EXPECT_EQ(20000u, write.op.transferred);
  Operation rest(SESSION_WRITE);
  EXPECT_EQ(ENGINE_WANT_OUTPUT, Do(session_, rest.Wait(20)));
  EXPECT_EQ(Pattern(20000), ReadPeer(peer_, 20000));
  Operation end(SESSION_WRITE);
  EXPECT_EQ(ENGINE_DONE, Do(session_, end.Wait(10000)));
}

// ---------------------------------------------------------------------------------------------
// Taking back

TEST_F(Lanes, DoesACancelledReadLoseNothing) {
  Shake();
  Operation read(SESSION_READ);
  Submit(session_, read.Room(10));
  Cancel(read);
  peer_write(peer_.get(), "kept", 4);
  Operation again(SESSION_READ);
  EXPECT_EQ(ENGINE_DONE, Do(session_, again.Room(10)));
  EXPECT_EQ("kept", again.plaintext);
}

TEST_F(Lanes, DoesTheNextInLineGoOnWhenOneIsCancelled) {
  Shake();
  Operation read(SESSION_READ);
  Operation next(SESSION_READ);
  Submit(session_, read.Room(10));
  Submit(session_, next.Room(10));
  Cancel(read);
  peer_write(peer_.get(), "kept", 4);
  EXPECT_EQ(ENGINE_DONE, next.Result());
  EXPECT_EQ("kept", next.plaintext);
}

TEST_F(Lanes, DoesNoOneWaitBehindAShutdownThatIsGone) {
  Shake();
  Operation await(SESSION_SHUTDOWN);
  Operation behind(SESSION_SHUTDOWN);
  Submit(session_, await.AwaitPeer());
  Submit(session_, behind);
  EXPECT_TRUE(behind.Pending()) << "the peer says nothing";
  Cancel(await);
  EXPECT_EQ(ENGINE_DONE, behind.Result());
}

TEST_F(Lanes, DoesNoOneWaitBehindAShutdownThatGaveUp) {
  Shake();
  Operation await(SESSION_SHUTDOWN);
  Operation behind(SESSION_SHUTDOWN);
  Submit(session_, await.AwaitPeer().Wait(30));
  Submit(session_, behind);
  EXPECT_EQ(ENGINE_WANT_INPUT, await.Result());
  EXPECT_EQ(ENGINE_DONE, behind.Result());
}

TEST_F(Lanes, DoesWhatACancelledWriteHadSentStayInOrder) {
  Narrow();
  Operation write(SESSION_WRITE);
  Submit(session_, write.Data(std::string(1 << 20, 'a')));
  EXPECT_TRUE(write.Pending());
  Cancel(write);
  Operation next(SESSION_WRITE);
  Submit(session_, next.Data("end"));
  std::string heard = ReadPeer(peer_, write.op.transferred + 3);
  EXPECT_EQ(std::string(write.op.transferred, 'a') + "end", heard);
  EXPECT_EQ(ENGINE_DONE, next.Result());
}

// Everything but its output is done: taking it back must not take that back.
TEST_F(Lanes, DoesAWriteCancelledWhileItIsSentArriveWhole) {
  Narrow();
  Operation write(SESSION_WRITE);
  Submit(session_, write.Data(Pattern(100000)));
  EXPECT_TRUE(write.Pending());
  Run([&] { EXPECT_EQ(100000u, write.op.transferred); });
  Cancel(write);
  EXPECT_EQ(Pattern(100000), ReadPeer(peer_, 100000));
}

}  // namespace
