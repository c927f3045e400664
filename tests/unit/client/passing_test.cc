// Do descriptors arrive, on both sides, and does none stay behind?

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "client/c/tlsagent.h"
#include "proto/tlsagent/v1/certificate.pb-c.h"
#include "proto/tlsagent/v1/session.pb-c.h"
#include "tests/unit/client/fake_daemon.h"
#include "tests/unit/client/fixture.h"

namespace {

size_t OpenDescriptors() {
  size_t num = 0;
  DIR *directory = opendir("/proc/self/fd");
  while (readdir(directory) != nullptr) {
    num++;
  }
  closedir(directory);
  return num;
}

int FileWith(const std::string &text) {
  const int fd = memfd_create("test", MFD_CLOEXEC);
  EXPECT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return fd;
}

std::string Contents(int fd) {
  char data[64] = {};
  const ssize_t len = pread(fd, data, sizeof(data), 0);
  return std::string(data, len > 0 ? static_cast<size_t>(len) : 0);
}

TEST(Passing, DoDescriptorsComeWithTheRequestThatNamesThem) {
  std::vector<std::string> seen;
  FakeDaemon daemon([&](FakePeer &peer, const FakeCall &call) {
    if (call.method != "Verify") {
      return false;
    }
    Tlsagent__V1__VerifyRequest *request = tlsagent__v1__verify_request__unpack(
        nullptr, call.payload.size(), reinterpret_cast<const uint8_t *>(call.payload.data()));
    EXPECT_EQ(call.fds.size(), 3U);
    EXPECT_EQ(request->chain->source_case, TLSAGENT__V1__MATERIAL__SOURCE_FD);
    EXPECT_EQ(request->chain->fd, 0U);
    EXPECT_EQ(request->trust[0]->fd, 1U);
    EXPECT_EQ(request->trust[1]->source_case, TLSAGENT__V1__MATERIAL__SOURCE_DATA);
    EXPECT_EQ(request->crls[0]->fd, 2U);
    for (int fd : call.fds) {
      seen.push_back(Contents(fd));
    }
    tlsagent__v1__verify_request__free_unpacked(request, nullptr);
    peer.Answer(call, "");
    return true;
  });
  Client client(daemon);
  const int chain = FileWith("chain");
  const int trust = FileWith("trust");
  const int crl = FileWith("crl");
  const tlsagent_material trusts[] = {tlsagent_material_fd(trust), tlsagent_material_data("x", 1)};
  const tlsagent_material crls[] = {tlsagent_material_fd(crl)};
  tlsagent_certificate_verify_request request = {};
  request.chain = tlsagent_material_fd(chain);
  request.trust = trusts;
  request.num_trust = 2;
  request.crls = crls;
  request.num_crls = 1;
  tlsagent_certificate_verify_reply *reply;
  EXPECT_TRUE(tlsagent_certificate_verify(client, &reply, &request, 5000, &client.error))
      << client.error.message;
  tlsagent_free(reply);
  EXPECT_EQ(seen, (std::vector<std::string>{"chain", "trust", "crl"}));
  EXPECT_EQ(Contents(chain), "chain") << "and they stay the caller's";
  close(chain);
  close(trust);
  close(crl);
}

TEST(Passing, MayTheCallerCloseItsDescriptorAtOnce) {
  std::string seen;
  std::atomic<bool> hold{true};
  FakeDaemon daemon([&](FakePeer &peer, const FakeCall &call) {
    while (hold && call.method == "Ping") {
      usleep(1000);
    }
    if (call.method == "Accept") {
      seen = call.fds.size() == 1 ? Contents(call.fds[0]) : "none";
      peer.Answer(call, "");
    }
    return call.method == "Accept";
  });
  Client client(daemon);
  // The socket is full, so that the request with the descriptor has to wait.
  const std::string payload(2000000, 'x');
  const tlsagent_bytes_request ping = {tlsagent_bytes_of(payload.data(), payload.size())};
  tlsagent_submit(client, TLSAGENT_AGENT_PING, &ping, 0, nullptr, nullptr, &client.error);
  const int fd = FileWith("socket");
  tlsagent_session_accept_request request = {};
  request.transport = tlsagent_over_fd(fd);
  ASSERT_NE(tlsagent_submit(client, TLSAGENT_SESSION_ACCEPT, &request, 0, nullptr, nullptr,
                            &client.error),
            0U);
  close(fd);
  hold = false;
  EXPECT_TRUE(tlsagent_agent_ping(client, "x", 1, 5000, &client.error));
  EXPECT_EQ(seen, "socket");
}

TEST(Passing, DoesNoDescriptorStayBehind) {
  FakeDaemon daemon([](FakePeer &peer, const FakeCall &call) {
    for (int fd : call.fds) {
      EXPECT_GE(fd, 0);
    }
    if (call.method == "Accept") {
      peer.Answer(call, std::string("\x08\x01"));  // session 1
    }
    return call.method == "Accept";
  });
  const size_t before = OpenDescriptors();
  const int fd = FileWith("x");
  {
    Client client(daemon);
    tlsagent_session_accept_request request = {};
    request.transport = tlsagent_over_fd(fd);
    for (int i = 0; i < 20; i++) {
      EXPECT_TRUE(tlsagent_session_accept(client, nullptr, &request, 5000, &client.error));
    }
  }
  while (daemon.open() != 0) {
    usleep(1000);
  }
  close(fd);
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(Passing, IsADescriptorThatIsNoneRefused) {
  FakeDaemon daemon;
  Client client(daemon);
  tlsagent_session_accept_request request = {};
  request.transport = tlsagent_over_fd(-1);
  EXPECT_FALSE(tlsagent_session_accept(client, nullptr, &request, 0, &client.error));
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_USAGE);
  EXPECT_STREQ(client.error.message, "descriptor -1 can't be passed: Bad file descriptor");
  EXPECT_TRUE(tlsagent_agent_ping(client, "x", 1, 0, &client.error)) << "and nothing is broken";
}

TEST(Passing, AreTooManyDescriptorsRefused) {
  FakeDaemon daemon;
  Client client(daemon);
  const std::vector<tlsagent_material> trust(TLSAGENT_FDS_MAX + 1, tlsagent_material_fd(0));
  tlsagent_certificate_verify_request request = {};
  request.trust = trust.data();
  request.num_trust = trust.size();
  EXPECT_FALSE(tlsagent_certificate_verify(client, nullptr, &request, 0, &client.error));
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_USAGE);
  request.num_trust = TLSAGENT_FDS_MAX;
  EXPECT_FALSE(tlsagent_certificate_verify(client, nullptr, &request, 0, &client.error));
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_REFUSED) << client.error.message;
}

