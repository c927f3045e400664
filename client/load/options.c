#include "client/load/options.h"

#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "client/load/settings.h"
#include "client/load/target.h"
#include "client/load/units.h"
#include "client/load/workload.h"

enum { CONNECTIONS_MAX = 1000000, WORKERS_MAX = 256, SIZE_MAX_BYTES = 1 << 30 };

const char *const WORKLOAD_NAMES[WORKLOAD_COUNT] = {[WORKLOAD_HANDSHAKE] = "handshake",
                                                    [WORKLOAD_ECHO] = "echo",
                                                    [WORKLOAD_HTTP] = "http",
                                                    [WORKLOAD_RAW] = "raw",
                                                    [WORKLOAD_DOWN] = "down",
                                                    [WORKLOAD_UP] = "up",
                                                    [WORKLOAD_IDLE] = "idle"};

// ---------------------------------------------------------------------------------------------
// What each kind of argument is stored as

static bool take_flag(const char *text, void *out) {
  (void)text;
  *(bool *)out = true;
  return true;
}

// An empty text comes from a variable that isn't set.
static bool take_text(const char *text, void *out) {
  *(const char **)out = text;
  return text[0] != '\0';
}

static bool take_duration(const char *text, void *out) {
  return units_duration(text, out);
}

static bool take_positive_duration(const char *text, void *out) {
  return units_duration(text, out) && *(uint64_t *)out > 0;
}

static bool take_bytes(const char *text, void *out) {
  return units_bytes(text, out) && *(uint64_t *)out > 0;
}

static bool take_count(const char *text, void *out) {
  return units_count(text, 1, INT64_MAX, out);
}

static bool take_connections(const char *text, void *out) {
  return units_count(text, 1, CONNECTIONS_MAX, out);
}

static bool take_workers(const char *text, void *out) {
  return units_count(text, 1, WORKERS_MAX, out);
}

static bool take_rate(const char *text, void *out) {
  return units_number(text, 0.001, 1e8, out);
}

static bool take_percent(const char *text, void *out) {
  return units_number(text, 0, 100, out);
}

static bool take_size(const char *text, void *out) {
  return take_bytes(text, out) && *(uint64_t *)out <= SIZE_MAX_BYTES;
}

static bool take_version(const char *text, void *out) {
  static const struct {
    const char *name;
    int number;
  } versions[] = {{"1.2", 0x0303}, {"1.3", 0x0304}};
  for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
    if (strcmp(text, versions[i].name) == 0) {
      *(int *)out = versions[i].number;
      return true;
    }
  }
  return false;
}

static bool take_workload(const char *text, void *out) {
  for (int i = 0; i < WORKLOAD_COUNT; i++) {
    if (strcmp(text, WORKLOAD_NAMES[i]) == 0) {
      *(enum workload_kind *)out = (enum workload_kind)i;
      return true;
    }
  }
  return false;
}

static bool has_controls(const char *text) {
  for (; *text != '\0'; text++) {
    if (((unsigned char)*text < ' ' && *text != '\t') || *text == '\x7f') {
      return true;
    }
  }
  return false;
}

// These two are lists, and so are given all of the options. There is room: see is_full.
static bool take_assertion(const char *text, void *out) {
  struct options *options = out;
  return assertion_parse(text, &options->assertions[options->num_assertions++]);
}

static bool take_header(const char *text, void *out) {
  struct options *options = out;
  if (strchr(text, ':') == NULL || has_controls(text)) {
    return false;
  }
  options->headers[options->num_headers++] = text;
  return true;
}

// A request line is split at its spaces.
static bool take_path(const char *text, void *out) {
  return take_text(text, out) && text[0] == '/' && strpbrk(text, " \t") == NULL &&
         !has_controls(text);
}

static bool take_send(const char *text, void *out) {
  return take_text(text, out) && script_takes(text);
}

static bool take_alpn(const char *text, void *out) {
  return take_text(text, out) && settings_takes_alpn(text);
}

static bool take_names(const char *text, void *out) {
  return take_text(text, out) && settings_takes_names(text);
}

static bool take_via(const char *text, void *out) {
  struct options *options = out;
  options->has_via = true;
  options->via = text;
  return text == NULL || text[0] != '\0';
}

