// TCP addresses to listen at: "tcp:HOST:PORT", HOST an address, "localhost" or "*", an IPv6 address
// in brackets.
#ifndef TLSAGENT_SERVER_DAEMON_TCP_H_
#define TLSAGENT_SERVER_DAEMON_TCP_H_

#include <stdbool.h>

#include "server/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

// tcp_address_valid tells whether text is one, and not for somebody else to resolve.
bool tcp_address_valid(const char *text);

// tcp_is_loopback tells whether only this machine can reach it.
bool tcp_is_loopback(const char *text);

// tcp_listen gives a listening socket, close-on-exec. What it accepts ends two minutes after its
// peer has last taken something of what is sent to it. UNAVAILABLE: the reason has been logged.
status_t tcp_listen(const char *text, int *out);

// tcp_port tells the port of such a socket: with port 0 the kernel has chosen one.
unsigned tcp_port(int fd);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_DAEMON_TCP_H_