// --- The other way ---

bool AnswerRelay(FakePeer &peer, const FakeCall &call, const std::vector<int> &fds) {
  Tlsagent__V1__RelayResponse response = TLSAGENT__V1__RELAY_RESPONSE__INIT;
  response.kernel_tls = 1;
  response.kernel_tls_why = const_cast<char *>("because");
  peer.Answer(call, Pack(&response.base), fds);
  return true;
}

TEST(Passing, DoesADescriptorComeWithTheReplyThatNamesIt) {
  const int file = FileWith("relay");
  FakeDaemon daemon([&](FakePeer &peer, const FakeCall &call) {
    return call.method == "Relay" && AnswerRelay(peer, call, {file});
  });
  Client client(daemon);
  const tlsagent_session_relay_request request = {};
  tlsagent_session_relay_reply *reply;
  ASSERT_TRUE(tlsagent_session_relay(client, &reply, &request, 0, &client.error))
      << client.error.message;
  EXPECT_EQ(Contents(reply->fd), "relay");
  EXPECT_TRUE(reply->kernel_tls);
  EXPECT_STREQ(reply->kernel_tls_why, "because");
  EXPECT_NE(fcntl(reply->fd, F_GETFD) & FD_CLOEXEC, 0);
  close(reply->fd);
  tlsagent_free(reply);
  close(file);
}

// One that isn't the reply's own, but of a message in it; and not of others, which come without.
bool AnswerAccept(FakePeer &peer, const FakeCall &call, const std::vector<int> &fds) {
  Tlsagent__V1__AcceptResponse response = TLSAGENT__V1__ACCEPT_RESPONSE__INIT;
  Tlsagent__V1__Progress progress = TLSAGENT__V1__PROGRESS__INIT;
  Tlsagent__V1__RelayResponse relay = TLSAGENT__V1__RELAY_RESPONSE__INIT;
  progress.state = TLSAGENT__V1__STATE__STATE_DONE;
  response.session = 1;
  response.progress = &progress;
  response.relay = fds.empty() ? nullptr : &relay;
  peer.Answer(call, Pack(&response.base), fds);
  return true;
}

