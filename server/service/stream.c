// SessionService.Stream: a session's plaintext by one call, both ways at a time.
//
// It is reads and writes as others are, one of each at a time, which the call's messages drive
// instead of calls of their own. What came of each is noted where it is told, and go_on then does
// all that has become possible: so it never matters whether an operation is answered at once. The
// last thing it does may end the call, and the stream with it.
#include "server/base/bytes.h"
#include "server/base/counters.h"
#include "server/service/convert.h"
#include "server/service/relay.h"

typedef Tlsagent__V1__StreamRequest Request;
typedef Tlsagent__V1__StreamResponse Response;

enum {
  RECORD = 16384,
  WINDOW = STREAM_WINDOW,
};

// Lives in the call's arena, on the session's worker.
struct stream_call {
  struct call *call;
  struct session *session;  // a reference
  struct session_holder holder;
  uint64_t handle;
  clock_time began;
  bool forget;
  bool by_credit;
  bool busy;  // go_on is at work
  bool lost;  // the call takes nothing any more
  bool failed;
  struct tls_error error;  // why it failed
  // From the peer to the client.
  struct session_op read;
  bool reading;
  bool full;           // of what was sent, the client has to take some first
  bool up_over;        // nothing more is read
  uint64_t may_send;   // by credit: so much the client still takes
  uint8_t *plaintext;  // RECORD bytes, for the read
  // From the client to the peer.
  struct session_op write;
  bool writing;
  bool wanted;           // a message is asked for
  bool half_closed;      // no more will come
  bool down_over;        // nothing more is written
  uint64_t may_receive;  // by credit: so much the client may still send
  uint64_t taken;        // and so much more it may be told
  struct bytes waiting;
  struct bytes sending;  // what the write has
};

// ---------------------------------------------------------------------------------------------
// The end

static void cancel_operations(struct stream_call *stream) {
  if (stream->reading) {
    session_cancel(&stream->read);
  }
  if (stream->writing) {
    session_cancel(&stream->write);
  }
}

// Gives back all but the session's reference, which is the caller's then.
static struct session *release(struct stream_call *stream) {
  struct session *session = stream->session;
  cancel_operations(stream);
  session_let_go(session);
  bytes_cleanup(&stream->waiting);
  bytes_cleanup(&stream->sending);
  call_on_cancel(stream->call, NULL);
  if (stream->forget) {
    status_t dropped = handle_drop(call_client(stream->call), &session_handles, stream->handle);
    (void)dropped;  // the client may have been faster
  }
  return session;
}

// Plaintext is lost: nobody is to take the rest for all of it.
static void abandon(struct stream_call *stream, enum status_code code, const char *text) {
  struct call *call = stream->call;
  struct session *session = release(stream);
  session_close(session, NULL);
  call_fail(call, code, "%s", text);
  session_unref(session);
}

static void on_cancel(struct call *call) {
  abandon(call_state(call), STATUS_CANCELLED, "the call was cancelled");
}

static Tlsagent__V1__WaitEndResponse *describe_end(const struct stream_call *stream) {
  const struct relay_end end = {
      .result = stream->failed ? ENGINE_FAILED : ENGINE_CLOSED,
      .error = &stream->error,
      .bytes_read = session_bytes_read(stream->session),
      .bytes_written = session_bytes_written(stream->session),
      .nanos = clock_now() - stream->began,
  };
  return convert_end(call_arena(stream->call), &end);
}

static void finish(struct stream_call *stream) {
  struct call *call = stream->call;
  Response response = TLSAGENT__V1__STREAM_RESPONSE__INIT;
  response.end = describe_end(stream);
  struct session *session = release(stream);
  if (response.end == NULL) {
    call_fail(call, STATUS_RESOURCE_EXHAUSTED, "no memory to say how the stream ended");
  } else {
    call_send(call, &response.base);
    call_end(call);
  }
  session_unref(session);
}

// The first failure is the one that is told.
static void note_failure(struct stream_call *stream, const struct tls_error *error) {
  if (!stream->failed) {
    stream->failed = true;
    stream->error = *error;
  }
}

