// A session: one TLS connection as an actor. It lives on one worker, which makes all its OpenSSL
// calls; operations are handed to it there and each is answered once, by its done.
//
// On the memory path an operation runs once, on the input it carries. On the socket path operations
// queue per direction (handshake and read one way, the others the other), and the session
// moves ciphertext between its engine and its stream until each can be answered. An operation that
// made output is answered when the kernel has taken that output, so that closing loses nothing.
#ifndef TLSAGENT_SERVER_SESSION_SESSION_H_
#define TLSAGENT_SERVER_SESSION_SESSION_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "server/base/list.h"
#include "server/base/slice.h"
#include "server/base/status.h"
#include "server/ring/dial.h"
#include "server/ring/worker.h"
#include "server/tls/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

struct session;

enum session_path { SESSION_MEMORY, SESSION_FD, SESSION_DIAL };

struct session_config {
  struct tls_context *context;
  struct engine_config engine;
  enum session_path path;
  int fd;            // SESSION_FD: a connected stream socket, taken over
  uid_t uid;         // whose session it is, and waits for its closes (server/ring/closer.h)
  const char *host;  // SESSION_DIAL
  uint16_t port;     // SESSION_DIAL
  struct resolver *resolver;
};

// session_new makes a session with one reference on the calling worker. INVALID_ARGUMENT with error
// when the engine refuses, or the host can't be one; RESOURCE_EXHAUSTED. The fd is taken over in
// any case.
status_t session_new(const struct session_config *config, struct session **out,
                     struct tls_error *error);

// session_ref and session_unref count references; any thread. The session is freed on its worker.
void session_ref(struct session *session);
void session_unref(struct session *session);

// session_end closes the session soon; any thread. What is queued is answered with CLOSED_HERE.
void session_end(struct session *session);

struct worker *session_worker(const struct session *session);

// ---------------------------------------------------------------------------------------------
// What follows is for the session's own worker.

enum session_op_kind {
  SESSION_HANDSHAKE,
  SESSION_READ,
  SESSION_WRITE,
  SESSION_SHUTDOWN,
  SESSION_REQUEST_CERTIFICATE,
  SESSION_UPDATE_KEYS
};

// One operation. It is the caller's, and stays so; it must live until done is called or
// session_cancel has returned.
struct session_op {
  // What is asked for.
  enum session_op_kind kind;
  struct slice input;  // memory path: ciphertext from the peer
  bool input_eof;      // memory path: and then the transport ended
  bool has_wait;       // socket path: give up with the want-state after wait_nanos
  uint64_t wait_nanos;
  uint8_t *buffer;     // READ: where plaintext goes
  size_t buffer_size;  // READ: at least 1
  size_t exact;        // READ, memory path: takes no more records than so many bytes need; 0: any
  struct slice data;   // WRITE: plaintext
  bool await_peer;     // SHUTDOWN: wait for the peer's close_notify too
  bool keep_trailing;  // SHUTDOWN: what came after the peer's close_notify is for a later one
  bool request_peer;   // UPDATE_KEYS: the peer is to change its keys too
  void (*done)(struct session_op *op);
  void *owner;  // for done

  // What came of it; valid in done. session_output holds the memory path's output then.
  enum engine_result result;
  struct tls_error error;  // why, when it failed
  size_t input_consumed;
  size_t transferred;     // READ: bytes given; WRITE: bytes taken
  uint64_t discarded;     // SHUTDOWN: plaintext thrown away
  struct slice trailing;  // SHUTDOWN, socket path: what came after the peer's close_notify

  // The session's own.
  struct list link;
  struct session *session;
  struct timer wait_timer;
  bool tried;    // the engine has seen it
  bool expired;  // its wait ran out before that
};

// session_submit hands an operation over. done is called once, maybe before this returns.
void session_submit(struct session *session, struct session_op *op);
// session_cancel takes a submitted operation back: done is not called.
void session_cancel(struct session_op *op);

// session_close ends operations with CLOSED_HERE and closes the transport. closed, if not NULL, is
// called when the descriptor has gone to the closer, maybe before this returns. Calling it again is
// harmless.
struct session_closed {
  struct list link;
  void (*closed)(struct session_closed *waiter);
};
void session_close(struct session *session, struct session_closed *waiter);

// A holder has the operations of a session to himself for a while: others are not to submit any,
// and ask session_is_held before they do. closed tells him that the session was closed, after the
// operations that he had in flight were answered; it is not held any more then.
struct session_holder {
  void (*closed)(struct session_holder *holder);
};
// session_hold begins it. FAILED_PRECONDITION: the session is on the memory path, its handshake
// isn't done, it has failed or was ended by this side, is a relay, is held, or has operations in
// flight.
status_t session_hold(struct session *session, struct session_holder *holder);
// session_let_go ends it. Harmless when it is not held.
void session_let_go(struct session *session);
bool session_is_held(const struct session *session);

struct engine *session_engine(struct session *session);
// session_has_more tells whether the next READ has something to say without input.
bool session_has_more(const struct session *session);
// session_error is why the session failed: the first of its failures that no operation mends.
const struct tls_error *session_error(const struct session *session);
// session_output is what must be sent to the peer, memory path, within done.
struct slice session_output(const struct session *session);
enum session_path session_get_path(const struct session *session);
// session_state is where the session as a whole stands, for Describe.
enum engine_result session_state(const struct session *session);
uint64_t session_bytes_read(const struct session *session);
uint64_t session_bytes_written(const struct session *session);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SESSION_SESSION_H_
