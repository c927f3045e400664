// One stream of HTTP/2: a request as it comes, and the call that is made of it. A message is judged
// by its prefix, before a byte of it is stored; what is unwelcome is answered at once, and goes by.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "server/rpc/grpc_priv.h"
#include "server/rpc/grpc_text.h"

// ---------------------------------------------------------------------------------------------
// Beginning and end

// Most of what is told one after another is of one stream.
struct grpc_stream *grpc_stream_of(const struct connection *connection, uint32_t id) {
  struct grpc_state *state = connection->grpc;
  struct grpc_stream *stream = state->recent;
  if (stream == NULL || stream->id != (int32_t)id) {
    stream = nghttp2_session_get_stream_user_data(state->session, (int32_t)id);
  }
  if (stream != NULL) {
    OBJECT_CHECK(stream, GRPC_STREAM_MAGIC);
    state->recent = stream;
  }
  return stream;
}

struct grpc_stream *grpc_stream_new(struct connection *connection, int32_t id) {
  struct grpc_stream *stream = spares_take(&connection->home->spares, sizeof(*stream));
  if (stream == NULL) {
    return NULL;
  }
  stream->magic = GRPC_STREAM_MAGIC;
  stream->connection = connection;
  stream->id = id;
  bytes_init(&stream->body, FRAME_LENGTH_MAX);
  list_init(&stream->link);
  list_init(&stream->incoming);
  list_init(&stream->answers);
  list_push_back(&connection->grpc->streams, &stream->link);
  list_push_back(&connection->grpc->incoming, &stream->incoming);
  return stream;
}

void grpc_stream_drop_request(struct grpc_stream *stream) {
  ceiling_give(&stream->connection->share->request_bytes, stream->charged);
  stream->charged = 0;
  bytes_cleanup(&stream->body);
  stream->lent = slice_of(NULL, 0);
}

// No pointer to it stays.
static void forget(struct grpc_state *state, const struct grpc_stream *stream) {
  state->recent = state->recent == stream ? NULL : state->recent;
  state->borrower = state->borrower == stream ? NULL : state->borrower;
}

void grpc_stream_free(struct grpc_stream *stream) {
  grpc_stream_drop_request(stream);
  grpc_answer_drop(stream);
  list_remove(&stream->incoming);
  list_remove(&stream->link);
  forget(stream->connection->grpc, stream);
  spares_give(&stream->connection->home->spares, stream);
}

// Whoever ends a stream before its answer has gone doesn't wait for it any more. One that has been
// answered to the end has no call.
void grpc_stream_closed(struct grpc_stream *stream) {
  struct connection *connection = stream->connection;
  int32_t id = stream->id;
  struct call *call = stream->over ? NULL : connection_call(connection, (uint32_t)id);
  grpc_stream_free(stream);
  if (call != NULL) {
    nghttp2_session_set_stream_user_data(connection->grpc->session, id, NULL);
    call_cancel(call, &call_cause_cancelled);
  }
}

void grpc_stream_refuse(struct grpc_stream *stream, enum status_code code,
                        const struct sentence *why) {
  grpc_stream_drop_request(stream);
  stream->stage = GRPC_REFUSED;
  output_failure(stream->connection, (uint32_t)stream->id, code, why->text);
}

// ---------------------------------------------------------------------------------------------
// The message

static status_t check_length(const struct grpc_stream *stream, struct sentence *why) {
  uint64_t max = stream->connection->home->server->limits.frame_bytes;
  if (stream->length > max) {
    return refuse(why, STATUS_RESOURCE_EXHAUSTED,
                  "a frame of %zu bytes is larger than limit \"frame_bytes\" (%" PRIu64 ")",
                  stream->length, max);
  }
  return OK_STATUS;
}

// The length is known, and nothing is stored yet.
static status_t judge_message(struct grpc_stream *stream, struct sentence *why) {
  struct slice prefix = slice_of(stream->prefix, sizeof(stream->prefix));
  uint8_t flag = 0;
  uint32_t length = 0;
  bool whole = slice_take_u8(&prefix, &flag) && slice_take_be32(&prefix, &length);
  stream->compressed = flag != 0;
  stream->length = length;
  if (!whole || stream->compressed) {
    return refuse(why, STATUS_UNIMPLEMENTED, "compressed messages are not implemented");
  }
  TRY(check_length(stream, why));
  TRY(take_or_refuse(&stream->connection->share->request_bytes, length, why));
  stream->charged = length;
  return OK_STATUS;
}

