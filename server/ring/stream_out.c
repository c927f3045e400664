// What a stream sends: strictly one send in flight, since overlapping ones may be reordered.
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "server/ring/poison.h"
#include "server/ring/stream_private.h"

enum {
  IDLE_CAPACITY_MAX = 4096,  // bytes of memory that an idle stream may keep, in each of two queues
  IDLE_MS = 1000
};

// ---------------------------------------------------------------------------------------------
// Memory of a stream with nothing to send

static bool keeps_much(const struct stream_out *out) {
  return out->queued.capacity > IDLE_CAPACITY_MAX || out->sending.capacity > IDLE_CAPACITY_MAX;
}

static void release_memory(struct stream_out *out) {
  bytes_release_if_empty(&out->queued);
  if (!op_busy(&out->op)) {
    bytes_release_if_empty(&out->sending);
  }
}

// One timer that is seldom set, in place of a free and a malloc for each send.
static void watch_idle(struct stream *stream) {
  struct stream_out *out = &stream->out;
  if (out->idle.place != 0 || !keeps_much(out)) {
    return;
  }
  clock_time when = clock_add(loop_now(stream->loop), IDLE_MS * NANOS_PER_MILLI);
  if (!status_ok(timer_set(stream->loop, &out->idle, when))) {
    release_memory(out);
  }
}

static void on_idle(struct timer *timer) {
  struct stream *stream = LIST_ENTRY(timer, struct stream, out.idle);
  if (!stream->out.active) {
    release_memory(&stream->out);
  }
  stream->out.active = false;
  watch_idle(stream);
}

// ---------------------------------------------------------------------------------------------
// Descriptors

static uint64_t end_offset(const struct stream_out *out) {
  return out->sent + bytes_len(&out->sending) + bytes_len(&out->queued);
}

// How many of the queued descriptors, which are in order, travel with the byte at the offset.
static size_t count_fds_at(const struct stream_out *out, uint64_t offset) {
  size_t num = 0;
  for (size_t i = 0; i < out->num_fds; i++) {
    num += out->fds[i].offset == offset;
  }
  return num;
}

static void close_first_fds(struct stream *stream, size_t num) {
  struct stream_out *out = &stream->out;
  for (size_t i = 0; i < num; i++) {
    closer_close(stream->uid, out->fds[i].fd);
  }
  out->num_fds -= num;
  memmove(out->fds, out->fds + num, out->num_fds * sizeof(out->fds[0]));
}

static void attach_fds(struct stream_out *out) {
  int fds[STREAM_FDS_MAX];
  for (size_t i = 0; i < out->fds_attached; i++) {
    fds[i] = out->fds[i].fd;
  }
  descriptors_attach(&out->message, &out->control, fds, out->fds_attached);
}

// ---------------------------------------------------------------------------------------------
// Sending

static void swap_queues(struct stream_out *out) {
  struct bytes empty = out->sending;
  out->sending = out->queued;
  out->queued = empty;
}

// The bytes up to the next one that descriptors travel with: those must begin a message.
static struct slice next_segment(const struct stream_out *out) {
  struct slice data = bytes_peek(&out->sending);
  if (out->fds_attached < out->num_fds) {
    uint64_t until = out->fds[out->fds_attached].offset - out->sent;
    data.len = until < data.len ? (size_t)until : data.len;
  }
  assert(data.len > 0);
  return data;
}

static void start_send(struct stream *stream) {
  struct stream_out *out = &stream->out;
  out->fds_attached = count_fds_at(out, out->sent);
  struct slice data = next_segment(out);
  out->op.kind = out->fds_attached > 0 ? OP_SENDMSG : OP_SEND;
  if (out->op.kind == OP_SENDMSG) {
    out->segment = (struct iovec){.iov_base = (void *)data.data, .iov_len = data.len};
    out->message = (struct msghdr){.msg_iov = &out->segment, .msg_iovlen = 1};
    attach_fds(out);
    out->op.message = &out->message;
  } else {
    out->op.bytes.data = (void *)data.data;
    out->op.bytes.len = data.len;
  }
  out->active = true;
  poison_for_kernel(data.data, data.len);
  op_start(stream->loop, &out->op);
}

static void start_poll(struct stream *stream) {
  stream->out.op.kind = OP_POLL;
  stream->out.op.events = POLLOUT;
  op_start(stream->loop, &stream->out.op);
}

static void send_fin(struct stream *stream) {
  if (stream->out.fin_wanted && !stream->out.fin_sent) {
    stream->out.fin_sent = true;
    shutdown(stream->fd, SHUT_WR);
  }
}

void stream_out_start(struct stream *stream) {
  struct stream_out *out = &stream->out;
  if (stream->closing || out->error != 0 || op_busy(&out->op)) {
    return;
  }
  if (bytes_len(&out->sending) == 0) {
    swap_queues(out);
  }
  if (bytes_len(&out->sending) == 0) {
    send_fin(stream);
    return;
  }
  start_send(stream);
}

// ---------------------------------------------------------------------------------------------
// What became of a send

