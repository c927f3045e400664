#include "server/ring/dial.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/folder.h"
#include "tests/unit/ring/ring_fixture.h"

// Stands in front of the C library's: two.addresses.test has two, and the first refuses.
extern "C" int getaddrinfo(const char *host, const char *port, const addrinfo *hints,
                           addrinfo **out) {
  typedef int (*Real)(const char *, const char *, const addrinfo *, addrinfo **);
  static const Real real = reinterpret_cast<Real>(dlsym(RTLD_NEXT, "getaddrinfo"));
  if (strcmp(host, "two.addresses.test") != 0 || (hints->ai_flags & AI_NUMERICHOST) != 0) {
    return real(host, port, hints, out);
  }
  int error = real("127.0.0.2", port, hints, out);
  return error != 0 ? error : real("127.0.0.1", port, hints, &(*out)->ai_next);
}

namespace {

// A TCP socket on 127.0.0.1 that listens, or would if asked.
class Port {
 public:
  explicit Port(bool listening) {
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(address);
    EXPECT_EQ(0, bind(fd, reinterpret_cast<sockaddr *>(&address), len));
    EXPECT_EQ(0, getsockname(fd, reinterpret_cast<sockaddr *>(&address), &len));
    number = ntohs(address.sin_port);
    if (listening) {
      EXPECT_EQ(0, listen(fd, 16));
    }
  }
  ~Port() {
    close(fd);
  }
  int fd;
  uint16_t number;
};

class Dial : public ::testing::Test {
 protected:
  void SetUp() override {
    fds_before_ = NumOpenFds();
    worker_config config = {1, 64, 16, 4096, 2};
    const char *why = nullptr;
    ASSERT_TRUE(status_ok(worker_pool_new(&config, &pool_, &why))) << why;
    ASSERT_TRUE(status_ok(resolver_new(2, 64, &resolver_)));
  }

  void TearDown() override {
    resolver_free(resolver_);
    worker_pool_free(pool_);
    EXPECT_TRUE(NumOpenFdsBecomes(fds_before_));
  }

  // Runs a function on the worker, and returns when it has run.
  void OnWorker(std::function<void()> function) {
    struct Posted {
      message base = {};
      std::function<void()> function;
      std::atomic<bool> done{false};
    } posted;
    posted.function = std::move(function);
    posted.base.run = [](message *base) {
      Posted *self = reinterpret_cast<Posted *>(base);
      self->function();
      self->done = true;
    };
    worker_post(worker_pool_at(pool_, 0), &posted.base);
    while (!posted.done) {
      std::this_thread::yield();
    }
  }

  static void OnDone(void *owner, const dial_result *result) {
    Dial *self = static_cast<Dial *>(owner);
    self->result_ = *result;
    self->num_done_++;
  }

  status_t Start(const char *host, uint16_t port, struct dial **out) {
    return dial_start(resolver_, host, port, OnDone, this, out);
  }

  dial_result DialAndWait(const char *host, uint16_t port) {
    int before = num_done_;
    OnWorker([&] {
      struct dial *dial = nullptr;
      EXPECT_TRUE(status_ok(Start(host, port, &dial)));
      EXPECT_EQ(before, num_done_);  // never from inside
    });
    while (num_done_ == before) {
      std::this_thread::yield();
    }
    return result_;
  }

  void SetFaults(struct faults *faults) {
    OnWorker([&] { loop_set_faults(worker_loop(worker_current()), faults); });
  }

