// What an RPC of the daemon costs, and TLS through it, beside the least that each could cost.
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/lib/bare_server.h"
#include "tests/bench/lib/base.h"
#include "tests/bench/lib/child.h"
#include "tests/bench/lib/contender.h"
#include "tests/bench/lib/plain_server.h"
#include "tests/bench/lib/quiet.h"
#include "tests/bench/lib/report.h"
#include "tests/bench/lib/turn.h"

enum { ROUNDS_MAX = 1000 };

// The share of a cpu that others may have in a turn without spoiling it.
static const double OTHERS_MAX = 0.1;

// --- What is measured ---

// Who bears the server's half, and where its CPU time is read.
enum server { SERVER_ECHO, SERVER_PLAIN, SERVER_DAEMON, SERVER_IN_PROCESS };

static const struct contender {
  const char *name;
  const char *title;  // of the part of the table that begins here
  const char *label;
  enum server server;
  unsigned calls;
  const struct kind *kind;
  size_t option;
} contenders[] = {
    {"bare-0", "Ping, empty", "bare io_uring echo, same size", SERVER_ECHO, 1, &bare_echo, 0},
    {"ping-0-raw", NULL, "AgentService.Ping, client by hand", SERVER_DAEMON, 1, &raw_ping, 0},
    {"ping-0-lib", NULL, "AgentService.Ping, libtlsagent", SERVER_DAEMON, 1, &library_ping, 0},
    {"bare-64", "Ping, 64 bytes", "bare io_uring echo, same size", SERVER_ECHO, 1, &bare_echo, 64},
    {"ping-64-raw", NULL, "AgentService.Ping, client by hand", SERVER_DAEMON, 1, &raw_ping, 64},
    {"ping-64-lib", NULL, "AgentService.Ping, libtlsagent", SERVER_DAEMON, 1, &library_ping, 64},
    {"echo-local", "TLS echo, 64 bytes", "in process, both halves in one thread", SERVER_IN_PROCESS,
     0, &local_echo, 0},
    {"echo-raw", NULL, "memory session, client by hand", SERVER_DAEMON, 2, &raw_echo, 0},
    {"echo-lib", NULL, "memory session, libtlsagent", SERVER_DAEMON, 2, &library_echo, 0},
    {"handshake-local", "TLS handshake", "in process, both halves in one thread", SERVER_IN_PROCESS,
     0, &local_handshake, 0},
    {"handshake-plain", NULL, "OpenSSL behind a socket, without RPC", SERVER_PLAIN, 2,
     &plain_handshake, 0},
    {"handshake-1", NULL, "memory session, one at a time", SERVER_DAEMON, 2, &raw_handshake, 1},
    {"handshake-8", NULL, "memory session, 8 in flight", SERVER_DAEMON, 2, &raw_handshake, 8},
    {"handshake-asked", NULL, "the same, with a decision about its name", SERVER_DAEMON, 3,
     &raw_asked_handshake, 1},
    {"both-local", "TLS handshake, both halves", "in process, in one thread", SERVER_IN_PROCESS, 0,
     &local_handshake_both, 0},
    {"both-16", NULL, "two memory sessions, 16 pairs in flight", SERVER_DAEMON, 5, &raw_both, 16},
};
enum { CONTENDERS = sizeof(contenders) / sizeof(contenders[0]) };

// Which figure of two contenders is compared.
enum figure { P50, SERVER_CPU, RATE };

