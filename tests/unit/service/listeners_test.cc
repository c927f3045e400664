// RelayService: what is asked for is checked, and what comes of it is told.
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "tests/unit/service/harness.h"

namespace {

class Listeners : public Sessions {
 protected:
  Listeners() {
    dial_patterns_ = {"127.0.0.1:*", "unix:/run/allowed/*"};
    back_end_ = ListenTcp(&back_port_);
    listening_ = ListenTcp(&port_);
    listen(listening_, 1024);  // a queue for all that come at once
    protobuf_c_message_init(&tlsagent__v1__dial_transport__descriptor, &tcp_.base);
    protobuf_c_message_init(&tlsagent__v1__relay_target__descriptor, &target_.base);
    request_ = New<V1(ListenRequest)>();
    Tcp("127.0.0.1", back_port_);
    request_.to = &target_;
    request_.role = TLSAGENT__V1__ROLE__ROLE_SERVER;
    request_.keep_ends = true;
  }
  ~Listeners() override {
    close(back_end_);
    close(listening_);
  }
  void SetUp() override {
    Sessions::SetUp();
    request_.context = server_context_;
  }
  void Tcp(const std::string &host, uint32_t port) {
    text_ = host;
    tcp_.host = &text_[0];
    tcp_.port = port;
    target_.address_case = TLSAGENT__V1__RELAY_TARGET__ADDRESS_TCP;
    target_.tcp = &tcp_;
  }
  void Unix(const std::string &path) {
    text_ = path;
    target_.address_case = TLSAGENT__V1__RELAY_TARGET__ADDRESS_UNIX_PATH;
    target_.unix_path = &text_[0];
  }
  Reply<V1(ListenResponse)> Listen() {
    How how;
    how.fds.push_back(fd_ >= 0 ? fd_ : listening_);
    return client_->Call(request_, how);
  }
  void Start() {
    auto reply = Listen();
    ASSERT_EQ(0, reply.code) << reply.message;
    listener_ = reply->listener;
  }
  void ExpectRefused(int code, const std::string &word) {
    auto reply = Listen();
    EXPECT_EQ(code, reply.code);
    EXPECT_NE(std::string::npos, reply.message.find(word)) << reply.message;
    EXPECT_EQ(0u, CountedListeners());
  }
  uint32_t StartNext(const How &how = How()) {
    auto request = New<V1(NextEndsRequest)>();
    request.listener = listener_;
    return client_->Start(request, how);
  }
  Reply<V1(NextEndsResponse)> Next() {
    return client_->Finish<V1(NextEndsRequest)>(StartNext());
  }
  Reply<V1(DescribeListenerResponse)> DescribeIt() {
    auto request = New<V1(DescribeListenerRequest)>();
    request.listener = listener_;
    return client_->Call(request);
  }
  int CloseIt() {
    auto request = New<V1(CloseListenerRequest)>();
    request.listener = listener_;
    return client_->Call(request).code;
  }
  int Knock() {
    struct sockaddr_storage address = {};
    socklen_t len = sizeof(address);
    EXPECT_EQ(0, getsockname(listening_, (struct sockaddr *)&address, &len));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(0, connect(fd, (struct sockaddr *)&address, len));
    return fd;
  }
  // A connection from its beginning to its clean end.
  void Relay() {
    peer_ = ClientPeer(Knock());
    ASSERT_TRUE(peer_handshake(peer_.get()));
    int near = accept(back_end_, nullptr, nullptr);
    EXPECT_TRUE(peer_write(peer_.get(), "hello", 5));
    char data[5];
    EXPECT_EQ(5, recv(near, data, 5, MSG_WAITALL));
    shutdown(near, SHUT_WR);
    EXPECT_EQ("", ReadPeer(peer_, 1));
    peer_shutdown(peer_.get());
    EXPECT_EQ(0, recv(near, data, 1, 0));
    close(near);
  }

  uint16_t port_ = 0;
  uint16_t back_port_ = 0;
  int listening_ = -1;
  int back_end_ = -1;
  int fd_ = -1;  // instead of listening_
  uint64_t listener_ = 0;
  V1(ListenRequest) request_;

