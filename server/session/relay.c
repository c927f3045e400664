// What a relay does with bytes, ends and time. The peer's side is the session's own transport; the
// plaintext side is a second stream.
#include "server/session/relay.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "server/base/counters.h"
#include "server/base/object.h"
#include "server/ring/closer.h"
#include "server/session/private.h"

enum {
  RECORD = 16384,
  // What may wait to be sent when more is received; a stream that receives much may fill the queue.
  MODEST_QUEUE = 64 * 1024,
  BULK_QUEUE = 2 * LOOP_LARGE_BUFFER_SIZE,
  // What one large receive can bring, and records add to it or have left of it.
  BULK_ROOM = LOOP_LARGE_BUFFER_SIZE + 2 * RECORD,
  GREETING_MAX = 4096,
  QUIET_SECONDS = 1,  // after which the engine's buffers go
  QUIET_STEP_MILLIS = 128,
  LOOK_MILLIS = 50,    // between looks at how far a TCP reader is
  STUCK_SECONDS = 60,  // without a byte taken, for a peer to go on reading what is left for it
  LINGER_SECONDS = 5   // to get the last bytes out when nothing more is to be waited for
};

struct relay {
  struct session *session;
  struct stream *plain;  // NULL once its descriptor is gone
  uid_t uid;             // who waits for closes of what comes through it
  bool plain_ended;      // the plaintext side ended its direction
  bool up_ended;         // the peer sent close_notify
  bool down_ended;       // close_notify is in the output
  bool reset_peer;       // what ended the relay is no end of the peer's stream
  bool over;             // both sides are being closed
  bool failed;           // how it was then; the session may be closed later
  bool handed_over;      // the connection goes on without the daemon
  bool told;             // its end was told
  bool buffers_released;
  struct bytes waiting;  // plaintext that had no room in the output
  clock_time started;
  clock_time ended;
  clock_time active;    // when a byte last went either way
  clock_time gives_up;  // when nothing more is waited for, or CLOCK_NEVER
  uint64_t idle_nanos;
  uint64_t total_nanos;
  size_t unsent;     // of the last bytes, when they were last looked at
  clock_time moved;  // when there were more of them
  struct timer tick;
};

// ---------------------------------------------------------------------------------------------
// Time

static clock_time after(clock_time when, uint64_t nanos) {
  return nanos == 0 ? CLOCK_NEVER : clock_add(when, nanos);
}

static clock_time earlier(clock_time a, clock_time b) {
  return a < b ? a : b;
}

// Rounded up, so that of thousands of relays many go quiet in one turn: each would be a wake-up of
// its own.
static clock_time quiet_at(const struct relay *relay) {
  if (relay->buffers_released) {
    return CLOCK_NEVER;
  }
  const clock_time step = QUIET_STEP_MILLIS * NANOS_PER_MILLI;
  clock_time when = clock_add(relay->active, QUIET_SECONDS * NANOS_PER_SECOND);
  return clock_add(when, step - when % step);
}

// One that has failed waits for its last bytes alone, and looks for them (has_unread): its other
// times may be long over.
static clock_time next_tick(const struct relay *relay) {
  if (relay->session->failed) {
    return earlier(relay->gives_up, clock_add(clock_now(), LOOK_MILLIS * NANOS_PER_MILLI));
  }
  clock_time when = earlier(quiet_at(relay), relay->gives_up);
  when = earlier(when, after(relay->active, relay->idle_nanos));
  return earlier(when, after(relay->started, relay->total_nanos));
}

// Without room for a timer the relay does without it: its ends are noticed all the same.
static void set_tick(struct relay *relay) {
  clock_time when = next_tick(relay);
  struct loop *loop = worker_loop(relay->session->worker);
  if (when == CLOCK_NEVER) {
    timer_cancel(loop, &relay->tick);
  } else if (!status_ok(timer_set(loop, &relay->tick, when))) {
    counter_add(COUNTER_limits_hit, 1);
  }
}

static void note_activity(struct relay *relay) {
  relay->active = loop_now(worker_loop(relay->session->worker));
  if (relay->buffers_released) {
    relay->buffers_released = false;
    set_tick(relay);
  }
}

// ---------------------------------------------------------------------------------------------
// Ends