  int fds_before_ = 0;
  worker_pool *pool_ = nullptr;
  resolver *resolver_ = nullptr;
  dial_result result_ = {};
  std::atomic<int> num_done_{0};
};

TEST_F(Dial, DoesItConnect) {
  Port port(true);
  for (const char *host : {"127.0.0.1", "localhost"}) {
    dial_result result = DialAndWait(host, port.number);
    ASSERT_GE(result.fd, 0) << host;
    EXPECT_EQ(0, result.gai_error);
    EXPECT_EQ(0, result.os_errno);
    int no_delay = 0;
    socklen_t len = sizeof(no_delay);
    EXPECT_EQ(0, getsockopt(result.fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &len));
    EXPECT_NE(0, no_delay);
    EXPECT_EQ(FD_CLOEXEC, fcntl(result.fd, F_GETFD));
    EXPECT_EQ(0, fcntl(result.fd, F_GETFL) & O_NONBLOCK);
    int accepted = accept4(port.fd, nullptr, nullptr, SOCK_CLOEXEC);
    WriteAll(result.fd, "hello");
    EXPECT_EQ("hello", ReadAll(accepted, 5));
    close(accepted);
    close(result.fd);
  }
}

TEST_F(Dial, IsARefusalTold) {
  Port port(false);
  dial_result result = DialAndWait("127.0.0.1", port.number);
  EXPECT_EQ(-1, result.fd);
  EXPECT_EQ(ECONNREFUSED, result.os_errno);
  EXPECT_EQ(0, result.gai_error);
}

class DialUnix : public Dial {
 protected:
  status_t StartUnix(const std::string &path, struct dial **out) {
    return dial_unix_start(resolver_, path.c_str(), OnDone, this, out);
  }
  dial_result DialUnixAndWait(const std::string &path) {
    int before = num_done_;
    OnWorker([&] {
      struct dial *dial = nullptr;
      EXPECT_TRUE(status_ok(StartUnix(path, &dial)));
      EXPECT_EQ(before, num_done_);  // never from inside
    });
    while (num_done_ == before) {
      std::this_thread::yield();
    }
    return result_;
  }
  int Listen(const std::string &path, int backlog) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path.c_str(), path.size());
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(0, bind(fd, reinterpret_cast<sockaddr *>(&address), sizeof(address)));
    EXPECT_EQ(0, listen(fd, backlog));
    return fd;
  }
  // The longest that a path can be.
  std::string LongPath() {
    std::string path = folder_ / "s";
    return path + std::string(107 - path.size(), 'x');
  }
  Folder folder_;
};

TEST_F(DialUnix, DoesItConnect) {
  for (const std::string &path : {folder_ / "s", LongPath()}) {
    int listener = Listen(path, 5);
    dial_result result = DialUnixAndWait(path);
    ASSERT_GE(result.fd, 0) << result.os_errno;
    EXPECT_EQ(FD_CLOEXEC, fcntl(result.fd, F_GETFD));
    EXPECT_EQ(0, fcntl(result.fd, F_GETFL) & O_NONBLOCK);
    int accepted = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    WriteAll(result.fd, "hello");
    EXPECT_EQ("hello", ReadAll(accepted, 5));
    close(accepted);
    close(result.fd);
    close(listener);
  }
}

TEST_F(DialUnix, IsAPathThatIsNothingTold) {
  EXPECT_EQ(ENOENT, DialUnixAndWait(folder_ / "nobody").os_errno);
  close(Listen(folder_ / "gone", 5));
  dial_result result = DialUnixAndWait(folder_ / "gone");
  EXPECT_EQ(-1, result.fd);
  EXPECT_EQ(ECONNREFUSED, result.os_errno);
  EXPECT_EQ(0, result.gai_error);
}

TEST_F(DialUnix, IsAPathThatDoesNotFitRefused) {
  OnWorker([&] {
    struct dial *dial = nullptr;
    EXPECT_EQ(STATUS_INVALID_ARGUMENT, StartUnix("", &dial).code);
    EXPECT_EQ(STATUS_INVALID_ARGUMENT, StartUnix(LongPath() + "x", &dial).code);
  });
}

