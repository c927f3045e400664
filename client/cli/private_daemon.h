// A tlsagentd of one's own.
#ifndef TLSAGENT_CLIENT_CLI_PRIVATE_DAEMON_H_
#define TLSAGENT_CLIENT_CLI_PRIVATE_DAEMON_H_

#include "client/cli/cli.h"

enum { PRIVATE_ADDRESS_SIZE = 128, PRIVATE_OPTIONS_MAX = 16 };

// private_daemon_start starts a tlsagentd that lives as long as this process, also when it becomes
// another program by execve(2), and whichever way it ends. The daemon listens in a fresh folder
// that only its user may enter, and that goes with it. options are further ones of its command
// line, NULL at their end; NULL is none. It is the tlsagentd beside this program, or one that
// execvp(3) finds. The address is stored once the daemon answers there; else it complains and
// returns the exit code.
int private_daemon_start(const struct cli *cli, const char *const *options,
                         char out_address[PRIVATE_ADDRESS_SIZE]);

#endif  // TLSAGENT_CLIENT_CLI_PRIVATE_DAEMON_H_
