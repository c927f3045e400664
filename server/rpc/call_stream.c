// Streaming calls: messages on their way to a handler, and from it.
//
// To the handler they come one at a time, by an errand: home sends it with a message, and the
// handler sends it back by asking for the next. Whoever has the errand is who must act; while it is
// away, what comes waits in the inbox, and the codec lets no more in than fits there. From the
// handler they go as they are packed, each a piece of mail; how many bytes of them may be under way
// is its window, and room tells that some have gone. A call at home does all this by plain calls.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "server/rpc/rpc_priv.h"
#include "server/rpc/strings.h"

static const struct call_cause cause_fast = {
    STATUS_RESOURCE_EXHAUSTED, COUNTER_limits_hit,
    "messages come faster than they are taken: wait for answers"};
static const struct call_cause cause_request_bytes = {
    STATUS_RESOURCE_EXHAUSTED, COUNTER_limits_hit,
    "limit \"request_bytes\" or \"request_bytes_per_owner\" is reached"};
static const struct call_cause cause_reply_bytes = {
    STATUS_RESOURCE_EXHAUSTED, COUNTER_limits_hit,
    "limit \"reply_bytes\", \"reply_bytes_per_owner\" or \"queued_bytes\" is reached"};
static const struct call_cause cause_memory = {STATUS_RESOURCE_EXHAUSTED, COUNTER_limits_hit,
                                               "out of memory"};
static const struct call_cause cause_large = {STATUS_RESOURCE_EXHAUSTED, COUNTER_limits_hit,
                                              "a message is larger than a frame may be"};
static const struct call_cause cause_payload = {STATUS_INVALID_ARGUMENT, COUNTER_frames_malformed,
                                                "a message is not what the method takes"};

// ---------------------------------------------------------------------------------------------
// Beginning and end

static void run_room_task(struct task *task);

// All calls of a connection together may be so far ahead that half of its queue is full.
static uint64_t window_for(const struct limits *limits) {
  uint64_t share = limits->queued_bytes / 2 / limits->calls_per_connection;
  if (share == 0) {
    return 1;  // one message at a time
  }
  return share < CALL_WINDOW ? share : CALL_WINDOW;
}

status_t call_stream_new(struct call *call) {
  struct call_stream *stream = calloc(1, sizeof(*stream));
  ENSURE(stream != NULL, RESOURCE_EXHAUSTED);
  stream->errand_out = true;
  stream->holding = true;
  stream->window = window_for(&call->home->server->limits);
  bytes_init(&stream->inbox, CALL_INBOX_MAX + FRAME_LENGTH_MAX + sizeof(uint32_t));
  arena_init(&stream->arena, 0);
  task_init(&stream->room_task, run_room_task);
  stream->call = call;
  call->stream = stream;
  call->connection->num_streams++;
  return OK_STATUS;
}

// What is charged for it goes with it, wherever that is.
static void drop_payload(struct call *call) {
  struct call_stream *stream = call->stream;
  ceiling_give(&call->share->request_bytes, stream->payload.len);
  packed_free(stream->payload);
  stream->payload = (struct packed){.data = NULL};
}

void call_stream_free(struct call *call) {
  struct call_stream *stream = call->stream;
  if (stream == NULL) {
    return;
  }
  drop_payload(call);
  call->stream = NULL;
  if (call->connection != NULL) {
    call->connection->num_streams--;
  }
  task_cancel(&stream->room_task);
  ceiling_give(&call->share->request_bytes, stream->charged);
  bytes_cleanup(&stream->inbox);
  arena_cleanup(&stream->arena);
  free(stream);
}

static bool is_home(const struct call *call) {
  return call->at == call->home->worker;
}

bool call_stream_is_away(const struct call *call) {
  const struct call_stream *stream = call->stream;
  return stream != NULL &&
         (stream->pumping || (!is_home(call) && (stream->errand_out || stream->room_out)));
}

// ---------------------------------------------------------------------------------------------
// Where the call is: messages from the errand

static status_t unpack(struct call *call, struct slice payload, const ProtobufCMessage **out) {
  const ProtobufCFieldDescriptor *bad = NULL;
  struct call_stream *stream = call->stream;
  ENSURE(strings_check(call->method->request, payload, &bad) == STRINGS_GOOD, INVALID_ARGUMENT);
  stream->arena.max = ARENA_PER_REQUEST_BYTE * payload.len + ARENA_REQUEST_SLACK;
  return dispatch_unpack(call->method->request, payload, &stream->arena, out);
}