 private:
  std::string text_;
  V1(DialTransport) tcp_;
  V1(RelayTarget) target_;
};

TEST_F(Listeners, AreConnectionsRelayedAndTold) {
  Start();
  Relay();
  auto ends = Next();
  ASSERT_EQ(0, ends.code) << ends.message;
  ASSERT_EQ(1u, ends->n_ends);
  EXPECT_EQ(0u, ends->lost);
  const V1(RelayedConnection) *one = ends->ends[0];
  EXPECT_EQ(0, strncmp(one->peer, "127.0.0.1:", 10)) << one->peer;
  EXPECT_EQ(TLSAGENT__V1__RELAY_STAGE__RELAY_STAGE_RELAYED, one->stage);
  ASSERT_NE(nullptr, one->negotiated);
  EXPECT_STREQ("host.test", one->negotiated->server_name);
  EXPECT_STREQ("TLSv1.3", one->negotiated->version_name);
  EXPECT_NE(nullptr, strstr(one->negotiated->cipher->description, "TLSv1.3"))
      << one->negotiated->cipher->description;
  ASSERT_NE(nullptr, one->end);
  EXPECT_EQ(TLSAGENT__V1__STATE__STATE_CLOSED, one->end->state);
  EXPECT_EQ(5u, one->end->bytes_read);
  auto sum = DescribeIt();
  EXPECT_EQ(1u, sum->accepted);
  EXPECT_EQ(1u, sum->established);
  EXPECT_EQ(0u, sum->active);
  EXPECT_EQ(5u, sum->bytes_read);
  EXPECT_EQ(0u, sum->bytes_written);
}

TEST_F(Listeners, AreErrorsToldInWords) {
  Start();
  close(Knock());
  auto ends = Next();
  ASSERT_EQ(0, ends.code) << ends.message;
  ASSERT_EQ(1u, ends->n_ends);
  EXPECT_EQ(TLSAGENT__V1__RELAY_STAGE__RELAY_STAGE_HANDSHAKE, ends->ends[0]->stage);
  EXPECT_EQ(nullptr, ends->ends[0]->negotiated);
  ASSERT_NE(nullptr, ends->ends[0]->end->error);
  EXPECT_STRNE("", ends->ends[0]->end->error->text);
}

// All that an answer can hold, in as many answers as it takes.
TEST_F(Listeners, DoManyRecordsCome) {
  Start();
  for (int i = 0; i < 600; i++) {
    close(Knock());
  }
  size_t num = 0;
  while (num < 600) {
    auto ends = Next();
    ASSERT_EQ(0, ends.code) << ends.message;
    EXPECT_GT(ends->n_ends, 0u);
    EXPECT_LE(ends->n_ends, 256u);
    EXPECT_EQ(0u, ends->lost);
    num += ends->n_ends;
  }
  EXPECT_EQ(600u, num);
  EXPECT_EQ(600u, DescribeIt()->handshakes_failed);
}

TEST_F(Listeners, DoesNextWaitForOne) {
  Start();
  uint32_t first = StartNext();
  uint32_t second = StartNext();
  EXPECT_TRUE(client_->Pending(first));
  close(Knock());
  close(Knock());
  size_t num = client_->Finish<V1(NextEndsRequest)>(first)->n_ends;
  if (num < 2) {
    num += client_->Finish<V1(NextEndsRequest)>(second)->n_ends;
  }
  EXPECT_EQ(2u, num);
}

TEST_F(Listeners, DoesADeadlineEndNext) {
  Start();
  How how;
  how.timeout_nano = 20 * 1000 * 1000;
  EXPECT_EQ(STATUS_DEADLINE_EXCEEDED, client_->Finish<V1(NextEndsRequest)>(StartNext(how)).code);
  uint32_t id = StartNext();
  auto cancel = New<V1(CancelRequest)>();
  cancel.stream_id = id;
  EXPECT_EQ(0, client_->Call(cancel).code);
  EXPECT_EQ(STATUS_CANCELLED, client_->Finish<V1(NextEndsRequest)>(id).code);
  close(Knock());
  EXPECT_EQ(1u, Next()->n_ends) << "nobody took it away";
}

TEST_F(Listeners, DoesCloseEndAllOfIt) {
  Start();
  peer_ = ClientPeer(Knock());
  ASSERT_TRUE(peer_handshake(peer_.get()));
  uint32_t id = StartNext();
  EXPECT_TRUE(client_->Pending(id));
  EXPECT_EQ(0, CloseIt());
  EXPECT_EQ("", ReadPeer(peer_, 1));
  client_->Finish<V1(NextEndsRequest)>(id);
  EXPECT_EQ(STATUS_NOT_FOUND, CloseIt());
  EXPECT_EQ(STATUS_NOT_FOUND, DescribeIt().code);
  EXPECT_EQ(STATUS_NOT_FOUND, Next().code);
  EXPECT_EQ(0u, CountedListeners());
  EXPECT_TRUE(Eventually([this] { return CountedSessions() == 0 && LivingSessions() == 0; }));
}

TEST_F(Listeners, DoesItEndWithItsClient) {
  Start();
  peer_ = ClientPeer(Knock());
  ASSERT_TRUE(peer_handshake(peer_.get()));
  StartNext();
  client_->Disconnect();
  EXPECT_EQ("", ReadPeer(peer_, 1));
  EXPECT_TRUE(Eventually([this] { return CountedSessions() == 0 && CountedListeners() == 0; }));
}

TEST_F(Listeners, DoesNothingStayWhenAllEndsInMidConnection) {
  Start();
  peer_ = ClientPeer(Knock());
  ASSERT_TRUE(peer_handshake(peer_.get()));
  int fd = Knock();
  EXPECT_TRUE(Eventually([this] { return DescribeIt()->active == 2; }));
  Stop();
  close(fd);
}

TEST_F(Listeners, AreListenersCountedAndLimited) {
  Stop();
  client_.reset();
  limits_.listeners_per_owner = 2;
  Sessions::SetUp();
  request_.context = server_context_;
  Start();
  Start();
  auto refused = Listen();
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, refused.code);
  EXPECT_NE(std::string::npos, refused.message.find("listeners_per_owner")) << refused.message;
  EXPECT_EQ(0, CloseIt());
  Start();
  EXPECT_EQ(2u, CountedListeners());
}

