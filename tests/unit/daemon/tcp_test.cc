#include "server/daemon/tcp.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace {

TEST(TcpAddress, IsWhatOnlyThisMachineReachesLoopback) {
  for (const char *text :
       {"tcp:127.0.0.1:1", "tcp:127.9.9.9:65535", "tcp:localhost:0", "tcp:[::1]:443"}) {
    EXPECT_TRUE(tcp_address_valid(text)) << text;
    EXPECT_TRUE(tcp_is_loopback(text)) << text;
  }
  for (const char *text : {"tcp:*:1", "tcp:0.0.0.0:1", "tcp:[::]:1", "tcp:192.0.2.1:1",
                           "tcp:[2001:db8::1]:1", "tcp:[::ffff:127.0.0.1]:1", "tcp:128.0.0.1:1"}) {
    EXPECT_TRUE(tcp_address_valid(text)) << text;
    EXPECT_FALSE(tcp_is_loopback(text)) << text;
  }
}

TEST(TcpAddress, IsWhatIsNoneRefused) {
  const std::string long_host(300, '1');
  for (const std::string &text : {std::string(""),
                                  std::string("tcp:"),
                                  std::string("tcp::"),
                                  std::string("tcp::1"),
                                  std::string("tcp:1"),
                                  std::string("tcp:localhost"),
                                  std::string("tcp:localhost:"),
                                  std::string("tcp:localhost:x"),
                                  std::string("tcp:localhost:1x"),
                                  std::string("tcp:localhost:65536"),
                                  std::string("tcp:localhost:-1"),
                                  std::string("tcp:example.org:1"),
                                  std::string("tcp:::1:1"),
                                  std::string("tcp:[::1:1"),
                                  std::string("tcp:[::1]"),
                                  std::string("tcp:[]:1"),
                                  std::string("tcp:[127.0.0.1]:1"),
                                  std::string("unix:/a"),
                                  "tcp:" + long_host + ":1",
                                  "tcp:[" + long_host + "]:1"}) {
    EXPECT_FALSE(tcp_address_valid(text.c_str())) << text;
    EXPECT_FALSE(tcp_is_loopback(text.c_str())) << text;
  }
}

int Option(int fd, int level, int name) {
  int value = -1;
  socklen_t len = sizeof(value);
  EXPECT_EQ(0, getsockopt(fd, level, name, &value, &len));
  return value;
}

TEST(TcpListen, DoPeersThatTakeNothingEnd) {
  int fd = -1;
  ASSERT_TRUE(status_ok(tcp_listen("tcp:[::1]:0", &fd)) ||
              status_ok(tcp_listen("tcp:127.0.0.1:0", &fd)));
  struct sockaddr_storage at = {};
  socklen_t len = sizeof(at);
  ASSERT_EQ(0, getsockname(fd, (struct sockaddr *)&at, &len));
  int caller = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(0, connect(caller, (struct sockaddr *)&at, len));
  int accepted = accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
  ASSERT_GE(accepted, 0);
  EXPECT_EQ(1, Option(accepted, SOL_SOCKET, SO_KEEPALIVE));
  EXPECT_EQ(60, Option(accepted, IPPROTO_TCP, TCP_KEEPIDLE));
  EXPECT_EQ(120000, Option(accepted, IPPROTO_TCP, TCP_USER_TIMEOUT));
  close(accepted);
  close(caller);
  close(fd);
}

TEST(TcpListen, DoesItListenThere) {
  int fd = -1;
  ASSERT_TRUE(status_ok(tcp_listen("tcp:127.0.0.1:0", &fd)));
  struct sockaddr_in at = {};
  socklen_t len = sizeof(at);
  ASSERT_EQ(0, getsockname(fd, (struct sockaddr *)&at, &len));
  EXPECT_EQ(htonl(INADDR_LOOPBACK), at.sin_addr.s_addr);
  EXPECT_EQ(ntohs(at.sin_port), tcp_port(fd));
  EXPECT_NE(0, fcntl(fd, F_GETFD) & FD_CLOEXEC);

  std::string taken = "tcp:127.0.0.1:" + std::to_string(ntohs(at.sin_port));
  int other = -1;
  EXPECT_EQ(STATUS_UNAVAILABLE, tcp_listen(taken.c_str(), &other).code);

  int caller = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(0, connect(caller, (struct sockaddr *)&at, len));
  close(caller);
  close(fd);
}

}  // namespace
