#include "client/load/run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client/load/progress.h"
#include "server/base/log.h"

enum {
  RING_ENTRIES = 4096,
  NUM_BUFFERS = 256,
  BUFFER_BYTES = 32 * 1024,
  HANDSHAKES_PER_TURN = 1 << 20,  // fairness is the server's concern
  SETTLE_MS = 30,                 // after each second, for the shards to hand in
  SECOND_SIGNAL_EXIT = 130
};

// ---------------------------------------------------------------------------------------------
// For the shards

uint64_t run_take(struct run *run, uint64_t most) {
  if (run->options->count == 0) {
    return most;
  }
  int64_t left = atomic_fetch_sub(&run->budget, (int64_t)most);
  return left <= 0 ? 0 : (uint64_t)left < most ? (uint64_t)left : most;
}

bool run_has_more(const struct run *run) {
  return run->options->count == 0 || atomic_load(&run->budget) > 0;
}

void run_hand_in(struct run *run, const struct counts *counts,
                 const struct histogram phases[PHASE_COUNT], int64_t change) {
  pthread_mutex_lock(&run->lock);
  counts_add(&run->counts, counts);
  for (int i = 0; i < PHASE_COUNT; i++) {
    histogram_add(&run->phases[i], &phases[i]);
  }
  run->held += (uint64_t)change;
  pthread_mutex_unlock(&run->lock);
}

void run_on_shard(struct run *run) {
  const uint64_t one = 1;
  if (atomic_fetch_sub(&run->num_waiting, 1) == 1 &&
      write(run->event_fd, &one, sizeof(one)) != sizeof(one)) {
    abort();  // an eventfd always takes a 1
  }
}

void run_on_agreed(struct run *run, const struct agreed *agreed) {
  pthread_mutex_lock(&run->lock);
  if (!run->agreed.known) {
    run->agreed = *agreed;
  }
  pthread_mutex_unlock(&run->lock);
}

// ---------------------------------------------------------------------------------------------
// The main thread's side

struct watch {
  struct run *run;
  struct result *result;
  struct progress progress;
  int signal_fd;
  sigset_t signals_before;
  clock_time interrupted_at;  // result->interrupted
  struct rusage began;        // the measuring
  bool has_begun;
  double cpu_then;  // at the last sample
  clock_time sampled_until;
  size_t room;  // of samples
};

