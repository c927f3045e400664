// Who is a client, for how long, and in which process and thread?

#include "client/c/client.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/unit/client/fake_daemon.h"
#include "tests/unit/client/fixture.h"

namespace {

tlsagent_client *Open(const char *address, tlsagent_error *error) {
  const tlsagent_client_options options = {address, nullptr};
  return tlsagent_client_open(&options, 2000, error);
}

// --- No daemon ---

TEST(Client, IsADaemonThatIsNotThereNamedWithARemedy) {
  tlsagent_error error;
  EXPECT_EQ(Open("/nonexistent/tlsagent.sock", &error), nullptr);
  EXPECT_EQ(error.fault, TLSAGENT_FAULT_UNREACHABLE);
  EXPECT_EQ(error.os_errno, ENOENT);
  EXPECT_STREQ(error.message,
               "cannot reach tlsagentd at /nonexistent/tlsagent.sock: No such file or directory; "
               "start it with `tlsagentd` or set TLSAGENT_SOCKET");
  EXPECT_EQ(Open("@nobody-listens-here", &error), nullptr);
  EXPECT_EQ(error.os_errno, ECONNREFUSED);
}

TEST(Client, IsSomethingElseThatListensNotTakenForTheDaemon) {
  FakeDaemon daemon([](FakePeer &peer, const FakeCall &) {
    peer.SendBytes("220 mail.example.org ESMTP\r\n");
    return true;
  });
  tlsagent_error error;
  EXPECT_EQ(Open(daemon.address().c_str(), &error), nullptr);
  EXPECT_EQ(error.fault, TLSAGENT_FAULT_LOST) << error.message;
}

TEST(Client, IsADaemonThatNeverAnswersNotWaitedForEver) {
  FakeDaemon daemon([](FakePeer &, const FakeCall &) { return true; });
  tlsagent_error error;
  const tlsagent_client_options options = {daemon.address().c_str(), nullptr};
  EXPECT_EQ(tlsagent_client_open(&options, 50, &error), nullptr);
  EXPECT_EQ(error.fault, TLSAGENT_FAULT_DEADLINE) << error.message;
}

TEST(Client, IsAListenerThatIsFullNotWaitedForEver) {
  char name[] = "/tmp/tlsagent-full-XXXXXX";
  const std::string path = std::string(mkdtemp(name)) + "/s";
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(bind(listener, reinterpret_cast<struct sockaddr *>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(listener, 0), 0);
  const int first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(connect(first, reinterpret_cast<struct sockaddr *>(&address), sizeof(address)), 0);
  tlsagent_error error;
  const tlsagent_client_options options = {path.c_str(), nullptr};
  EXPECT_EQ(tlsagent_client_open(&options, 50, &error), nullptr);
  EXPECT_EQ(error.fault, TLSAGENT_FAULT_UNREACHABLE);
  EXPECT_EQ(error.os_errno, EAGAIN);
  close(first);
  close(listener);
  unlink(path.c_str());
  rmdir(name);
}

// --- Joining ---

TEST(Client, DoesAJoiningConnectionSayTheToken) {
  std::vector<FakeCall> hellos;
  FakeDaemon daemon([&](FakePeer &, const FakeCall &call) {
    if (call.method == "Hello") {
      hellos.push_back(call);
    }
    return false;
  });
  Client client(daemon);
  EXPECT_EQ(memcmp(tlsagent_client_token(client), FakeDaemon::kToken.data(), 16), 0);
  tlsagent_client *joined = tlsagent_client_join(client, 5000, &client.error);
  ASSERT_NE(joined, nullptr) << client.error.message;
  EXPECT_TRUE(tlsagent_agent_ping(joined, "x", 1, 0, &client.error));
  ASSERT_EQ(hellos.size(), 2U);
  EXPECT_TRUE(hellos[0].metadata.empty());
  EXPECT_EQ(hellos[1].metadata["tlsagent-token"], "30313233343536373839616263646566");
  EXPECT_EQ(daemon.accepted(), 2);
  tlsagent_client_close(joined);
}

TEST(Client, IsATokenOfAnotherClientNotedAtOnce) {
  FakeDaemon daemon;
  const uint8_t token[TLSAGENT_TOKEN_LENGTH] = {1, 2, 3};
  const tlsagent_client_options options = {daemon.address().c_str(), token};
  tlsagent_error error;
  EXPECT_EQ(tlsagent_client_open(&options, 5000, &error), nullptr) << "it answers with another";
  EXPECT_EQ(error.fault, TLSAGENT_FAULT_LOST);
}

TEST(Client, MayManyThreadsHaveAConnectionEach) {
  FakeDaemon daemon;
  Client client(daemon);
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 8; i++) {
    threads.emplace_back([&] {
      tlsagent_error error;
      tlsagent_client *own = tlsagent_client_join(client, 5000, &error);
      for (int j = 0; own != nullptr && j < 100; j++) {
        good += tlsagent_agent_ping(own, "hello", 5, 5000, &error);
      }
      tlsagent_client_close(own);
    });
  }
  for (int j = 0; j < 100; j++) {
    good += tlsagent_agent_ping(client, "hello", 5, 5000, &client.error);
  }
  for (std::thread &thread : threads) {
    thread.join();
  }
  EXPECT_EQ(good, 900);
}

// --- Adopting ---

TEST(Client, IsASocketThatWasHandedOverAsGood) {
  FakeDaemon daemon;
  tlsagent_error error;
  tlsagent_client *client = tlsagent_client_adopt(daemon.Connected(), 5000, &error);
  ASSERT_NE(client, nullptr) << error.message;
  EXPECT_TRUE(tlsagent_agent_ping(client, "x", 1, 0, &error));
  EXPECT_EQ(tlsagent_client_join(client, 0, &error), nullptr);
  EXPECT_EQ(error.fault, TLSAGENT_FAULT_USAGE);
  tlsagent_client_close(client);
}

// What a thread has computed, in milliseconds.
int64_t ThreadCpuMs() {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
}

TEST(Client, IsASocketThatNeverBlocksWaitedForAllTheSame) {
  FakeDaemon daemon([](FakePeer &, const FakeCall &call) {
    if (call.method == "Ping") {
      usleep(1000000);
    }
    return false;
  });
  const int fd = daemon.Connected();
  ASSERT_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
  tlsagent_error error;
  tlsagent_client *client = tlsagent_client_adopt(fd, 0, &error);
  ASSERT_NE(client, nullptr) << error.message;
  const int64_t before = ThreadCpuMs();
  EXPECT_TRUE(tlsagent_agent_ping(client, "x", 1, 0, &error)) << error.message;
  EXPECT_LT(ThreadCpuMs() - before, 300) << "it asked again and again";
  EXPECT_NE(fcntl(fd, F_GETFL) & O_NONBLOCK, 0) << "whoever shares the socket wants it so";
  tlsagent_client_close(client);
}

TEST(Client, IsASocketThatIsNoGoodClosed) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  close(ends[0]);
  tlsagent_error error;
  EXPECT_EQ(tlsagent_client_adopt(ends[1], 100, &error), nullptr);
  EXPECT_EQ(error.fault, TLSAGENT_FAULT_LOST);
  EXPECT_EQ(fcntl(ends[1], F_GETFD), -1) << "it owns the descriptor, good or not";
}

