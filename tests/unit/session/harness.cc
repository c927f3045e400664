#include "tests/unit/session/harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "tests/support/errand.h"

std::string Text(struct slice data) {
  return data.len == 0 ? "" : std::string((const char *)data.data, data.len);
}

std::string Pattern(size_t len) {
  std::string data(len, '\0');
  uint32_t state = 1;
  for (char &byte : data) {
    state = state * 1664525 + 1013904223;
    byte = (char)(state >> 24);
  }
  return data;
}

bool UnderSanitizer() {
  return getenv("TLSAGENT_SANITIZER") != nullptr;
}

// ---------------------------------------------------------------------------------------------
// Sockets

int ListenTcp(uint16_t *port) {
  struct sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t len = sizeof(address);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(0, bind(fd, (struct sockaddr *)&address, len));
  EXPECT_EQ(0, listen(fd, 8));
  EXPECT_EQ(0, getsockname(fd, (struct sockaddr *)&address, &len));
  *port = ntohs(address.sin_port);
  return fd;
}

Sockets::Sockets(bool tcp) {
  int fds[2];
  if (!tcp) {
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    ours = fds[0];
    theirs = fds[1];
    return;
  }
  struct sockaddr_in address = {};
  socklen_t len = sizeof(address);
  uint16_t port = 0;
  int listener = ListenTcp(&port);
  EXPECT_EQ(0, getsockname(listener, (struct sockaddr *)&address, &len));
  ours = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(0, connect(ours, (struct sockaddr *)&address, len));
  theirs = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  close(listener);
}

// ---------------------------------------------------------------------------------------------
// Operations

Operation &Operation::Data(const std::string &data) {
  data_ = data;
  op.data = slice_of(data_.data(), data_.size());
  return *this;
}

Operation &Operation::Room(size_t size) {
  buffer_.resize(size);
  op.buffer = buffer_.data();
  op.buffer_size = size;
  return *this;
}

Operation &Operation::Input(const std::string &input, bool eof) {
  input_ = input;
  op.input = slice_of(input_.data(), input_.size());
  op.input_eof = eof;
  return *this;
}

Operation &Operation::Wait(uint64_t milliseconds) {
  op.has_wait = true;
  op.wait_nanos = milliseconds * NANOS_PER_MILLI;
  return *this;
}

Operation &Operation::AwaitPeer() {
  op.await_peer = true;
  return *this;
}

void Operation::OnDone(struct session_op *op) {
  ((Operation *)op->owner)->Finish();
}

void Operation::Finish() {
  plaintext.assign((const char *)op.buffer, op.kind == SESSION_READ ? op.transferred : 0);
  output = Text(session_output(op.session));
  trailing = Text(op.trailing);
  if (on_done) {
    on_done();
  }
  std::lock_guard<std::mutex> hold(lock_);
  times_done_++;
  changed_.notify_all();
}

bool Operation::Done() {
  std::lock_guard<std::mutex> hold(lock_);
  EXPECT_LE(times_done_, 1) << "answered twice";
  return times_done_ > 0;
}

enum engine_result Operation::Result() {
  std::unique_lock<std::mutex> hold(lock_);
  bool done = changed_.wait_for(hold, std::chrono::milliseconds(kPatienceMs),
                                [this] { return times_done_ > 0; });
  EXPECT_TRUE(done) << "not answered";
  EXPECT_LE(times_done_, 1) << "answered twice";
  return done ? op.result : (enum engine_result)0;
}

bool Operation::Pending(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  return !Done();
}

// ---------------------------------------------------------------------------------------------
// Contexts

struct tls_context *MakeContext(enum tls_context_kind kind, const struct pki_identity *identity,
                                const struct pki_identity *root, bool check_hostname) {
  struct tls_pair pair = {};
  struct slice trust = {};
  struct tls_context_change change = {};
  if (identity != nullptr) {
    pair.chain = slice_of_string(identity->chain_pem);
    pair.key = slice_of_string(identity->key_pem);
    change.pairs = &pair;
    change.num_pairs = 1;
  }
  if (root != nullptr) {
    trust = slice_of_string(root->pem);
    change.trust.certificates = &trust;
    change.trust.num_certificates = 1;
    change.settings.present = TLS_SET_VERIFY_MODE;
    change.settings.verify_mode = TLS_VERIFY_REQUIRED;
  }
  if (kind == TLS_CONTEXT_CLIENT) {
    change.settings.present |= TLS_SET_CHECK_HOSTNAME;
    change.settings.check_hostname = check_hostname;
  }
  struct tls_context *context = nullptr;
  struct tls_error error;
  status_t made = tls_context_new(kind, &change, &context, &error);
  EXPECT_TRUE(status_ok(made)) << error.item << ": " << error.text;
  return context;
}

// ---------------------------------------------------------------------------------------------
// The fixture

void SessionTest::SetUpTestSuite() {
  static bool started = false;
  if (!started) {
    struct tls_error error;
    ASSERT_TRUE(status_ok(tls_library_start(&error))) << error.text;
    started = true;
  }
}