TEST(Passing, DoesARelayComeWithItsSessionInOneCall) {
  const int file = FileWith("relay");
  std::vector<int> fds = {file};
  FakeDaemon daemon([&](FakePeer &peer, const FakeCall &call) {
    return call.method == "Accept" && AnswerAccept(peer, call, fds);
  });
  Client client(daemon);
  const size_t before = OpenDescriptors();
  const tlsagent_relay_options options = {};
  tlsagent_session_accept_request request = {};
  request.transport.path = TLSAGENT_PATH_MEMORY;
  request.relay = &options;
  tlsagent_session_accept_reply *reply;
  ASSERT_TRUE(tlsagent_session_accept(client, &reply, &request, 0, &client.error))
      << client.error.message;
  ASSERT_NE(reply->relay, nullptr);
  EXPECT_EQ(Contents(reply->relay->fd), "relay");
  EXPECT_NE(fcntl(reply->relay->fd, F_GETFD) & FD_CLOEXEC, 0);
  close(reply->relay->fd);
  tlsagent_free(reply);
  EXPECT_TRUE(tlsagent_session_accept(client, nullptr, &request, 0, &client.error));
  EXPECT_EQ(OpenDescriptors(), before) << "one that nobody wants is closed";
  fds.clear();
  ASSERT_TRUE(tlsagent_session_accept(client, &reply, &request, 0, &client.error));
  EXPECT_EQ(reply->relay, nullptr);
  tlsagent_free(reply);
  close(file);
}

TEST(Passing, IsADescriptorThatNobodyWantsClosed) {
  const int file = FileWith("relay");
  FakeDaemon daemon([&](FakePeer &peer, const FakeCall &call) {
    return call.method == "Relay" && AnswerRelay(peer, call, {file});
  });
  Client client(daemon);
  const size_t before = OpenDescriptors();
  const tlsagent_session_relay_request request = {};
  EXPECT_TRUE(tlsagent_session_relay(client, nullptr, &request, 0, &client.error));
  tlsagent_submit(client, TLSAGENT_SESSION_RELAY, &request, 0, nullptr, nullptr, &client.error);
  EXPECT_TRUE(tlsagent_agent_ping(client, "x", 1, 0, &client.error));
  EXPECT_EQ(OpenDescriptors(), before);
  close(file);
}

TEST(Passing, FindEachOfManyDescriptorsItsReply) {
  std::vector<FakeCall> waiting;
  std::vector<int> files;
  for (int i = 0; i < 10; i++) {
    files.push_back(FileWith(std::to_string(i)));
  }
  FakeDaemon daemon([&](FakePeer &peer, const FakeCall &call) {
    if (call.method != "Relay") {
      return false;
    }
    waiting.push_back(call);
    if (waiting.size() == files.size()) {
      for (size_t i = files.size(); i-- > 0;) {  // out of order, and some without
        if (i % 3 == 0) {
          peer.Refuse(waiting[i], 9, "not now");
        } else {
          AnswerRelay(peer, waiting[i], {files[i]});
        }
      }
    }
    return true;
  });
  Client client(daemon);
  std::vector<std::string> got(files.size(), "?");
  const tlsagent_session_relay_request request = {};
  for (std::string &slot : got) {
    tlsagent_submit(
        client, TLSAGENT_SESSION_RELAY, &request, 0,
        [](void *user, bool ok, void *out, const tlsagent_error *) {
          auto *reply = static_cast<tlsagent_session_relay_reply *>(out);
          *static_cast<std::string *>(user) = ok ? Contents(reply->fd) : "refused";
          if (ok) {
            close(reply->fd);
          }
          tlsagent_free(out);
        },
        &slot, &client.error);
  }
  EXPECT_TRUE(tlsagent_agent_ping(client, "x", 1, 0, &client.error));
  for (size_t i = 0; i < got.size(); i++) {
    EXPECT_EQ(got[i], i % 3 == 0 ? "refused" : std::to_string(i));
  }
  for (int file : files) {
    close(file);
  }
}

TEST(Passing, IsARelayWithoutItsDescriptorAnError) {
  FakeDaemon daemon([](FakePeer &peer, const FakeCall &call) {
    return call.method == "Relay" && AnswerRelay(peer, call, {});
  });
  Client client(daemon);
  const tlsagent_session_relay_request request = {};
  EXPECT_FALSE(tlsagent_session_relay(client, nullptr, &request, 0, &client.error));
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_LOST);
}

TEST(Passing, AreDescriptorsThatNobodyAskedForTheEndAndClosed) {
  const int file = FileWith("x");
  FakeDaemon daemon([&](FakePeer &peer, const FakeCall &call) {
    if (call.method != "Ping") {
      return false;
    }
    for (int i = 0; i < 3; i++) {
      peer.SendBytes(Frame(0, 3, "x"), std::vector<int>(8, file));
    }
    peer.Answer(call, call.payload);
    return true;
  });
  const size_t before = OpenDescriptors();
  {
    Client client(daemon);
    EXPECT_FALSE(tlsagent_agent_ping(client, "x", 1, 0, &client.error));
    EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_LOST) << client.error.message;
  }
  while (daemon.open() != 0) {
    usleep(1000);
  }
  EXPECT_EQ(OpenDescriptors(), before);
  close(file);
}

}  // namespace
