// The plaintext service behind every server that tests/bench/peers measures: one thread, one epoll,
// as little work as there can be, for it runs beside the load.
//
//   backend LISTENER...        LISTENER: SERVICE:HOST:PORT, or SERVICE:fds:PATH
//
// SERVICE  echo              what comes goes back
//          source=BYTES      sends so many and then its end
//          sink              reads to the end
//          hold              waits for the end
//          count             tells how many connections the others have had, and have now, and
//          closes
//
// PORT 0 takes any. PATH is a Unix datagram socket: each message to it brings a connected
// descriptor, which is served as though it had been accepted here. For each listener a line on
// stdout tells its port or path, and it ends with stdin.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/bench/lib/base.h"

enum { BUFFER_BYTES = 256 << 10, EVENTS = 256, LISTENERS_MAX = 16, TURNS_MAX = 8, BACKLOG = 4096 };

struct connection;

struct service {
  const char *name;
  uint32_t first;  // what it waits for at first
  // What is to be done when the connection can be read, or written where it said that it wants
  // that. False: it is over.
  bool (*serve)(struct connection *connection);
};

struct listener {
  int fd;
  bool brings_fds;
  const struct service *service;
  uint64_t bytes;  // of a source
};

struct connection {
  int fd;
  const struct service *service;
  bool counts;       // who asks for the count doesn't
  uint64_t left;     // of a source: what is still to be sent
  uint8_t *pending;  // of an echo: what the peer doesn't take yet, or NULL
  size_t pending_at;
  size_t pending_len;
};

static int poller;
static uint8_t buffer[BUFFER_BYTES];
static uint64_t num_accepted;
static uint64_t num_open;

static bool watch(int fd, uint32_t events, int op, void *whom) {
  struct epoll_event event = {.events = events, .data.ptr = whom};
  return epoll_ctl(poller, op, fd, &event) == 0;
}

// --- Services ---

static bool would_block(ssize_t result) {
  return result < 0 && (errno == EAGAIN || errno == EINTR);
}

static bool echo_pending(struct connection *connection) {
  size_t len = connection->pending_len - connection->pending_at;
  ssize_t sent =
      send(connection->fd, connection->pending + connection->pending_at, len, MSG_NOSIGNAL);
  if (sent < 0) {
    return would_block(sent);
  }
  connection->pending_at += (size_t)sent;
  if (connection->pending_at == connection->pending_len) {
    free(connection->pending);
    connection->pending = NULL;
    return watch(connection->fd, EPOLLIN, EPOLL_CTL_MOD, connection);
  }
  return true;
}

// Nothing more is read until this is sent: a peer that doesn't read holds up itself alone.
static bool keep_pending(struct connection *connection, const uint8_t *data, size_t len) {
  connection->pending = malloc(len);
  if (connection->pending == NULL) {
    return false;
  }
  memcpy(connection->pending, data, len);
  connection->pending_at = 0;
  connection->pending_len = len;
  return watch(connection->fd, EPOLLOUT, EPOLL_CTL_MOD, connection);
}

static bool echo(struct connection *connection) {
  if (connection->pending != NULL) {
    return echo_pending(connection);
  }
  ssize_t got = recv(connection->fd, buffer, sizeof(buffer), 0);
  if (got <= 0) {
    return would_block(got);
  }
  ssize_t sent = send(connection->fd, buffer, (size_t)got, MSG_NOSIGNAL);
  if (sent < 0 && !would_block(sent)) {
    return false;
  }
  size_t done = sent < 0 ? 0 : (size_t)sent;
  return done == (size_t)got || keep_pending(connection, buffer + done, (size_t)got - done);
}

static bool sink(struct connection *connection) {
  for (int turn = 0; turn < TURNS_MAX; turn++) {
    ssize_t got = recv(connection->fd, buffer, sizeof(buffer), 0);
    if (got <= 0) {
      return would_block(got);
    }
  }
  return true;
}

static const struct service at_its_end = {"", EPOLLIN, sink};

static bool source(struct connection *connection) {
  for (int turn = 0; turn < TURNS_MAX && connection->left > 0; turn++) {
    size_t len = connection->left < sizeof(buffer) ? (size_t)connection->left : sizeof(buffer);
    ssize_t sent = send(connection->fd, buffer, len, MSG_NOSIGNAL);
    if (sent < 0) {
      return would_block(sent);
    }
    connection->left -= (uint64_t)sent;
  }
  if (connection->left > 0) {
    return true;
  }
  connection->service = &at_its_end;
  return shutdown(connection->fd, SHUT_WR) == 0 &&
         watch(connection->fd, EPOLLIN, EPOLL_CTL_MOD, connection);
}

static bool count(struct connection *connection) {
  dprintf(connection->fd, "{\"accepted\": %llu, \"open\": %llu}\n",
          (unsigned long long)num_accepted, (unsigned long long)num_open);
  return false;
}

static const struct service services[] = {
    {"echo", EPOLLIN, echo}, {"source", EPOLLOUT, source}, {"sink", EPOLLIN, sink},
    {"hold", EPOLLIN, sink}, {"count", EPOLLOUT, count},
};
enum { SERVICES = sizeof(services) / sizeof(services[0]) };

