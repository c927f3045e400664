// What the tests of this folder share: a front with workers and a client of its own, between a
// listening socket and a back end.
#ifndef TLSAGENT_TESTS_UNIT_FRONT_HARNESS_H_
#define TLSAGENT_TESTS_UNIT_FRONT_HARNESS_H_

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "server/front/front.h"
#include "server/ring/faults.h"
#include "server/tls/context.h"
#include "tests/support/eventually.h"
#include "tests/support/folder.h"
#include "tests/support/peers.h"

size_t NumOpenFds();

// Contexts as tests want them; the caller's.
struct tls_context *MakeContext(enum tls_context_kind kind, const struct pki_identity *identity,
                                const struct pki_identity *root, const std::string &alpn = "");

// A listening socket: TCP on the loopback (family AF_INET or AF_INET6), or a Unix one.
class Listening {
 public:
  explicit Listening(int family = AF_INET);
  ~Listening();
  Listening(const Listening &) = delete;
  // A new connection to it, and one that has come. Both wait, but not for ever.
  int Connect() const;
  int Accept() const;
  bool HasOneWaiting() const;
  void Close();

  int fd = -1;
  uint16_t port = 0;
  std::string path;

 private:
  Folder folder_;
};

std::string ReadExactly(int fd, size_t len);
// Until the end, clean or not.
std::string ReadToEnd(int fd);
void Write(int fd, const std::string &data);

class FrontTest : public testing::Test {
 protected:
  static void SetUpTestSuite();
  explicit FrontTest(unsigned num_workers = 2);
  ~FrontTest() override;

  // Begins to accept on front_listener_, and to go on to back_end_.
  void Start();
  // Closes it, and waits until nothing is left of it.
  void End();
  struct front_stats Stats();
  // The oldest record, once there is one; nullptr when there never is.
  struct Free {
    void operator()(struct front_record *record) const {
      front_record_free(record);
    }
  };
  using Record = std::unique_ptr<struct front_record, Free>;
  Record NextRecord(uint64_t *lost = nullptr);
  // Runs on the first worker's thread, and waits for it.
  void Run(const std::function<void()> &run);

  struct fronts fronts_;
  struct limits limits_;  // counted when the first front starts
  struct front_config config_ = {};
  Listening front_listener_;
  Listening back_end_;
  struct front *front_ = nullptr;
  struct tls_context *server_context_ = nullptr;
  struct tls_context *client_context_ = nullptr;
  struct worker_pool *workers_ = nullptr;

 private:
  struct tenant *tenant_ = nullptr;
  struct client *client_ = nullptr;
  struct resolver *resolver_ = nullptr;
};

#endif  // TLSAGENT_TESTS_UNIT_FRONT_HARNESS_H_
