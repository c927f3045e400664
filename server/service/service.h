// What each method means. rpc is handed the table; the handlers read requests, ask tenant, tls and
// session, and build answers.
#ifndef TLSAGENT_SERVER_SERVICE_SERVICE_H_
#define TLSAGENT_SERVER_SERVICE_SERVICE_H_

#include <stdbool.h>
#include <stddef.h>

#include "server/base/clock.h"
#include "server/base/limits.h"
#include "server/ring/dial.h"
#include "server/ring/worker.h"
#include "server/rpc/call.h"
#include "server/tenant/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TLSAGENT_VERSION "0.1.0"

// What the handlers stand on. Everything must outlive the RPC server.
struct service_config {
  const struct limits *limits;
  const struct policy *policy;
  struct worker_pool *workers;
  struct resolver *resolver;
  bool kernel_has_tls;
  bool kernel_tls;  // --kernel-tls: connections may be handed to it
};

// service_start tells the handlers what they stand on, once, before the RPC server starts.
void service_start(const struct service_config *config);

// service_drain has relays' listeners accept no more, and end with their last connection.
// service_await_relays returns when they have, or the time has come, with how many listeners are
// left. Both not on a worker's thread.
void service_drain(void);
size_t service_await_relays(clock_time until);

// service_methods is the table of methods, one row each.
const struct method *service_methods(size_t *out_num);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SERVICE_SERVICE_H_
