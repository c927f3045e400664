#include "client/load/shard.h"

#include <stdlib.h>
#include <string.h>

#include "client/load/run.h"

enum { TICK_SECONDS = 1, BACKOFF_FIRST_MS = 10, BACKOFF_LAST_MS = 1000 };

static void on_prime(struct message *message);
static void on_start(struct message *message);
static void on_stop(struct message *message);
static void on_opening(struct timer *timer);
static void on_due(struct timer *timer);
static void on_tick(struct timer *timer);
static void on_time_over(struct timer *timer);

static bool is_open_loop(const struct shard *shard) {
  return shard->options->rate > 0;
}

// ---------------------------------------------------------------------------------------------
// Making one

static size_t part_of(uint64_t whole, unsigned index, unsigned num) {
  return (size_t)(whole / num + (index < whole % num));
}

static bool make_conns(struct shard *shard) {
  shard->num_conns = part_of(shard->options->connections, shard->index, shard->run->num_shards);
  shard->conns = calloc(shard->num_conns, sizeof(*shard->conns));
  for (size_t i = 0; shard->conns != NULL && i < shard->num_conns; i++) {
    conn_init(&shard->conns[i], shard);
  }
  return shard->conns != NULL;
}

bool shard_init(struct shard *shard, struct run *run, unsigned index) {
  const struct options *options = run->options;
  struct worker *worker = worker_pool_at(run->pool, index);
  *shard = (struct shard){.run = run,
                          .worker = worker,
                          .loop = worker_loop(worker),
                          .index = index,
                          .options = options,
                          .workload = &WORKLOADS[options->workload],
                          .script = &run->script,
                          .next_name = index,
                          .prime = {.run = on_prime},
                          .start = {.run = on_start},
                          .stop = {.run = on_stop}};
  list_init(&shard->free);
  arena_init(&shard->resumption_arena, RESUMPTION_MAX);
  timer_init(&shard->opening, on_opening);
  timer_init(&shard->due, on_due);
  timer_init(&shard->tick, on_tick);
  timer_init(&shard->stop_timer, on_time_over);
  shard->scratch = malloc(SCRATCH_BYTES);
  bool good = stats_init(&shard->stats) && latencies_init(shard->interval);
  return good && shard->scratch != NULL && make_conns(shard);
}

void shard_cleanup(struct shard *shard) {
  tls_context_unref(shard->context);
  via_close(shard->via);
  stats_cleanup(&shard->stats);
  latencies_cleanup(shard->interval);
  arena_cleanup(&shard->resumption_arena);
  free(shard->scratch);
  free(shard->conns);
}

void shard_prime(struct shard *shard) {
  worker_post(shard->worker, &shard->prime);
}

void shard_start(struct shard *shard) {
  worker_post(shard->worker, &shard->start);
}

void shard_stop(struct shard *shard) {
  worker_post(shard->worker, &shard->stop);
}

// A loop without room for a timer has none for connections either.
static void set_timer(struct shard *shard, struct timer *timer, clock_time when) {
  if (!status_ok(timer_set(shard->loop, timer, when))) {
    abort();
  }
}

// ---------------------------------------------------------------------------------------------
// Measuring

void shard_record(struct shard *shard, enum phase phase, clock_time from, clock_time now) {
  if (shard->measuring && from >= shard->run->measure_from) {
    histogram_record(&shard->interval[phase], now - from);
  }
}

// What was counted since the last time goes to the run, for its series.
static void hand_in(struct shard *shard) {
  struct counts since = shard->stats.counts;
#define X(name, meaning) since.name -= shard->flushed.name;
  COUNT_TABLE(X)
#undef X
  // That all are closed at the end tells nothing of how many there were.
  int64_t change = shard->stopping ? 0 : (int64_t)shard->num_held - shard->handed_held;
  run_hand_in(shard->run, &since, shard->interval, change);
  shard->handed_held += change;
  shard->flushed = shard->stats.counts;
  for (int i = 0; i < PHASE_COUNT; i++) {
    histogram_add(&shard->stats.phases[i], &shard->interval[i]);
    histogram_reset(&shard->interval[i]);
  }
}

static void begin_measuring(struct shard *shard) {
  stats_reset(&shard->stats);
  shard->flushed = (struct counts){0};
  shard->measuring = true;
}