// ---------------------------------------------------------------------------------------------
// The table

struct row {
  const char *name;
  char letter;
  int has_argument;
  bool (*take)(const char *text, void *out);
  size_t offset;
  const char *argument;
  const char *help;
};

#define FIELD(name) offsetof(struct options, name)

// These tables are read by columns.
// clang-format off

static const struct row load_rows[] = {
    {"workload", 'w', required_argument, take_workload, FIELD(workload), "NAME", "handshake (default), echo, http, raw, down, up, idle; see below"},
    {"connections", 'c', required_argument, take_connections, FIELD(connections), "N", "connections at a time (default: 10; with --rate at most 100)"},
    {"rate", 'r', required_argument, take_rate, FIELD(rate), "R", "open loop: start R operations a second, whatever becomes of them"},
    {"duration", 'd', required_argument, take_positive_duration, FIELD(duration_nanos), "TIME", "measure so long: 500ms, 10s, 1m (default: 10s without --count)"},
    {"count", 'n', required_argument, take_count, FIELD(count), "N", "end after N operations, failed ones and connections that come to nothing included"},
    {"warmup", 0, required_argument, take_duration, FIELD(warmup_nanos), "TIME", "run so long before measuring begins"},
    {"ramp", 0, required_argument, take_duration, FIELD(ramp_nanos), "TIME", "come to the full rate, or to all connections, within so long"},
    {"timeout", 't', required_argument, take_positive_duration, FIELD(timeout_nanos), "TIME", "give up each step after so long (default: 10s)"},
    {"workers", 0, required_argument, take_workers, FIELD(workers), "N", "threads (default: one for each cpu)"},
    {"via", 0, optional_argument, take_via, 0, "ADDRESS", "TLS by RPC through a running tlsagentd: --via or --via=unix:PATH"},
    {"no-shutdown", 0, no_argument, take_flag, FIELD(no_shutdown), NULL, "end connections without close_notify"},
    {"reset", 0, no_argument, take_flag, FIELD(reset), NULL, "end connections by RST: no TIME_WAIT, for many short ones"},
    {NULL, 0, 0, NULL, 0, NULL, NULL}};

static const struct row say_rows[] = {
    {"size", 's', required_argument, take_size, FIELD(size), "BYTES", "echo: bytes of one message (default: 64)"},
    {"bytes", 'b', required_argument, take_bytes, FIELD(bytes), "BYTES", "down, up: bytes of one connection, 100K, 16M, 2G (down: until the end)"},
    {"path", 0, required_argument, take_path, FIELD(path), "PATH", "http: what to GET, from its slash on (default: /)"},
    {"header", 'H', required_argument, take_header, 0, "LINE", "http: a further header, 'Name: value'; repeatable"},
    {"send", 0, required_argument, take_send, FIELD(send), "TEXT", "raw: the request, with C's escapes as in 'PING\\r\\n'"},
    {"expect-bytes", 0, required_argument, take_bytes, FIELD(expect_bytes), "N", "raw: bytes of the answer"},
    {NULL, 0, 0, NULL, 0, NULL, NULL}};

static const struct row tls_rows[] = {
    {"resume", 0, required_argument, take_percent, FIELD(resume_percent), "PERCENT", "share of handshakes that resume an earlier session (default: 0)"},
    {"tls-min", 0, required_argument, take_version, FIELD(tls_min), "VERSION", "lowest version: 1.2 or 1.3"},
    {"tls-max", 0, required_argument, take_version, FIELD(tls_max), "VERSION", "highest version"},
    {"groups", 0, required_argument, take_text, FIELD(groups), "LIST", "groups for the key exchange: X25519:P-256"},
    {"ciphers", 0, required_argument, take_text, FIELD(ciphers), "LIST", "ciphers of TLS 1.2, as OpenSSL names them"},
    {"ciphersuites", 0, required_argument, take_text, FIELD(ciphersuites), "LIST", "cipher suites of TLS 1.3"},
    {"alpn", 0, required_argument, take_alpn, FIELD(alpn), "LIST", "protocols to offer, with commas between"},
    {"sni", 0, required_argument, take_names, FIELD(sni), "NAMES", "names to ask for in turn, with commas (default: the host)"},
    {"cert", 0, required_argument, take_text, FIELD(cert), "FILE", "the client's certificate chain, PEM"},
    {"key", 0, required_argument, take_text, FIELD(key), "FILE", "its key (default: in --cert)"},
    {"ca", 0, required_argument, take_text, FIELD(ca), "FILE", "trust these CAs (default: the system's)"},
    {"insecure", 'k', no_argument, take_flag, FIELD(insecure), NULL, "verify nothing, which also costs less"},
    {NULL, 0, 0, NULL, 0, NULL, NULL}};

