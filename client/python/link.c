#include "client/python/link.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum { NANOS_PER_MILLI = 1000000, NANOS_PER_SECOND = 1000000000 };

static enum link_result fail(struct link *link) {
  if (errno == EINTR) {
    return LINK_INTERRUPTED;
  }
  link->os_errno = errno;
  return LINK_FAILED;
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * NANOS_PER_SECOND + (uint64_t)now.tv_nsec;
}

uint64_t link_deadline(double seconds) {
  return now_ns() + (uint64_t)(seconds * NANOS_PER_SECOND);
}

// For poll(2): -1 for ever; rounded up, so that the deadline has passed when it returns.
static int milliseconds_left(const struct link *link) {
  if (link->blocks) {
    return -1;
  }
  uint64_t now = now_ns();
  if (now >= link->deadline_ns) {
    return 0;
  }
  uint64_t left = (link->deadline_ns - now + NANOS_PER_MILLI - 1) / NANOS_PER_MILLI;
  return left > INT_MAX ? INT_MAX : (int)left;
}

enum link_result link_wait(struct link *link, bool writing) {
  struct pollfd ready[] = {{.fd = link->fd, .events = writing ? POLLOUT : POLLIN},
                           {.fd = link->watched, .events = POLLRDHUP}};
  if (link->never_waits) {
    return LINK_WOULD_BLOCK;
  }
  int num = poll(ready, 2, milliseconds_left(link));
  if (num < 0) {
    return fail(link);
  }
  if (ready[0].revents != 0) {
    return LINK_OK;
  }
  return num == 0 ? LINK_TIMED_OUT : LINK_ALARMED;
}

static bool nothing_yet(ssize_t done) {
  return done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

static enum link_result take(struct link *link, void *out, size_t size, size_t *out_len,
                             int flags) {
  ssize_t got = recv(link->fd, out, size, flags);
  *out_len = got < 0 ? 0 : (size_t)got;
  if (nothing_yet(got)) {
    return LINK_WOULD_BLOCK;
  }
  return got < 0 ? fail(link) : got == 0 ? LINK_END : LINK_OK;
}

// A socket that blocks does the waiting itself, unless there is something else to watch meanwhile,
// or somebody has made its description O_NONBLOCK.
static int waiting_flags(const struct link *link) {
  return link->blocks && link->watched < 0 ? 0 : MSG_DONTWAIT;
}

static enum link_result take_waiting(struct link *link, void *out, size_t size, size_t *out_len,
                                     int flags) {
  enum link_result result = take(link, out, size, out_len, flags | waiting_flags(link));
  while (result == LINK_WOULD_BLOCK) {
    result = link_wait(link, false);
    if (result != LINK_OK) {
      return result;
    }
    result = take(link, out, size, out_len, flags | MSG_DONTWAIT);
  }
  return result;
}

static enum link_result receive(struct link *link, struct buffer *into, size_t size, bool waits) {
  uint8_t *room = buffer_room(into, size);
  if (room == NULL) {
    errno = ENOMEM;
    return fail(link);
  }
  size_t got;
  enum link_result result =
      waits ? take_waiting(link, room, size, &got, 0) : take(link, room, size, &got, MSG_DONTWAIT);
  buffer_added(into, got);
  return result;
}

enum link_result link_receive(struct link *link, struct buffer *into, size_t size) {
  return receive(link, into, size, true);
}

enum link_result link_receive_now(struct link *link, struct buffer *into, size_t size) {
  return receive(link, into, size, false);
}

enum link_result link_peek(struct link *link, void *out, size_t size, size_t *out_len) {
  return take_waiting(link, out, size, out_len, MSG_PEEK);
}

// TCP can drop bytes unseen; of other sockets they must be read. What is there can be taken at
// once, whatever signals come.
void link_skip(struct link *link, size_t len) {
  uint8_t waste[4096];
  ssize_t dropped = recv(link->fd, NULL, len, MSG_DONTWAIT | MSG_TRUNC);
  len -= dropped < 0 ? 0 : (size_t)dropped;
  while (len > 0) {
    ssize_t got = recv(link->fd, waste, len < sizeof(waste) ? len : sizeof(waste), MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EINTR)) {
      return;
    }
    len -= got < 0 ? 0 : (size_t)got;
  }
}

static enum link_result send_now(struct link *link, struct buffer *from) {
  ssize_t sent =
      send(link->fd, buffer_front(from), buffer_len(from), waiting_flags(link) | MSG_NOSIGNAL);
  if (nothing_yet(sent)) {
    return LINK_WOULD_BLOCK;
  }
  if (sent < 0) {
    return fail(link);
  }
  buffer_drop(from, (size_t)sent);
  return LINK_OK;
}

enum link_result link_send(struct link *link, struct buffer *from) {
  enum link_result result = LINK_OK;
  while (result == LINK_OK && buffer_len(from) > 0) {
    result = send_now(link, from);
    if (result == LINK_WOULD_BLOCK) {
      result = link_wait(link, true);
    }
  }
  return result;
}
