#include "server/ring/listener.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "tests/unit/ring/ring_fixture.h"

// A listening Unix socket with a name of the kernel's choice.
class ListeningSocket {
 public:
  explicit ListeningSocket(int flags = 0) {
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    address_.sun_family = AF_UNIX;
    EXPECT_EQ(0, bind(fd, reinterpret_cast<sockaddr *>(&address_), sizeof(sa_family_t)));
    len_ = sizeof(address_);
    EXPECT_EQ(0, getsockname(fd, reinterpret_cast<sockaddr *>(&address_), &len_));
    EXPECT_EQ(0, listen(fd, 512));
  }
  ~ListeningSocket() {
    close(fd);
  }
  int Connect() {
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(0, connect(client, reinterpret_cast<sockaddr *>(&address_), len_));
    return client;
  }
  int fd;

 private:
  sockaddr_un address_ = {};
  socklen_t len_ = 0;
};

class Listener {
 public:
  Listener(Loop &loop, int fd) : loop_(loop) {
    EXPECT_TRUE(status_ok(listener_new(loop.get(), fd, &kEvents, this, &listener_)));
  }
  ~Listener() {
    Close();
    for (int fd : accepted) {
      close(fd);
    }
  }
  void Close() {
    if (listener_ != nullptr) {
      listener_close(listener_);
      EXPECT_TRUE(loop_.Until([this] { return listener_ == nullptr; }));
    }
  }
  struct listener *get() {
    return listener_;
  }
  std::vector<int> accepted;

 private:
  static const listener_events kEvents;
  Loop &loop_;
  listener *listener_ = nullptr;
};

const listener_events Listener::kEvents = {
    [](void *owner, int fd) { static_cast<Listener *>(owner)->accepted.push_back(fd); },
    [](void *owner) { static_cast<Listener *>(owner)->listener_ = nullptr; },
};

TEST(Listener, IsEveryConnectionAccepted) {
  Loop loop;
  ListeningSocket socket;
  Listener listener(loop, socket.fd);
  std::vector<int> clients;
  for (int i = 0; i < 200; i++) {
    clients.push_back(socket.Connect());
  }
  EXPECT_TRUE(loop.Until([&] { return listener.accepted.size() == 200; }));
  for (int fd : listener.accepted) {
    EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
    EXPECT_EQ(0, fcntl(fd, F_GETFL) & O_NONBLOCK);
  }
  for (int fd : clients) {
    close(fd);
  }
}

TEST(Listener, DoConnectionsWaitWhileItIsPaused) {
  Loop loop;
  ListeningSocket socket;
  Listener listener(loop, socket.fd);
  loop.Turns(3);
  listener_pause(listener.get(), true);
  std::vector<int> clients;
  for (int i = 0; i < 5; i++) {
    clients.push_back(socket.Connect());
  }
  loop.Turns(20);
  EXPECT_LE(listener.accepted.size(), 1u) << "the one that was waited for already";
  listener_pause(listener.get(), true);  // twice is harmless
  listener_pause(listener.get(), false);
  listener_pause(listener.get(), false);
  EXPECT_TRUE(loop.Until([&] { return listener.accepted.size() == 5; }));
  for (int fd : clients) {
    close(fd);
  }
}

TEST(Listener, MayItBeClosedWhilePaused) {
  Loop loop;
  ListeningSocket socket;
  Listener listener(loop, socket.fd);
  listener_pause(listener.get(), true);
  loop.Turns(3);
  listener.Close();
  int client = socket.Connect();
  loop.Turns(5);
  EXPECT_EQ(0u, listener.accepted.size());
  close(client);
}

TEST(Listener, DoesANonBlockingSocketWork) {
  Loop loop;
  ListeningSocket socket(SOCK_NONBLOCK);
  Listener listener(loop, socket.fd);
  loop.Turns(3);
  int client = socket.Connect();
  EXPECT_TRUE(loop.Until([&] { return listener.accepted.size() == 1; }));
  close(client);
}

// The kernel answers EAGAIN for non-blocking sockets in some versions only.
TEST(Listener, DoesItPollAfterEagain) {
  Loop loop;
  ListeningSocket socket;
  loop.SetFaults({{OP_ACCEPT, 1, 3, FAULT_ERRNO, EAGAIN, 0}});
  Listener listener(loop, socket.fd);
  int client = socket.Connect();
  EXPECT_TRUE(loop.Until([&] { return listener.accepted.size() == 1; }));
  close(client);
}

TEST(Listener, DoesItSurviveEveryErrorOfAccept) {
  for (int error : {EINTR, ECONNABORTED, EMFILE, ENFILE, ENOMEM, ENOBUFS, EPROTO, EPERM, ECANCELED,
                    EINVAL, EIO}) {
    Loop loop;
    ListeningSocket socket;
    loop.SetFaults({{OP_ACCEPT, 1, 2, FAULT_ERRNO, error, 0}});
    Listener listener(loop, socket.fd);
    int client = socket.Connect();
    EXPECT_TRUE(loop.Until([&] { return listener.accepted.size() == 1; })) << error;
    close(client);
  }
}

TEST(Listener, DoesItGoOnOnceThereAreDescriptorsAgain) {
  Loop loop;
  ListeningSocket socket;
  int client = socket.Connect();
  rlimit old = {};
  ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
  rlimit none = {static_cast<rlim_t>(NumOpenFds()), old.rlim_max};
  ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
  Listener listener(loop, socket.fd);
  clock_time until = clock_add(clock_now(), 250 * NANOS_PER_MILLI);
  EXPECT_TRUE(loop.Until([&] { return clock_now() > until; }));
  EXPECT_EQ(0u, listener.accepted.size());
  EXPECT_LT(loop_get_stats(loop.get())->turns, 20u);
  ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
  EXPECT_TRUE(loop.Until([&] { return listener.accepted.size() == 1; }));
  close(client);
}

TEST(Listener, DoConnectionsAfterTheCloseStayInTheSocket) {
  Loop loop;
  ListeningSocket socket;
  int client;
  {
    Listener listener(loop, socket.fd);
    loop.Turns(2);
    listener.Close();
    client = socket.Connect();
    loop.Turns(5);
    EXPECT_EQ(0u, listener.accepted.size());
  }
  Listener next(loop, socket.fd);
  EXPECT_TRUE(loop.Until([&] { return next.accepted.size() == 1; }));
  close(client);
}

// Two loops on one socket: each gets its share, when connections come one by one.
TEST(Listener, DoTwoLoopsShareTheConnections) {
  Loop one;
  Loop two;
  ListeningSocket socket;
  Listener first(one, socket.fd);
  Listener second(two, socket.fd);
  one.Turns(2);
  two.Turns(2);
  for (size_t i = 1; i <= 40; i++) {
    int client = socket.Connect();
    for (int turn = 0; turn < 1000 && first.accepted.size() + second.accepted.size() < i; turn++) {
      one.Turns(1);
      two.Turns(1);
    }
    close(client);
    // Both wait again before the next one comes.
    one.Turns(2);
    two.Turns(2);
  }
  EXPECT_EQ(40u, first.accepted.size() + second.accepted.size());
  EXPECT_GE(first.accepted.size(), 10u);
  EXPECT_GE(second.accepted.size(), 10u);
}
