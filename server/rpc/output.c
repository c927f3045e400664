#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "server/base/log.h"
#include "server/rpc/rpc_priv.h"

static void run_flush(struct task *task) {
  struct connection *connection = LIST_ENTRY(task, struct connection, flush);
  OBJECT_CHECK(connection, CONNECTION_MAGIC);
  stream_flush(connection->stream);
}

void output_init(struct connection *connection) {
  task_init(&connection->flush, run_flush);
}

static void set_unsent(struct connection *connection, bool unsent) {
  if (connection->unsent == unsent) {
    return;
  }
  connection->unsent = unsent;
  connection->home->load.unsent += unsent ? 1 : -(size_t)1;
  if (!unsent) {
    rpc_home_report(connection->home);
  }
}

// Gives back what is charged for bytes that have been sent meanwhile.
static void recharge(struct connection *connection, uint64_t unsent) {
  if (connection->charged > unsent) {
    ceiling_give(&connection->share->reply_bytes, connection->charged - unsent);
    connection->charged = unsent;
  }
}

// A peer that does not read its answers is not asked for more questions.
static void pause_if_unread(struct connection *connection) {
  uint64_t enough = connection->home->server->limits.queued_bytes / 2;
  if (!connection->paused && stream_unsent(connection->stream) > enough) {
    connection->paused = true;
    stream_pause(connection->stream);
  }
}

// After bytes were queued. All answers of one turn leave in one send.
static void queued(struct connection *connection) {
  set_unsent(connection, true);
  pause_if_unread(connection);
  task_schedule(connection->home->loop, &connection->flush, TASK_DATA);
}

void output_sent(struct connection *connection) {
  recharge(connection, 0);
  set_unsent(connection, false);
  if (connection->paused && connection->state == CONNECTION_OPEN) {
    connection->paused = false;
    stream_receive(connection->stream);
  }
}

void output_drop(struct connection *connection) {
  task_cancel(&connection->flush);
  recharge(connection, 0);
  set_unsent(connection, false);
}

static void close_fd(struct connection *connection, int fd) {
  if (fd >= 0) {
    closer_close(connection->share->uid, fd);
  }
}

static status_t check_room(const struct connection *connection, size_t size, struct sentence *why) {
  uint64_t max = connection->home->server->limits.queued_bytes;
  size_t unsent = stream_unsent(connection->stream);
  // The largest frame has to fit into a queue of that size.
  if (size > max + FRAME_HEADER_BYTES || unsent > max + FRAME_HEADER_BYTES - size) {
    return refuse_limit(why, "queued_bytes", max);
  }
  return OK_STATUS;
}

static status_t reserve(struct connection *connection, size_t size, uint8_t **out,
                        struct sentence *why) {
  TRY(check_room(connection, size, why));
  status_t status = bytes_reserve(stream_output(connection->stream), size, out);
  if (!status_ok(status)) {
    return refuse(why, status.code, "out of memory for an answer of %zu bytes", size);
  }
  return OK_STATUS;
}

// A descriptor travels with the next byte that is appended.
static status_t attach(struct connection *connection, int fd, struct sentence *why) {
  if (fd >= 0 && !status_ok(stream_send_fd(connection->stream, fd))) {
    close_fd(connection, fd);
    return refuse(why, STATUS_RESOURCE_EXHAUSTED, "too many descriptors wait to be sent");
  }
  return OK_STATUS;
}

static status_t reserve_with_fd(struct connection *connection, size_t size, int fd, uint8_t **out,
                                struct sentence *why) {
  status_t status = reserve(connection, size, out, why);
  if (!status_ok(status)) {
    close_fd(connection, fd);
    return status;
  }
  return attach(connection, fd, why);
}

static void commit(struct connection *connection, size_t size) {
  recharge(connection, stream_unsent(connection->stream));
  connection->charged += size;
  bytes_commit(stream_output(connection->stream), size);
  queued(connection);
}

status_t output_measure(const struct codec *codec, const ProtobufCMessage *response,
                        struct reply_size *out, struct sentence *why) {
  *out = codec->measure(response);
  if (out->frame == SIZE_MAX) {
    return refuse(why, STATUS_RESOURCE_EXHAUSTED,
                  "the answer (%zu bytes) is larger than a frame may be (%d bytes)", out->payload,
                  FRAME_LENGTH_MAX);
  }
  return OK_STATUS;
}

static status_t charge(struct connection *connection, size_t size, struct sentence *why) {
  return take_or_refuse(&connection->share->reply_bytes, size, why);
}

static status_t prepare_reply(struct connection *connection, const ProtobufCMessage *response,
                              struct reply_size *out, struct sentence *why) {
  TRY(output_measure(connection->codec, response, out, why));
  return charge(connection, out->frame, why);
}

status_t output_reply(struct connection *connection, uint32_t stream_id,
                      const ProtobufCMessage *response, int fd, struct sentence *why) {
  struct reply_size size;
  status_t status = prepare_reply(connection, response, &size, why);
  if (!status_ok(status)) {
    close_fd(connection, fd);
    return status;
  }
  uint8_t *out = NULL;
  status = reserve_with_fd(connection, size.frame, fd, &out, why);
  if (!status_ok(status)) {
    ceiling_give(&connection->share->reply_bytes, size.frame);
    return status;
  }
  connection->codec->write(out, size, stream_id, response);
  commit(connection, size.frame);
  return OK_STATUS;
}

status_t output_packed(struct connection *connection, struct slice frame, int fd,
                       struct sentence *why) {
  uint8_t *out = NULL;
  status_t status = reserve_with_fd(connection, frame.len, fd, &out, why);
  if (!status_ok(status)) {
    ceiling_give(&connection->share->reply_bytes, frame.len);
    return status;
  }
  memcpy(out, frame.data, frame.len);
  commit(connection, frame.len);
  return OK_STATUS;
}

static bool append_failure(struct connection *connection, struct slice frame) {
  uint64_t max = connection->home->server->limits.queued_bytes + OUTPUT_RESERVE;
  return stream_unsent(connection->stream) + frame.len <= max &&
         status_ok(bytes_append(stream_output(connection->stream), frame));
}

static void log_unread(struct connection *connection) {
  uint64_t unlogged = 0;
  if (rpc_home_may_log(connection->home, &unlogged)) {
    LOG_WARNING("closed a connection of uid %u, pid %d: it does not read its answers (%" PRIu64
                " lines not logged)",
                (unsigned)connection->peer.uid, (int)connection->peer.pid, unlogged);
  }
}

void output_failure(struct connection *connection, uint32_t stream_id, enum status_code code,
                    const char *text) {
  uint8_t frame[FAILURE_FRAME_MAX];
  size_t size = connection->codec->write_failure(frame, stream_id, code, text);
  counter_add(COUNTER_calls_failed, 1);
  if (append_failure(connection, slice_of(frame, size))) {
    queued(connection);
    return;
  }
  log_unread(connection);
  connection_close(connection);
}