static void tell_ended(struct relay *relay) {
  struct session *session = relay->session;
  if (!relay->over || relay->told || relay->plain != NULL || session->stream != NULL) {
    return;
  }
  relay->told = true;
  struct list *link;
  while ((link = list_pop_front(&session->end_waiters)) != NULL) {
    struct session_ended *waiter = LIST_ENTRY(link, struct session_ended, link);
    waiter->ended(waiter);
  }
}

static void finish(struct relay *relay) {
  struct session *session = relay->session;
  relay->over = true;
  relay->failed = session->failed;
  relay->ended = clock_now();
  timer_cancel(worker_loop(session->worker), &relay->tick);
  if (relay->reset_peer && session->stream != NULL) {
    stream_reset(session->stream);
  }
  transport_close(session);
  engine_release_buffers(session->engine);
  if (session->failed) {
    stream_reset(relay->plain);
  } else {
    stream_close(relay->plain);
  }
}

// What is queued still goes out, an alert to the peer and plaintext to the other side, if it does
// soon.
static void fail(struct relay *relay, const struct tls_error *error) {
  if (!relay->session->failed) {
    session_fail(relay->session, error);
    relay->gives_up = clock_add(clock_now(), LINGER_SECONDS * NANOS_PER_SECOND);
    set_tick(relay);
  }
}

static void fail_os(struct relay *relay, int os_errno, const char *what) {
  struct tls_error error;
  tls_error_os(&error, os_errno, what);
  relay->reset_peer = true;
  fail(relay, &error);
}

static void fail_time(struct relay *relay, const char *text) {
  struct tls_error error;
  tls_error_simple(&error, TLS_ERROR_TIMEOUT, text);
  fail(relay, &error);
  if (!relay->down_ended) {
    relay->down_ended = engine_shutdown_send(relay->session->engine) == ENGINE_DONE;
  }
}

// Whether nobody is left to read what comes for the plaintext side. Of TCP only a reset tells.
static bool is_gone(const struct stream *plain) {
  struct pollfd poll_for = {.fd = stream_fd(plain)};
  return poll(&poll_for, 1, 0) == 1 && (poll_for.revents & POLLHUP) != 0;
}

// Whether a reset would throw away what the kernel still has for the plaintext side.
static bool has_unread(const struct relay *relay) {
  int unread = 0;
  return relay->session->failed && transport_flags_for(stream_fd(relay->plain)) == STREAM_PLAIN &&
         !is_gone(relay->plain) && ioctl(stream_fd(relay->plain), SIOCOUTQ, &unread) == 0 &&
         unread > 0;
}

static bool is_flushed(const struct relay *relay) {
  bool plain_is = stream_unsent(relay->plain) == 0 && !has_unread(relay);
  bool peer_is = relay->session->out_errno != 0 || transport_unsent(relay->session) == 0;
  return plain_is && peer_is;
}

static void conclude(struct relay *relay) {
  bool both_ended = relay->up_ended && relay->down_ended;
  if ((both_ended || relay->session->failed) && is_flushed(relay)) {
    finish(relay);
  }
}

// ---------------------------------------------------------------------------------------------
// Up: from the peer to the plaintext side

static void end_up(struct relay *relay) {
  relay->up_ended = true;
  stream_shutdown(relay->plain);
}

// True when the next record may be asked for.
static bool read_record(struct relay *relay) {
  struct session *session = relay->session;
  struct bytes *to = stream_output(relay->plain);
  uint8_t *out = NULL;
  if (bytes_room(to) < RECORD) {
    return false;
  }
  if (!status_ok(bytes_reserve(to, RECORD, &out))) {
    fail_os(relay, ENOMEM, "receive");
    return false;
  }
  size_t len;
  enum engine_result result = engine_read(session->engine, out, RECORD, &len);
  bytes_commit(to, len);
  session->bytes_read += len;
  counter_add(COUNTER_plaintext_bytes_in, len);
  if (result == ENGINE_CLOSED) {
    end_up(relay);
  } else if (result == ENGINE_FAILED) {
    fail(relay, engine_error(session->engine));
  }
  return result == ENGINE_DONE;
}

static bool has_input(const struct session *session, bool eof) {
  return eof || engine_input_left(session->engine) > 0 || engine_pending(session->engine) > 0;
}

// Passes on what is in input; what has no room yet is left.
static size_t read_records(struct relay *relay, struct slice input) {
  struct session *session = relay->session;
  bool eof = session->ended && session->in_errno == 0;
  engine_set_input(session->engine, input, eof);
  bool more = !relay->up_ended && !session->failed;
  while (more && has_input(session, eof)) {
    more = read_record(relay);
  }
  size_t left = engine_input_left(session->engine);
  engine_set_input(session->engine, slice_of(NULL, 0), false);
  return left;
}

