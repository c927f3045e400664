// Who is at the other end of a Unix socket.
#ifndef TLSAGENT_SERVER_RPC_CREDENTIALS_H_
#define TLSAGENT_SERVER_RPC_CREDENTIALS_H_

#include "server/base/status.h"
#include "server/tenant/tenant.h"

#ifdef __cplusplus
extern "C" {
#endif

// credentials_read asks the kernel (SO_PEERCRED) who connected: a socket that was handed on still
// has the user id of whoever connected it. PERMISSION_DENIED when the kernel can't say.
status_t credentials_read(int fd, struct peer *out);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_CREDENTIALS_H_
