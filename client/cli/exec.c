// tlsagent exec: a program whose Pythons do their TLS by way of tlsagentd. --relay is in
// exec_relay.c.

#include "client/cli/exec.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/beside.h"
#include "client/cli/commands.h"

#define MEMBER(member) offsetof(struct exec, member)

static const struct option_row OPTIONS[] = {
    {"private", 'p', OPTION_FLAG, MEMBER(private_daemon), NULL,
     "start a daemon for COMMAND alone, even when one is running"},
    {"python-dir", 0, OPTION_TEXT, MEMBER(python_dir), "DIR",
     "where Python's _ssl module is (default: $TLSAGENT_PYTHON_DIR, or where it is installed)"},
    {"relay", 0, OPTION_FLAG, MEMBER(relay), NULL,
     "inetd style: do TLS on the socket that is standard input; COMMAND gets the plaintext"},
    {"client", 0, OPTION_FLAG, MEMBER(client), NULL, "--relay: be the TLS client"},
    {"servername", 0, OPTION_TEXT, MEMBER(server_name), "NAME",
     "--relay --client: the name to ask for and to check"},
    CLIENT_TRUST_OPTIONS(exec, "--relay --client: "),
    SERVER_WISHES_OPTIONS(exec, "--relay: "),
    {"idle-timeout", 0, OPTION_NUMBER, MEMBER(idle_timeout), "SECONDS",
     "--relay: end the connection after so long without a byte either way (default: never)"},
    {"total-timeout", 0, OPTION_NUMBER, MEMBER(total_timeout), "SECONDS",
     "--relay: end the connection after so long in any case (default: never)"},
    CONTEXT_OPTIONS(exec),
};
enum { NUM_OPTIONS = sizeof(OPTIONS) / sizeof(OPTIONS[0]) };

// They aren't in EXIT_TABLE because every other code is the command's own.
enum { NOT_EXECUTABLE = 126, NOT_FOUND = 127 };

#define MODULE "_ssl.abi3.so"

// --- What belongs to this program ---

// Where it is, installed and as Bazel builds it, from the folder of this program.
static const char *const MODULE_FOLDERS[] = {"../lib/tlsagent/python", "../python"};
enum { NUM_PLACES = sizeof(MODULE_FOLDERS) / sizeof(MODULE_FOLDERS[0]) };

static bool has_module(const char *folder) {
  char path[PATH_MAX + sizeof(MODULE) + 1];
  snprintf(path, sizeof(path), "%s/" MODULE, folder);
  return access(path, R_OK) == 0;
}

static int take_folder(const struct cli *cli, const char *given, char out[PATH_MAX]) {
  if (realpath(given, out) == NULL) {
    return complain(cli, EXIT_IO, "%s: %s", given, strerrordesc_np(errno));
  }
  return has_module(out) ? EXIT_OK : complain(cli, EXIT_IO, "%s has no " MODULE, given);
}

static int find_folder(const struct cli *cli, const struct exec *options, char out[PATH_MAX]) {
  const char *variable = getenv("TLSAGENT_PYTHON_DIR");
  if (options->python_dir != NULL) {
    return take_folder(cli, options->python_dir, out);
  }
  if (variable != NULL && variable[0] != '\0') {
    return take_folder(cli, variable, out);
  }
  for (size_t i = 0; i < NUM_PLACES; i++) {
    if (find_beside(MODULE_FOLDERS[i], out) && has_module(out)) {
      return EXIT_OK;
    }
  }
  return complain(cli, EXIT_IO,
                  "Python's " MODULE
                  " isn't where it is installed, in PREFIX/lib/tlsagent/python: "
                  "say where with --python-dir DIR or TLSAGENT_PYTHON_DIR");
}

// --- The daemon ---

// Whether one answers where it should be. Nobody there is no failure, unless it was asked for.
static int find_daemon(const struct cli *cli, char out_address[PRIVATE_ADDRESS_SIZE]) {
  const struct tlsagent_client_options options = {.address = cli->socket};
  struct tlsagent_error error;
  struct tlsagent_client *agent = tlsagent_client_open(&options, cli->timeout_ms, &error);
  out_address[0] = '\0';
  if (agent != NULL) {
    snprintf(out_address, PRIVATE_ADDRESS_SIZE, "%s", tlsagent_client_address(agent));
    tlsagent_client_close(agent);
    return EXIT_OK;
  }
  const bool nobody =
      error.fault == TLSAGENT_FAULT_UNREACHABLE || error.fault == TLSAGENT_FAULT_USAGE;
  return nobody && cli->socket == NULL ? EXIT_OK : complain_error(cli, &error);
}

int exec_have_daemon(const struct cli *cli, const struct exec *options,
                     char out_address[PRIVATE_ADDRESS_SIZE]) {
  if (options->private_daemon) {
    return cli->socket == NULL
               ? private_daemon_start(cli, NULL, out_address)
               : complain(cli, EXIT_USAGE, "--private and --socket exclude each other");
  }
  const int code = find_daemon(cli, out_address);
  const bool none = code == EXIT_OK && out_address[0] == '\0';
  return none ? private_daemon_start(cli, NULL, out_address) : code;
}

