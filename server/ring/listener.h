// A listener: accepts on a listening socket, on one loop. Several loops may share a socket, and do
// in turn: each asks for one connection at a time, since a multishot accept gives all of them to
// the loop that has waited longest.
#ifndef TLSAGENT_SERVER_RING_LISTENER_H_
#define TLSAGENT_SERVER_RING_LISTENER_H_

#include <stdbool.h>

#include "server/base/status.h"
#include "server/ring/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

struct listener;

struct listener_events {
  // A connection was accepted; fd is the owner's, close-on-exec, blocking.
  void (*on_accept)(void *owner, int fd);
  // Nothing is in flight any more; the listener is freed after this call.
  void (*on_closed)(void *owner);
};

// listener_new starts accepting on fd, which stays the caller's and must outlive the listener. Out
// of descriptors (EMFILE, ENFILE) or memory the listener tries again after a moment, with one log
// line.
status_t listener_new(struct loop *loop, int fd, const struct listener_events *events, void *owner,
                      struct listener **out);
// listener_pause stops accepting, or goes on; one connection more may still come. Connections wait
// in the socket's queue meanwhile.
void listener_pause(struct listener *listener, bool paused);
// listener_close stops accepting; connections not yet accepted stay in the socket's queue.
void listener_close(struct listener *listener);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RING_LISTENER_H_