static const struct row report_rows[] = {
    {"json", 0, required_argument, take_text, FIELD(json), "FILE", "the report for programs; - is standard output"},
    {"csv", 0, required_argument, take_text, FIELD(csv), "FILE", "the figures second by second"},
    {"html", 0, required_argument, take_text, FIELD(html), "FILE", "the report with plots, as one page"},
    {"hdr", 0, required_argument, take_text, FIELD(hdr), "PREFIX", "PREFIX.PHASE.hdr for each phase: HdrHistogram's percentiles, in µs"},
    {"title", 0, required_argument, take_text, FIELD(title), "TEXT", "what the page is called"},
    {"quiet", 'q', no_argument, take_flag, FIELD(quiet), NULL, "neither progress nor the report in words"},
    {"assert", 0, required_argument, take_assertion, 0, "EXPRESSION", "fail unless it holds: 'handshake.p99<20ms', 'errors==0'; repeatable"},
    {NULL, 0, 0, NULL, 0, NULL, NULL}};

static const struct {
  const char *title;
  const struct row *rows;
} groups[] = {
    {"How much, and how", load_rows},
    {"What is said", say_rows},
    {"TLS", tls_rows},
    {"Reports", report_rows},
};

// clang-format on

enum { NUM_GROUPS = sizeof(groups) / sizeof(groups[0]), ROWS_MAX = 64, HELP = 256, VERSION };

// ---------------------------------------------------------------------------------------------
// Explaining

static void print_row(FILE *out, const struct row *row) {
  enum { COLUMN = 26 };
  char letter[8] = "    ";
  if (row->letter != 0) {
    snprintf(letter, sizeof(letter), "-%c, ", row->letter);
  }
  const char *before = row->has_argument == optional_argument ? "[=" : " ";
  const char *after = row->has_argument == optional_argument ? "]" : "";
  int width = fprintf(out, "  %s--%s%s%s%s", letter, row->name, row->argument == NULL ? "" : before,
                      row->argument == NULL ? "" : row->argument, after);
  fprintf(out, "%*s %s\n", width < COLUMN ? COLUMN - width : 0, "", row->help);
}

static void print_help(FILE *out) {
  fprintf(out,
          "Usage: tlsagent-load [OPTIONS] TARGET        HOST:PORT, [V6]:PORT or unix:PATH\n"
          "       tlsagent-load compare A.json B.json   what changed, and is it more than noise?\n"
          "\nLoads a TLS server and says how it bears it.\n");
  for (size_t i = 0; i < NUM_GROUPS; i++) {
    fprintf(out, "\n%s:\n", groups[i].title);
    for (const struct row *row = groups[i].rows; row->name != NULL; row++) {
      print_row(out, row);
    }
  }
  fprintf(
      out,
      "\nOthers:\n"
      "  -h, --help               this text\n"
      "      --version            the version\n"
      "\nWorkloads:\n"
      "  handshake  connect, shake hands, close; an operation is one such handshake\n"
      "  echo       write --size bytes and read them back, again and again\n"
      "  http       GET --path over HTTP/1.1, again and again on the same connections\n"
      "  raw        write --send and read --expect-bytes, again and again\n"
      "  down       read --bytes, or until the server's end; an operation is one connection\n"
      "  up         write --bytes and close_notify, and wait for the server's end\n"
      "  idle       hold -c connections for the duration, saying nothing\n"
      "\nAssertions are PHASE.STAT or a figure of the run, then < <= > >= == or !=, then a value:\n"
      "  phases     connect handshake first_byte transfer close operation operation_corrected\n"
      "  stats      count min mean p50 p90 p99 p999 max stddev, or any percentile as p97.5\n"
      "  figures    rate errors operations opened established resumed failed late missed\n"
      "             given_up bytes_in bytes_out cpu_per_operation\n"
      "  values     numbers; times with us, ms or s (microseconds without)\n"
      "\nExit codes:\n"
      "  0  good   1  nothing to report, or a file failed   2  the command line makes no sense\n"
      "  3  an assertion failed   130  a second Ctrl-C\n"
      "\nExamples:\n"
      "  tlsagent-load -c 50 -d 30s --html report.html www.example.org:443\n"
      "  tlsagent-load -w http -r 500 -d 1m --assert 'operation_corrected.p99<50ms' host:443\n"
      "  tlsagent-load -n 10000 --resume 90 --insecure --json a.json localhost:8443\n");
}

