// One connection of a worker, from its socket to its close, again and again.
//
// A connection works for its shard (shard.h), which tells it when to begin and is told how it went,
// and speaks as its workload (workload.h) wants it.
#ifndef TLSAGENT_CLIENT_LOAD_CONN_H_
#define TLSAGENT_CLIENT_LOAD_CONN_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/load/channel.h"
#include "client/load/http.h"
#include "client/load/phase.h"
#include "server/base/clock.h"
#include "server/ring/op.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shard;

enum conn_state {
  CONN_OFF,         // nothing is open
  CONN_CONNECTING,  // connect is the kernel's, or its cancellation is
  CONN_SHAKING,
  CONN_WAITING_FOR_TICKET,  // established, and waits for something to resume later
  CONN_READY,               // established, with no operation
  CONN_WORKING,             // established, in an operation
  CONN_SHUTTING,            // close_notify is on its way
  CONN_CLOSING              // the descriptor is
};

struct conn {
  struct shard *shard;
  struct list link;  // in the shard's list of those that can begin an operation
  enum conn_state state;
  uint64_t number;    // of the connection, counted over the run
  unsigned attempts;  // addresses tried for this connection
  unsigned failures;  // in a row
  bool waits;         // off, until its timer fires

  int fd;  // before the channel has it; else -1
  struct ring_op connect;
  struct op_stopper stopper;
  struct channel channel;
  struct session_op in;   // handshake and reads
  struct session_op out;  // writes and shutdown
  bool in_busy;
  bool out_busy;
  bool offered;  // a session to resume was
  bool counts;   // it was begun while measuring

  struct timer timer;
  struct task read;     // begins the next one
  clock_time deadline;  // CLOCK_NEVER: none

  // The operation under way, or to be begun when the connection is established.
  bool has_operation;
  clock_time intended;
  clock_time began;
  clock_time phase_began;
  clock_time first_byte;  // 0: not yet
  uint64_t sent;          // bytes of this operation
  uint64_t received;
  struct http_response response;
};

void conn_init(struct conn *conn, struct shard *shard);

// conn_open begins to connect; the connection must be off. What comes of it the shard is told.
void conn_open(struct conn *conn);
// conn_begin has a connection do an operation that was meant for that time: at once when it is
// ready, when it is off on a new connection.
void conn_begin(struct conn *conn, clock_time intended);
// conn_end closes a connection that is established in good order, any other one at once.
void conn_end(struct conn *conn);
// conn_again has the shard asked for work again at that time; the connection must be off.
void conn_again(struct conn *conn, clock_time when);

// ---------------------------------------------------------------------------------------------
// For the workload. None of these may be followed by another use of the connection in the same
// call, but conn_read and conn_write by each other, since the operation may end in them.

// conn_read asks for what comes, once: workload.on_read or on_end is told.
void conn_read(struct conn *conn);
// conn_write writes data, which must live until workload.on_written.
void conn_write(struct conn *conn, struct slice data);
// conn_note_byte notes that the answer has begun, if it hasn't before.
void conn_note_byte(struct conn *conn);
// conn_note_transferred notes that all of it is there.
void conn_note_transferred(struct conn *conn);
// conn_done ends the operation well. Where operations are connections the connection is then to be
// held or closed, else it goes on to the next.
void conn_done(struct conn *conn);
// conn_done_and_close ends it well on a connection that takes no further one.
void conn_done_and_close(struct conn *conn);
// conn_fail ends the operation and the connection.
void conn_fail(struct conn *conn, enum phase phase, const char *kind, const char *reason);
// conn_hold keeps a connection whose operation is done; on_read and on_end are still told.
void conn_hold(struct conn *conn);
// conn_close ends the connection in good order; its operation is done.
void conn_close(struct conn *conn);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_CONN_H_
