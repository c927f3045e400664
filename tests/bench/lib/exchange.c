#include "tests/bench/lib/exchange.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/lib/base.h"

enum { TRIES = 1000, TRY_EVERY_NANOS = 10000000, BACKLOG = 16 };

static bool has_ended(int pid) {
  siginfo_t info = {0};
  return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

static bool connect_when_ready(int fd, const struct sockaddr_un *address, int server_pid) {
  for (int i = 0; i < TRIES; i++) {
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0) {
      return true;
    }
    bool early = errno == ENOENT || errno == ECONNREFUSED;
    if (!early || server_pid == 0 || has_ended(server_pid)) {
      break;
    }
    nanosleep(&(struct timespec){.tv_nsec = TRY_EVERY_NANOS}, NULL);
  }
  return fail("can't connect to %s: %s", address->sun_path, strerror(errno));
}

static int open_socket(const char *path, struct sockaddr_un *out) {
  *out = (struct sockaddr_un){.sun_family = AF_UNIX};
  snprintf(out->sun_path, sizeof(out->sun_path), "%s", path);
  return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

int connect_to(const char *path, int server_pid) {
  struct sockaddr_un address;
  int fd = open_socket(path, &address);
  if (fd >= 0 && !connect_when_ready(fd, &address, server_pid)) {
    close(fd);
    return -1;
  }
  return fd;
}

bool await_listener(const char *path, int server_pid) {
  int fd = connect_to(path, server_pid);
  if (fd < 0) {
    return fail("nobody listens at %s", path);
  }
  close(fd);
  return true;
}

int listen_at(const char *path) {
  struct sockaddr_un address;
  int fd = open_socket(path, &address);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
      listen(fd, BACKLOG) != 0) {
    fail("can't listen at %s: %s", path, strerror(errno));
    return -1;
  }
  return fd;
}

bool send_all(int fd, const void *data, size_t len) {
  const uint8_t *at = data;
  while (len != 0) {
    ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);
    if (sent < 0) {
      return fail("send: %s", strerror(errno));
    }
    at += sent;
    len -= (size_t)sent;
  }
  return true;
}

size_t receive_some(int fd, void *out, size_t size) {
  ssize_t received = recv(fd, out, size, 0);
  if (received <= 0) {
    fail("recv: %s", received == 0 ? "the server closed the connection" : strerror(errno));
    return 0;
  }
  return (size_t)received;
}

bool exchange(int fd, struct view message, uint8_t *out, size_t out_len) {
  if (!send_all(fd, message.data, message.len)) {
    return false;
  }
  for (size_t have = 0; have < out_len;) {
    size_t received = receive_some(fd, out + have, out_len - have);
    if (received == 0) {
      return false;
    }
    have += received;
  }
  return true;
}