static void hand_over(struct call *call) {
  struct call_stream *stream = call->stream;
  const ProtobufCMessage *message = NULL;
  struct slice payload = slice_of(stream->payload.data, stream->payload.len);
  if (status_ok(unpack(call, payload, &message))) {
    stream->events->on_message(call, message);
  } else {
    call_note_cause(call, &cause_payload);
  }
  arena_reset(&stream->arena);
  drop_payload(call);
}

// The errand is here; the handler may send it back before this returns, or end the call.
static void run_errand(struct call *call) {
  struct call_stream *stream = call->stream;
  stream->holding = true;
  stream->in_handler = true;
  if (stream->closes) {
    stream->events->on_half_close(call);
  } else {
    hand_over(call);
  }
  stream->in_handler = false;
}

static void on_errand_back(struct message *message);

static void post_errand_back(struct call_stream *stream) {
  stream->holding = false;
  stream->errand.run = on_errand_back;
  worker_post(stream->call->home->worker, &stream->errand);
}

static void on_errand(struct message *message) {
  struct call_stream *stream = LIST_ENTRY(message, struct call_stream, errand);
  struct call *call = stream->call;
  if (!call->ended) {
    run_errand(call);
  }
  if (call->ended || !stream->holding) {
    post_errand_back(stream);
  }
}

void call_stream_ended(struct call *call) {
  struct call_stream *stream = call->stream;
  if (stream != NULL && !is_home(call) && stream->holding && !stream->in_handler) {
    post_errand_back(stream);
  }
}

// ---------------------------------------------------------------------------------------------
// Home: the inbox

static struct slice first_message(const struct call_stream *stream) {
  struct slice inbox = bytes_peek(&stream->inbox);
  struct slice head;
  struct slice message;
  uint32_t len = 0;
  bool whole = slice_take(&inbox, sizeof(len), &head);
  assert(whole);
  memcpy(&len, head.data, sizeof(len));
  whole = slice_take(&inbox, len, &message);
  assert(whole);
  return message;
}

// With its charge, and without data when there is no memory for it. An inbox doesn't stay as large
// as its largest message was, which is charged no more.
static struct packed take_first(struct call_stream *stream) {
  struct slice message = first_message(stream);
  size_t len = message.len;
  struct packed out = {.data = malloc(len > 0 ? len : 1), .len = len};
  if (out.data != NULL && len > 0) {
    memcpy(out.data, message.data, len);
  }
  bytes_consume(&stream->inbox, sizeof(uint32_t) + len);
  bytes_trim(&stream->inbox);
  stream->charged -= len;
  return out;
}

static void tell_taken(struct call *call) {
  if (call->connection != NULL && call->codec->taken != NULL) {
    call->codec->taken(call->connection, call->stream_id);
  }
}

// Loads the errand with what is next; false when there is nothing for it.
static bool load(struct call *call) {
  struct call_stream *stream = call->stream;
  if (stream->errand_out || call->cause_sent != NULL || call->home_again) {
    return false;
  }
  if (bytes_len(&stream->inbox) > 0) {
    stream->payload = take_first(stream);
    tell_taken(call);
    if (stream->payload.data == NULL) {
      call_cancel(call, &cause_memory);
      return false;
    }
  } else if (stream->closed && !stream->closes) {
    stream->closes = true;
  } else {
    return false;
  }
  stream->errand_out = true;
  return true;
}

bool call_stream_leaves(struct call *call) {
  struct call_stream *stream = call->stream;
  if (stream == NULL || !stream->in_handler) {
    assert(stream == NULL || !stream->pumping);
    return false;
  }
  assert(stream->holding);
  stream->leaves = true;
  return true;
}

// From here on the call is touched elsewhere.
static void leave(struct call *call) {
  if (call->stream->leaves) {
    call->stream->leaves = false;
    worker_post(call->at, &call->message);
  }
}

// A handler that asks for the next message while it has one gets it here, not from inside of
// itself.
static void pump(struct call *call) {
  struct call_stream *stream = call->stream;
  if (stream->pumping) {
    return;
  }
  stream->pumping = true;
  while (!call->ended && load(call)) {
    run_errand(call);
  }
  stream->pumping = false;
  leave(call);
  call_release_if_over(call);
}