// ---------------------------------------------------------------------------------------------
// Reading

// getopt's tables: each long option is told by its place among all rows.
struct parser {
  struct option longs[ROWS_MAX];
  const struct row *rows[ROWS_MAX];
  int num_rows;
  char shorts[ROWS_MAX * 2 + 4];
};

static void fill(struct parser *parser) {
  *parser = (struct parser){.shorts = ":h"};
  size_t used = strlen(parser->shorts);
  for (size_t i = 0; i < NUM_GROUPS; i++) {
    for (const struct row *row = groups[i].rows; row->name != NULL; row++) {
      int at = parser->num_rows++;
      parser->rows[at] = row;
      parser->longs[at] = (struct option){row->name, row->has_argument, NULL, 512 + at};
      if (row->letter != 0) {
        parser->shorts[used++] = row->letter;
        parser->shorts[used] = ':';
        used += row->has_argument == required_argument;
        parser->shorts[used] = '\0';
      }
    }
  }
  parser->longs[parser->num_rows] = (struct option){"help", no_argument, NULL, HELP};
  parser->longs[parser->num_rows + 1] = (struct option){"version", no_argument, NULL, VERSION};
}

static const struct row *row_of(const struct parser *parser, int code) {
  for (int i = 0; i < parser->num_rows; i++) {
    if (code == 512 + i || code == parser->rows[i]->letter) {
      return parser->rows[i];
    }
  }
  return NULL;
}

// Lists and --via have no one field of their own.
static bool take(const struct row *row, const char *text, struct options *options) {
  return row->take(text, (char *)options + row->offset);
}

static enum options_result complain(FILE *error, const char *what, const char *about) {
  fprintf(error, "tlsagent-load: %s%s; see --help\n", what, about);
  return OPTIONS_WRONG;
}

// getopt knows an option, but not with this value; or several that begin so; or none.
static enum options_result complain_unknown(FILE *error, const struct parser *parser,
                                            const char *word) {
  char letter[2] = {(char)optopt, '\0'};
  size_t len = strcspn(word, "=");
  int num = 0;
  for (int i = 0; len > 2 && i < parser->num_rows + 2; i++) {
    num += strncmp(parser->longs[i].name, word + 2, len - 2) == 0;
  }
  if (optopt >= HELP) {
    return complain(error, "it takes no value: ", word);
  }
  if (optopt != 0) {
    return complain(error, "no such option: -", letter);
  }
  return complain(error, num > 1 ? "it could be several options: " : "no such option: ", word);
}

static bool is_full(const struct row *row, const struct options *options) {
  return (row->take == take_assertion && options->num_assertions == ASSERTIONS_MAX) ||
         (row->take == take_header && options->num_headers == HEADERS_MAX);
}

static enum options_result read_one(const struct parser *parser, int code, char **argv, FILE *out,
                                    FILE *error, struct options *options) {
  if (code == 'h' || code == HELP) {
    print_help(out);
    return OPTIONS_SHOWN;
  }
  if (code == VERSION) {
    fprintf(out, "tlsagent-load 0.1.0\n");
    return OPTIONS_SHOWN;
  }
  if (code == ':') {
    return complain(error, "a value is missing after ", argv[optind - 1]);
  }
  const struct row *row = row_of(parser, code);
  if (row == NULL) {
    return complain_unknown(error, parser, argv[optind - 1]);
  }
  if (is_full(row, options)) {
    return complain(error, "it is given too often: --", row->name);
  }
  if (!take(row, optarg, options)) {
    fprintf(error, "tlsagent-load: --%s %s makes no sense; --help has: %s\n", row->name,
            optarg == NULL ? "" : optarg, row->help);
    return OPTIONS_WRONG;
  }
  return OPTIONS_RUN;
}