static void pass_up(struct relay *relay) {
  struct session *session = relay->session;
  struct slice input = bytes_peek(&session->inbox);
  size_t left = read_records(relay, input);
  bytes_skip(&session->inbox, relay->up_ended ? input.len : input.len - left);
  bool all_passed = bytes_len(&session->inbox) == 0 && engine_pending(session->engine) == 0;
  if (session->in_errno != 0 && all_passed && !relay->up_ended) {
    fail_os(relay, session->in_errno, "receive");
  }
}

// ---------------------------------------------------------------------------------------------
// Down: from the plaintext side to the peer

static size_t write_records(struct relay *relay, struct slice data) {
  struct session *session = relay->session;
  size_t len = 0;
  enum engine_result result = engine_write(session->engine, data, &len);
  session->bytes_written += len;
  counter_add(COUNTER_plaintext_bytes_out, len);
  if (result == ENGINE_FAILED) {
    fail(relay, engine_error(session->engine));
  }
  return len;
}

static void end_down(struct relay *relay) {
  enum engine_result result = engine_shutdown_send(relay->session->engine);
  relay->down_ended = result == ENGINE_DONE;
  if (result == ENGINE_FAILED) {
    fail(relay, engine_error(relay->session->engine));
  }
}

static void pass_down(struct relay *relay) {
  struct slice waiting = bytes_peek(&relay->waiting);
  if (waiting.len > 0) {
    bytes_consume(&relay->waiting, write_records(relay, waiting));
  }
  if (relay->plain_ended && bytes_len(&relay->waiting) == 0 && !relay->down_ended) {
    end_down(relay);
  }
}

// ---------------------------------------------------------------------------------------------

static bool has_room(struct bytes *queue, const struct stream *from) {
  return stream_receives_much(from) ? bytes_room(queue) >= BULK_ROOM
                                    : bytes_len(queue) <= MODEST_QUEUE;
}

static void ask(struct relay *relay) {
  struct session *session = relay->session;
  if (session->failed) {
    return;
  }
  if (!relay->up_ended && !session->ended && bytes_len(&session->inbox) == 0 &&
      has_room(stream_output(relay->plain), session->stream)) {
    stream_receive(session->stream);
  }
  if (!relay->plain_ended && bytes_len(&relay->waiting) == 0 &&
      has_room(engine_output(session->engine), relay->plain)) {
    stream_receive(relay->plain);
  }
}

// After whatever has happened: moves on what can move, and asks for more.
static void go_on(struct relay *relay) {
  struct session *session = relay->session;
  stream_flush(relay->plain);
  transport_flush(session);
  if (session->out_errno != 0) {
    fail_os(relay, session->out_errno, "send");
  }
  conclude(relay);
  if (!relay->over) {
    ask(relay);
  }
}

void relay_advance(struct session *session) {
  struct relay *relay = session->relay;
  if (relay->over) {
    return;
  }
  if (!session->failed) {
    pass_up(relay);
  }
  if (!session->failed) {
    pass_down(relay);
  }
  go_on(relay);
}

// What the engine takes at once is never copied. What it leaves waits for room.
void relay_take(struct session *session, struct slice data) {
  struct relay *relay = session->relay;
  if (relay->over) {
    return;
  }
  note_activity(relay);
  if (bytes_len(&session->inbox) == 0) {
    size_t left = read_records(relay, data);
    data = relay->up_ended ? slice_of(NULL, 0) : slice_after(data, data.len - left);
  }
  if (!status_ok(bytes_append(&session->inbox, data))) {
    fail_os(relay, ENOMEM, "receive");
  }
  relay_advance(session);
}

// ---------------------------------------------------------------------------------------------
// What the plaintext side tells

static struct relay *relay_of(struct stream *stream) {
  return stream_owner(stream);
}

static void end_plain(struct relay *relay, int os_errno) {
  relay->plain_ended = true;
  if (os_errno != 0) {
    fail_os(relay, os_errno, "receive from the plaintext side");
  } else if (is_gone(relay->plain)) {
    relay->gives_up = clock_add(clock_now(), LINGER_SECONDS * NANOS_PER_SECOND);
    set_tick(relay);
  }
}

