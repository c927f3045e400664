#include "server/rpc/credentials.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

TEST(Credentials, IsTheOtherEndOfASocketPairThisProcess) {
  int fds[2];
  ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  struct peer peer = {};
  ASSERT_TRUE(status_ok(credentials_read(fds[0], &peer)));
  EXPECT_EQ(getuid(), peer.uid);
  EXPECT_EQ(getgid(), peer.gid);
  EXPECT_EQ(getpid(), peer.pid);
  close(fds[0]);
  close(fds[1]);
}

TEST(Credentials, IsASocketThatHasNoneRefused) {
  struct peer peer = {};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(STATUS_PERMISSION_DENIED, credentials_read(fd, &peer).code);
  close(fd);
}

TEST(Credentials, IsWhatIsNoSocketRefused) {
  struct peer peer = {};
  EXPECT_EQ(STATUS_PERMISSION_DENIED, credentials_read(-1, &peer).code);
}

}  // namespace
