#include "client/c/connection.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "client/c/clock.h"
#include "client/c/error.h"

// --- Opening and closing ---

bool tla_connection_init(struct tla_connection *connection, int fd, struct tlsagent_error *error) {
  *connection =
      (struct tla_connection){.fd = fd, .reader = calloc(1, sizeof(struct tla_frame_reader))};
  connection->last = &connection->first;
  if (connection->reader == NULL) {
    tla_connection_close(connection);
    return tla_fail_memory(error);
  }
  return true;
}

// connect(2) on a Unix socket waits for room in the listener's queue as long as SO_SNDTIMEO says.
static int connect_within(int fd, const struct tla_address *address, uint32_t timeout_ms) {
  const struct timeval limit = {timeout_ms / 1000, (suseconds_t)(timeout_ms % 1000) * 1000};
  const struct timeval none = {0};
  int result;
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  do {
    result = connect(fd, (const struct sockaddr *)&address->socket, address->len);
  } while (result != 0 && errno == EINTR);
  const int why = result == 0 ? 0 : errno;
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
  return why;
}

static bool fail_connect(const struct tla_address *address, int why, struct tlsagent_error *error) {
  const char *remedy = "start it with `tlsagentd` or set TLSAGENT_SOCKET";
  char reason[128];
  if (why == EACCES || why == EPERM) {
    remedy = "ask its owner for access to the socket, or start your own with `tlsagentd`";
  } else if (why == EAGAIN) {
    remedy = "it has more connections waiting than it can take; try again";
  }
  tla_fail(error, TLSAGENT_FAULT_UNREACHABLE, "cannot reach tlsagentd at %s: %s; %s",
           address->text + strlen("unix:"), strerror_r(why, reason, sizeof(reason)), remedy);
  if (error != NULL) {
    error->os_errno = why;
  }
  return false;
}

bool tla_connection_open(struct tla_connection *connection, const struct tla_address *address,
                         uint32_t timeout_ms, struct tlsagent_error *error) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return fail_connect(address, errno, error);
  }
  const int why = connect_within(fd, address, timeout_ms);
  if (why != 0) {
    close(fd);
    return fail_connect(address, why, error);
  }
  return tla_connection_init(connection, fd, error);
}

static void close_all(const int *fds, size_t num) {
  for (size_t i = 0; i < num; i++) {
    close(fds[i]);
  }
}

void tla_connection_close(struct tla_connection *connection) {
  while (connection->first != NULL) {
    struct tla_parcel *next = connection->first->next;
    tla_parcel_free(connection->first);
    connection->first = next;
  }
  if (connection->reader != NULL) {
    tla_frame_reader_free(connection->reader);
    free(connection->reader);
  }
  close_all(connection->fds, connection->num_fds);
  if (connection->fd >= 0) {
    close(connection->fd);
  }
  *connection = (struct tla_connection){.fd = -1};
  connection->last = &connection->first;
}

// --- Sending ---

struct tla_parcel *tla_parcel_new(size_t len) {
  struct tla_parcel *parcel = malloc(sizeof(*parcel) + len);
  if (parcel != NULL) {
    memset(parcel, 0, sizeof(*parcel));
    parcel->len = len;
  }
  return parcel;
}

bool tla_parcel_attach(struct tla_parcel *parcel, const int *fds, size_t num_fds,
                       struct tlsagent_error *error) {
  assert(num_fds <= TLSAGENT_FDS_MAX);
  for (size_t i = 0; i < num_fds; i++) {
    const int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
    if (copy < 0) {
      return tla_fail_errno(error, TLSAGENT_FAULT_USAGE, errno, "descriptor %d can't be passed",
                            fds[i]);
    }
    parcel->fds[parcel->num_fds++] = copy;
  }
  return true;
}

void tla_parcel_free(struct tla_parcel *parcel) {
  close_all(parcel->fds, parcel->num_fds);
  if (parcel->secret) {
    explicit_bzero(parcel->data, parcel->len);
  }
  free(parcel);
}

void tla_connection_queue(struct tla_connection *connection, struct tla_parcel *parcel) {
  *connection->last = parcel;
  connection->last = &parcel->next;
  connection->queued += parcel->len;
}

static void attach_fds(struct msghdr *message, const struct tla_parcel *parcel) {
  const size_t size = parcel->num_fds * sizeof(int);
  struct cmsghdr *header = message->msg_control;
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(size);
  memcpy(CMSG_DATA(header), parcel->fds, size);
  message->msg_controllen = CMSG_SPACE(size);
}