SessionTest::SessionTest(unsigned num_workers) {
  struct worker_config config = {num_workers, 256, 64, 16384, 4};
  const char *why = "";
  EXPECT_TRUE(status_ok(worker_pool_new(&config, &pool_, &why))) << why;
  EXPECT_TRUE(status_ok(resolver_new(1, 8, &resolver_)));
  client_context_ = MakeContext(TLS_CONTEXT_CLIENT, nullptr, pki_get()->root, true);
  server_context_ = MakeContext(TLS_CONTEXT_SERVER, pki_get()->server, nullptr, false);
}

SessionTest::~SessionTest() {
  while (!held_.empty()) {
    struct session *session = held_.back();
    Close(session);
    Release(session);
  }
  EXPECT_TRUE(Eventually([] { return Living() == 0; })) << Living() << " sessions are left";
  EXPECT_EQ(0u, worker_load(worker()));
  resolver_free(resolver_);
  worker_pool_free(pool_);
  tls_context_unref(client_context_);
  tls_context_unref(server_context_);
}

uint64_t SessionTest::Living() {
  return counter_read(COUNTER_sessions_made) - counter_read(COUNTER_sessions_freed);
}

void SessionTest::Run(const std::function<void()> &run) {
  RunOn(worker(), run);
}

status_t SessionTest::TryMake(const Wish &wish, struct tls_error *error) {
  struct session_config config = {};
  bool client = wish.role == ENGINE_CLIENT;
  config.context = wish.context != nullptr ? wish.context
                   : client                ? client_context_
                                           : server_context_;
  config.engine.role = wish.role;
  config.engine.server_name =
      client && !wish.server_name.empty() ? wish.server_name.c_str() : nullptr;
  config.engine.max_output = wish.max_output;
  config.engine.traffic_keys = wish.traffic_keys;
  config.path = wish.path;
  config.fd = wish.fd;
  config.uid = getuid();
  config.host = wish.host.c_str();
  config.port = wish.port;
  config.resolver = resolver_;
  status_t made = status_of(STATUS_UNKNOWN);
  struct session *session = nullptr;
  Run([&] { made = session_new(&config, &session, error); });
  if (status_ok(made)) {
    held_.push_back(session);
  }
  return made;
}

struct session *SessionTest::Make(const Wish &wish) {
  struct tls_error error;
  EXPECT_TRUE(status_ok(TryMake(wish, &error))) << error.text;
  return held_.back();
}

struct session *SessionTest::MakeOn(int fd, enum engine_role role, size_t max_output) {
  Wish wish;
  wish.role = role;
  wish.path = SESSION_FD;
  wish.fd = fd;
  wish.max_output = max_output;
  return Make(wish);
}

void SessionTest::Submit(struct session *session, Operation &operation) {
  operation.op.owner = &operation;
  operation.op.done = Operation::OnDone;
  operation.times_done_ = 0;
  Run([&] { session_submit(session, &operation.op); });
}

void SessionTest::Cancel(Operation &operation) {
  Run([&] { session_cancel(&operation.op); });
  EXPECT_FALSE(operation.Done());
}

enum engine_result SessionTest::Do(struct session *session, Operation &operation) {
  Submit(session, operation);
  return operation.Result();
}

void SessionTest::Close(struct session *session) {
  Run([&] { session_close(session, nullptr); });
}

void SessionTest::Release(struct session *session) {
  held_.erase(std::find(held_.begin(), held_.end(), session));
  session_unref(session);
}

void Shaken::Shake(enum engine_role role, int version, bool tcp, size_t max_output) {
  Sockets sockets(tcp);
  session_ = MakeOn(sockets.ours, role, max_output);
  peer_ = role == ENGINE_CLIENT ? ServerPeer(sockets.theirs, version)
                                : ClientPeer(sockets.theirs, version);
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session_, handshake);
  ASSERT_TRUE(peer_handshake(peer_.get()));
  ASSERT_EQ(ENGINE_DONE, handshake.Result()) << handshake.op.error.text;
}

void InMemory::Begin(enum engine_role role, int version, size_t max_output) {
  Wish wish;
  wish.role = role;
  wish.max_output = max_output;
  session_ = Make(wish);
  peer_ = role == ENGINE_CLIENT ? ServerPeer(-1, version) : ClientPeer(-1, version);
}

enum engine_result InMemory::Pass(Operation &operation, size_t most) {
  Collect();
  enum engine_result result = Do(session_, operation.Input(wire_.substr(0, most)));
  wire_.erase(0, operation.op.input_consumed);
  FeedPeer(peer_, operation.output);
  return result;
}

void InMemory::Shake() {
  bool done = false;
  for (int i = 0; i < 10 && !done; i++) {
    bool peer_done = peer_handshake(peer_.get());
    Operation handshake(SESSION_HANDSHAKE);
    done = Pass(handshake) == ENGINE_DONE && peer_done;
  }
  ASSERT_TRUE(done);
}
