// gRPC: one HTTP/2 session. nghttp2 reads and writes the frames; what it tells becomes streams, and
// what a peer does only to cost something is paid from a budget.
#include <stdlib.h>
#include <string.h>

#include "server/rpc/grpc_priv.h"

// ---------------------------------------------------------------------------------------------
// What nghttp2 tells. A connection that is no longer open hears nothing more of it.

static bool is_deaf(const struct connection *connection) {
  return connection->state != CONNECTION_OPEN || connection->grpc->flooded;
}

// What a frame costs a peer. A reset makes work that nobody waits for; the others are only
// answered.
static uint64_t cost_of(const nghttp2_frame_hd *head) {
  switch (head->type) {
    case NGHTTP2_RST_STREAM:
      counter_add(COUNTER_streams_reset, 1);
      return 10;
    case NGHTTP2_SETTINGS:
      return 10;
    case NGHTTP2_PING:
    case NGHTTP2_PRIORITY:
      return 2;
    case NGHTTP2_DATA:
      return head->length == 0 && (head->flags & NGHTTP2_FLAG_END_STREAM) == 0 ? 2 : 0;
    case NGHTTP2_HEADERS:
    case NGHTTP2_WINDOW_UPDATE:
      return 0;
    default:
      return 2;
  }
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *head, void *user_data) {
  (void)session;
  struct connection *connection = user_data;
  uint64_t cost = cost_of(head);
  if (cost > 0 && !is_deaf(connection) &&
      !grpc_budget_spend(&connection->grpc->budget, cost, loop_now(connection->home->loop))) {
    connection->grpc->flooded = true;
    counter_add(COUNTER_floods, 1);
  }
  return 0;
}

static bool begins_request(const nghttp2_frame *frame) {
  return frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

// Without memory the stream is reset.
static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data) {
  struct connection *connection = user_data;
  if (is_deaf(connection) || !begins_request(frame)) {
    return 0;
  }
  struct grpc_stream *stream = grpc_stream_new(connection, frame->hd.stream_id);
  nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
  return stream != NULL ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user_data) {
  (void)session;
  (void)flags;
  struct grpc_stream *stream = grpc_stream_of(user_data, (uint32_t)frame->hd.stream_id);
  if (stream != NULL && begins_request(frame)) {
    grpc_headers_add(&stream->headers, slice_of(name, name_len), slice_of(value, value_len));
  }
  return 0;
}

// The connection's window is for what is stored, or goes by; a stream's only for what is stored,
// and followed by more. What a frame has behind its data may come later.
static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *user_data) {
  struct connection *connection = user_data;
  struct grpc_stream *stream = grpc_stream_of(connection, (uint32_t)id);
  bool is_last = (flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (stream != NULL && !is_deaf(connection)) {
    grpc_stream_data(stream, slice_of(data, len), is_last && (flags & NGHTTP2_FLAG_PADDED) == 0);
    if (stream->stage == GRPC_MESSAGE && !is_last) {
      nghttp2_session_consume_stream(session, id, len);
    }
  }
  nghttp2_session_consume_connection(session, len);
  return 0;
}

void grpc_say_goodbye(struct connection *connection) {
  nghttp2_session *session = connection->grpc->session;
  if (!connection->grpc->leaving) {
    connection->grpc->leaving = true;
    nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(session), NGHTTP2_NO_ERROR, NULL,
                          0);
  }
}

// Nobody listens to more of a request that is answered already. A reset overtakes an answer that
// has not gone: it waits for that.
static void stop_request(struct grpc_stream *stream) {
  nghttp2_session *session = stream->connection->grpc->session;
  stream->stopped = true;
  if (nghttp2_session_get_stream_local_close(session, stream->id) == 1) {
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
  }
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user_data) {
  bool ends = frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  struct grpc_stream *stream =
      ends ? grpc_stream_of(user_data, (uint32_t)frame->hd.stream_id) : NULL;
  if (stream != NULL && stream->stopped &&
      nghttp2_session_get_stream_remote_close(session, stream->id) == 0) {
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
  }
  return 0;
}

