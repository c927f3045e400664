// Operations of the memory path, which are steps on the engine and nothing else.
#include "server/session/session.h"
#include "tests/unit/session/harness.h"

namespace {

struct Delta {
  explicit Delta(enum counter counter) : counter(counter), before(counter_read(counter)) {}
  uint64_t get() const {
    return counter_read(counter) - before;
  }
  enum counter counter;
  uint64_t before;
};

class Versions : public InMemory, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Step, Versions, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(Versions, DoHandsGetShakenAsClient) {
  Delta done(COUNTER_handshakes_done);
  Begin(ENGINE_CLIENT, GetParam());
  Shake();
  EXPECT_EQ(1u, done.get()) << "and calls that find it done count nothing";
}

TEST_P(Versions, DoHandsGetShakenAsServer) {
  Begin(ENGINE_SERVER, GetParam());
  Shake();
}

TEST_P(Versions, DoesPlaintextGoBothWays) {
  Begin(ENGINE_CLIENT, GetParam());
  Shake();
  Delta in(COUNTER_plaintext_bytes_in);
  Delta out(COUNTER_plaintext_bytes_out);
  Operation write(SESSION_WRITE);
  EXPECT_EQ(ENGINE_DONE, Pass(write.Data("question")));
  EXPECT_EQ(8u, write.op.transferred);
  EXPECT_EQ("question", ReadPeer(peer_, 8));
  peer_write(peer_.get(), "answer", 6);
  Operation read(SESSION_READ);
  EXPECT_EQ(ENGINE_DONE, Pass(read.Room(100)));
  EXPECT_EQ("answer", read.plaintext);
  EXPECT_EQ(6u, session_bytes_read(session_));
  EXPECT_EQ(8u, session_bytes_written(session_));
  EXPECT_EQ(6u, in.get());
  EXPECT_EQ(8u, out.get());
}

TEST_P(Versions, DoHandsGetShakenByteByByte) {
  Begin(ENGINE_SERVER, GetParam());
  Operation handshake(SESSION_HANDSHAKE);
  bool done = false;
  for (int i = 0; i < 10000 && !done; i++) {
    peer_handshake(peer_.get());
    done = Pass(handshake, 1) == ENGINE_DONE;
  }
  EXPECT_TRUE(done);
}

class Step : public InMemory {};

TEST_F(Step, IsWhatCanNotBeAskedForNoEndOfTheSession) {
  Begin(ENGINE_CLIENT, TLS1_2_VERSION);
  Shake();
  for (enum session_op_kind kind : {SESSION_REQUEST_CERTIFICATE, SESSION_UPDATE_KEYS}) {
    Operation operation(kind);
    EXPECT_EQ(ENGINE_FAILED, Pass(operation));
    EXPECT_STREQ("WRONG_SSL_VERSION", operation.op.error.reason);
    EXPECT_EQ(ENGINE_DONE, session_state(session_));
  }
  Operation write(SESSION_WRITE);
  EXPECT_EQ(ENGINE_DONE, Pass(write.Data("go on")));
}

TEST_F(Step, DoKeysChangeWithTheNextWrite) {
  Begin(ENGINE_CLIENT, TLS1_3_VERSION);
  Shake();
  Operation update(SESSION_UPDATE_KEYS);
  update.op.request_peer = true;
  EXPECT_EQ(ENGINE_DONE, Pass(update));
  EXPECT_EQ("", update.output);
  Operation write(SESSION_WRITE);
  EXPECT_EQ(ENGINE_DONE, Pass(write.Data("question")));
  EXPECT_EQ("question", ReadPeer(peer_, 8));
}

TEST_F(Step, IsAReadWithoutInputAskedForSome) {
  Begin();
  Shake();
  Operation read(SESSION_READ);
  EXPECT_EQ(ENGINE_WANT_INPUT, Pass(read.Room(100)));
  EXPECT_EQ("", read.plaintext);
}

TEST_F(Step, IsWhatAReadHasNoRoomForLeftInTheInput) {
  Begin();
  Shake();
  for (int i = 0; i < 3; i++) {
    peer_write(peer_.get(), Pattern(1000).data(), 1000);
  }
  Collect();
  Operation read(SESSION_READ);
  EXPECT_EQ(ENGINE_DONE, Pass(read.Room(1000)));
  EXPECT_EQ(Pattern(1000), read.plaintext);
  EXPECT_FALSE(wire_.empty());
  std::string rest;
  while (rest.size() < 2000) {
    Operation more(SESSION_READ);
    ASSERT_EQ(ENGINE_DONE, Pass(more.Room(300)));
    rest += more.plaintext;
  }
  EXPECT_EQ(Pattern(1000) + Pattern(1000), rest);
  EXPECT_TRUE(wire_.empty());
}

TEST_F(Step, DoesAReadGatherRecords) {
  Begin();
  Shake();
  for (int i = 0; i < 10; i++) {
    peer_write(peer_.get(), "0123456789", 10);
  }
  Operation read(SESSION_READ);
  EXPECT_EQ(ENGINE_DONE, Pass(read.Room(1000)));
  EXPECT_EQ(100u, read.plaintext.size());
}

// An exact read takes no record after data, unless that is data for sure.
class Exact : public InMemory, public testing::WithParamInterface<int> {
 protected:
  void SetUp() override {
    Begin(ENGINE_CLIENT, GetParam());
    Shake();
    Operation tickets(SESSION_READ);
    EXPECT_EQ(ENGINE_WANT_INPUT, Pass(tickets.Room(1)));
  }
  std::string Read(size_t room, size_t wanted = 0) {
    Operation read(SESSION_READ);
    read.op.exact = wanted == 0 ? room : wanted;
    EXPECT_EQ(ENGINE_DONE, Pass(read.Room(room)));
    return read.plaintext;
  }
  void Write(size_t len) {
    peer_write(peer_.get(), Pattern(len).data(), len);
    Collect();
  }
};
INSTANTIATE_TEST_SUITE_P(Step, Exact, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(Exact, DoesAReadGatherRecordsOfData) {
  for (int i = 0; i < 5; i++) {
    Write(1000);
  }
  EXPECT_EQ(5000u, Read(10000).size());
  EXPECT_TRUE(wire_.empty());
}

TEST_P(Exact, IsTheEndLeftInTheInput) {
  Write(1000);
  size_t data = wire_.size();
  peer_shutdown(peer_.get());
  Collect();
  size_t alert = wire_.size() - data;
  EXPECT_EQ(1000u, Read(10000).size());
  EXPECT_EQ(alert, wire_.size());
  Operation end(SESSION_READ);
  end.op.exact = 10000;
  EXPECT_EQ(ENGINE_CLOSED, Pass(end.Room(10000)));
  EXPECT_TRUE(wire_.empty());
}

TEST_P(Exact, IsWhatFollowsTlsLeftInTheInput) {
  Write(1000);
  wire_ += "clear text";
  EXPECT_EQ(1000u, Read(10000).size());
  EXPECT_EQ("clear text", wire_);
}

TEST_P(Exact, IsARecordThatIsNotWholeLeftInTheInput) {
  Write(1000);
  size_t first = wire_.size();
  Write(1000);
  std::string last = wire_.substr(wire_.size() - 1);
  wire_.pop_back();
  EXPECT_EQ(1000u, Read(10000).size());
  EXPECT_EQ(first - 1, wire_.size());
  wire_ += last;
  EXPECT_EQ(1000u, Read(10000).size());
}

TEST_P(Exact, IsARecordThatHasNoRoomLeftInTheInput) {
  Write(1000);
  size_t first = wire_.size();
  Write(1000);
  EXPECT_EQ(1000u, Read(1500).size());
  EXPECT_EQ(first, wire_.size());
}

TEST_P(Exact, AreRecordsBeyondWhatIsWantedLeftInTheInput) {
  Write(1000);
  size_t record = wire_.size();
  for (int i = 0; i < 3; i++) {
    Write(1000);
  }
  EXPECT_EQ(1000u, Read(16384, 100).size()) << "all of the one that is taken";
  EXPECT_EQ(3 * record, wire_.size());
  EXPECT_EQ(2000u, Read(16384, 2 * record).size());
  EXPECT_EQ(record, wire_.size());
}

TEST_P(Exact, IsWhatEndedItSaidToCome) {
  Write(1000);
  Write(1000);
  wire_.back() ^= 1;  // the last record can't be authenticated
  EXPECT_EQ(1000u, Read(16384).size());
  EXPECT_TRUE(session_has_more(session_));
  Operation failure(SESSION_READ);
  failure.op.exact = 100;
  EXPECT_EQ(ENGINE_FAILED, Pass(failure.Room(16384)));
  EXPECT_FALSE(session_has_more(session_));
}

TEST_P(Exact, IsWhatIsDecryptedGivenBeforeAnyRecord) {
  Write(1000);
  EXPECT_EQ(300u, Read(300).size());
  EXPECT_EQ(700u, Read(10000).size());
}

TEST_F(Step, IsTheEndToldAfterTheLastBytes) {
  Begin();
  Shake();
  peer_write(peer_.get(), "last", 4);
  peer_shutdown(peer_.get());
  Operation read(SESSION_READ);
  EXPECT_EQ(ENGINE_DONE, Pass(read.Room(100)));
  EXPECT_EQ("last", read.plaintext);
  for (int i = 0; i < 2; i++) {
    Operation end(SESSION_READ);
    EXPECT_EQ(ENGINE_CLOSED, Pass(end.Room(100)));
  }
}

TEST_F(Step, IsTruncationToldAfterTheLastBytes) {
  Begin();
  Shake();
  peer_write(peer_.get(), "last", 4);
  Collect();
  Operation read(SESSION_READ);
  EXPECT_EQ(ENGINE_DONE, Do(session_, read.Room(100).Input(wire_, true)));
  EXPECT_EQ("last", read.plaintext);
  Operation end(SESSION_READ);
  EXPECT_EQ(ENGINE_FAILED, Do(session_, end.Room(100)));
  EXPECT_EQ(TLS_ERROR_TRUNCATED, end.op.error.kind);
  EXPECT_EQ(ENGINE_FAILED, session_state(session_));
}

TEST_F(Step, IsAnAlertThereThoughTheHandshakeFailed) {
  Delta failed(COUNTER_handshakes_failed);
  Begin();
  peer_ = ServerPeer(-1, 0, pki_get()->self_signed);
  Operation hello(SESSION_HANDSHAKE);
  EXPECT_EQ(ENGINE_WANT_INPUT, Pass(hello));
  peer_handshake(peer_.get());
  Operation handshake(SESSION_HANDSHAKE);
  EXPECT_EQ(ENGINE_FAILED, Pass(handshake));
  EXPECT_EQ(TLS_ERROR_VERIFY, handshake.op.error.kind);
  EXPECT_NE(0, handshake.op.error.verify_code);
  EXPECT_NE("", handshake.output) << "the alert";
  EXPECT_FALSE(peer_handshake(peer_.get()));
  EXPECT_EQ(1u, failed.get());
  EXPECT_EQ(TLS_ERROR_VERIFY, session_error(session_)->kind);
}

TEST_F(Step, IsARubbishAnswerAFailure) {
  Begin();
  Operation hello(SESSION_HANDSHAKE);
  Do(session_, hello);
  Operation handshake(SESSION_HANDSHAKE);
  EXPECT_EQ(ENGINE_FAILED, Do(session_, handshake.Input("HTTP/1.1 400 Bad Request\r\n\r\n")));
  EXPECT_EQ(TLS_ERROR_TLS, handshake.op.error.kind);
  Operation again(SESSION_READ);
  EXPECT_EQ(ENGINE_FAILED, Do(session_, again.Room(10)));
  EXPECT_EQ(TLS_ERROR_TLS, again.op.error.kind) << "and stays one";
}

TEST_F(Step, DoesAWriteStopWhereItsOutputIsFull) {
  Begin(ENGINE_CLIENT, 0, 64 * 1024);
  Shake();
  std::string data = Pattern(300 * 1000);
  std::string sent;
  int calls = 0;
  enum engine_result result = ENGINE_WANT_OUTPUT;
  while (result == ENGINE_WANT_OUTPUT) {
    Operation write(SESSION_WRITE);
    result = Pass(write.Data(data.substr(sent.size())));
    EXPECT_LE(write.output.size(), 64u * 1024);
    EXPECT_GT(write.op.transferred, 0u);
    sent += data.substr(sent.size(), write.op.transferred);
    calls++;
    ASSERT_EQ(sent, sent.substr(0, sent.size() - write.op.transferred) +
                        ReadPeer(peer_, write.op.transferred));
  }
  EXPECT_EQ(ENGINE_DONE, result);
  EXPECT_EQ(data, sent);
  EXPECT_GE(calls, 5);
}

TEST_F(Step, IsAWriteOfNothingDone) {
  Begin();
  Shake();
  Operation write(SESSION_WRITE);
  EXPECT_EQ(ENGINE_DONE, Pass(write));
  EXPECT_EQ("", write.output);
}

TEST_F(Step, DoesShutdownGoBothWays) {
  Begin();
  Shake();
  Operation send(SESSION_SHUTDOWN);
  EXPECT_EQ(ENGINE_DONE, Pass(send));
  EXPECT_NE("", send.output);
  char byte;
  EXPECT_EQ(0u, peer_read(peer_.get(), &byte, 1));
  EXPECT_TRUE(peer_was_shut_down(peer_.get()));
  Operation await(SESSION_SHUTDOWN);
  EXPECT_EQ(ENGINE_WANT_INPUT, Pass(await.AwaitPeer()));
  EXPECT_EQ("", await.output) << "it is sent once";
  peer_shutdown(peer_.get());
  EXPECT_EQ(ENGINE_DONE, Pass(await));
}

TEST_F(Step, IsWhatAShutdownThrowsAwayCounted) {
  Begin();
  Shake();
  peer_write(peer_.get(), "0123456789", 10);
  peer_shutdown(peer_.get());
  Operation shutdown(SESSION_SHUTDOWN);
  EXPECT_EQ(ENGINE_DONE, Pass(shutdown.AwaitPeer()));
  EXPECT_EQ(10u, shutdown.op.discarded);
}

TEST_F(Step, CanTheRestBeReadAfterTheOwnShutdown) {
  Begin();
  Shake();
  Operation shutdown(SESSION_SHUTDOWN);
  EXPECT_EQ(ENGINE_DONE, Pass(shutdown));
  peer_write(peer_.get(), "rest", 4);
  Operation read(SESSION_READ);
  EXPECT_EQ(ENGINE_DONE, Pass(read.Room(100)));
  EXPECT_EQ("rest", read.plaintext);
}

TEST_F(Step, IsAWriteAfterTheOwnShutdownRefusedAndReadingGoesOn) {
  Begin();
  Shake();
  Operation shutdown(SESSION_SHUTDOWN);
  EXPECT_EQ(ENGINE_DONE, Pass(shutdown));
  Operation write(SESSION_WRITE);
  EXPECT_EQ(ENGINE_FAILED, Pass(write.Data("too late")));
  EXPECT_EQ("", write.output);
  peer_write(peer_.get(), "rest", 4);
  Operation read(SESSION_READ);
  EXPECT_EQ(ENGINE_DONE, Pass(read.Room(100)));
  EXPECT_EQ("rest", read.plaintext);
}

TEST_F(Step, DoesAShutdownInMidHandshakeLetItGoOn) {
  Begin();
  Operation hello(SESSION_HANDSHAKE);
  EXPECT_EQ(ENGINE_WANT_INPUT, Pass(hello));
  Operation shutdown(SESSION_SHUTDOWN);
  EXPECT_EQ(ENGINE_FAILED, Pass(shutdown));
  EXPECT_NE(TLS_ERROR_NONE, shutdown.op.error.kind);
  EXPECT_EQ(ENGINE_WANT_INPUT, session_state(session_)) << "the session has not failed";
  Shake();
  EXPECT_EQ(ENGINE_DONE, session_state(session_));
}

// A peer that asks for new keys is answered by the session's next write.
TEST_F(Step, DoesAKeyUpdateGoUnnoticed) {
  Begin(ENGINE_CLIENT, TLS1_3_VERSION);
  Shake();
  ASSERT_EQ(1, SSL_key_update(peer_ssl(peer_.get()), SSL_KEY_UPDATE_REQUESTED));
  peer_write(peer_.get(), "new keys", 8);
  Operation read(SESSION_READ);
  EXPECT_EQ(ENGINE_DONE, Pass(read.Room(100)));
  EXPECT_EQ("new keys", read.plaintext);
  Operation write(SESSION_WRITE);
  EXPECT_EQ(ENGINE_DONE, Pass(write.Data("mine too")));
  EXPECT_EQ("mine too", ReadPeer(peer_, 8));
}

TEST_F(Step, DoPipelinedOperationsRunInOrder) {
  Begin();
  Shake();
  Operation writes[5] = {Operation(SESSION_WRITE), Operation(SESSION_WRITE),
                         Operation(SESSION_WRITE), Operation(SESSION_WRITE),
                         Operation(SESSION_WRITE)};
  for (int i = 0; i < 5; i++) {
    Submit(session_, writes[i].Data(std::to_string(i)));
  }
  for (Operation &write : writes) {
    EXPECT_EQ(ENGINE_DONE, write.Result());
    FeedPeer(peer_, write.output);
  }
  EXPECT_EQ("01234", ReadPeer(peer_, 5));
}

}  // namespace
