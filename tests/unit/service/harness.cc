#include "tests/unit/service/harness.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "server/ring/closer.h"

#include "proto/ttrpc/ttrpc.pb-c.h"
#include "server/rpc/server.h"

std::string Pattern(size_t len) {
  std::string data(len, '\0');
  uint32_t state = 1;
  for (char &byte : data) {
    state = state * 1664525 + 1013904223;
    byte = (char)(state >> 24);
  }
  return data;
}

ProtobufCBinaryData Binary(const std::string &data) {
  ProtobufCBinaryData out = {data.size(), (uint8_t *)data.data()};
  return out;
}

std::string Text(ProtobufCBinaryData data) {
  return data.len == 0 ? "" : std::string((const char *)data.data, data.len);
}

Material::Material(const std::string &text) : text_(text) {
  tlsagent__v1__material__init(&message_);
  message_.source_case = TLSAGENT__V1__MATERIAL__SOURCE_DATA;
  message_.data = Binary(text_);
}

Way::Way() {
  tlsagent__v1__feed__init(&feed_);
  tlsagent__v1__memory_transport__init(&memory_);
  tlsagent__v1__fd_transport__init(&fd_);
  tlsagent__v1__dial_transport__init(&dial_);
  tlsagent__v1__transport__init(&transport_);
}

Way &Way::Memory(const std::string &feed, bool eof) {
  feed_data_ = feed;
  feed_.data = Binary(feed_data_);
  feed_.eof = eof;
  memory_.feed = &feed_;
  transport_.path_case = TLSAGENT__V1__TRANSPORT__PATH_MEMORY;
  transport_.memory = &memory_;
  return *this;
}

Way &Way::Fd(uint32_t index) {
  fd_.fd = index;
  transport_.path_case = TLSAGENT__V1__TRANSPORT__PATH_FD;
  transport_.fd = &fd_;
  return *this;
}

Way &Way::Token(const std::string &token) {
  token_ = token;
  fd_.token = Binary(token_);
  return Fd(77);  // which doesn't count
}

Way &Way::Dial(const std::string &host, uint32_t port) {
  host_ = host;
  dial_.host = (char *)host_.c_str();
  dial_.port = port;
  transport_.path_case = TLSAGENT__V1__TRANSPORT__PATH_DIAL;
  transport_.dial = &dial_;
  return *this;
}

Feed::Feed(const std::string &data, bool eof) : data_(data) {
  tlsagent__v1__feed__init(&feed_);
  feed_.data = Binary(data_);
  feed_.eof = eof;
}

Wait::Wait(uint32_t milliseconds) {
  tlsagent__v1__wait__init(&wait_);
  wait_.milliseconds = milliseconds;
}

// ---------------------------------------------------------------------------------------------
// The client

static struct sockaddr_un AddressOf(const std::string &path) {
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());
  return address;
}

static int ConnectTo(const std::string &path) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un address = AddressOf(path);
  EXPECT_EQ(0, connect(fd, (struct sockaddr *)&address, sizeof(address)));
  return fd;
}

Client::Client(const std::string &path) : fd_(ConnectTo(path)) {}

void Client::Disconnect() {
  if (fd_ >= 0) {
    close(fd_);
  }
  fd_ = -1;
}

static std::string Pack(const ProtobufCMessage *message) {
  std::string out(protobuf_c_message_get_packed_size(message), '\0');
  protobuf_c_message_pack(message, (uint8_t *)&out[0]);
  return out;
}

static std::string Be32(size_t value) {
  const char bytes[] = {(char)(value >> 24), (char)(value >> 16), (char)(value >> 8), (char)value};
  return std::string(bytes, 4);
}

static uint32_t ReadBe32(const std::string &bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; i++) {
    value = value << 8 | (uint8_t)bytes[at + i];
  }
  return value;
}

static void SendAll(int fd, const std::string &bytes, const std::vector<int> &fds) {
  alignas(struct cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))] = {};
  size_t sent = 0;
  while (sent < bytes.size()) {
    struct iovec part = {(void *)(bytes.data() + sent), bytes.size() - sent};
    struct msghdr message = {};
    message.msg_iov = &part;
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
    ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
    ASSERT_GT(n, 0) << strerror(errno);
    sent += (size_t)n;
  }
}