static void fill_defaults(struct options *options) {
  if (options->connections == 0) {
    options->connections = options->rate > 0 ? 100 : 10;
  }
  if (options->duration_nanos == 0 && options->count == 0) {
    options->duration_nanos = 10 * 1000000000ULL;
  }
  if (options->workers == 0) {
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    options->workers = cpus < 1 ? 1 : cpus > WORKERS_MAX ? WORKERS_MAX : (uint64_t)cpus;
  }
  options->workers =
      options->workers < options->connections ? options->workers : options->connections;
}

// What each workload needs.
static const char *fault_of_workload(const struct options *options) {
  bool raw_is_whole = options->send != NULL && options->expect_bytes > 0;
  if (options->workload == WORKLOAD_RAW && !raw_is_whole) {
    return "raw needs --send and --expect-bytes";
  }
  if (options->workload == WORKLOAD_UP && options->bytes == 0) {
    return "up needs --bytes";
  }
  if (options->workload == WORKLOAD_IDLE && (options->rate > 0 || options->count > 0)) {
    return "idle holds connections: it has neither --rate nor --count";
  }
  return NULL;
}

static const char *fault_of_tls(const struct options *options) {
  if (options->tls_min != 0 && options->tls_max != 0 && options->tls_min > options->tls_max) {
    return "--tls-min is above --tls-max";
  }
  if (options->insecure && options->ca != NULL) {
    return "--ca and --insecure exclude each other";
  }
  if (options->has_via && (options->resume_percent > 0 || options->reset)) {
    return "--via has neither --resume nor --reset";
  }
  if (options->key != NULL && options->cert == NULL) {
    return "--key needs --cert";
  }
  return NULL;
}

static bool is_same(const char *a, const char *b) {
  return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static const char *fault_of_reports(const struct options *options) {
  if (is_same(options->json, options->csv) || is_same(options->json, options->html) ||
      is_same(options->csv, options->html)) {
    return "two reports can't go to one place";
  }
  for (size_t i = 0; i < options->num_assertions; i++) {
    const struct assertion *assertion = &options->assertions[i];
    if (options->rate <= 0 && assertion->is_phase && assertion->phase == PHASE_CORRECTED) {
      return "operation_corrected is of --rate only";
    }
  }
  return NULL;
}

static const char *fault_of(const struct options *options) {
  const char *fault = fault_of_workload(options);
  fault = fault != NULL ? fault : fault_of_tls(options);
  return fault != NULL ? fault : fault_of_reports(options);
}

static enum options_result finish(int argc, char **argv, FILE *error, struct options *options) {
  if (optind + 1 != argc) {
    return complain(error, optind == argc ? "no TARGET" : "one TARGET only, not also ",
                    optind == argc ? "" : argv[optind + 1]);
  }
  options->target = argv[optind];
  struct target target;
  char why[512];
  if (!target_parse(options->target, &target, why, sizeof(why))) {
    return complain(error, why, "");
  }
  fill_defaults(options);
  const char *fault = fault_of(options);
  return fault == NULL ? OPTIONS_RUN : complain(error, fault, "");
}

enum options_result options_read(int argc, char **argv, FILE *out, FILE *error,
                                 struct options *options) {
  struct parser parser;
  fill(&parser);
  *options = (struct options){.size = 64, .path = "/", .timeout_nanos = 10 * 1000000000ULL};
  optind = 0;  // glibc: begin anew
  int code;
  while ((code = getopt_long(argc, argv, parser.shorts, parser.longs, NULL)) >= 0) {
    enum options_result result = read_one(&parser, code, argv, out, error, options);
    if (result != OPTIONS_RUN) {
      return result;
    }
  }
  return finish(argc, argv, error, options);
}