static void on_plain_data(struct stream *stream, struct slice data, const int *fds, size_t num_fds,
                          size_t dropped) {
  struct relay *relay = relay_of(stream);
  if (num_fds + dropped > 0 && transport_refuse_fds(relay->uid, fds, num_fds)) {
    end_plain(relay, EMFILE);
  }
  if (relay->over || relay->session->failed) {
    return;
  }
  note_activity(relay);
  size_t taken = write_records(relay, data);
  if (!status_ok(bytes_append(&relay->waiting, slice_after(data, taken)))) {
    end_plain(relay, ENOMEM);
  }
  relay_advance(relay->session);
}

static void on_plain_end(struct stream *stream, int os_errno) {
  struct relay *relay = relay_of(stream);
  if (!relay->over) {
    end_plain(relay, os_errno);
    relay_advance(relay->session);
  }
}

static void on_plain_sent(struct stream *stream, int os_errno) {
  struct relay *relay = relay_of(stream);
  if (relay->over) {
    return;
  }
  if (os_errno != 0) {
    fail_os(relay, os_errno, "send to the plaintext side");
  }
  relay_advance(relay->session);
}

static void on_plain_room(struct stream *stream) {
  relay_advance(relay_of(stream)->session);
}

static void on_plain_closed(struct stream *stream) {
  struct relay *relay = relay_of(stream);
  struct session *session = relay->session;
  relay->plain = NULL;
  tell_ended(relay);
  session_unref(session);
}

static const struct stream_events plain_events = {
    .on_data = on_plain_data,
    .on_end = on_plain_end,
    .on_sent = on_plain_sent,
    .on_room = on_plain_room,
    .on_closed = on_plain_closed,
};

// ---------------------------------------------------------------------------------------------
// Time passes

// Also of one that has just begun: of many that shake hands at a time, few speak at once.
static void release_buffers(struct relay *relay) {
  engine_release_buffers(relay->session->engine);
  stream_rest(relay->session->stream);
  stream_rest(relay->plain);
  relay->buffers_released = true;
}

static bool has_passed(clock_time when, clock_time now) {
  return when != CLOCK_NEVER && when <= now;
}

// Whether something waits to be sent, and a part of it was within the time: a reader may be slow.
static bool still_takes(struct relay *relay, clock_time now, uint64_t nanos) {
  size_t unsent = transport_unsent(relay->session) + stream_unsent(relay->plain);
  if (unsent != relay->unsent) {
    relay->unsent = unsent;
    relay->moved = now;
  }
  return unsent > 0 && now - relay->moved < nanos;
}

// A reader that is slow gets what came before the end, also before a failure; but not where the
// time itself is over.
static bool may_linger_on(struct relay *relay, clock_time now) {
  if (!relay->session->failed) {
    return still_takes(relay, now, STUCK_SECONDS * NANOS_PER_SECOND);
  }
  return session_error(relay->session)->kind != TLS_ERROR_TIMEOUT &&
         still_takes(relay, now, LINGER_SECONDS * NANOS_PER_SECOND);
}

static void give_up(struct relay *relay, clock_time now) {
  if (may_linger_on(relay, now)) {
    relay->gives_up = clock_add(now, LINGER_SECONDS * NANOS_PER_SECOND);
  } else if (relay->session->failed) {
    finish(relay);
  } else {
    fail_time(relay, "the peer did not answer close_notify, and nobody reads the plaintext");
  }
}

// Bytes that go out slowly are no idleness either.
static void end_idleness(struct relay *relay, clock_time now) {
  if (still_takes(relay, now, relay->idle_nanos)) {
    relay->active = now;
  } else {
    fail_time(relay, "the relay was idle for its idle time");
  }
}

static void look_at_clock(struct relay *relay, clock_time now) {
  if (has_passed(relay->gives_up, now)) {
    give_up(relay, now);
  } else if (relay->session->failed) {
    return;
  } else if (has_passed(after(relay->started, relay->total_nanos), now)) {
    fail_time(relay, "the relay has run for its total time");
  } else if (has_passed(after(relay->active, relay->idle_nanos), now)) {
    end_idleness(relay, now);
  } else if (has_passed(quiet_at(relay), now)) {
    release_buffers(relay);
  }
}

static void on_tick(struct timer *timer) {
  struct relay *relay = LIST_ENTRY(timer, struct relay, tick);
  look_at_clock(relay, clock_now());
  if (relay->over) {
    return;
  }
  if (relay->session->failed) {
    go_on(relay);
  }
  if (!relay->over) {
    set_tick(relay);
  }
}