// --- The command ---

int complain_command(const struct cli *cli, const char *command, int why) {
  complain(cli, EXIT_IO, "cannot run %s: %s", command, strerrordesc_np(why));
  return why == ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
}

// An empty element would be the current folder: none is made.
static int prepend_python_path(const struct cli *cli, const char *folder) {
  const char *before = getenv("PYTHONPATH");
  char *path = NULL;
  if (strchr(folder, ':') != NULL) {
    return complain(cli, EXIT_IO, "%s: a folder with a colon can't be in PYTHONPATH", folder);
  }
  if (before == NULL || before[0] == '\0') {
    setenv("PYTHONPATH", folder, 1);
    return EXIT_OK;
  }
  if (asprintf(&path, "%s:%s", folder, before) < 0) {
    return complain(cli, EXIT_IO, "out of memory");
  }
  setenv("PYTHONPATH", path, 1);
  free(path);
  return EXIT_OK;
}

static int become(const struct cli *cli, char *const *arguments) {
  signal(SIGPIPE, SIG_DFL);
  execvp(arguments[0], arguments);
  return complain_command(cli, arguments[0], errno);
}

static int exec_python(const struct cli *cli, const struct exec *options, char *const *arguments) {
  char folder[PATH_MAX];
  char address[PRIVATE_ADDRESS_SIZE];
  int code = find_folder(cli, options, folder);
  code = code != EXIT_OK ? code : prepend_python_path(cli, folder);
  code = code != EXIT_OK ? code : exec_have_daemon(cli, options, address);
  if (code != EXIT_OK) {
    return code;
  }
  setenv("TLSAGENT_SOCKET", address, 1);
  return become(cli, arguments);
}

// --- Which of the two? ---

static bool is_given(const struct option_row *row, const void *options) {
  const void *at = (const char *)options + row->offset;
  switch (row->kind) {
    case OPTION_FLAG:
      return *(const bool *)at;
    case OPTION_TEXT:
    case OPTION_STRING:
      return *(const char *const *)at != NULL;
    default:
      return *(const uint32_t *)at != 0;
  }
}

static bool needs_relay(const struct option_row *row) {
  return row->offset != MEMBER(private_daemon) && row->offset != MEMBER(python_dir) &&
         row->offset != MEMBER(relay);
}

static int check_relay(const struct cli *cli, const struct exec *options) {
  if (options->python_dir != NULL) {
    return complain(cli, EXIT_USAGE,
                    "--python-dir is for commands that do TLS by themselves: not with --relay");
  }
  if (options->client &&
      (options->wishes.client_ca != NULL || options->wishes.client_cert != NULL)) {
    return complain(cli, EXIT_USAGE, "--client-ca and --client-cert are for servers");
  }
  if (!options->client && (options->trust.cafile != NULL || options->trust.insecure ||
                           options->trust.system || options->server_name != NULL)) {
    return complain(cli, EXIT_USAGE,
                    "--cafile, --system, --insecure and --servername need --client");
  }
  if (options->client && options->server_name == NULL && !options->trust.insecure) {
    return complain(cli, EXIT_USAGE,
                    "--client needs --servername NAME to check the certificate, or --insecure");
  }
  return EXIT_OK;
}

static int check(const struct cli *cli, const struct exec *options) {
  if (cli->json) {
    return complain(cli, EXIT_USAGE, "exec has nothing to say in JSON");
  }
  if (options->relay) {
    return check_relay(cli, options);
  }
  for (size_t i = 0; i < NUM_OPTIONS; i++) {
    if (needs_relay(&OPTIONS[i]) && is_given(&OPTIONS[i], options)) {
      return complain(cli, EXIT_USAGE,
                      "--%s needs --relay: without it exec does no TLS itself, COMMAND does",
                      OPTIONS[i].name);
    }
  }
  return EXIT_OK;
}

static int run(const struct cli *cli, const void *given, char *const *arguments) {
  const struct exec *options = given;
  const int code = check(cli, options);
  if (code != EXIT_OK) {
    return code;
  }
  return options->relay ? exec_relay(cli, options, arguments)
                        : exec_python(cli, options, arguments);
}

const struct command EXEC_COMMAND = {
    .name = "exec",
    .arguments = "[--] COMMAND [ARGUMENT...]",
    .summary = "run a program whose Pythons do TLS by tlsagentd, or on a socket's plaintext",
    .options = OPTIONS,
    .num_options = NUM_OPTIONS,
    .size = sizeof(struct exec),
    .num_arguments = 1,
    .verbatim = true,
    .run = run,
    .examples =
        "  tlsagent exec -- python3 app.py\n"
        "  tlsagent exec --private -- python3 -m asyncio\n"
        "  tlsagent exec -- sh -c 'python3 server.py & python3 client.py'\n"
        "  socat TCP-LISTEN:8443,fork,reuseaddr \\\n"
        "    EXEC:'tlsagent exec --relay --cert both.pem -- date',nofork\n"
        "  ExecStart=tlsagent exec --relay --cert both.pem -- cat  # systemd: Accept=yes\n",
};
