// tlsagent exec: a program whose Pythons do their TLS by way of tlsagentd.

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/beside.h"
#include "client/cli/commands.h"
#include "client/cli/private_daemon.h"

struct exec {
  const char *python_dir;
  bool private_daemon;
};

static const struct option_row OPTIONS[] = {
    {"private", 'p', OPTION_FLAG, offsetof(struct exec, private_daemon), NULL,
     "start a daemon for COMMAND alone, even when one is running"},
    {"python-dir", 0, OPTION_TEXT, offsetof(struct exec, python_dir), "DIR",
     "where Python's _ssl module is (default: $TLSAGENT_PYTHON_DIR, or where it is installed)"},
};

// What shells and env(1) say of a command that they can't run. They aren't in EXIT_TABLE because
// every other code is the command's own.
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

static int have_daemon(const struct cli *cli, const struct exec *options,
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
  const int why = errno;
  complain(cli, EXIT_IO, "cannot run %s: %s", arguments[0], strerrordesc_np(why));
  return why == ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
}

static int run(const struct cli *cli, const void *given, char *const *arguments) {
  const struct exec *options = given;
  char folder[PATH_MAX];
  char address[PRIVATE_ADDRESS_SIZE];
  int code = cli->json ? complain(cli, EXIT_USAGE, "exec has nothing to say in JSON") : EXIT_OK;
  code = code != EXIT_OK ? code : find_folder(cli, options, folder);
  code = code != EXIT_OK ? code : prepend_python_path(cli, folder);
  code = code != EXIT_OK ? code : have_daemon(cli, options, address);
  if (code != EXIT_OK) {
    return code;
  }
  setenv("TLSAGENT_SOCKET", address, 1);
  return become(cli, arguments);
}

const struct command EXEC_COMMAND = {
    .name = "exec",
    .arguments = "[--] COMMAND [ARGUMENT...]",
    .summary = "run a program whose Pythons do TLS by tlsagentd",
    .options = OPTIONS,
    .num_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .size = sizeof(struct exec),
    .num_arguments = 1,
    .verbatim = true,
    .run = run,
    .examples =
        "  tlsagent exec -- python3 app.py\n"
        "  tlsagent exec --private -- python3 -m asyncio\n"
        "  tlsagent exec -- sh -c 'python3 server.py & python3 client.py'\n",
};
