// What exec.c and exec_relay.c share: the command line, and the daemon.
#ifndef TLSAGENT_CLIENT_CLI_EXEC_H_
#define TLSAGENT_CLIENT_CLI_EXEC_H_

#include "client/cli/context.h"
#include "client/cli/private_daemon.h"

// struct exec is the command line. All from options on is for --relay.
struct exec {
  const char *python_dir;
  bool private_daemon;
  bool relay;
  struct context_options options;
  struct client_trust trust;
  struct server_wishes wishes;
  const char *server_name;
  bool client;
  uint32_t idle_timeout;
  uint32_t total_timeout;
};

// exec_have_daemon stores the address of a daemon that answers: the one where it should be, or,
// where there is none or --private asks for it, one that is started. It complains and returns the
// exit code when there can be none.
int exec_have_daemon(const struct cli *cli, const struct exec *options,
                     char out_address[PRIVATE_ADDRESS_SIZE]);

// complain_command says that the command can't be run because of why, an errno, and returns what
// shells and env(1) end with then.
int complain_command(const struct cli *cli, const char *command, int why);

// exec_relay is --relay: it runs the command on the plaintext of standard input, a socket, and
// returns the exit code.
int exec_relay(const struct cli *cli, const struct exec *options, char *const *arguments);

#endif  // TLSAGENT_CLIENT_CLI_EXEC_H_
