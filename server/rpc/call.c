// The handler's side of a call, its way to another worker and back, and its end.
//
// A call that moved is in one of two places, and messages carry it between them: one message there,
// which runs call->run, and the same one back with the answer. A cancel travels beside it in a
// notice of its own, there and back, and home frees the call only when both are home. Messages
// arrive in order: a notice is never there before the call, nor back before an answer that it has
// caused.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/rpc/rpc_priv.h"

// How many calls a worker keeps for later. None where AddressSanitizer should see a use after free.
#if defined(__SANITIZE_ADDRESS__)
enum { SPARE_CALLS_MAX = 0 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { SPARE_CALLS_MAX = 0 };
#else
enum { SPARE_CALLS_MAX = 256 };
#endif
#else
enum { SPARE_CALLS_MAX = 256 };
#endif

const struct call_cause call_cause_cancelled = {STATUS_CANCELLED, COUNTER_calls_cancelled,
                                                "cancelled by the client"};
const struct call_cause call_cause_deadline = {STATUS_DEADLINE_EXCEEDED, COUNTER_calls_expired,
                                               "the deadline has passed"};
const struct call_cause call_cause_lost = {STATUS_CANCELLED, COUNTER_calls_cancelled,
                                           "the connection is gone"};
const struct call_cause call_cause_message = {
    STATUS_RESOURCE_EXHAUSTED, COUNTER_limits_hit,
    "a message is past limit \"frame_bytes\", \"request_bytes\" or \"request_bytes_per_owner\""};
const struct call_cause call_cause_data = {STATUS_INVALID_ARGUMENT, COUNTER_calls_cancelled,
                                           "a data frame came for a call that takes none"};

// ---------------------------------------------------------------------------------------------
// Memory

static void on_deadline(struct timer *timer) {
  struct call *call = LIST_ENTRY(timer, struct call, timer);
  OBJECT_CHECK(call, CALL_MAGIC);
  call_cancel(call, &call_cause_deadline);
}

static struct call *take_spare(struct rpc_home *home) {
  struct list *link = list_pop_front(&home->spare_calls);
  if (link == NULL) {
    return NULL;
  }
  home->num_spare--;
  return LIST_ENTRY(link, struct call, link);
}

static struct call *blank_call(void) {
  struct call *call = malloc(sizeof(*call));
  if (call != NULL) {
    arena_init(&call->arena, 0);
  }
  return call;
}

// Everything but the arena, whose first block is kept, and the sentence, which has no value yet.
static void call_init(struct call *call, struct rpc_home *home) {
  list_init(&call->link);
  timer_init(&call->timer, on_deadline);
  call->connection = NULL;
  call->charged = 0;
  call->cause_sent = NULL;
  call->telling = false;
  call->home_again = false;
  call->home = home;
  call->client = NULL;
  call->request = NULL;
  call->deadline = CLOCK_NEVER;
  call->at = home->worker;
  call->moved = false;
  call->ended = false;
  call->answered = false;
  call->cause = NULL;
  call->on_cancel = NULL;
  call->state = NULL;
  call->stream = NULL;
  call->code = STATUS_OK;
  call->packed = (struct packed){.data = NULL};
  call->fd = -1;
  attachments_init(&call->descriptors, &call->share->descriptors, call->share->uid);
  call->magic = CALL_MAGIC;
}

struct call *call_alloc(struct connection *connection) {
  struct rpc_home *home = connection->home;
  struct call *call = take_spare(home);
  if (call == NULL) {
    call = blank_call();
  }
  if (call != NULL) {
    call->share = connection->share;
    call_init(call, home);
    home->load.calls++;
  }
  return call;
}

static void spare_or_free(struct rpc_home *home, struct call *call) {
  if (home->num_spare >= SPARE_CALLS_MAX) {
    arena_cleanup(&call->arena);
    free(call);
    return;
  }
  arena_reset(&call->arena);
  list_push_front(&home->spare_calls, &call->link);
  home->num_spare++;
}

void call_free(struct call *call) {
  struct rpc_home *home = call->home;
  timer_cancel(home->loop, &call->timer);
  list_remove(&call->link);
  if (call->connection != NULL) {
    call->connection->num_calls--;
  }
  call_stream_free(call);
  attachments_close(&call->descriptors);
  client_unref(call->client);
  ceiling_give(&call->share->request_bytes, call->charged);
  ceiling_give(&call->share->calls, 1);
  call->magic = 0;
  spare_or_free(home, call);
  home->load.calls--;
  rpc_home_report(home);
}

void call_spares_free(struct rpc_home *home) {
  struct call *call = take_spare(home);
  while (call != NULL) {
    arena_cleanup(&call->arena);
    free(call);
    call = take_spare(home);
  }
}

// ---------------------------------------------------------------------------------------------
// What a handler may ask

static void check_here(const struct call *call) {
  OBJECT_CHECK(call, CALL_MAGIC);
  assert(worker_current() == call->at);
  assert(!call->ended);
}

struct client *call_client(const struct call *call) {
  OBJECT_CHECK(call, CALL_MAGIC);
  return call->client;
}

struct arena *call_arena(struct call *call) {
  OBJECT_CHECK(call, CALL_MAGIC);
  return &call->arena;
}

const ProtobufCMessage *call_request(const struct call *call) {
  OBJECT_CHECK(call, CALL_MAGIC);
  return call->request;
}

clock_time call_deadline(const struct call *call) {
  OBJECT_CHECK(call, CALL_MAGIC);
  return call->deadline;
}

struct worker *call_home(const struct call *call) {
  OBJECT_CHECK(call, CALL_MAGIC);
  return call->home->worker;
}

size_t call_num_fds(const struct call *call) {
  OBJECT_CHECK(call, CALL_MAGIC);
  return call->descriptors.num;
}

bool call_carries_fds(const struct call *call) {
  OBJECT_CHECK(call, CALL_MAGIC);
  return call->carries_fds;
}

bool call_has_windows(const struct call *call) {
  OBJECT_CHECK(call, CALL_MAGIC);
  return call->codec->taken != NULL;
}

status_t call_take_fd(struct call *call, size_t index, int *out) {
  check_here(call);
  return attachments_take(&call->descriptors, index, out);
}

void call_set_state(struct call *call, void *state) {
  check_here(call);
  call->state = state;
}

void *call_state(const struct call *call) {
  OBJECT_CHECK(call, CALL_MAGIC);
  return call->state;
}

bool call_is_cancelled(const struct call *call) {
  check_here(call);
  return call->cause != NULL;
}

// ---------------------------------------------------------------------------------------------
// Cancelling

// Tells the handler, once. The call may have ended after this.
static void tell(struct call *call) {
  void (*cancelled)(struct call * call) = call->on_cancel;
  call->on_cancel = NULL;
  if (cancelled != NULL) {
    cancelled(call);
  }
}

// Nobody waits any more: noted where the call is. The first cause is the one that counts.
void call_note_cause(struct call *call, const struct call_cause *cause) {
  if (call->cause == NULL) {
    call->cause = cause;
    counter_add(cause->counter, 1);
    tell(call);
  }
}

void call_on_cancel(struct call *call, void (*cancelled)(struct call *call)) {
  check_here(call);
  call->on_cancel = cancelled;
  if (call->cause != NULL) {
    tell(call);
  }
}

// Home again; the call stays till its answer is, too.
static void on_notice_back(struct message *message) {
  struct call *call = LIST_ENTRY(message, struct call, notice);
  OBJECT_CHECK(call, CALL_MAGIC);
  call->telling = false;
  call_release_if_over(call);
}

static void on_notice(struct message *message) {
  struct call *call = LIST_ENTRY(message, struct call, notice);
  OBJECT_CHECK(call, CALL_MAGIC);
  if (!call->ended) {
    call_note_cause(call, call->cause_sent);
  }
  call->notice.run = on_notice_back;
  worker_post(call->home->worker, &call->notice);
}

static void send_notice(struct call *call) {
  call->telling = true;
  call->notice.run = on_notice;
  worker_post(call->at, &call->notice);
}

void call_cancel(struct call *call, const struct call_cause *cause) {
  OBJECT_CHECK(call, CALL_MAGIC);
  assert(worker_current() == call->home->worker);
  if (call->cause_sent != NULL || call->home_again) {
    return;
  }
  call->cause_sent = cause;
  timer_cancel(call->home->loop, &call->timer);
  if (call->at == call->home->worker) {
    call_note_cause(call, cause);
  } else {
    send_notice(call);
  }
}

bool call_cancel_stream(struct call *call, uint32_t stream_id) {
  check_here(call);
  assert(call->at == call->home->worker);
  struct call *other =
      call->connection == NULL ? NULL : connection_call(call->connection, stream_id);
  if (other == NULL || other == call || other->home_again) {
    return false;
  }
  call_cancel(other, &call_cause_cancelled);
  return true;
}

// ---------------------------------------------------------------------------------------------
// Moving

// What has no time left is told so before the expensive step, not after it. Home's timer fires as
// well, and its notice then finds that this is known.
static void note_deadline(struct call *call) {
  if (call->deadline != CLOCK_NEVER && clock_now() >= call->deadline) {
    call_note_cause(call, &call_cause_deadline);
  }
}

static void on_arrival(struct message *message) {
  struct call *call = LIST_ENTRY(message, struct call, message);
  OBJECT_CHECK(call, CALL_MAGIC);
  note_deadline(call);
  call->run(call);
}

void call_move(struct call *call, struct worker *to, void (*run)(struct call *call)) {
  check_here(call);
  assert(!call->moved && call->at == call->home->worker);
  assert(call->on_cancel == NULL);  // told on the way it could end the call, which nothing holds
  call->moved = true;
  if (to == call->at) {
    run(call);
    return;
  }
  call->at = to;
  call->run = run;
  call->message.run = on_arrival;
  if (!call_stream_leaves(call)) {
    worker_post(to, &call->message);
  }
}

// ---------------------------------------------------------------------------------------------
// Ending

static bool can_answer(const struct call *call) {
  return call->connection != NULL && call->connection->state == CONNECTION_OPEN;
}

// Home drops an answer that nobody will get.
static void drop_answer(struct call *call) {
  ceiling_give(&call->share->reply_bytes, call->packed.len);
  packed_free(call->packed);
  if (call->fd >= 0) {
    closer_close(call->share->uid, call->fd);
  }
}

static void send_packed(struct call *call) {
  status_t status =
      call->codec->send(call->connection, call->stream_id, call->packed, call->fd, &call->why);
  if (!status_ok(status)) {
    output_failure(call->connection, call->stream_id, status.code, call->why.text);
  }
}

static void send_answer(struct call *call) {
  if (call->answered) {
    return;
  }
  if (!can_answer(call)) {
    drop_answer(call);
  } else if (call->code != STATUS_OK) {
    output_failure(call->connection, call->stream_id, call->code, call->why.text);
  } else if (call->stream != NULL) {
    call->codec->finish(call->connection, call->stream_id);
  } else {
    send_packed(call);
  }
}

// The answer is home, so that a cancel comes too late. The call goes, unless a notice is still
// away.
void call_release_if_over(struct call *call) {
  if (call->home_again && !call->telling && !call_stream_is_away(call)) {
    call_free(call);
  }
}

static void come_home(struct call *call) {
  call->home_again = true;
  timer_cancel(call->home->loop, &call->timer);
  send_answer(call);
  call_release_if_over(call);
}

static void on_home_again(struct message *message) {
  struct call *call = LIST_ENTRY(message, struct call, message);
  OBJECT_CHECK(call, CALL_MAGIC);
  come_home(call);
}

// Ends the call where it is, with the answer that is in it.
static void finish(struct call *call) {
  assert(!call->ended);
  call->ended = true;
  call_stream_ended(call);
  if (call->at == call->home->worker) {
    come_home(call);
    return;
  }
  call->message.run = on_home_again;
  worker_post(call->home->worker, &call->message);
}

static void set_failure(struct call *call, enum status_code code, const char *text) {
  call->code = code;
  snprintf(call->why.text, sizeof(call->why.text), "%s", text);
}

// The answer of a call that nobody waits for is why not.
static bool finish_if_cancelled(struct call *call) {
  if (call->cause == NULL) {
    return false;
  }
  set_failure(call, call->cause->code, call->cause->text);
  finish(call);
  return true;
}

void call_fail_for(struct call *call, enum status_code code, const struct sentence *why) {
  check_here(call);
  assert(code != STATUS_OK);
  if (!finish_if_cancelled(call)) {
    set_failure(call, code, why->text);
    finish(call);
  }
}

void call_fail(struct call *call, enum status_code code, const char *format, ...) {
  struct sentence why;
  va_list args;
  va_start(args, format);
  vsnprintf(why.text, sizeof(why.text), format, args);
  va_end(args);
  call_fail_for(call, code, &why);
}

static status_t pack_charged(struct call *call, struct reply_size size,
                             const ProtobufCMessage *response) {
  uint8_t *data = malloc(size.frame);
  if (data == NULL) {
    ceiling_give(&call->share->reply_bytes, size.frame);
    return refuse(&call->why, STATUS_RESOURCE_EXHAUSTED, "out of memory for the answer");
  }
  call->packed = (struct packed){data, size.frame};
  call->codec->pack(data, size, call->stream_id, response);
  return OK_STATUS;
}

// Elsewhere it is packed into memory that home sends it from.
static status_t pack_away(struct call *call, const ProtobufCMessage *response) {
  struct reply_size size;
  TRY(output_measure(call->codec, response, &size, &call->why));
  TRY(take_or_refuse(&call->share->reply_bytes, size.frame, &call->why));
  return pack_charged(call, size, response);
}

static void close_unsent(const struct call *call, int fd) {
  if (fd >= 0) {
    closer_close(call->share->uid, fd);
  }
}

// At home an answer is packed right where it is sent from.
static void reply_home(struct call *call, const ProtobufCMessage *response, int fd) {
  status_t status = status_of(STATUS_CANCELLED);
  if (can_answer(call)) {
    status = call->codec->reply(call->connection, call->stream_id, response, fd, &call->why);
  } else {
    close_unsent(call, fd);
  }
  call->answered = status_ok(status);
  call->code = status.code;
  finish(call);
}

static void reply_away(struct call *call, const ProtobufCMessage *response, int fd) {
  status_t status = pack_away(call, response);
  call->code = status.code;
  if (status_ok(status)) {
    call->fd = fd;
  } else {
    close_unsent(call, fd);
  }
  finish(call);
}

void call_end(struct call *call) {
  check_here(call);
  assert(call->stream != NULL);
  if (!finish_if_cancelled(call)) {
    finish(call);
  }
}

void call_reply_with_fd(struct call *call, const ProtobufCMessage *response, int fd) {
  check_here(call);
  assert(call->stream == NULL);
  if (call->cause != NULL) {
    close_unsent(call, fd);
    finish_if_cancelled(call);
    return;
  }
  if (fd >= 0 && !call->carries_fds) {
    close_unsent(call, fd);
    call_fail(call, STATUS_FAILED_PRECONDITION,
              "the answer is a descriptor, which only ttrpc on a Unix socket carries");
  } else if (call->at == call->home->worker) {
    reply_home(call, response, fd);
  } else {
    reply_away(call, response, fd);
  }
}

void call_reply(struct call *call, const ProtobufCMessage *response) {
  call_reply_with_fd(call, response, -1);
}
