// Does a memory session keep what isn't used, and lose nothing?

#include <gtest/gtest.h>
#include <string.h>

#include <string>
#include <vector>

#include "client/c/tlsagent.h"
#include "proto/tlsagent/v1/session.pb-c.h"
#include "tests/unit/client/fake_daemon.h"
#include "tests/unit/client/fixture.h"

namespace {

// A "protocol" for the fake daemon: a record is four bytes "[xy]". Read gives its two letters,
// takes whole records only, and at most what max_bytes holds; "[**]" is close_notify, "[!!]" a
// failure with an alert.
class RecordDaemon {
 public:
  RecordDaemon()
      : daemon([this](FakePeer &peer, const FakeCall &call) { return On(peer, call); }) {}

  FakeDaemon daemon;
  std::vector<size_t> feeds;  // bytes of each feed that came
  std::string written;
  uint64_t lie = 0;          // what Write says to have taken, if not 0, wanting to read
  bool close_early = false;  // whether Handshake is answered with close_notify
  bool closed = false;
  bool eof = false;

 private:
  using Progress = Tlsagent__V1__Progress;

  static std::string FeedOf(const Tlsagent__V1__Feed *feed) {
    return feed == nullptr ? ""
                           : std::string(reinterpret_cast<char *>(feed->data.data), feed->data.len);
  }

  bool On(FakePeer &peer, const FakeCall &call) {
    if (call.method == "Connect") {
      Open(peer, call);
    } else if (call.method == "Handshake") {
      Handshake(peer, call);
    } else if (call.method == "Read") {
      Read(peer, call);
    } else if (call.method == "Write") {
      Write(peer, call);
    } else if (call.method == "Close") {
      closed = true;
      peer.Answer(call, "");
    } else {
      return false;
    }
    return true;
  }

  void Open(FakePeer &peer, const FakeCall &call) {
    Tlsagent__V1__ConnectResponse response = TLSAGENT__V1__CONNECT_RESPONSE__INIT;
    Progress progress = TLSAGENT__V1__PROGRESS__INIT;
    response.session = 77;
    progress.state = TLSAGENT__V1__STATE__STATE_WANT_READ;
    progress.output = {5, reinterpret_cast<uint8_t *>(const_cast<char *>("hello"))};
    response.progress = &progress;
    peer.Answer(call, &response.base);
  }

  // Done when "[ok]" came; what comes behind it isn't taken.
  void Handshake(FakePeer &peer, const FakeCall &call) {
    Tlsagent__V1__HandshakeRequest *request = tlsagent__v1__handshake_request__unpack(
        nullptr, call.payload.size(), reinterpret_cast<const uint8_t *>(call.payload.data()));
    const std::string input = FeedOf(request->feed);
    Tlsagent__V1__HandshakeResponse response = TLSAGENT__V1__HANDSHAKE_RESPONSE__INIT;
    Progress progress = TLSAGENT__V1__PROGRESS__INIT;
    const bool done = input.substr(0, 4) == "[ok]";
    if (close_early) {
      progress.state = TLSAGENT__V1__STATE__STATE_CLOSED;
      response.progress = &progress;
      peer.Answer(call, &response.base);
      tlsagent__v1__handshake_request__free_unpacked(request, nullptr);
      return;
    }
    progress.state = done ? TLSAGENT__V1__STATE__STATE_DONE : TLSAGENT__V1__STATE__STATE_WANT_READ;
    progress.input_consumed = done ? 4 : 0;
    progress.output = {done ? 8U : 0U, reinterpret_cast<uint8_t *>(const_cast<char *>("finished"))};
    response.progress = &progress;
    peer.Answer(call, &response.base);
    tlsagent__v1__handshake_request__free_unpacked(request, nullptr);
  }

  void Read(FakePeer &peer, const FakeCall &call) {
    Tlsagent__V1__ReadRequest *request = tlsagent__v1__read_request__unpack(
        nullptr, call.payload.size(), reinterpret_cast<const uint8_t *>(call.payload.data()));
    const std::string input = FeedOf(request->feed);
    feeds.push_back(input.size());
    eof = request->feed != nullptr && request->feed->eof;
    Tlsagent__V1__ReadResponse response = TLSAGENT__V1__READ_RESPONSE__INIT;
    Progress progress = TLSAGENT__V1__PROGRESS__INIT;
    Tlsagent__V1__TlsError error = TLSAGENT__V1__TLS_ERROR__INIT;
    std::string data;
    size_t at = 0;
    progress.state = TLSAGENT__V1__STATE__STATE_WANT_READ;
    while (at + 4 <= input.size() && data.size() + 2 <= request->max_bytes) {
      const std::string text = input.substr(at + 1, 2);
      if (text == "**" || text == "!!") {
        break;
      }
      data += text;
      at += 4;
    }
    if (!data.empty()) {
      progress.state = TLSAGENT__V1__STATE__STATE_DONE;
    } else if (input.compare(at, 4, "[**]") == 0) {
      progress.state = TLSAGENT__V1__STATE__STATE_CLOSED;
      at += 4;
    } else if (input.compare(at, 4, "[!!]") == 0) {
      progress.state = TLSAGENT__V1__STATE__STATE_FAILED;
      error.kind = TLSAGENT__V1__ERROR_KIND__ERROR_KIND_TLS;
      error.text = const_cast<char *>("bad record mac");
      progress.error = &error;
      progress.output = {5, reinterpret_cast<uint8_t *>(const_cast<char *>("alert"))};
      at += 4;
    }
    progress.input_consumed = at;
    response.progress = &progress;
    response.data = {data.size(), reinterpret_cast<uint8_t *>(&data[0])};
    peer.Answer(call, &response.base);
    tlsagent__v1__read_request__free_unpacked(request, nullptr);
  }

