// Answers of gRPC: a message waits in its stream, charged, until the peer's windows and the output
// have room; a status goes as trailers.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/ttrpc/ttrpc.pb-c.h"
#include "server/rpc/grpc_priv.h"
#include "server/rpc/grpc_text.h"
#include "server/rpc/reason.h"
#include "server/rpc/text.h"

// ---------------------------------------------------------------------------------------------
// Fields

enum { FRAME_HEAD_BYTES = 9 };

// What every answer has is worth a place in the peer's table; what one has alone is not.
static nghttp2_nv field(const char *name, const char *value, size_t value_len, uint8_t flags) {
  return (nghttp2_nv){
      .name = (uint8_t *)(uintptr_t)name,
      .namelen = strlen(name),
      .value = (uint8_t *)(uintptr_t)value,
      .valuelen = value_len,
      .flags = flags,
  };
}

static nghttp2_nv common(const char *name, const char *value) {
  return field(name, value, strlen(value),
               NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE);
}

static nghttp2_nv single(const char *name, const char *value, size_t value_len) {
  return field(name, value, value_len, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_INDEX);
}

// Frames are only queued by nghttp2, which fails when it has no memory for that.
static void submitted(struct connection *connection, int result) {
  if (result == 0) {
    output_wake(connection);
  } else {
    connection_reject(connection, "its HTTP/2 takes more memory than it may");
  }
}

// ---------------------------------------------------------------------------------------------
// A status, which ends a call

enum {
  // Each byte of the text as three; and the message that has it, as base64.
  MESSAGE_MAX = 3 * FAILURE_TEXT_MAX + 1,
  DETAILS_MAX = FAILURE_FRAME_MAX + sizeof(REASON_TYPE_URL) + REASON_INFO_MAX + 8,
};

static size_t pack_details(uint8_t out[DETAILS_MAX], enum status_code code, char *text) {
  static char type_url[] = REASON_TYPE_URL;
  char reason[REASON_MAX + 1];
  uint8_t info[REASON_INFO_MAX];
  Ttrpc__Any any = TTRPC__ANY__INIT;
  Ttrpc__Any *details[] = {&any};
  Ttrpc__Status status = TTRPC__STATUS__INIT;
  status.code = (int32_t)code;
  status.message = text;
  status.n_details = reason_of(reason, code, text) > 0 ? 1 : 0;
  status.details = details;
  any.type_url = type_url;
  any.value = (ProtobufCBinaryData){.len = reason_write(info, reason), .data = info};
  assert(ttrpc__status__get_packed_size(&status) <= DETAILS_MAX);
  return ttrpc__status__pack(&status, out);
}

// In all three ways that gRPC has for it.
struct grpc_failure {
  char code[4];
  char message[MESSAGE_MAX];
  size_t message_len;
  char details[GRPC_BASE64_LEN(DETAILS_MAX)];
  size_t details_len;
};

static void write_failure(struct grpc_failure *out, enum status_code code, const char *text) {
  char mended[FAILURE_TEXT_MAX + 1];
  uint8_t details[DETAILS_MAX];
  text_mend(mended, sizeof(mended), text);
  snprintf(out->code, sizeof(out->code), "%u", (unsigned)code & 31);
  out->message_len = grpc_percent_encode(out->message, mended);
  out->details_len =
      grpc_base64(out->details, slice_of(details, pack_details(details, code, mended)));
}

// How many fields a status has.
enum { STATUS_FIELDS = 3 };

static void failure_fields(nghttp2_nv out[STATUS_FIELDS], const struct grpc_failure *failure) {
  out[0] = single("grpc-status", failure->code, strlen(failure->code));
  out[1] = single("grpc-message", failure->message, failure->message_len);
  out[2] = single("grpc-status-details-bin", failure->details, failure->details_len);
}

static void submit_trailers(nghttp2_session *session, int32_t id,
                            const struct grpc_failure *failure) {
  nghttp2_nv trailers[STATUS_FIELDS] = {common("grpc-status", "0")};
  if (failure != NULL) {
    failure_fields(trailers, failure);
  }
  nghttp2_submit_trailer(session, id, trailers, failure == NULL ? 1 : STATUS_FIELDS);
}