uint32_t Client::Send(const char *service, const char *method, const ProtobufCMessage *request,
                      const How &how) {
  std::string payload = Pack(request);
  Ttrpc__Request envelope = TTRPC__REQUEST__INIT;
  Ttrpc__KeyValue token = TTRPC__KEY_VALUE__INIT;
  Ttrpc__KeyValue *metadata[] = {&token};
  envelope.service = (char *)service;
  envelope.method = (char *)method;
  envelope.payload = Binary(payload);
  envelope.timeout_nano = how.timeout_nano;
  if (!how.token.empty()) {
    token.key = (char *)"tlsagent-token";
    token.value = (char *)how.token.c_str();
    envelope.metadata = metadata;
    envelope.n_metadata = 1;
  }
  std::string body = Pack(&envelope.base);
  uint32_t id = next_id_;
  next_id_ += 2;
  SendAll(fd_, Be32(body.size()) + Be32(id) + std::string("\1\0", 2) + body, how.fds);
  return id;
}

bool Client::Fill(int milliseconds) {
  struct pollfd poll_fd = {fd_, POLLIN, 0};
  char data[65536];
  if (poll(&poll_fd, 1, milliseconds) != 1) {
    return false;
  }
  struct iovec into = {data, sizeof(data)};
  alignas(struct cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))];
  struct msghdr message = {};
  message.msg_iov = &into;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t n = recvmsg(fd_, &message, MSG_CMSG_CLOEXEC);
  if (n > 0) {
    input_.append(data, (size_t)n);
    KeepFds(&message);
  }
  return n > 0;
}