  void Write(FakePeer &peer, const FakeCall &call) {
    Tlsagent__V1__WriteRequest *request = tlsagent__v1__write_request__unpack(
        nullptr, call.payload.size(), reinterpret_cast<const uint8_t *>(call.payload.data()));
    Tlsagent__V1__WriteResponse response = TLSAGENT__V1__WRITE_RESPONSE__INIT;
    Progress progress = TLSAGENT__V1__PROGRESS__INIT;
    written.append(reinterpret_cast<char *>(request->data.data), request->data.len);
    progress.state = TLSAGENT__V1__STATE__STATE_DONE;
    progress.output = {3, reinterpret_cast<uint8_t *>(const_cast<char *>("rec"))};
    response.accepted = request->data.len;
    if (lie != 0) {
      response.accepted = lie;
      progress.state = TLSAGENT__V1__STATE__STATE_WANT_READ;
      progress.input_consumed = 1;
    }
    response.progress = &progress;
    peer.Answer(call, &response.base);
    tlsagent__v1__write_request__free_unpacked(request, nullptr);
  }
};

std::string Take(tlsagent_memory *memory) {
  size_t len;
  const uint8_t *data = tlsagent_memory_take(memory, &len);
  const std::string taken(reinterpret_cast<const char *>(data), len);
  tlsagent_memory_taken(memory, len);
  return taken;
}

bool Give(tlsagent_memory *memory, const std::string &bytes) {
  return tlsagent_memory_give(memory, bytes.data(), bytes.size());
}

class Memory : public ::testing::Test {
 protected:
  Memory() : client(server.daemon) {
    const tlsagent_session_connect_request request = {};
    memory = tlsagent_memory_connect(client, &request, 0, &client.error);
    EXPECT_NE(memory, nullptr) << client.error.message;
  }
  ~Memory() override {
    tlsagent_memory_free(memory);
  }

  // Reads until it wants more, or ends.
  std::string ReadAll(size_t size, tlsagent_state *last) {
    std::string all;
    std::string buffer(size, '\0');
    size_t len;
    while ((*last = tlsagent_memory_read(memory, &len, &buffer[0], size, 0, &client.error)) ==
           TLSAGENT_STATE_DONE) {
      all += buffer.substr(0, len);
    }
    return all;
  }

