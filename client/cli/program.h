// A program that is run for one TLS connection, on its plaintext.
#ifndef TLSAGENT_CLIENT_CLI_PROGRAM_H_
#define TLSAGENT_CLIENT_CLI_PROGRAM_H_

#include <stdbool.h>
#include <sys/types.h>

#include "client/cli/cli.h"

enum { PROGRAM_VARIABLE_SIZE = 600, PROGRAM_VARIABLES = 5 };

// struct program_environment is what the program finds in its environment: what this process has,
// and TLS_VERSION, TLS_CIPHER, TLS_SERVER_NAME, TLS_ALPN and TLS_PEER of its own connection.
struct program_environment {
  char text[PROGRAM_VARIABLES][PROGRAM_VARIABLE_SIZE];
  char **list;  // ends with NULL
};

// program_environment_init fills *out for a connection with peer, an address. False: there is no
// memory. program_environment_cleanup is for either.
bool program_environment_init(struct program_environment *out,
                              const struct tlsagent_negotiated *negotiated, const char *peer);
void program_environment_cleanup(struct program_environment *environment);

// program_start starts arguments[0], found as execvp(3) finds it, with fd as its standard input and
// output, and signals as a shell has them, whatever this process does with its own. Returns 0 or
// why it can't be run, an errno.
int program_start(pid_t *out, char *const *arguments, int fd,
                  const struct program_environment *environment);

#endif  // TLSAGENT_CLIENT_CLI_PROGRAM_H_
