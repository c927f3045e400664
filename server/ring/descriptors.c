#include "server/ring/descriptors.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>

#include "server/ring/closer.h"

static void keep_or_close(uid_t owner, struct descriptors *descriptors, int fd) {
  if (descriptors->num == STREAM_FDS_MAX) {
    descriptors->dropped++;
    closer_close(owner, fd);
    return;
  }
  descriptors->fds[descriptors->num++] = fd;
}

static void parse_one(uid_t owner, const uint8_t *data, size_t len,
                      struct descriptors *descriptors) {
  for (size_t at = 0; at + sizeof(int) <= len; at += sizeof(int)) {
    int fd = -1;
    memcpy(&fd, data + at, sizeof(fd));
    keep_or_close(owner, descriptors, fd);
  }
}

void descriptors_parse(uid_t owner, const uint8_t *control, size_t len, int flags,
                       struct descriptors *out) {
  *out = (struct descriptors){0};
  struct slice rest = slice_of(control, len);
  struct slice part;
  // Each header is copied out: nothing says that the control data is aligned.
  while (slice_take(&rest, sizeof(struct cmsghdr), &part)) {
    struct cmsghdr header;
    memcpy(&header, part.data, sizeof(header));
    if (header.cmsg_len < CMSG_LEN(0) || !slice_take(&rest, header.cmsg_len - CMSG_LEN(0), &part)) {
      break;
    }
    if (header.cmsg_level == SOL_SOCKET && header.cmsg_type == SCM_RIGHTS) {
      parse_one(owner, part.data, part.len, out);
    }
    size_t padding = CMSG_ALIGN(header.cmsg_len) - header.cmsg_len;
    if (!slice_take(&rest, padding, &part)) {
      break;
    }
  }
  // The kernel does not say how many did not fit, or found no place in the descriptor table.
  out->dropped += (flags & MSG_CTRUNC) != 0;
}

void descriptors_close(uid_t owner, struct descriptors *descriptors) {
  for (size_t i = 0; i < descriptors->num; i++) {
    closer_close(owner, descriptors->fds[i]);
  }
  descriptors->num = 0;
}

void descriptors_attach(struct msghdr *message, struct descriptors_out *out, const int *fds,
                        size_t num) {
  assert(num > 0 && num <= STREAM_FDS_MAX);
  memset(out, 0, sizeof(*out));
  message->msg_control = out->control;
  message->msg_controllen = CMSG_SPACE(num * sizeof(int));
  struct cmsghdr *header = CMSG_FIRSTHDR(message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(num * sizeof(int));
  memcpy(CMSG_DATA(header), fds, num * sizeof(int));
}
