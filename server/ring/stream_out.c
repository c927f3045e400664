// What a stream sends: strictly one send in flight, since overlapping ones may be reordered.
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
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
static size_t count_fds_at(const struct parcel *parcel, uint64_t offset) {
  size_t num = 0;
  for (size_t i = 0; parcel != NULL && i < parcel->num; i++) {
    num += parcel->fds[i].offset == offset;
  }
  return num;
}

static void close_first_fds(struct stream *stream, size_t num) {
  struct parcel *parcel = stream->out.parcel;
  for (size_t i = 0; i < num; i++) {
    closer_close(stream->uid, parcel->fds[i].fd);
  }
  parcel->num -= num;
  memmove(parcel->fds, parcel->fds + num, parcel->num * sizeof(parcel->fds[0]));
}

static void close_all_fds(struct stream *stream) {
  if (stream->out.parcel != NULL) {
    close_first_fds(stream, stream->out.parcel->num);
  }
}

static void attach_fds(struct parcel *parcel) {
  int fds[STREAM_FDS_MAX];
  for (size_t i = 0; i < parcel->num_attached; i++) {
    fds[i] = parcel->fds[i].fd;
  }
  descriptors_attach(&parcel->message, &parcel->control, fds, parcel->num_attached);
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
  const struct parcel *parcel = out->parcel;
  if (parcel != NULL && parcel->num_attached < parcel->num) {
    uint64_t until = parcel->fds[parcel->num_attached].offset - out->sent;
    data.len = until < data.len ? (size_t)until : data.len;
  }
  assert(data.len > 0);
  return data;
}

static void start_sendmsg(struct stream_out *out, struct slice data) {
  struct parcel *parcel = out->parcel;
  parcel->segment = (struct iovec){.iov_base = (void *)data.data, .iov_len = data.len};
  parcel->message = (struct msghdr){.msg_iov = &parcel->segment, .msg_iovlen = 1};
  attach_fds(parcel);
  out->op.kind = OP_SENDMSG;
  out->op.message = &parcel->message;
}

static bool attaches_fds(struct stream_out *out) {
  if (out->parcel == NULL) {
    return false;
  }
  out->parcel->num_attached = count_fds_at(out->parcel, out->sent);
  return out->parcel->num_attached > 0;
}

static void start_send(struct stream *stream) {
  struct stream_out *out = &stream->out;
  const bool with_fds = attaches_fds(out);
  struct slice data = next_segment(out);
  if (with_fds) {
    start_sendmsg(out, data);
  } else {
    out->op.kind = OP_SEND;
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
  close_all_fds(stream);
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
  if (out->parcel != NULL) {
    close_first_fds(stream, out->parcel->num_attached);
  }
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
  close_all_fds(stream);
  free(stream->out.parcel);
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
  if (out->parcel == NULL) {
    out->parcel = calloc(1, sizeof(*out->parcel));
    ENSURE(out->parcel != NULL, RESOURCE_EXHAUSTED);
  }
  struct parcel *parcel = out->parcel;
  uint64_t offset = end_offset(out);
  ENSURE(parcel->num < STREAM_FDS_QUEUED_MAX, RESOURCE_EXHAUSTED);
  ENSURE(count_fds_at(parcel, offset) < STREAM_FDS_MAX, RESOURCE_EXHAUSTED);
  parcel->fds[parcel->num++] = (struct queued_fd){.offset = offset, .fd = fd};
  return OK_STATUS;
}

void stream_set_max_queued(struct stream *stream, size_t max_queued) {
  OBJECT_CHECK(stream, STREAM_MAGIC);
  stream->out.queued.max = max_queued;
  stream->out.sending.max = max_queued;
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