static void deliver(struct call *call) {
  if (is_home(call)) {
    pump(call);
  } else if (load(call)) {
    call->stream->errand.run = on_errand;
    worker_post(call->at, &call->stream->errand);
  }
}

static void on_errand_back(struct message *message) {
  struct call_stream *stream = LIST_ENTRY(message, struct call_stream, errand);
  struct call *call = stream->call;
  stream->errand_out = false;
  if (call->home_again) {
    call_release_if_over(call);
  } else {
    deliver(call);
  }
}

static bool put(struct call *call, struct slice payload) {
  struct call_stream *stream = call->stream;
  uint32_t len = (uint32_t)payload.len;
  uint8_t *out = NULL;
  if (!status_ok(bytes_reserve(&stream->inbox, sizeof(len) + len, &out))) {
    call_cancel(call, &cause_memory);
    return false;
  }
  memcpy(out, &len, sizeof(len));
  if (len > 0) {
    memcpy(out + sizeof(len), payload.data, len);
  }
  bytes_commit(&stream->inbox, sizeof(len) + len);
  stream->charged += len;
  return true;
}

void call_receive(struct call *call, struct slice payload) {
  struct call_stream *stream = call->stream;
  if (call->cause_sent != NULL || stream->closed) {
    return;
  }
  if (bytes_len(&stream->inbox) > CALL_INBOX_MAX) {
    call_cancel(call, &cause_fast);
  } else if (!ceiling_take(&call->share->request_bytes, payload.len)) {
    call_cancel(call, &cause_request_bytes);
  } else if (put(call, payload)) {
    deliver(call);
  } else {
    ceiling_give(&call->share->request_bytes, payload.len);
  }
}

void call_half_close(struct call *call) {
  call->stream->closed = true;
  deliver(call);
}

size_t call_inbox(const struct call *call) {
  return bytes_len(&call->stream->inbox);
}

// ---------------------------------------------------------------------------------------------
// What a handler does

static struct call_stream *stream_here(struct call *call) {
  OBJECT_CHECK(call, CALL_MAGIC);
  assert(worker_current() == call->at && !call->ended);
  assert(call->stream != NULL);
  return call->stream;
}

void call_stream(struct call *call, const struct call_events *events) {
  stream_here(call)->events = events;
}

void call_want(struct call *call) {
  struct call_stream *stream = stream_here(call);
  if (!stream->holding) {
    return;
  }
  stream->holding = false;
  if (is_home(call)) {
    stream->errand_out = false;
    pump(call);
  } else if (!stream->in_handler) {
    post_errand_back(stream);
  }
}

struct mail {
  struct message message;
  struct call *call;
  struct packed packed;
};

// An answer of a connection that is gone is for nobody. False when there is no room for it.
static bool send_here(struct call *call, struct packed packed) {
  struct sentence why;
  size_t len = packed.len;
  if (call->connection == NULL || call->connection->state != CONNECTION_OPEN) {
    ceiling_give(&call->share->reply_bytes, len);
    packed_free(packed);
    return true;
  }
  call->stream->unsent += len;
  bool sent = status_ok(call->codec->send_message(call->connection, call->stream_id, packed, &why));
  call->stream->unsent -= sent ? 0 : len;
  return sent;
}

// Mail of a call arrives before its end does.
static void on_mail(struct message *message) {
  struct mail *mail = LIST_ENTRY(message, struct mail, message);
  if (!send_here(mail->call, mail->packed)) {
    call_cancel(mail->call, &cause_reply_bytes);
  }
  free(mail);
}

static const struct call_cause *post_mail(struct call *call, struct packed packed) {
  struct mail *mail = malloc(sizeof(*mail));
  if (mail == NULL) {
    ceiling_give(&call->share->reply_bytes, packed.len);
    packed_free(packed);
    return &cause_memory;
  }
  *mail = (struct mail){.message.run = on_mail, .call = call, .packed = packed};
  worker_post(call->home->worker, &mail->message);
  return NULL;
}