// The aims are those of "First light", the issue that asked for this program.
static const struct comparison {
  const char *name;
  const char *label;
  const char *of;
  const char *to;
  enum figure figure;
  double aim;
} comparisons[] = {
    {"ping-0", "ping p50 / bare echo, empty, client by hand", "ping-0-raw", "bare-0", P50, 1.6},
    {"ping-64", "ping p50 / bare echo, 64 bytes, client by hand", "ping-64-raw", "bare-64", P50,
     1.6},
    {"ping-0-lib", "ping p50 / bare echo, empty, libtlsagent", "ping-0-lib", "bare-0", P50, 0},
    {"ping-64-lib", "ping p50 / bare echo, 64 bytes, libtlsagent", "ping-64-lib", "bare-64", P50,
     0},
    {"echo-bare", "TLS echo p50 (2 round trips) / bare echo (1)", "echo-raw", "bare-64", P50, 0},
    {"echo-local", "TLS echo p50 / in process", "echo-raw", "echo-local", P50, 0},
    {"both", "handshake, CPU of both halves / in process", "both-16", "both-local", SERVER_CPU,
     1.15},
    {"handshake-1", "handshake, server CPU / in process, one at a time", "handshake-1",
     "handshake-local", SERVER_CPU, 0},
    {"handshake-8", "handshake, server CPU / in process, 8 in flight", "handshake-8",
     "handshake-local", SERVER_CPU, 0},
    {"handshake-plain", "handshake, server CPU / in process, no RPC", "handshake-plain",
     "handshake-local", SERVER_CPU, 0},
    {"handshake-1-plain", "handshake, server CPU / no RPC, one at a time", "handshake-1",
     "handshake-plain", SERVER_CPU, 0},
    {"handshake-asked", "handshake, server CPU, with a decision / without", "handshake-asked",
     "handshake-1", SERVER_CPU, 0},
    {"handshake-rate", "handshakes per second, 8 in flight / in process", "handshake-8",
     "handshake-local", RATE, 0},
};
enum { COMPARISONS = sizeof(comparisons) / sizeof(comparisons[0]) };

struct bench {
  struct setting setting;
  const char *only;
  bool json;
  bool without_daemon;
  double patience;     // seconds left for turns that are done again
  unsigned disturbed;  // turns that count although they were disturbed
  double disturbance;  // the largest share of a cpu that others had in a turn that counts
  char folder[PATH_ROOM / 2];
  struct stage stage;
  struct turn turn;
  void *self[CONTENDERS];  // NULL: left out
  struct figures *figures[CONTENDERS];
};

static uint64_t server_clock(const struct bench *bench, enum server server) {
  switch (server) {
    case SERVER_ECHO:
      return clock_nanos(bench->stage.echo.clock);
    case SERVER_PLAIN:
      return clock_nanos(bench->stage.plain.clock);
    case SERVER_DAEMON:
      return bench->without_daemon ? 0 : clock_nanos(bench->stage.daemon.clock);
    default:
      return 0;
  }
}

static void look(const struct bench *bench, struct quiet *out) {
  const int cpus[WATCHED] = {bench->setting.client_cpu, bench->setting.daemon_cpu};
  const uint64_t ours[WATCHED] = {
      clock_nanos(CLOCK_PROCESS_CPUTIME_ID),
      server_clock(bench, SERVER_ECHO) + server_clock(bench, SERVER_PLAIN) +
          server_clock(bench, SERVER_DAEMON),
  };
  quiet_look(out, cpus, ours);
}

static bool take_turn(struct bench *bench, size_t i, double seconds, struct figures *out) {
  enum server server = contenders[i].server;
  uint64_t before = server_clock(bench, server);
  turn_begin(&bench->turn, seconds);
  if (!contenders[i].kind->run(bench->self[i], &bench->turn)) {
    return fail("%s failed", contenders[i].name);
  }
  uint64_t spent = server_clock(bench, server) - before + bench->turn.server_nanos;
  *out = turn_figures(&bench->turn, spent);
  return true;
}

// Takes the turn again as long as others spoil it and there is patience.
static bool take_quiet_turn(struct bench *bench, size_t i, double seconds, struct figures *out) {
  for (;;) {
    struct quiet before;
    struct quiet after;
    look(bench, &before);
    if (!take_turn(bench, i, seconds, out)) {
      return false;
    }
    look(bench, &after);
    double others = quiet_others(&before, &after);
    if (others <= OTHERS_MAX || bench->patience <= 0) {
      bench->disturbed += others > OTHERS_MAX;
      bench->disturbance = others > bench->disturbance ? others : bench->disturbance;
      return true;
    }
    bench->patience -= (double)(after.now - before.now) / 1e9;
  }
}

// Every other round goes the other way, so that a machine that slows down favours nobody.
static bool run_round(struct bench *bench, unsigned round, double seconds) {
  for (size_t turn = 0; turn < CONTENDERS; turn++) {
    size_t i = round % 2 == 0 ? turn : CONTENDERS - 1 - turn;
    if (bench->self[i] != NULL && !take_quiet_turn(bench, i, seconds, &bench->figures[i][round])) {
      return false;
    }
  }
  return true;
}