void Client::KeepFds(struct msghdr *message) {
  for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != nullptr;
       part = CMSG_NXTHDR(message, part)) {
    const int *fds = (const int *)CMSG_DATA(part);
    fds_.insert(fds_.end(), fds, fds + (part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
  }
}

int Client::TakeFd() {
  if (fds_.empty()) {
    return -1;
  }
  int fd = fds_.front();
  fds_.erase(fds_.begin());
  return fd;
}

void Client::Cut() {
  while (input_.size() >= 10 && input_.size() >= 10 + ReadBe32(input_, 0)) {
    uint32_t len = ReadBe32(input_, 0);
    uint32_t id = ReadBe32(input_, 4);
    EXPECT_EQ(0u, answers_.count(id)) << "answered twice";
    answers_[id] = input_.substr(10, len);
    input_.erase(0, 10 + (size_t)len);
  }
}

bool Client::Pending(uint32_t id, int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  while (Fill(0)) {
  }
  Cut();
  return answers_.count(id) == 0;
}

void *Client::Wait(uint32_t id, const ProtobufCMessageDescriptor *descriptor, int *code,
                   std::string *message) {
  while (answers_.count(id) == 0) {
    if (!Fill(kPatienceMs)) {
      ADD_FAILURE() << "no answer to call " << id;
      return nullptr;
    }
    Cut();
  }
  const std::string &body = answers_[id];
  Ttrpc__Response *response =
      ttrpc__response__unpack(nullptr, body.size(), (const uint8_t *)body.data());
  if (response == nullptr) {
    ADD_FAILURE() << "an answer that is none";
    return nullptr;
  }
  *code = response->status == nullptr ? 0 : response->status->code;
  *message = response->status == nullptr ? "" : response->status->message;
  void *unpacked = nullptr;
  if (*code == 0) {
    unpacked = protobuf_c_message_unpack(descriptor, nullptr, response->payload.len,
                                         response->payload.data);
    EXPECT_NE(nullptr, unpacked);
  }
  ttrpc__response__free_unpacked(response, nullptr);
  answers_[id].clear();
  return unpacked;
}

void Client::Free(void *message) {
  if (message != nullptr) {
    protobuf_c_message_free_unpacked((ProtobufCMessage *)message, nullptr);
  }
}

// ---------------------------------------------------------------------------------------------
// The daemon

void Daemon::SetUpTestSuite() {
  static bool started = false;
  if (!started) {
    struct tls_error error;
    ASSERT_TRUE(status_ok(tls_library_start(&error))) << error.text;
    started = true;
  }
}

Daemon::Daemon(unsigned num_workers) : num_workers_(num_workers) {
  limits_default(&limits_);
}

static int Listen(const std::string &path) {
  struct sockaddr_un address = AddressOf(path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(0, bind(fd, (struct sockaddr *)&address, sizeof(address)));
  EXPECT_EQ(0, listen(fd, 128));
  return fd;
}

void Daemon::Start() {
  struct worker_config config = {num_workers_, 256, 256, 16384, 4};
  const char *why = "";
  ASSERT_TRUE(status_ok(worker_pool_new(&config, &workers_, &why))) << why;
  ASSERT_TRUE(status_ok(tenant_new(&limits_, &tenant_)));
  ASSERT_TRUE(status_ok(resolver_new(1, (unsigned)limits_.resolver_queue, &resolver_)));
  policy_.dial_patterns = dial_patterns_.data();
  policy_.num_dial_patterns = dial_patterns_.size();
  struct service_config service = {&limits_,  &policy_,        workers_,
                                   resolver_, kernel_has_tls_, kernel_tls_};
  service_start(&service);
  listen_fd_ = Listen(path_);
  struct rpc_config rpc = {};
  rpc.methods = service_methods(&rpc.num_methods);
  rpc.limits = &limits_;
  rpc.tenant = tenant_;
  rpc.workers = workers_;
  const rpc_listen listen = {listen_fd_, nullptr};
  rpc.listen = &listen;
  rpc.num_listen = 1;
  ASSERT_TRUE(status_ok(rpc_server_new(&rpc, &server_)));
}

namespace {

struct Visit {
  struct message message = {};
  sem_t done;
};

void OnVisit(struct message *message) {
  sem_post(&LIST_ENTRY(message, Visit, message)->done);
}

// What was posted to the workers before has run.
void VisitAll(struct worker_pool *workers) {
  Visit visit;
  visit.message.run = OnVisit;
  sem_init(&visit.done, 0, 0);
  for (unsigned i = 0; i < worker_pool_size(workers); i++) {
    worker_post(worker_pool_at(workers, i), &visit.message);
    sem_wait(&visit.done);
  }
  sem_destroy(&visit.done);
}

}  // namespace

void Daemon::Drain() {
  EXPECT_EQ(0u, rpc_server_drain(server_, clock_add(clock_now(), kPatienceMs * NANOS_PER_MILLI)));
}

void Daemon::Stop() {
  if (server_ == nullptr) {
    return;
  }
  rpc_server_free(server_);
  server_ = nullptr;
  VisitAll(workers_);
  EXPECT_TRUE(Eventually([] { return LivingSessions() == 0; })) << LivingSessions();
  EXPECT_EQ(0u, CountedSessions());
  resolver_free(resolver_);
  worker_pool_free(workers_);
  tenant_free(tenant_);
  close(listen_fd_);
  unlink(path_.c_str());
}

Daemon::~Daemon() {
  Stop();
}

Client Daemon::Connect() {
  if (server_ == nullptr) {
    Start();
  }
  return Client(path_);
}

// The user id of a thread alone, which glibc would change for all of them. Files stay root's to
// reach.
Client Daemon::ConnectAs(uid_t uid) {
  if (server_ == nullptr) {
    Start();
  }
  std::unique_ptr<Client> client;
  std::thread([&] {
    EXPECT_EQ(0, syscall(SYS_setresuid, -1, uid, -1));
    setfsuid(0);
    client.reset(new Client(path_));
  }).join();
  return std::move(*client);
}

uint64_t Daemon::LivingSessions() {
  return counter_read(COUNTER_sessions_made) - counter_read(COUNTER_sessions_freed);
}

uint64_t Daemon::MakeContext(Client &client, V1(ContextKind) kind,
                             const struct pki_identity *identity, const struct pki_identity *root,
                             const std::string &name) {
  auto request = New<V1(CreateContextRequest)>();
  V1(CertificatePair) pair = TLSAGENT__V1__CERTIFICATE_PAIR__INIT;
  V1(CertificatePair) * pairs[] = {&pair};
  V1(TrustSettings) trust = TLSAGENT__V1__TRUST_SETTINGS__INIT;
  Material chain(identity == nullptr ? "" : identity->chain_pem);
  Material key(identity == nullptr ? "" : identity->key_pem);
  Material ca(root == nullptr ? "" : root->pem);
  V1(Material) * cas[] = {ca.get()};
  pair.chain = chain.get();
  pair.key = key.get();
  trust.certificates = cas;
  trust.n_certificates = 1;
  request.kind = kind;
  request.pairs = pairs;
  request.n_pairs = identity == nullptr ? 0 : 1;
  request.trust = root == nullptr ? nullptr : &trust;
  request.name = (char *)name.c_str();
  auto reply = client.Call(request);
  EXPECT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(nullptr, reply->error);
  return reply->context;
}

uint64_t Daemon::ServerContext(Client &client, const struct pki_identity *identity) {
  return MakeContext(client, TLSAGENT__V1__CONTEXT_KIND__CONTEXT_KIND_SERVER,
                     identity == nullptr ? pki_get()->server : identity, nullptr);
}

uint64_t Daemon::ClientContext(Client &client) {
  return MakeContext(client, TLSAGENT__V1__CONTEXT_KIND__CONTEXT_KIND_CLIENT, nullptr,
                     pki_get()->root);
}

Sockets::Sockets() {
  EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds_));
}