static status_t take_prefix(struct grpc_stream *stream, struct slice *data, struct sentence *why) {
  size_t missing = GRPC_PREFIX_BYTES - stream->prefix_len;
  struct slice part = slice_of(data->data, data->len < missing ? data->len : missing);
  if (part.len == 0) {
    return OK_STATUS;
  }
  *data = slice_after(*data, part.len);
  memcpy(stream->prefix + stream->prefix_len, part.data, part.len);
  stream->prefix_len += part.len;
  return stream->prefix_len == GRPC_PREFIX_BYTES ? judge_message(stream, why) : OK_STATUS;
}

// Room for all of it, once so much has come that the rest is likely to: growing step by step would
// copy it several times. Little is claimed for what is only promised.
static status_t make_room(struct grpc_stream *stream, size_t more) {
  enum { CLAIMED_MAX = 128 << 10 };
  uint8_t *ignored;
  size_t have = bytes_len(&stream->body);
  size_t likely =
      have + more > CLAIMED_MAX || stream->length < CLAIMED_MAX ? stream->length : CLAIMED_MAX;
  return bytes_reserve(&stream->body, likely - have, &ignored);
}

static status_t store(struct grpc_stream *stream, struct slice data) {
  TRY(make_room(stream, data.len));
  return bytes_append(&stream->body, data);
}

static struct slice message_of(const struct grpc_stream *stream) {
  return stream->lent.len > 0 ? stream->lent : bytes_peek(&stream->body);
}

static status_t store_or_refuse(struct grpc_stream *stream, struct slice data,
                                struct sentence *why) {
  status_t status = store(stream, data);
  return status_ok(status) ? status : refuse(why, status.code, "out of memory");
}

// The request is likely to be taken before the bytes go.
static void borrow(struct grpc_stream *stream, struct slice data) {
  stream->lent = data;
  stream->connection->grpc->borrower = stream;
}

static status_t take_body(struct grpc_stream *stream, struct slice data, bool ends,
                          struct sentence *why) {
  if (data.len > stream->length - message_of(stream).len) {
    return refuse(why, STATUS_UNIMPLEMENTED,
                  "more than one message came for a call that takes one");
  }
  if (data.len == 0) {
    return OK_STATUS;
  }
  if (ends && data.len == stream->length) {
    borrow(stream, data);
    return OK_STATUS;
  }
  return store_or_refuse(stream, data, why);
}

static status_t take_data(struct grpc_stream *stream, struct slice data, bool ends,
                          struct sentence *why) {
  TRY(take_prefix(stream, &data, why));
  return take_body(stream, data, ends, why);
}

void grpc_stream_keep(struct grpc_stream *stream) {
  struct sentence why;
  struct slice lent = stream->lent;
  stream->lent = slice_of(NULL, 0);
  status_t status = lent.len > 0 ? store_or_refuse(stream, lent, &why) : OK_STATUS;
  if (!status_ok(status)) {
    grpc_stream_refuse(stream, status.code, &why);
  }
}

static void take_messages(struct grpc_stream *stream, struct slice data);

void grpc_stream_data(struct grpc_stream *stream, struct slice data, bool ends) {
  if (stream->stage == GRPC_STREAMS) {
    take_messages(stream, data);
    return;
  }
  if (stream->stage != GRPC_MESSAGE) {
    return;
  }
  struct sentence why;
  status_t status = take_data(stream, data, ends, &why);
  if (!status_ok(status)) {
    grpc_stream_refuse(stream, status.code, &why);
  }
}

// ---------------------------------------------------------------------------------------------
// The call

static status_t check_whole(const struct grpc_stream *stream, struct sentence *why) {
  if (stream->prefix_len == 0) {
    return refuse(why, STATUS_UNIMPLEMENTED, "no message came for a call that takes one");
  }
  if (stream->prefix_len < GRPC_PREFIX_BYTES || message_of(stream).len < stream->length) {
    return refuse(why, STATUS_INVALID_ARGUMENT, "the request ended in the middle of its message");
  }
  return OK_STATUS;
}

static status_t fill_envelope(struct grpc_stream *stream, struct envelope *out,
                              struct sentence *why) {
  const struct grpc_headers *headers = &stream->headers;
  *out = (struct envelope){
      .service = stream->service,
      .method = stream->name,
      .payload = message_of(stream),
      .timeout_nano = headers->timeout_nano,
      .has_token = headers->has_token,
      .token = slice_of(headers->token, headers->token_len),
  };
  return stream->has_path
             ? OK_STATUS
             : refuse(why, STATUS_UNIMPLEMENTED, "the path is not /package.Service/Method");
}

static status_t read_request(struct grpc_stream *stream, struct envelope *out,
                             struct sentence *why) {
  TRY(fill_envelope(stream, out, why));
  return check_whole(stream, why);
}

