#include "client/load/conn.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/load/run.h"
#include "client/load/shard.h"

enum { TICKET_LOOK_MS = 2, TICKET_WAIT_MS = 1000 };

static void on_timer(struct timer *timer);
static void on_connected(struct ring_op *op, const struct op_result *result);
static void on_in(struct session_op *op);
static void on_out(struct session_op *op);
static void on_read_wanted(struct task *task);
static void on_connect_stopped(void *owner);

void conn_init(struct conn *conn, struct shard *shard) {
  *conn = (struct conn){.shard = shard, .state = CONN_OFF, .fd = -1, .deadline = CLOCK_NEVER};
  list_init(&conn->link);
  op_init(&conn->connect, OP_CONNECT, -1, on_connected);
  op_stopper_init(&conn->stopper, shard->loop, &conn->connect, on_connect_stopped, conn);
  timer_init(&conn->timer, on_timer);
  task_init(&conn->read, on_read_wanted);
}

// ---------------------------------------------------------------------------------------------
// Time. The timer is left alone while it is set for no later than it must be: most deadlines are
// never reached, and need no work but this.

static void set_timer(struct conn *conn, clock_time when) {
  conn->deadline = when;
  bool is_set = conn->timer.place != 0 && conn->timer.when <= when;
  if (when != CLOCK_NEVER && !is_set &&
      !status_ok(timer_set(conn->shard->loop, &conn->timer, when))) {
    conn->deadline = CLOCK_NEVER;  // without room for a timer it waits for its peer
  }
}

static void expect_progress(struct conn *conn) {
  clock_time now = loop_now(conn->shard->loop);
  set_timer(conn, clock_add(now, conn->shard->options->timeout_nanos));
}

// ---------------------------------------------------------------------------------------------
// The end of a connection

static void become_off(struct conn *conn) {
  conn->state = CONN_OFF;
  conn->fd = -1;
  set_timer(conn, CLOCK_NEVER);
  shard_on_off(conn->shard, conn);
}

static void on_channel_closed(struct channel *channel) {
  become_off(LIST_ENTRY(channel, struct conn, channel));
}

// A disconnected socket has nothing to linger for: its peer gets RST, and no port is left waiting.
static void disconnect(int fd) {
  const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
  (void)connect(fd, &nobody, sizeof(nobody));  // without it the end is an ordinary one
}

static void cancel_in(struct conn *conn) {
  task_cancel(&conn->read);
  if (conn->in_busy) {
    channel_cancel(&conn->channel, &conn->in);
  }
  conn->in_busy = false;
}

static void cancel_out(struct conn *conn) {
  if (conn->out_busy) {
    channel_cancel(&conn->channel, &conn->out);
  }
  conn->out_busy = false;
}

static void cancel_ops(struct conn *conn) {
  cancel_in(conn);
  cancel_out(conn);
}

// Closes whatever is open, at once. The shard is told when it is gone.
static void drop(struct conn *conn) {
  assert(conn->state != CONN_OFF && conn->state != CONN_CLOSING);
  bool was_connecting = conn->state == CONN_CONNECTING;
  bool was_held = conn->state > CONN_SHAKING;
  conn->state = CONN_CLOSING;
  conn->shard->num_held -= was_held;
  list_remove(&conn->link);
  if (was_connecting && (op_busy(&conn->connect) || op_stopper_busy(&conn->stopper))) {
    op_stopper_stop(&conn->stopper);
  } else if (was_connecting) {
    if (conn->fd >= 0) {
      close(conn->fd);
    }
    become_off(conn);
  } else {
    cancel_ops(conn);
    if (conn->shard->options->reset) {
      disconnect(conn->fd);
    }
    channel_close(&conn->channel, on_channel_closed);
  }
}

