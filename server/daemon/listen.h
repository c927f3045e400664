// Listening sockets, of Unix and of TCP: made here, or inherited from whoever started the daemon.
#ifndef TLSAGENT_SERVER_DAEMON_LISTEN_H_
#define TLSAGENT_SERVER_DAEMON_LISTEN_H_

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "server/base/status.h"
#include "server/daemon/options.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SOCKETS_MAX = LISTEN_MAX };

struct listen_sockets {
  int fds[SOCKETS_MAX];  // -1: somebody has taken it over
  bool tcp[SOCKETS_MAX];
  size_t num;
  // The socket files made here, to be removed at the end if they are still the same.
  struct {
    const char *path;  // NULL: no file
    dev_t device;
    ino_t inode;
  } files[SOCKETS_MAX];
};

// listen_open opens what the options and LISTEN_FDS say, or the default place. On failure the
// reason has been logged and nothing is left open.
status_t listen_open(const struct options *options, struct listen_sockets *out);

// listen_unlink removes the socket files, unless somebody has put another in their place.
void listen_unlink(struct listen_sockets *sockets);

// listen_close closes the sockets.
void listen_close(struct listen_sockets *sockets);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_DAEMON_LISTEN_H_