  RecordDaemon server;
  Client client;
  tlsagent_memory *memory;
};

TEST_F(Memory, IsTheFirstFlightThereToBeSent) {
  EXPECT_EQ(tlsagent_memory_session(memory), 77U);
  EXPECT_EQ(Take(memory), "hello");
  EXPECT_EQ(Take(memory), "");
}

TEST_F(Memory, IsOutputKeptUntilItIsTaken) {
  size_t len;
  tlsagent_memory_take(memory, &len);
  EXPECT_EQ(len, 5U);
  tlsagent_memory_taken(memory, 2);
  EXPECT_EQ(Take(memory), "llo");
}

TEST_F(Memory, IsWhatTheHandshakeLeavesReadLater) {
  tlsagent_state state;
  EXPECT_EQ(tlsagent_memory_handshake(memory, 0, &client.error), TLSAGENT_STATE_WANT_READ);
  EXPECT_TRUE(Give(memory, "[ok"));
  EXPECT_EQ(tlsagent_memory_handshake(memory, 0, &client.error), TLSAGENT_STATE_WANT_READ);
  EXPECT_TRUE(Give(memory, "][ab][c"));
  EXPECT_EQ(tlsagent_memory_handshake(memory, 0, &client.error), TLSAGENT_STATE_DONE);
  EXPECT_EQ(Take(memory), "hellofinished");
  EXPECT_EQ(ReadAll(100, &state), "ab");
  EXPECT_EQ(state, TLSAGENT_STATE_WANT_READ);
  EXPECT_TRUE(Give(memory, "d]"));
  EXPECT_EQ(ReadAll(100, &state), "cd");
}

TEST_F(Memory, DoesOneByteAtATimeMakeTheSame) {
  const std::string stream = "[ab][cd][ef][gh][**]tail";
  std::string all;
  tlsagent_state state = TLSAGENT_STATE_WANT_READ;
  size_t at = 0;
  while (state == TLSAGENT_STATE_WANT_READ) {
    ASSERT_TRUE(Give(memory, stream.substr(at++, 1)));
    all += ReadAll(3, &state);
  }
  EXPECT_EQ(all, "abcdefgh");
  EXPECT_EQ(state, TLSAGENT_STATE_CLOSED);
  ASSERT_TRUE(Give(memory, stream.substr(at)));
  size_t len;
  const uint8_t *unused = tlsagent_memory_unused(memory, &len);
  EXPECT_EQ(std::string(reinterpret_cast<const char *>(unused), len), "tail")
      << "the clear text that follows";
}

TEST_F(Memory, IsALotOfInputFedInPortions) {
  std::string input;
  std::string expected;
  for (int i = 0; i < 300000; i++) {
    const std::string letters = {static_cast<char>('a' + i % 26), static_cast<char>('a' + i % 7)};
    input += "[" + letters + "]";
    expected += letters;
  }
  tlsagent_state state;
  ASSERT_TRUE(Give(memory, input));
  EXPECT_EQ(ReadAll(100000, &state), expected);
  EXPECT_EQ(state, TLSAGENT_STATE_WANT_READ);
  for (const size_t feed : server.feeds) {
    EXPECT_LE(feed, 256U * 1024);
  }
}

TEST_F(Memory, IsTheAlertOfAFailureThereToBeSent) {
  char buffer[10];
  size_t len;
  Take(memory);
  ASSERT_TRUE(Give(memory, "[!!]"));
  EXPECT_EQ(tlsagent_memory_read(memory, &len, buffer, sizeof(buffer), 0, &client.error),
            TLSAGENT_STATE_FAILED);
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_TLS);
  EXPECT_STREQ(client.error.tls.text, "bad record mac");
  EXPECT_EQ(Take(memory), "alert");
  ASSERT_NE(tlsagent_memory_progress(memory), nullptr);
  EXPECT_EQ(tlsagent_memory_progress(memory)->state, TLSAGENT_STATE_FAILED);
}

TEST_F(Memory, IsTheEndOfTheTransportToldWithTheLastOfTheInput) {
  tlsagent_state state;
  ASSERT_TRUE(Give(memory, "[ab]"));
  tlsagent_memory_give_eof(memory);
  EXPECT_EQ(ReadAll(10, &state), "ab");
  EXPECT_TRUE(server.eof);
}

TEST_F(Memory, IsALongWriteWrittenWhole) {
  const std::string text(1000000, 'w');
  size_t accepted;
  Take(memory);
  EXPECT_EQ(tlsagent_memory_write(memory, &accepted, text.data(), text.size(), 0, &client.error),
            TLSAGENT_STATE_DONE);
  EXPECT_EQ(accepted, text.size());
  EXPECT_EQ(server.written, text);
  EXPECT_EQ(Take(memory).size() % 3, 0U);
}

TEST_F(Memory, IsACloseInTheHandshakeAFailure) {
  server.close_early = true;
  EXPECT_EQ(tlsagent_memory_handshake(memory, 0, &client.error), TLSAGENT_STATE_FAILED);
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_TLS);
  EXPECT_EQ(client.error.tls.kind, TLSAGENT_ERROR_TLS);
  EXPECT_NE(strstr(client.error.message, "close_notify"), nullptr) << client.error.message;
}

// Each round of the write would begin further beyond the end of the text.
TEST_F(Memory, IsADaemonThatTakesMoreThanItIsGivenNotBelieved) {
  const std::string secret = "not for the daemon";
  size_t accepted = 99;
  ASSERT_TRUE(Give(memory, std::string(100, 'x')));
  server.lie = 6;
  EXPECT_EQ(tlsagent_memory_write(memory, &accepted, secret.data(), 5, 0, &client.error),
            TLSAGENT_STATE_FAILED);
  EXPECT_EQ(accepted, 0U);
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_LOST);
  EXPECT_EQ(server.written, "not f");
}

TEST_F(Memory, IsTheSessionClosedWithTheObject) {
  tlsagent_memory_free(memory);
  memory = nullptr;
  EXPECT_TRUE(tlsagent_agent_ping(client, "x", 1, 0, &client.error));
  EXPECT_TRUE(server.closed);
}

TEST_F(Memory, IsADaemonThatHasGoneAFailure) {
  char buffer[10];
  size_t len;
  server.daemon.HangUpAll();
  EXPECT_EQ(tlsagent_memory_read(memory, &len, buffer, sizeof(buffer), 0, &client.error),
            TLSAGENT_STATE_FAILED);
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_LOST);
  EXPECT_EQ(tlsagent_memory_progress(memory), nullptr);
}

}  // namespace
