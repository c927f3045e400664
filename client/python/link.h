// The caller's socket, as an operation sees it: its descriptor, its timeout, and when that runs
// out. All functions but link_of() are called without the GIL.
#ifndef TLSAGENT_CLIENT_PYTHON_LINK_H_
#define TLSAGENT_CLIENT_PYTHON_LINK_H_

#include <stddef.h>
#include <stdint.h>

#include "client/python/buffer.h"

#ifdef __cplusplus
extern "C" {
#endif

enum link_result {
  LINK_OK,
  LINK_END,          // the peer ended its direction
  LINK_WOULD_BLOCK,  // and the socket doesn't block
  LINK_TIMED_OUT,    // the deadline of the operation has passed
  LINK_ALARMED,      // something happened to what link.watched watches
  LINK_INTERRUPTED,  // by a signal: run Python's handlers and go on
  LINK_FAILED        // link.os_errno says why
};

struct link {
  int fd;
  int watched;           // a descriptor whose end matters while the socket is waited for; -1: none
  bool blocks;           // the socket has no timeout
  bool never_waits;      // its timeout is 0
  uint64_t deadline_ns;  // of the clock CLOCK_MONOTONIC, with a timeout above 0
  int os_errno;
};

// link_deadline returns when that many seconds, 0 or more, will have passed: nanoseconds of
// CLOCK_MONOTONIC.
uint64_t link_deadline(double seconds);

// link_wait waits until the socket can be read, or written.
enum link_result link_wait(struct link *link, bool writing);

// link_receive receives up to size bytes at the end of `into`, at least one.
enum link_result link_receive(struct link *link, struct buffer *into, size_t size);

// link_receive_now does so only with what is there; LINK_WOULD_BLOCK when nothing is.
enum link_result link_receive_now(struct link *link, struct buffer *into, size_t size);

// link_peek looks at up to size bytes that the socket has, at least one, and leaves them there.
enum link_result link_peek(struct link *link, void *out, size_t size, size_t *out_len);

// link_skip takes len bytes away that link_peek() has shown.
void link_skip(struct link *link, size_t len);

// link_send sends all of `from`, taking away what was sent.
enum link_result link_send(struct link *link, struct buffer *from);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_PYTHON_LINK_H_