static bool is_over(const struct stream_call *stream) {
  return stream->up_over && (stream->down_over || stream->failed);
}

// ---------------------------------------------------------------------------------------------
// Up: from the peer to the client

static void go_on(struct stream_call *stream);

static void tell(struct stream_call *stream, const Response *response) {
  switch (call_send(stream->call, &response->base)) {
    case CALL_ROOM:
      return;
    case CALL_FULL:
      stream->full = true;
      return;
    case CALL_OVER:
      stream->lost = true;
  }
}

static void give(struct stream_call *stream, size_t len) {
  Response response = TLSAGENT__V1__STREAM_RESPONSE__INIT;
  response.data = binary_of(slice_of(stream->plaintext, len));
  stream->may_send -= stream->by_credit ? len : 0;
  tell(stream, &response);
}

static void tell_peer_ended(struct stream_call *stream) {
  Response response = TLSAGENT__V1__STREAM_RESPONSE__INIT;
  response.peer_ended = true;
  tell(stream, &response);
}

static void on_read(struct session_op *op) {
  struct stream_call *stream = op->owner;
  stream->reading = false;
  switch (op->result) {
    case ENGINE_DONE:
      give(stream, op->transferred);
      break;
    case ENGINE_CLOSED:
      stream->up_over = true;
      tell_peer_ended(stream);
      break;
    case ENGINE_FAILED:
      stream->up_over = true;
      note_failure(stream, &op->error);
      break;
    default:
      stream->up_over = true;  // after a failed write: there is no more
      break;
  }
  go_on(stream);
}

// After a failed write what has come already is still read, as far as the client takes it: it may
// say why.
static bool read_more(struct stream_call *stream) {
  bool has_credit = !stream->by_credit || stream->may_send > 0;
  if (stream->reading || stream->up_over || stream->full) {
    return false;
  }
  if (!has_credit) {
    stream->up_over = stream->failed;
    return false;
  }
  bool less = stream->by_credit && stream->may_send < RECORD;
  stream->reading = true;
  stream->read = (struct session_op){
      .kind = SESSION_READ,
      .has_wait = stream->failed,
      .buffer = stream->plaintext,
      .buffer_size = less ? (size_t)stream->may_send : RECORD,
      .done = on_read,
      .owner = stream,
  };
  session_submit(stream->session, &stream->read);
  return true;
}

// ---------------------------------------------------------------------------------------------
// Down: from the client to the peer

// The read is asked again, not to wait.
static void fail_down(struct stream_call *stream, const struct tls_error *error) {
  note_failure(stream, error);
  stream->down_over = true;
  bytes_cleanup(&stream->waiting);
  bytes_cleanup(&stream->sending);
  if (stream->reading) {
    stream->reading = false;
    session_cancel(&stream->read);
  }
}

static void on_written(struct session_op *op) {
  struct stream_call *stream = op->owner;
  stream->writing = false;
  if (op->result == ENGINE_FAILED) {
    fail_down(stream, &op->error);
  } else if (op->kind == SESSION_SHUTDOWN) {
    stream->down_over = true;
  } else {
    stream->taken += op->transferred;
    bytes_consume(&stream->sending, op->transferred);
    bytes_release_if_empty(&stream->sending);
  }
  go_on(stream);
}

static void submit(struct stream_call *stream, enum session_op_kind kind) {
  stream->writing = true;
  stream->write = (struct session_op){
      .kind = kind,
      .data = bytes_peek(&stream->sending),
      .keep_trailing = true,
      .done = on_written,
      .owner = stream,
  };
  session_submit(stream->session, &stream->write);
}

// The write keeps what it was given where it is, while more comes.
static void swap_queues(struct stream_call *stream) {
  struct bytes empty = stream->sending;
  stream->sending = stream->waiting;
  stream->waiting = empty;
}

static bool write_more(struct stream_call *stream) {
  if (stream->writing || stream->down_over) {
    return false;
  }
  if (bytes_len(&stream->waiting) > 0) {
    swap_queues(stream);
    submit(stream, SESSION_WRITE);
    return true;
  }
  if (stream->half_closed) {
    submit(stream, SESSION_SHUTDOWN);
  }
  return stream->half_closed;
}