// The operation, or the attempt at a connection, came to nothing; the tally has it if it counts.
static void give_up(struct conn *conn, bool is_counted) {
  struct shard *shard = conn->shard;
  bool had_operation = conn->has_operation;
  conn->failures++;
  conn->has_operation = false;
  shard->stats.counts.errors += is_counted;
  shard->stats.counts.failed += is_counted && conn->counts && conn->state <= CONN_SHAKING;
  if (had_operation) {
    shard_on_operation(shard, conn, false, clock_now());
  }
  drop(conn);
}

// What fails counts by when it was begun, as what goes well does.
static bool is_measured(const struct conn *conn) {
  const struct shard *shard = conn->shard;
  if (conn->has_operation) {
    return shard->measuring && conn->intended >= shard->run->measure_from;
  }
  return shard->measuring && (conn->counts || conn->state > CONN_SHAKING);
}

// Whether a failure counts. An attempt at a connection that no operation waits for is one of the
// operations to do, else a target that takes none would never have had them.
static bool takes_failure(const struct conn *conn) {
  bool is_attempt = !conn->has_operation && conn->state <= CONN_SHAKING;
  return is_measured(conn) && (!is_attempt || shard_take_attempt(conn->shard));
}

void conn_fail(struct conn *conn, enum phase phase, const char *kind, const char *reason) {
  bool is_counted = takes_failure(conn);
  if (is_counted) {
    tally_note(&conn->shard->stats.tally, phase, kind, reason);
  }
  give_up(conn, is_counted);
}

static void fail_os(struct conn *conn, enum phase phase, int os_errno) {
  bool is_counted = takes_failure(conn);
  if (is_counted) {
    tally_note_os(&conn->shard->stats.tally, phase, os_errno);
  }
  give_up(conn, is_counted);
}

static void fail_tls(struct conn *conn, enum phase phase, const struct tls_error *error) {
  bool is_counted = takes_failure(conn);
  if (is_counted) {
    tally_note_tls(&conn->shard->stats.tally, phase, error);
  }
  give_up(conn, is_counted);
}

// Which phase an operation is in, for its errors.
static enum phase phase_of(const struct conn *conn) {
  switch (conn->state) {
    case CONN_OFF:
    case CONN_CONNECTING:
      return PHASE_CONNECT;
    case CONN_SHAKING:
      return PHASE_HANDSHAKE;
    case CONN_SHUTTING:
    case CONN_CLOSING:
      return PHASE_CLOSE;
    default:
      return conn->first_byte == 0 ? PHASE_FIRST_BYTE : PHASE_TRANSFER;
  }
}

// ---------------------------------------------------------------------------------------------
// Connecting

static void start_connect(struct conn *conn) {
  struct shard *shard = conn->shard;
  const struct target *target = &shard->run->target;
  size_t at = (shard->address + conn->attempts) % target->num_addresses;
  int error = target_socket(target, at, conn->number, &conn->fd);
  if (error != 0) {
    conn->fd = -1;
    fail_os(conn, PHASE_CONNECT, error);
    return;
  }
  conn->connect.fd = conn->fd;
  conn->connect.address.data = (const struct sockaddr *)&target->addresses[at].storage;
  conn->connect.address.len = target->addresses[at].len;
  op_start(shard->loop, &conn->connect);
}

void conn_open(struct conn *conn) {
  struct shard *shard = conn->shard;
  assert(conn->state == CONN_OFF);
  conn->state = CONN_CONNECTING;
  conn->number = atomic_fetch_add(&shard->run->num_connections, 1);
  conn->attempts = 0;
  conn->phase_began = clock_now();
  conn->began = conn->has_operation ? conn->began : conn->phase_began;
  conn->first_byte = 0;
  shard->num_open++;
  conn->counts = shard->measuring;
  shard->stats.counts.opened += conn->counts;
  expect_progress(conn);
  start_connect(conn);
}

static void on_handshake(struct conn *conn);
static void look_for_ticket(struct conn *conn);

static void submit_in(struct conn *conn, enum session_op_kind kind) {
  conn->in = (struct session_op){.kind = kind,
                                 .buffer = conn->shard->scratch,
                                 .buffer_size = SCRATCH_BYTES,
                                 .done = on_in,
                                 .owner = conn};
  conn->in_busy = true;
  channel_submit(&conn->channel, &conn->in);
}

