// Does every byte arrive on the memory path, whatever the daemon wants first? And is it an error
// when one doesn't?

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>

#include "proto/tlsagent/v1/session.pb-c.h"
#include "tests/unit/client/fake_daemon.h"
#include "tests/unit/client/fixture.h"

extern "C" {
#include "client/cli/pump.h"
}

namespace {

ProtobufCBinaryData View(const std::string &bytes) {
  return {bytes.size(), reinterpret_cast<uint8_t *>(const_cast<char *>(bytes.data()))};
}

std::string Text(const ProtobufCBinaryData &bytes) {
  return {reinterpret_cast<const char *>(bytes.data), bytes.len};
}

// A daemon whose "ciphertext" is the plaintext. From the peer it knows "[go]", which a Write may
// want to read first, and "[end]", which is close_notify; its own is "[bye]".
class PumpDaemon {
 public:
  PumpDaemon() : daemon([this](FakePeer &peer, const FakeCall &call) { return On(peer, call); }) {}

  static constexpr uint64_t kSession = 7;
  size_t room = SIZE_MAX;  // the most that a Write takes, which then wants its output sent
  std::atomic<bool> wants_go{false};  // whether a Write takes nothing before the peer's [go]
  std::atomic<int> refused{0};        // how many Writes have wanted it
  std::atomic<int> reads{0};
  Tlsagent__V1__State odd = TLSAGENT__V1__STATE__STATE_UNSPECIFIED;  // if set, what Write answers
  Tlsagent__V1__State shaken = TLSAGENT__V1__STATE__STATE_DONE;  // the second answer to Handshake
  FakeDaemon daemon;

 private:
  bool On(FakePeer &peer, const FakeCall &call) {
    if (call.method == "Connect") {
      Connect(peer, call);
    } else if (call.method == "Handshake") {
      Handshake(peer, call);
    } else if (call.method == "Read") {
      Read(peer, call);
    } else if (call.method == "Write") {
      Write(peer, call);
    } else if (call.method == "Shutdown") {
      Shutdown(peer, call);
    } else if (call.method == "Close") {
      peer.Answer(call, "");
    } else {
      return false;
    }
    return true;
  }

  // What has come of the ciphertext is taken at once.
  void Take(const Tlsagent__V1__Feed *feed, Tlsagent__V1__Progress *progress) {
    input_ += feed == nullptr ? "" : Text(feed->data);
    progress->input_consumed = feed == nullptr ? 0 : feed->data.len;
    if (input_.find("[go]") != std::string::npos) {
      wants_go = false;
    }
  }

  void Connect(FakePeer &peer, const FakeCall &call) {
    Tlsagent__V1__ConnectResponse response = TLSAGENT__V1__CONNECT_RESPONSE__INIT;
    Tlsagent__V1__Progress progress = TLSAGENT__V1__PROGRESS__INIT;
    response.session = kSession;
    progress.state = TLSAGENT__V1__STATE__STATE_WANT_READ;
    response.progress = &progress;
    peer.Answer(call, &response.base);
  }

  // Wants its flight sent, and then is as the test wants it.
  void Handshake(FakePeer &peer, const FakeCall &call) {
    Tlsagent__V1__HandshakeResponse response = TLSAGENT__V1__HANDSHAKE_RESPONSE__INIT;
    Tlsagent__V1__Progress progress = TLSAGENT__V1__PROGRESS__INIT;
    const std::string flight = handshakes_ == 0 ? "[flight]" : "";
    progress.state = handshakes_++ == 0 ? TLSAGENT__V1__STATE__STATE_WANT_WRITE : shaken;
    progress.output = View(flight);
    response.progress = &progress;
    peer.Answer(call, &response.base);
  }

  void Read(FakePeer &peer, const FakeCall &call) {
    Tlsagent__V1__ReadRequest *request = tlsagent__v1__read_request__unpack(
        nullptr, call.payload.size(), reinterpret_cast<const uint8_t *>(call.payload.data()));
    Tlsagent__V1__ReadResponse response = TLSAGENT__V1__READ_RESPONSE__INIT;
    Tlsagent__V1__Progress progress = TLSAGENT__V1__PROGRESS__INIT;
    Take(request->feed, &progress);
    const bool ended = input_.find("[end]") != std::string::npos;
    progress.state =
        ended ? TLSAGENT__V1__STATE__STATE_CLOSED : TLSAGENT__V1__STATE__STATE_WANT_READ;
    response.progress = &progress;
    reads++;
    peer.Answer(call, &response.base);
    tlsagent__v1__read_request__free_unpacked(request, nullptr);
  }

