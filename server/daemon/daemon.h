// The daemon: starts its parts in order, waits for the signal, stops them in the opposite order.
#ifndef TLSAGENT_SERVER_DAEMON_DAEMON_H_
#define TLSAGENT_SERVER_DAEMON_DAEMON_H_

#include "server/daemon/options.h"

#ifdef __cplusplus
extern "C" {
#endif

// daemon_run serves until it is told to end. Returns the exit status; why it could not start has
// been logged in one line.
int daemon_run(const struct options *options);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_DAEMON_DAEMON_H_