static ssize_t send_some(int fd, struct tla_parcel *parcel) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(TLSAGENT_FDS_MAX * sizeof(int))];
  } control;
  struct iovec place = {parcel->data + parcel->sent, parcel->len - parcel->sent};
  struct msghdr message = {.msg_iov = &place, .msg_iovlen = 1};
  if (parcel->num_fds != 0) {
    memset(&control, 0, sizeof(control));
    message.msg_control = &control;
    attach_fds(&message, parcel);
  }
  ssize_t sent;
  do {
    sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  return sent;
}

// The descriptors left with the first byte.
static void account_sent(struct tla_connection *connection, struct tla_parcel *parcel,
                         size_t sent) {
  close_all(parcel->fds, parcel->num_fds);
  parcel->num_fds = 0;
  parcel->sent += sent;
  connection->queued -= sent;
  if (parcel->sent < parcel->len) {
    return;
  }
  connection->first = parcel->next;
  if (connection->first == NULL) {
    connection->last = &connection->first;
  }
  tla_parcel_free(parcel);
}

bool tla_connection_send(struct tla_connection *connection, struct tlsagent_error *error) {
  while (connection->first != NULL) {
    const ssize_t sent = send_some(connection->fd, connection->first);
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return true;
    }
    if (sent < 0) {
      return tla_fail_errno(error, TLSAGENT_FAULT_LOST, errno, "sending failed");
    }
    account_sent(connection, connection->first, (size_t)sent);
  }
  return true;
}

// --- Receiving ---

static bool keep_fds(struct tla_connection *connection, struct msghdr *message) {
  bool kept = true;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
       header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const size_t num = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < num; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd), sizeof(fd));
      if (connection->num_fds == TLA_RECEIVED_FDS_MAX) {
        close(fd);
        kept = false;
      } else {
        connection->fds[connection->num_fds++] = fd;
      }
    }
  }
  return kept && (message->msg_flags & MSG_CTRUNC) == 0;
}

static ssize_t receive_some(struct tla_connection *connection, bool wait, struct msghdr *message) {
  const int flags = MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT);
  ssize_t received;
  do {
    received = recvmsg(connection->fd, message, flags);
  } while (received < 0 && errno == EINTR);
  return received;
}

enum tla_receipt tla_connection_receive(struct tla_connection *connection, bool wait,
                                        struct tlsagent_error *error) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(TLA_RECEIVED_FDS_MAX * sizeof(int))];
  } control;
  struct iovec places[2];
  struct msghdr message = {
      .msg_iov = places, .msg_control = &control, .msg_controllen = sizeof(control)};
  message.msg_iovlen = tla_frame_reader_space(connection->reader, places);
  const ssize_t received = receive_some(connection, wait, &message);
  if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    if (wait) {  // the socket is O_NONBLOCK, as whoever passed it wanted
      tla_connection_wait(connection, TLA_FOR_EVER);
    }
    return TLA_RECEIVED_NOTHING;
  }
  if (received < 0) {
    tla_fail_errno(error, TLSAGENT_FAULT_LOST, errno, "receiving failed");
    return TLA_RECEIVED_LOST;
  }
  if (received == 0) {
    tla_fail(error, TLSAGENT_FAULT_LOST, "it closed the connection");
    return TLA_RECEIVED_LOST;
  }
  if (!keep_fds(connection, &message)) {
    tla_fail(error, TLSAGENT_FAULT_LOST, "it sent more descriptors than were asked for");
    return TLA_RECEIVED_LOST;
  }
  tla_frame_reader_received(connection->reader, (size_t)received);
  return TLA_RECEIVED;
}

void tla_connection_wait(const struct tla_connection *connection, int timeout_ms) {
  struct pollfd ready = {.fd = connection->fd, .events = POLLIN};
  if (connection->first != NULL) {
    ready.events |= POLLOUT;
  }
  const uint64_t end = tla_clock_ms() + (timeout_ms < 0 ? 0 : (uint64_t)timeout_ms);
  while (poll(&ready, 1, timeout_ms) < 0 && errno == EINTR) {
    const uint64_t now = tla_clock_ms();
    timeout_ms = timeout_ms < 0 ? timeout_ms : now < end ? (int)(end - now) : 0;
  }
}

void tla_connection_drop_taken(struct tla_connection *connection) {
  size_t kept = 0;
  for (size_t i = 0; i < connection->num_fds; i++) {
    if (connection->fds[i] >= 0) {
      connection->fds[kept++] = connection->fds[i];
    }
  }
  connection->num_fds = kept;
}
