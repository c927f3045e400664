// A stream: bytes both ways over a connected stream socket, on the ring.
//
// Receives go into buffers provided to the kernel (buffers.h); sends are strictly one in flight, in
// order; close cancels and reaps whatever is in flight before it reports that the struct may go.
// The socket's O_NONBLOCK flag, which it shares with a client that passed it, is never touched: the
// ring waits by poll where the flag makes it answer EAGAIN.
#ifndef TLSAGENT_SERVER_RING_STREAM_H_
#define TLSAGENT_SERVER_RING_STREAM_H_

#include <stdbool.h>
#include <stddef.h>

#include "server/base/bytes.h"
#include "server/base/slice.h"
#include "server/base/status.h"
#include "server/ring/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { STREAM_FDS_MAX = 16 };  // descriptors taken from one message; more are closed and counted

struct stream;

// What a stream tells its owner. Called from the loop, never from inside a stream_* call.
struct stream_events {
  // Bytes arrived. They are gone after the call. fds (STREAM_WITH_FDS only) arrived with them and
  // are the owner's to close; dropped counts those beyond STREAM_FDS_MAX.
  void (*on_data)(struct stream *stream, struct slice data, const int *fds, size_t num_fds,
                  size_t dropped);
  // The peer ended its direction, or receiving failed with that errno; 0 is the end. Called once.
  void (*on_end)(struct stream *stream, int os_errno);
  // Everything queued has been sent (0), or sending failed with that errno; then nothing more is
  // sent.
  void (*on_sent)(struct stream *stream, int os_errno);
  // Nothing is in flight any more: the struct may be freed. The last call.
  void (*on_closed)(struct stream *stream);
  // The queue is empty, since all that was in it is on its way: there is room for more before
  // on_sent. May be NULL.
  void (*on_room)(struct stream *stream);
};

enum stream_flags {
  STREAM_PLAIN = 0,
  STREAM_WITH_FDS = 1,    // descriptors may come with the bytes (recvmsg), and go with them
  STREAM_CONTINUOUS = 2,  // receive by multishot until paused; otherwise once per stream_receive
  STREAM_NO_SECRETS = 4,  // what goes through it anybody may see: it isn't wiped
};

// stream_new makes a stream that owns fd. It receives nothing before stream_receive. max_queued is
// the ceiling of stream_output; uid is the user in whose name descriptors are closed (closer.h).
// Fails without memory; fd is then closed.
status_t stream_new(struct loop *loop, uid_t uid, int fd, int flags, size_t max_queued,
                    const struct stream_events *events, void *owner, struct stream **out);
void *stream_owner(struct stream *stream);
int stream_fd(const struct stream *stream);

// stream_receive arms the receive: until paused for STREAM_CONTINUOUS, else for one on_data.
// Harmless when it is armed.
void stream_receive(struct stream *stream);
// stream_receive_bulk lets a stream that isn't continuous take large buffers while it receives
// much: one on_data is then of up to LOOP_LARGE_BUFFER_SIZE bytes. At most LOOP_BULK_STREAMS of a
// loop do so at a time, so that what is queued behind them has a ceiling.
void stream_receive_bulk(struct stream *stream);
// stream_receives_much tells whether the next on_data may be that large; stream_rest ends it.
bool stream_receives_much(const struct stream *stream);
void stream_rest(struct stream *stream);
// stream_pause stops receiving; an on_data may still come for what the kernel had received already.
void stream_pause(struct stream *stream);
bool stream_receiving(const struct stream *stream);

// stream_output is the queue of bytes to send; append to it, then stream_flush.
struct bytes *stream_output(struct stream *stream);
// stream_set_max_queued changes its ceiling, to no less than is queued.
void stream_set_max_queued(struct stream *stream, size_t max_queued);
// stream_flush sends what is queued, now if nothing is in flight, else right after that.
void stream_flush(struct stream *stream);
// stream_send_fd queues a descriptor to travel with the next byte appended (STREAM_WITH_FDS). The
// stream takes it over and closes it once sent.
status_t stream_send_fd(struct stream *stream, int fd);
// stream_is_idle tells whether nothing is in flight either way, and nothing wanted or queued.
bool stream_is_idle(const struct stream *stream);
// stream_unsent is how many bytes are queued or in flight.
size_t stream_unsent(const struct stream *stream);

// stream_shutdown ends the own direction (FIN) after what is queued has been sent.
void stream_shutdown(struct stream *stream);
// stream_close drops what is queued, cancels what is in flight, closes fd, and calls on_closed from
// the loop when nothing is in flight; the stream is freed after that call. No other event comes.
void stream_close(struct stream *stream);
// stream_reset is stream_close, and a TCP peer is reset; what it has not received yet is lost.
void stream_reset(struct stream *stream);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RING_STREAM_H_