// The end of almost all calls, as nghttp2 would write it but for the peer's table of fields, which
// this neither reads nor changes. nghttp2 takes it for the end of the data before it: a header
// block of its own for each call is a seventh of what a call costs.
static const uint8_t good_trailers[] = {
    0,
    0,
    15,
    NGHTTP2_HEADERS,
    NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM,
    0,
    0,
    0,
    0,
    0,
    11,
    'g',
    'r',
    'p',
    'c',
    '-',
    's',
    't',
    'a',
    't',
    'u',
    's',
    1,
    '0',
};

enum { STREAM_ID_AT = 5, STREAM_ID_BYTES = 4, FLAGS_AT = 4 };

// What follows the data that ends a call well: head is the data's, which is not the end any more.
static void write_good_trailers(uint8_t *out, uint8_t *head) {
  head[FLAGS_AT] &= (uint8_t)~NGHTTP2_FLAG_END_STREAM;
  memcpy(out, good_trailers, sizeof(good_trailers));
  memcpy(out + STREAM_ID_AT, head + STREAM_ID_AT, STREAM_ID_BYTES);
}

// ---------------------------------------------------------------------------------------------
// A message

struct reply_size grpc_measure(const ProtobufCMessage *response) {
  size_t payload = protobuf_c_message_get_packed_size(response);
  return (struct reply_size){
      .payload = payload,
      .frame = payload > FRAME_LENGTH_MAX ? SIZE_MAX : GRPC_PREFIX_BYTES + payload,
  };
}

void grpc_pack(uint8_t *out, struct reply_size size, uint32_t stream_id,
               const ProtobufCMessage *response) {
  (void)stream_id;  // HTTP/2 says it
  out[0] = 0;       // not compressed
  for (size_t i = 0; i < 4; i++) {
    out[1 + i] = (uint8_t)(size.payload >> (24 - 8 * i));
  }
  protobuf_c_message_pack(response, out + GRPC_PREFIX_BYTES);
}

static void answer_free(struct connection *connection, struct grpc_answer *answer) {
  if (answer->packed.data != answer->bytes) {
    packed_free(answer->packed);
  }
  spares_give(&connection->home->spares, answer);
}

static void drop_first(struct grpc_stream *stream) {
  struct list *first = list_pop_front(&stream->answers);
  answer_free(stream->connection, LIST_ENTRY(first, struct grpc_answer, link));
  stream->answer_sent = 0;
}

void grpc_answer_drop(struct grpc_stream *stream) {
  stream->connection->waiting -= stream->waiting;
  ceiling_give(&stream->connection->share->reply_bytes, stream->waiting);
  stream->waiting = 0;
  while (!list_empty(&stream->answers)) {
    drop_first(stream);
  }
  free(stream->failure);
  stream->failure = NULL;
}

// Says how much of the answers goes into the next frame; grpc_answer_data puts it there.
static ssize_t read_answer(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                           uint32_t *flags, nghttp2_data_source *source, void *user_data) {
  (void)out;
  (void)user_data;
  struct grpc_stream *stream = source->ptr;
  OBJECT_CHECK(stream, GRPC_STREAM_MAGIC);
  if (stream->waiting == 0 && !stream->over) {
    return NGHTTP2_ERR_DEFERRED;
  }
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (stream->waiting > size) {
    return (ssize_t)size;
  }
  if (stream->over) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
  }
  // A request that is stopped ends with a reset behind the trailers, which nghttp2 has to know of.
  if (stream->over && (stream->failure != NULL || stream->stopped)) {
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    submit_trailers(session, id, stream->failure);
  }
  return (ssize_t)stream->waiting;
}

static void copy_out(struct grpc_stream *stream, uint8_t *out, size_t length) {
  while (length > 0) {
    struct grpc_answer *first = LIST_ENTRY(stream->answers.next, struct grpc_answer, link);
    size_t left = first->packed.len - stream->answer_sent;
    size_t n = left < length ? left : length;
    memcpy(out, first->packed.data + stream->answer_sent, n);
    out += n;
    length -= n;
    stream->answer_sent += n;
    if (n == left) {
      drop_first(stream);
    }
  }
}

static void write_data(struct grpc_stream *stream, uint8_t *out, const uint8_t *head,
                       size_t length) {
  struct connection *connection = stream->connection;
  size_t size = FRAME_HEAD_BYTES + length;
  memcpy(out, head, FRAME_HEAD_BYTES);
  copy_out(stream, out + FRAME_HEAD_BYTES, length);
  if ((head[FLAGS_AT] & NGHTTP2_FLAG_END_STREAM) != 0) {
    write_good_trailers(out + size, out);
    size += sizeof(good_trailers);
  }
  output_commit(connection, size, length);
  stream->waiting -= length;
  connection->waiting -= length;
}

