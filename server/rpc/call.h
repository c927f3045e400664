// A call: one RPC from its frame to its answer, as a handler sees it.
//
// A call starts on its home, the worker of its connection. A handler may move it, once, to another
// worker and go on there. It ends by exactly one call_reply or call_fail, on whichever worker it
// is, after which it must not be touched. A call that is cancelled, whose deadline passes, or whose
// connection is gone stays the handler's until the handler ends it: on_cancel tells. However it is
// ended from then on, its answer is CANCELLED or DEADLINE_EXCEEDED; an answer that was faster
// stands.
//
// What asks or changes something is for the thread of the worker where the call is.
#ifndef TLSAGENT_SERVER_RPC_CALL_H_
#define TLSAGENT_SERVER_RPC_CALL_H_

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "server/base/arena.h"
#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/ring/worker.h"
#include "server/tenant/tenant.h"

#ifdef __cplusplus
extern "C" {
#endif

struct call;

// How many messages there are, each way.
enum method_kind {
  METHOD_UNARY,         // one and one
  METHOD_SERVER_SENDS,  // one, and many back
  METHOD_BOTH_SEND,     // many and many: handle gets no request
};

// One row of the table of methods that rpc is handed.
struct method {
  const char *service;                        // "tlsagent.v1.AgentService"
  const char *name;                           // "Ping"
  const ProtobufCMessageDescriptor *request;  // how to read the payload
  void (*handle)(struct call *call, const ProtobufCMessage *request);
  enum method_kind kind;
};

// call_client is whose call it is; valid while the call is.
struct client *call_client(const struct call *call);
// call_arena is where handlers put what must live as long as the call, 8 MiB at most; the request
// is in it too.
struct arena *call_arena(struct call *call);
const ProtobufCMessage *call_request(const struct call *call);
clock_time call_deadline(const struct call *call);  // CLOCK_NEVER when there is none
struct worker *call_home(const struct call *call);

// call_num_fds is how many descriptors came with the call; call_take_fd gives one to the caller,
// who closes it. INVALID_ARGUMENT when there is none at that index, or it was taken. Those not
// taken are closed with the call.
size_t call_num_fds(const struct call *call);
status_t call_take_fd(struct call *call, size_t index, int *out);
// call_carries_fds tells whether descriptors can come and go with this call: not by gRPC, and not
// from another machine.
bool call_carries_fds(const struct call *call);
// call_has_windows tells whether the protocol makes a client wait that sends faster than its call
// takes, and the daemon where the client doesn't read: not ttrpc.
bool call_has_windows(const struct call *call);

// call_move goes on with run on another worker (or, when that is home, at once). Once per call.
// Nobody may be registered by call_on_cancel yet. run does well to look at call_is_cancelled before
// anything expensive: the deadline may have passed on the way. A streaming call may move from
// on_message, instead of wanting the next one there; the message doesn't come along.
void call_move(struct call *call, struct worker *to, void (*run)(struct call *call));

// call_state is a place for the handler's own pointer.
void call_set_state(struct call *call, void *state);
void *call_state(const struct call *call);

// call_on_cancel registers who is told, on the worker where the call is, that nobody waits for the
// answer any more. It may end the call. If that is so already, it is told before this returns. NULL
// takes the registration back.
void call_on_cancel(struct call *call, void (*cancelled)(struct call *call));
bool call_is_cancelled(const struct call *call);

// call_reply ends the call with an answer. An answer larger than a frame becomes
// RESOURCE_EXHAUSTED.
void call_reply(struct call *call, const ProtobufCMessage *response);
// call_reply_with_fd sends a descriptor with the answer, and takes it over in any case. Where the
// protocol can't carry one the answer is FAILED_PRECONDITION.
void call_reply_with_fd(struct call *call, const ProtobufCMessage *response, int fd);
// call_fail ends the call with a status other than OK and a sentence for a person, cut at 480
// bytes.
void call_fail(struct call *call, enum status_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// ---------------------------------------------------------------------------------------------
// Streaming calls: the same, but that messages come by call_want and go by call_send, and that they
// end by call_end or call_fail. Messages are what the method's row says; they go by mailbox where
// the call is on another worker. A handler must register by call_on_cancel: nothing else tells it
// that the client has gone, or that a message was not what the method takes.

// What a streaming call hears, on the worker where it is. Each may end the call. What can't happen
// may be NULL: the first two where only the server sends.
struct call_events {
  // A message that was wanted; it is gone when this returns.
  void (*on_message)(struct call *call, const ProtobufCMessage *message);
  // The client sends no more. Wanted too, and called once.
  void (*on_half_close)(struct call *call);
  // There is room again after call_send said CALL_FULL.
  void (*on_room)(struct call *call);
  // The daemon stops and waits for calls to end: those that wouldn't should. NULL where they do.
  void (*on_drain)(struct call *call);
};

// call_stream says who hears it, before anything is wanted or sent.
void call_stream(struct call *call, const struct call_events *events);

// call_want asks for one more message. What isn't wanted waits at the client's, or (ttrpc has no
// way to make it wait) up to 1 MiB here, and then the call fails. May be called from on_message,
// for the next; the next may be there, and the call gone, when it returns elsewhere.
void call_want(struct call *call);

enum call_sent {
  CALL_ROOM,  // it is sent, and more may be
  CALL_FULL,  // it is sent, and the next one has to wait for on_room, which keeps memory bounded
  CALL_OVER,  // it is not sent: nobody takes it any more. End the call; why is known
};

// call_send sends a message.
enum call_sent call_send(struct call *call, const ProtobufCMessage *message);

// call_end ends it well.
void call_end(struct call *call);

// call_cancel_stream cancels another call of the same connection by its stream id, on home only.
// False when there is none in flight.
bool call_cancel_stream(struct call *call, uint32_t stream_id);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_CALL_H_