// Why not, or NULL.
static const struct call_cause *pack(struct call *call, const ProtobufCMessage *message,
                                     struct packed *out) {
  struct reply_size size = call->codec->measure_message(message);
  if (size.frame == SIZE_MAX) {
    return &cause_large;
  }
  if (!ceiling_take(&call->share->reply_bytes, size.frame)) {
    return &cause_reply_bytes;
  }
  *out = (struct packed){malloc(size.frame), size.frame};
  if (out->data == NULL) {
    ceiling_give(&call->share->reply_bytes, size.frame);
    return &cause_memory;
  }
  call->codec->pack_message(out->data, size, call->stream_id, message);
  return NULL;
}

static const struct call_cause *pack_and_send(struct call *call, const ProtobufCMessage *message) {
  struct packed packed;
  const struct call_cause *cause = pack(call, message, &packed);
  if (cause != NULL) {
    return cause;
  }
  call->stream->out += packed.len;
  if (!is_home(call)) {
    return post_mail(call, packed);
  }
  return send_here(call, packed) ? NULL : &cause_reply_bytes;
}

enum call_sent call_send(struct call *call, const ProtobufCMessage *message) {
  struct call_stream *stream = stream_here(call);
  if (call->cause == NULL) {
    call->cause = pack_and_send(call, message);
  }
  if (call->cause != NULL) {
    return CALL_OVER;
  }
  stream->full = stream->out >= stream->window;
  return stream->full ? CALL_FULL : CALL_ROOM;
}

// ---------------------------------------------------------------------------------------------
// Room, and the end of service

static void take_credit(struct call *call, uint64_t credit) {
  struct call_stream *stream = call->stream;
  stream->out -= credit;
  if (stream->full && stream->out < stream->window) {
    stream->full = false;
    stream->events->on_room(call);
  }
}

// Each may end the call.
static void take_news(struct call *call) {
  struct call_stream *stream = call->stream;
  if (!call->ended) {
    take_credit(call, stream->credit);
  }
  if (!call->ended && stream->drains && stream->events->on_drain != NULL) {
    stream->events->on_drain(call);
  }
}

static void load_news(struct call_stream *stream) {
  stream->credit = stream->gone;
  stream->drains = stream->draining;
  stream->gone = 0;
  stream->draining = false;
}

static void on_room_back(struct message *message);

static void on_room(struct message *message) {
  struct call_stream *stream = LIST_ENTRY(message, struct call_stream, room);
  take_news(stream->call);
  stream->room.run = on_room_back;
  worker_post(stream->call->home->worker, &stream->room);
}

// Bytes that have gone are told in large pieces, or when there are no more.
static bool has_news(const struct call_stream *stream) {
  return stream->draining || stream->gone >= stream->window / 2 ||
         (stream->gone > 0 && stream->unsent == 0);
}

static void tell_room(struct call *call) {
  struct call_stream *stream = call->stream;
  if (call->home_again || !has_news(stream)) {
    return;
  }
  if (is_home(call)) {
    task_schedule(call->home->loop, &stream->room_task, TASK_DATA);
  } else if (!stream->room_out) {
    stream->room_out = true;
    load_news(stream);
    stream->room.run = on_room;
    worker_post(call->at, &stream->room);
  }
}

static void on_room_back(struct message *message) {
  struct call_stream *stream = LIST_ENTRY(message, struct call_stream, room);
  struct call *call = stream->call;
  stream->room_out = false;
  if (call->home_again) {
    call_release_if_over(call);
  } else {
    tell_room(call);
  }
}

// The call stays for as long as its handler is told. It may have moved since there was news.
static void run_room_task(struct task *task) {
  struct call_stream *stream = LIST_ENTRY(task, struct call_stream, room_task);
  struct call *call = stream->call;
  if (!is_home(call)) {
    tell_room(call);
    return;
  }
  load_news(stream);
  stream->pumping = true;
  take_news(call);
  stream->pumping = false;
  pump(call);
}

void call_drain(struct call *call) {
  if (call->stream != NULL) {
    call->stream->draining = true;
    tell_room(call);
  }
}

void call_gone(struct call *call, size_t len) {
  struct call_stream *stream = call->stream;
  stream->unsent -= len;
  stream->gone += len;
  tell_room(call);
}

void call_all_gone(struct call *call) {
  if (call->stream != NULL && call->stream->unsent > 0) {
    call_gone(call, call->stream->unsent);
  }
}