// ---------------------------------------------------------------------------------------------
// Whatever can be done

static void grant(struct stream_call *stream) {
  bool wanted = !stream->half_closed && !stream->down_over;
  if (!stream->by_credit || !wanted || stream->full || stream->taken < WINDOW / 2) {
    return;
  }
  Response response = TLSAGENT__V1__STREAM_RESPONSE__INIT;
  response.credit = stream->taken;
  stream->may_receive += stream->taken;
  stream->taken = 0;
  tell(stream, &response);
}

static bool has_room(const struct stream_call *stream) {
  return bytes_len(&stream->waiting) + bytes_len(&stream->sending) < WINDOW / 2;
}

// The stream may be gone after this.
static void want(struct stream_call *stream) {
  bool takes = stream->by_credit || has_room(stream);
  if (takes && !stream->wanted && !stream->half_closed) {
    stream->wanted = true;
    call_want(stream->call);
  }
}

static void settle(struct stream_call *stream) {
  grant(stream);
  if (stream->lost) {
    abandon(stream, STATUS_CANCELLED, "nobody takes the answers");
  } else if (!is_over(stream)) {
    want(stream);
  } else if (!stream->full) {
    finish(stream);
  }
}

static void go_on(struct stream_call *stream) {
  if (stream->busy) {
    return;
  }
  stream->busy = true;
  while (!stream->lost && (read_more(stream) || write_more(stream))) {
  }
  stream->busy = false;
  settle(stream);
}

// ---------------------------------------------------------------------------------------------
// What the call and the session tell

static void check(const struct stream_call *stream, const Request *from, struct refusal *refusal) {
  if (from->begin != NULL) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "begin is for the first message");
  }
  if (from->credit > 0 && !stream->by_credit) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT,
                "credit has to begin with the first message: this stream goes by windows");
  }
  if (from->data.len > WINDOW) {
    refusal_set(refusal, STATUS_RESOURCE_EXHAUSTED, "a message has at most 131072 bytes of data");
  }
  if (stream->by_credit && from->data.len > stream->may_receive) {
    refusal_set(refusal, STATUS_RESOURCE_EXHAUSTED,
                "more data came than there was credit for: wait for answers that have some");
  }
}

static void take_credit(struct stream_call *stream, uint64_t credit) {
  uint64_t room = UINT64_MAX - stream->may_send;
  stream->may_send += credit < room ? credit : room;
}

static status_t take_data(struct stream_call *stream, struct slice data) {
  stream->may_receive -= stream->by_credit ? data.len : 0;
  return stream->down_over ? OK_STATUS : bytes_append(&stream->waiting, data);
}

static void on_message(struct call *call, const ProtobufCMessage *message) {
  struct stream_call *stream = call_state(call);
  const Request *from = (const Request *)message;
  struct refusal refusal = {0};
  stream->wanted = false;
  check(stream, from, &refusal);
  if (!refused(&refusal) && !status_ok(take_data(stream, slice_of_binary(from->data)))) {
    refusal_set(&refusal, STATUS_RESOURCE_EXHAUSTED, "no memory for the plaintext");
  }
  if (refused(&refusal)) {
    abandon(stream, refusal.code, refusal.text);
    return;
  }
  take_credit(stream, from->credit);
  go_on(stream);
}

static void on_half_close(struct call *call) {
  struct stream_call *stream = call_state(call);
  stream->half_closed = true;
  go_on(stream);
}

static void on_room(struct call *call) {
  struct stream_call *stream = call_state(call);
  stream->full = false;
  go_on(stream);
}

// Nothing was in flight that could tell.
static void on_closed(struct session_holder *holder) {
  struct stream_call *stream = LIST_ENTRY(holder, struct stream_call, holder);
  note_failure(stream, session_error(stream->session));
  stream->up_over = true;
  go_on(stream);
}

// ---------------------------------------------------------------------------------------------
// The beginning