static void on_whole_stream_frame(struct grpc_stream *stream, const nghttp2_frame *frame) {
  if (begins_request(frame)) {
    grpc_headers_complete(stream);
  }
  if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
    list_remove(&stream->incoming);
    grpc_stream_complete(stream);
  } else if (stream->stage == GRPC_REFUSED && frame->hd.type == NGHTTP2_DATA) {
    stop_request(stream);
  }
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data) {
  (void)session;
  struct connection *connection = user_data;
  struct grpc_stream *stream = grpc_stream_of(connection, (uint32_t)frame->hd.stream_id);
  bool acknowledged = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
  if (is_deaf(connection)) {
    return 0;
  }
  if (frame->hd.type == NGHTTP2_SETTINGS && !acknowledged) {
    connection->grpc->greeted = true;
  } else if (frame->hd.type == NGHTTP2_PING && acknowledged &&
             connection->home->stage != RPC_SERVING) {
    grpc_say_goodbye(connection);  // all that was under way when it was asked has come
  } else if (stream != NULL &&
             (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)) {
    on_whole_stream_frame(stream, frame);
  }
  return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code,
                           void *user_data) {
  (void)session;
  (void)error_code;
  struct grpc_stream *stream = grpc_stream_of(user_data, (uint32_t)id);
  if (stream != NULL) {
    grpc_stream_closed(stream);
  }
  return 0;
}

// ---------------------------------------------------------------------------------------------
// The session

static void set_callbacks(nghttp2_session_callbacks *callbacks) {
  nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
  nghttp2_session_callbacks_set_send_data_callback(callbacks, grpc_answer_data);
}

// Debian's security update of 1.52 has it (1.52.0-1+deb12u1), and 1.57. A library without it limits
// no resets, so that there is nothing to be set.
// NOLINTNEXTLINE(readability-redundant-declaration): the header's, where it has one, is not weak
void nghttp2_option_set_stream_reset_rate_limit(nghttp2_option *option, uint64_t burst,
                                                uint64_t rate) __attribute__((weak));

// What only has to be acknowledged waits in a short queue for who doesn't read. Resets have a
// budget of ours, which is the smaller one; CONTINUATION frames have the library's own limit.
static void set_options(nghttp2_option *option) {
  enum { UNREAD_ACKNOWLEDGEMENTS_MAX = 2000, RESETS_BURST = 1000, RESETS_PER_SECOND = 1000 };
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_outbound_ack(option, UNREAD_ACKNOWLEDGEMENTS_MAX);
  if (nghttp2_option_set_stream_reset_rate_limit != NULL) {
    nghttp2_option_set_stream_reset_rate_limit(option, RESETS_BURST, RESETS_PER_SECOND);
  }
}

static int make_session(struct connection *connection, nghttp2_session_callbacks *callbacks,
                        nghttp2_option *option) {
  struct grpc_state *state = connection->grpc;
  uint64_t streams = connection->home->server->limits.calls_per_connection;
  set_callbacks(callbacks);
  set_options(option);
  grpc_memory_init(&state->memory, &connection->home->spares,
                   GRPC_SESSION_BYTES + streams * GRPC_STREAM_BYTES);
  return nghttp2_session_server_new3(&state->session, callbacks, connection, option,
                                     &state->memory.functions);
}

static int open_session(struct connection *connection) {
  nghttp2_session_callbacks *callbacks = NULL;
  nghttp2_option *option = NULL;
  int result = NGHTTP2_ERR_NOMEM;
  if (nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0) {
    result = make_session(connection, callbacks, option);
  }
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  return result;
}

// What a peer may do, which is the first that it hears.
static int introduce(struct connection *connection) {
  nghttp2_session *session = connection->grpc->session;
  uint32_t streams = (uint32_t)connection->home->server->limits.calls_per_connection;
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, GRPC_STREAM_WINDOW},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GRPC_HEADER_LIST_MAX},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  };
  int result = nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings,
                                       sizeof(settings) / sizeof(settings[0]));
  return result != 0 ? result
                     : nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
                                                             GRPC_CONNECTION_WINDOW);
}

