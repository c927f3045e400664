// The PROXY protocol, version 2: what a front tells its target of a connection before all else.
// https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
#ifndef TLSAGENT_SERVER_FRONT_PROXY_H_
#define TLSAGENT_SERVER_FRONT_PROXY_H_

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "server/tls/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { PROXY_HEADER_MAX = 2048 };

// Who connected to whom, as the kernel tells it; AF_UNSPEC when it doesn't.
struct proxy_addresses {
  struct sockaddr_storage source;
  struct sockaddr_storage destination;
};

// proxy_look_at asks the kernel about an accepted socket.
void proxy_look_at(int fd, struct proxy_addresses *out);

// proxy_header writes the header of a connection whose TLS the engine has established, and returns
// its length: addresses of TCP over IPv4 or IPv6 (of others it says only that there is a
// connection), PP2_TYPE_ALPN, PP2_TYPE_AUTHORITY, and PP2_TYPE_SSL with version, cipher, and the
// common name of the client's certificate. A part that doesn't fit is left out.
size_t proxy_header(const struct proxy_addresses *addresses, struct engine *engine,
                    uint8_t out[PROXY_HEADER_MAX]);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_FRONT_PROXY_H_
