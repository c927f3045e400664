#include "tests/unit/front/harness.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/base/counters.h"
#include "server/ring/closer.h"
#include "server/tls/library.h"
#include "tests/support/errand.h"

size_t NumOpenFds() {
  Eventually([] { return closer_pending(getuid()) == 0; });
  size_t num = 0;
  DIR *dir = opendir("/proc/self/fd");
  while (readdir(dir) != nullptr) {
    num++;
  }
  closedir(dir);
  return num;
}

struct tls_context *MakeContext(enum tls_context_kind kind, const struct pki_identity *identity,
                                const struct pki_identity *root, const std::string &alpn) {
  struct tls_context_change change = {};
  struct tls_pair pair = {};
  struct slice trust = {};
  struct slice protocol = slice_of(alpn.data(), alpn.size());
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
    change.settings.verify_mode =
        kind == TLS_CONTEXT_CLIENT ? TLS_VERIFY_REQUIRED : TLS_VERIFY_OPTIONAL;
  }
  if (!alpn.empty()) {
    change.settings.present |= TLS_SET_ALPN;
    change.settings.alpn = &protocol;
    change.settings.num_alpn = 1;
  }
  struct tls_context *context = nullptr;
  struct tls_error error;
  EXPECT_TRUE(status_ok(tls_context_new(kind, &change, &context, &error))) << error.text;
  return context;
}

// ---------------------------------------------------------------------------------------------
// Sockets

static void BePatient(int fd) {
  struct timeval patience = {kPatienceMs / 1000, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

Listening::Listening(int family) {
  struct sockaddr_storage address = {};
  struct sockaddr_un *local = (struct sockaddr_un *)&address;
  struct sockaddr_in *four = (struct sockaddr_in *)&address;
  struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;
  socklen_t len = family == AF_INET    ? sizeof(*four)
                  : family == AF_INET6 ? sizeof(*six)
                                       : sizeof(*local);
  address.ss_family = (sa_family_t)family;
  if (family == AF_UNIX) {
    path = folder_ / "listening";
    strcpy(local->sun_path, path.c_str());
  } else if (family == AF_INET6) {
    six->sin6_addr = in6addr_loopback;
  } else {
    four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  }
  fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(0, bind(fd, (struct sockaddr *)&address, len));
  EXPECT_EQ(0, listen(fd, 128));
  EXPECT_EQ(0, getsockname(fd, (struct sockaddr *)&address, &len));
  port = family == AF_INET6 ? ntohs(six->sin6_port) : ntohs(four->sin_port);
  BePatient(fd);
}

Listening::~Listening() {
  Close();
}

void Listening::Close() {
  if (fd >= 0) {
    close(fd);
  }
  fd = -1;
}

int Listening::Connect() const {
  struct sockaddr_storage address = {};
  socklen_t len = sizeof(address);
  EXPECT_EQ(0, getsockname(fd, (struct sockaddr *)&address, &len));
  int client = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(0, connect(client, (struct sockaddr *)&address, len));
  BePatient(client);
  return client;
}

int Listening::Accept() const {
  int accepted = accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
  EXPECT_GE(accepted, 0) << "nobody comes";
  BePatient(accepted);
  return accepted;
}

bool Listening::HasOneWaiting() const {
  struct pollfd look = {fd, POLLIN, 0};
  return poll(&look, 1, 30) == 1;
}

std::string ReadExactly(int fd, size_t len) {
  std::string data(len, '\0');
  ssize_t n = recv(fd, &data[0], len, MSG_WAITALL);
  data.resize(n < 0 ? 0 : (size_t)n);
  return data;
}

std::string ReadToEnd(int fd) {
  std::string data;
  char buffer[16384];
  ssize_t n;
  while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
    data.append(buffer, (size_t)n);
  }
  return data;
}

void Write(int fd, const std::string &data) {
  EXPECT_EQ((ssize_t)data.size(), send(fd, data.data(), data.size(), MSG_NOSIGNAL));
}

// ---------------------------------------------------------------------------------------------
// The fixture

void FrontTest::SetUpTestSuite() {
  static bool started = false;
  if (!started) {
    struct tls_error error;
    ASSERT_TRUE(status_ok(tls_library_start(&error))) << error.text;
    started = true;
  }
}

FrontTest::FrontTest(unsigned num_workers) {
  struct worker_config workers = {num_workers, 256, 64, 16384, 4};
  const char *why = "";
  EXPECT_TRUE(status_ok(worker_pool_new(&workers, &workers_, &why))) << why;
  EXPECT_TRUE(status_ok(resolver_new(1, 8, &resolver_)));
  limits_default(&limits_);
  server_context_ = MakeContext(TLS_CONTEXT_SERVER, pki_get()->server, pki_get()->root, "http/1.1");
  client_context_ = MakeContext(TLS_CONTEXT_CLIENT, nullptr, pki_get()->root);
  config_.context = server_context_;
  config_.role = ENGINE_SERVER;
  fronts_init(&fronts_);
  config_.fronts = &fronts_;
  config_.keep_records = true;
  config_.handshake_nanos = 30 * NANOS_PER_SECOND;
  config_.max_output = limits_.session_output_bytes;
  config_.workers = workers_;
  config_.resolver = resolver_;
  snprintf(config_.target.host, sizeof(config_.target.host), "127.0.0.1");
  config_.target.port = back_end_.port;
}

FrontTest::~FrontTest() {
  End();
  if (client_ != nullptr) {
    client_leave(client_);
    client_unref(client_);
  }
  resolver_free(resolver_);
  worker_pool_free(workers_);
  tenant_free(tenant_);
  tls_context_unref(server_context_);
  tls_context_unref(client_context_);
}

void FrontTest::Start() {
  if (client_ == nullptr) {
    struct peer peer = {getuid(), getgid(), getpid()};
    EXPECT_TRUE(status_ok(tenant_new(&limits_, &tenant_)));
    EXPECT_TRUE(status_ok(client_new(tenant_, &peer, &client_)));
  }
  config_.client = client_;
  config_.fd = dup(front_listener_.fd);
  ASSERT_TRUE(status_ok(front_new(&config_, &front_)));
}

void FrontTest::End() {
  if (front_ == nullptr) {
    return;
  }
  front_close(front_);
  EXPECT_TRUE(Eventually([this] { return Stats().active == 0; })) << Stats().active;
  front_unref(front_);
  front_ = nullptr;
  EXPECT_TRUE(Eventually([this] { return tenant_count(tenant_, QUOTA_SESSIONS) == 0; }));
  EXPECT_TRUE(Eventually(
      [] { return counter_read(COUNTER_sessions_made) == counter_read(COUNTER_sessions_freed); }));
}

struct front_stats FrontTest::Stats() {
  struct front_stats stats;
  front_describe(front_, &stats);
  return stats;
}

FrontTest::Record FrontTest::NextRecord(uint64_t *lost) {
  struct front_record *record = nullptr;
  uint64_t ignored = 0;
  Eventually([&] {
    record = front_take(front_, lost == nullptr ? &ignored : lost);
    return record != nullptr;
  });
  return Record(record);
}

void FrontTest::Run(const std::function<void()> &run) {
  RunOn(worker_pool_at(workers_, 0), run);
}