static void tell_gone(struct grpc_stream *stream, size_t length) {
  struct call *call =
      stream->is_stream ? connection_call(stream->connection, (uint32_t)stream->id) : NULL;
  if (call != NULL) {
    call_gone(call, length);
  }
}

int grpc_answer_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                     size_t length, nghttp2_data_source *source, void *user_data) {
  (void)session;
  (void)frame;
  struct connection *connection = user_data;
  struct grpc_stream *stream = source->ptr;
  OBJECT_CHECK(stream, GRPC_STREAM_MAGIC);
  uint8_t *out = NULL;
  if (!grpc_has_room(connection)) {
    return NGHTTP2_ERR_WOULDBLOCK;
  }
  if (!status_ok(bytes_reserve(stream_output(connection->stream),
                               FRAME_HEAD_BYTES + length + sizeof(good_trailers), &out))) {
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  write_data(stream, out, head, length);
  tell_gone(stream, length);
  return 0;
}

static void submit_headers(struct grpc_stream *stream) {
  const nghttp2_nv headers[] = {common(":status", "200"),
                                common("content-type", "application/grpc")};
  nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = read_answer};
  stream->submitted = true;
  submitted(stream->connection, nghttp2_submit_response(stream->connection->grpc->session,
                                                        stream->id, headers, 2, &provider));
}

// There is more to read. HTTP/2 minds no word that it need not wait for when it doesn't.
static void go_on(struct grpc_stream *stream) {
  if (!stream->submitted) {
    submit_headers(stream);
    return;
  }
  nghttp2_session_resume_data(stream->connection->grpc->session, stream->id);
  output_wake(stream->connection);
}

// The peer need not send what a call that is over would have taken.
static void end_answers(struct grpc_stream *stream) {
  stream->over = true;
  stream->stopped = stream->stage == GRPC_STREAMS;
  go_on(stream);
}

static void put_answer(struct grpc_stream *stream, struct grpc_answer *answer) {
  size_t len = answer->packed.len;
  list_push_back(&stream->answers, &answer->link);
  stream->waiting += len;
  stream->connection->waiting += len;
  grpc_budget_earn(&stream->connection->grpc->budget);
}

static void drop_packed(struct connection *connection, struct packed packed) {
  ceiling_give(&connection->share->reply_bytes, packed.len);
  packed_free(packed);
}

static status_t no_memory(struct sentence *why) {
  return refuse(why, STATUS_RESOURCE_EXHAUSTED, "out of memory for the answer");
}

// Room for an answer of which so many bytes are not packed elsewhere; NULL without memory.
static struct grpc_answer *answer_new(struct connection *connection, size_t bytes) {
  return spares_take(&connection->home->spares, sizeof(struct grpc_answer) + bytes);
}

// Takes the answer over if all is well. One whose stream is closed is for nobody.
static status_t send_answer(struct connection *connection, uint32_t stream_id,
                            struct grpc_answer *answer, bool is_last, struct sentence *why) {
  struct grpc_stream *stream = grpc_stream_of(connection, stream_id);
  if (stream == NULL) {
    ceiling_give(&connection->share->reply_bytes, answer->packed.len);
    answer_free(connection, answer);
    return OK_STATUS;
  }
  TRY(output_check_room(connection, answer->packed.len, why));
  put_answer(stream, answer);
  stream->over = is_last;
  stream->is_stream = !is_last;
  go_on(stream);
  return OK_STATUS;
}

static status_t send_or_drop(struct connection *connection, uint32_t stream_id,
                             struct grpc_answer *answer, bool is_last, struct sentence *why) {
  size_t len = answer->packed.len;
  status_t status = send_answer(connection, stream_id, answer, is_last, why);
  if (!status_ok(status)) {
    ceiling_give(&connection->share->reply_bytes, len);
    answer_free(connection, answer);
  }
  return status;
}

static status_t send_packed(struct connection *connection, uint32_t stream_id, struct packed packed,
                            bool is_last, struct sentence *why) {
  struct grpc_answer *answer = answer_new(connection, 0);
  if (answer == NULL) {
    drop_packed(connection, packed);
    return no_memory(why);
  }
  answer->packed = packed;
  return send_or_drop(connection, stream_id, answer, is_last, why);
}

