// What a stream receives.
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "server/ring/stream_private.h"

// One message as it came: where its payload is, and which descriptors came with it.
struct received {
  struct slice data;
  struct descriptors descriptors;
};

static bool has_fds(const struct stream *stream) {
  return (stream->flags & STREAM_WITH_FDS) != 0;
}

static bool has_secrets(const struct stream *stream) {
  return (stream->flags & STREAM_NO_SECRETS) == 0;
}

static bool is_continuous(const struct stream *stream) {
  return (stream->flags & STREAM_CONTINUOUS) != 0;
}

static bool is_short_of_buffers(const struct stream *stream) {
  return receivers_short(&stream->loop->receivers, stream->loop->stats.turns);
}

// One buffer at a time when there are few, also for continuous streams.
static enum op_kind receive_kind(const struct stream *stream) {
  bool single = !is_continuous(stream) || is_short_of_buffers(stream);
  if (has_fds(stream)) {
    return single ? OP_RECVMSG : OP_RECVMSG_MULTISHOT;
  }
  return single ? OP_RECV : OP_RECV_MULTISHOT;
}

// ---------------------------------------------------------------------------------------------
// Taking apart what came

// The buffer of a multishot recvmsg: a header, room for a name, room for control data, the payload.
static void parse_multishot(struct stream *stream, uint8_t *buffer, int len, struct received *out) {
  struct io_uring_recvmsg_out *header = io_uring_recvmsg_validate(buffer, len, &stream->in.message);
  assert(header != NULL);
  uint8_t *control = (uint8_t *)(header + 1) + stream->in.message.msg_namelen;
  size_t controllen = header->controllen < stream->in.message.msg_controllen
                          ? header->controllen
                          : stream->in.message.msg_controllen;
  descriptors_parse(stream->uid, control, controllen, (int)header->flags, &out->descriptors);
  out->data = slice_of(io_uring_recvmsg_payload(header, &stream->in.message),
                       io_uring_recvmsg_payload_length(header, len, &stream->in.message));
}

static void parse_single(struct stream *stream, uint8_t *buffer, int len, struct received *out) {
  struct msghdr *message = &stream->in.message;
  descriptors_parse(stream->uid, stream->in.control, message->msg_controllen, message->msg_flags,
                    &out->descriptors);
  out->data = slice_of(buffer, (size_t)len);
}

static void parse(struct stream *stream, enum op_kind kind, uint8_t *buffer, int len,
                  struct received *out) {
  *out = (struct received){0};
  switch (kind) {
    case OP_RECVMSG_MULTISHOT:
      parse_multishot(stream, buffer, len, out);
      return;
    case OP_RECVMSG:
      parse_single(stream, buffer, len, out);
      return;
    default:
      out->data = slice_of(buffer, (size_t)len);
  }
}

// ---------------------------------------------------------------------------------------------
// Telling the owner

static void end(struct stream *stream, int os_errno) {
  if (stream->in.ended || stream->closing) {
    return;
  }
  stream->in.ended = true;
  stream->in.wanted = false;
  stream->events->on_end(stream, os_errno);
}

static void deliver(struct stream *stream, struct received *received) {
  struct descriptors *descriptors = &received->descriptors;
  stream->loop->stats.descriptors_dropped += descriptors->dropped;
  if (stream->closing || stream->in.ended || received->data.len == 0) {
    descriptors_close(stream->uid, descriptors);
    return;
  }
  if (!is_continuous(stream)) {
    stream->in.wanted = false;
  }
  stream->events->on_data(stream, received->data, descriptors->fds, descriptors->num,
                          descriptors->dropped);
}

static void set_much(struct stream *stream, bool much) {
  struct loop *loop = stream->loop;
  if (much != stream->in.much && (!much || loop->num_bulk < LOOP_BULK_STREAMS)) {
    stream->in.much = much;
    loop->num_bulk += much ? 1 : -1U;
  }
}

// Large ones while they fill more than a common one.
static void choose_buffers(struct stream *stream, size_t received) {
  set_much(stream,
           (stream->flags & STREAM_BULK) != 0 && received >= buffers_size(stream->loop->buffers));
}

static void take_data(struct stream *stream, const struct ring_op *op,
                      const struct op_result *result) {
  if (!result->has_buffer) {
    end(stream, 0);
    return;
  }
  stream->in.polls = 0;
  struct buffers *buffers = loop_buffers_for(stream->loop, op);
  uint8_t *buffer = buffers_take(buffers, result->buffer);
  struct received received;
  parse(stream, op->kind, buffer, result->value, &received);
  bool is_end = received.data.len == 0;
  choose_buffers(stream, received.data.len);
  deliver(stream, &received);
  buffers_give(buffers, result->buffer, has_secrets(stream) ? (size_t)result->value : 0);
  if (is_end) {
    end(stream, 0);
  }
}

// ---------------------------------------------------------------------------------------------
// Receiving

static void start_poll(struct stream *stream) {
  stream->in.op.kind = OP_POLL;
  stream->in.op.events = POLLIN | POLLRDHUP;
  op_start(stream->loop, &stream->in.op);
}

static void prepare_message(struct stream *stream) {
  struct stream_in *in = &stream->in;
  bool single = in->op.kind == OP_RECVMSG;
  in->payload = (struct iovec){0};
  in->message = (struct msghdr){.msg_control = single ? in->control : NULL,
                                .msg_controllen = DESCRIPTORS_CONTROL_MAX,
                                .msg_iov = single ? &in->payload : NULL,
                                .msg_iovlen = single ? 1 : 0};
  in->op.message = &in->message;
}

