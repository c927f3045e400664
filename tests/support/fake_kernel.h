// What a kernel with TLS would be told, where there is none: setsockopt(2) of the whole program
// goes through here, and is answered here while a FakeKernel lives.
#ifndef TLSAGENT_TESTS_SUPPORT_FAKE_KERNEL_H_
#define TLSAGENT_TESTS_SUPPORT_FAKE_KERNEL_H_

#include <string>
#include <vector>

class FakeKernel {
 public:
  FakeKernel();
  ~FakeKernel();
  FakeKernel(const FakeKernel &) = delete;
  FakeKernel &operator=(const FakeKernel &) = delete;

  // The errno that each is refused with; 0 takes it.
  int protocol_errno = 0;
  int send_errno = 0;
  int receive_errno = 0;
  // What was set, in order: "protocol", "send", "receive", and the keys as they came.
  std::vector<std::string> order;
  std::string send;
  std::string receive;
};

#endif  // TLSAGENT_TESTS_SUPPORT_FAKE_KERNEL_H_