// --- Forking ---

TEST(Client, IsAForkedChildToldAndTheParentUndisturbed) {
  FakeDaemon daemon;
  Client client(daemon);
  ASSERT_TRUE(tlsagent_agent_ping(client, "x", 1, 0, &client.error));
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    tlsagent_error error;
    int failed = 0;
    failed |= tlsagent_agent_ping(client, "x", 1, 0, &error) ? 1 : 0;
    failed |= error.fault != TLSAGENT_FAULT_USAGE ? 2 : 0;
    failed |= tlsagent_poll(client, &error) ? 4 : 0;
    failed |= strstr(error.message, "forked child") == nullptr ? 8 : 0;
    tlsagent_client_close(client.Release());
    _exit(failed);
  }
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_TRUE(tlsagent_agent_ping(client, "x", 1, 0, &client.error)) << client.error.message;
}

TEST(Client, IsNobodyCalledBackInAForkedChild) {
  FakeDaemon daemon([](FakePeer &, const FakeCall &call) { return call.method != "Hello"; });
  Client client(daemon);
  static int called;
  called = 0;
  tlsagent_submit(
      client, TLSAGENT_AGENT_INFO, nullptr, 0,
      [](void *, bool, void *, const tlsagent_error *) { called++; }, nullptr, &client.error);
  const pid_t child = fork();
  if (child == 0) {
    tlsagent_client_close(client.Release());
    _exit(called);
  }
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  tlsagent_client_close(client.Release());
  EXPECT_EQ(called, 1);
}