static void start_handshake(struct conn *conn, clock_time now) {
  struct shard *shard = conn->shard;
  struct tls_error error;
  const struct channel_config config = {
      .context = shard->context,
      .fd = conn->fd,
      .server_name = shard_next_name(shard),
      .resumption = shard_resumption(shard),
      .insecure = shard->options->insecure,
      .link = shard->via == NULL ? NULL : via_link(shard->via, conn->number)};
  conn->offered = config.resumption.len > 0;
  if (!channel_open(&conn->channel, &config, &error)) {
    conn->fd = -1;  // it is gone with the channel, so there is nothing to close
    fail_tls(conn, PHASE_HANDSHAKE, &error);
    return;
  }
  conn->state = CONN_SHAKING;
  conn->phase_began = now;
  expect_progress(conn);
  submit_in(conn, SESSION_HANDSHAKE);
}

static bool try_next_address(struct conn *conn) {
  struct shard *shard = conn->shard;
  if (++conn->attempts >= shard->run->target.num_addresses) {
    return false;
  }
  close(conn->fd);
  start_connect(conn);
  return true;
}

static void after_connect(struct conn *conn, int value) {
  struct shard *shard = conn->shard;
  clock_time now = clock_now();
  if (value == 0) {
    shard->address = (shard->address + conn->attempts) % shard->run->target.num_addresses;
    conn->attempts = 0;
    shard_record(shard, PHASE_CONNECT, conn->phase_began, now);
    start_handshake(conn, now);
  } else if (!try_next_address(conn)) {
    fail_os(conn, PHASE_CONNECT, -value);
  }
}

static void finish_abort(struct conn *conn) {
  if (conn->state == CONN_CLOSING && !op_busy(&conn->connect) && !op_stopper_busy(&conn->stopper)) {
    close(conn->fd);
    become_off(conn);
  }
}

static void on_connect_stopped(void *owner) {
  finish_abort(owner);
}

static void on_connected(struct ring_op *op, const struct op_result *result) {
  struct conn *conn = LIST_ENTRY(op, struct conn, connect);
  op_stopper_rest(&conn->stopper);
  if (conn->state == CONN_CLOSING) {
    finish_abort(conn);
  } else if (op_outcome(OP_CONNECT, result->value) == OP_AGAIN) {
    op_start(conn->shard->loop, op);
  } else {
    after_connect(conn, result->value);
  }
}

// ---------------------------------------------------------------------------------------------
// Established

static void become_ready(struct conn *conn) {
  struct shard *shard = conn->shard;
  conn->state = CONN_READY;
  set_timer(conn, CLOCK_NEVER);
  if (conn->has_operation) {
    conn->state = CONN_WORKING;
    expect_progress(conn);
    shard->workload->begin(conn);
  } else {
    shard_on_ready(shard, conn);
  }
}

static void on_handshake(struct conn *conn) {
  struct shard *shard = conn->shard;
  clock_time now = clock_now();
  if (conn->in.result != ENGINE_DONE) {
    fail_tls(conn, PHASE_HANDSHAKE, &conn->in.error);
    return;
  }
  shard_record(shard, PHASE_HANDSHAKE, conn->phase_began, now);
  conn->failures = 0;
  conn->phase_began = now;
  conn->state = CONN_READY;
  shard->num_held++;
  shard_on_established(shard, conn);
  become_ready(conn);
}

// What a read of somebody who speaks when nobody asked, or ends, means.
static void on_ended(struct conn *conn, bool truncated) {
  struct shard *shard = conn->shard;
  if (conn->state == CONN_WORKING) {
    shard->workload->on_end(conn, truncated);
  } else {
    drop(conn);  // between operations a peer may end as it likes
  }
}