static void on_tick(struct timer *timer) {
  struct shard *shard = LIST_ENTRY(timer, struct shard, tick);
  hand_in(shard);
  if (!shard->measuring && !shard->stopping && shard->next_tick >= shard->run->measure_from) {
    begin_measuring(shard);
  }
  shard->next_tick = clock_add(shard->next_tick, TICK_SECONDS * NANOS_PER_SECOND);
  set_timer(shard, timer, shard->next_tick);
}

// Ticks fall on whole seconds from the beginning of the measuring, also before it.
static void start_ticks(struct shard *shard) {
  uint64_t before = shard->run->measure_from - shard->run->start;
  uint64_t whole = before / (TICK_SECONDS * NANOS_PER_SECOND) * (TICK_SECONDS * NANOS_PER_SECOND);
  shard->next_tick = shard->run->measure_from - whole;
  if (before == 0) {
    begin_measuring(shard);
    shard->next_tick = clock_add(shard->next_tick, TICK_SECONDS * NANOS_PER_SECOND);
  }
  set_timer(shard, &shard->tick, shard->next_tick);
}

// ---------------------------------------------------------------------------------------------
// The end

static void finish(struct shard *shard) {
  shard->finished = true;
  hand_in(shard);
  timer_cancel(shard->loop, &shard->tick);
  timer_cancel(shard->loop, &shard->stop_timer);
  if (shard->via != NULL) {
    via_stop(shard->via);
  }
  run_on_shard(shard->run);
}

static void maybe_finish(struct shard *shard) {
  if (shard->stopping && !shard->finished && shard->num_open == 0) {
    finish(shard);
  }
}

static uint64_t count_under_way(const struct shard *shard) {
  uint64_t num = 0;
  for (size_t i = 0; i < shard->num_conns; i++) {
    const struct conn *conn = &shard->conns[i];
    num += conn->has_operation && conn->intended >= shard->run->measure_from;
  }
  return num;
}

static void end_all(struct shard *shard) {
  shard->stats.counts.given_up += shard->measuring ? count_under_way(shard) : 0;
  shard->measuring = false;
  for (size_t i = 0; i < shard->num_conns; i++) {
    conn_end(&shard->conns[i]);
  }
}

// Operations of an open loop that are under way are waited for: to give up the slow ones is to
// measure the fast ones.
static void end_idle(struct shard *shard) {
  for (size_t i = 0; i < shard->num_conns; i++) {
    if (!shard->conns[i].has_operation) {
      conn_end(&shard->conns[i]);
    }
  }
}

// What came due in the warm-up isn't measured, and what is beyond --count was never to be done.
static uint64_t count_missed(const struct shard *shard) {
  uint64_t first =
      schedule_find(&shard->schedule, shard->run->measure_from, shard->num_begun, shard->num_due);
  return run_take(shard->run, shard->num_due - first);
}

static void stop(struct shard *shard, bool wait_for_operations) {
  if (shard->finished) {
    return;
  }
  if (!shard->stopping) {
    hand_in(shard);
    shard->stopping = true;
    timer_cancel(shard->loop, &shard->opening);
    timer_cancel(shard->loop, &shard->due);
    shard->stats.counts.missed += shard->measuring ? count_missed(shard) : 0;
  }
  if (wait_for_operations) {
    clock_time when = clock_add(clock_now(), shard->options->timeout_nanos);
    set_timer(shard, &shard->stop_timer, when);
    end_idle(shard);
  } else {
    end_all(shard);
  }
  maybe_finish(shard);
}

// The measuring's end; or, when operations were waited for since then, the end of the patience.
static void on_time_over(struct timer *timer) {
  struct shard *shard = LIST_ENTRY(timer, struct shard, stop_timer);
  stop(shard, is_open_loop(shard) && !shard->stopping);
}

// A run that ends before it begins has only the connection that fetches a session.
static void end_priming_early(struct shard *shard) {
  shard->stopping = true;
  if (shard->priming) {
    conn_end(&shard->conns[0]);
  }
}

static void on_stop(struct message *message) {
  struct shard *shard = LIST_ENTRY(message, struct shard, stop);
  if (shard->is_started) {
    stop(shard, false);
  } else {
    end_priming_early(shard);
  }
}

// All operations that were asked for have begun; the last to end ends the shard.
static void run_out(struct shard *shard) {
  if (clock_now() < shard->run->measure_until) {
    atomic_store(&shard->run->is_out, true);
  }
  stop(shard, true);
}

// ---------------------------------------------------------------------------------------------
// Giving out work

