// Inside of server/rpc. Nobody else includes this.
//
// Who owns what: everything here belongs to its home, the worker of the connection, and is touched
// on its thread only. The exceptions are the ceilings (atomic), what a rpc_home reports (under
// server->lock), and the part of a call that travels with it to another worker and back.
//
//   server.c      starts and stops on every worker          connection.c  one peer's socket
//   codec.h       what a protocol is: ttrpc.c, grpc.c        output.c      answers on their way out
//   admit.c       from a request to a running handler        call.c        the handler's side of a
//   call; call_stream.c of a streaming one. token.c is spoken by who brings or fetches a
//   descriptor, which waits in deposit.c. frame, envelope, wire, text, dispatch, attachments,
//   ceiling, credentials, reason, spares: know none of this
#ifndef TLSAGENT_SERVER_RPC_RPC_PRIV_H_
#define TLSAGENT_SERVER_RPC_RPC_PRIV_H_

#include <pthread.h>
#include <stdarg.h>

#include "server/base/counters.h"
#include "server/base/list.h"
#include "server/base/object.h"
#include "server/ring/closer.h"
#include "server/ring/listener.h"
#include "server/ring/stream.h"
#include "server/rpc/attachments.h"
#include "server/rpc/ceiling.h"
#include "server/rpc/codec.h"
#include "server/rpc/deposit.h"
#include "server/rpc/dispatch.h"
#include "server/rpc/envelope.h"
#include "server/rpc/frame.h"
#include "server/rpc/server.h"
#include "server/rpc/share.h"
#include "server/rpc/spares.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  RPC_SERVER_MAGIC = 0x5e4e4711,
  CONNECTION_MAGIC = 0xc0224711,
  CALL_MAGIC = 0xca114711,
  DEPOSIT_MAGIC = 0xde904711,
};

enum {
  // What a queue of answers holds beyond queued_bytes, so that whoever is past a limit is told so.
  OUTPUT_RESERVE = 64 << 10,
  // Peers past a limit of connections that a worker still listens to, to tell them.
  REFUSED_MAX = 32,
  // A request costs at most 4 times its length, and a little; its handler may add this much.
  ARENA_PER_REQUEST_BYTE = 4,
  ARENA_REQUEST_SLACK = 64 << 10,
  ARENA_HANDLER_ROOM = 8 << 20,
};

// How long a refused peer has to hear why.
#define REFUSED_PATIENCE (5 * NANOS_PER_SECOND)

// One sentence that says why not.
struct sentence {
  char text[FAILURE_TEXT_MAX + 1];
};

