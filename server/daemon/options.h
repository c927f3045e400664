// The command line of tlsagentd.
#ifndef TLSAGENT_SERVER_DAEMON_OPTIONS_H_
#define TLSAGENT_SERVER_DAEMON_OPTIONS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "server/base/limits.h"
#include "server/base/log.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { LISTEN_MAX = 16, ALLOW_DIAL_MAX = 64 };

// Files in PEM by which TCP is served with TLS; all NULL: it isn't.
struct listen_tls {
  char *cert;       // own certificate first, then the intermediates
  char *key;        // of that certificate
  char *client_ca;  // whose certificates clients have to show
};

struct options {
  const char *listen[LISTEN_MAX];  // "unix:PATH", "unix:@NAME" or "tcp:HOST:PORT"
  size_t num_listen;
  struct listen_tls listen_tls;
  const char *allow_dial[ALLOW_DIAL_MAX];
  size_t num_allow_dial;
  unsigned workers;
  mode_t mode;
  const char *group;  // NULL: as it comes
  uint64_t drain_nanos;
  struct limits limits;
  enum log_format log_format;
  bool log_format_given;
  enum log_level log_level;
  bool kernel_tls;
};

enum options_outcome {
  OPTIONS_RUN,    // start the daemon
  OPTIONS_SHOWN,  // what was asked for has been printed: exit 0
  OPTIONS_WRONG   // the reason has been printed: exit 2
};

// options_read reads the command line over the defaults. What --help, --version and --print-limits
// show goes to out, what is wrong to err. The strings of *options point into argv, which
// --listen-tls is taken apart in.
enum options_outcome options_read(int argc, char **argv, FILE *out, FILE *err,
                                  struct options *options);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_DAEMON_OPTIONS_H_