static void on_data(struct conn *conn) {
  struct shard *shard = conn->shard;
  size_t len = conn->in.transferred;
  shard->stats.counts.bytes_in += shard->measuring ? len : 0;
  expect_progress(conn);
  if (conn->state == CONN_WORKING) {
    shard->workload->on_read(conn, slice_of(shard->scratch, len));
  } else if (conn->state == CONN_WAITING_FOR_TICKET) {
    look_for_ticket(conn);
  } else {
    conn_fail(conn, PHASE_FIRST_BYTE, "unasked", "the peer sent data that nobody had asked for");
  }
}

static void on_in(struct session_op *op) {
  struct conn *conn = op->owner;
  conn->in_busy = false;
  if (op->kind == SESSION_HANDSHAKE) {
    on_handshake(conn);
  } else if (op->result == ENGINE_DONE) {
    on_data(conn);
  } else if (op->result == ENGINE_CLOSED) {
    on_ended(conn, false);
  } else if (conn->state == CONN_WAITING_FOR_TICKET && op->result == ENGINE_WANT_INPUT) {
    look_for_ticket(conn);
  } else if (op->error.kind == TLS_ERROR_TRUNCATED) {
    on_ended(conn, true);
  } else if (conn->state == CONN_WORKING) {
    fail_tls(conn, phase_of(conn), &op->error);
  } else {
    drop(conn);
  }
}

static void on_out(struct session_op *op) {
  struct conn *conn = op->owner;
  struct shard *shard = conn->shard;
  conn->out_busy = false;
  if (op->kind == SESSION_SHUTDOWN) {
    // Whether the peer has heard it is its own concern.
    shard_record(shard, PHASE_CLOSE, conn->phase_began, clock_now());
    drop(conn);
    return;
  }
  if (op->result != ENGINE_DONE) {
    fail_tls(conn, phase_of(conn), &op->error);
    return;
  }
  shard->stats.counts.bytes_out += shard->measuring ? op->transferred : 0;
  conn->sent += op->transferred;
  expect_progress(conn);
  shard->workload->on_written(conn);
}

// ---------------------------------------------------------------------------------------------
// For the workload

static void on_read_wanted(struct task *task) {
  struct conn *conn = LIST_ENTRY(task, struct conn, read);
  if (!conn->in_busy) {
    submit_in(conn, SESSION_READ);
  }
}

// Not at once: what a server has sent before it was asked would be told inside this call, while the
// operation it ends has only begun.
void conn_read(struct conn *conn) {
  task_schedule(conn->shard->loop, &conn->read, TASK_DATA);
}

// A server may have answered, and so ended an operation, before all of its request was taken.
void conn_write(struct conn *conn, struct slice data) {
  cancel_out(conn);
  conn->out =
      (struct session_op){.kind = SESSION_WRITE, .data = data, .done = on_out, .owner = conn};
  conn->out_busy = true;
  channel_submit(&conn->channel, &conn->out);
}

void conn_note_byte(struct conn *conn) {
  if (conn->first_byte == 0) {
    conn->first_byte = clock_now();
    shard_record(conn->shard, PHASE_FIRST_BYTE, conn->phase_began, conn->first_byte);
  }
}

void conn_note_transferred(struct conn *conn) {
  clock_time from = conn->first_byte == 0 ? conn->phase_began : conn->first_byte;
  shard_record(conn->shard, PHASE_TRANSFER, from, clock_now());
}

void conn_done(struct conn *conn) {
  struct shard *shard = conn->shard;
  conn->has_operation = false;
  conn->state = CONN_READY;
  shard_on_operation(shard, conn, true, clock_now());
  if (!shard->workload->per_connection) {
    become_ready(conn);
  }
}

void conn_done_and_close(struct conn *conn) {
  conn->has_operation = false;
  conn->state = CONN_READY;
  shard_on_operation(conn->shard, conn, true, clock_now());
  conn_close(conn);
}

void conn_hold(struct conn *conn) {
  conn->state = CONN_WORKING;
  set_timer(conn, CLOCK_NEVER);
  conn_read(conn);
}