static bool can_start(const struct stream *stream) {
  return stream->in.wanted && !stream->closing && !stream->in.ended && !op_busy(&stream->in.op);
}

static bool has_control(struct stream *stream) {
  if (stream->in.control == NULL) {
    stream->in.control = calloc(1, DESCRIPTORS_CONTROL_MAX);
  }
  return stream->in.control != NULL;
}

static void start_receive(struct stream *stream) {
  stream->in.op.kind = receive_kind(stream);
  stream->in.op.large = stream->in.much;
  if (stream->in.op.kind == OP_RECVMSG && !has_control(stream)) {
    stream_retry_later(stream);
    return;
  }
  if (has_fds(stream)) {
    prepare_message(stream);
  }
  op_start(stream->loop, &stream->in.op);
}

static void on_turn(struct receiver *receiver) {
  struct stream *stream = LIST_ENTRY(receiver, struct stream, in.receiver);
  if (can_start(stream)) {
    start_receive(stream);
  }
}

void stream_in_start(struct stream *stream) {
  if (!can_start(stream)) {
    return;
  }
  op_stopper_rest(&stream->in.stopper);
  if (is_short_of_buffers(stream)) {
    receivers_queue(&stream->loop->receivers, &stream->in.receiver);
  } else {
    start_receive(stream);
  }
}

static void starve(struct stream *stream) {
  struct loop *loop = stream->loop;
  if (stream->in.much) {
    set_much(stream, false);  // there are few large ones: a common one will do
    stream_in_start(stream);
    return;
  }
  loop->stats.no_buffers++;
  receivers_starve(&loop->receivers, &stream->in.receiver, loop->stats.turns);
}

// Waits by poll, but not again and again where poll says yes and the receive says no.
static void poll_first(struct stream *stream) {
  if (!stream->in.wanted) {
    return;
  }
  if (++stream->in.polls > STREAM_POLLS_MAX) {
    stream->in.polls = 0;
    stream_retry_later(stream);
    return;
  }
  start_poll(stream);
}

// What a result without bytes asks for. The operation is idle, unless a multishot goes on.
static void recover(struct stream *stream, const struct ring_op *op, int value) {
  switch (op_outcome(op->kind, value)) {
    case OP_SUCCEEDED:
    case OP_AGAIN:
    case OP_CANCELLED:
      stream_in_start(stream);
      return;
    case OP_POLL_FIRST:
      poll_first(stream);
      return;
    case OP_NO_BUFFER:
      starve(stream);
      return;
    case OP_LATER:
      stream_retry_later(stream);
      return;
    case OP_FAILED:
      end(stream, -value);
      return;
  }
}

static void on_received(struct ring_op *op, const struct op_result *result) {
  struct stream *stream = LIST_ENTRY(op, struct stream, in.op);
  OBJECT_CHECK(stream, STREAM_MAGIC);
  if (op->kind == OP_POLL) {
    // Only says that there is something.
  } else if (result->value >= 0) {
    take_data(stream, op, result);
  } else if (result->has_buffer) {
    struct buffers *buffers = loop_buffers_for(stream->loop, op);
    buffers_take(buffers, result->buffer);
    buffers_give(buffers, result->buffer, 0);
  }
  if (op_busy(op)) {
    return;  // a multishot goes on, or the owner asked for more
  }
  op_stopper_rest(&stream->in.stopper);
  if (stream->closing) {
    stream_maybe_closed(stream);
  } else {
    recover(stream, op, result->value);
  }
}

static void on_stopper_rested(void *owner) {
  stream_maybe_closed(owner);
}

void stream_in_init(struct stream *stream) {
  struct stream_in *in = &stream->in;
  op_init(&in->op, OP_RECV, stream->fd, on_received);
  op_stopper_init(&in->stopper, stream->loop, &in->op, on_stopper_rested, stream);
  receiver_init(&in->receiver, on_turn);
}

void stream_in_stop(struct stream *stream) {
  stream->in.wanted = false;
  receiver_withdraw(&stream->in.receiver);
  op_stopper_stop(&stream->in.stopper);
}

bool stream_in_busy(const struct stream *stream) {
  return op_busy(&stream->in.op) || op_stopper_busy(&stream->in.stopper);
}

void stream_in_cleanup(struct stream *stream) {
  set_much(stream, false);
  free(stream->in.control);
}

void stream_receive(struct stream *stream) {
  OBJECT_CHECK(stream, STREAM_MAGIC);
  if (!stream->closing && !stream->in.ended) {
    stream->in.wanted = true;
    op_stopper_rest(&stream->in.stopper);
    stream_in_start(stream);
  }
}

void stream_pause(struct stream *stream) {
  OBJECT_CHECK(stream, STREAM_MAGIC);
  if (!stream->closing) {
    stream_in_stop(stream);
  }
}

void stream_receive_bulk(struct stream *stream) {
  OBJECT_CHECK(stream, STREAM_MAGIC);
  assert(!is_continuous(stream));
  stream->flags |= STREAM_BULK;
}

bool stream_receives_much(const struct stream *stream) {
  OBJECT_CHECK(stream, STREAM_MAGIC);
  return stream->in.much;
}

void stream_rest(struct stream *stream) {
  OBJECT_CHECK(stream, STREAM_MAGIC);
  set_much(stream, false);
}

bool stream_receiving(const struct stream *stream) {
  OBJECT_CHECK(stream, STREAM_MAGIC);
  return stream->in.wanted;
}
