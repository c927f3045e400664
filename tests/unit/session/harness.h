// What the tests of this folder share: workers to run on, sessions that see to their own end,
// operations that remember what came of them, and peers that are nothing but OpenSSL.
#ifndef TLSAGENT_TESTS_UNIT_SESSION_HARNESS_H_
#define TLSAGENT_TESTS_UNIT_SESSION_HARNESS_H_

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "server/base/clock.h"
#include "server/base/counters.h"
#include "server/ring/faults.h"
#include "server/session/session.h"
#include "server/tls/context.h"
#include "tests/support/eventually.h"
#include "tests/support/peers.h"

std::string Text(struct slice data);
// Bytes that repeat nowhere near.
std::string Pattern(size_t len);
bool UnderSanitizer();

// Two connected sockets: ours is the session's, theirs the peer's.
struct Sockets {
  explicit Sockets(bool tcp = false);
  int ours = -1;
  int theirs = -1;
};
// A listening TCP socket of 127.0.0.1, and its port.
int ListenTcp(uint16_t *port);

// One operation, and what came of it.
class Operation {
 public:
  explicit Operation(enum session_op_kind kind) {
    op.kind = kind;
  }
  Operation &Data(const std::string &data);
  Operation &Room(size_t size);
  Operation &Input(const std::string &input, bool eof = false);
  Operation &Wait(uint64_t milliseconds);
  Operation &AwaitPeer();

  bool Done();
  // Waits until it was answered; fails the test when it is not.
  enum engine_result Result();
  // It stays unanswered for a while.
  bool Pending(int milliseconds = 30);

  struct session_op op = {};
  // As they were in done.
  std::string plaintext;
  std::string output;
  std::string trailing;
  std::function<void()> on_done;  // on the worker, inside done

 private:
  friend class SessionTest;
  static void OnDone(struct session_op *op);
  void Finish();
  std::string data_;
  std::string input_;
  std::vector<uint8_t> buffer_;
  std::mutex lock_;
  std::condition_variable changed_;
  int times_done_ = 0;
};

// What a session is to be like.
struct Wish {
  enum engine_role role = ENGINE_CLIENT;
  enum session_path path = SESSION_MEMORY;
  int fd = -1;
  std::string host;
  uint16_t port = 0;
  std::string server_name = "host.test";
  struct tls_context *context = nullptr;  // the usual one of the role
  size_t max_output = 128 * 1024;
  bool traffic_keys = false;
};

// A fixture with workers, a resolver, the usual contexts, and at most a few sessions.
class SessionTest : public testing::Test {
 protected:
  static void SetUpTestSuite();
  explicit SessionTest(unsigned num_workers = 1);
  ~SessionTest() override;

  // Runs on the worker's thread, and waits for it.
  void Run(const std::function<void()> &run);
  struct worker *worker() {
    return worker_pool_at(pool_, 0);
  }
  // Makes a session of the worker's. It is closed, and its end waited for, when the test ends.
  struct session *Make(const Wish &wish);
  status_t TryMake(const Wish &wish, struct tls_error *error);
  struct session *MakeOn(int fd, enum engine_role role, size_t max_output = 128 * 1024);
  void Submit(struct session *session, Operation &operation);
  void Cancel(Operation &operation);
  // Submits and waits.
  enum engine_result Do(struct session *session, Operation &operation);
  void Close(struct session *session);
  // Gives the test's reference back.
  void Release(struct session *session);
  // The sessions made and not freed, of the whole process.
  static uint64_t Living();

  struct tls_context *client_context_ = nullptr;
  struct tls_context *server_context_ = nullptr;
  struct resolver *resolver_ = nullptr;

 private:
  struct worker_pool *pool_ = nullptr;
  std::vector<struct session *> held_;
};

// A session on a socket with the peer at its other end, hands shaken.
class Shaken : public SessionTest {
 protected:
  // The session is of that role, the peer of the other.
  void Shake(enum engine_role role = ENGINE_CLIENT, int version = 0, bool tcp = false,
             size_t max_output = 128 * 1024);
  struct session *session_ = nullptr;
  Peer peer_;
};

// A session on the memory path with a peer in memory, and the wire between them.
class InMemory : public SessionTest {
 protected:
  void Begin(enum engine_role role = ENGINE_CLIENT, int version = 0,
             size_t max_output = 128 * 1024);
  void Shake();
  // Does the operation on what the peer has sent, keeps what was not consumed, and gives the output
  // to the peer. At most so many bytes are shown.
  enum engine_result Pass(Operation &operation, size_t most = SIZE_MAX);
  // What the peer has made since goes to the wire.
  void Collect() {
    wire_ += TakePeer(peer_);
  }
  struct session *session_ = nullptr;
  Peer peer_;
  std::string wire_;  // to the session
};

// Contexts as tests want them; the caller's.
struct tls_context *MakeContext(enum tls_context_kind kind, const struct pki_identity *identity,
                                const struct pki_identity *root, bool check_hostname);

#endif  // TLSAGENT_TESTS_UNIT_SESSION_HARNESS_H_