static void shut(struct conn *conn, bool await_peer) {
  conn->state = CONN_SHUTTING;
  conn->phase_began = clock_now();
  list_remove(&conn->link);
  expect_progress(conn);
  cancel_ops(conn);
  conn->out = (struct session_op){
      .kind = SESSION_SHUTDOWN, .await_peer = await_peer, .done = on_out, .owner = conn};
  conn->out_busy = true;
  channel_submit(&conn->channel, &conn->out);
}

static void say_goodbye(struct conn *conn) {
  if (conn->shard->options->no_shutdown) {
    drop(conn);
  } else {
    shut(conn, conn->shard->options->workload == WORKLOAD_UP);
  }
}

// TLS 1.3 gives tickets after the handshake, and reading is what takes them in.
static void look_for_ticket(struct conn *conn) {
  struct shard *shard = conn->shard;
  bool is_late = clock_now() > clock_add(conn->phase_began, TICKET_WAIT_MS * NANOS_PER_MILLI);
  if (shard_keep_resumption(shard, conn, is_late) || is_late) {
    say_goodbye(conn);
    return;
  }
  conn->in = (struct session_op){.kind = SESSION_READ,
                                 .has_wait = true,
                                 .wait_nanos = TICKET_LOOK_MS * NANOS_PER_MILLI,
                                 .buffer = shard->scratch,
                                 .buffer_size = 1,
                                 .done = on_in,
                                 .owner = conn};
  conn->in_busy = true;
  channel_submit(&conn->channel, &conn->in);
}

void conn_close(struct conn *conn) {
  if (!shard_wants_ticket(conn->shard)) {
    say_goodbye(conn);
    return;
  }
  conn->state = CONN_WAITING_FOR_TICKET;
  conn->phase_began = clock_now();
  if (!conn->in_busy) {
    look_for_ticket(conn);
  }
}

// ---------------------------------------------------------------------------------------------
// For the shard

void conn_begin(struct conn *conn, clock_time intended) {
  clock_time now = clock_now();
  conn->has_operation = true;
  conn->intended = intended;
  conn->began = now;
  conn->phase_began = now;
  conn->first_byte = 0;
  conn->sent = 0;
  conn->received = 0;
  if (conn->state == CONN_OFF) {
    conn_open(conn);
    return;
  }
  assert(conn->state == CONN_READY);
  conn->state = CONN_WORKING;
  expect_progress(conn);
  conn->shard->workload->begin(conn);
}

void conn_end(struct conn *conn) {
  switch (conn->state) {
    case CONN_OFF:
      timer_cancel(conn->shard->loop, &conn->timer);
      break;
    case CONN_SHUTTING:
      if (conn->out.await_peer) {  // who may take his time
        drop(conn);
      }
      break;
    case CONN_CLOSING:
      break;
    case CONN_READY:
      conn_close(conn);
      break;
    case CONN_WORKING:
      if (!conn->has_operation) {  // it is only held
        conn_close(conn);
        break;
      }
      drop(conn);
      break;
    default:
      drop(conn);
  }
}

void conn_again(struct conn *conn, clock_time when) {
  assert(conn->state == CONN_OFF);
  set_timer(conn, when);
}

static void on_timer(struct timer *timer) {
  struct conn *conn = LIST_ENTRY(timer, struct conn, timer);
  clock_time now = loop_now(conn->shard->loop);
  if (now < conn->deadline) {
    set_timer(conn, conn->deadline);
    return;
  }
  conn->deadline = CLOCK_NEVER;
  switch (conn->state) {
    case CONN_OFF:
      shard_on_off(conn->shard, conn);
      break;
    case CONN_CLOSING:
      break;
    case CONN_SHUTTING:
      conn_fail(conn, PHASE_CLOSE, "timeout", "the peer didn't close in time");
      break;
    default:
      conn_fail(conn, phase_of(conn), "timeout", "no answer in time");
      break;
  }
}
