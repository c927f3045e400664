#include "server/daemon/listen.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/daemon/harness.h"

namespace {

class Listen : public testing::Test {
 protected:
  Listen() {
    limits_default(&options_.limits);
    options_.mode = 0600;
  }
  ~Listen() override {
    listen_unlink(&sockets_);
    listen_close(&sockets_);
  }

  status_t Open(const std::vector<std::string> &places) {
    places_ = places;
    options_.num_listen = 0;
    for (const std::string &place : places_) {
      options_.listen[options_.num_listen++] = place.c_str();
    }
    return listen_open(&options_, &sockets_);
  }
  bool Opens(const std::string &path) {
    return status_ok(Open({"unix:" + path}));
  }

  Folder folder_;
  std::string path_ = folder_ / "socket";
  std::vector<std::string> places_;
  struct options options_ = {};
  struct listen_sockets sockets_ = {};
};

bool Connects(const std::string &address) {
  int fd = ConnectTo(address);
  if (fd >= 0) {
    close(fd);
  }
  return fd >= 0;
}

// Leaves a socket behind as a daemon that was killed does.
void LeaveStale(const std::string &path) {
  close(ListenAt(path));
  ASSERT_TRUE(Exists(path));
  ASSERT_FALSE(Connects(path));
}

mode_t ModeOf(const std::string &path) {
  struct stat file = {};
  EXPECT_EQ(0, lstat(path.c_str(), &file));
  return file.st_mode & 07777;
}

TEST_F(Listen, CanItBeConnectedTo) {
  ASSERT_TRUE(Opens(path_));
  EXPECT_EQ(1u, sockets_.num);
  EXPECT_TRUE(Connects(path_));
}

TEST_F(Listen, IsTheFileTheOwnersAloneByDefault) {
  mode_t before = umask(0);
  ASSERT_TRUE(Opens(path_));
  EXPECT_EQ(0600u, ModeOf(path_));
  EXPECT_EQ(0u, umask(before)) << "the umask is as it was";
}

TEST_F(Listen, HasTheFileTheModeThatWasAskedFor) {
  options_.mode = 0666;
  mode_t before = umask(0077);
  ASSERT_TRUE(Opens(path_));
  umask(before);
  EXPECT_EQ(0666u, ModeOf(path_));
}

TEST_F(Listen, HasTheFileTheGroupThatWasAskedFor) {
  struct group *group = getgrgid(getgid());
  ASSERT_NE(nullptr, group);
  options_.group = group->gr_name;
  ASSERT_TRUE(Opens(path_));
  struct stat file = {};
  ASSERT_EQ(0, stat(path_.c_str(), &file));
  EXPECT_EQ(getgid(), file.st_gid);
}

TEST_F(Listen, DoesAnUnknownGroupLeaveNothingBehind) {
  options_.group = "no-such-group-of-tlsagent";
  EXPECT_FALSE(Opens(path_));
  EXPECT_FALSE(Exists(path_));
  EXPECT_EQ(0u, sockets_.num);
}

TEST_F(Listen, IsAStaleSocketReplaced) {
  LeaveStale(path_);
  ASSERT_TRUE(Opens(path_));
  EXPECT_TRUE(Connects(path_));
}

TEST_F(Listen, IsALivingOneLeftAlone) {
  int other = ListenAt(path_);
  EXPECT_EQ(STATUS_UNAVAILABLE, Open({"unix:" + path_}).code);
  EXPECT_TRUE(Connects(path_));
  close(other);
}

TEST_F(Listen, IsOneWhoseBacklogIsFullLeftAlone) {
  int other = ListenAt(path_);
  ASSERT_EQ(0, listen(other, 0));
  int waiting = ConnectTo(path_);
  ASSERT_GE(waiting, 0);
  EXPECT_FALSE(Opens(path_)) << "and it does not hang";
  EXPECT_TRUE(Exists(path_));
  close(waiting);
  close(other);
}

TEST_F(Listen, IsWhatIsNoSocketLeftAlone) {
  int file = open(path_.c_str(), O_CREAT | O_WRONLY, 0600);
  ASSERT_GE(file, 0);
  close(file);
  EXPECT_FALSE(Opens(path_));
  EXPECT_TRUE(Exists(path_));
}

TEST_F(Listen, IsALinkToAStaleSocketLeftAlone) {
  std::string target = folder_ / "target";
  LeaveStale(target);
  ASSERT_EQ(0, symlink(target.c_str(), path_.c_str()));
  EXPECT_FALSE(Opens(path_));
  EXPECT_TRUE(Exists(path_));
  EXPECT_TRUE(Exists(target));
}

TEST_F(Listen, IsASocketOfAnotherUserLeftAlone) {
  LeaveStale(path_);
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root can give a file away";
  }
  ASSERT_EQ(0, chown(path_.c_str(), 65534, 65534));
  EXPECT_FALSE(Opens(path_));
  EXPECT_TRUE(Exists(path_));
}

