#include "tests/unit/client/fake_daemon.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/tlsagent/v1/agent.pb-c.h"
#include "proto/ttrpc/ttrpc.pb-c.h"

const std::string FakeDaemon::kToken = "0123456789abcdef";

// --- Bytes ---

std::string Pack(const ProtobufCMessage *message) {
  std::string bytes(protobuf_c_message_get_packed_size(message), '\0');
  protobuf_c_message_pack(message, reinterpret_cast<uint8_t *>(&bytes[0]));
  return bytes;
}

static std::string BigEndian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

std::string Frame(uint32_t stream, uint8_t type, const std::string &body) {
  return BigEndian(static_cast<uint32_t>(body.size())) + BigEndian(stream) +
         std::string{static_cast<char>(type), '\0'} + body;
}

static ProtobufCBinaryData View(const std::string &bytes) {
  return {bytes.size(), reinterpret_cast<uint8_t *>(const_cast<char *>(bytes.data()))};
}

std::string ResponseBody(const std::string &payload, int code, const std::string &message) {
  Ttrpc__Status status = TTRPC__STATUS__INIT;
  Ttrpc__Response response = TTRPC__RESPONSE__INIT;
  status.code = code;
  status.message = const_cast<char *>(message.c_str());
  response.status = code == 0 ? nullptr : &status;
  response.payload = View(payload);
  return Pack(&response.base);
}

// --- One connection ---

FakePeer::~FakePeer() {
  for (int fd : all_fds_) {
    close(fd);
  }
  close(fd_);
}

bool FakePeer::Fill(size_t len) {
  while (input_.size() < len) {
    char data[65536];
    char control[CMSG_SPACE(64 * sizeof(int))];
    struct iovec place = {data, sizeof(data)};
    struct msghdr message = {};
    message.msg_iov = &place;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t got = recvmsg(fd_, &message, MSG_CMSG_CLOEXEC);
    if (got <= 0) {
      return false;
    }
    input_.append(data, static_cast<size_t>(got));
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      const size_t num = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < num; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd), sizeof(fd));
        fds_.push_back({fd, start_ + input_.size()});
        all_fds_.push_back(fd);
      }
    }
  }
  return true;
}

bool FakePeer::Receive(FakeCall *call) {
  if (!Fill(10)) {
    return false;
  }
  uint32_t numbers[2];
  memcpy(numbers, input_.data(), sizeof(numbers));
  const uint32_t length = ntohl(numbers[0]);
  EXPECT_EQ(input_[8], 1) << "not a request";
  if (!Fill(10 + length)) {
    return false;
  }
  *call = FakeCall();
  call->stream = ntohl(numbers[1]);
  Ttrpc__Request *request = ttrpc__request__unpack(
      nullptr, length, reinterpret_cast<const uint8_t *>(input_.data() + 10));
  if (request == nullptr) {
    ADD_FAILURE() << "protobuf-c can't unpack the request";
    return false;
  }
  call->service = request->service;
  call->method = request->method;
  call->payload.assign(reinterpret_cast<char *>(request->payload.data), request->payload.len);
  call->timeout_nano = request->timeout_nano;
  for (size_t i = 0; i < request->n_metadata; i++) {
    call->metadata[request->metadata[i]->key] = request->metadata[i]->value;
  }
  ttrpc__request__free_unpacked(request, nullptr);
  input_.erase(0, 10 + length);
  start_ += 10 + length;
  // The kernel ends a receive behind bytes that had descriptors: they are of the last frame in it.
  while (!fds_.empty() && fds_.front().end <= start_) {
    call->fds.push_back(fds_.front().fd);
    fds_.erase(fds_.begin());
  }
  return true;
}

void FakePeer::SendBytes(const std::string &bytes, const std::vector<int> &fds) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    char control[CMSG_SPACE(64 * sizeof(int))] = {};
    struct iovec place = {const_cast<char *>(bytes.data()) + sent, bytes.size() - sent};
    struct msghdr message = {};
    message.msg_iov = &place;
    message.msg_iovlen = 1;
    if (sent == 0 && !fds.empty()) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
      struct cmsghdr *header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
      memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
    }
    const ssize_t now = sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (now < 0) {
      return;  // the client has gone, which some tests want
    }
    sent += static_cast<size_t>(now);
  }
}

void FakePeer::Answer(const FakeCall &call, const std::string &payload,
                      const std::vector<int> &fds) {
  SendBytes(Frame(call.stream, 2, ResponseBody(payload)), fds);
}

void FakePeer::Answer(const FakeCall &call, const ProtobufCMessage *message) {
  Answer(call, Pack(message));
}

void FakePeer::Refuse(const FakeCall &call, int code, const std::string &message) {
  SendBytes(Frame(call.stream, 2, ResponseBody("", code, message)));
}

void FakePeer::HangUp() {
  shutdown(fd_, SHUT_RDWR);
}

// --- The daemon ---

FakeDaemon::FakeDaemon(Handler handler) : handler_(std::move(handler)) {
  char name[] = "/tmp/tlsagent-fake-XXXXXX";
  directory_ = mkdtemp(name);
  address_ = directory_ + "/s";
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, address_.c_str(), address_.size() + 1);
  listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(bind(listener_, reinterpret_cast<struct sockaddr *>(&address), sizeof(address)), 0);
  EXPECT_EQ(listen(listener_, 16), 0);
  acceptor_ = std::thread([this] { Listen(); });
}

FakeDaemon::~FakeDaemon() {
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  HangUpAll();
  for (std::thread &thread : threads_) {
    thread.join();
  }
  close(listener_);
  unlink(address_.c_str());
  rmdir(directory_.c_str());
}

void FakeDaemon::Listen() {
  for (;;) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) {
      return;
    }
    Start(fd);
  }
}

int FakeDaemon::Connected() {
  int ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  Start(ends[0]);
  return ends[1];
}

void FakeDaemon::Start(int fd) {
  const std::lock_guard<std::mutex> lock(mutex_);
  accepted_++;
  open_++;
  peers_.push_back(new FakePeer(fd));
  FakePeer *peer = peers_.back();
  threads_.emplace_back([this, peer] { Serve(peer); });
}

void FakeDaemon::Serve(FakePeer *peer) {
  FakeCall call;
  while (peer->Receive(&call)) {
    if (handler_ == nullptr || !handler_(*peer, call)) {
      AnswerItself(*peer, call);
    }
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  open_--;
  for (FakePeer *&other : peers_) {
    if (other == peer) {
      delete peer;
      other = nullptr;
    }
  }
}

void FakeDaemon::HangUpAll() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (FakePeer *peer : peers_) {
    if (peer != nullptr) {
      peer->HangUp();
    }
  }
}

void FakeDaemon::AnswerItself(FakePeer &peer, const FakeCall &call) {
  if (call.method == "Hello") {
    Tlsagent__V1__HelloResponse hello = TLSAGENT__V1__HELLO_RESPONSE__INIT;
    hello.token = View(kToken);
    hello.version = const_cast<char *>("9.9.9");
    hello.uid = getuid();
    peer.Answer(call, &hello.base);
  } else if (call.method == "Ping") {
    peer.Answer(call, call.payload);  // the same field in both messages
  } else {
    peer.Refuse(call, 12, "the fake daemon doesn't have " + call.method);
  }
}
