// Sockets whose records the kernel does: what isn't application data comes and goes beside the
// bytes, with its kind in a control message (Linux, Documentation/networking/tls.rst).

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "client/c/error.h"
#include "client/c/kernel_tls.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

// RFC 8446, sections 5.1, 6 and 4.
enum { ALERT = 21, HANDSHAKE = 22, DATA = 23 };
enum { CLOSE_NOTIFY = 0, USER_CANCELED = 90, WARNING = 1 };
enum { NEW_SESSION_TICKET = 4, KEY_UPDATE = 24, MESSAGE_HEADER = 4 };

static const char READ[] = "reading from the kernel's TLS";
static const char FINISH[] = "sending close_notify by the kernel's TLS";

// Room for the kind of a record.
union control {
  struct cmsghdr header;
  char room[CMSG_SPACE(sizeof(uint8_t))];
};

static enum tlsagent_state fail(struct tlsagent_error *error, const char *what,
                                struct tlsagent_tls_error *tls, const char *text) {
  memccpy(tls->text, text, '\0', sizeof(tls->text) - 1);
  tla_fail_tls(error, what, tls);
  return TLSAGENT_STATE_FAILED;
}

static enum tlsagent_state fail_os(struct tlsagent_error *error, const char *what, int os_errno) {
  struct tlsagent_tls_error tls = {.kind = TLSAGENT_ERROR_OS, .os_errno = (uint32_t)os_errno};
  return fail(error, what, &tls, strerrordesc_np(os_errno));
}

// One record, or a part of it, or several of data; kind is 0 where the kernel tells none.
static ssize_t receive(int fd, void *buffer, size_t size, uint8_t *out_kind) {
  union control control;
  struct iovec room = {buffer, size};
  struct msghdr message = {.msg_iov = &room,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof(control)};
  ssize_t got;
  do {
    got = recvmsg(fd, &message, 0);
  } while (got < 0 && errno == EINTR);
  const struct cmsghdr *header = got < 0 ? NULL : CMSG_FIRSTHDR(&message);
  const bool told =
      header != NULL && header->cmsg_level == SOL_TLS && header->cmsg_type == TLS_GET_RECORD_TYPE;
  *out_kind = told ? *CMSG_DATA(header) : 0;
  return got;
}

// --- What isn't data: WANT_READ goes on ---

static enum tlsagent_state take_alert(const uint8_t *alert, size_t len,
                                      struct tlsagent_error *error) {
  struct tlsagent_tls_error tls = {.kind = TLSAGENT_ERROR_TLS};
  if (len < 2) {
    return fail(error, READ, &tls, "the peer sent half an alert");
  }
  if (alert[1] == CLOSE_NOTIFY) {
    return TLSAGENT_STATE_CLOSED;
  }
  if (alert[1] == USER_CANCELED) {
    return TLSAGENT_STATE_WANT_READ;
  }
  tls.alert.given = true;
  tls.alert.value = alert[1];
  return fail(error, READ, &tls, "the peer sent an alert");
}

static const char *why_not(uint8_t message) {
  return message == KEY_UPDATE ? "the peer has changed its keys, which this socket can't follow"
                               : "the peer sent a handshake message that this socket can't answer";
}

static size_t body_of(const uint8_t *message) {
  return (size_t)message[1] << 16 | (size_t)message[2] << 8 | message[3];
}

// Tickets are for resuming, which is the daemon's; nobody misses them. One is never in two records,
// nor longer than one.
static enum tlsagent_state take_handshake(const uint8_t *data, size_t len,
                                          struct tlsagent_error *error) {
  struct tlsagent_tls_error tls = {.kind = TLSAGENT_ERROR_TLS};
  while (len > 0) {
    if (data[0] != NEW_SESSION_TICKET) {
      return fail(error, READ, &tls, why_not(data[0]));
    }
    if (len < MESSAGE_HEADER || body_of(data) > len - MESSAGE_HEADER) {
      return fail(error, READ, &tls, "the peer sent a handshake message in pieces");
    }
    const size_t taken = MESSAGE_HEADER + body_of(data);
    data += taken;
    len -= taken;
  }
  return TLSAGENT_STATE_WANT_READ;
}

enum tlsagent_state tla_take_record(uint8_t kind, const uint8_t *data, size_t len,
                                    struct tlsagent_error *error) {
  struct tlsagent_tls_error cut_off = {.kind = TLSAGENT_ERROR_TRUNCATED};
  struct tlsagent_tls_error unknown = {.kind = TLSAGENT_ERROR_TLS};
  switch (kind) {
    case DATA:
      return len > 0 ? TLSAGENT_STATE_DONE : TLSAGENT_STATE_WANT_READ;
    case ALERT:
      return take_alert(data, len, error);
    case HANDSHAKE:
      return take_handshake(data, len, error);
    case 0:
      return len == 0 ? fail(error, READ, &cut_off, "")
                      : fail(error, READ, &unknown, "the kernel does no TLS on this socket");
    default:
      return fail(error, READ, &unknown, "the peer sent a record of an unknown kind");
  }
}

enum tlsagent_state tlsagent_kernel_tls_read(int fd, size_t *out_len, void *buffer, size_t size,
                                             struct tlsagent_error *error) {
  enum tlsagent_state state = TLSAGENT_STATE_WANT_READ;
  *out_len = 0;
  if (size < TLSAGENT_KERNEL_TLS_RECORD) {
    tla_fail(error, TLSAGENT_FAULT_USAGE, "%s: the buffer has %zu bytes, and a record %u", READ,
             size, TLSAGENT_KERNEL_TLS_RECORD);
    return TLSAGENT_STATE_FAILED;
  }
  tla_succeed(error);
  while (state == TLSAGENT_STATE_WANT_READ) {
    uint8_t kind;
    const ssize_t got = receive(fd, buffer, size, &kind);
    if (got < 0) {
      return errno == EAGAIN ? TLSAGENT_STATE_WANT_READ : fail_os(error, READ, errno);
    }
    state = tla_take_record(kind, buffer, (size_t)got, error);
    *out_len = state == TLSAGENT_STATE_DONE ? (size_t)got : 0;
  }
  return state;
}

// --- The end ---

static bool send_alert(int fd, uint8_t number) {
  uint8_t alert[] = {WARNING, number};
  union control control = {.header = {.cmsg_len = CMSG_LEN(sizeof(uint8_t)),
                                      .cmsg_level = SOL_TLS,
                                      .cmsg_type = TLS_SET_RECORD_TYPE}};
  struct iovec bytes = {alert, sizeof(alert)};
  const struct msghdr message = {.msg_iov = &bytes,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof(control)};
  *CMSG_DATA(&control.header) = ALERT;
  ssize_t sent;
  do {
    sent = sendmsg(fd, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

// On any other socket the alert would go out as data.
static bool is_of_kernel_tls(int fd) {
  char name[16] = "";
  socklen_t len = sizeof(name) - 1;
  return getsockopt(fd, IPPROTO_TCP, TCP_ULP, name, &len) == 0 && strcmp(name, "tls") == 0;
}

bool tlsagent_kernel_tls_finish(int fd, struct tlsagent_error *error) {
  if (!is_of_kernel_tls(fd)) {
    return tla_fail(error, TLSAGENT_FAULT_USAGE, "%s: the kernel does no TLS on this socket",
                    FINISH);
  }
  if (!send_alert(fd, CLOSE_NOTIFY) || shutdown(fd, SHUT_WR) != 0) {
    fail_os(error, FINISH, errno);
    return false;
  }
  return tla_succeed(error);
}
