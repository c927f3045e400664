#include "server/rpc/credentials.h"

#include <sys/socket.h>

status_t credentials_read(int fd, struct peer *out) {
  struct ucred found;
  socklen_t len = sizeof(found);
  ENSURE(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &found, &len) == 0, PERMISSION_DENIED);
  // A socket of another family answers with uid -1, which is nobody, and past all identities.
  ENSURE(len == sizeof(found) && found.uid < PEER_IDENTITIES_FIRST, PERMISSION_DENIED);
  *out = (struct peer){.uid = found.uid, .gid = found.gid, .pid = found.pid};
  return OK_STATUS;
}