static void grpc_end(struct connection *connection) {
  struct grpc_state *state = connection->grpc;
  LIST_FOR(link, &state->streams) {
    grpc_stream_free(LIST_ENTRY(link, struct grpc_stream, link));
  }
  nghttp2_session_del(state->session);
  free(state);
  connection->grpc = NULL;
}

static struct grpc_state *state_new(clock_time now) {
  struct grpc_state *state = calloc(1, sizeof(*state));
  if (state != NULL) {
    list_init(&state->streams);
    list_init(&state->incoming);
    grpc_budget_init(&state->budget, now);
  }
  return state;
}

static status_t grpc_begin(struct connection *connection) {
  connection->grpc = state_new(loop_now(connection->home->loop));
  ENSURE(connection->grpc != NULL, RESOURCE_EXHAUSTED);
  if (open_session(connection) != 0 || introduce(connection) != 0) {
    grpc_end(connection);
    return status_of(STATUS_RESOURCE_EXHAUSTED);
  }
  counter_add(COUNTER_connections_grpc, 1);
  output_wake(connection);
  return OK_STATUS;
}

// ---------------------------------------------------------------------------------------------
// Bytes in

// What a session that can't go on has to say is said before the connection closes.
static void settle(struct connection *connection) {
  struct grpc_state *state = connection->grpc;
  if (state->flooded) {
    nghttp2_session_terminate_session(state->session, NGHTTP2_ENHANCE_YOUR_CALM);
  }
  if (nghttp2_session_want_write(state->session) != 0 ||
      nghttp2_session_want_read(state->session) == 0) {
    output_wake(connection);
  }
}

static const char *why_broken(ssize_t error) {
  switch (error) {
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
      return "it speaks neither ttrpc nor gRPC";
    case NGHTTP2_ERR_FLOODED:
      return "it sends what has to be acknowledged, and does not read";
    case NGHTTP2_ERR_NOMEM:
      return "its HTTP/2 takes more memory than it may";
    default:
      return "it breaks the rules of HTTP/2";
  }
}

// Descriptors are nobody's here: they are closed when this returns.
static void grpc_receive(struct connection *connection, struct slice data,
                         struct attachments *arrived) {
  (void)arrived;
  struct grpc_state *state = connection->grpc;
  ssize_t taken = nghttp2_session_mem_recv(state->session, data.data, data.len);
  if (state->borrower != NULL) {
    grpc_stream_keep(state->borrower);
    state->borrower = NULL;
  }
  if (connection->state != CONNECTION_OPEN) {
    return;
  }
  if (taken < 0) {
    counter_add(COUNTER_frames_malformed, 1);
    connection_reject(connection, why_broken(taken));
    return;
  }
  settle(connection);
}

// ---------------------------------------------------------------------------------------------
// Bytes out

bool grpc_has_room(const struct connection *connection) {
  uint64_t queued_bytes = connection->home->server->limits.queued_bytes;
  uint64_t max = queued_bytes < GRPC_OUTPUT_MAX ? queued_bytes : GRPC_OUTPUT_MAX;
  return stream_unsent(connection->stream) < max;
}

// Frames without an answer's bytes; those go by grpc_answer_data. False when there is no next one.
static bool fill_one(struct connection *connection) {
  const uint8_t *data = NULL;
  ssize_t len = nghttp2_session_mem_send(connection->grpc->session, &data);
  if (len < 0 ||
      !status_ok(bytes_append(stream_output(connection->stream), slice_of(data, (size_t)len)))) {
    connection_reject(connection, "its HTTP/2 takes more memory than there is");
    return false;
  }
  return len > 0;
}

// A session where neither side has anything more to say is over.
static void grpc_fill(struct connection *connection) {
  nghttp2_session *session = connection->grpc->session;
  while (grpc_has_room(connection) && fill_one(connection)) {
  }
  if (connection->state == CONNECTION_OPEN && nghttp2_session_want_read(session) == 0 &&
      nghttp2_session_want_write(session) == 0) {
    connection_end(connection);
  }
}

