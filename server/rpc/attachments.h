// Attachments: the file descriptors that came with a frame, and how many all together may be open.
#ifndef TLSAGENT_SERVER_RPC_ATTACHMENTS_H_
#define TLSAGENT_SERVER_RPC_ATTACHMENTS_H_

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "server/base/status.h"
#include "server/ring/stream.h"
#include "server/rpc/ceiling.h"

#ifdef __cplusplus
extern "C" {
#endif

// The descriptors of one frame. Once some were refused the rest is closed too: a call never sees a
// part of what it was given.
struct attachments {
  struct ceiling *ceiling;  // counts those held here
  uid_t uid;                // in whose name they are closed (closer.h)
  size_t num;
  int fds[STREAM_FDS_MAX];             // -1 where one was taken
  bool too_many;                       // more than STREAM_FDS_MAX came
  const struct ceiling *over_ceiling;  // which had no room for them; NULL when all had
};

void attachments_init(struct attachments *set, struct ceiling *ceiling, uid_t uid);

// attachments_add takes over fds, and notes that so many more were dropped on the way.
void attachments_add(struct attachments *set, const int *fds, size_t num, size_t dropped);

// attachments_move gives all that from has, complaints included, to the end of to.
void attachments_move(struct attachments *to, struct attachments *from);

// attachments_take gives one to the caller, INVALID_ARGUMENT when it is not there. Any thread.
status_t attachments_take(struct attachments *set, size_t index, int *out);

// attachments_close closes what was not taken; the set is as new. Any thread.
void attachments_close(struct attachments *set);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_ATTACHMENTS_H_
