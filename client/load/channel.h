// The TLS of one connection, done by a session of the own worker or by a daemon (via.h).
//
// Operations are the session's own (server/session/session.h): a handshake or a read one way, a
// write or a shutdown the other, each submitted at most once at a time.
#ifndef TLSAGENT_CLIENT_LOAD_CHANNEL_H_
#define TLSAGENT_CLIENT_LOAD_CHANNEL_H_

#include <stdbool.h>

#include "client/load/result.h"
#include "server/session/session.h"

#ifdef __cplusplus
extern "C" {
#endif

struct via_link;
struct via_call;
struct channel;
struct channel_config;

// Whose sessions these are; each function is that of its name below.
struct channel_kind {
  bool (*open)(struct channel *channel, const struct channel_config *config,
               struct tls_error *error);
  void (*submit)(struct channel *channel, struct session_op *op);
  void (*cancel)(struct channel *channel, struct session_op *op);
  void (*close)(struct channel *channel);
  bool (*resumed)(struct channel *channel);
  void (*agreed)(struct channel *channel, struct agreed *out);
  struct slice (*resumption)(struct channel *channel, struct arena *arena);
};

extern const struct channel_kind CHANNEL_OWN;
extern const struct channel_kind CHANNEL_VIA;

struct channel {
  const struct channel_kind *kind;
  void (*closed)(struct channel *channel);
  // CHANNEL_OWN
  struct session *session;  // NULL: none is open
  struct session_closed waiter;
  // CHANNEL_VIA
  struct via_link *link;
  uint64_t handle;           // 0: none yet
  uint32_t connecting;       // the call that makes it, while it is in flight
  struct via_call *in_call;  // of the operation that was submitted that way
  struct via_call *out_call;
  unsigned num_calls;  // in flight, those included whose operation was taken back
  bool closing;
  int fd;  // until the daemon has been asked
  const char *server_name;
  struct agreed facts;
  bool was_resumed;
};

struct channel_config {
  struct tls_context *context;
  int fd;                   // connected; taken over in any case
  const char *server_name;  // NULL: none
  struct slice resumption;  // of channel_resumption, or empty
  bool insecure;            // don't look at the server's certificate
  struct via_link *link;    // NULL: the own worker does it
};

// channel_open makes a channel on the calling worker. False with error.
bool channel_open(struct channel *channel, const struct channel_config *config,
                  struct tls_error *error);
// channel_submit hands an operation over; done may be called before this returns.
void channel_submit(struct channel *channel, struct session_op *op);
// channel_cancel takes a submitted operation back: its done isn't called.
void channel_cancel(struct channel *channel, struct session_op *op);
// channel_close closes the connection. With nothing submitted; closed is called when the descriptor
// is gone, maybe before this returns, and the channel may be opened anew then.
void channel_close(struct channel *channel, void (*closed)(struct channel *channel));

// What a finished handshake came to.
bool channel_resumed(struct channel *channel);
void channel_agreed(struct channel *channel, struct agreed *out);
// channel_resumption gives what a later channel can resume with, in the arena; empty while the
// server has given nothing.
struct slice channel_resumption(struct channel *channel, struct arena *arena);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_CHANNEL_H_
