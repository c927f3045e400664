#include "tests/unit/daemon/caller.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/tlsagent/v1/agent.pb-c.h"
#include "proto/tlsagent/v1/context.pb-c.h"
#include "proto/tlsagent/v1/session.pb-c.h"
#include "proto/ttrpc/ttrpc.pb-c.h"

Caller::~Caller() {
  close(fd_);
}

static std::string Pack(const ProtobufCMessage *message) {
  std::string out(protobuf_c_message_get_packed_size(message), '\0');
  protobuf_c_message_pack(message, (uint8_t *)&out[0]);
  return out;
}

static std::string Be32(size_t value) {
  const char bytes[] = {(char)(value >> 24), (char)(value >> 16), (char)(value >> 8), (char)value};
  return std::string(bytes, 4);
}

void Caller::Start(const char *service, const char *method, const ProtobufCMessage *request,
                   int fd) {
  std::string payload = Pack(request);
  Ttrpc__Request envelope = TTRPC__REQUEST__INIT;
  envelope.service = (char *)service;
  envelope.method = (char *)method;
  envelope.payload.len = payload.size();
  envelope.payload.data = (uint8_t *)&payload[0];
  std::string body = Pack(&envelope.base);
  std::string frame = Be32(body.size()) + Be32(next_id_) + std::string("\1\0", 2) + body;
  next_id_ += 2;
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  struct iovec part = {&frame[0], frame.size()};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  }
  EXPECT_EQ((ssize_t)frame.size(), sendmsg(fd_, &message, MSG_NOSIGNAL));
}

static bool ReadAll(int fd, std::string *out) {
  return out->empty() || recv(fd, &(*out)[0], out->size(), MSG_WAITALL) == (ssize_t)out->size();
}

std::string Caller::Finish(int *code) {
  std::string header(10, '\0');
  *code = -1;
  if (!ReadAll(fd_, &header)) {
    return "";
  }
  size_t len = 0;
  for (int i = 0; i < 4; i++) {
    len = len << 8 | (uint8_t)header[i];
  }
  std::string body(len, '\0');
  EXPECT_TRUE(ReadAll(fd_, &body));
  Ttrpc__Response *response =
      ttrpc__response__unpack(nullptr, body.size(), (const uint8_t *)body.data());
  EXPECT_NE(nullptr, response);
  *code = response->status == nullptr ? 0 : response->status->code;
  std::string payload((const char *)response->payload.data, response->payload.len);
  ttrpc__response__free_unpacked(response, nullptr);
  return payload;
}

bool Caller::Ping() {
  Tlsagent__V1__PingRequest request = TLSAGENT__V1__PING_REQUEST__INIT;
  int code = -1;
  Start("tlsagent.v1.AgentService", "Ping", &request.base);
  Finish(&code);
  return code == 0;
}

uint64_t Caller::MakeContext() {
  Tlsagent__V1__CreateContextRequest request = TLSAGENT__V1__CREATE_CONTEXT_REQUEST__INIT;
  int code = -1;
  Start("tlsagent.v1.ContextService", "Create", &request.base);
  std::string payload = Finish(&code);
  EXPECT_EQ(0, code);
  Tlsagent__V1__CreateContextResponse *response = tlsagent__v1__create_context_response__unpack(
      nullptr, payload.size(), (const uint8_t *)payload.data());
  uint64_t context = response->context;
  tlsagent__v1__create_context_response__free_unpacked(response, nullptr);
  return context;
}

void Caller::StartConnect(uint64_t context, int fd, uint32_t wait_milliseconds) {
  Tlsagent__V1__ConnectRequest request = TLSAGENT__V1__CONNECT_REQUEST__INIT;
  Tlsagent__V1__FdTransport transport_fd = TLSAGENT__V1__FD_TRANSPORT__INIT;
  Tlsagent__V1__Transport transport;
  Tlsagent__V1__Wait wait = TLSAGENT__V1__WAIT__INIT;
  tlsagent__v1__transport__init(&transport);
  transport.path_case = TLSAGENT__V1__TRANSPORT__PATH_FD;
  transport.fd = &transport_fd;
  wait.milliseconds = wait_milliseconds;
  request.context = context;
  request.transport = &transport;
  request.wait = wait_milliseconds == 0 ? nullptr : &wait;
  Start("tlsagent.v1.SessionService", "Connect", &request.base, fd);
}

void Caller::StartDial(uint64_t context, const char *host) {
  Tlsagent__V1__ConnectRequest request = TLSAGENT__V1__CONNECT_REQUEST__INIT;
  Tlsagent__V1__DialTransport dial = TLSAGENT__V1__DIAL_TRANSPORT__INIT;
  Tlsagent__V1__Transport transport;
  tlsagent__v1__transport__init(&transport);
  dial.host = (char *)host;
  dial.port = 443;
  transport.path_case = TLSAGENT__V1__TRANSPORT__PATH_DIAL;
  transport.dial = &dial;
  request.context = context;
  request.transport = &transport;
  Start("tlsagent.v1.SessionService", "Connect", &request.base);
}
