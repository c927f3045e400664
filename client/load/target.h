// Whom to load: a name and a port, resolved once, or a Unix socket.
#ifndef TLSAGENT_CLIENT_LOAD_TARGET_H_
#define TLSAGENT_CLIENT_LOAD_TARGET_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TARGET_ADDRESSES_MAX = 16, TARGET_HOST_SIZE = 256, TARGET_PORT_SIZE = 32 };

struct target_address {
  struct sockaddr_storage storage;
  socklen_t len;
};

struct target {
  const char *text;             // as it was given
  char host[TARGET_HOST_SIZE];  // "" for a Unix socket
  char port[TARGET_PORT_SIZE];  // a number from 1, or a service's name
  bool is_address;              // the host is a literal address
  bool is_loopback;             // in 127.0.0.0/8: the source address can be chosen there
  struct target_address addresses[TARGET_ADDRESSES_MAX];  // in the resolver's order of preference
  size_t num_addresses;
};

// target_parse takes "HOST:PORT", "[V6]:PORT" or "unix:PATH" apart. False with a sentence of at
// most size bytes in why.
bool target_parse(const char *text, struct target *out, char *why, size_t size);
// target_resolve finds the addresses of one that was taken apart; may take as long as the resolver
// does. False with a sentence, as above.
bool target_resolve(struct target *target, char *why, size_t size);

// target_socket opens the socket of connection number n to one of the addresses, bound to a source
// address of its own where one has too few ports for all. 0, or an errno.
int target_socket(const struct target *target, size_t address, uint64_t n, int *out_fd);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_TARGET_H_