// refuse writes the sentence and returns the code as a status: `return refuse(why, NOT_FOUND,
// "...")`.
status_t refuse(struct sentence *why, enum status_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// refuse_limit is RESOURCE_EXHAUSTED with the sentence about that limit.
status_t refuse_limit(struct sentence *why, const char *name, uint64_t max);
// take_or_refuse takes n of a ceiling.
status_t take_or_refuse(struct ceiling *ceiling, uint64_t n, struct sentence *why);

// ---------------------------------------------------------------------------------------------
// The server, and its part on each worker.

enum rpc_stage {
  RPC_SERVING,
  RPC_DRAINING,  // no new connection, no new call
  RPC_STOPPING,  // no connection at all
};

struct rpc_listener {
  struct rpc_home *home;
  const struct rpc_listen *from;
  struct listener *listener;  // NULL when closed
};

// What has to come to an end before a drain or a stop is done.
struct rpc_load {
  size_t calls;
  size_t unsent;  // connections with answers on their way
  size_t connections;
  size_t listeners;
};

struct rpc_home {
  struct rpc_server *server;
  struct worker *worker;
  struct loop *loop;
  enum rpc_stage stage;
  struct rpc_load load;
  struct rpc_listener *listeners;  // server->num_listen of them
  struct list connections;
  struct list orphans;      // calls whose connection is gone
  struct list spare_calls;  // kept for the next call, so that it costs no malloc
  struct timer deposits_due;
  size_t num_spare;
  struct spares spares;  // for what else comes and goes with each call
  size_t num_refused;
  clock_time next_log;  // what any peer can cause again and again is logged once a second
  uint64_t num_unlogged;
  // A visit of the server (server.c), and what it found; reported is under server->lock.
  struct message message;
  void (*visit)(struct rpc_home *home);
  status_t visit_status;
  struct rpc_load reported;
};

// What waits under tokens, oldest first: all have the same time, so that this is their order of
// expiring too. Any thread, under the lock.
struct deposits {
  pthread_mutex_t lock;
  struct list list;
};

struct rpc_server {
  uint32_t magic;
  struct limits limits;
  struct dispatch *dispatch;
  struct tenant *tenant;
  struct rpc_listen *listen;
  size_t num_listen;
  struct shares shares;
  struct deposits deposits;
  struct rpc_home *homes;
  unsigned num_homes;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  unsigned num_visits;  // still under way, under lock
};

// rpc_home_report tells who waits for a drain or a stop that the load has changed.
void rpc_home_report(struct rpc_home *home);
// rpc_home_here is what the calling worker has of the server.
struct rpc_home *rpc_home_here(struct rpc_server *server);

// rpc_home_may_log is true once a second, with how many were not logged since.
bool rpc_home_may_log(struct rpc_home *home, uint64_t *out_unlogged);

// ---------------------------------------------------------------------------------------------
// Connections.

enum connection_state {
  CONNECTION_OPEN,
  CONNECTION_ENDED,    // its calls are gone; the last answers are still on their way
  CONNECTION_CLOSING,  // until its stream has let go
};

struct connection {
  uint32_t magic;
  enum connection_state state;
  struct rpc_home *home;
  struct share *share;
  struct list link;  // in home->connections
  struct stream *stream;
  struct peer peer;
  struct client *client;      // NULL before the first call
  const struct codec *codec;  // NULL before the first byte
  struct ttrpc_state ttrpc;
  struct token_state token;
  struct grpc_state *grpc;  // grpc_priv.h; NULL unless that is what is spoken
  struct list calls;
  size_t num_calls;
  size_t num_streams;  // of them are streaming calls
  struct task flush;
  uint64_t charged;  // of share->reply_bytes, for answers on their way
  uint64_t waiting;  // bytes of answers that the codec keeps until the peer has room for them
  bool unsent;       // counted in home->load.unsent
  bool paused;       // not receiving until the answers are sent
  bool refused;      // past a limit, here only to be told why
  struct quota_limit refused_by;
  struct timer patience;    // with a refused one, and with what a peer doesn't finish
  uint64_t impatient_with;  // codec->unfinished when patience was set
};

// connection_accept makes a connection of an accepted socket, or tells the peer why not. known is
// who it is; NULL: the kernel tells.
void connection_accept(struct rpc_home *home, int fd, const struct peer *known);
// connection_carries_fds tells whether descriptors can come and go: by a protocol that has a place
// for them, from a user of this machine.
bool connection_carries_fds(const struct connection *connection);
// connection_end ends its calls and closes it when the answers already given are sent.
void connection_end(struct connection *connection);
// connection_close ends its calls and closes it now. Harmless when that is so.
void connection_close(struct connection *connection);
// connection_reject logs why (not more often than once a second), and closes it now.
void connection_reject(struct connection *connection, const char *why);
// connection_drain lets the peer know that no new calls are taken, where its protocol can say so.
void connection_drain(struct connection *connection);
// connection_call returns the call in flight with that stream id, or NULL.
struct call *connection_call(const struct connection *connection, uint32_t stream_id);

// ---------------------------------------------------------------------------------------------
// Output: answers on their way to a peer, never more than limits allow.

// output_append_reply packs response right into the queue, with fd (taken over) unless it is -1.
// When it can't, nothing is queued, and why says which limit is in the way.
status_t output_append_reply(struct connection *connection, uint32_t stream_id,
                             const ProtobufCMessage *response, int fd, struct sentence *why);
// output_append_packed queues an answer that another worker has packed and charged to its share.
// Takes fd over, the memory, and the charge.
status_t output_append_packed(struct connection *connection, struct packed packed, int fd,
                              struct sentence *why);
// output_append_status queues the end of a call. A connection that can't even take that is closed.
void output_append_status(struct connection *connection, struct slice frame);
// packed_free wipes and frees it; the charge is the caller's to give back.
void packed_free(struct packed packed);

// output_measure tells the size of an answer, or why it can't be one. Any thread.
status_t output_measure(const struct codec *codec, const ProtobufCMessage *response,
                        struct reply_size *out, struct sentence *why);
// output_check_room tells whether an answer of that size may wait to be sent, or why not.
status_t output_check_room(const struct connection *connection, size_t size, struct sentence *why);
// output_commit notes size more bytes in the stream's output; so many of them are charged.
void output_commit(struct connection *connection, size_t size, size_t charged);
// output_wake sends soon what is queued, and what codec->fill has; output_refill does it now, and
// not from inside of the codec.
void output_wake(struct connection *connection);
void output_refill(struct connection *connection);
// output_failure answers with a status.
void output_failure(struct connection *connection, uint32_t stream_id, enum status_code code,
                    const char *text);
// output_sent notes that everything is sent, output_room that all of it is on its way; output_drop
// that nothing more will be.
void output_sent(struct connection *connection);
void output_room(struct connection *connection);
void output_drop(struct connection *connection);
// output_init prepares a connection's part of it.
void output_init(struct connection *connection);

// ---------------------------------------------------------------------------------------------
// Calls.

// Why a call ends before its handler would end it.
struct call_cause {
  enum status_code code;
  enum counter counter;
  const char *text;
};

extern const struct call_cause call_cause_cancelled;
extern const struct call_cause call_cause_deadline;
extern const struct call_cause call_cause_lost;
extern const struct call_cause call_cause_data;
extern const struct call_cause call_cause_message;  // of a streaming call

struct call {
  uint32_t magic;
  // Home's alone.
  struct list link;                     // in connection->calls, home->orphans or home->spare_calls
  struct connection *connection;        // NULL once it is gone
  struct timer timer;                   // the deadline
  struct share *share;                  // as long as some of it is charged
  uint64_t charged;                     // of share->request_bytes
  const struct call_cause *cause_sent;  // why it was cancelled, NULL if it was not
  bool telling;                         // the notice is on its way to `at`, or back
  bool home_again;                      // the answer has come home
  // Set before the handler starts.
  struct rpc_home *home;
  const struct codec *codec;
  const struct method *method;
  struct client *client;
  const ProtobufCMessage *request;
  uint32_t stream_id;
  clock_time deadline;
  // Where the call is, and the rest is touched there only. Home sets it before the call leaves.
  struct worker *at;
  struct message message;  // the way there, and then the way back
  struct message notice;   // a cancel on its way there, and back
  bool carries_fds;
  bool moved;
  bool ended;
  bool answered;                   // at home, where the answer was packed into the output
  const struct call_cause *cause;  // why nobody waits any more, NULL if somebody does
  void (*run)(struct call *call);
  void (*on_cancel)(struct call *call);
  void *state;
  struct arena arena;
  struct attachments descriptors;
  struct call_stream *stream;  // NULL for a unary call
  // The answer: packed, or a status with a sentence.
  enum status_code code;
  struct sentence why;
  struct packed packed;
  int fd;
};

enum {
  // Bytes of messages that wait for their handler, before another one ends the call.
  CALL_INBOX_MAX = 1 << 20,
  // Bytes that a handler may send before it has to wait; less where the calls of one connection
  // could fill its queue with them.
  CALL_WINDOW = 128 << 10,
};

// What a streaming call has beside the rest (call_stream.c).
struct call_stream {
  struct call *call;
  // Home's.
  struct bytes inbox;  // messages that wait, each behind its length as a uint32_t
  uint64_t charged;    // of share->request_bytes, for them
  bool closed;         // the client sends no more
  bool errand_out;     // with the handler, or on its way
  bool room_out;
  bool draining;  // the handler is to be told, beside what has gone
  bool pumping;
  bool leaves;      // the handler moves the call, once it has returned
  uint64_t unsent;  // bytes sent by the handler that are with the codec
  uint64_t gone;    // that are not any more, which it was not told
  struct task room_task;
  // What travels.
  struct message errand;
  struct packed payload;  // a message, its length charged (share->request_bytes), or
  bool closes;            // the news that there are no more
  struct message room;
  uint64_t credit;
  bool drains;
  uint64_t window;  // CALL_WINDOW, or less; never changes
  // Where the call is.
  const struct call_events *events;
  struct arena arena;  // of the message that is being handled
  bool holding;        // the errand is here, and no message is wanted
  bool in_handler;
  bool full;
  uint64_t out;  // bytes sent that are not known to be gone
};

// What a codec found a request to be.
struct request {
  struct envelope envelope;
  const struct method *method;  // NULL when it was not looked for
  uint32_t stream_id;
  bool opens;                       // messages are to come, and none has yet
  uint64_t charged;                 // of share->request_bytes, the call's from now on
  struct attachments *descriptors;  // the call's from now on
};

// admit_check_stage tells whether a new call is welcome now, or why not.
status_t admit_check_stage(const struct connection *connection, struct sentence *why);
// call_start runs the request's handler, or answers why not. With opens the client goes on to send.
void call_start(struct connection *connection, const struct request *request);

// call_alloc takes a spare call or makes one, blank but for its arena; NULL without memory.
struct call *call_alloc(struct connection *connection);
// call_free gives back everything the call holds, on home.
void call_free(struct call *call);
// call_spares_free frees what is kept for the next call.
void call_spares_free(struct rpc_home *home);
// call_cancel tells the handler, wherever it is, that nobody waits any more. On home; the call may
// be gone after this.
void call_cancel(struct call *call, const struct call_cause *cause);
// call_note_cause is that where the call is, for a cause that is found there.
void call_note_cause(struct call *call, const struct call_cause *cause);

// call_stream_new gives a call what streaming takes; call_stream_free takes it away.
status_t call_stream_new(struct call *call);
void call_stream_free(struct call *call);
// call_stream_is_away tells whether something of it is still under way, or at work.
bool call_stream_is_away(const struct call *call);
// call_stream_leaves tells whether the call has to wait for its handler to return before it moves;
// it is sent then.
bool call_stream_leaves(struct call *call);
// call_stream_ended sends home what the handler holds.
void call_stream_ended(struct call *call);
// call_release_if_over frees a call that has ended, once nothing of it is under way.
void call_release_if_over(struct call *call);

// What a codec tells of a streaming call, on home: a message has come; no more will; of what was
// sent so many bytes have gone, or all. The call may be gone after each. call_inbox is how much
// waits.
void call_receive(struct call *call, struct slice payload);
void call_half_close(struct call *call);
void call_gone(struct call *call, size_t len);
void call_all_gone(struct call *call);
// call_drain tells a streaming call that the daemon stops. Harmless for others.
void call_drain(struct call *call);
size_t call_inbox(const struct call *call);

// ---------------------------------------------------------------------------------------------
// Deposits, from the side of whoever brings or fetches a descriptor (deposit.h has the other).

void deposits_init(struct deposits *deposits);
void deposits_cleanup(struct deposits *deposits);
// deposits_expire ends what is past its time: what the timer of a home does.
void deposits_expire(struct timer *due);

// deposit_put puts a descriptor under a token that a client of peer's user id has for that, and has
// not used; deposit_fetch gives what waits there, to be closed by the caller. NOT_FOUND, without a
// difference between unknown, used, expired and somebody else's; fd stays the caller's then. Any
// thread.
status_t deposit_put(struct deposits *deposits, const struct peer *peer, struct slice token,
                     int fd);
status_t deposit_fetch(struct deposits *deposits, const struct peer *peer, struct slice token,
                       int *out);

// hex_parse reads exactly 2 * len hexadecimal digits.
bool hex_parse(struct slice hex, uint8_t *out, size_t len);
// check_attachments tells whether descriptors that came are as many as may come, or why not.
status_t check_attachments(const struct attachments *set, struct sentence *why);

// call_fail_for is call_fail with a sentence that is written already.
void call_fail_for(struct call *call, enum status_code code, const struct sentence *why);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_RPC_PRIV_H_