// ---------------------------------------------------------------------------------------------
// Beginning and end

bool relay_may_begin(const struct session *session) {
  return session_is_idle(session) && session->late == 0;
}

static void init(struct relay *relay, struct session *session, const struct relay_config *config) {
  clock_time now = clock_now();
  *relay = (struct relay){.session = session,
                          .uid = config->uid,
                          .started = now,
                          .active = now,
                          .gives_up = CLOCK_NEVER,
                          .idle_nanos = config->idle_nanos,
                          .total_nanos = config->total_nanos};
  bytes_init(&relay->waiting, LOOP_LARGE_BUFFER_SIZE);
  timer_init(&relay->tick, on_tick);
}

struct relay *relay_new_handed_over(struct session *session) {
  struct relay *relay = malloc(sizeof(*relay));
  if (relay != NULL) {
    const struct relay_config config = {.fd = -1, .uid = session->uid};
    init(relay, session, &config);
    relay->over = true;
    relay->handed_over = true;
    relay->ended = relay->started;
  }
  return relay;
}

static status_t open_plain(struct relay *relay, const struct relay_config *config) {
  struct session *session = relay->session;
  TRY(stream_new(worker_loop(session->worker), config->uid, config->fd,
                 transport_flags_for(config->fd), BULK_QUEUE, &plain_events, relay, &relay->plain));
  stream_receive_bulk(relay->plain);
  status_t greeted = bytes_append(stream_output(relay->plain), config->greeting);
  session_ref(session);  // the stream's, until it is closed
  return greeted;
}

static status_t begin(struct session *session, const struct relay_config *config) {
  struct relay *relay = malloc(sizeof(*relay));
  if (relay == NULL) {
    closer_close(config->uid, config->fd);
    return status_of(STATUS_RESOURCE_EXHAUSTED);
  }
  init(relay, session, config);
  status_t opened = open_plain(relay, config);
  if (relay->plain == NULL) {
    free(relay);
    return opened;
  }
  session->relay = relay;
  engine_forget_traffic_keys(session->engine);  // they are the relay's own
  stream_receive_bulk(session->stream);
  if (!status_ok(opened)) {
    fail_os(relay, ENOMEM, "relay");
  }
  // Never lowered: what a write left behind may fill it.
  if (session->max_output < BULK_QUEUE) {
    stream_set_max_queued(session->stream, BULK_QUEUE);
  }
  release_buffers(relay);
  set_tick(relay);
  session_schedule(session);
  return opened;
}

status_t session_relay(struct session *session, const struct relay_config *config) {
  OBJECT_CHECK(session, SESSION_MAGIC);
  if (config->greeting.len > GREETING_MAX) {
    closer_close(config->uid, config->fd);
    return status_of(STATUS_INVALID_ARGUMENT);
  }
  if (!relay_may_begin(session)) {
    closer_close(config->uid, config->fd);
    return status_of(STATUS_FAILED_PRECONDITION);
  }
  return begin(session, config);
}

void relay_close(struct session *session) {
  if (!session->relay->over) {
    finish(session->relay);
  }
}

void relay_transport_closed(struct session *session) {
  tell_ended(session->relay);
}

void relay_free(struct relay *relay) {
  if (relay != NULL) {
    bytes_cleanup(&relay->waiting);
    free(relay);
  }
}

bool session_is_relay(const struct session *session) {
  return session->relay != NULL;
}

static enum engine_result result_of(const struct relay *relay) {
  if (relay->handed_over) {
    return ENGINE_DONE;
  }
  return relay->failed ? ENGINE_FAILED : ENGINE_CLOSED;
}

bool session_relay_end(const struct session *session, struct relay_end *out) {
  const struct relay *relay = session->relay;
  if (relay == NULL || !relay->over) {
    return false;
  }
  *out = (struct relay_end){
      .result = result_of(relay),
      .error = session_error(session),
      .bytes_read = session->bytes_read,
      .bytes_written = session->bytes_written,
      .nanos = relay->ended - relay->started,
  };
  return true;
}

void session_await_end(struct session *session, struct session_ended *waiter) {
  if (session->relay != NULL && session->relay->told) {
    list_init(&waiter->link);
    waiter->ended(waiter);
    return;
  }
  list_push_back(&session->end_waiters, &waiter->link);
}

void session_forget_end(struct session_ended *waiter) {
  list_remove(&waiter->link);
}