// The call takes over what is charged. Its answer may be submitted before this returns.
static void start(struct grpc_stream *stream, const struct envelope *envelope, bool opens) {
  struct attachments none;
  attachments_init(&none, &stream->connection->share->descriptors, stream->connection->share->uid);
  struct request request = {
      .envelope = *envelope,
      .method = stream->method,
      .stream_id = (uint32_t)stream->id,
      .opens = opens,
      .charged = stream->charged,
      .descriptors = &none,
  };
  stream->charged = 0;
  stream->stage = opens ? GRPC_STREAMS : GRPC_CALLED;
  call_start(stream->connection, &request);
  grpc_stream_drop_request(stream);
}

// ---------------------------------------------------------------------------------------------
// Many messages

static const struct call_cause cause_torn = {STATUS_INVALID_ARGUMENT, COUNTER_frames_malformed,
                                             "the stream ended in the middle of a message"};

static struct call *call_of(const struct grpc_stream *stream) {
  return connection_call(stream->connection, (uint32_t)stream->id);
}

// How long a client takes with its messages is its own affair.
void grpc_stream_open(struct grpc_stream *stream) {
  struct sentence why;
  struct envelope envelope;
  status_t status = fill_envelope(stream, &envelope, &why);
  list_remove(&stream->incoming);
  if (status_ok(status)) {
    start(stream, &envelope, true);
  } else {
    grpc_stream_refuse(stream, status.code, &why);
  }
}

static struct slice take_part(struct grpc_stream *stream, struct slice *data) {
  size_t missing = stream->length - bytes_len(&stream->body);
  struct slice part = slice_of(data->data, data->len < missing ? data->len : missing);
  *data = slice_after(*data, part.len);
  return part;
}

static void give_message(struct grpc_stream *stream) {
  struct call *call = call_of(stream);
  if (call != NULL && call->stream != NULL) {
    call_receive(call, bytes_peek(&stream->body));
  }
  grpc_stream_drop_request(stream);
  stream->prefix_len = 0;
  stream->length = 0;
}

// One that can't be taken ends the call; then the rest goes by.
static void give_up_messages(struct grpc_stream *stream) {
  struct call *call = call_of(stream);
  grpc_stream_drop_request(stream);
  stream->stage = GRPC_REFUSED;
  if (call != NULL) {
    call_cancel(call, &call_cause_message);
  }
}

static bool take_more(struct grpc_stream *stream, struct slice *data) {
  struct sentence why;
  if (!status_ok(take_prefix(stream, data, &why))) {
    return false;
  }
  struct slice part =
      stream->prefix_len == GRPC_PREFIX_BYTES ? take_part(stream, data) : slice_of(NULL, 0);
  return part.len == 0 || status_ok(store(stream, part));
}

static bool is_whole(const struct grpc_stream *stream) {
  return stream->prefix_len == GRPC_PREFIX_BYTES && bytes_len(&stream->body) == stream->length;
}

static void take_messages(struct grpc_stream *stream, struct slice data) {
  stream->unconsumed += data.len;
  while (data.len > 0 && stream->stage == GRPC_STREAMS) {
    if (!take_more(stream, &data)) {
      give_up_messages(stream);
    } else if (is_whole(stream)) {
      give_message(stream);
    }
  }
  grpc_stream_consume(stream);
}

void grpc_stream_consume(struct grpc_stream *stream) {
  struct call *call = call_of(stream);
  bool has_room = call != NULL && call->stream != NULL && call_inbox(call) < GRPC_INBOX_LOW;
  if (stream->stage == GRPC_STREAMS && has_room && stream->unconsumed > 0) {
    nghttp2_session_consume_stream(stream->connection->grpc->session, stream->id,
                                   stream->unconsumed);
    stream->unconsumed = 0;
  }
}

static void end_messages(struct grpc_stream *stream) {
  struct call *call = call_of(stream);
  bool torn = stream->prefix_len > 0;
  grpc_stream_drop_request(stream);
  stream->stage = GRPC_CALLED;
  if (call != NULL && torn) {
    call_cancel(call, &cause_torn);
  } else if (call != NULL && call->stream != NULL) {
    call_half_close(call);
  }
}

void grpc_stream_complete(struct grpc_stream *stream) {
  if (stream->stage == GRPC_STREAMS) {
    end_messages(stream);
    return;
  }
  if (stream->stage != GRPC_MESSAGE) {
    return;
  }
  struct sentence why;
  struct envelope envelope;
  status_t status = read_request(stream, &envelope, &why);
  if (status_ok(status)) {
    start(stream, &envelope, false);
  } else {
    grpc_stream_refuse(stream, status.code, &why);
  }
}
