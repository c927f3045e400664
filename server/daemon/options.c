#include "server/daemon/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/daemon/process.h"
#include "server/daemon/tcp.h"
#include "server/service/service.h"
#include "server/tenant/policy.h"

enum { WORKERS_MAX = 256, DRAIN_SECONDS = 30, DRAIN_SECONDS_MAX = 86400 };

// What one option does with its argument. False: it makes no sense.
typedef bool (*take_option)(struct options *options, char *argument);

static bool take_listen(struct options *options, char *argument) {
  bool fits = options->num_listen < LISTEN_MAX;
  bool is_unix = strncmp(argument, "unix:", 5) == 0 && argument[5] != '\0';
  if (!fits || !(is_unix || tcp_address_valid(argument))) {
    return false;
  }
  options->listen[options->num_listen++] = argument;
  return true;
}

// Takes argument apart where its commas are.
static bool split_listen_tls(char *argument, struct listen_tls *tls) {
  static char cert[] = "cert", key[] = "key", client_ca[] = "client-ca";
  char *const words[] = {cert, key, client_ca, NULL};
  char **places[] = {&tls->cert, &tls->key, &tls->client_ca};
  *tls = (struct listen_tls){0};
  while (*argument != '\0') {
    char *value = NULL;
    int word = getsubopt(&argument, words, &value);
    if (word < 0 || value == NULL || *value == '\0') {
      return false;
    }
    *places[word] = value;
  }
  return tls->cert != NULL && tls->key != NULL && tls->client_ca != NULL;
}

static bool take_listen_tls(struct options *options, char *argument) {
  size_t len = strlen(argument);
  bool good = split_listen_tls(argument, &options->listen_tls);
  for (size_t i = 0; !good && i < len; i++) {  // it is shown to who wrote it
    argument[i] = argument[i] == '\0' ? ',' : argument[i];
  }
  return good;
}

static bool take_allow_dial(struct options *options, char *argument) {
  if (options->num_allow_dial == ALLOW_DIAL_MAX || !policy_pattern_valid(argument)) {
    return false;
  }
  options->allow_dial[options->num_allow_dial++] = argument;
  return true;
}

static bool take_number(const char *argument, int base, unsigned long least, unsigned long most,
                        unsigned long *out) {
  char *end = NULL;
  errno = 0;
  *out = strtoul(argument, &end, base);
  return *argument >= '0' && *argument <= '9' && *end == '\0' && errno == 0 && *out >= least &&
         *out <= most;
}

static bool take_workers(struct options *options, char *argument) {
  unsigned long number;
  bool good = take_number(argument, 10, 1, WORKERS_MAX, &number);
  options->workers = good ? (unsigned)number : options->workers;
  return good;
}

static bool take_mode(struct options *options, char *argument) {
  unsigned long number;
  bool good = take_number(argument, 8, 0, 0777, &number);
  options->mode = good ? (mode_t)number : options->mode;
  return good;
}

static bool take_group(struct options *options, char *argument) {
  options->group = argument;
  return *argument != '\0';
}

static bool take_limit(struct options *options, char *argument) {
  return status_ok(limits_set(&options->limits, argument));
}

static bool take_drain_timeout(struct options *options, char *argument) {
  unsigned long seconds;
  bool good = take_number(argument, 10, 0, DRAIN_SECONDS_MAX, &seconds);
  options->drain_nanos = good ? seconds * 1000000000ULL : options->drain_nanos;
  return good;
}

// take_name finds the argument among names.
static bool take_name(const char *argument, const char *const *names, size_t num, unsigned *out) {
  for (size_t i = 0; i < num; i++) {
    if (strcmp(argument, names[i]) == 0) {
      *out = (unsigned)i;
      return true;
    }
  }
  return false;
}