static bool run_rounds(struct bench *bench) {
  // Caches, allocators and clock frequencies settle in a round that doesn't count.
  double patience = bench->patience;
  bench->patience = 0;
  if (!run_round(bench, 0, bench->setting.seconds / 4)) {
    return false;
  }
  bench->patience = patience;
  bench->disturbed = 0;
  bench->disturbance = 0;
  for (unsigned round = 0; round < bench->setting.rounds; round++) {
    if (!run_round(bench, round, bench->setting.seconds)) {
      return false;
    }
  }
  return true;
}

// --- What it came to ---

static double figure_of(const struct figures *figures, enum figure figure) {
  switch (figure) {
    case P50:
      return figures->p50_us;
    case SERVER_CPU:
      return figures->server_cpu_us;
    default:
      return figures->per_second;
  }
}

static struct spread spread_over(const struct bench *bench, size_t i, enum figure figure) {
  double values[ROUNDS_MAX];
  for (unsigned round = 0; round < bench->setting.rounds; round++) {
    values[round] = figure_of(&bench->figures[i][round], figure);
  }
  return spread_of(values, bench->setting.rounds);
}

static struct spread spread_of_p99(const struct bench *bench, size_t i) {
  double values[ROUNDS_MAX];
  for (unsigned round = 0; round < bench->setting.rounds; round++) {
    values[round] = bench->figures[i][round].p99_us;
  }
  return spread_of(values, bench->setting.rounds);
}

static size_t make_rows(const struct bench *bench, struct row *out) {
  const char *title = NULL;
  size_t num = 0;
  for (size_t i = 0; i < CONTENDERS; i++) {
    title = contenders[i].title != NULL ? contenders[i].title : title;
    if (bench->self[i] == NULL) {
      continue;
    }
    out[num++] = (struct row){
        .name = contenders[i].name,
        .title = title,
        .label = contenders[i].label,
        .calls = contenders[i].calls,
        .per_second = spread_over(bench, i, RATE),
        .p50_us = spread_over(bench, i, P50),
        .p99_us = spread_of_p99(bench, i),
        .server_cpu_us = spread_over(bench, i, SERVER_CPU),
    };
    title = NULL;
  }
  return num;
}

static size_t find_contender(const char *name) {
  size_t i = 0;
  while (strcmp(contenders[i].name, name) != 0) {
    i++;
  }
  return i;
}

static size_t make_ratios(const struct bench *bench, struct ratio *out) {
  size_t num = 0;
  for (size_t c = 0; c < COMPARISONS; c++) {
    const struct comparison *comparison = &comparisons[c];
    size_t of = find_contender(comparison->of);
    size_t to = find_contender(comparison->to);
    if (bench->self[of] == NULL || bench->self[to] == NULL) {
      continue;
    }
    double values[ROUNDS_MAX];
    for (unsigned round = 0; round < bench->setting.rounds; round++) {
      values[round] = figure_of(&bench->figures[of][round], comparison->figure) /
                      figure_of(&bench->figures[to][round], comparison->figure);
    }
    out[num++] = (struct ratio){
        .name = comparison->name,
        .label = comparison->label,
        .of_medians = spread_over(bench, of, comparison->figure).median /
                      spread_over(bench, to, comparison->figure).median,
        .by_round = spread_of(values, bench->setting.rounds),
        .aim = comparison->aim,
    };
  }
  return num;
}

static void report_disturbance(const struct bench *bench, size_t num_rows) {
  printf("\nOthers had more than %.0f %% of a cpu in %u of %zu turns, at most %.0f %%%s\n",
         100 * OTHERS_MAX, bench->disturbed, num_rows * bench->setting.rounds,
         100 * bench->disturbance,
         bench->disturbed == 0 ? "." : ": these figures are not those of a quiet machine.");
}

static void report(const struct bench *bench) {
  struct row rows[CONTENDERS];
  struct ratio ratios[COMPARISONS];
  size_t num_rows = make_rows(bench, rows);
  size_t num_ratios = make_ratios(bench, ratios);
  if (bench->json) {
    report_json(stdout, &bench->setting, rows, num_rows, ratios, num_ratios);
  } else {
    report_table(stdout, rows, num_rows, ratios, num_ratios);
    report_disturbance(bench, num_rows);
  }
}

// --- Setting up and clearing away ---

static bool wanted(const struct bench *bench, size_t i) {
  bool can = contenders[i].server != SERVER_DAEMON || !bench->without_daemon;
  return can && (bench->only == NULL || strstr(contenders[i].name, bench->only) != NULL);
}