Sockets::~Sockets() {
  CloseOurs();
  if (fds_[1] >= 0) {
    close(fds_[1]);
  }
}

int Sockets::ReleaseTheirs() {
  int fd = fds_[1];
  fds_[1] = -1;
  return fd;
}

void Sockets::CloseOurs() {
  if (fds_[0] >= 0) {
    close(fds_[0]);
    fds_[0] = -1;
  }
}

static void AppendHex(std::string *out, const std::string &bytes) {
  static const char digits[] = "0123456789abcdef";
  for (unsigned char byte : bytes) {
    *out += digits[byte >> 4];
    *out += digits[byte & 15];
  }
}

std::string SayLine(const std::string &path, const std::string &verb, const std::string &token,
                    int *fd) {
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  std::string line = "TOKEN " + verb + " ";
  AppendHex(&line, token);
  line += "\n";
  char answer[600];
  struct iovec part = {&line[0], line.size()};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = verb == "put" ? control : nullptr;
  message.msg_controllen = verb == "put" ? sizeof(control) : 0;
  struct cmsghdr *header = (struct cmsghdr *)(void *)control;
  *header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
  memcpy(CMSG_DATA(header), fd, sizeof(int));
  int sock = ConnectTo(path);
  EXPECT_EQ((ssize_t)line.size(), sendmsg(sock, &message, MSG_NOSIGNAL));
  part = {answer, sizeof(answer)};
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t n = recvmsg(sock, &message, MSG_CMSG_CLOEXEC);
  close(sock);
  if (verb == "get" && CMSG_FIRSTHDR(&message) != nullptr) {
    memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
  }
  return std::string(answer, n < 0 ? 0 : (size_t)n);
}

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

// What was handed to the closer is not closed at once.
static void AwaitCloser() {
  for (int i = 0; i < 10000 && closer_pending(getuid()) + closer_pending(CLOSER_DAEMON) > 0; i++) {
    usleep(1000);
  }
}

size_t NumOpenFds() {
  AwaitCloser();
  DIR *dir = opendir("/proc/self/fd");
  size_t num = 0;
  while (readdir(dir) != nullptr) {
    num++;
  }
  closedir(dir);
  return num;
}

// ---------------------------------------------------------------------------------------------
// Sessions

void Sessions::SetUp() {
  client_.reset(new Client(Connect()));
  client_context_ = ClientContext(*client_);
  server_context_ = ServerContext(*client_);
}

Reply<V1(ConnectResponse)> Sessions::ConnectOnFd(int fd, const How &how) {
  Way way;
  auto request = New<V1(ConnectRequest)>();
  request.context = client_context_;
  request.transport = way.Fd().get();
  request.server_name = (char *)"host.test";
  How with_fd = how;
  with_fd.fds.push_back(fd);
  return client_->Call(request, with_fd);
}

static uint64_t AcceptOnFd(Client &client, uint64_t context, int fd, const Peer &peer) {
  Way way;
  How how;
  how.fds.push_back(fd);
  auto request = New<V1(AcceptRequest)>();
  request.context = context;
  request.transport = way.Fd().get();
  uint32_t id = client.Start(request, how);
  EXPECT_TRUE(peer_handshake(peer.get()));
  auto reply = client.Finish<V1(AcceptRequest)>(id);
  EXPECT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(TLSAGENT__V1__STATE__STATE_DONE, reply->progress->state);
  return reply->session;
}