static bool take_operation(struct shard *shard) {
  bool counts = shard->measuring || clock_now() >= shard->run->measure_from;
  if (shard->stopping) {
    return false;
  }
  if (counts && run_take(shard->run, 1) == 0) {
    run_out(shard);
    return false;
  }
  return true;
}

static void begin(struct shard *shard, struct conn *conn, clock_time intended) {
  shard->num_operations++;
  conn_begin(conn, intended);
}

static void begin_closed(struct shard *shard, struct conn *conn) {
  if (take_operation(shard)) {
    begin(shard, conn, clock_now());
  }
}

// Begins what is due, as long as connections are free.
static void begin_due(struct shard *shard) {
  while (shard->num_begun < shard->num_due && !list_empty(&shard->free)) {
    if (!take_operation(shard)) {
      return;
    }
    struct conn *conn = LIST_ENTRY(list_pop_front(&shard->free), struct conn, link);
    begin(shard, conn, schedule_at(&shard->schedule, shard->num_begun++));
  }
}

static void on_due(struct timer *timer) {
  struct shard *shard = LIST_ENTRY(timer, struct shard, due);
  clock_time now = loop_now(shard->loop);
  uint64_t before = shard->num_due;
  clock_time next = schedule_at(&shard->schedule, shard->num_due);
  while (next <= now && next < shard->run->measure_until) {
    next = schedule_at(&shard->schedule, ++shard->num_due);
  }
  begin_due(shard);
  if (shard->stopping) {
    return;
  }
  // First come, first served: those that wait are the last ones.
  uint64_t num_new = shard->num_due - before;
  uint64_t num_waiting = shard->num_due - shard->num_begun;
  if (shard->measuring) {
    shard->stats.counts.late += num_new < num_waiting ? num_new : num_waiting;
  }
  if (next < shard->run->measure_until) {
    set_timer(shard, timer, next);
  }
}

// ---------------------------------------------------------------------------------------------
// What connections tell

static void note_agreed(struct shard *shard, struct conn *conn) {
  struct agreed agreed;
  channel_agreed(&conn->channel, &agreed);
  run_on_agreed(shard->run, &agreed);
  shard->has_agreed = true;
}

void shard_on_established(struct shard *shard, struct conn *conn) {
  bool resumed = conn->offered && channel_resumed(&conn->channel);
  bool counts = shard->measuring && conn->counts;
  shard->stats.counts.established += counts;
  shard->stats.counts.resumed += counts && resumed;
  if (conn->offered && !resumed) {
    shard->resumption = slice_of(NULL, 0);  // its time is over: another one is needed
  }
  if (!shard->has_agreed) {
    note_agreed(shard, conn);
  }
}

static void give_work(struct shard *shard, struct conn *conn) {
  if (shard->stopping) {
    conn_end(conn);
  } else if (!is_open_loop(shard)) {
    begin_closed(shard, conn);
  } else {
    list_push_back(&shard->free, &conn->link);
    begin_due(shard);
  }
}

void shard_on_ready(struct shard *shard, struct conn *conn) {
  if (shard->priming) {
    conn_close(conn);
    return;
  }
  give_work(shard, conn);
  if (conn->state == CONN_READY) {
    conn_read(conn);  // that the peer ends is noticed before the next operation needs it
  }
}

bool shard_take_attempt(struct shard *shard) {
  shard->last_done = clock_now();
  return run_take(shard->run, 1) == 1;
}

void shard_on_operation(struct shard *shard, struct conn *conn, bool good, clock_time now) {
  shard->num_operations--;
  if (!shard->measuring || conn->intended < shard->run->measure_from) {
    return;
  }
  shard->last_done = now;
  if (!good) {
    return;
  }
  shard->stats.counts.operations++;
  shard_record(shard, PHASE_OPERATION, conn->began, now);
  if (is_open_loop(shard)) {
    shard_record(shard, PHASE_CORRECTED, conn->intended, now);
  }
}

// How long to leave a target alone that fails again and again; nothing after a first failure.
static uint64_t backoff_nanos(unsigned failures) {
  unsigned doublings = failures < 2 ? 0 : failures - 2;
  uint64_t ms = doublings > 7 ? BACKOFF_LAST_MS : (uint64_t)BACKOFF_FIRST_MS << doublings;
  ms = ms < BACKOFF_LAST_MS ? ms : BACKOFF_LAST_MS;
  return failures < 2 ? 0 : ms * NANOS_PER_MILLI;
}

