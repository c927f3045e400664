// What every subcommand of `tlsagent` is given, and how it ends.
#ifndef TLSAGENT_CLIENT_CLI_CLI_H_
#define TLSAGENT_CLIENT_CLI_CLI_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/c/tlsagent.h"

// EXIT_TABLE lists every exit code: X(name, number, text). `tlsagent --help` prints it.
#define EXIT_TABLE(X)                                                         \
  X(OK, 0, "done")                                                            \
  X(USAGE, 1, "the command line makes no sense")                              \
  X(NO_DAEMON, 2, "tlsagentd can't be reached, or went away")                 \
  X(TLS, 3, "the TLS handshake or connection failed")                         \
  X(VERIFY, 4, "a certificate doesn't verify")                                \
  X(TRUNCATED, 5, "the peer ended without close_notify: data may be missing") \
  X(NETWORK, 6, "the network: no such host, connection refused, reset")       \
  X(REFUSED, 7, "tlsagentd refused: its policy, a limit, an old version")     \
  X(TIMEOUT, 8, "it took longer than --timeout")                              \
  X(IO, 9, "a file, standard input or output failed, or a file isn't what it should be")

enum exit_code {
#define X(name, number, text) EXIT_##name = (number),
  EXIT_TABLE(X)
#undef X
};

// struct cli is what the options before or after any subcommand say.
struct cli {
  const char *socket;  // NULL: the library's default
  bool json;
  bool quiet;
  uint32_t timeout_ms;  // 0: none
  const char *command;  // the subcommand's name, for messages
};

// complain prints "tlsagent connect: " and a sentence to standard error, and returns code.
__attribute__((format(printf, 3, 4))) int complain(const struct cli *cli, enum exit_code code,
                                                   const char *format, ...);

// complain_error is complain for what a call of the library said, with the exit code that it means.
int complain_error(const struct cli *cli, const struct tlsagent_error *error);

// exit_code_of says which exit code an error of the library means. It is never EXIT_OK.
enum exit_code exit_code_of(const struct tlsagent_error *error);

// open_agent connects to the daemon; NULL, and it has complained and set *code, when there is none.
struct tlsagent_client *open_agent(const struct cli *cli, int *code);

#endif  // TLSAGENT_CLIENT_CLI_CLI_H_
