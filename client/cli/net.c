#include "client/cli/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

// --- Names ---

static bool copy_part(char *out, size_t size, const char *start, size_t len) {
  if (len >= size) {
    return false;
  }
  memcpy(out, start, len);
  out[len] = '\0';
  return true;
}

// A number has to be a port; a name is looked up later.
static bool may_be_port(const char *text) {
  char *end;
  const unsigned long port = strtoul(text, &end, 10);
  return text[0] != '\0' && (*end != '\0' || port <= 65535);
}

// "[::1]:443", "host:443", "host", ":443"; a bare IPv6 address has several colons and no port.
bool parse_endpoint(struct endpoint *out, const char *text, const char *default_port) {
  const char *host = text;
  const char *end = strrchr(text, ':');
  const char *port = default_port;
  if (text[0] == '[') {
    host = text + 1;
    end = strchr(host, ']');
    if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
      return false;
    }
    port = end[1] == ':' ? end + 2 : port;
  } else if (end != NULL && strchr(text, ':') == end) {
    port = end + 1;
  } else {
    end = text + strlen(text);
  }
  return port != NULL && may_be_port(port) &&
         copy_part(out->host, sizeof(out->host), host, (size_t)(end - host)) &&
         copy_part(out->port, sizeof(out->port), port, strlen(port));
}

uint32_t endpoint_port(const struct endpoint *endpoint) {
  char *end;
  const unsigned long port = strtoul(endpoint->port, &end, 10);
  if (*end == '\0') {
    return (uint32_t)port;
  }
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
  struct addrinfo *list;
  if (getaddrinfo(NULL, endpoint->port, &hints, &list) != 0) {
    return 0;
  }
  // The port lies at the same place for IPv4 and IPv6.
  const uint32_t number = ntohs(((const struct sockaddr_in *)list->ai_addr)->sin_port);
  freeaddrinfo(list);
  return number;
}

bool is_address(const char *host) {
  struct in6_addr address;
  return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

void format_address(char *out, size_t size, const struct sockaddr_storage *address) {
  char host[INET6_ADDRSTRLEN] = "?";
  const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
  const struct sockaddr_in *four = (const struct sockaddr_in *)address;
  if (address->ss_family == AF_INET6) {
    inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host));
    snprintf(out, size, "[%s]:%u", host, ntohs(six->sin6_port));
  } else {
    inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host));
    snprintf(out, size, "%s:%u", host, ntohs(four->sin_port));
  }
}

static int resolve(const struct cli *cli, const struct endpoint *endpoint, int flags,
                   struct addrinfo **out) {
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
  const char *host = endpoint->host[0] != '\0' ? endpoint->host : NULL;
  const int result = getaddrinfo(host, endpoint->port, &hints, out);
  if (result == EAI_SERVICE) {
    return complain(cli, EXIT_NETWORK, "no such port: %s", endpoint->port);
  }
  if (result != 0) {
    return complain(cli, EXIT_NETWORK, "cannot resolve %s: %s", endpoint->host,
                    result == EAI_SYSTEM ? strerrordesc_np(errno) : gai_strerror(result));
  }
  return EXIT_OK;
}

// --- Connecting ---

// SO_SNDTIMEO bounds connect(2).
static int connect_one(const struct addrinfo *address, uint32_t timeout_ms, int *out) {
  const struct timeval limit = {timeout_ms / 1000, (suseconds_t)(timeout_ms % 1000) * 1000};
  const struct timeval none = {0};
  const int on = 1;
  const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, address->ai_protocol);
  if (fd < 0) {
    return errno;
  }
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  if (connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
    const int why = errno == EINPROGRESS ? ETIMEDOUT : errno;
    close(fd);
    return why;
  }
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  *out = fd;
  return 0;
}

int tcp_connect(const struct cli *cli, const struct endpoint *endpoint, int *out) {
  struct addrinfo *list;
  int why = 0;
  const int code = resolve(cli, endpoint, 0, &list);
  if (code != EXIT_OK) {
    return code;
  }
  *out = -1;
  for (const struct addrinfo *address = list; address != NULL && *out < 0;
       address = address->ai_next) {
    why = connect_one(address, cli->timeout_ms, out);
  }
  freeaddrinfo(list);
  if (*out >= 0) {
    return EXIT_OK;
  }
  return complain(cli, why == ETIMEDOUT ? EXIT_TIMEOUT : EXIT_NETWORK,
                  "cannot connect to %s port %s: %s", endpoint->host, endpoint->port,
                  strerrordesc_np(why));
}

// --- Listening ---

enum { BACKLOG = 4096 };

static int listen_one(const struct addrinfo *address, int *out) {
  const int on = 1;
  const int fd =
      socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, address->ai_protocol);
  if (fd < 0) {
    return errno;
  }
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
    const int why = errno;
    close(fd);
    return why;
  }
  *out = fd;
  return 0;
}

int tcp_listen(const struct cli *cli, const struct endpoint *endpoint, int *out) {
  struct addrinfo *list;
  int why = 0;
  const int code = resolve(cli, endpoint, AI_PASSIVE, &list);
  if (code != EXIT_OK) {
    return code;
  }
  *out = -1;
  for (const struct addrinfo *address = list; address != NULL && *out < 0;
       address = address->ai_next) {
    why = listen_one(address, out);
  }
  freeaddrinfo(list);
  if (*out >= 0) {
    return EXIT_OK;
  }
  return complain(cli, EXIT_NETWORK, "cannot listen at %s port %s: %s",
                  endpoint->host[0] != '\0' ? endpoint->host : "any address", endpoint->port,
                  strerrordesc_np(why));
}

// Nobody listens at a socket that refuses.
static void remove_stale(const struct sockaddr_un *address) {
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(probe, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
      errno == ECONNREFUSED) {
    unlink(address->sun_path);
  }
  close(probe);
}

static bool bind_and_listen(int fd, const struct sockaddr_un *address) {
  const mode_t before = umask(0077);
  const bool bound = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
  const int why = errno;
  umask(before);
  errno = why;
  return bound && listen(fd, BACKLOG) == 0;
}

int unix_listen(const struct cli *cli, const char *path, int *out) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof(address.sun_path)) {
    return complain(cli, EXIT_USAGE, "%s: a socket's path has at most %zu bytes", path,
                    sizeof(address.sun_path) - 1);
  }
  memcpy(address.sun_path, path, strlen(path));
  remove_stale(&address);
  *out = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (*out >= 0 && bind_and_listen(*out, &address)) {
    return EXIT_OK;
  }
  const int why = errno;
  if (*out >= 0) {
    close(*out);
    *out = -1;
  }
  return complain(cli, EXIT_NETWORK, "cannot listen at %s: %s", path, strerrordesc_np(why));
}
