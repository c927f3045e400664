// Dialling: a host name and a port in, a connected socket out. Names are resolved by getaddrinfo(3)
// on a thread of their own, never on a loop's; connects run on the ring, one address after another.
#ifndef TLSAGENT_SERVER_RING_DIAL_H_
#define TLSAGENT_SERVER_RING_DIAL_H_

#include <stdint.h>

#include "server/base/status.h"
#include "server/ring/worker.h"

#ifdef __cplusplus
extern "C" {
#endif

struct dial;
struct resolver;

// resolver_new starts the resolver's threads; at most max_queued names wait at a time.
status_t resolver_new(unsigned num_threads, unsigned max_queued, struct resolver **out);
// resolver_free waits for lookups under way; every dial must be over or cancelled. To be called
// before worker_pool_free: a cancelled dial whose lookup was under way is reaped on its worker.
void resolver_free(struct resolver *resolver);

// resolver_set_connect_timeout gives each address so long to answer; 10 s unless set. Before the
// first dial only.
void resolver_set_connect_timeout(struct resolver *resolver, uint64_t nanos);

struct dial_result {
  int fd;         // connected, blocking, close-on-exec, TCP_NODELAY; the owner's; -1 on failure
  int gai_error;  // the EAI_* of a name that did not resolve, else 0 (gai_strerror(3))
  int os_errno;   // the errno of the last address tried, else 0
};

// dial_start resolves and connects on the calling worker. done is called once from its loop, after
// which the dial is gone; never from inside dial_start. Each of the name's first 16 addresses is
// given 10 s. RESOURCE_EXHAUSTED when the resolver's queue is full; INVALID_ARGUMENT for an empty
// host or one of more than 255 bytes.
status_t dial_start(struct resolver *resolver, const char *host, uint16_t port,
                    void (*done)(void *owner, const struct dial_result *result), void *owner,
                    struct dial **out);
// dial_unix_start connects to the Unix stream socket of that path in the same way, without a
// lookup. INVALID_ARGUMENT for a path that doesn't fit one.
status_t dial_unix_start(struct resolver *resolver, const char *path,
                         void (*done)(void *owner, const struct dial_result *result), void *owner,
                         struct dial **out);
// dial_cancel gives up: done is not called. What is under way is reaped in the background.
void dial_cancel(struct dial *dial);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RING_DIAL_H_