static bool open_contenders(struct bench *bench) {
  size_t num = 0;
  for (size_t i = 0; i < CONTENDERS; i++) {
    if (!wanted(bench, i)) {
      continue;
    }
    num++;
    bench->figures[i] = calloc(bench->setting.rounds, sizeof(struct figures));
    bench->self[i] = contenders[i].kind->open(&bench->stage, contenders[i].option);
    if (bench->figures[i] == NULL || bench->self[i] == NULL) {
      return fail("%s can't be opened", contenders[i].name);
    }
  }
  return num != 0 || fail("no contender's name has '%s' in it", bench->only);
}

static bool make_folder(struct bench *bench) {
  const char *parent = getenv("TMPDIR");
  int len = snprintf(bench->folder, sizeof(bench->folder), "%s/tlsagent-bench.XXXXXX",
                     parent != NULL ? parent : "/tmp");
  if (len >= (int)sizeof(bench->folder)) {  // a Unix socket's path is short
    snprintf(bench->folder, sizeof(bench->folder), "/tmp/tlsagent-bench.XXXXXX");
  }
  if (mkdtemp(bench->folder) == NULL) {
    fail("can't make %s: %s", bench->folder, strerror(errno));
    bench->folder[0] = '\0';
    return false;
  }
  return true;
}

static bool start_servers(struct bench *bench) {
  struct stage *stage = &bench->stage;
  int cpu = bench->setting.daemon_cpu;
  return bare_server_start(&stage->echo, bench->folder, cpu) &&
         plain_server_start(&stage->plain, bench->folder, cpu, stage->server) &&
         (bench->without_daemon ||
          daemon_start(&stage->daemon, bench->folder, bench->setting.daemon, cpu));
}

static bool set_up(struct bench *bench) {
  struct stage *stage = &bench->stage;
  if (!make_folder(bench) || !turn_alloc(&bench->turn, bench->setting.seconds) ||
      !identity_make(&stage->identity, KEY_ECDSA_P256)) {
    return false;
  }
  stage->client = tls_context(NULL);
  stage->server = tls_context(&stage->identity);
  return stage->client != NULL && stage->server != NULL && start_servers(bench) &&
         pin(bench->setting.client_cpu) && open_contenders(bench);
}

static void clear_away(struct bench *bench) {
  for (size_t i = 0; i < CONTENDERS; i++) {
    if (bench->self[i] != NULL) {
      contenders[i].kind->close(bench->self[i]);
    }
    free(bench->figures[i]);
  }
  SSL_CTX_free(bench->stage.client);
  SSL_CTX_free(bench->stage.server);
  identity_free(&bench->stage.identity);
  turn_free(&bench->turn);
  child_stop(&bench->stage.daemon);
  child_stop(&bench->stage.plain);
  child_stop(&bench->stage.echo);
  if (bench->folder[0] != '\0') {
    rmdir(bench->folder);
  }
}

// --- The command line ---

static void print_help(void) {
  printf(
      "Usage: rpc [OPTION...]\n"
      "Starts tlsagentd with one worker on one cpu and measures from another: pings, a TLS echo\n"
      "and TLS handshakes through it, beside a bare io_uring echo server and OpenSSL in process.\n"
      "\n"
      "  --rounds N         turns of each contender, default 11; they are interleaved\n"
      "  --seconds S        length of a turn, default 0.25\n"
      "  --patience S       how long to do turns again that other processes disturb, default 60\n"
      "  --only TEXT        only contenders whose name has TEXT in it\n"
      "  --json             for programs\n"
      "  --smoke            a few milliseconds of everything: does it run at all?\n"
      "  --daemon PATH      tlsagentd; default $TLSAGENTD, or the one built beside this program\n"
      "  --no-daemon        only what needs none\n"
      "  --daemon-cpu N     where servers run, default the last cpu\n"
      "  --client-cpu N     where the client runs, default the first\n"
      "  --help\n"
      "\n"
      "Contenders:");
  for (size_t i = 0; i < CONTENDERS; i++) {
    printf(" %s", contenders[i].name);
  }
  printf(
      "\n\nAn echo is two calls, one after the other: Read takes the ciphertext and gives the\n"
      "plaintext, Write the other way. A handshake is Accept and Handshake, and a Close that goes\n"
      "with the next one's Accept: three calls, two round trips. Without RPC it is two flights.\n"
      "For both halves it is a call each for Connect, Accept, two Handshakes and a Read of the\n"
      "tickets, and two Closes: the daemon always has work, as one with many clients has.\n"
      "Server CPU is what the server's process spends on one operation, user and kernel. In\n"
      "process it is what the thread spends in the server's half, where nothing leaves the caches\n"
      "and nobody is woken: the server without RPC shows what any other process pays for that,\n"
      "when its peer has more to do than it and it goes to sleep in between.\n"
      "\n"
      "Exit status: 0 it was measured, 1 it could not be, 2 a wrong command line. Nothing is "
      "judged\n"
      "by it: see the column of aims.\n");
}