static double cpu_of(const struct timeval *time) {
  return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static double cpu_now(void) {
  struct rusage now;
  getrusage(RUSAGE_SELF, &now);
  return cpu_of(&now.ru_utime) + cpu_of(&now.ru_stime);
}

static void note_beginning(struct watch *watch) {
  getrusage(RUSAGE_SELF, &watch->began);
  watch->has_begun = true;
  watch->cpu_then = cpu_now();
  watch->sampled_until = watch->run->measure_from;
}

static bool keep_sample(struct watch *watch, const struct sample *sample) {
  struct result *result = watch->result;
  if (result->num_samples == watch->room) {
    size_t room = watch->room == 0 ? 64 : watch->room * 2;
    struct sample *more = reallocarray(result->samples, room, sizeof(*more));
    if (more == NULL) {
      return false;
    }
    result->samples = more;
    watch->room = room;
  }
  result->samples[result->num_samples++] = *sample;
  return true;
}

static void take_phase(struct histogram *histogram, struct sample_phase *out) {
  *out = (struct sample_phase){.num = histogram->total,
                               .p50_nanos = (double)histogram_percentile(histogram, 50),
                               .p90_nanos = (double)histogram_percentile(histogram, 90),
                               .p99_nanos = (double)histogram_percentile(histogram, 99),
                               .most_nanos = (double)histogram_max(histogram)};
  histogram_reset(histogram);
}

// Takes what the shards have handed in since the last time.
static void take_sample(struct watch *watch, clock_time from, clock_time until,
                        struct sample *out) {
  struct run *run = watch->run;
  double cpu = cpu_now();
  pthread_mutex_lock(&run->lock);
  *out =
      (struct sample){.at = ((double)until - (double)run->measure_from) / (double)NANOS_PER_SECOND,
                      .seconds = (double)(until - from) / (double)NANOS_PER_SECOND,
                      .counts = run->counts,
                      .established = run->held,
                      .cpu_seconds = cpu - watch->cpu_then};
  for (int i = 0; i < PHASE_COUNT; i++) {
    take_phase(&run->phases[i], &out->phases[i]);
  }
  run->counts = (struct counts){0};
  pthread_mutex_unlock(&run->lock);
  watch->cpu_then = cpu;
}

static void sample_second(struct watch *watch, clock_time from, clock_time until) {
  struct sample sample;
  take_sample(watch, from, until, &sample);
  counts_add(&watch->result->stats.counts, &sample.counts);
  bool is_quiet = sample.counts.operations + sample.counts.errors == 0;
  if (from >= watch->run->measure_until && is_quiet) {
    return;
  }
  if (until > watch->run->measure_from && !keep_sample(watch, &sample)) {
    LOG_WARNING("no memory for the second at %.0f s", sample.at);
  }
  progress_show(&watch->progress, watch->run->options, &sample, &watch->result->stats.counts);
}

// Waits until then, a signal or the shards' word, whichever is first.
enum wake { WAKE_TIME, WAKE_SIGNAL, WAKE_SHARDS };

static enum wake wait_until(struct watch *watch, clock_time when) {
  struct pollfd fds[] = {{.fd = watch->run->event_fd, .events = POLLIN},
                         {.fd = watch->signal_fd, .events = POLLIN}};
  clock_time now = clock_now();
  uint64_t left = when > now ? when - now : 0;
  struct timespec timeout = {.tv_sec = (time_t)(left / NANOS_PER_SECOND),
                             .tv_nsec = (long)(left % NANOS_PER_SECOND)};
  struct signalfd_siginfo signal;
  uint64_t count;
  if (ppoll(fds, 2, when == CLOCK_NEVER ? NULL : &timeout, NULL) <= 0) {
    return WAKE_TIME;
  }
  if (fds[1].revents != 0 && read(watch->signal_fd, &signal, sizeof(signal)) > 0) {
    return WAKE_SIGNAL;
  }
  return read(watch->run->event_fd, &count, sizeof(count)) > 0 ? WAKE_SHARDS : WAKE_TIME;
}

static void stop_all(struct run *run) {
  for (unsigned i = 0; i < run->num_shards; i++) {
    shard_stop(&run->shards[i]);
  }
}

static void on_signal(struct watch *watch) {
  if (watch->result->interrupted) {
    _exit(SECOND_SIGNAL_EXIT);
  }
  watch->result->interrupted = true;
  watch->interrupted_at = clock_now();
  stop_all(watch->run);
}

// What is waited for next: the beginning of the measuring, or a second's end and a moment.
static clock_time next_wake(const struct watch *watch, clock_time second) {
  clock_time settled = clock_add(second, SETTLE_MS * NANOS_PER_MILLI);
  bool begins_first = !watch->has_begun && watch->run->measure_from < settled;
  return begins_first ? watch->run->measure_from : settled;
}

// A second that nothing is in after the measuring's end is none: only closing is left to do, or
// stragglers are waited for.
static void end_second(struct watch *watch, clock_time second) {
  sample_second(watch, watch->sampled_until, second);
  watch->sampled_until = second;
  if (second <= watch->run->measure_from) {
    watch->result->stats.counts = (struct counts){0};
  }
}

// Seconds are counted from the beginning of the measuring, also before it; its end ends one, too.
static clock_time next_second(const struct run *run, clock_time from) {
  clock_time before = from < run->measure_from ? (run->measure_from - from) % NANOS_PER_SECOND : 0;
  clock_time second = clock_add(from, before == 0 ? NANOS_PER_SECOND : before);
  return from < run->measure_until && second > run->measure_until ? run->measure_until : second;
}

static void watch_run(struct watch *watch) {
  struct run *run = watch->run;
  clock_time second = next_second(run, run->start);
  watch->sampled_until = run->start;
  enum wake wake = WAKE_TIME;
  while (wake != WAKE_SHARDS) {
    wake = wait_until(watch, next_wake(watch, second));
    clock_time now = clock_now();
    if (wake == WAKE_SIGNAL) {
      on_signal(watch);
    }
    if (!watch->has_begun && now >= run->measure_from) {
      note_beginning(watch);
    }
    if (wake == WAKE_TIME && now >= clock_add(second, SETTLE_MS * NANOS_PER_MILLI)) {
      end_second(watch, second);
      second = next_second(run, second);
    }
  }
}

// ---------------------------------------------------------------------------------------------
// The result

static clock_time last_done_of(const struct run *run) {
  clock_time last = run->measure_from;
  for (unsigned i = 0; i < run->num_shards; i++) {
    clock_time done = run->shards[i].last_done;
    last = done > last ? done : last;
  }
  return last;
}

// What rates are of: stragglers that were waited for belong to the time in which they were begun.
static clock_time ended_at(const struct watch *watch) {
  const struct run *run = watch->run;
  if (watch->result->interrupted && watch->interrupted_at < run->measure_until) {
    clock_time at = watch->interrupted_at;
    return at > run->measure_from ? at : run->measure_from;
  }
  return atomic_load(&run->is_out) ? last_done_of(run) : run->measure_until;
}

// A closed loop gives up what is under way.
static clock_time drained_at(const struct run *run, clock_time end) {
  clock_time last = last_done_of(run);
  return run->options->rate > 0 && last > end ? last : end;
}

// What came after the last whole second; what was handed in too late for its own second is in it.
static void sample_rest(struct watch *watch, clock_time until) {
  if (until > watch->sampled_until) {
    sample_second(watch, watch->sampled_until, until);
    return;
  }
  struct result *result = watch->result;
  struct sample rest;
  take_sample(watch, until, until, &rest);
  if (result->num_samples > 0) {
    counts_add(&result->samples[result->num_samples - 1].counts, &rest.counts);
  }
}

static void take_result(struct watch *watch) {
  struct run *run = watch->run;
  struct result *result = watch->result;
  struct rusage now;
  getrusage(RUSAGE_SELF, &now);
  if (!watch->has_begun) {
    return;  // interrupted before that
  }
  clock_time end = ended_at(watch);
  clock_time drained = drained_at(run, end);
  sample_rest(watch, drained);
  stats_reset(&result->stats);
  for (unsigned i = 0; i < run->num_shards; i++) {
    stats_add(&result->stats, &run->shards[i].stats);
  }
  tally_sort(&result->stats.tally);
  result->seconds = (double)(end - run->measure_from) / (double)NANOS_PER_SECOND;
  result->drain_seconds = (double)(drained - end) / (double)NANOS_PER_SECOND;
  result->cpu_user = cpu_of(&now.ru_utime) - cpu_of(&watch->began.ru_utime);
  result->cpu_system = cpu_of(&now.ru_stime) - cpu_of(&watch->began.ru_stime);
  result->agreed = run->agreed;
}

// ---------------------------------------------------------------------------------------------
// Making a run

static bool fail(char *why, size_t size, const char *what) {
  snprintf(why, size, "%s", what);
  return false;
}

// A connection is a descriptor, and with --via for a moment a second one.
static bool raise_descriptor_limit(uint64_t num_connections, char *why, size_t size) {
  enum { OTHERS = 64 };
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return true;  // then each connection that gets none says so
  }
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < num_connections + OTHERS) {
    snprintf(why, size, "only %llu descriptors are allowed: raise `ulimit -Hn`, or lower -c",
             (unsigned long long)limit.rlim_max);
    return false;
  }
  return true;
}

