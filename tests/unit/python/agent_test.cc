// Who gets a connection, whose handles are good with it, and what becomes of what is dropped?
//
// The pool is one for a process: each test has a process of its own.

#include "client/python/agent.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/client/fake_daemon.h"

namespace {

constexpr int kConnectionsMax = 16;  // of the pool
constexpr int kUnauthenticated = 16;
constexpr int kResourceExhausted = 8;

// Runs the body in a child, which ends with 0 if it found everything as it should be.
int InChild(const std::function<void()> &body) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    body();
    fflush(stdout);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  EXPECT_EQ(child, waitpid(child, &status, 0));
  return status;
}

// A daemon that notes what it is asked, in the process of the test.
class Daemon {
 public:
  Daemon() : fake_([this](FakePeer &peer, const FakeCall &call) { return Serve(peer, call); }) {
    setenv("TLSAGENT_SOCKET", fake_.address().c_str(), 1);
  }
  FakeDaemon &fake() {
    return fake_;
  }
  // Tokens of the connections, "" for one that began a client.
  std::vector<std::string> tokens() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return tokens_;
  }
  // Waits until so many handles were given back, "Close 7".
  std::vector<std::string> Dropped(size_t num) {
    for (int i = 0; i < 2000; i++) {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (dropped_.size() >= num) {
          return dropped_;
        }
      }
      usleep(1000);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    return dropped_;
  }
  std::atomic<int> refuse_drops{0};       // that many are refused: too much to do
  std::atomic<bool> forgets{false};       // joining connections are unknown
  std::atomic<bool> refuses_more{false};  // there are too many connections
  std::atomic<int> hello_micros{0};       // how long a hello takes

 private:
  bool Serve(FakePeer &peer, const FakeCall &call) {
    if (call.method == "Hello") {
      return Greet(peer, call);
    }
    if (call.method != "Close" && call.method != "Release") {
      return false;
    }
    if (refuse_drops > 0) {
      refuse_drops--;
      peer.Refuse(call, kResourceExhausted, "too much to do");
      return true;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    EXPECT_EQ(2u, call.payload.size()) << "field 1, one byte of number";
    dropped_.push_back(call.method + " " + std::to_string(call.payload.at(1)));
    peer.Answer(call, "");
    return true;
  }
  bool Greet(FakePeer &peer, const FakeCall &call) {
    const auto token = call.metadata.find("tlsagent-token");
    const bool joins = token != call.metadata.end();
    usleep(static_cast<useconds_t>(hello_micros));
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      tokens_.push_back(joins ? token->second : "");
    }
    if (joins && forgets) {
      peer.Refuse(call, kUnauthenticated, "nobody knows this token");
      return true;
    }
    if (joins && refuses_more) {
      peer.Refuse(call, kResourceExhausted, "too many connections");
      return true;
    }
    return false;
  }

  std::mutex mutex_;
  std::vector<std::string> tokens_;
  std::vector<std::string> dropped_;
  FakeDaemon fake_;
};

tlsagent_client *Take(const agent_handle *handle = nullptr) {
  tlsagent_error error;
  tlsagent_client *client = agent_take(handle, &error);
  EXPECT_NE(nullptr, client) << error.message;
  return client;
}

tlsagent_error Refused(const agent_handle *handle = nullptr) {
  tlsagent_error error = {};
  EXPECT_EQ(nullptr, agent_take(handle, &error));
  return error;
}

agent_handle Made(agent_kind kind, uint64_t number) {
  tlsagent_client *client = Take();
  const agent_handle handle = agent_made(client, kind, number);
  agent_give(client);
  return handle;
}

bool Ping(tlsagent_client *client) {
  tlsagent_error error;
  return tlsagent_agent_ping(client, "hello", 5, 5000, &error);
}

bool Works(const agent_handle *handle = nullptr) {
  tlsagent_client *client = Take(handle);
  const bool good = client != nullptr && Ping(client);
  if (client != nullptr) {
    agent_give(client);
  }
  return good;
}

std::string Joined(const std::vector<std::string> &words) {
  std::string all;
  for (const std::string &word : words) {
    all += word + ";";
  }
  return all;
}

const std::string kTokenText = "30313233343536373839616263646566";

#define IN_A_PROCESS_OF_ITS_OWN(name, ...)                       \
  TEST(Agent, name) {                                            \
    EXPECT_EQ(0, InChild([] __VA_ARGS__)) << "see what it says"; \
  }

// --- Connections ---

