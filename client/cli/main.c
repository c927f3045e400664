// tlsagent: TLS from the command line, by way of tlsagentd.

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/commands.h"

enum { TIMEOUT_MS = 30000 };

static const struct command *const COMMANDS[] = {
    &CONNECT_COMMAND, &SERVE_COMMAND, &RELAY_COMMAND, &EXEC_COMMAND,   &DECODE_COMMAND,
    &VERIFY_COMMAND,  &PING_COMMAND,  &INFO_COMMAND,  &LIMITS_COMMAND, &COUNTERS_COMMAND,
};
enum { NUM_COMMANDS = sizeof(COMMANDS) / sizeof(COMMANDS[0]) };

static void print_exit_codes(void) {
  printf("\nExit codes:\n");
#define X(name, number, text) printf("  %d  %s\n", number, text);
  EXIT_TABLE(X)
#undef X
}

static int print_help(void) {
  printf(
      "Usage: tlsagent COMMAND [OPTIONS] [ARGUMENTS]\n\n"
      "TLS from the command line: tlsagentd holds the keys and does the TLS.\n\nCommands:\n");
  for (size_t i = 0; i < NUM_COMMANDS; i++) {
    printf("  %-10s %s\n", COMMANDS[i]->name, COMMANDS[i]->summary);
  }
  printf("\nOptions of every command:\n");
  print_options(GLOBAL_OPTIONS, NUM_GLOBAL_OPTIONS);
  print_exit_codes();
  printf("\n`tlsagent COMMAND --help` explains a command, with examples.\n");
  return EXIT_OK;
}

static int print_command_help(const struct command *command) {
  printf("Usage: tlsagent %s [OPTIONS]%s%s\n\n%s.\n", command->name,
         command->arguments[0] != '\0' ? " " : "", command->arguments, command->summary);
  if (command->num_options != 0) {
    printf("\nOptions:\n");
    print_options(command->options, command->num_options);
  }
  printf("\nOptions of every command:\n");
  print_options(GLOBAL_OPTIONS, NUM_GLOBAL_OPTIONS);
  printf("\nExamples:\n%s", command->examples);
  print_exit_codes();
  return EXIT_OK;
}

static const struct command *find_command(const char *name) {
  for (size_t i = 0; i < NUM_COMMANDS; i++) {
    if (strcmp(COMMANDS[i]->name, name) == 0) {
      return COMMANDS[i];
    }
  }
  return NULL;
}

static int complain_unknown(const struct cli *cli, const char *name) {
  struct guess meant = {0};
  for (size_t i = 0; i < NUM_COMMANDS; i++) {
    guess(&meant, name, strlen(name), COMMANDS[i]->name);
  }
  char hint[64] = "";
  if (meant.name != NULL) {
    snprintf(hint, sizeof(hint), " (did you mean %s?)", meant.name);
  }
  return complain(cli, EXIT_USAGE, "unknown command %s%s; see `tlsagent --help`", name, hint);
}

static bool fits(const struct command *command, int num_arguments) {
  return num_arguments == command->num_arguments ||
         (command->verbatim && num_arguments > command->num_arguments);
}

static int run_command(const struct command *command, struct cli *cli, int argc, char **argv) {
  bool help = false;
  void *options = calloc(1, command->size + 1);
  if (options == NULL) {
    return complain(cli, EXIT_IO, "out of memory");
  }
  cli->command = command->name;
  int code = parse_options(command, cli, options, &argc, argv, &help);
  if (code == EXIT_OK && help) {
    code = print_command_help(command);
  } else if (code == EXIT_OK && !fits(command, argc)) {
    code = complain(cli, EXIT_USAGE, "usage: tlsagent %s [OPTIONS]%s%s; see --help", command->name,
                    command->arguments[0] != '\0' ? " " : "", command->arguments);
  } else if (code == EXIT_OK) {
    code = command->run(cli, options, argv);
  }
  free(options);
  return code;
}

// Options before the command: its own row finds no place for them yet.
static const struct command BEFORE = {.name = "", .arguments = ""};

// How many words of argv come before the command.
static int count_leading(int argc, char *const *argv) {
  int i = 1;
  while (i < argc && argv[i][0] == '-') {
    const bool takes_value = strcmp(argv[i], "--socket") == 0 || strcmp(argv[i], "-S") == 0 ||
                             strcmp(argv[i], "--timeout") == 0 || strcmp(argv[i], "-t") == 0;
    i += takes_value ? 2 : 1;
  }
  return (i < argc ? i : argc) - 1;
}

// Output that can't be written is a failure, unless the reader has simply gone.
static int finish_output(const struct cli *cli, int code) {
  if (fflush(stdout) != 0 && code == EXIT_OK) {
    return complain(cli, EXIT_IO, "cannot write to standard output");
  }
  return code;
}

int main(int argc, char **argv) {
  struct cli cli = {.timeout_ms = TIMEOUT_MS};
  bool help = false;
  int leading = count_leading(argc, argv);
  signal(SIGPIPE, SIG_IGN);
  for (int i = 1; i <= leading; i++) {
    if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0) {
      printf("tlsagent %s\n", TLSAGENT_VERSION);
      return EXIT_OK;
    }
  }
  char **rest = argv + 1 + leading;
  const int num_rest = argc - 1 - leading;
  const int code = parse_options(&BEFORE, &cli, NULL, &leading, argv + 1, &help);
  if (code != EXIT_OK) {
    return code;
  }
  if (help || num_rest == 0) {
    return help ? print_help() : complain(&cli, EXIT_USAGE, "which command? see `tlsagent --help`");
  }
  const struct command *command = find_command(rest[0]);
  if (command == NULL) {
    return complain_unknown(&cli, rest[0]);
  }
  return finish_output(&cli, run_command(command, &cli, num_rest - 1, rest + 1));
}
