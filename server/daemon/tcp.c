#include "server/daemon/tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/base/log.h"

enum {
  BACKLOG = 1024,
  HOST_MAX = 63,
  QUIET_SECONDS = 60,     // after which the kernel asks whether the peer's machine is still there
  UNTAKEN_SECONDS = 120,  // that what is sent may go without being taken
};

struct tcp_address {
  struct sockaddr_storage at;
  socklen_t len;
};

static bool parse_port(const char *text, in_port_t *out) {
  char *end = NULL;
  unsigned long port = strtoul(text, &end, 10);
  *out = htons((in_port_t)port);
  return *text >= '0' && *text <= '9' && *end == '\0' && port <= UINT16_MAX;
}

static bool parse_v4(const char *host, in_port_t port, struct tcp_address *out) {
  struct sockaddr_in *in = (struct sockaddr_in *)&out->at;
  *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
  out->len = sizeof(*in);
  return inet_pton(AF_INET, host, &in->sin_addr) == 1;
}

static bool parse_v6(const char *host, in_port_t port, struct tcp_address *out) {
  struct sockaddr_in6 *in = (struct sockaddr_in6 *)&out->at;
  *in = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
  out->len = sizeof(*in);
  return inet_pton(AF_INET6, host, &in->sin6_addr) == 1;
}

static bool parse_host(const char *host, bool bracketed, in_port_t port, struct tcp_address *out) {
  if (bracketed) {
    return parse_v6(host, port, out);
  }
  if (strcmp(host, "*") == 0) {
    return parse_v6("::", port, out);
  }
  return parse_v4(strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, port, out);
}

static bool parse(const char *text, struct tcp_address *out) {
  char host[HOST_MAX + 1];
  const char *begin = text + strlen("tcp:");
  const char *colon = strrchr(text, ':');
  in_port_t port;
  *out = (struct tcp_address){0};
  if (strncmp(text, "tcp:", strlen("tcp:")) != 0 || colon < begin ||
      !parse_port(colon + 1, &port)) {
    return false;
  }
  bool bracketed = *begin == '[' && colon[-1] == ']';
  size_t len = (size_t)(colon - begin) - (bracketed ? 2 : 0);
  if (len > HOST_MAX) {
    return false;
  }
  memcpy(host, begin + bracketed, len);
  host[len] = '\0';
  return parse_host(host, bracketed, port, out);
}

bool tcp_address_valid(const char *text) {
  struct tcp_address address;
  return parse(text, &address);
}

bool tcp_is_loopback(const char *text) {
  struct tcp_address address;
  if (!parse(text, &address)) {
    return false;
  }
  if (address.at.ss_family == AF_INET) {
    const struct sockaddr_in *in = (const struct sockaddr_in *)&address.at;
    return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
  }
  return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&address.at)->sin6_addr);
}

static bool set(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

// Accepted sockets inherit them (tcp(7), socket(7)). The kernel ends connections whose peer's
// machine has gone, and those whose peer takes nothing of what is for it: their TLS would wait for
// ever, also when the RPC server is done with them.
static bool set_options(int fd) {
  return set(fd, SOL_SOCKET, SO_REUSEADDR, 1) && set(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
         set(fd, IPPROTO_TCP, TCP_KEEPIDLE, QUIET_SECONDS) &&
         set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNTAKEN_SECONDS * 1000) &&
         set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

// All of IPv6 is all addresses, whatever net.ipv6.bindv6only says of others.
static bool take_both_families(int fd, const struct tcp_address *address) {
  const int off = 0;
  return address->at.ss_family != AF_INET6 ||
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0;
}

static bool listen_at(int fd, const struct tcp_address *address) {
  return fd >= 0 && set_options(fd) && take_both_families(fd, address) &&
         bind(fd, (const struct sockaddr *)&address->at, address->len) == 0 &&
         listen(fd, BACKLOG) == 0;
}

unsigned tcp_port(int fd) {
  union {
    struct sockaddr_storage any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } at;
  socklen_t len = sizeof(at);
  memset(&at, 0, sizeof(at));
  if (getsockname(fd, (struct sockaddr *)&at.any, &len) != 0) {
    return 0;
  }
  return ntohs(at.any.ss_family == AF_INET ? at.v4.sin_port : at.v6.sin6_port);
}

status_t tcp_listen(const char *text, int *out) {
  struct tcp_address address;
  ENSURE(parse(text, &address), INVALID_ARGUMENT);
  *out = socket(address.at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (!listen_at(*out, &address)) {
    LOG_ERROR("%s: cannot listen: %s", text, strerrordesc_np(errno));
    close(*out);
    return status_of(STATUS_UNAVAILABLE);
  }
  return OK_STATUS;
}
