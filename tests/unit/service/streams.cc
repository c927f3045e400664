#include "tests/unit/service/streams.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "proto/ttrpc/ttrpc.pb-c.h"
#include "tests/unit/service/harness.h"

namespace {

std::string Packed(const ProtobufCMessage *message) {
  std::string out(protobuf_c_message_get_packed_size(message), '\0');
  protobuf_c_message_pack(message, (uint8_t *)out.data());
  return out;
}

std::string Request(const char *service, const char *method, const std::string &payload,
                    const std::string &hex) {
  Ttrpc__KeyValue token = TTRPC__KEY_VALUE__INIT;
  Ttrpc__KeyValue *metadata[] = {&token};
  token.key = (char *)"tlsagent-token";
  token.value = (char *)hex.c_str();
  Ttrpc__Request request = TTRPC__REQUEST__INIT;
  request.metadata = metadata;
  request.n_metadata = hex.empty() ? 0 : 1;
  request.service = (char *)service;
  request.method = (char *)method;
  request.payload = {payload.size(), (uint8_t *)payload.data()};
  return Packed(&request.base);
}

}  // namespace

StreamingCall::StreamingCall(const std::string &path, std::string token)
    : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), token_(std::move(token)) {
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());
  EXPECT_EQ(0, connect(fd_, (struct sockaddr *)&address, sizeof(address)));
}

StreamingCall::~StreamingCall() {
  close(fd_);
}

void StreamingCall::Frame(int type, int flags, const std::string &body) {
  std::string frame = {0,
                       (char)(body.size() >> 16),
                       (char)(body.size() >> 8),
                       (char)body.size(),
                       0,
                       0,
                       0,
                       1,
                       (char)type,
                       (char)flags};
  frame += body;
  EXPECT_EQ((ssize_t)frame.size(), send(fd_, frame.data(), frame.size(), MSG_NOSIGNAL));
}

void StreamingCall::Ask(const char *service, const char *method, const ProtobufCMessage *request) {
  Frame(1, 1, Request(service, method, Packed(request), token_));
}

void StreamingCall::Open(const char *service, const char *method) {
  Frame(1, 2, Request(service, method, "", token_));
}

void StreamingCall::Send(const ProtobufCMessage *message) {
  Frame(3, 0, Packed(message));
}

void StreamingCall::HalfClose() {
  Frame(3, 5, "");
}

std::string StreamingCall::Take(size_t len) {
  std::string out(len, '\0');
  struct pollfd poll_fd = {fd_, POLLIN, 0};
  for (size_t at = 0; at < len;) {
    ssize_t n = poll(&poll_fd, 1, kPatienceMs) == 1 ? recv(fd_, &out[at], len - at, 0) : -1;
    if (n <= 0) {
      ADD_FAILURE() << "nothing came";
      return std::string(len, '\0');
    }
    at += (size_t)n;
  }
  return out;
}

bool StreamingCall::Next(std::string *out) {
  std::string head = Take(10);
  std::string body = Take((size_t)(uint8_t)head[1] << 16 | (size_t)(uint8_t)head[2] << 8 |
                          (size_t)(uint8_t)head[3]);
  if (head[8] == 3 && head[9] == 0) {
    *out = body;
    return true;
  }
  code = 0;
  if (head[8] == 2) {
    Ttrpc__Response *response =
        ttrpc__response__unpack(nullptr, body.size(), (const uint8_t *)body.data());
    code = response->status == nullptr ? 0 : response->status->code;
    ttrpc__response__free_unpacked(response, nullptr);
  }
  return false;
}
