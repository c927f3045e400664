// A Unix socket whose close(2) hangs: in its queue lies the last reference of a TCP socket that
// lingers over unsent bytes. It goes on when the peer of that one has gone, at the latest with
// this.
#ifndef TLSAGENT_TESTS_SUPPORT_BOMB_H_
#define TLSAGENT_TESTS_SUPPORT_BOMB_H_

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>

class Bomb {
 public:
  Bomb() {
    int lingering = MakeLingering();
    int pair[2] = {-1, -1};
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    fd_ = pair[0];
    other_ = pair[1];
    Send(other_, lingering);
    close(lingering);
  }
  ~Bomb() {
    Defuse();
    close(other_);
    if (fd_ >= 0) {
      close(fd_);
    }
  }
  Bomb(const Bomb &) = delete;
  Bomb &operator=(const Bomb &) = delete;

  int fd() const {
    return fd_;
  }
  int Release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void Defuse() {
    if (peer_ >= 0) {
      close(peer_);
      peer_ = -1;
    }
  }
  // Sends one byte, and fd with it.
  static void Send(int to, int fd) {
    char byte = 'x';
    iovec data = {&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message = {};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    EXPECT_EQ(1, sendmsg(to, &message, MSG_NOSIGNAL));
  }

 private:
  int MakeLingering() {
    sockaddr_in address = {};
    socklen_t len = sizeof(address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(0, bind(listener, reinterpret_cast<sockaddr *>(&address), len));
    EXPECT_EQ(0, listen(listener, 1));
    EXPECT_EQ(0, getsockname(listener, reinterpret_cast<sockaddr *>(&address), &len));
    EXPECT_EQ(0, connect(fd, reinterpret_cast<sockaddr *>(&address), len));
    peer_ = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    close(listener);
    std::string much(1 << 16, 'x');
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (send(fd, much.data(), much.size(), MSG_NOSIGNAL) > 0) {
    }
    linger patience = {1, 60};
    EXPECT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_LINGER, &patience, sizeof(patience)));
    return fd;
  }

  int fd_ = -1;
  int other_ = -1;
  int peer_ = -1;
};

#endif  // TLSAGENT_TESTS_SUPPORT_BOMB_H_