static void end_priming(struct shard *shard) {
  shard->priming = false;
  run_on_shard(shard->run);
}

// Comes back from a timer, also when there is nothing to wait for, so that a connection that fails
// at once doesn't call itself.
static void again_later(struct shard *shard, struct conn *conn) {
  uint64_t nanos =
      is_open_loop(shard) && shard->workload->per_connection ? 0 : backoff_nanos(conn->failures);
  conn->waits = true;
  conn_again(conn, clock_add(loop_now(shard->loop), nanos));
}

void shard_on_off(struct shard *shard, struct conn *conn) {
  if (!conn->waits) {
    shard->num_open--;
  }
  bool waited = conn->waits;
  conn->waits = false;
  if (shard->priming) {
    end_priming(shard);
  } else if (shard->stopping) {
    maybe_finish(shard);
  } else if (!run_has_more(shard->run)) {
    run_out(shard);
  } else if (conn->failures > 0 && !waited) {
    again_later(shard, conn);
  } else if (shard->workload->per_connection) {
    give_work(shard, conn);
  } else {
    conn_open(conn);
  }
}

// ---------------------------------------------------------------------------------------------
// Names and sessions to resume

const char *shard_next_name(struct shard *shard) {
  const struct settings *settings = &shard->run->settings;
  return settings->num_names == 0 ? NULL
                                  : settings->names[shard->next_name++ % settings->num_names];
}

struct slice shard_resumption(struct shard *shard) {
  shard->resume_credit += shard->options->resume_percent;
  bool wanted = shard->resume_credit >= 100 && !shard->priming;
  if (!wanted || shard->resumption.len == 0) {
    return slice_of(NULL, 0);
  }
  shard->resume_credit -= 100;
  return shard->resumption;
}

bool shard_wants_ticket(const struct shard *shard) {
  return shard->options->resume_percent > 0 && shard->resumption.len == 0 && !shard->stopping &&
         !shard->is_given_none;
}

bool shard_keep_resumption(struct shard *shard, struct conn *conn, bool is_last) {
  arena_reset(&shard->resumption_arena);
  shard->resumption = channel_resumption(&conn->channel, &shard->resumption_arena);
  shard->is_given_none = is_last && shard->resumption.len == 0;
  return shard->resumption.len > 0;
}

// ---------------------------------------------------------------------------------------------
// The beginning

static void on_prime(struct message *message) {
  struct shard *shard = LIST_ENTRY(message, struct shard, prime);
  shard->priming = true;
  conn_open(&shard->conns[0]);
}

// With a ramp, connection number i of all is opened at i parts of it.
static clock_time opening_at(const struct shard *shard, size_t i) {
  uint64_t ordinal = i * shard->run->num_shards + shard->index;
  double part = (double)ordinal / (double)shard->options->connections;
  uint64_t nanos = is_open_loop(shard) && shard->workload->per_connection
                       ? 0
                       : (uint64_t)(part * (double)shard->options->ramp_nanos);
  return clock_add(shard->run->start, nanos);
}

static void open_one(struct shard *shard, struct conn *conn) {
  if (shard->workload->per_connection) {
    give_work(shard, conn);
  } else {
    conn_open(conn);
  }
}

static void on_opening(struct timer *timer) {
  struct shard *shard = LIST_ENTRY(timer, struct shard, opening);
  clock_time now = clock_now();
  while (!shard->stopping && shard->num_opened < shard->num_conns) {
    clock_time when = opening_at(shard, shard->num_opened);
    if (when > now) {
      set_timer(shard, timer, when);
      return;
    }
    open_one(shard, &shard->conns[shard->num_opened++]);
  }
}

static void on_start(struct message *message) {
  struct shard *shard = LIST_ENTRY(message, struct shard, start);
  struct run *run = shard->run;
  shard->is_started = true;
  shard->schedule = (struct schedule){.start = run->start,
                                      .rate = shard->options->rate,
                                      .ramp_nanos = shard->options->ramp_nanos,
                                      .share = shard->index,
                                      .num_shares = run->num_shards};
  if (shard->via != NULL) {
    via_start(shard->via);
  }
  start_ticks(shard);
  if (run->measure_until != CLOCK_NEVER) {
    set_timer(shard, &shard->stop_timer, run->measure_until);
  }
  on_opening(&shard->opening);
  if (is_open_loop(shard) && !shard->stopping) {
    set_timer(shard, &shard->due, run->start);
  }
}