  void Write(FakePeer &peer, const FakeCall &call) {
    Tlsagent__V1__WriteRequest *request = tlsagent__v1__write_request__unpack(
        nullptr, call.payload.size(), reinterpret_cast<const uint8_t *>(call.payload.data()));
    Tlsagent__V1__WriteResponse response = TLSAGENT__V1__WRITE_RESPONSE__INIT;
    Tlsagent__V1__Progress progress = TLSAGENT__V1__PROGRESS__INIT;
    std::string data = Text(request->data);
    Take(request->feed, &progress);
    progress.state = TLSAGENT__V1__STATE__STATE_DONE;
    if (odd != TLSAGENT__V1__STATE__STATE_UNSPECIFIED) {
      progress.state = odd;
      data.clear();
    } else if (wants_go) {
      refused++;
      progress.state = TLSAGENT__V1__STATE__STATE_WANT_READ;
      data.clear();
    } else if (data.size() > room) {
      progress.state = TLSAGENT__V1__STATE__STATE_WANT_WRITE;
      data.resize(room);
    }
    progress.output = View(data);
    response.accepted = data.size();
    response.progress = &progress;
    peer.Answer(call, &response.base);
    tlsagent__v1__write_request__free_unpacked(request, nullptr);
  }

  void Shutdown(FakePeer &peer, const FakeCall &call) {
    Tlsagent__V1__ShutdownResponse response = TLSAGENT__V1__SHUTDOWN_RESPONSE__INIT;
    Tlsagent__V1__Progress progress = TLSAGENT__V1__PROGRESS__INIT;
    const std::string bye = "[bye]";
    progress.state = TLSAGENT__V1__STATE__STATE_DONE;
    progress.output = View(bye);
    response.progress = &progress;
    peer.Answer(call, &response.base);
  }