TEST_F(DialUnix, MayItBeCancelledWhileNobodyAccepts) {
  int listener = Listen(folder_ / "full", 0);
  std::vector<int> waiting;
  for (int i = 0; i < 2; i++) {
    waiting.push_back(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address = {};
    socklen_t len = sizeof(address);
    ASSERT_EQ(0, getsockname(listener, reinterpret_cast<sockaddr *>(&address), &len));
    connect(waiting.back(), reinterpret_cast<sockaddr *>(&address), len);
  }
  OnWorker([&] {
    struct dial *dial = nullptr;
    ASSERT_TRUE(status_ok(StartUnix(folder_ / "full", &dial)));
    dial_cancel(dial);
  });
  OnWorker([] {});
  EXPECT_EQ(0, num_done_);
  for (int fd : waiting) {
    close(fd);
  }
  close(listener);
}

TEST_F(Dial, IsANameThatDoesNotResolveTold) {
  dial_result result = DialAndWait("no.such.name.invalid", 443);
  EXPECT_EQ(-1, result.fd);
  EXPECT_NE(0, result.gai_error);
}

TEST_F(Dial, IsAHostThatIsNoneRefused) {
  OnWorker([&] {
    struct dial *dial = nullptr;
    EXPECT_EQ(STATUS_INVALID_ARGUMENT, Start("", 1, &dial).code);
    EXPECT_EQ(STATUS_INVALID_ARGUMENT, Start(std::string(300, 'a').c_str(), 1, &dial).code);
  });
}

TEST_F(Dial, IsTheNextAddressTried) {
  Port port(true);
  dial_result result = DialAndWait("two.addresses.test", port.number);
  ASSERT_GE(result.fd, 0);
  EXPECT_EQ(0, result.os_errno);
  close(result.fd);
}

// The backlog is full, so that the first address never answers.
TEST_F(Dial, IsAnAddressThatNeverAnswersGivenUp) {
  Port deaf(true);
  ASSERT_EQ(0, listen(deaf.fd, 0));
  std::vector<int> in_the_way;
  for (int i = 0; i < 4; i++) {
    in_the_way.push_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(deaf.number);
    if (connect(in_the_way[i], reinterpret_cast<sockaddr *>(&address), sizeof(address)) != 0) {
      EXPECT_EQ(EINPROGRESS, errno);
    }
  }
  usleep(10000);
  resolver_set_connect_timeout(resolver_, 50 * NANOS_PER_MILLI);
  clock_time start = clock_now();
  dial_result result = DialAndWait("127.0.0.1", deaf.number);
  EXPECT_EQ(-1, result.fd);
  EXPECT_EQ(ETIMEDOUT, result.os_errno);
  EXPECT_GE(clock_now() - start, 50 * NANOS_PER_MILLI);
  for (int fd : in_the_way) {
    close(fd);
  }
}

TEST_F(Dial, IsAnInterruptedConnectTriedAgain) {
  Port port(true);
  fault table = {OP_CONNECT, 1, 1, FAULT_ERRNO, EINTR, 0};
  faults set = {&table, 1};
  SetFaults(&set);
  dial_result result = DialAndWait("127.0.0.1", port.number);
  EXPECT_GE(result.fd, 0);
  close(result.fd);
  SetFaults(nullptr);
}

TEST_F(Dial, IsEveryErrorOfConnectTold) {
  Port port(true);
  for (int error : {ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EACCES, ENOMEM, ECANCELED}) {
    fault table = {OP_CONNECT, 1, 1, FAULT_ERRNO, error, 0};
    faults set = {&table, 1};
    SetFaults(&set);
    dial_result result = DialAndWait("127.0.0.1", port.number);
    EXPECT_EQ(-1, result.fd);
    EXPECT_EQ(error, result.os_errno);
    SetFaults(nullptr);
  }
}

// At any point: before it was submitted, in flight, while the answer is on its way.
TEST_F(Dial, MayItBeCancelledAtAnyPoint) {
  Port port(true);
  for (const char *host : {"127.0.0.1", "localhost", "no.such.name.invalid", "192.0.2.1"}) {
    for (int delay_us : {0, 50, 200, 1000}) {
      int before = num_done_;
      struct dial *dial = nullptr;
      OnWorker([&] { EXPECT_TRUE(status_ok(Start(host, port.number, &dial))); });
      usleep(static_cast<useconds_t>(delay_us));
      OnWorker([&] {
        if (num_done_ == before) {
          dial_cancel(dial);
        }
      });
      int after = num_done_;
      if (after != before && result_.fd >= 0) {
        close(result_.fd);
      }
      usleep(500);
      EXPECT_EQ(after, num_done_);
    }
  }
}

TEST_F(Dial, MayItBeCancelledBeforeItWasSubmitted) {
  Port port(true);
  OnWorker([&] {
    for (int i = 0; i < 200; i++) {  // more than there are submission entries
      struct dial *dial = nullptr;
      ASSERT_TRUE(status_ok(Start("127.0.0.1", port.number, &dial)));
      dial_cancel(dial);
    }
  });
  EXPECT_EQ(0, num_done_);
}

TEST_F(Dial, IsACancellationThatTheKernelIgnoresRepeated) {
  fault table[] = {{OP_CANCEL, 1, 2, FAULT_ERRNO, ENOENT, 0}, {OP_CONNECT, 1, 1, FAULT_LATE, 3, 0}};
  faults set = {table, 2};
  SetFaults(&set);
  struct dial *dial = nullptr;
  // In one turn: where there is no route, the dial may be over in the next.
  OnWorker([&] {
    EXPECT_TRUE(status_ok(Start("192.0.2.1", 9, &dial)));
    dial_cancel(dial);
  });
  usleep(100000);
  SetFaults(nullptr);
  EXPECT_EQ(0, num_done_);
}

}  // namespace