static bool start_pool(struct run *run, char *why, size_t size) {
  const struct worker_config config = {.num_workers = run->num_shards,
                                       .ring_entries = RING_ENTRIES,
                                       .num_buffers = NUM_BUFFERS,
                                       .buffer_size = BUFFER_BYTES,
                                       .handshakes_per_turn = HANDSHAKES_PER_TURN};
  const char *reason = NULL;
  return status_ok(worker_pool_new(&config, &run->pool, &reason)) || fail(why, size, reason);
}

static bool make_tls(struct shard *shard, char *why, size_t size) {
  const struct settings *settings = &shard->run->settings;
  return shard->options->has_via
             ? via_open(settings, shard->loop, shard->num_conns, &shard->via, why, size)
             : settings_context(settings, &shard->context, why, size);
}

static bool make_shards(struct run *run, char *why, size_t size) {
  run->shards = calloc(run->num_shards, sizeof(*run->shards));
  for (unsigned i = 0; run->shards != NULL && i < run->num_shards; i++) {
    if (!shard_init(&run->shards[i], run, i)) {
      return fail(why, size, "no memory");
    }
    if (!make_tls(&run->shards[i], why, size)) {
      return false;
    }
  }
  return run->shards != NULL || fail(why, size, "no memory");
}

static bool start_tls(char *why, size_t size) {
  struct tls_error error;
  tls_error_clear(&error);
  return status_ok(tls_library_start(&error)) || fail(why, size, error.detail);
}