  int handshakes_ = 0;
  std::string input_;
};

// A channel of the memory path whose other end is the test's, with something on standard input.
class Pump : public ::testing::Test {
 protected:
  Pump() : client(server.daemon) {
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, tcp), 0);
    EXPECT_EQ(pipe(in), 0);
    EXPECT_EQ(pipe(out), 0);
    channel.cli = &cli;
    channel.agent = client;
    channel.session = PumpDaemon::kSession;
    channel.memory = tlsagent_memory_adopt(client, PumpDaemon::kSession);
    channel.tcp = tcp[0];
    ends.in_fd = in[0];
    ends.out_fd = out[1];
    ends.stop_with_peer = true;
  }

  ~Pump() override {
    for (const int fd : {tcp[1], in[0], out[0], out[1]}) {
      close(fd);
    }
  }

  // Has `text` come from standard input, to its end.
  void Say(const std::string &text) {
    feeder = std::thread([this, text] {
      EXPECT_EQ(write(in[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
      close(in[1]);
    });
  }

  // What has come to the peer when `last` has.
  std::string Hear(const std::string &last) {
    std::string heard;
    char data[4096];
    ssize_t got = 1;
    while (got > 0 && heard.find(last) == std::string::npos) {
      got = recv(tcp[1], data, sizeof(data), 0);
      heard.append(data, got > 0 ? static_cast<size_t>(got) : 0);
    }
    return heard;
  }

  void Answer(const std::string &text) {
    EXPECT_EQ(send(tcp[1], text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }

  PumpDaemon server;
  Client client;
  cli cli = {};
  channel channel = {};
  pump_ends ends = {};
  int tcp[2];
  int in[2];
  int out[2];
  std::thread feeder;
};

std::string LongText() {
  std::string text;
  while (text.size() < 300000) {
    text += std::to_string(text.size()) + " ";
  }
  return text;
}

TEST_F(Pump, DoesADaemonWithLittleRoomLoseNothing) {
  server.room = 5000;
  Say(LongText());
  std::string heard;
  std::thread peer([&] {
    heard = Hear("[bye]");
    Answer("[end]");
  });
  EXPECT_EQ(pump(&channel, &ends), EXIT_OK);
  feeder.join();
  peer.join();
  EXPECT_EQ(heard, LongText() + "[bye]");
}

TEST_F(Pump, IsTheInputKeptWhileTheDaemonWantsToReadFirst) {
  server.wants_go = true;
  Say("important");
  std::string heard;
  std::thread peer([&] {
    while (server.refused == 0) {
      usleep(1000);
    }
    Answer("[go]");
    heard = Hear("[bye]");
    Answer("[end]");
  });
  EXPECT_EQ(pump(&channel, &ends), EXIT_OK);
  feeder.join();
  peer.join();
  EXPECT_EQ(heard, "important[bye]");
  EXPECT_EQ(server.refused, 1) << "it is tried again when something has come";
}

TEST_F(Pump, IsADaemonThatGoesNoticedWhileNobodySpeaks) {
  std::thread end([this] {
    while (server.reads == 0) {
      usleep(1000);
    }
    server.daemon.HangUpAll();
  });
  testing::internal::CaptureStderr();
  EXPECT_EQ(pump(&channel, &ends), EXIT_NO_DAEMON);
  EXPECT_NE(testing::internal::GetCapturedStderr(), "");
  end.join();
  close(in[1]);
}

TEST_F(Pump, IsAnOddStateOfTheMemoryPathNoSuccess) {
  for (const int state : {TLSAGENT_STATE_WANT_DECISION, TLSAGENT_STATE_CLOSED}) {
    server.odd = static_cast<Tlsagent__V1__State>(state);
    size_t len = 5;
    tlsagent_error error;
    EXPECT_FALSE(channel_write(&channel, "hello", len, &error));
    EXPECT_NE(error.fault, TLSAGENT_FAULT_NONE);
  }
  Say("hello");
  testing::internal::CaptureStderr();
  EXPECT_EQ(pump(&channel, &ends), EXIT_TLS);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("closed"), std::string::npos);
  feeder.join();
}

TEST_F(Pump, IsAnOddStateOfTheSocketPathNoSuccess) {
  tlsagent_memory_free(channel.memory);
  close(channel.tcp);
  channel.memory = nullptr;
  channel.tcp = -1;
  server.odd = TLSAGENT__V1__STATE__STATE_WANT_WRITE;
  Say("hello");
  testing::internal::CaptureStderr();
  EXPECT_EQ(pump(&channel, &ends), EXIT_TLS);
  EXPECT_NE(testing::internal::GetCapturedStderr(), "");
  feeder.join();
}

TEST_F(Pump, IsALongMessageWrittenWhole) {
  server.room = 5000;
  server.wants_go = true;
  std::string heard;
  std::thread peer([&] {
    Answer("[go]");
    heard = Hear("[bye]");
  });
  const std::string text = LongText();
  tlsagent_error error;
  EXPECT_TRUE(channel_write(&channel, text.data(), text.size(), &error)) << error.message;
  channel_finish(&channel);
  peer.join();
  EXPECT_EQ(heard, text + "[bye]");
  close(in[1]);
}

// --- The handshake ---

// Connects by the memory path to a listener that never accepts; returns the exit code.
int ConnectMemory(tlsagent_client *agent, uint64_t *session) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  socklen_t len = sizeof(address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(bind(listener, reinterpret_cast<sockaddr *>(&address), len), 0);
  EXPECT_EQ(listen(listener, 1), 0);
  EXPECT_EQ(getsockname(listener, reinterpret_cast<sockaddr *>(&address), &len), 0);
  const cli cli = {};
  channel channel = {&cli, agent, 0, nullptr, -1};
  endpoint endpoint = {};
  snprintf(endpoint.host, sizeof(endpoint.host), "127.0.0.1");
  snprintf(endpoint.port, sizeof(endpoint.port), "%u", ntohs(address.sin_port));
  const tlsagent_session_connect_request request = {};
  const int code = channel_connect(&channel, TLSAGENT_PATH_MEMORY, &endpoint, &request);
  *session = channel.session;
  channel_drop(&channel);
  close(listener);
  return code;
}

TEST(Channel, DoesAHandshakeGoOnWhenItsOutputIsSent) {
  PumpDaemon server;
  Client client(server.daemon);
  uint64_t session = 0;
  EXPECT_EQ(ConnectMemory(client, &session), EXIT_OK);
  EXPECT_EQ(session, PumpDaemon::kSession);
}

TEST(Channel, IsAHandshakeThatIsNotDoneNoSuccess) {
  for (const int state :
       {TLSAGENT_STATE_CLOSED, TLSAGENT_STATE_WANT_WRITE, TLSAGENT_STATE_WANT_DECISION}) {
    PumpDaemon server;
    Client client(server.daemon);
    uint64_t session = 0;
    server.shaken = static_cast<Tlsagent__V1__State>(state);
    testing::internal::CaptureStderr();
    EXPECT_EQ(ConnectMemory(client, &session), EXIT_TLS) << state;
    EXPECT_NE(testing::internal::GetCapturedStderr(), "");
    EXPECT_EQ(session, 0U);
  }
}

}  // namespace
