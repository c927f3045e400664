// A visit: a call on a session that doesn't queue. It runs on the session's worker, between
// operations.
#ifndef TLSAGENT_SERVER_SERVICE_VISIT_H_
#define TLSAGENT_SERVER_SERVICE_VISIT_H_

#include "server/service/private.h"

#ifdef __cplusplus
extern "C" {
#endif

// What a visit needs to know; in the call's arena.
struct visit {
  struct session *session;  // a reference
  bool decode;
  void (*respond)(struct call *call, struct visit *visit);
  struct session_closed closed;
  struct call *call;
};

// start_visit has respond answer the call on the worker of the session of that handle, or fails it.
void start_visit(struct call *call, uint64_t handle, bool decode,
                 void (*respond)(struct call *call, struct visit *visit));

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SERVICE_VISIT_H_
