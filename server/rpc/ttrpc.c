// ttrpc: from bytes to requests. Whether a frame is welcome is judged by its header; an unwelcome
// one is answered at once and its body goes by unstored, so the connection lives on.
#include <inttypes.h>

#include "server/base/log.h"
#include "server/rpc/rpc_priv.h"

static status_t ttrpc_begin(struct connection *connection) {
  struct ttrpc_state *state = &connection->ttrpc;
  frame_reader_init(&state->reader);
  state->last_stream_id = 0;
  state->num_frames = 0;
  state->charged = 0;
  attachments_init(&state->descriptors, &connection->share->descriptors, connection->share->uid);
  return OK_STATUS;
}

static void uncharge(struct connection *connection) {
  ceiling_give(&connection->share->request_bytes, connection->ttrpc.charged);
  connection->ttrpc.charged = 0;
}

static void ttrpc_end(struct connection *connection) {
  uncharge(connection);
  attachments_close(&connection->ttrpc.descriptors);
  frame_reader_cleanup(&connection->ttrpc.reader);
}

static status_t check_stream_id(struct ttrpc_state *state, uint32_t id, struct sentence *why) {
  if (id % 2 == 0) {
    return refuse(why, STATUS_INVALID_ARGUMENT, "stream id %" PRIu32 " is not odd", id);
  }
  if (id <= state->last_stream_id) {
    return refuse(why, STATUS_INVALID_ARGUMENT,
                  "stream id %" PRIu32 " is not larger than the last one, %" PRIu32, id,
                  state->last_stream_id);
  }
  state->last_stream_id = id;
  return OK_STATUS;
}

static status_t check_shape(const struct connection *connection, const struct frame_header *header,
                            struct sentence *why) {
  uint64_t max = connection->home->server->limits.frame_bytes;
  if (header->length > max) {
    return refuse(why, STATUS_RESOURCE_EXHAUSTED,
                  "a frame of %" PRIu32 " bytes is larger than limit \"frame_bytes\" (%" PRIu64 ")",
                  header->length, max);
  }
  return OK_STATUS;
}

static status_t judge_request(struct connection *connection, const struct frame_header *header,
                              struct sentence *why) {
  struct ceiling *request_bytes = &connection->share->request_bytes;
  TRY(check_stream_id(&connection->ttrpc, header->stream_id, why));
  TRY(admit_check_stage(connection, why));
  TRY(check_shape(connection, header, why));
  TRY(take_or_refuse(request_bytes, header->length, why));
  connection->ttrpc.charged = header->length;
  return OK_STATUS;
}

static void begin_request(struct connection *connection, const struct frame_header *header) {
  struct sentence why;
  status_t status = judge_request(connection, header, &why);
  if (status_ok(status)) {
    return;
  }
  frame_skip(&connection->ttrpc.reader);
  output_failure(connection, header->stream_id, status.code, why.text);
  if (connection->refused) {
    connection_end(connection);
  }
}

// Data for no call is answered, but for one that is over by now: its end is on its way.
static void refuse_data(struct connection *connection, const struct frame_header *header) {
  frame_skip(&connection->ttrpc.reader);
  output_failure(connection, header->stream_id, STATUS_INVALID_ARGUMENT, call_cause_data.text);
}

static status_t judge_data(struct connection *connection, const struct frame_header *header,
                           struct sentence *why) {
  TRY(check_shape(connection, header, why));
  TRY(take_or_refuse(&connection->share->request_bytes, header->length, why));
  connection->ttrpc.charged = header->length;
  return OK_STATUS;
}

// A unary call that data claims to be for ends, with one answer.
static void begin_data(struct connection *connection, const struct frame_header *header) {
  struct sentence why;
  struct call *call = connection_call(connection, header->stream_id);
  if (call == NULL) {
    refuse_data(connection, header);
  } else if (call->stream == NULL || call->method->kind != METHOD_BOTH_SEND) {
    frame_skip(&connection->ttrpc.reader);
    call_cancel(call, &call_cause_data);
  } else if (!status_ok(judge_data(connection, header, &why))) {
    frame_skip(&connection->ttrpc.reader);
    call_cancel(call, &call_cause_message);
  }
}