IN_A_PROCESS_OF_ITS_OWN(IsOneConnectionEnoughForOneAtATime, {
  Daemon daemon;
  tlsagent_client *first = Take();
  agent_give(first);
  for (int i = 0; i < 100; i++) {
    EXPECT_TRUE(Works());
  }
  EXPECT_EQ(1, daemon.fake().accepted());
  EXPECT_EQ("unix:" + daemon.fake().address(), agent_address());
})

IN_A_PROCESS_OF_ITS_OWN(AreMoreConnectionsOfTheSameClient, {
  Daemon daemon;
  tlsagent_client *clients[3] = {Take(), Take(), Take()};
  for (tlsagent_client *client : clients) {
    EXPECT_TRUE(Ping(client));
    agent_give(client);
  }
  EXPECT_EQ(";" + kTokenText + ";" + kTokenText + ";", Joined(daemon.tokens()));
})

IN_A_PROCESS_OF_ITS_OWN(IsTheFirstConnectionMadeByOneThreadOnly, {
  Daemon daemon;
  daemon.hello_micros = 20000;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; i++) {
    threads.emplace_back([] { EXPECT_TRUE(Works()); });
  }
  for (std::thread &thread : threads) {
    thread.join();
  }
  int clients = 0;
  for (const std::string &token : daemon.tokens()) {
    clients += token.empty();
  }
  EXPECT_EQ(1, clients);
})

IN_A_PROCESS_OF_ITS_OWN(IsThereAnEndToConnections, {
  Daemon daemon;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3 * kConnectionsMax; i++) {
    threads.emplace_back([] {
      for (int j = 0; j < 20; j++) {
        EXPECT_TRUE(Works());
      }
    });
  }
  for (std::thread &thread : threads) {
    thread.join();
  }
  EXPECT_LE(daemon.fake().accepted(), kConnectionsMax);
})

IN_A_PROCESS_OF_ITS_OWN(DoThreadsWaitForOneAnotherWhereTheDaemonTakesNoMore, {
  Daemon daemon;
  tlsagent_client *only = Take();
  daemon.refuses_more = true;
  std::thread other([] { EXPECT_TRUE(Works()); });
  usleep(50000);
  EXPECT_TRUE(Ping(only));
  agent_give(only);
  other.join();
})

IN_A_PROCESS_OF_ITS_OWN(IsASessionAskedByTheConnectionThatMadeIt, {
  Daemon daemon;
  tlsagent_client *clients[3] = {Take(), Take(), Take()};
  agent_handle handles[3];
  for (size_t i = 0; i < 3; i++) {
    handles[i] = agent_made(clients[i], AGENT_SESSION, i + 1);
  }
  for (tlsagent_client *client : clients) {
    agent_give(client);
  }
  for (size_t i = 0; i < 3; i++) {
    tlsagent_client *client = Take(&handles[i]);
    EXPECT_EQ(clients[i], client);
    agent_give(client);
  }
  tlsagent_client *busy = Take(&handles[1]);
  EXPECT_TRUE(Works(&handles[1])) << "by another one while it is in use";
  agent_give(busy);
})

// --- No daemon ---

IN_A_PROCESS_OF_ITS_OWN(IsADaemonThatIsNotThereNamed, {
  setenv("TLSAGENT_SOCKET", "unix:/nonexistent/agent.sock", 1);
  const tlsagent_error error = Refused();
  EXPECT_EQ(TLSAGENT_FAULT_UNREACHABLE, error.fault);
  EXPECT_EQ(ENOENT, error.os_errno);
  EXPECT_NE(nullptr, strstr(error.message, "/nonexistent/agent.sock")) << error.message;
  EXPECT_STREQ("unix:/nonexistent/agent.sock", agent_address());
})

IN_A_PROCESS_OF_ITS_OWN(IsAnAddressThatIsNoneRefusedEachTime, {
  setenv("TLSAGENT_SOCKET", ("unix:/" + std::string(200, 'x')).c_str(), 1);
  for (int i = 0; i < 2; i++) {
    const tlsagent_error error = Refused();
    EXPECT_NE(TLSAGENT_FAULT_NONE, error.fault);
    EXPECT_STRNE("", error.message);
  }
})

IN_A_PROCESS_OF_ITS_OWN(IsADaemonTriedAgain, {
  char folder[] = "/tmp/agent_test.XXXXXX";
  ASSERT_NE(nullptr, mkdtemp(folder));
  const std::string link = std::string(folder) + "/sock";
  setenv("TLSAGENT_SOCKET", link.c_str(), 1);
  EXPECT_EQ(ENOENT, Refused().os_errno);
  FakeDaemon daemon;
  ASSERT_EQ(0, symlink(daemon.address().c_str(), link.c_str()));
  EXPECT_TRUE(Works());
  unlink(link.c_str());
  rmdir(folder);
})