// Of two that start at a time, one is between bind(2) and listen(2): its socket looks stale.
TEST_F(Listen, IsASocketOfOneThatIsStartingLeftAlone) {
  LeaveStale(path_);
  int lock = open((folder_ / ".").c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(0, flock(lock, LOCK_EX));
  EXPECT_FALSE(Opens(path_));
  EXPECT_TRUE(Exists(path_));
  close(lock);
  EXPECT_TRUE(Opens(path_)) << "and the lock is all that kept it";
}

TEST_F(Listen, IsItsOwnFileRemovedAtTheEnd) {
  ASSERT_TRUE(Opens(path_));
  listen_unlink(&sockets_);
  EXPECT_FALSE(Exists(path_));
  listen_unlink(&sockets_);
}

TEST_F(Listen, IsAFileThatTookItsPlaceKept) {
  ASSERT_TRUE(Opens(path_));
  ASSERT_EQ(0, rename(path_.c_str(), (folder_ / "old").c_str()));
  int other = ListenAt(path_);
  listen_unlink(&sockets_);
  EXPECT_TRUE(Exists(path_));
  EXPECT_TRUE(Connects(path_));
  close(other);
}

TEST_F(Listen, HasAnAbstractNameNoFile) {
  std::string name = "@tlsagent-test-" + std::to_string(getpid());
  ASSERT_TRUE(Opens(name));
  EXPECT_EQ(nullptr, sockets_.files[0].path);
  EXPECT_FALSE(Connects(name + "x")) << "its length is the address's";
  EXPECT_TRUE(Connects(name));
  struct listen_sockets second = {};
  EXPECT_EQ(STATUS_UNAVAILABLE, listen_open(&options_, &second).code) << "it is taken";
}

TEST_F(Listen, CanThereBeSeveral) {
  std::string other = folder_ / "other";
  std::string name = "@tlsagent-test2-" + std::to_string(getpid());
  ASSERT_TRUE(status_ok(Open({"unix:" + path_, "unix:" + name, "unix:" + other})));
  EXPECT_TRUE(Connects(path_) && Connects(name) && Connects(other));
  listen_unlink(&sockets_);
  EXPECT_FALSE(Exists(path_) || Exists(other));
}

TEST_F(Listen, DoesOneThatFailsTakeTheOthersBack) {
  std::string other = folder_ / "no-such-folder" + "/socket";
  EXPECT_EQ(STATUS_UNAVAILABLE, Open({"unix:" + path_, "unix:" + other}).code);
  EXPECT_FALSE(Exists(path_));
  EXPECT_EQ(0u, sockets_.num);
}

TEST_F(Listen, IsAPathTooLongRefused) {
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Open({"unix:/" + std::string(107, 'a')}).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Open({"unix:@" + std::string(107, 'a')}).code);
  EXPECT_TRUE(Opens("@" + std::string(106, 'a')));
}

TEST_F(Listen, IsARelativePathTaken) {
  Folder folder;
  ASSERT_EQ(0, chdir((folder / ".").c_str()));
  EXPECT_TRUE(Opens("relative"));
  EXPECT_TRUE(Exists(folder / "relative"));
  listen_unlink(&sockets_);
  ASSERT_EQ(0, chdir("/"));
}

TEST_F(Listen, IsThereADefaultPlace) {
  if (geteuid() == 0) {
    GTEST_SKIP() << "root's is /run/tlsagent.sock, which may be in use";
  }
  ASSERT_EQ(0, setenv("XDG_RUNTIME_DIR", (folder_ / ".").c_str(), 1));
  ASSERT_TRUE(status_ok(Open({})));
  EXPECT_TRUE(Connects(folder_ / "tlsagent.sock"));
  listen_unlink(&sockets_);
  listen_close(&sockets_);
  unsetenv("XDG_RUNTIME_DIR");
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Open({}).code);
  setenv("XDG_RUNTIME_DIR", "relative", 1);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Open({}).code);
}

}  // namespace
