// What a stream is made of. For this folder only: stream.c has its life, stream_in.c what it
// receives and stream_out.c what it sends.
#ifndef TLSAGENT_SERVER_RING_STREAM_PRIVATE_H_
#define TLSAGENT_SERVER_RING_STREAM_PRIVATE_H_

#include "server/base/object.h"
#include "server/ring/closer.h"
#include "server/ring/descriptors.h"
#include "server/ring/loop_private.h"
#include "server/ring/op.h"
#include "server/ring/stream.h"

enum { STREAM_MAGIC = 0x7374726d };

// Beside enum stream_flags: stream_receive_bulk was called.
enum { STREAM_BULK = 1 << 8 };

enum {
  STREAM_RETRY_MS = 10,
  STREAM_POLLS_MAX = 16  // polls in a row that promised what was not there, before a pause
};

// How many descriptors may be queued for sending.
enum { STREAM_FDS_QUEUED_MAX = 64 };

struct queued_fd {
  uint64_t offset;  // of the byte it travels with, counted from the stream's beginning
  int fd;
};

struct stream_in {
  bool wanted;        // the owner wants bytes
  bool ended;         // on_end was called
  bool much;          // the next receive takes a large buffer
  unsigned polls;     // in a row
  struct ring_op op;  // the receive, or the poll before it
  struct op_stopper stopper;
  struct receiver receiver;  // its place in the line, when buffers are few
  struct msghdr message;     // the shape of a recvmsg; constant for multishot
  struct iovec payload;
  uint8_t *control;  // DESCRIPTORS_CONTROL_MAX bytes, for OP_RECVMSG; made when first needed
};

// What sending descriptors takes. Few streams do.
struct parcel {
  struct msghdr message;
  struct iovec segment;
  struct descriptors_out control;
  size_t num_attached;  // how many of fds travel with the send in flight
  struct queued_fd fds[STREAM_FDS_QUEUED_MAX];
  size_t num;
};

struct stream_out {
  struct bytes queued;   // the owner appends here
  struct bytes sending;  // the kernel reads here while op is busy
  uint64_t sent;         // bytes sent since the stream's beginning
  int error;             // sending failed: nothing more is sent
  unsigned polls;        // in a row
  bool fin_wanted;
  bool fin_sent;
  bool active;        // bytes were sent since the last look at idle memory
  struct ring_op op;  // the send, or the poll before it
  struct op_stopper stopper;
  struct timer idle;  // gives memory back that is not used

  struct parcel *parcel;  // NULL until a descriptor is sent
};

struct stream {
  uint32_t magic;
  struct loop *loop;
  uid_t uid;  // who waits for the closes
  int fd;
  int flags;
  const struct stream_events *events;
  void *owner;
  bool closing;
  struct task closed;     // ends the stream
  struct timer retry;     // for both directions, when the system is short of something
  struct task retry_now;  // in its place, when there is no room for a timer
  struct stream_in in;
  struct stream_out out;
};

void stream_in_init(struct stream *stream);
void stream_in_start(struct stream *stream);
void stream_in_stop(struct stream *stream);
bool stream_in_busy(const struct stream *stream);
void stream_in_cleanup(struct stream *stream);

void stream_out_init(struct stream *stream, size_t max_queued);
void stream_out_start(struct stream *stream);
void stream_out_stop(struct stream *stream);
bool stream_out_busy(const struct stream *stream);
void stream_out_cleanup(struct stream *stream);

// stream_retry_later starts again, after a moment, the directions that have something to do.
void stream_retry_later(struct stream *stream);
// stream_maybe_closed ends the stream if it is closing and nothing is in flight.
void stream_maybe_closed(struct stream *stream);

#endif  // TLSAGENT_SERVER_RING_STREAM_PRIVATE_H_