// --- A daemon that goes away ---

IN_A_PROCESS_OF_ITS_OWN(IsWhatWasMadeBeforeTheDaemonWentAwayGone, {
  Daemon daemon;
  const agent_handle context = Made(AGENT_CONTEXT, 5);
  const agent_handle session = Made(AGENT_SESSION, 6);
  EXPECT_TRUE(Works(&context));
  EXPECT_TRUE(Works(&session));
  daemon.fake().HangUpAll();
  EXPECT_TRUE(Works()) << "what needs nothing of it goes on";
  for (const agent_handle *handle : {&context, &session}) {
    const tlsagent_error error = Refused(handle);
    EXPECT_EQ(TLSAGENT_FAULT_LOST, error.fault);
    EXPECT_EQ(ECONNRESET, error.os_errno);
    EXPECT_NE(nullptr, strstr(error.message, agent_address())) << error.message;
  }
  const agent_handle fresh = Made(AGENT_CONTEXT, 5);
  EXPECT_TRUE(Works(&fresh));
})

IN_A_PROCESS_OF_ITS_OWN(DoesOneLostConnectionEndThemAll, {
  Daemon daemon;
  tlsagent_client *clients[3] = {Take(), Take(), Take()};
  const agent_handle handle = agent_made(clients[0], AGENT_SESSION, 1);
  agent_give(clients[2]);
  daemon.fake().HangUpAll();
  EXPECT_FALSE(Ping(clients[0]));
  agent_give(clients[0]);
  EXPECT_EQ(TLSAGENT_FAULT_LOST, Refused(&handle).fault);
  EXPECT_TRUE(Works());
  EXPECT_FALSE(Ping(clients[1]));
  agent_give(clients[1]);
  EXPECT_TRUE(Works()) << "a loss that was noticed before ends nothing new";
  EXPECT_EQ(4, daemon.fake().accepted());
})

IN_A_PROCESS_OF_ITS_OWN(IsAClientThatTheDaemonForgotBegunAnew, {
  Daemon daemon;
  tlsagent_client *first = Take();
  const agent_handle handle = agent_made(first, AGENT_CONTEXT, 1);
  daemon.forgets = true;
  tlsagent_client *second = Take();
  EXPECT_TRUE(Ping(second));
  EXPECT_EQ(";" + kTokenText + ";;", Joined(daemon.tokens()));
  agent_give(first);
  agent_give(second);
  EXPECT_EQ(TLSAGENT_FAULT_LOST, Refused(&handle).fault);
})

// --- Dropping ---

IN_A_PROCESS_OF_ITS_OWN(IsWhatIsDroppedGivenBack, {
  Daemon daemon;
  agent_drop(Made(AGENT_SESSION, 7));
  agent_drop(Made(AGENT_CONTEXT, 8));
  EXPECT_EQ("Close 7;Release 8;", Joined(daemon.Dropped(2)));
  EXPECT_TRUE(Works());
})

IN_A_PROCESS_OF_ITS_OWN(IsNothingDroppedThatIsNothing, {
  Daemon daemon;
  agent_drop(agent_handle{});
  agent_drop(Made(AGENT_SESSION, 0));
  const agent_handle before = Made(AGENT_SESSION, 3);
  daemon.fake().HangUpAll();
  EXPECT_TRUE(Works());
  agent_drop(before);
  agent_drop(Made(AGENT_SESSION, 4));
  EXPECT_EQ("Close 4;", Joined(daemon.Dropped(1)));
})

IN_A_PROCESS_OF_ITS_OWN(IsItDroppedWithTheNextCallWhereNoConnectionIsIdle, {
  Daemon daemon;
  tlsagent_client *client = Take();
  const agent_handle handle = agent_made(client, AGENT_SESSION, 9);
  agent_drop(handle);
  usleep(20000);
  EXPECT_TRUE(daemon.Dropped(0).empty());
  agent_give(client);
  EXPECT_EQ("Close 9;", Joined(daemon.Dropped(1)));
})

IN_A_PROCESS_OF_ITS_OWN(IsADaemonWithTooMuchToDoAskedAgain, {
  Daemon daemon;
  daemon.refuse_drops = 3;
  agent_drop(Made(AGENT_SESSION, 11));
  for (int i = 0; i < 2000 && daemon.Dropped(0).empty(); i++) {
    EXPECT_TRUE(Works());
  }
  EXPECT_EQ("Close 11;", Joined(daemon.Dropped(1)));
})