// --- Connections ---

// A descriptor that was brought may still be open where it came from: closing it isn't forgetting
// it.
static void end_connection(struct connection *connection) {
  epoll_ctl(poller, EPOLL_CTL_DEL, connection->fd, NULL);
  close(connection->fd);
  free(connection->pending);
  free(connection);
  num_open -= connection->counts;
}

static void begin_connection(int fd, const struct listener *listener) {
  struct connection *connection = calloc(1, sizeof(*connection));
  if (connection == NULL) {
    close(fd);
    return;
  }
  *connection = (struct connection){.fd = fd,
                                    .service = listener->service,
                                    .counts = listener->service->serve != count,
                                    .left = listener->bytes};
  num_open += connection->counts;
  num_accepted += connection->counts;
  if (!watch(fd, listener->service->first, EPOLL_CTL_ADD, connection)) {
    end_connection(connection);
  }
}

static int take_accepted(const struct listener *listener) {
  int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  return fd;
}

static int take_brought(const struct listener *listener) {
  union {
    struct cmsghdr header;
    uint8_t room[CMSG_SPACE(sizeof(int))];
  } control;
  uint8_t byte;
  struct iovec data = {&byte, sizeof(byte)};
  struct msghdr message = {.msg_iov = &data,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof(control)};
  if (recvmsg(listener->fd, &message, MSG_CMSG_CLOEXEC) < 0 || CMSG_FIRSTHDR(&message) == NULL) {
    return -1;
  }
  int fd;
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return fd;
}

static void take_all(const struct listener *listener) {
  int fd;
  while ((fd = listener->brings_fds ? take_brought(listener) : take_accepted(listener)) >= 0) {
    begin_connection(fd, listener);
  }
}

// --- Listeners ---

static bool listen_tcp(struct listener *listener, const char *host, const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
  socklen_t len = sizeof(address);
  listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1 ||
      bind(listener->fd, (const struct sockaddr *)&address, len) != 0 ||
      listen(listener->fd, BACKLOG) != 0 ||
      getsockname(listener->fd, (struct sockaddr *)&address, &len) != 0) {
    return fail("can't listen at %s:%s: %s", host, port, strerror(errno));
  }
  printf("%u\n", ntohs(address.sin_port));
  return true;
}

static bool listen_fds(struct listener *listener, const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
  listener->brings_fds = true;
  listener->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (bind(listener->fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
    return fail("can't listen at %s: %s", path, strerror(errno));
  }
  printf("%s\n", path);
  return true;
}

static bool find_service(struct listener *listener, const char *text) {
  size_t len = strcspn(text, "=");
  for (size_t i = 0; i < SERVICES; i++) {
    if (strlen(services[i].name) == len && strncmp(services[i].name, text, len) == 0) {
      listener->service = &services[i];
    }
  }
  listener->bytes = text[len] == '=' ? strtoull(text + len + 1, NULL, 10) : 0;
  return listener->service != NULL || fail("there is no service %s", text);
}

// text is taken apart.
static bool open_listener(struct listener *listener, char *text) {
  char *service = strsep(&text, ":");
  char *host = strsep(&text, ":");
  if (text == NULL || !find_service(listener, service)) {
    return fail("a listener is SERVICE:HOST:PORT or SERVICE:fds:PATH");
  }
  bool good =
      strcmp(host, "fds") == 0 ? listen_fds(listener, text) : listen_tcp(listener, host, text);
  return good && watch(listener->fd, EPOLLIN, EPOLL_CTL_ADD, listener);
}

static void raise_limit(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

static void serve_all(const struct listener *listeners, size_t num_listeners) {
  static struct epoll_event events[EVENTS];
  for (;;) {
    int num = epoll_wait(poller, events, EVENTS, -1);
    for (int i = 0; i < num; i++) {
      void *whom = events[i].data.ptr;
      if (whom == NULL) {
        return;
      }
      if ((const struct listener *)whom >= listeners &&
          (const struct listener *)whom < listeners + num_listeners) {
        take_all(whom);
      } else if (!((struct connection *)whom)->service->serve(whom)) {
        end_connection(whom);
      }
    }
  }
}

int main(int argc, char **argv) {
  static struct listener listeners[LISTENERS_MAX];
  size_t num_listeners = (size_t)argc - 1;
  poller = epoll_create1(EPOLL_CLOEXEC);
  raise_limit();
  if (num_listeners == 0 || num_listeners > LISTENERS_MAX) {
    fail("takes up to %d listeners: see the head of its source", LISTENERS_MAX);
    return 2;
  }
  for (size_t i = 0; i < num_listeners; i++) {
    if (!open_listener(&listeners[i], argv[i + 1])) {
      return 1;
    }
  }
  fflush(stdout);
  // It is the end of stdin that is waited for: nobody writes there.
  if (!watch(STDIN_FILENO, EPOLLIN | EPOLLHUP, EPOLL_CTL_ADD, NULL)) {
    fail("stdin has to be a pipe");
    return 1;
  }
  serve_all(listeners, num_listeners);
  return 0;
}