enum option_id {
  OPTION_ROUNDS,
  OPTION_SECONDS,
  OPTION_PATIENCE,
  OPTION_ONLY,
  OPTION_JSON,
  OPTION_SMOKE,
  OPTION_DAEMON,
  OPTION_NO_DAEMON,
  OPTION_DAEMON_CPU,
  OPTION_CLIENT_CPU,
  OPTION_HELP,
};

static const struct option options[] = {
    {"rounds", required_argument, NULL, OPTION_ROUNDS},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"patience", required_argument, NULL, OPTION_PATIENCE},
    {"only", required_argument, NULL, OPTION_ONLY},
    {"json", no_argument, NULL, OPTION_JSON},
    {"smoke", no_argument, NULL, OPTION_SMOKE},
    {"daemon", required_argument, NULL, OPTION_DAEMON},
    {"no-daemon", no_argument, NULL, OPTION_NO_DAEMON},
    {"daemon-cpu", required_argument, NULL, OPTION_DAEMON_CPU},
    {"client-cpu", required_argument, NULL, OPTION_CLIENT_CPU},
    {"help", no_argument, NULL, OPTION_HELP},
    {0},
};

static double number(const char *text, double least, double most) {
  char *end = NULL;
  double value = strtod(text, &end);
  if (end == text || *end != '\0' || !(value >= least && value <= most)) {
    fail("'%s' isn't a number between %g and %g", text, least, most);
    exit(2);
  }
  return value;
}

static void take_option(struct bench *bench, int option) {
  struct setting *setting = &bench->setting;
  switch (option) {
    case OPTION_ROUNDS:
      setting->rounds = (unsigned)number(optarg, 1, ROUNDS_MAX);
      break;
    case OPTION_SECONDS:
      setting->seconds = number(optarg, 0.001, 3600);
      break;
    case OPTION_PATIENCE:
      bench->patience = number(optarg, 0, 86400);
      break;
    case OPTION_ONLY:
      bench->only = optarg;
      break;
    case OPTION_JSON:
      bench->json = true;
      break;
    case OPTION_SMOKE:
      setting->rounds = 2;
      setting->seconds = 0.02;
      bench->patience = 0;
      break;
    case OPTION_DAEMON:
      setting->daemon = optarg;
      break;
    case OPTION_NO_DAEMON:
      bench->without_daemon = true;
      break;
    case OPTION_DAEMON_CPU:
      setting->daemon_cpu = (int)number(optarg, 0, 1023);
      break;
    case OPTION_CLIENT_CPU:
      setting->client_cpu = (int)number(optarg, 0, 1023);
      break;
    case OPTION_HELP:
      print_help();
      exit(0);
    default:
      fputs("Try --help.\n", stderr);
      exit(2);
  }
}

static void read_options(struct bench *bench, int argc, char **argv) {
  int option;
  bench->setting = (struct setting){.rounds = 11, .seconds = 0.25};
  bench->patience = 60;
  bench->setting.daemon_cpu = second_cpu(&bench->setting.client_cpu);
  while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
    take_option(bench, option);
  }
  if (optind < argc) {
    fail("takes no arguments: %s", argv[optind]);
    exit(2);
  }
}

int main(int argc, char **argv) {
  static struct bench bench;
  read_options(&bench, argc, argv);
  if (!bench.without_daemon) {
    bench.setting.daemon = daemon_find(bench.setting.daemon);
    if (bench.setting.daemon == NULL) {
      return 1;
    }
  }
  if (!bench.json) {
    report_setting(stdout, &bench.setting);
    fflush(stdout);
  }
  bool good = set_up(&bench) && run_rounds(&bench);
  if (good) {
    report(&bench);
  }
  clear_away(&bench);
  return good ? 0 : 1;
}
