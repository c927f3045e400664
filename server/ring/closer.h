// The closer: closes descriptors that came from somebody else, on threads that may wait for it.
//
// A socket with SO_LINGER, or with such a socket queued in it, takes its peer's time to close,
// which may be hours. So each owner has a line of its own, of which one is closed at a time:
// whoever makes a close hang waits for it himself. One closer for the process; all functions are
// for any thread and wait for nothing.
#ifndef TLSAGENT_SERVER_RING_CLOSER_H_
#define TLSAGENT_SERVER_RING_CLOSER_H_

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  CLOSER_THREADS_MAX = 64,  // so many owners' closes may hang before those of further ones wait
  CLOSER_IDLE_MAX = 4,      // threads that are kept with nothing to do
  // What one owner may have waiting: at all, as when all of his sessions end together, and while a
  // close has hung for a moment. Past that he gets nothing more that would have to be closed.
  CLOSER_PENDING_MAX = 4096,
  CLOSER_HANGING_MAX = 256
};

// What no user id is: descriptors of the daemon's own.
#define CLOSER_DAEMON ((uid_t)-1)

// Whose descriptors are no stranger's: nobody else holds them and nothing lingers, so that their
// closes can't hang. They are closed at once, without a thread to go to.
#define CLOSER_NOBODY ((uid_t)-2)

// closer_close takes the descriptor over and closes it soon.
void closer_close(uid_t owner, int fd);

// closer_pending returns how many of an owner's are not closed yet.
size_t closer_pending(uid_t owner);
// closer_behind tells whether these are too many (CLOSER_PENDING_MAX, CLOSER_HANGING_MAX).
bool closer_behind(uid_t owner);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RING_CLOSER_H_