static bool prepare(struct run *run, char *why, size_t size) {
  const struct options *options = run->options;
  if (!raise_descriptor_limit(options->connections, why, size)) {
    return false;
  }
  run->event_fd = eventfd(0, EFD_CLOEXEC);
  if (run->event_fd < 0 || !latencies_init(run->phases)) {
    return fail(why, size, "no memory");
  }
  return target_parse(options->target, &run->target, why, size) &&
         target_resolve(&run->target, why, size) &&
         settings_read(options, &run->target, &run->settings, why, size) &&
         (script_init(&run->script, options, &run->target) || fail(why, size, "no memory")) &&
         start_pool(run, why, size) && make_shards(run, why, size);
}

static void cleanup(struct run *run) {
  worker_pool_free(run->pool);
  for (unsigned i = 0; run->shards != NULL && i < run->num_shards; i++) {
    shard_cleanup(&run->shards[i]);
  }
  free(run->shards);
  script_cleanup(&run->script);
  settings_cleanup(&run->settings);
  latencies_cleanup(run->phases);
  if (run->event_fd >= 0) {
    close(run->event_fd);
  }
}

static void set_times(struct run *run) {
  const struct options *options = run->options;
  run->start = clock_now();
  run->measure_from = clock_add(run->start, options->warmup_nanos);
  run->measure_until = options->duration_nanos == 0
                           ? CLOCK_NEVER
                           : clock_add(run->measure_from, options->duration_nanos);
  atomic_store(&run->budget, options->count > INT64_MAX ? INT64_MAX : (int64_t)options->count);
}

static void prime_all(struct watch *watch) {
  struct run *run = watch->run;
  if (run->options->resume_percent <= 0) {
    return;
  }
  atomic_store(&run->num_waiting, run->num_shards);
  for (unsigned i = 0; i < run->num_shards; i++) {
    shard_prime(&run->shards[i]);
  }
  enum wake wake = WAKE_TIME;
  while (wake != WAKE_SHARDS) {
    wake = wait_until(watch, CLOCK_NEVER);
    if (wake == WAKE_SIGNAL) {
      on_signal(watch);
    }
  }
}

static void go(struct watch *watch) {
  struct run *run = watch->run;
  prime_all(watch);
  watch->result->started = time(NULL);
  if (watch->result->interrupted) {
    return;
  }
  set_times(run);
  if (run->measure_from == run->start) {
    note_beginning(watch);
  }
  atomic_store(&run->num_waiting, run->num_shards);
  for (unsigned i = 0; i < run->num_shards; i++) {
    shard_start(&run->shards[i]);
  }
  watch_run(watch);
  take_result(watch);
}

// Only while it runs a signal has something to end early. Before, when a name may be slow to
// resolve or a daemon to answer, and after, when a report may go nowhere, it ends the process as
// any.
static bool take_signals(struct watch *watch) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  watch->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
  return watch->signal_fd >= 0 && pthread_sigmask(SIG_BLOCK, &set, &watch->signals_before) == 0;
}

static void leave_signals(struct watch *watch) {
  pthread_sigmask(SIG_SETMASK, &watch->signals_before, NULL);
  close(watch->signal_fd);
}

static enum run_outcome execute(struct watch *watch, char *why, size_t size) {
  if (!prepare(watch->run, why, size)) {
    return RUN_IMPOSSIBLE;
  }
  if (!take_signals(watch)) {
    fail(why, size, "no descriptor for signals");
    return RUN_IMPOSSIBLE;
  }
  progress_start(&watch->progress, watch->run->options);
  go(watch);
  progress_end(&watch->progress);
  leave_signals(watch);
  return RUN_DONE;
}

enum run_outcome run_execute(const struct options *options, struct result *out, char *why,
                             size_t size) {
  struct run run = {.options = options,
                    .num_shards = (unsigned)options->workers,
                    .event_fd = -1,
                    .lock = PTHREAD_MUTEX_INITIALIZER};
  struct watch watch = {.run = &run, .result = out, .signal_fd = -1};
  *out = (struct result){.options = options,
                         .engine = options->has_via ? "tlsagentd, by RPC" : "own workers"};
  enum run_outcome outcome = RUN_IMPOSSIBLE;
  bool can_begin =
      (stats_init(&out->stats) || fail(why, size, "no memory")) && start_tls(why, size);
  if (can_begin) {
    bool makes_sense = settings_make_sense(options, why, size);
    outcome = makes_sense ? execute(&watch, why, size) : RUN_NONSENSE;
  }
  cleanup(&run);
  return outcome;
}
