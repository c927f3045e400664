// Sockets that the service manager passes (sd_listen_fds(3)). Each question in a process of its
// own, since they stand at fixed descriptors.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/daemon/listen.h"
#include "tests/unit/daemon/harness.h"

namespace {

constexpr int kFirst = 3;

class Inherited : public testing::Test {
 protected:
  // Runs in a child that has these descriptors at 3 and on, and says so in its environment.
  bool Holds(const std::vector<int> &fds, const std::function<bool()> &question,
             const std::string &num = "", const std::string &pid = "") {
    return StatusOfChild([&] {
             Place(fds);
             setenv("LISTEN_FDS", (num.empty() ? std::to_string(fds.size()) : num).c_str(), 1);
             setenv("LISTEN_PID", (pid.empty() ? std::to_string(getpid()) : pid).c_str(), 1);
             setenv("LISTEN_FDNAMES", "a:b", 1);
             return question() ? 0 : 1;
           }) == 0;
  }

  static void Place(const std::vector<int> &fds) {
    std::vector<int> high;
    for (int fd : fds) {
      high.push_back(fcntl(fd, F_DUPFD, 100));
    }
    for (size_t i = 0; i < high.size(); i++) {
      dup2(high[i], kFirst + (int)i);
    }
  }

  static status_t Open(struct listen_sockets *sockets, const char *place = nullptr) {
    struct options options = {};
    options.mode = 0600;
    if (place != nullptr) {
      options.listen[options.num_listen++] = place;
    }
    return listen_open(&options, sockets);
  }

  Folder folder_;
  std::string path_ = folder_ / "socket";
};

TEST_F(Inherited, AreTheyListenedOn) {
  int one = ListenAt(path_);
  int two = ListenAt(folder_ / "two");
  EXPECT_TRUE(Holds({one, two}, [] {
    struct listen_sockets sockets;
    return status_ok(Open(&sockets)) && sockets.num == 2 && sockets.fds[0] == kFirst &&
           sockets.fds[1] == kFirst + 1;
  }));
}

TEST_F(Inherited, AreTheyNotHandedOn) {
  int one = ListenAt(path_);
  EXPECT_TRUE(Holds({one}, [] {
    struct listen_sockets sockets;
    return status_ok(Open(&sockets)) && (fcntl(kFirst, F_GETFD) & FD_CLOEXEC) != 0 &&
           getenv("LISTEN_FDS") == nullptr && getenv("LISTEN_PID") == nullptr &&
           getenv("LISTEN_FDNAMES") == nullptr;
  }));
}

TEST_F(Inherited, IsTheirFileTheManagersToRemove) {
  int one = ListenAt(path_);
  EXPECT_TRUE(Holds({one}, [] {
    struct listen_sockets sockets;
    bool opened = status_ok(Open(&sockets));
    listen_unlink(&sockets);
    listen_close(&sockets);
    return opened;
  }));
  EXPECT_TRUE(Exists(path_));
}

TEST_F(Inherited, DoOwnOnesComeBeside) {
  int one = ListenAt(path_);
  std::string own = "unix:" + (folder_ / "own");
  EXPECT_TRUE(Holds({one}, [&] {
    struct listen_sockets sockets;
    bool good = status_ok(Open(&sockets, own.c_str())) && sockets.num == 2;
    listen_unlink(&sockets);
    return good;
  }));
  EXPECT_TRUE(Exists(path_));
  EXPECT_FALSE(Exists(folder_ / "own"));
}

TEST_F(Inherited, AreAnotherProcessesNotTaken) {
  int one = ListenAt(path_);
  std::string own = "unix:" + (folder_ / "own");
  auto only_own = [&] {
    struct listen_sockets sockets;
    return status_ok(Open(&sockets, own.c_str())) && sockets.num == 1 && sockets.fds[0] != kFirst;
  };
  EXPECT_TRUE(Holds({one}, only_own, "1", std::to_string(getpid())));
  unlink((folder_ / "own").c_str());
  EXPECT_TRUE(Holds({one}, only_own, "-1"));
  unlink((folder_ / "own").c_str());
  EXPECT_TRUE(Holds({one}, only_own, "x"));
}

TEST_F(Inherited, IsWhatIsNoListeningUnixStreamRefused) {
  int pair[2];
  ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  int datagram = ListenAt(folder_ / "datagram", SOCK_DGRAM);
  int tcp = socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(0, listen(tcp, 1));
  int file = open("/dev/null", O_RDONLY);
  for (int wrong : {pair[0], datagram, tcp, file}) {
    EXPECT_TRUE(Holds({wrong}, [] {
      struct listen_sockets sockets;
      return Open(&sockets).code == STATUS_INVALID_ARGUMENT && sockets.num == 0;
    }));
  }
}

TEST_F(Inherited, AreMoreThanThereIsRoomForRefused) {
  int one = ListenAt(path_);
  std::string own = "unix:" + (folder_ / "own");
  std::vector<int> all(SOCKETS_MAX, one);
  auto refused = [&](const char *place) {
    struct listen_sockets sockets;
    return Open(&sockets, place).code == STATUS_INVALID_ARGUMENT && sockets.num == 0;
  };
  EXPECT_TRUE(Holds(all, [] {
    struct listen_sockets sockets;
    return status_ok(Open(&sockets)) && sockets.num == SOCKETS_MAX;
  }));
  EXPECT_TRUE(Holds(all, [&] { return refused(own.c_str()); }));
  all.push_back(one);
  EXPECT_TRUE(Holds(all, [&] { return refused(nullptr); }));
}

}  // namespace
