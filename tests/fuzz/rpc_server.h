// A whole RPC server with toy methods, for the fuzzers that speak to one.
#ifndef TLSAGENT_TESTS_FUZZ_RPC_SERVER_H_
#define TLSAGENT_TESTS_FUZZ_RPC_SERVER_H_

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

extern "C" {
#include "proto/ttrpc/ttrpc.pb-c.h"
#include "server/base/log.h"
#include "server/ring/worker.h"
#include "server/rpc/server.h"
}

namespace {

void Check(bool condition) {
  if (!condition) {
    abort();
  }
}

struct worker_pool *g_workers;

void Echo(struct call *call, const ProtobufCMessage *request) {
  call_reply(call, request);
}

void Away(struct call *call, const ProtobufCMessage *) {
  struct worker *other = worker_pool_at(g_workers, 1 - worker_index(call_home(call)));
  call_move(call, other, [](struct call *moved) { call_reply(moved, call_request(moved)); });
}

void Park(struct call *call, const ProtobufCMessage *) {
  call_on_cancel(call, [](struct call *told) { call_fail(told, STATUS_CANCELLED, "told"); });
}

void Cancel(struct call *call, const ProtobufCMessage *request) {
  uint32_t stream_id = (uint32_t)((const Ttrpc__Status *)(const void *)request)->code;
  call_cancel_stream(call, stream_id);
  call_reply(call, request);
}

const struct method kMethods[] = {
    {"t", "Echo", &ttrpc__request__descriptor, Echo},
    {"t", "Away", &ttrpc__response__descriptor, Away},
    {"t", "Park", &ttrpc__any__descriptor, Park},
    {"t", "Cancel", &ttrpc__status__descriptor, Cancel},
};

class Server {
 public:
  Server() {
    log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
    limits_default(&limits_);
    limits_.queued_bytes = 65536;
    struct worker_config workers = {2, 64, 64, 4096, 4};
    const char *why = "";
    Check(status_ok(worker_pool_new(&workers, &g_workers, &why)));
    Check(status_ok(tenant_new(&limits_, &tenant_)));
    Listen();
    const struct rpc_listen listen = {listen_fd_, nullptr};
    struct rpc_config config = {
        kMethods, sizeof(kMethods) / sizeof(kMethods[0]), &limits_, tenant_, g_workers, &listen, 1};
    Check(status_ok(rpc_server_new(&config, &server_)));
  }

  int Connect() {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    Check(fd >= 0 && connect(fd, (struct sockaddr *)&address_, address_len_) == 0);
    return fd;
  }

 private:
  void Listen() {
    address_.sun_family = AF_UNIX;
    int len = snprintf(address_.sun_path + 1, sizeof(address_.sun_path) - 1, "tlsagent-fuzz-%d",
                       (int)getpid());
    address_len_ = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    listen_fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    Check(bind(listen_fd_, (struct sockaddr *)&address_, address_len_) == 0);
    Check(listen(listen_fd_, 16) == 0);
  }

  struct limits limits_;
  struct tenant *tenant_ = nullptr;
  struct rpc_server *server_ = nullptr;
  struct sockaddr_un address_ = {};
  socklen_t address_len_ = 0;
  int listen_fd_ = -1;
};

void SendAll(int fd, const uint8_t *data, size_t size, size_t step) {
  for (size_t at = 0; at < size; at += step) {
    size_t n = size - at < step ? size - at : step;
    if (send(fd, data + at, n, MSG_NOSIGNAL) < 0) {
      return;  // closed on the other side
    }
  }
}

// Sends it in one message, beside so many descriptors.
inline void SendWithFds(int fd, const uint8_t *data, size_t size, size_t num_fds) {
  alignas(struct cmsghdr) char control[CMSG_SPACE(32 * sizeof(int))] = {};
  struct iovec part = {(void *)data, size};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  Check(num_fds > 0 && num_fds <= 32);
  message.msg_control = control;
  message.msg_controllen = CMSG_SPACE(num_fds * sizeof(int));
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(num_fds * sizeof(int));
  for (size_t i = 0; i < num_fds; i++) {
    memcpy(CMSG_DATA(header) + i * sizeof(int), &fd, sizeof(int));
  }
  if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0) {
    return;  // closed on the other side
  }
}

// The end of the stream ends every call; then everything that is answered has come, or the server
// hangs.
inline void HearOut(int fd) {
  shutdown(fd, SHUT_WR);
  char answers[65536];
  while (recv(fd, answers, sizeof(answers), 0) > 0) {
  }
  close(fd);
}

}  // namespace

#endif  // TLSAGENT_TESTS_FUZZ_RPC_SERVER_H_