static void tell_begun(struct stream_call *stream) {
  Response response = TLSAGENT__V1__STREAM_RESPONSE__INIT;
  response.credit = stream->may_receive;
  tell(stream, &response);
}

static void begin(struct stream_call *stream) {
  static const struct call_events events = {
      .on_message = on_message, .on_half_close = on_half_close, .on_room = on_room};
  call_stream(stream->call, &events);
  call_on_cancel(stream->call, on_cancel);
  tell_begun(stream);
  go_on(stream);
}

static void refuse(struct stream_call *stream, enum status_code code, const char *text) {
  struct session *session = stream->session;
  call_fail(stream->call, code, "%s", text);
  session_unref(session);
}

static void begin_on_worker(struct call *call) {
  struct stream_call *stream = call_state(call);
  if (call_is_cancelled(call)) {
    refuse(stream, STATUS_CANCELLED, "the call was cancelled");
  } else if (!status_ok(session_hold(stream->session, &stream->holder))) {
    refuse(stream, STATUS_FAILED_PRECONDITION,
           "only a session of the socket path can be streamed, once its handshake is done, while "
           "it hasn't ended, is no relay and no stream, and has no other call in flight");
  } else {
    begin(stream);
  }
}

static struct stream_call *stream_new(struct call *call, const Request *from) {
  struct stream_call *stream = arena_alloc(call_arena(call), sizeof(*stream));
  uint8_t *plaintext = arena_bytes(call_arena(call), RECORD);
  if (stream == NULL || plaintext == NULL) {
    return NULL;
  }
  *stream = (struct stream_call){
      .call = call,
      .holder = {.closed = on_closed},
      .handle = from->begin->session,
      .began = clock_now(),
      .forget = from->begin->forget,
      .by_credit = from->credit > 0,
      .may_send = from->credit,
      .may_receive = from->credit > 0 ? WINDOW : 0,
      .plaintext = plaintext,
  };
  bytes_init(&stream->waiting, STREAM_QUEUE);
  bytes_init(&stream->sending, STREAM_QUEUE);
  return stream;
}

static void check_first(struct call *call, const Request *from, struct refusal *refusal) {
  if (from->begin == NULL) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "the first message has to say which session");
  }
  if (from->data.len > 0) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT, "the first message has no data");
  }
  if (from->credit == 0 && !call_has_windows(call)) {
    refusal_set(refusal, STATUS_INVALID_ARGUMENT,
                "the first message has no credit: ttrpc holds nobody back, so say how many bytes "
                "may come");
  }
}

static void start(struct call *call, const Request *from) {
  struct stream_call *stream = stream_new(call, from);
  if (stream == NULL) {
    call_fail(call, STATUS_RESOURCE_EXHAUSTED, "no memory for the call");
    return;
  }
  stream->session = handle_get(call_client(call), &session_handles, from->begin->session);
  if (stream->session == NULL) {
    call_fail(call, STATUS_NOT_FOUND, "no such session");
    return;
  }
  call_set_state(call, stream);
  call_on_cancel(call, NULL);
  call_move(call, session_worker(stream->session), begin_on_worker);
}

static void on_first(struct call *call, const ProtobufCMessage *message) {
  const Request *from = (const Request *)message;
  struct refusal refusal = {0};
  check_first(call, from, &refusal);
  if (refused(&refusal)) {
    call_fail(call, refusal.code, "%s", refusal.text);
  } else {
    start(call, from);
  }
}

static void end_unbegun(struct call *call) {
  call_fail(call, STATUS_INVALID_ARGUMENT, "there was no message to say which session");
}

static void drain_unbegun(struct call *call) {
  call_fail(call, STATUS_UNAVAILABLE, "the daemon is stopping");
}

static void cancel_unbegun(struct call *call) {
  call_fail(call, STATUS_CANCELLED, "the call was cancelled");
}

void session_stream(struct call *call, const ProtobufCMessage *request) {
  static const struct call_events events = {
      .on_message = on_first, .on_half_close = end_unbegun, .on_drain = drain_unbegun};
  (void)request;
  call_stream(call, &events);
  call_on_cancel(call, cancel_unbegun);
  call_want(call);
}
