// What a kernel with TLS would be told, where there is none: setsockopt(2) of the whole program
// goes through here, and is answered here while a FakeKernel lives. Any thread.
#ifndef TLSAGENT_TESTS_SUPPORT_FAKE_KERNEL_H_
#define TLSAGENT_TESTS_SUPPORT_FAKE_KERNEL_H_

#include <mutex>
#include <string>
#include <vector>

class FakeKernel {
 public:
  FakeKernel();
  ~FakeKernel();
  FakeKernel(const FakeKernel &) = delete;
  FakeKernel &operator=(const FakeKernel &) = delete;

  // Has each refused with that errno; 0 takes it.
  void Refuse(int protocol_errno, int send_errno, int receive_errno);
  // What was set, in order: "protocol", "send", "receive".
  std::vector<std::string> Order() const;
  // The keys as they came last; "" for none.
  std::string Send() const;
  std::string Receive() const;

  // The call itself.
  int Take(int level, int name, const std::string &value);

 private:
  mutable std::mutex lock_;
  int protocol_errno_ = 0;
  int send_errno_ = 0;
  int receive_errno_ = 0;
  std::vector<std::string> order_;
  std::string send_;
  std::string receive_;
};

#endif  // TLSAGENT_TESTS_SUPPORT_FAKE_KERNEL_H_
