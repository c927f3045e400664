#include "client/load/target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/load/units.h"

enum {
  LOOPBACK_SOURCES = 200,  // 127.0.0.1 and the addresses after it
  LOOPBACK_NET = 127,
  LOOPBACK_FIRST = 0x7f000001,
  PORT_MAX = 65535
};

static bool fail(char *why, size_t size, const char *what, const char *text) {
  snprintf(why, size, "%s: %s", text, what);
  return false;
}

// ---------------------------------------------------------------------------------------------
// Reading what was given

static bool parse_unix(const char *path, struct target *out) {
  struct sockaddr_un *address = (struct sockaddr_un *)&out->addresses[0].storage;
  size_t len = strlen(path);
  if (len == 0 || len >= sizeof(address->sun_path)) {
    return false;
  }
  address->sun_family = AF_UNIX;
  memcpy(address->sun_path, path, len + 1);
  out->addresses[0].len = sizeof(*address);
  out->num_addresses = 1;
  return true;
}

// "host:port" or "[v6]:port", into out->host and out->port.
static bool split(const char *text, struct target *out) {
  bool bracketed = text[0] == '[';
  const char *colon = strrchr(text, ':');
  const char *start = bracketed ? text + 1 : text;
  if (colon == NULL || (!bracketed && memchr(text, ':', (size_t)(colon - text)) != NULL)) {
    return false;
  }
  const char *end = bracketed ? colon - 1 : colon;
  if (end <= start || (bracketed && *end != ']')) {
    return false;
  }
  size_t len = (size_t)(end - start);
  size_t port_len = strlen(colon + 1);
  if (len >= sizeof(out->host) || port_len == 0 || port_len >= sizeof(out->port)) {
    return false;
  }
  memcpy(out->host, start, len);
  out->host[len] = '\0';
  memcpy(out->port, colon + 1, port_len + 1);
  return true;
}

// The resolver would take the last 16 bits of any number.
static bool is_port(const char *port) {
  bool is_number = port[strspn(port, "+- 0123456789")] == '\0';
  uint64_t number = 0;
  return !is_number || units_count(port, 1, PORT_MAX, &number);
}

bool target_parse(const char *text, struct target *out, char *why, size_t size) {
  *out = (struct target){.text = text};
  if (strncmp(text, "unix:", 5) == 0) {
    return parse_unix(text + 5, out) ||
           fail(why, size, "no path that a Unix socket can have", text);
  }
  if (!split(text, out)) {
    return fail(why, size, "a target is HOST:PORT, [V6]:PORT or unix:PATH", text);
  }
  return is_port(out->port) || fail(why, size, "a port is a number from 1 to 65535", text);
}

// ---------------------------------------------------------------------------------------------
// Resolving

static void take_addresses(struct target *out, const struct addrinfo *found) {
  for (; found != NULL && out->num_addresses < TARGET_ADDRESSES_MAX; found = found->ai_next) {
    struct target_address *address = &out->addresses[out->num_addresses];
    if (found->ai_addrlen <= sizeof(address->storage)) {
      memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
      address->len = found->ai_addrlen;
      out->num_addresses++;
    }
  }
}

static bool all_loopback(const struct target *target) {
  for (size_t i = 0; i < target->num_addresses; i++) {
    const struct sockaddr_in *address = (const struct sockaddr_in *)&target->addresses[i].storage;
    if (address->sin_family != AF_INET || ntohl(address->sin_addr.s_addr) >> 24 != LOOPBACK_NET) {
      return false;
    }
  }
  return true;
}

static bool resolve(struct target *out, char *why, size_t size) {
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  struct addrinfo *found = NULL;
  uint8_t literal[sizeof(struct in6_addr)];
  int error = getaddrinfo(out->host, out->port, &hints, &found);
  if (error != 0) {
    return fail(why, size, gai_strerror(error), out->text);
  }
  take_addresses(out, found);
  freeaddrinfo(found);
  out->is_address =
      inet_pton(AF_INET, out->host, literal) == 1 || inet_pton(AF_INET6, out->host, literal) == 1;
  out->is_loopback = all_loopback(out);
  return true;
}

bool target_resolve(struct target *target, char *why, size_t size) {
  bool is_unix = target->host[0] == '\0';
  return is_unix || resolve(target, why, size);
}

// ---------------------------------------------------------------------------------------------
// Connections

// The kernel chooses the port at connect(2) only, when it knows both ends: a port then serves once
// for each pair of addresses.
static int bind_source(int fd, uint64_t n) {
  int on = 1;
  struct sockaddr_in source = {
      .sin_family = AF_INET,
      .sin_addr.s_addr = htonl(LOOPBACK_FIRST + (uint32_t)(n % LOOPBACK_SOURCES))};
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  return bind(fd, (const struct sockaddr *)&source, sizeof(source)) == 0 ? 0 : errno;
}

static int prepare(const struct target *target, uint64_t n, int fd) {
  int on = 1;
  if (target->host[0] != '\0') {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  return target->is_loopback ? bind_source(fd, n) : 0;
}

int target_socket(const struct target *target, size_t address, uint64_t n, int *out_fd) {
  int fd = socket(target->addresses[address].storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return errno;
  }
  int error = prepare(target, n, fd);
  if (error != 0) {
    close(fd);
    return error;
  }
  *out_fd = fd;
  return 0;
}
