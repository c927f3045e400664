#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"
#include "server/rpc/rpc_priv.h"

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

// All answers of one turn leave in one send.
void output_wake(struct connection *connection) {
  set_unsent(connection, true);
  task_schedule(connection->home->loop, &connection->flush, TASK_DATA);
}

// After bytes were queued.
static void queued(struct connection *connection) {
  pause_if_unread(connection);
  output_wake(connection);
}

// Where nothing waits for windows, what was sent is gone when all is.
static void tell_streams(struct connection *connection) {
  LIST_FOR(link, &connection->calls) {
    call_all_gone(LIST_ENTRY(link, struct call, link));
  }
}

// Nothing is on its way to the socket; what waits for the peer's windows is still to be sent.
static void rest(struct connection *connection) {
  if (connection->num_streams > 0 && connection->codec->fill == NULL) {
    tell_streams(connection);
  }
  set_unsent(connection, connection->waiting > 0);
  if (connection->paused && connection->state == CONNECTION_OPEN) {
    connection->paused = false;
    stream_receive(connection->stream);
  }
}

static bool has_more(const struct connection *connection) {
  return connection->codec != NULL && connection->codec->fill != NULL;
}

void output_refill(struct connection *connection) {
  if (has_more(connection)) {
    connection->codec->fill(connection);
  }
  if (connection->state == CONNECTION_CLOSING) {
    return;
  }
  stream_flush(connection->stream);
  if (stream_unsent(connection->stream) == 0) {
    rest(connection);
  }
}

void output_sent(struct connection *connection) {
  recharge(connection, 0);
  if (has_more(connection)) {
    output_refill(connection);
  } else {
    rest(connection);
  }
}

void output_room(struct connection *connection) {
  if (has_more(connection)) {
    output_refill(connection);
  }
}

static void run_flush(struct task *task) {
  struct connection *connection = LIST_ENTRY(task, struct connection, flush);
  OBJECT_CHECK(connection, CONNECTION_MAGIC);
  output_refill(connection);
  if (connection->state == CONNECTION_ENDED && stream_unsent(connection->stream) == 0) {
    connection_close(connection);
  }
}

void output_init(struct connection *connection) {
  task_init(&connection->flush, run_flush);
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

status_t output_check_room(const struct connection *connection, size_t size, struct sentence *why) {
  uint64_t max = connection->home->server->limits.queued_bytes;
  uint64_t unsent = stream_unsent(connection->stream) + connection->waiting;
  // The largest frame has to fit into a queue of that size.
  if (size > max + FRAME_HEADER_BYTES || unsent > max + FRAME_HEADER_BYTES - size) {
    return refuse_limit(why, "queued_bytes", max);
  }
  return OK_STATUS;
}

static status_t reserve(struct connection *connection, size_t size, uint8_t **out,
                        struct sentence *why) {
  TRY(output_check_room(connection, size, why));
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

void output_commit(struct connection *connection, size_t size, size_t charged) {
  recharge(connection, stream_unsent(connection->stream));
  connection->charged += charged;
  bytes_commit(stream_output(connection->stream), size);
}

static void commit(struct connection *connection, size_t size) {
  output_commit(connection, size, size);
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

static status_t prepare_reply(struct connection *connection, const ProtobufCMessage *response,
                              struct reply_size *out, struct sentence *why) {
  TRY(output_measure(connection->codec, response, out, why));
  return take_or_refuse(&connection->share->reply_bytes, out->frame, why);
}

status_t output_append_reply(struct connection *connection, uint32_t stream_id,
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
  connection->codec->pack(out, size, stream_id, response);
  commit(connection, size.frame);
  return OK_STATUS;
}

static status_t append_packed(struct connection *connection, struct packed packed, int fd,
                              struct sentence *why) {
  uint8_t *out = NULL;
  TRY(reserve_with_fd(connection, packed.len, fd, &out, why));
  memcpy(out, packed.data, packed.len);
  commit(connection, packed.len);
  return OK_STATUS;
}

status_t output_append_packed(struct connection *connection, struct packed packed, int fd,
                              struct sentence *why) {
  status_t status = append_packed(connection, packed, fd, why);
  if (!status_ok(status)) {
    ceiling_give(&connection->share->reply_bytes, packed.len);
  }
  packed_free(packed);
  return status;
}

void packed_free(struct packed packed) {
  if (packed.data != NULL) {
    explicit_bzero(packed.data, packed.len);
  }
  free(packed.data);
}

static void log_unread(struct connection *connection) {
  uint64_t unlogged = 0;
  if (rpc_home_may_log(connection->home, &unlogged)) {
    char who[PEER_TEXT_MAX];
    peer_text(&connection->peer, who);
    LOG_WARNING("closed a connection of %s: it does not read its answers (%" PRIu64
                " lines not logged)",
                who, unlogged);
  }
}

void output_append_status(struct connection *connection, struct slice frame) {
  uint64_t max = connection->home->server->limits.queued_bytes + OUTPUT_RESERVE;
  if (stream_unsent(connection->stream) + frame.len <= max &&
      status_ok(bytes_append(stream_output(connection->stream), frame))) {
    queued(connection);
    return;
  }
  log_unread(connection);
  connection_close(connection);
}

void output_failure(struct connection *connection, uint32_t stream_id, enum status_code code,
                    const char *text) {
  counter_add(COUNTER_calls_failed, 1);
  connection->codec->fail(connection, stream_id, code, text);
}
