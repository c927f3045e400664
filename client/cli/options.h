// Options as tables: one row each, from which they are parsed and explained.
#ifndef TLSAGENT_CLIENT_CLI_OPTIONS_H_
#define TLSAGENT_CLIENT_CLI_OPTIONS_H_

#include <stddef.h>
#include <stdint.h>

#include "client/cli/cli.h"

// enum option_kind says what an option's argument is, and so what it is stored in.
enum option_kind {
  OPTION_FLAG,     // none: a bool
  OPTION_TEXT,     // anything but nothing: a const char *
  OPTION_STRING,   // anything: a const char *
  OPTION_NUMBER,   // 1 to 4294967295: a uint32_t
  OPTION_SIZE,     // 0 to 4294967295: a uint32_t
  OPTION_SECONDS,  // 0.001 to 4000000: a uint32_t of milliseconds
  OPTION_VERSION,  // "1.2" or "tls1.2": a uint32_t, by the wire's number
  OPTION_KINDS,
};

// struct option_row is one option.
struct option_row {
  const char *name;  // without its dashes
  char letter;       // 0: none
  enum option_kind kind;
  size_t offset;         // into the subcommand's struct
  const char *argument;  // "FILE"; NULL for flags
  const char *help;
};

// struct command is one subcommand.
struct command {
  const char *name;
  const char *arguments;  // "HOST:PORT", or ""
  const char *summary;
  const struct option_row *options;
  size_t num_options;
  size_t size;  // of the struct that its options fill
  int num_arguments;
  bool verbatim;  // from the first argument on all are its own, and there may be more
  int (*run)(const struct cli *cli, const void *options, char *const *arguments);
  const char *examples;
};

// parse_options fills *cli and the struct at options, of command->size zeroed bytes, and moves what
// isn't an option to the front of argv, of which *argc is then the count. It complains, and returns
// the exit code, when something is wrong. A NULL follows what is left.
int parse_options(const struct command *command, struct cli *cli, void *options, int *argc,
                  char **argv, bool *out_help);

// print_options explains a table, and the options that all subcommands have.
void print_options(const struct option_row *options, size_t num_options);

// struct guess is the name that a misspelt word is nearest to; zeroed, there is none yet.
struct guess {
  const char *name;  // NULL: none is near
  unsigned typos;
};

// guess looks whether name is nearer to the word, of len letters, than the best so far.
void guess(struct guess *guess, const char *word, size_t len, const char *name);

// GLOBAL_OPTIONS are the options that all subcommands have; they fill a struct cli.
extern const struct option_row GLOBAL_OPTIONS[];
extern const size_t NUM_GLOBAL_OPTIONS;

#endif  // TLSAGENT_CLIENT_CLI_OPTIONS_H_
