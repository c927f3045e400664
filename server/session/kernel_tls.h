// The kernel's TLS (Documentation/networking/tls.rst): the keys of a connection's records go to the
// kernel with its socket. From then on whoever has the socket reads and writes plaintext, and, on
// Linux, may ask for the keys again (getsockopt(2) of TLS_TX and TLS_RX).
#ifndef TLSAGENT_SERVER_SESSION_KERNEL_TLS_H_
#define TLSAGENT_SERVER_SESSION_KERNEL_TLS_H_

#include <stdbool.h>

#include "server/tls/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

// kernel_tls_fits tells whether a descriptor is of the kind of socket that takes it: TCP.
bool kernel_tls_fits(int fd);

enum kernel_tls_result {
  KERNEL_TLS_SET,
  KERNEL_TLS_NOT_SET,  // the socket carries records as before
  KERNEL_TLS_HALF_SET  // one direction only: the socket is of no more use to anybody
};

// kernel_tls_set gives the kernel the keys of both directions. *out_errno is why not.
enum kernel_tls_result kernel_tls_set(int fd, const struct engine_traffic_keys *keys,
                                      int *out_errno);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SESSION_KERNEL_TLS_H_
