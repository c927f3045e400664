// TCP: connect, listen, and names for both; Unix sockets: listen.
#ifndef TLSAGENT_CLIENT_CLI_NET_H_
#define TLSAGENT_CLIENT_CLI_NET_H_

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "client/cli/cli.h"

// struct endpoint is "HOST:PORT" taken apart.
struct endpoint {
  char host[256];  // without the brackets of [::1]; empty: any
  char port[32];   // a number or a service's name
};

// parse_endpoint takes text apart; default_port may be NULL, when it has to be there.
bool parse_endpoint(struct endpoint *out, const char *text, const char *default_port);

// endpoint_port returns the port as a number, 0 when it has none.
uint32_t endpoint_port(const struct endpoint *endpoint);

// is_address says whether host is a numeric address and not a name.
bool is_address(const char *host);

// tcp_connect connects and stores the socket in *out. It tries each address of the host in turn,
// and complains about the last.
int tcp_connect(const struct cli *cli, const struct endpoint *endpoint, int *out);

// tcp_listen listens and stores the socket in *out. It is O_NONBLOCK: a connection that poll(2) has
// seen may be gone when it is accepted.
int tcp_listen(const struct cli *cli, const struct endpoint *endpoint, int *out);

// unix_listen listens at a path, which is only for this user, and stores the socket in *out. A
// socket that nobody listens at any more is replaced.
int unix_listen(const struct cli *cli, const char *path, int *out);

// format_address writes "127.0.0.1:443" or "[::1]:443".
void format_address(char *out, size_t size, const struct sockaddr_storage *address);

#endif  // TLSAGENT_CLIENT_CLI_NET_H_
