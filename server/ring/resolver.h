// Looking names up, on threads that may wait for it. For this folder only; dial.h has resolver_new.
#ifndef TLSAGENT_SERVER_RING_RESOLVER_H_
#define TLSAGENT_SERVER_RING_RESOLVER_H_

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/base/list.h"
#include "server/base/status.h"
#include "server/ring/dial.h"
#include "server/ring/worker.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { LOOKUP_HOST_MAX = 255 };

// One lookup. The caller fills in worker and answered.run, and keeps the struct until that message
// has come.
struct lookup {
  struct list link;  // in the resolver's queue
  char host[LOOKUP_HOST_MAX + 1];
  char port[6];
  struct worker *worker;
  struct message answered;     // posted to the worker once what follows is filled in
  struct addrinfo *addresses;  // freeaddrinfo(3); NULL on failure
  int gai_error;
  int os_errno;  // when gai_error is EAI_SYSTEM
};

// lookup_init fills in what to look up. INVALID_ARGUMENT for a host that can't be a name.
status_t lookup_init(struct lookup *lookup, const char *host, uint16_t port);

// lookup_numeric answers at once, without a message, if the host is an address and not a name.
bool lookup_numeric(struct lookup *lookup);

// resolver_queue hands the lookup to the resolver's threads. RESOURCE_EXHAUSTED when too many wait.
status_t resolver_queue(struct resolver *resolver, struct lookup *lookup);

// resolver_withdraw takes a lookup back that no thread has begun. False: its message will come.
bool resolver_withdraw(struct resolver *resolver, struct lookup *lookup);

uint64_t resolver_connect_timeout(const struct resolver *resolver);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RING_RESOLVER_H_