IN_A_PROCESS_OF_ITS_OWN(AreThousandsDropped, {
  Daemon daemon;
  for (uint64_t i = 0; i < 3000; i++) {
    agent_drop(Made(AGENT_SESSION, 1 + i % 100));
  }
  for (int i = 0; i < 20000 && daemon.Dropped(0).size() < 3000; i++) {
    EXPECT_TRUE(Works()) << "what piled up goes with the calls";
  }
  EXPECT_EQ(3000u, daemon.Dropped(3000).size());
  EXPECT_EQ(1, daemon.fake().accepted());
})

// --- Forks ---

IN_A_PROCESS_OF_ITS_OWN(DoesAChildJoinItsParentsClient, {
  Daemon daemon;
  const agent_handle context = Made(AGENT_CONTEXT, 5);
  const agent_handle session = Made(AGENT_SESSION, 6);
  EXPECT_EQ(0, InChild([&] {
              EXPECT_TRUE(Works(&context));
              const tlsagent_error error = Refused(&session);
              EXPECT_EQ(TLSAGENT_FAULT_USAGE, error.fault);
              EXPECT_NE(nullptr, strstr(error.message, std::to_string(getppid()).c_str()))
                  << error.message;
              const agent_handle own = Made(AGENT_SESSION, 7);
              EXPECT_TRUE(Works(&own));
              agent_drop(context);  // the parent's
              agent_drop(session);
              agent_drop(own);
              EXPECT_TRUE(Works());
            }));
  EXPECT_EQ("Close 7;", Joined(daemon.Dropped(1)));
  EXPECT_EQ(";" + kTokenText + ";", Joined(daemon.tokens()));
  EXPECT_TRUE(Works(&context));
  EXPECT_TRUE(Works(&session));
  EXPECT_EQ(2, daemon.fake().accepted());
})

IN_A_PROCESS_OF_ITS_OWN(IsAnObjectTheFirstProcessesThatUsesIt, {
  int64_t used = 0;
  int64_t unused = 0;
  tlsagent_error error = {};
  EXPECT_TRUE(agent_owns(&used, &error));
  EXPECT_EQ(getpid(), used);
  EXPECT_EQ(0, InChild([&] {
              EXPECT_TRUE(agent_owns(&unused, &error));
              EXPECT_FALSE(agent_owns(&used, &error));
              EXPECT_EQ(TLSAGENT_FAULT_USAGE, error.fault);
              EXPECT_NE(nullptr, strstr(error.message, std::to_string(used).c_str()))
                  << error.message;
            }));
  EXPECT_TRUE(agent_owns(&used, &error));
})

IN_A_PROCESS_OF_ITS_OWN(IsAContextThatAChildMayHaveLeftThere, {
  Daemon daemon;
  const agent_handle before = Made(AGENT_CONTEXT, 5);
  EXPECT_EQ(0, InChild([] {}));
  agent_drop(before);
  agent_drop(Made(AGENT_CONTEXT, 6));
  EXPECT_EQ("Release 6;", Joined(daemon.Dropped(1)));
})

IN_A_PROCESS_OF_ITS_OWN(IsAForkDuringACallNoHarm, {
  Daemon daemon;
  tlsagent_client *taken = Take();
  const agent_handle context = agent_made(taken, AGENT_CONTEXT, 5);
  EXPECT_EQ(0, InChild([&] { EXPECT_TRUE(Works(&context)); }));
  EXPECT_TRUE(Ping(taken));
  agent_give(taken);
})

IN_A_PROCESS_OF_ITS_OWN(IsAForkBeforeTheFirstCallNoHarm, {
  Daemon daemon;
  EXPECT_EQ(0, InChild([] { EXPECT_TRUE(Works()); }));
  EXPECT_TRUE(Works());
  EXPECT_EQ(";;", Joined(daemon.tokens())) << "two clients";
})

IN_A_PROCESS_OF_ITS_OWN(IsAGrandchildsClientTheSame, {
  Daemon daemon;
  const agent_handle context = Made(AGENT_CONTEXT, 5);
  EXPECT_EQ(0, InChild([&] {
              EXPECT_EQ(0, InChild([&] { EXPECT_TRUE(Works(&context)); }));
              EXPECT_TRUE(Works(&context));
            }));
  EXPECT_TRUE(Works(&context));
})

}  // namespace