static bool take_log_format(struct options *options, char *argument) {
  static const char *const names[] = {"text", "json", "journald"};
  unsigned index = 0;
  bool good = take_name(argument, names, 3, &index);
  options->log_format = (enum log_format)index;
  options->log_format_given = true;
  return good;
}

static bool take_log_level(struct options *options, char *argument) {
  static const char *const names[] = {"error", "warning", "info", "debug"};
  unsigned index = 0;
  bool good = take_name(argument, names, 4, &index);
  options->log_level = (enum log_level)index;
  return good;
}

// Every option that takes an argument.
static const struct {
  const char *name;
  const char *argument;
  take_option take;
  const char *text;
} table[] = {
    {"listen", "unix:PATH|unix:@NAME|tcp:HOST:PORT", take_listen,
     "where to listen, again for more places; default $XDG_RUNTIME_DIR/tlsagent.sock,\n"
     "for root /run/tlsagent.sock, or the sockets of LISTEN_FDS (systemd.socket(5));\n"
     "tcp: is for 127.0.0.1 and [::1], and with --listen-tls for any address"},
    {"listen-tls", "cert=FILE,key=FILE,client-ca=FILE", take_listen_tls,
     "all tcp: sockets speak TLS 1.3, and only to clients with a certificate of that CA;\n"
     "who they are is that certificate's first URI, else DNS name, else common name"},
    {"mode", "OCTAL", take_mode, "permissions of the socket file, default 0600"},
    {"group", "NAME", take_group, "group of the socket file"},
    {"workers", "N", take_workers, "threads that serve, default one for each core"},
    {"limit", "NAME=VALUE", take_limit, "a limit, see --print-limits; again for more"},
    {"allow-dial", "HOST:PORT", take_allow_dial,
     "a target that clients may have dialled; * and ? match, an IPv6 address stands\n"
     "in brackets; again for more; default none"},
    {"drain-timeout", "SECONDS", take_drain_timeout,
     "how long calls and relays may go on after SIGTERM or SIGINT, default 30"},
    {"log-format", "text|json|journald", take_log_format,
     "default text, journald when systemd's journal is listening"},
    {"log-level", "error|warning|info|debug", take_log_level, "default info"},
};
enum { TABLE_SIZE = sizeof(table) / sizeof(table[0]) };

// Options without an argument come after the table's.
enum { FLAG_HELP = TABLE_SIZE, FLAG_VERSION, FLAG_PRINT_LIMITS, FLAG_KERNEL_TLS, FLAG_COUNT };

static void print_text(FILE *out, const char *text) {
  fputs("        ", out);
  for (; *text != '\0'; text++) {
    fputc(*text, out);
    if (*text == '\n') {
      fputs("        ", out);
    }
  }
  fputc('\n', out);
}

static void print_help(FILE *out) {
  fputs(
      "Usage: tlsagentd [OPTION...]\n"
      "Holds TLS contexts and private keys and does TLS for other processes, by RPC on a Unix\n"
      "socket. Runs in the foreground. SIGTERM and SIGINT end it when the calls in flight are\n"
      "done; a second signal ends it now.\n\n",
      out);
  for (size_t i = 0; i < TABLE_SIZE; i++) {
    fprintf(out, "  --%s %s\n", table[i].name, table[i].argument);
    print_text(out, table[i].text);
  }
  fputs(
      "  --kernel-tls\n        experimental: hand connections to the kernel's TLS, for clients "
      "that wish\n"
      "        it; whoever has such a socket can ask the kernel for its keys\n"
      "  --print-limits\n        prints every limit with what it can cost in memory, and ends\n"
      "  --help\n  --version\n\n"
      "Exit status: 0 ended as asked, 1 it could not start or go on, 2 a wrong command line.\n"
      "Example: tlsagentd --listen unix:/tmp/tlsagent.sock --allow-dial '*.example.com:443'\n",
      out);
}

