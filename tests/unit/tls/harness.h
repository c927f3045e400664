// What the tests of this folder share: contexts and engines that free themselves, and two ends that
// talk to each other.
#ifndef TLSAGENT_TESTS_UNIT_TLS_HARNESS_H_
#define TLSAGENT_TESTS_UNIT_TLS_HARNESS_H_

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/base/arena.h"
#include "server/tls/context.h"
#include "server/tls/engine.h"
#include "server/tls/library.h"
#include "tests/support/pki.h"

// One arena for a test, with a ceiling of its own.
struct Arena {
  explicit Arena(size_t max = 16 << 20) {
    arena_init(&arena, max);
  }
  ~Arena() {
    arena_cleanup(&arena);
  }
  Arena(const Arena &) = delete;
  Arena &operator=(const Arena &) = delete;
  operator struct arena *() {
    return &arena;
  }
  struct arena arena;
};

struct Error : tls_error {
  Error() {
    tls_error_clear(this);
  }
};

// Of a text that outlives it.
inline slice Slice(const std::string &text) {
  return slice_of(text.data(), text.size());
}
inline slice Slice(const char *text) {
  return slice_of_string(text);
}
inline std::string String(slice data) {
  return std::string(reinterpret_cast<const char *>(data.data), data.len);
}

// A change to a context, that keeps what it points at.
class Change {
 public:
  Change &Pair(const std::string &chain, const std::string &key);
  Change &Pair(const std::string &chain, const std::string &key, const std::string &password);
  Change &Pair(const pki_identity *identity) {
    return Pair(identity->chain_pem, identity->key_pem);
  }
  Change &Trust(const std::string &certificates);
  Change &Crl(const std::string &list);
  Change &SystemTrust();
  Change &Alpn(const std::vector<std::string> &protocols, bool require_overlap = false);
  Change &Versions(int min, int max);
  Change &Ciphers(const char *list);
  Change &Verify(tls_verify_mode mode);
  Change &CheckHostname(bool on);
  // For the rest: Set(TLS_SET_GROUPS).groups = "X25519".
  tls_settings &Set(tls_setting setting) {
    change_.settings.present |= setting;
    return change_.settings;
  }
  const tls_context_change *get();

 private:
  tls_context_change change_ = {};
  std::deque<std::string> kept_;  // moving a deque moves no element
  std::vector<tls_pair> pairs_;
  std::vector<slice> certificates_;
  std::vector<slice> crls_;
  std::vector<slice> alpn_;
  slice Keep(const std::string &text);
};

struct ContextFree {
  void operator()(tls_context *context) const {
    tls_context_unref(context);
  }
};
using Context = std::unique_ptr<tls_context, ContextFree>;

// Makes a context; fails the test and returns nullptr when that fails.
Context MakeContext(tls_context_kind kind, Change &change);
// Returns what was refused about a context that must not be made.
Error Refused(tls_context_kind kind, Change &change,
              status_code expected = STATUS_INVALID_ARGUMENT);

struct EngineFree {
  void operator()(engine *engine) const {
    engine_free(engine);
  }
};
using Engine = std::unique_ptr<engine, EngineFree>;

Engine MakeClient(const Context &context, const char *server_name = "host.test",
                  slice resumption = slice_of(nullptr, 0));
Engine MakeServer(const Context &context, size_t max_output = 0);

// Moves what one engine has for its peer into the peer's input, which keeps it until it is
// consumed.
class Wire {
 public:
  // Takes the engine's output along.
  void TakeFrom(engine *from);
  // Shows the engine at most `most` bytes; drops what it has taken once Done is called.
  void ShowTo(engine *to, size_t most = SIZE_MAX);
  void Done(engine *to);
  bool empty() const {
    return bytes_.empty();
  }
  size_t size() const {
    return bytes_.size();
  }
  void End() {
    eof_ = true;
  }
  std::string &content() {
    return bytes_;
  }

 private:
  std::string bytes_;
  bool eof_ = false;
  size_t shown_ = 0;
};

// A client and a server, and the wires between them.
class Ends {
 public:
  Ends(Engine a, Engine b) : client(std::move(a)), server(std::move(b)) {}

  // Shakes hands until both are done, or one fails, or nothing moves any more. Each engine is shown
  // at most `most` bytes at a time.
  void Shake(size_t most = SIZE_MAX);
  bool established() const {
    return engine_established(client.get()) && engine_established(server.get());
  }
  // Writes on one end and reads the same on the other.
  void Send(bool from_client, const std::string &text);
  // Reads all there is.
  std::string Read(bool as_client, engine_result *last = nullptr);

  Engine client;
  Engine server;
  Wire to_client;
  Wire to_server;
  engine_result client_result = ENGINE_WANT_INPUT;
  engine_result server_result = ENGINE_WANT_INPUT;
};

// The usual ones: a server with the EC pair of pki_get(), a client that trusts its root.
Change ServerChange();
Change ClientChange();

// Starts the library before the first test.
class TlsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
};

#endif  // TLSAGENT_TESTS_UNIT_TLS_HARNESS_H_