// ---------------------------------------------------------------------------------------------
// What is refused, before there is anything

TEST_F(Listeners, IsATargetNeeded) {
  request_.to = nullptr;
  ExpectRefused(STATUS_INVALID_ARGUMENT, "to is absent");
}

TEST_F(Listeners, IsATargetThatIsNoneRefused) {
  Tcp("", 443);
  ExpectRefused(STATUS_INVALID_ARGUMENT, "to.tcp");
  Tcp("127.0.0.1", 0);
  ExpectRefused(STATUS_INVALID_ARGUMENT, "to.tcp");
  Tcp("127.0.0.1", 65536);
  ExpectRefused(STATUS_INVALID_ARGUMENT, "to.tcp");
  Tcp(std::string(256, 'a'), 443);
  ExpectRefused(STATUS_INVALID_ARGUMENT, "to.tcp");
  Unix("relative");
  ExpectRefused(STATUS_INVALID_ARGUMENT, "absolute");
  Unix("");
  ExpectRefused(STATUS_INVALID_ARGUMENT, "absolute");
  Unix("/run/allowed/" + std::string(95, 'x'));
  ExpectRefused(STATUS_INVALID_ARGUMENT, "107");
  for (const char *way_out : {"/run/allowed/../docker.sock", "/run/allowed/.."}) {
    Unix(way_out);
    ExpectRefused(STATUS_INVALID_ARGUMENT, "..");
  }
}

TEST_F(Listeners, IsOnlyAnAllowedTargetDialled) {
  Tcp("127.0.0.2", back_port_);
  ExpectRefused(STATUS_PERMISSION_DENIED, "--allow-dial");
  Unix("/run/elsewhere");
  ExpectRefused(STATUS_PERMISSION_DENIED, "--allow-dial");
  Unix("/run/ALLOWED/x");
  ExpectRefused(STATUS_PERMISSION_DENIED, "--allow-dial");
  Unix("/run/allowed/x");
  Start();
}

TEST_F(Listeners, IsARoleNeededThatFits) {
  request_.role = TLSAGENT__V1__ROLE__ROLE_UNSPECIFIED;
  ExpectRefused(STATUS_INVALID_ARGUMENT, "role");
  request_.role = (Tlsagent__V1__Role)77;
  ExpectRefused(STATUS_INVALID_ARGUMENT, "role");
  request_.role = TLSAGENT__V1__ROLE__ROLE_CLIENT;
  ExpectRefused(STATUS_INVALID_ARGUMENT, "role");
  request_.context = client_context_;
  request_.proxy_protocol = true;
  ExpectRefused(STATUS_INVALID_ARGUMENT, "proxy_protocol");
  request_.proxy_protocol = false;
  request_.role = TLSAGENT__V1__ROLE__ROLE_SERVER;
  ExpectRefused(STATUS_INVALID_ARGUMENT, "role");
}

TEST_F(Listeners, IsAServerNameForClients) {
  std::string name = "host.test";
  request_.server_name = &name[0];
  ExpectRefused(STATUS_INVALID_ARGUMENT, "server_name");
  std::string longest(256, 'a');
  request_.server_name = &longest[0];
  request_.role = TLSAGENT__V1__ROLE__ROLE_CLIENT;
  request_.context = client_context_;
  ExpectRefused(STATUS_INVALID_ARGUMENT, "server_name");
}

TEST_F(Listeners, IsAContextNeeded) {
  request_.context = 4711;
  ExpectRefused(STATUS_NOT_FOUND, "context");
}

TEST_F(Listeners, IsAListeningStreamSocketNeeded) {
  request_.fd = 1;
  ExpectRefused(STATUS_INVALID_ARGUMENT, "descriptor");
  request_.fd = 0;
  ::Sockets connected;
  int datagrams = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int unbound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int pipe_ends[2];
  ASSERT_EQ(0, pipe(pipe_ends));
  for (int fd : {connected.ours(), datagrams, unbound, pipe_ends[0]}) {
    fd_ = fd;
    ExpectRefused(STATUS_INVALID_ARGUMENT, "listening stream socket");
  }
  close(datagrams);
  close(unbound);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

}  // namespace