status_t grpc_send(struct connection *connection, uint32_t stream_id, struct packed packed, int fd,
                   struct sentence *why) {
  assert(fd < 0);  // call_reply_with_fd sees to that
  (void)fd;
  return send_packed(connection, stream_id, packed, true, why);
}

status_t grpc_send_message(struct connection *connection, uint32_t stream_id, struct packed packed,
                           struct sentence *why) {
  return send_packed(connection, stream_id, packed, false, why);
}

void grpc_finish(struct connection *connection, uint32_t stream_id) {
  struct grpc_stream *stream = grpc_stream_of(connection, stream_id);
  if (stream != NULL) {
    end_answers(stream);
  }
}

// What is small lies in the answer itself. NULL without memory.
static struct grpc_answer *make_room(struct connection *connection, size_t size) {
  bool is_small = size <= SPARES_SIZE_MAX - sizeof(struct grpc_answer);
  struct grpc_answer *answer = answer_new(connection, is_small ? size : 0);
  if (answer == NULL) {
    return NULL;
  }
  answer->packed = (struct packed){is_small ? answer->bytes : malloc(size), size};
  if (answer->packed.data == NULL) {
    answer_free(connection, answer);
    return NULL;
  }
  return answer;
}

static status_t pack_here(struct connection *connection, const ProtobufCMessage *response,
                          struct grpc_answer **out, struct sentence *why) {
  struct reply_size size;
  TRY(output_measure(connection->codec, response, &size, why));
  TRY(take_or_refuse(&connection->share->reply_bytes, size.frame, why));
  *out = make_room(connection, size.frame);
  if (*out == NULL) {
    ceiling_give(&connection->share->reply_bytes, size.frame);
    return no_memory(why);
  }
  grpc_pack((*out)->packed.data, size, 0, response);
  return OK_STATUS;
}

status_t grpc_reply(struct connection *connection, uint32_t stream_id,
                    const ProtobufCMessage *response, int fd, struct sentence *why) {
  struct grpc_answer *answer = NULL;
  assert(fd < 0);  // call_reply_with_fd sees to that
  (void)fd;
  TRY(pack_here(connection, response, &answer, why));
  return send_or_drop(connection, stream_id, answer, true, why);
}

// ---------------------------------------------------------------------------------------------
// Failures

static void submit_failure(struct grpc_stream *stream, const struct grpc_failure *failure) {
  nghttp2_nv headers[3 + STATUS_FIELDS] = {
      common(":status", "200"),
      common("content-type", "application/grpc"),
  };
  failure_fields(headers + 2, failure);
  headers[2 + STATUS_FIELDS] = common("grpc-accept-encoding", "identity");
  size_t num = 2 + STATUS_FIELDS + (stream->compressed ? 1 : 0);
  stream->submitted = true;
  stream->stopped = stream->stopped || stream->stage == GRPC_STREAMS;
  submitted(stream->connection, nghttp2_submit_response(stream->connection->grpc->session,
                                                        stream->id, headers, num, NULL));
}

// What was sent before it goes first.
static void fail_later(struct grpc_stream *stream, const struct grpc_failure *failure) {
  stream->failure = malloc(sizeof(*failure));
  if (stream->failure == NULL) {
    connection_reject(stream->connection, "out of memory");
    return;
  }
  *stream->failure = *failure;
  end_answers(stream);
}

void grpc_fail(struct connection *connection, uint32_t stream_id, enum status_code code,
               const char *text) {
  struct grpc_stream *stream = grpc_stream_of(connection, stream_id);
  if (stream == NULL) {
    return;
  }
  struct grpc_failure failure;
  write_failure(&failure, code, text);
  if (stream->submitted) {
    fail_later(stream, &failure);
  } else {
    submit_failure(stream, &failure);
  }
}

void grpc_answer_http(struct grpc_stream *stream, const char *status) {
  const nghttp2_nv headers[] = {common(":status", status)};
  grpc_stream_drop_request(stream);
  stream->stage = GRPC_REFUSED;
  counter_add(COUNTER_calls_failed, 1);
  submitted(stream->connection, nghttp2_submit_response(stream->connection->grpc->session,
                                                        stream->id, headers, 1, NULL));
}
