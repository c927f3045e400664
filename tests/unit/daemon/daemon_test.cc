// The whole daemon, each in a process of its own.
#include "server/daemon/daemon.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/base/clock.h"
#include "tests/unit/daemon/caller.h"
#include "tests/unit/daemon/harness.h"

// Names are looked up here in this test: "slow.test" takes its time, as a name server may.
extern "C" __attribute__((visibility("default"))) int getaddrinfo(const char *host,
                                                                  const char *service,
                                                                  const struct addrinfo *hints,
                                                                  struct addrinfo **out) {
  using Function = int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  if (strcmp(host, "slow.test") == 0 && (hints->ai_flags & AI_NUMERICHOST) == 0) {
    usleep(500 * 1000);
    return EAI_NONAME;
  }
  return ((Function)dlsym(RTLD_NEXT, "getaddrinfo"))(host, service, hints, out);
}

namespace {

class Daemon : public testing::Test {
 protected:
  ~Daemon() override {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
  }

  // Starts a daemon and waits until it serves.
  void Start(std::vector<std::string> arguments = {}) {
    StartOnly(arguments);
    ASSERT_TRUE(Eventually([this] {
      int fd = ConnectTo(path_);
      return fd >= 0 && Caller(fd).Ping();
    })) << Log();
  }
  void StartOnly(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--listen", "unix:" + path_, "--workers", "2"});
    child_ = StartChild([&] {
      int log = open(log_.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
      dup2(log, STDERR_FILENO);
      CommandLine line(arguments);
      return line.outcome == OPTIONS_RUN ? daemon_run(&line.options) : 99;
    });
  }
  // The exit status, or -1 when it did not exit.
  int End() {
    int status = WaitForChild(child_);
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  int Signal(int number) {
    kill(child_, number);
    return End();
  }
  std::string Log() {
    std::string text;
    char data[4096];
    int fd = open(log_.c_str(), O_RDONLY);
    for (ssize_t n = read(fd, data, sizeof(data)); n > 0; n = read(fd, data, sizeof(data))) {
      text.append(data, (size_t)n);
    }
    close(fd);
    return text;
  }
  bool Logged(const std::string &text) {
    return Eventually([&] { return Log().find(text) != std::string::npos; });
  }

  Folder folder_;
  std::string path_ = folder_ / "socket";
  std::string log_ = folder_ / "log";
  pid_t child_ = -1;
};

TEST_F(Daemon, DoesItServeUntilItIsToldToEnd) {
  for (int number : {SIGTERM, SIGINT}) {
    Start();
    EXPECT_EQ(0, Signal(number)) << Log();
    EXPECT_FALSE(Exists(path_));
  }
}

TEST_F(Daemon, DoesItSayThatItIsReady) {
  Start();
  EXPECT_TRUE(Logged("ready: 2 workers"));
  EXPECT_TRUE(Logged("listening at unix:" + path_));
}

TEST_F(Daemon, IsTheServiceManagerToldOfEachStep) {
  std::string manager = folder_ / "notify";
  int fd = ListenAt(manager, SOCK_DGRAM);
  char text[64] = {};
  setenv("NOTIFY_SOCKET", manager.c_str(), 1);
  Start();
  unsetenv("NOTIFY_SOCKET");
  EXPECT_EQ(7, recv(fd, text, sizeof(text), 0));
  EXPECT_STREQ("READY=1", text);
  EXPECT_EQ(0, Signal(SIGTERM));
  EXPECT_EQ(10, recv(fd, text, sizeof(text), 0));
  EXPECT_STREQ("STOPPING=1", text);
  close(fd);
}

TEST_F(Daemon, IsAPlaceThatIsTakenAFailureThatSaysSo) {
  int other = ListenAt(path_);
  StartOnly({});
  EXPECT_EQ(1, End());
  EXPECT_NE(std::string::npos, Log().find("maybe another tlsagentd")) << Log();
  EXPECT_TRUE(Exists(path_));
  close(other);
}

TEST_F(Daemon, DoesAClientThatDoesNothingNotKeepIt) {
  Start();
  int idle = ConnectTo(path_);
  Caller caller(ConnectTo(path_));
  EXPECT_TRUE(caller.Ping());
  EXPECT_EQ(0, Signal(SIGTERM));
  close(idle);
}

// ---------------------------------------------------------------------------------------------
// Draining

class Draining : public Daemon {
 protected:
  // Has a call in flight that waits for a peer who says nothing.
  void StartWith(std::vector<std::string> arguments, uint32_t wait_milliseconds) {
    Start(arguments);
    ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets_));
    caller_.reset(new Caller(ConnectTo(path_)));
    uint64_t context = caller_->MakeContext();
    caller_->StartConnect(context, sockets_[0], wait_milliseconds);
    close(sockets_[0]);
    char hello;
    ASSERT_EQ(1, recv(sockets_[1], &hello, 1, 0)) << "it is under way";
  }
  ~Draining() override {
    close(sockets_[1]);
  }
  std::unique_ptr<Caller> caller_;
  int sockets_[2] = {-1, -1};
};

TEST_F(Draining, IsACallInFlightFinishedFirst) {
  StartWith({}, 500);
  kill(child_, SIGTERM);
  EXPECT_TRUE(Logged("ending when the calls in flight are done"));
  EXPECT_LT(ConnectTo(path_), 0) << "nobody new is let in";
  int code = -1;
  EXPECT_NE("", caller_->Finish(&code));
  EXPECT_EQ(0, code);
  EXPECT_EQ(0, End()) << Log();
}

TEST_F(Draining, IsANewCallRefused) {
  StartWith({}, 0);
  kill(child_, SIGTERM);
  EXPECT_TRUE(Logged("ending when the calls in flight are done"));
  EXPECT_FALSE(caller_->Ping());
}

TEST_F(Draining, IsACallThatTakesTooLongCancelled) {
  StartWith({"--drain-timeout", "1"}, 0);
  clock_time before = clock_now();
  EXPECT_EQ(0, Signal(SIGTERM)) << Log();
  EXPECT_GE(clock_now() - before, NANOS_PER_SECOND);
  EXPECT_NE(std::string::npos, Log().find("1 calls were not done in time")) << Log();
}

TEST_F(Draining, DoesNoTimeAtAllMeanNow) {
  StartWith({"--drain-timeout", "0"}, 0);
  EXPECT_EQ(0, Signal(SIGTERM)) << Log();
}

TEST_F(Draining, DoesASecondSignalEndItNow) {
  StartWith({}, 0);
  kill(child_, SIGTERM);
  EXPECT_TRUE(Logged("ending when the calls in flight are done"));
  EXPECT_EQ(128 + SIGINT, Signal(SIGINT));
}

// A lookup that is under way answers to a worker, which has to be there still.
TEST_F(Draining, CanItEndWhileANameIsLookedUp) {
  Start({"--allow-dial", "slow.test:443", "--drain-timeout", "0"});
  Caller caller(ConnectTo(path_));
  uint64_t context = caller.MakeContext();
  for (int i = 0; i < 4; i++) {
    caller.StartDial(context, "slow.test");
  }
  usleep(100 * 1000);
  EXPECT_EQ(0, Signal(SIGTERM)) << Log();
}

}  // namespace