static void fail(struct stream *stream, int os_errno) {
  struct stream_out *out = &stream->out;
  out->error = os_errno;
  bytes_cleanup(&out->sending);
  bytes_cleanup(&out->queued);
  close_first_fds(stream, out->num_fds);
  stream->events->on_sent(stream, os_errno);
}

static void drop_sent(struct stream *stream, size_t sent) {
  if ((stream->flags & STREAM_NO_SECRETS) != 0) {
    bytes_skip(&stream->out.sending, sent);
  } else {
    bytes_consume(&stream->out.sending, sent);
  }
}

static void advance(struct stream *stream, size_t sent) {
  struct stream_out *out = &stream->out;
  bool had_queued = bytes_len(&out->queued) > 0;
  drop_sent(stream, sent);
  out->sent += sent;
  out->polls = 0;
  close_first_fds(stream, out->fds_attached);
  stream_out_start(stream);
  if (stream_unsent(stream) == 0) {
    watch_idle(stream);
    stream->events->on_sent(stream, 0);
  } else if (had_queued && bytes_len(&out->queued) == 0 && stream->events->on_room != NULL) {
    stream->events->on_room(stream);
  }
}

static void poll_first(struct stream *stream) {
  if (++stream->out.polls > STREAM_POLLS_MAX) {
    stream->out.polls = 0;
    stream_retry_later(stream);
    return;
  }
  start_poll(stream);
}

static void recover(struct stream *stream, enum op_kind kind, int value) {
  switch (op_outcome(kind, value)) {
    case OP_SUCCEEDED:
    case OP_AGAIN:
    case OP_CANCELLED:
      stream_out_start(stream);
      return;
    case OP_POLL_FIRST:
      poll_first(stream);
      return;
    case OP_NO_BUFFER:
    case OP_LATER:
      stream_retry_later(stream);
      return;
    case OP_FAILED:
      fail(stream, -value);
      return;
  }
}

static void on_send_done(struct ring_op *op, const struct op_result *result) {
  struct stream *stream = LIST_ENTRY(op, struct stream, out.op);
  OBJECT_CHECK(stream, STREAM_MAGIC);
  struct slice data = bytes_peek(&stream->out.sending);
  unpoison_from_kernel(data.data, data.len);
  if (stream->closing) {
    op_stopper_rest(&stream->out.stopper);
    stream_maybe_closed(stream);
  } else if (op->kind != OP_POLL && result->value > 0) {
    advance(stream, (size_t)result->value);
  } else {
    recover(stream, op->kind, result->value);
  }
}

static void on_stopper_rested(void *owner) {
  stream_maybe_closed(owner);
}

void stream_out_init(struct stream *stream, size_t max_queued) {
  struct stream_out *out = &stream->out;
  bytes_init(&out->queued, max_queued);
  bytes_init(&out->sending, max_queued);
  op_init(&out->op, OP_SEND, stream->fd, on_send_done);
  op_stopper_init(&out->stopper, stream->loop, &out->op, on_stopper_rested, stream);
  timer_init(&out->idle, on_idle);
}

void stream_out_stop(struct stream *stream) {
  timer_cancel(stream->loop, &stream->out.idle);
  bytes_cleanup(&stream->out.queued);
  op_stopper_stop(&stream->out.stopper);
}

bool stream_out_busy(const struct stream *stream) {
  return op_busy(&stream->out.op) || op_stopper_busy(&stream->out.stopper);
}

void stream_out_cleanup(struct stream *stream) {
  bytes_cleanup(&stream->out.sending);
  bytes_cleanup(&stream->out.queued);
  close_first_fds(stream, stream->out.num_fds);
}

struct bytes *stream_output(struct stream *stream) {
  OBJECT_CHECK(stream, STREAM_MAGIC);
  return &stream->out.queued;
}

void stream_flush(struct stream *stream) {
  OBJECT_CHECK(stream, STREAM_MAGIC);
  if (stream->closing || stream->out.error != 0) {
    bytes_cleanup(&stream->out.queued);
    return;
  }
  stream_out_start(stream);
}

status_t stream_send_fd(struct stream *stream, int fd) {
  OBJECT_CHECK(stream, STREAM_MAGIC);
  assert((stream->flags & STREAM_WITH_FDS) != 0);
  struct stream_out *out = &stream->out;
  if (stream->closing || out->error != 0) {
    closer_close(stream->uid, fd);
    return OK_STATUS;
  }
  uint64_t offset = end_offset(out);
  ENSURE(out->num_fds < STREAM_FDS_QUEUED_MAX, RESOURCE_EXHAUSTED);
  ENSURE(count_fds_at(out, offset) < STREAM_FDS_MAX, RESOURCE_EXHAUSTED);
  out->fds[out->num_fds++] = (struct queued_fd){.offset = offset, .fd = fd};
  return OK_STATUS;
}

size_t stream_unsent(const struct stream *stream) {
  OBJECT_CHECK(stream, STREAM_MAGIC);
  return bytes_len(&stream->out.queued) + bytes_len(&stream->out.sending);
}

void stream_shutdown(struct stream *stream) {
  OBJECT_CHECK(stream, STREAM_MAGIC);
  stream->out.fin_wanted = true;
  stream_out_start(stream);
}