// ---------------------------------------------------------------------------------------------
// The end of patience, and of service

static uint64_t grpc_unfinished(const struct connection *connection) {
  const struct grpc_state *state = connection->grpc;
  if (!state->greeted) {
    return UINT64_MAX;
  }
  return list_empty(&state->incoming)
             ? 0
             : (uint64_t)LIST_ENTRY(state->incoming.next, struct grpc_stream, incoming)->id;
}

static void give_up_stream(struct grpc_stream *stream) {
  struct sentence why;
  if (stream->stage == GRPC_MESSAGE) {
    status_t status = refuse(&why, STATUS_DEADLINE_EXCEEDED,
                             "the request took longer than limit \"request_millis\" to arrive");
    grpc_stream_refuse(stream, status.code, &why);
  }
  stop_request(stream);
  output_wake(stream->connection);
}

// A header block that never ends holds up all of the connection, and can't be answered.
static void grpc_give_up(struct connection *connection) {
  struct grpc_state *state = connection->grpc;
  struct grpc_stream *oldest =
      state->greeted ? LIST_ENTRY(state->incoming.next, struct grpc_stream, incoming) : NULL;
  if (oldest == NULL || oldest->stage == GRPC_HEADERS) {
    connection_reject(connection, "it took longer than limit \"request_millis\" to begin");
  } else {
    give_up_stream(oldest);
  }
}

static void grpc_taken(struct connection *connection, uint32_t stream_id) {
  struct grpc_stream *stream = grpc_stream_of(connection, stream_id);
  if (stream != NULL) {
    grpc_stream_consume(stream);
    output_wake(connection);
  }
}

// First a notice, since calls may be under way to us; what is the last of them is said when it is
// known.
static void grpc_drain(struct connection *connection) {
  nghttp2_submit_shutdown_notice(connection->grpc->session);
  nghttp2_submit_ping(connection->grpc->session, NGHTTP2_FLAG_NONE, NULL);
  output_wake(connection);
}

// ---------------------------------------------------------------------------------------------
// Who has no session

static uint8_t *put_head(uint8_t *out, size_t length, uint8_t type) {
  const uint8_t head[] = {0, (uint8_t)(length >> 8), (uint8_t)length, type, 0, 0, 0, 0, 0};
  memcpy(out, head, sizeof(head));
  return out + sizeof(head);
}

// SETTINGS, which have to be the first, and that no stream was or will be served, with the
// sentence.
static size_t grpc_refusal(uint8_t out[CODEC_REFUSAL_MAX], const char *text) {
  static const uint8_t none_for_calm[] = {0, 0, 0, 0, 0, 0, 0, NGHTTP2_ENHANCE_YOUR_CALM};
  size_t len = strnlen(text, FAILURE_TEXT_MAX);
  uint8_t *end = put_head(out, 0, NGHTTP2_SETTINGS);
  end = put_head(end, sizeof(none_for_calm) + len, NGHTTP2_GOAWAY);
  memcpy(end, none_for_calm, sizeof(none_for_calm));
  memcpy(end + sizeof(none_for_calm), text, len);
  return (size_t)(end - out) + sizeof(none_for_calm) + len;
}

const struct codec codec_grpc = {
    .name = "grpc",
    .refusal = grpc_refusal,
    .begin = grpc_begin,
    .receive = grpc_receive,
    .end = grpc_end,
    .drain = grpc_drain,
    .unfinished = grpc_unfinished,
    .give_up = grpc_give_up,
    .measure = grpc_measure,
    .pack = grpc_pack,
    .reply = grpc_reply,
    .send = grpc_send,
    .fail = grpc_fail,
    .measure_message = grpc_measure,
    .pack_message = grpc_pack,
    .send_message = grpc_send_message,
    .finish = grpc_finish,
    .taken = grpc_taken,
    .fill = grpc_fill,
};
