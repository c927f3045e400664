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

int Take(FakeKernel *kernel, int level, int name, const std::string &value) {
  if (level == IPPROTO_TCP) {
    kernel->order.push_back("protocol");
    return Answer(kernel->protocol_errno);
  }
  bool sends = name == TLS_TX;
  kernel->order.push_back(sends ? "send" : "receive");
  (sends ? kernel->send : kernel->receive) = value;
  return Answer(sends ? kernel->send_errno : kernel->receive_errno);
}

}  // namespace

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
    return Take(kernel, level, name, std::string((const char *)value, len));
  }
  return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}
