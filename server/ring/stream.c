#include "server/ring/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "server/ring/stream_private.h"

static void retry(struct stream *stream) {
  stream_in_start(stream);
  stream_out_start(stream);
}

static void on_retry(struct timer *timer) {
  retry(LIST_ENTRY(timer, struct stream, retry));
}

static void on_retry_now(struct task *task) {
  retry(LIST_ENTRY(task, struct stream, retry_now));
}

void stream_retry_later(struct stream *stream) {
  clock_time when = clock_add(clock_now(), STREAM_RETRY_MS * NANOS_PER_MILLI);
  if (!status_ok(timer_set(stream->loop, &stream->retry, when))) {
    task_schedule(stream->loop, &stream->retry_now, TASK_DATA);
  }
}

static void free_stream(struct stream *stream) {
  stream_in_cleanup(stream);
  stream_out_cleanup(stream);
  stream->magic = 0;
  free(stream);
}

static void on_closed(struct task *task) {
  struct stream *stream = LIST_ENTRY(task, struct stream, closed);
  closer_close(stream->uid, stream->fd);
  stream->fd = -1;
  stream->events->on_closed(stream);
  free_stream(stream);
}

void stream_maybe_closed(struct stream *stream) {
  if (stream->closing && !stream_in_busy(stream) && !stream_out_busy(stream)) {
    task_schedule(stream->loop, &stream->closed, TASK_DATA);
  }
}

static void init(struct stream *stream, struct loop *loop, uid_t uid, int fd, int flags) {
  stream->magic = STREAM_MAGIC;
  stream->loop = loop;
  stream->uid = uid;
  stream->fd = fd;
  stream->flags = flags;
  task_init(&stream->closed, on_closed);
  timer_init(&stream->retry, on_retry);
  task_init(&stream->retry_now, on_retry_now);
}

status_t stream_new(struct loop *loop, uid_t uid, int fd, int flags, size_t max_queued,
                    const struct stream_events *events, void *owner, struct stream **out) {
  struct stream *stream = calloc(1, sizeof(*stream));
  if (stream == NULL) {
    closer_close(uid, fd);
    return status_of(STATUS_RESOURCE_EXHAUSTED);
  }
  init(stream, loop, uid, fd, flags);
  stream->events = events;
  stream->owner = owner;
  stream_out_init(stream, max_queued);
  stream_in_init(stream);
  *out = stream;
  return OK_STATUS;
}

void *stream_owner(struct stream *stream) {
  OBJECT_CHECK(stream, STREAM_MAGIC);
  return stream->owner;
}

int stream_fd(const struct stream *stream) {
  OBJECT_CHECK(stream, STREAM_MAGIC);
  return stream->fd;
}

bool stream_is_idle(const struct stream *stream) {
  return !stream_receiving(stream) && !stream_in_busy(stream) && !stream_out_busy(stream) &&
         stream_unsent(stream) == 0;
}

// Disconnecting a TCP socket sends a reset; others refuse (connect(2)).
void stream_reset(struct stream *stream) {
  OBJECT_CHECK(stream, STREAM_MAGIC);
  const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
  if (!stream->closing) {
    (void)!connect(stream->fd, &nobody, sizeof(nobody));
  }
  stream_close(stream);
}

void stream_close(struct stream *stream) {
  OBJECT_CHECK(stream, STREAM_MAGIC);
  if (stream->closing) {
    return;
  }
  stream->closing = true;
  timer_cancel(stream->loop, &stream->retry);
  task_cancel(&stream->retry_now);
  stream_in_stop(stream);
  stream_out_stop(stream);
  stream_maybe_closed(stream);
}
