#include "tests/support/fake_kernel.h"

#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace {

constexpr int kSolTls = 282;
std::atomic<FakeKernel *> current{nullptr};

int Answer(int os_errno) {
  errno = os_errno;
  return os_errno == 0 ? 0 : -1;
}

}  // namespace

using Hold = std::lock_guard<std::mutex>;

int FakeKernel::Take(int level, int name, const std::string &value) {
  Hold hold(lock_);
  if (level == IPPROTO_TCP) {
    order_.push_back("protocol");
    return Answer(protocol_errno_);
  }
  bool sends = name == TLS_TX;
  order_.push_back(sends ? "send" : "receive");
  (sends ? send_ : receive_) = value;
  return Answer(sends ? send_errno_ : receive_errno_);
}

void FakeKernel::Refuse(int protocol_errno, int send_errno, int receive_errno) {
  Hold hold(lock_);
  protocol_errno_ = protocol_errno;
  send_errno_ = send_errno;
  receive_errno_ = receive_errno;
}

std::vector<std::string> FakeKernel::Order() const {
  Hold hold(lock_);
  return order_;
}

std::string FakeKernel::Send() const {
  Hold hold(lock_);
  return send_;
}

std::string FakeKernel::Receive() const {
  Hold hold(lock_);
  return receive_;
}

FakeKernel::FakeKernel() {
  current = this;
}

FakeKernel::~FakeKernel() {
  current = nullptr;
}

// In place of libc's. Visible, so that it is found before that.
extern "C" __attribute__((visibility("default"))) int setsockopt(int fd, int level, int name,
                                                                 const void *value,
                                                                 socklen_t len) noexcept {
  FakeKernel *kernel = current;
  bool of_tls = level == kSolTls || (level == IPPROTO_TCP && name == TCP_ULP);
  if (kernel != nullptr && of_tls) {
    return kernel->Take(level, name, std::string((const char *)value, len));
  }
  return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}
