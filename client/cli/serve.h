// What serve.c and serve_modes.c share: a connection, and what is done with it.
#ifndef TLSAGENT_CLIENT_CLI_SERVE_H_
#define TLSAGENT_CLIENT_CLI_SERVE_H_

#include "client/cli/channel.h"
#include "client/cli/context.h"
#include "client/cli/files.h"

// struct serve is the command line.
struct serve {
  struct context_options options;
  struct server_wishes wishes;
  const char *listen;
  const char *text;
  const char *file;
  const char *exec;
  const char *to;
  bool echo;
  bool once;
  uint32_t max_connections;
};

// struct serving is a connection whose handshake is done.
struct serving {
  const struct serve *options;
  struct channel *channel;
  const char *peer;  // its address
  const struct tlsagent_session_describe_reply *session;
  const struct file *page;  // --text's or --file's
};

// serve_mode_check complains when there is more than one mode on the command line.
int serve_mode_check(const struct cli *cli, const struct serve *options);

// serve_mode serves one connection in the mode that the command line asks for, and closes its
// channel. It returns the exit code.
int serve_mode(const struct serving *serving);

#endif  // TLSAGENT_CLIENT_CLI_SERVE_H_
