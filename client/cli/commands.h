// The subcommands: one file each.
#ifndef TLSAGENT_CLIENT_CLI_COMMANDS_H_
#define TLSAGENT_CLIENT_CLI_COMMANDS_H_

#include "client/cli/options.h"

extern const struct command CONNECT_COMMAND;   // connect.c
extern const struct command SERVE_COMMAND;     // serve.c
extern const struct command RELAY_COMMAND;     // relay.c
extern const struct command EXEC_COMMAND;      // exec.c
extern const struct command DECODE_COMMAND;    // decode.c
extern const struct command VERIFY_COMMAND;    // verify.c
extern const struct command PING_COMMAND;      // ping.c
extern const struct command INFO_COMMAND;      // info.c
extern const struct command LIMITS_COMMAND;    // limits.c
extern const struct command COUNTERS_COMMAND;  // counters.c

#endif  // TLSAGENT_CLIENT_CLI_COMMANDS_H_