static void begin_frame(struct connection *connection) {
  const struct frame_header *header = &connection->ttrpc.reader.header;
  connection->ttrpc.num_frames++;
  switch (header->type) {
    case FRAME_REQUEST:
      begin_request(connection, header);
      return;
    case FRAME_DATA:
      begin_data(connection, header);
      return;
    default:
      frame_skip(&connection->ttrpc.reader);  // a later version's; ignored as the protocol asks
  }
}

// The call may have ended while its data came.
static void complete_data(struct connection *connection, struct slice body) {
  const struct frame_header header = connection->ttrpc.reader.header;
  struct call *call = connection_call(connection, header.stream_id);
  uncharge(connection);
  if (call != NULL && (header.flags & FRAME_NO_DATA) == 0) {
    call_receive(call, body);
    call = connection_call(connection, header.stream_id);
  }
  if (call != NULL && (header.flags & FRAME_REMOTE_CLOSED) != 0) {
    call_half_close(call);
  }
}

static void complete_request(struct connection *connection, struct slice body) {
  struct ttrpc_state *state = &connection->ttrpc;
  uint32_t stream_id = state->reader.header.stream_id;
  struct request request = {.stream_id = stream_id,
                            .opens = (state->reader.header.flags & FRAME_REMOTE_OPEN) != 0,
                            .charged = state->charged,
                            .descriptors = &state->descriptors};
  if (!envelope_parse(body, &request.envelope)) {
    counter_add(COUNTER_frames_malformed, 1);
    uncharge(connection);
    output_failure(connection, stream_id, STATUS_INVALID_ARGUMENT,
                   "the frame does not hold a ttrpc.Request");
    return;
  }
  state->charged = 0;
  call_start(connection, &request);
}

static void complete_frame(struct connection *connection, struct slice body) {
  if (connection->ttrpc.reader.header.type == FRAME_DATA) {
    complete_data(connection, body);
  } else {
    complete_request(connection, body);
  }
}

static void no_memory(struct connection *connection) {
  uncharge(connection);
  output_failure(connection, connection->ttrpc.reader.header.stream_id, STATUS_RESOURCE_EXHAUSTED,
                 "out of memory");
}

static void malformed(struct connection *connection) {
  counter_add(COUNTER_frames_malformed, 1);
  connection_reject(connection, "it sent a frame with a length past 16 MiB");
}

static void ttrpc_give_up(struct connection *connection) {
  connection_reject(connection, "a frame took longer than limit \"request_millis\" to arrive");
}

// Descriptors belong to the frame that has the last byte of the chunk they came with: to the last
// one that begins in it, or else to the one it continues.
static void claim_if_last(struct connection *connection, const struct slice *chunk,
                          struct attachments *arrived) {
  if (chunk->len == 0) {
    attachments_move(&connection->ttrpc.descriptors, arrived);
  }
}

// Nothing waits for the descriptors of a frame that goes by.
static void wait_for_rest(struct connection *connection) {
  if (connection->ttrpc.reader.state == FRAME_READER_SKIP) {
    attachments_close(&connection->ttrpc.descriptors);
  }
}

// Does what comes next in the chunk; false when there is nothing more to be done with it.
static bool step(struct connection *connection, struct slice *chunk, struct attachments *arrived) {
  struct slice body;
  switch (frame_next(&connection->ttrpc.reader, chunk, &body)) {
    case FRAME_BEGINS:
      begin_frame(connection);
      return true;
    case FRAME_COMPLETE:
      claim_if_last(connection, chunk, arrived);
      complete_frame(connection, body);
      attachments_close(&connection->ttrpc.descriptors);
      return true;
    case FRAME_SKIPPED:
      claim_if_last(connection, chunk, arrived);
      attachments_close(&connection->ttrpc.descriptors);
      return true;
    case FRAME_NO_MEMORY:
      no_memory(connection);
      return true;
    case FRAME_PARTIAL:
      claim_if_last(connection, chunk, arrived);
      wait_for_rest(connection);
      return false;
    case FRAME_MALFORMED:
      break;
  }
  malformed(connection);
  return false;
}