// --- Signals ---

TEST(Client, IsSigpipeNeverRaised) {
  signal(SIGPIPE, SIG_DFL);
  FakeDaemon daemon;
  Client client(daemon);
  daemon.HangUpAll();
  for (int i = 0; i < 3; i++) {
    EXPECT_FALSE(tlsagent_agent_ping(client, "x", 1, 0, &client.error));
  }
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_LOST);
}

TEST(Client, DoSignalsEndNoWait) {
  static std::atomic<int> caught;
  caught = 0;
  struct sigaction action = {};
  action.sa_handler = [](int) { caught++; };
  sigaction(SIGUSR1, &action, nullptr);  // without SA_RESTART
  FakeDaemon daemon([](FakePeer &, const FakeCall &call) {
    if (call.method == "Ping") {
      usleep(200000);
    }
    return false;
  });
  Client client(daemon);
  const pthread_t self = pthread_self();
  for (const uint32_t timeout_ms : {0U, 5000U}) {
    std::thread nuisance([&] {
      for (int i = 0; i < 10; i++) {
        usleep(10000);
        pthread_kill(self, SIGUSR1);
      }
    });
    EXPECT_TRUE(tlsagent_agent_ping(client, "x", 1, timeout_ms, &client.error))
        << client.error.message;
    nuisance.join();
  }
  EXPECT_GT(caught, 0);
}

// --- Long lives ---

TEST(Client, IsAConnectionWhoseStreamIdsAreUsedUpRenewed) {
  std::vector<FakeCall> hellos;
  FakeDaemon daemon([&](FakePeer &, const FakeCall &call) {
    if (call.method == "Hello") {
      hellos.push_back(call);
    }
    return false;
  });
  Client client(daemon);
  static_cast<tlsagent_client *>(client)->next_stream = TLA_STREAM_LAST - 4;
  for (int i = 0; i < 5; i++) {
    EXPECT_TRUE(tlsagent_agent_ping(client, "x", 1, 5000, &client.error)) << client.error.message;
  }
  ASSERT_EQ(hellos.size(), 2U);
  EXPECT_EQ(hellos[1].metadata["tlsagent-token"], "30313233343536373839616263646566");
  EXPECT_EQ(daemon.accepted(), 2);
}

TEST(Client, IsAnEventLoopToldThatItsStreamIdsAreUsedUp) {
  FakeDaemon daemon;
  Client client(daemon);
  static_cast<tlsagent_client *>(client)->next_stream = TLA_STREAM_LAST;
  EXPECT_EQ(
      tlsagent_submit(client, TLSAGENT_AGENT_INFO, nullptr, 0, nullptr, nullptr, &client.error),
      0U);
  EXPECT_EQ(client.error.fault, TLSAGENT_FAULT_USAGE);
}

TEST(Client, IsClosingNothingFine) {
  tlsagent_client_close(nullptr);
  tlsagent_free(nullptr);
  tlsagent_memory_free(nullptr);
}

}  // namespace
