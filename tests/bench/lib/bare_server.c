#include "tests/bench/lib/bare_server.h"

#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/lib/base.h"
#include "tests/bench/lib/exchange.h"

enum { ENTRIES = 64, BUFFERS = 64, BUFFER_BYTES = 4096, GROUP = 0 };

enum op { OP_ACCEPT, OP_RECEIVE, OP_SEND };

// What a completion belongs to fits its user data: op, buffer, socket.
static uint64_t tag_of(enum op op, unsigned buffer, int fd) {
  return (uint64_t)op << 48 | (uint64_t)buffer << 32 | (uint32_t)fd;
}

struct server {
  struct io_uring ring;
  struct io_uring_buf_ring *buffers;
  uint8_t *memory;
  int listener;
};

static struct io_uring_sqe *next_sqe(struct server *server, enum op op, unsigned buffer, int fd) {
  struct io_uring_sqe *sqe = io_uring_get_sqe(&server->ring);
  if (sqe == NULL) {
    io_uring_submit(&server->ring);
    sqe = io_uring_get_sqe(&server->ring);
  }
  sqe->user_data = tag_of(op, buffer, fd);
  return sqe;
}

// The prep functions clear the user data, and so the tag is set after them.
static void arm_accept(struct server *server) {
  struct io_uring_sqe *sqe = next_sqe(server, OP_ACCEPT, 0, 0);
  io_uring_prep_multishot_accept(sqe, server->listener, NULL, NULL, SOCK_CLOEXEC);
  sqe->user_data = tag_of(OP_ACCEPT, 0, 0);
}

static void arm_receive(struct server *server, int fd) {
  struct io_uring_sqe *sqe = next_sqe(server, OP_RECEIVE, 0, fd);
  io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = GROUP;
  sqe->user_data = tag_of(OP_RECEIVE, 0, fd);
}

static uint8_t *buffer_at(struct server *server, unsigned buffer) {
  return server->memory + (size_t)buffer * BUFFER_BYTES;
}

static void give_buffer(struct server *server, unsigned buffer) {
  io_uring_buf_ring_add(server->buffers, buffer_at(server, buffer), BUFFER_BYTES,
                        (unsigned short)buffer, io_uring_buf_ring_mask(BUFFERS), 0);
  io_uring_buf_ring_advance(server->buffers, 1);
}

static void echo(struct server *server, int fd, unsigned buffer, int len) {
  struct io_uring_sqe *sqe = next_sqe(server, OP_SEND, buffer, fd);
  io_uring_prep_send(sqe, fd, buffer_at(server, buffer), (size_t)len, MSG_NOSIGNAL | MSG_WAITALL);
  sqe->user_data = tag_of(OP_SEND, buffer, fd);
}

static void received(struct server *server, const struct io_uring_cqe *cqe, int fd) {
  if (cqe->res <= 0 && cqe->res != -ENOBUFS) {
    close(fd);
    return;
  }
  if (cqe->res > 0) {
    echo(server, fd, cqe->flags >> IORING_CQE_BUFFER_SHIFT, cqe->res);
  }
  if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
    arm_receive(server, fd);
  }
}

static void complete(struct server *server, const struct io_uring_cqe *cqe) {
  switch (cqe->user_data >> 48) {
    case OP_ACCEPT:
      if (cqe->res >= 0) {
        arm_receive(server, cqe->res);
      }
      if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        arm_accept(server);
      }
      break;
    case OP_RECEIVE:
      received(server, cqe, (int)(uint32_t)cqe->user_data);
      break;
    default:
      give_buffer(server, (uint16_t)(cqe->user_data >> 32));
      break;
  }
}

static bool set_up(struct server *server) {
  struct io_uring_params params = {.flags =
                                       IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
  int result = io_uring_queue_init_params(ENTRIES, &server->ring, &params);
  if (result < 0) {
    return fail("no io_uring here: %s", strerror(-result));
  }
  server->memory = aligned_alloc(4096, (size_t)BUFFERS * BUFFER_BYTES);
  server->buffers = aligned_alloc(4096, 4096);
  if (server->memory == NULL || server->buffers == NULL) {
    return fail("no memory for buffers");
  }
  struct io_uring_buf_reg where = {
      .ring_addr = (uint64_t)(uintptr_t)server->buffers, .ring_entries = BUFFERS, .bgid = GROUP};
  io_uring_buf_ring_init(server->buffers);
  result = io_uring_register_buf_ring(&server->ring, &where, 0);
  if (result < 0) {
    return fail("no provided buffers: %s", strerror(-result));
  }
  for (unsigned i = 0; i < BUFFERS; i++) {
    give_buffer(server, i);
  }
  return true;
}

static void serve(const struct child *child, const void *argument) {
  static struct server server;
  (void)argument;
  server.listener = listen_at(child->path);
  if (server.listener < 0 || !set_up(&server)) {
    return;
  }
  arm_accept(&server);
  for (;;) {
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned num = 0;
    io_uring_submit_and_wait(&server.ring, 1);
    io_uring_for_each_cqe(&server.ring, head, cqe) {
      complete(&server, cqe);
      num++;
    }
    io_uring_cq_advance(&server.ring, num);
  }
}

bool bare_server_start(struct child *child, const char *folder, int cpu) {
  return child_start(child, folder, "echo.sock", cpu, serve, NULL) &&
         await_listener(child->path, child->pid);
}
