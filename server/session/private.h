// The inside of a session, shared by the files of this folder and by nobody else.
#ifndef TLSAGENT_SERVER_SESSION_PRIVATE_H_
#define TLSAGENT_SERVER_SESSION_PRIVATE_H_

#include <stdatomic.h>

#include "server/base/bytes.h"
#include "server/ring/stream.h"
#include "server/session/desk.h"
#include "server/session/session.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SESSION_MAGIC 0x5e551017u

enum {
  // Ciphertext received and not yet taken by the engine. The stream is asked for more only when the
  // engine wants some, so a buffer of the pool and what one record can lack is the most there is.
  INBOX_MAX = 256 * 1024
};

enum transport_state {
  TRANSPORT_NONE,     // memory path
  TRANSPORT_DIALING,  // no descriptor yet
  TRANSPORT_OPEN,
  TRANSPORT_CLOSING,  // waiting for the ring to let go of the descriptor
  TRANSPORT_CLOSED
};

struct relay;     // in relay.c
struct question;  // in desk.c

struct session {
  uint32_t magic;
  _Atomic unsigned references;
  struct worker *worker;
  struct engine *engine;
  uid_t uid;
  enum session_path path;
  size_t max_output;  // ceiling of the stream's queue

  // Operations, first come first served.
  struct list in_lane;   // HANDSHAKE, READ
  struct list out_lane;  // the others
  struct list flushing;  // answered once the kernel has taken their output
  struct task advance;   // a turn's work, run after established sessions' while shaking hands

  // The transport of the socket path.
  enum transport_state transport;
  struct stream *stream;  // non-NULL exactly when OPEN or CLOSING
  struct dial *dial;      // non-NULL exactly when DIALING
  struct bytes inbox;
  bool ended;     // the peer ended its direction, or receiving failed
  int in_errno;   // why receiving failed, else 0
  int out_errno;  // why sending failed, else 0

  // How it stands.
  bool closed;  // session_close was called
  bool failed;
  struct tls_error *error;  // why it failed, NULL without memory to say it
  enum engine_result late;  // result of a read that had given plaintext already, for the next one
  uint64_t bytes_read;
  uint64_t bytes_written;
  struct list waiters;            // struct session_closed
  struct session_holder *holder;  // NULL unless it is held
  struct relay *relay;            // NULL unless it is one, or was
  struct list end_waiters;        // struct session_ended

  // Decisions that others make.
  struct desk_place place;
  struct question *question;  // NULL unless somebody was asked, and has not answered

  // Messages from other threads.
  _Atomic bool end_asked;
  struct message end_message;
  struct message free_message;
};

// session_step runs one operation on the engine as far as it gets; the input is set. In step.c.
enum engine_result session_step(struct session *session, struct session_op *op);

// session_is_idle tells whether the session is an established one of the socket path that nobody
// uses: no operation, no relay, no holder.
bool session_is_idle(const struct session *session);

// session_fail records the first error of a session.
void session_fail(struct session *session, const struct tls_error *error);

// session_ask asks a clerk about the decision that the handshake waits for. True: he was asked, and
// the session is scheduled when there is news. session_withdraw takes the question back. In desk.c.
bool session_ask(struct session *session);
void session_withdraw(struct session *session);

// The transport, in transport.c. transport_open starts the stream or the dial.
status_t transport_open(struct session *session, const struct session_config *config);
// transport_flush moves the engine's output to the stream; false when some had no room. What can't
// be sent any more is dropped.
bool transport_flush(struct session *session);
void transport_close(struct session *session);
bool transport_ready(const struct session *session);
size_t transport_unsent(const struct session *session);

// transport_flags_for is how a stream of such a descriptor is to be; transport_refuse_fds closes
// what came beside bytes, in somebody's name, and tells whether so much of his waits to be closed
// that nothing more may come.
int transport_flags_for(int fd);
bool transport_refuse_fds(uid_t uid, const int *fds, size_t num_fds);

// What a relay does with the peer's bytes, with anything else that has happened on the transport,
// and when the session is closed. In relay.c.
void relay_take(struct session *session, struct slice data);
void relay_advance(struct session *session);
void relay_close(struct session *session);
void relay_transport_closed(struct session *session);
void relay_free(struct relay *relay);
// relay_may_begin tells whether the session may become a relay, or be handed over.
bool relay_may_begin(const struct session *session);
// relay_new_handed_over makes what stands for a relay that has ended since the kernel goes on with
// its records; for session->relay, or relay_free. NULL without memory.
struct relay *relay_new_handed_over(struct session *session);

// session_advance answers what can be answered and asks the transport for what is wanted. In
// lanes.c.
void session_advance(struct session *session);
// session_fail_ops answers every queued operation with ENGINE_FAILED.
void session_fail_ops(struct session *session);
void session_schedule(struct session *session);

// session_transport_closed tells that the descriptor is gone. In session.c.
void session_transport_closed(struct session *session);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SESSION_PRIVATE_H_