uint64_t Sessions::OpenOnFd(enum engine_role role, int version) {
  Sockets sockets;
  if (role == ENGINE_SERVER) {
    peer_ = ClientPeer(sockets.ReleaseTheirs(), version);
    return AcceptOnFd(*client_, server_context_, sockets.ours(), peer_);
  }
  peer_ = ServerPeer(sockets.ReleaseTheirs(), version);
  Way way;
  How how;
  how.fds.push_back(sockets.ours());
  auto request = New<V1(ConnectRequest)>();
  request.context = client_context_;
  request.transport = way.Fd().get();
  request.server_name = (char *)"host.test";
  uint32_t id = client_->Start(request, how);
  EXPECT_TRUE(peer_handshake(peer_.get()));
  auto reply = client_->Finish<V1(ConnectRequest)>(id);
  EXPECT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(TLSAGENT__V1__STATE__STATE_DONE, reply->progress->state);
  return reply->session;
}

static uint64_t BeginInMemory(Client &client, enum engine_role role, uint64_t context,
                              const Peer &peer) {
  Way way;
  if (role == ENGINE_SERVER) {
    auto request = New<V1(AcceptRequest)>();
    request.context = context;
    request.transport = way.Memory().get();
    return client.Call(request)->session;
  }
  auto request = New<V1(ConnectRequest)>();
  request.context = context;
  request.transport = way.Memory().get();
  request.server_name = (char *)"host.test";
  auto reply = client.Call(request);
  FeedPeer(peer, Text(reply->progress->output));
  return reply->session;
}

uint64_t Sessions::OpenInMemory(enum engine_role role, int version) {
  bool client = role == ENGINE_CLIENT;
  peer_ = client ? ServerPeer(-1, version) : ClientPeer(-1, version);
  uint64_t session =
      BeginInMemory(*client_, role, client ? client_context_ : server_context_, peer_);
  wire_.clear();
  bool done = false;
  for (int i = 0; i < 10 && !done; i++) {
    bool peer_done = peer_handshake(peer_.get());
    wire_ += TakePeer(peer_);
    Feed feed(wire_);
    auto request = New<V1(HandshakeRequest)>();
    request.session = session;
    request.feed = feed.get();
    auto reply = client_->Call(request);
    wire_.erase(0, reply->progress->input_consumed);
    FeedPeer(peer_, Text(reply->progress->output));
    done = peer_done && reply->progress->state == TLSAGENT__V1__STATE__STATE_DONE;
  }
  EXPECT_TRUE(done);
  return session;
}

Reply<V1(ReadResponse)> Sessions::Read(uint64_t session, const std::string &feed_data,
                                       uint32_t max) {
  Feed feed(feed_data);
  auto request = New<V1(ReadRequest)>();
  request.session = session;
  request.max_bytes = max;
  request.feed = feed_data.empty() ? nullptr : feed.get();
  return client_->Call(request);
}

Reply<V1(WriteResponse)> Sessions::Write(uint64_t session, const std::string &data) {
  auto request = New<V1(WriteRequest)>();
  request.session = session;
  request.data = Binary(data);
  return client_->Call(request);
}

Reply<V1(DescribeSessionResponse)> Sessions::Describe(uint64_t session) {
  auto request = New<V1(DescribeSessionRequest)>();
  request.session = session;
  return client_->Call(request);
}

std::string Sessions::Token() {
  std::string hex;
  auto reply = client_->Call(New<V1(HelloRequest)>());
  for (unsigned char byte : Text(reply->token)) {
    char digits[3];
    snprintf(digits, sizeof(digits), "%02x", byte);
    hex += digits;
  }
  return hex;
}

int Sessions::Close(uint64_t session) {
  auto request = New<V1(CloseSessionRequest)>();
  request.session = session;
  return client_->Call(request).code;
}

uint32_t Sessions::StartRead(Client &client, uint64_t session, const How &how) {
  auto request = New<V1(ReadRequest)>();
  request.session = session;
  return client.Start(request, how);
}

bool Sessions::SeesEnd(int fd) {
  struct timeval patience = {10, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  char data[4096];
  ssize_t n = 1;
  while (n > 0) {
    n = recv(fd, data, sizeof(data), 0);
  }
  return n == 0 || errno == ECONNRESET;
}
