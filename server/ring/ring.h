// The ring itself: making it, submitting, waiting, reaping. For this folder only.
#ifndef TLSAGENT_SERVER_RING_RING_H_
#define TLSAGENT_SERVER_RING_RING_H_

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/base/clock.h"

#ifdef __cplusplus
extern "C" {
#endif

// ring_open makes a ring of the calling thread's and checks that the kernel can do all we need.
// False with a line about the reason, and what would mend it, in *out_why (static storage).
bool ring_open(struct io_uring *ring, unsigned entries, const char **out_why);
void ring_close(struct io_uring *ring);

// ring_why says what to do about os_errno of io_uring_setup, _register or _enter (static
// storage).
const char *ring_why(int os_errno);

// ring_enter hands the kernel what is queued, lets it finish what it has, and waits for a
// completion for at most nanos (0: does not wait). Returns 0 or an errno; what was not taken stays
// queued. Running out of time is no error.
int ring_enter(struct io_uring *ring, uint64_t nanos);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RING_RING_H_