static void ttrpc_receive(struct connection *connection, struct slice data,
                          struct attachments *arrived) {
  while (connection->state == CONNECTION_OPEN && step(connection, &data, arrived)) {
  }
}

// Between two frames nobody waits for anything.
static uint64_t ttrpc_unfinished(const struct connection *connection) {
  const struct frame_reader *reader = &connection->ttrpc.reader;
  bool between = reader->state == FRAME_READER_HEADER && reader->head_len == 0;
  return between ? 0 : connection->ttrpc.num_frames + 1;
}

static void ttrpc_fail(struct connection *connection, uint32_t stream_id, enum status_code code,
                       const char *text) {
  uint8_t frame[FAILURE_FRAME_MAX];
  size_t size = failure_write(frame, stream_id, code, text);
  output_append_status(connection, slice_of(frame, size));
}

// To stream 1, which is the first that a client uses.
static size_t ttrpc_refusal(uint8_t out[CODEC_REFUSAL_MAX], const char *text) {
  return failure_write(out, 1, STATUS_RESOURCE_EXHAUSTED, text);
}

static status_t ttrpc_send(struct connection *connection, uint32_t stream_id, struct packed packed,
                           int fd, struct sentence *why) {
  (void)stream_id;  // it is in the frame
  return output_append_packed(connection, packed, fd, why);
}

// ---------------------------------------------------------------------------------------------
// Streaming: messages are bare in data frames, and a good end is one without.

static struct reply_size ttrpc_measure_message(const ProtobufCMessage *message) {
  size_t payload = protobuf_c_message_get_packed_size(message);
  return (struct reply_size){
      .payload = payload,
      .frame = payload > FRAME_LENGTH_MAX ? SIZE_MAX : FRAME_HEADER_BYTES + payload,
  };
}

static void ttrpc_pack_message(uint8_t *out, struct reply_size size, uint32_t stream_id,
                               const ProtobufCMessage *message) {
  struct frame_header header = {
      .length = (uint32_t)size.payload, .stream_id = stream_id, .type = FRAME_DATA};
  frame_header_write(out, &header);
  protobuf_c_message_pack(message, out + FRAME_HEADER_BYTES);
}

static status_t ttrpc_send_message(struct connection *connection, uint32_t stream_id,
                                   struct packed packed, struct sentence *why) {
  return ttrpc_send(connection, stream_id, packed, -1, why);
}

static void ttrpc_finish(struct connection *connection, uint32_t stream_id) {
  uint8_t frame[FRAME_HEADER_BYTES];
  struct frame_header header = {
      .stream_id = stream_id, .type = FRAME_DATA, .flags = FRAME_REMOTE_CLOSED | FRAME_NO_DATA};
  frame_header_write(frame, &header);
  output_append_status(connection, slice_of(frame, sizeof(frame)));
}

const struct codec codec_ttrpc = {
    .name = "ttrpc",
    .carries_fds = true,
    .refusal = ttrpc_refusal,
    .begin = ttrpc_begin,
    .receive = ttrpc_receive,
    .end = ttrpc_end,
    .unfinished = ttrpc_unfinished,
    .give_up = ttrpc_give_up,
    .measure = reply_measure,
    .pack = reply_write,
    .reply = output_append_reply,
    .send = ttrpc_send,
    .fail = ttrpc_fail,
    .measure_message = ttrpc_measure_message,
    .pack_message = ttrpc_pack_message,
    .send_message = ttrpc_send_message,
    .finish = ttrpc_finish,
};
