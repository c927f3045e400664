// A relay: a session whose plaintext is a descriptor. From its beginning on the session takes no
// operations; what the peer sends comes out of the descriptor, and what is written to it goes to
// the peer, until both directions have ended.
//
//   the peer ...                          the plaintext side sees
//     sends close_notify                    the end (FIN); it may still write
//     ends without close_notify             a reset, where it is TCP; else the end
//     resets                                the same
//   the plaintext side ...                the peer sees
//     ends its direction                    close_notify; it may still write
//     resets                                a reset
//     is gone and doesn't read              a reset, once there is something for it
//
// Nothing is read from one side while the other has not taken what came before: some 100 KiB wait
// each way, and 1 MiB of the few streams of a worker that carry much (LOOP_BULK_STREAMS).
#ifndef TLSAGENT_SERVER_SESSION_RELAY_H_
#define TLSAGENT_SERVER_SESSION_RELAY_H_

#include <stdint.h>

#include "server/base/slice.h"
#include "server/session/session.h"

#ifdef __cplusplus
extern "C" {
#endif

struct relay_config {
  int fd;                 // the plaintext side: a connected stream socket, taken over
  uid_t uid;              // who waits for its close (server/ring/closer.h)
  struct slice greeting;  // what the plaintext side is to hear before all else; copied
  uint64_t idle_nanos;    // the relay ends after so long without a byte either way; 0: never
  uint64_t total_nanos;   // and after so long in any case; 0: never
};

// session_relay begins to relay, on the session's own worker. FAILED_PRECONDITION: the session is
// on the memory path, its handshake isn't done, it has failed or ended, is a relay, or has
// operations in flight; INVALID_ARGUMENT: the greeting is too long; RESOURCE_EXHAUSTED. The fd is
// taken over in any case.
status_t session_relay(struct session *session, const struct relay_config *config);

// session_is_relay tells whether it is one, or was.
bool session_is_relay(const struct session *session);

// How a relay ended.
struct relay_end {
  // ENGINE_CLOSED after close_notify both ways, ENGINE_DONE if the connection goes on without the
  // daemon (handover.h), else ENGINE_FAILED.
  enum engine_result result;
  const struct tls_error *error;  // why it failed; of the session
  uint64_t bytes_read;            // plaintext from the peer
  uint64_t bytes_written;         // plaintext to the peer
  uint64_t nanos;                 // how long it ran
};

// session_relay_end tells how it ended. False: it hasn't yet, or the session is no relay.
bool session_relay_end(const struct session *session, struct relay_end *out);

// session_await_end has ended called once the relay has ended and its descriptors are gone, maybe
// before this returns. The waiter is the caller's until then, or until session_forget_end.
struct session_ended {
  struct list link;
  void (*ended)(struct session_ended *waiter);
};
void session_await_end(struct session *session, struct session_ended *waiter);
void session_forget_end(struct session_ended *waiter);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SESSION_RELAY_H_
