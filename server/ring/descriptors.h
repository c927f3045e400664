// Descriptors that travel with bytes (SCM_RIGHTS). For this folder only.
#ifndef TLSAGENT_SERVER_RING_DESCRIPTORS_H_
#define TLSAGENT_SERVER_RING_DESCRIPTORS_H_

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "server/ring/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

// The kernel's own limit of descriptors in one message. All of them are taken in, so that it is us
// who closes those we don't want: a close inside the kernel would block this thread for as long as
// the sender of, say, a socket with SO_LINGER likes.
enum { DESCRIPTORS_SENT_MAX = 253 };

// Room for the control data of one received message.
enum { DESCRIPTORS_CONTROL_MAX = CMSG_SPACE(DESCRIPTORS_SENT_MAX * sizeof(int)) };

struct descriptors {
  int fds[STREAM_FDS_MAX];
  size_t num;
  size_t dropped;
};

// descriptors_parse takes the descriptors out of control, and closes and counts those that are too
// many, for that owner. flags are those of the received message.
void descriptors_parse(uid_t owner, const uint8_t *control, size_t len, int flags,
                       struct descriptors *out);

// descriptors_close closes what was parsed, when nobody wants it any more.
void descriptors_close(uid_t owner, struct descriptors *descriptors);

// Room for the control data of one message to send.
struct descriptors_out {
  uint8_t control[CMSG_SPACE(STREAM_FDS_MAX * sizeof(int))]
      __attribute__((aligned(sizeof(size_t))));
};

// descriptors_attach makes message carry the num descriptors, by way of out, which must live as
// long as the message is being sent.
void descriptors_attach(struct msghdr *message, struct descriptors_out *out, const int *fds,
                        size_t num);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RING_DESCRIPTORS_H_