static void print_limits(FILE *out, const struct options *options) {
  struct limit_row rows[LIMIT_COUNT];
  uint64_t sum = limits_rows(&options->limits, options->workers, rows);
  uint64_t listed = 0;
  fprintf(out, "%-26s %12s %14s  %s\n", "limit", "value", "memory KiB", "what it bounds");
  for (size_t i = 0; i < LIMIT_COUNT; i++) {
    fprintf(out, "%-26s %12llu %14llu  %s\n", rows[i].name, (unsigned long long)rows[i].value,
            (unsigned long long)rows[i].memory_bytes / 1024, rows[i].text);
    listed += rows[i].memory_bytes;
  }
  fprintf(out, "%-26s %12u %14llu  %s\n", "--workers", options->workers,
          (unsigned long long)(sum - listed) / 1024, "threads that serve, and the process itself");
  fprintf(out, "%-26s %12s %14llu  %s\n", "sum", "", (unsigned long long)sum / 1024,
          "the daemon's memory ceiling");
  fprintf(out, "%-26s %12llu %14s  %s\n", "RLIMIT_NOFILE",
          (unsigned long long)process_descriptors_needed(&options->limits, options->workers), "",
          "descriptors that these need");
}

static void set_defaults(struct options *options) {
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  *options = (struct options){
      .workers = cores < 1             ? 1
                 : cores > WORKERS_MAX ? WORKERS_MAX
                                       : (unsigned)cores,
      .mode = 0600,
      .drain_nanos = DRAIN_SECONDS * 1000000000ULL,
      .log_level = LOG_LEVEL_INFO,
  };
  limits_default(&options->limits);
}

static void make_getopt_table(struct option *out) {
  static const char *const flags[] = {"help", "version", "print-limits", "kernel-tls"};
  for (int i = 0; i < FLAG_COUNT; i++) {
    bool flag = i >= TABLE_SIZE;
    out[i] = (struct option){.name = flag ? flags[i - TABLE_SIZE] : table[i].name,
                             .has_arg = flag ? no_argument : required_argument,
                             .val = i};
  }
  out[FLAG_COUNT] = (struct option){0};
}

static enum options_outcome complain(FILE *err, const char *what, const char *about) {
  fprintf(err, "tlsagentd: %s%s\nTry 'tlsagentd --help'.\n", what, about);
  return OPTIONS_WRONG;
}

static enum options_outcome complain_argument(FILE *err, int index, const char *argument) {
  char what[128];
  snprintf(what, sizeof(what), "--%s wants %s and cannot be: ", table[index].name,
           table[index].argument);
  return complain(err, what, argument);
}

enum options_outcome options_read(int argc, char **argv, FILE *out, FILE *err,
                                  struct options *options) {
  struct option long_options[FLAG_COUNT + 1];
  bool print = false;
  int index;
  set_defaults(options);
  make_getopt_table(long_options);
  optind = 0;  // a test reads more than one command line
  opterr = 0;
  int word = 1;  // being read; getopt's own index may be past it
  while ((index = getopt_long(argc, argv, "+", long_options, NULL)) != EOF) {
    if (index == '?') {
      return complain(err, "unknown option, or argument missing: ", argv[word]);
    }
    word = optind;
    if (index == FLAG_HELP) {
      print_help(out);
      return OPTIONS_SHOWN;
    }
    if (index == FLAG_VERSION) {
      fprintf(out, "tlsagentd %s\n", TLSAGENT_VERSION);
      return OPTIONS_SHOWN;
    }
    if (index == FLAG_PRINT_LIMITS) {
      print = true;
    } else if (index == FLAG_KERNEL_TLS) {
      options->kernel_tls = true;
    } else if (!table[index].take(options, optarg)) {
      return complain_argument(err, index, optarg);
    }
  }
  if (optind < argc) {
    return complain(err, "takes no arguments: ", argv[optind]);
  }
  if (print) {
    print_limits(out, options);
  }
  return print ? OPTIONS_SHOWN : OPTIONS_RUN;
}
