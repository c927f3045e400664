// What each kind of operation is to the kernel, and what its errors ask for.
#include <errno.h>

#include "server/ring/loop_private.h"

enum { SEND_MAX = 1 << 30 };  // the kernel counts in 32 bits; the rest goes with the next send

static unsigned limited(const struct ring_op *op, size_t len) {
  size_t most = op->limit > 0 ? op->limit : SEND_MAX;
  return (unsigned)(len < most ? len : most);
}

static void select_buffer(const struct ring_op *op, struct io_uring_sqe *entry) {
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->buf_group = op->large ? BUFFERS_LARGE : BUFFERS_COMMON;
}

static void prepare_recv(const struct ring_op *op, struct io_uring_sqe *entry) {
  io_uring_prep_recv(entry, op->fd, NULL, op->limit, 0);
  select_buffer(op, entry);
}

static void prepare_recv_multishot(const struct ring_op *op, struct io_uring_sqe *entry) {
  if (op->limit > 0) {
    prepare_recv(op, entry);
    return;
  }
  io_uring_prep_recv_multishot(entry, op->fd, NULL, 0, 0);
  select_buffer(op, entry);
}

static void prepare_recvmsg(const struct ring_op *op, struct io_uring_sqe *entry) {
  io_uring_prep_recvmsg(entry, op->fd, op->message, MSG_CMSG_CLOEXEC);
  select_buffer(op, entry);
}

static void prepare_recvmsg_multishot(const struct ring_op *op, struct io_uring_sqe *entry) {
  io_uring_prep_recvmsg_multishot(entry, op->fd, op->message, MSG_CMSG_CLOEXEC);
  select_buffer(op, entry);
}

static void prepare_send(const struct ring_op *op, struct io_uring_sqe *entry) {
  int all = op->limit > 0 ? 0 : MSG_WAITALL;
  io_uring_prep_send(entry, op->fd, op->bytes.data, limited(op, op->bytes.len), MSG_NOSIGNAL | all);
}

// Without MSG_WAITALL: kernels before 6.8 attach the descriptors once more to what they send after
// a short send.
static void prepare_sendmsg(const struct ring_op *op, struct io_uring_sqe *entry) {
  struct iovec *data = op->message->msg_iov;
  data->iov_len = limited(op, data->iov_len);
  io_uring_prep_sendmsg(entry, op->fd, op->message, MSG_NOSIGNAL);
}

static void prepare_accept(const struct ring_op *op, struct io_uring_sqe *entry) {
  io_uring_prep_accept(entry, op->fd, NULL, NULL, SOCK_CLOEXEC);
}

static void prepare_connect(const struct ring_op *op, struct io_uring_sqe *entry) {
  io_uring_prep_connect(entry, op->fd, op->address.data, op->address.len);
}

static void prepare_poll(const struct ring_op *op, struct io_uring_sqe *entry) {
  io_uring_prep_poll_add(entry, op->fd, op->events);
}

static void prepare_read(const struct ring_op *op, struct io_uring_sqe *entry) {
  io_uring_prep_read(entry, op->fd, op->bytes.data, limited(op, op->bytes.len), (uint64_t)-1);
}

static void prepare_cancel(const struct ring_op *op, struct io_uring_sqe *entry) {
  io_uring_prep_cancel(entry, op->target, 0);
}

// The completion in the other ring names no operation: to come is all it does.
static void prepare_wake(const struct ring_op *op, struct io_uring_sqe *entry) {
  io_uring_prep_msg_ring(entry, op->fd, 0, 0, 0);
}

// These tables are the architecture, and are read by columns.
// clang-format off

static const struct {
  const char *name;
  void (*prepare)(const struct ring_op *op, struct io_uring_sqe *entry);
} kinds[OP_KIND_COUNT] = {
    [OP_RECV]              = {"recv",              prepare_recv},
    [OP_RECV_MULTISHOT]    = {"recv multishot",    prepare_recv_multishot},
    [OP_RECVMSG]           = {"recvmsg",           prepare_recvmsg},
    [OP_RECVMSG_MULTISHOT] = {"recvmsg multishot", prepare_recvmsg_multishot},
    [OP_SEND]              = {"send",              prepare_send},
    [OP_SENDMSG]           = {"sendmsg",           prepare_sendmsg},
    [OP_ACCEPT]            = {"accept",            prepare_accept},
    [OP_CONNECT]           = {"connect",           prepare_connect},
    [OP_POLL]              = {"poll",              prepare_poll},
    [OP_READ]              = {"read",              prepare_read},
    [OP_CANCEL]            = {"cancel",            prepare_cancel},
    [OP_WAKE]              = {"wake",              prepare_wake},
};

// Errors that are not in the table are OP_FAILED, which is 0.
enum { ERRNO_END = EHWPOISON + 1 };

#define ALWAYS    [EINTR] = OP_AGAIN, [ECANCELED] = OP_CANCELLED, [ENOMEM] = OP_LATER
#define RECEIVING ALWAYS, [EAGAIN] = OP_POLL_FIRST, [ENOBUFS] = OP_NO_BUFFER
#define SENDING   ALWAYS, [EAGAIN] = OP_POLL_FIRST, [ENOBUFS] = OP_LATER
// accept(2): a connection that failed before we had it is its own business, not the listener's.
#define ABORTED                                                                          \
  [ECONNABORTED] = OP_AGAIN, [EPROTO]      = OP_AGAIN, [ENOPROTOOPT]  = OP_AGAIN,        \
  [ENETDOWN]     = OP_AGAIN, [ENETUNREACH] = OP_AGAIN, [EHOSTDOWN]    = OP_AGAIN,        \
  [EHOSTUNREACH] = OP_AGAIN, [ENONET]      = OP_AGAIN, [ETIMEDOUT]    = OP_AGAIN
#define ACCEPTING                                                                        \
  ALWAYS, ABORTED, [EAGAIN] = OP_POLL_FIRST,                                             \
  [EMFILE]       = OP_LATER, [ENFILE]      = OP_LATER, [ENOBUFS]      = OP_LATER

static const uint8_t outcomes[OP_KIND_COUNT][ERRNO_END] = {
    [OP_RECV]              = {RECEIVING},
    [OP_RECV_MULTISHOT]    = {RECEIVING},
    [OP_RECVMSG]           = {RECEIVING},
    [OP_RECVMSG_MULTISHOT] = {RECEIVING},
    [OP_SEND]              = {SENDING},
    [OP_SENDMSG]           = {SENDING},
    [OP_ACCEPT]            = {ACCEPTING},
    [OP_CONNECT]           = {ALWAYS},
    [OP_POLL]              = {ALWAYS},
    [OP_READ]              = {ALWAYS, [EAGAIN] = OP_LATER},
    [OP_CANCEL]            = {ALWAYS},
    [OP_WAKE]              = {ALWAYS},
};

// clang-format on

enum op_outcome op_outcome(enum op_kind kind, int value) {
  if (value >= 0) {
    return OP_SUCCEEDED;
  }
  return -value < ERRNO_END ? (enum op_outcome)outcomes[kind][-value] : OP_FAILED;
}

const char *op_name(enum op_kind kind) {
  return kind < OP_KIND_COUNT ? kinds[kind].name : "unknown";
}

void op_prepare(const struct ring_op *op, struct io_uring_sqe *entry) {
  kinds[op->kind].prepare(op, entry);
  io_uring_sqe_set_data64(entry, (uintptr_t)op);
}
