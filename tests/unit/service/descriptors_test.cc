// Descriptors by token, wherever one can be named; and relays' ends by token.
#include "server/service/descriptors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/service/harness.h"

namespace {

// A material that waits under that token, which has to live on.
struct ByToken {
  explicit ByToken(const std::string &token) {
    tlsagent__v1__material__init(&message);
    message.source_case = TLSAGENT__V1__MATERIAL__SOURCE_FD_TOKEN;
    message.fd_token = Binary(token);
  }
  V1(Material) message;
};

class Descriptors : public Sessions {
 protected:
  std::string Token() {
    auto reply = client_->Call(New<V1(DescriptorTokenRequest)>());
    EXPECT_EQ(0, reply.code) << reply.message;
    EXPECT_EQ(limits_.descriptor_token_millis, reply->milliseconds);
    return Text(reply->token);
  }
  std::string TokenOf(int fd) {
    std::string token = Token();
    EXPECT_EQ("OK\n", SayLine(path(), "put", token, &fd));
    return token;
  }
  std::string TokenOfFile(const std::string &bytes) {
    int fd = memfd_create("descriptors_test", MFD_CLOEXEC);
    EXPECT_EQ((ssize_t)bytes.size(), write(fd, bytes.data(), bytes.size()));
    std::string token = TokenOf(fd);
    close(fd);
    return token;
  }
  Reply<V1(ConnectResponse)> ConnectBy(const std::string &token,
                                       V1(RelayOptions) *relay = nullptr) {
    Way way;
    auto request = New<V1(ConnectRequest)>();
    request.context = client_context_;
    request.server_name = (char *)"localhost";
    request.transport = way.Token(token).get();
    request.relay = relay;
    return client_->Call(request);
  }
  Reply<V1(DecodeResponse)> DecodeBy(const std::string &token, Client *as = nullptr) {
    ByToken material(token);
    auto request = New<V1(DecodeRequest)>();
    request.certificates = &material.message;
    return (as == nullptr ? *client_ : *as).Call(request);
  }
};

TEST_F(Descriptors, IsASocketOneToConnectOn) {
  Sockets sockets;
  int theirs = sockets.ReleaseTheirs();
  std::string token = TokenOf(theirs);
  close(theirs);
  sockets.CloseOurs();
  auto reply = ConnectBy(token);
  EXPECT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(TLSAGENT__V1__STATE__STATE_FAILED, reply->progress->state) << "its peer has gone";
  EXPECT_EQ(STATUS_NOT_FOUND, ConnectBy(token).code);
}

TEST_F(Descriptors, IsAFileAMaterial) {
  std::string token = TokenOfFile(pki_get()->server->pem);
  auto reply = DecodeBy(token);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(1u, reply->n_certificates);
  EXPECT_EQ(STATUS_NOT_FOUND, DecodeBy(token).code);
}

TEST_F(Descriptors, IsWhatIsNoTokenNotFoundWhateverIsWrong) {
  std::string token = TokenOfFile(pki_get()->server->pem);
  std::string unused = Token();
  Client other = Connect();
  auto anothers = DecodeBy(token, &other);
  EXPECT_EQ(STATUS_NOT_FOUND, anothers.code);
  for (const std::string &wrong : {std::string(16, 'x'), std::string("x"), std::string(), unused}) {
    auto reply = DecodeBy(wrong);
    EXPECT_EQ(STATUS_NOT_FOUND, reply.code);
    EXPECT_EQ(anothers.message, reply.message);
  }
  EXPECT_EQ(0, DecodeBy(token).code);
}

TEST_F(Descriptors, IsAFolderOneToSearch) {
  Folder folder;
  int fd = open(folder.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  std::string token = TokenOf(fd);
  close(fd);
  ByToken material(token);
  V1(Material) * list[] = {&material.message};
  V1(TrustSettings) trust = TLSAGENT__V1__TRUST_SETTINGS__INIT;
  trust.n_directories = 1;
  trust.directories = list;
  auto request = New<V1(CreateContextRequest)>();
  request.kind = TLSAGENT__V1__CONTEXT_KIND__CONTEXT_KIND_CLIENT;
  request.trust = &trust;
  auto reply = client_->Call(request);
  EXPECT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(STATUS_NOT_FOUND, client_->Call(request).code);
}

class DescriptorsOut : public Descriptors {
 protected:
  void SetUp() override {
    limits_.descriptor_tokens_per_owner = 1;
    Descriptors::SetUp();
  }
  Reply<V1(RelayResponse)> Relay(uint64_t session) {
    auto request = New<V1(RelayRequest)>();
    request.session = session;
    request.by_token = true;
    return client_->Call(request);
  }
};

TEST_F(DescriptorsOut, IsARelaysEndFetchedByToken) {
  uint64_t session = OpenOnFd();
  auto reply = Relay(session);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_EQ(-1, client_->TakeFd()) << "none comes with the answer";
  int fd = -1;
  ASSERT_EQ("OK\n", SayLine(path(), "get", Text(reply->token), &fd));
  ASSERT_GE(fd, 0);
  EXPECT_TRUE(peer_write(peer_.get(), "hi", 2));
  char text[3] = "";
  EXPECT_EQ(2, recv(fd, text, 2, MSG_WAITALL));
  EXPECT_STREQ("hi", text);
  close(fd);
}

TEST_F(DescriptorsOut, IsASessionAsItWasWhenThereIsNoToken) {
  uint64_t session = OpenOnFd();
  std::string token = Token();
  auto refused = Relay(session);
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, refused.code);
  EXPECT_NE(std::string::npos, refused.message.find("\"descriptor_tokens_per_owner\" (1)"));
  EXPECT_TRUE(peer_write(peer_.get(), "hi", 2));
  EXPECT_EQ("hi", Text(Read(session)->data));
}

TEST_F(DescriptorsOut, DoesARelayThatCannotBeginKeepNoToken) {
  uint64_t session = OpenInMemory();
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Relay(session).code);
  EXPECT_EQ(16u, Token().size()) << "the only one";
}

TEST_F(DescriptorsOut, DoesARelayThatNobodyFetchesEnd) {
  uint64_t session = OpenOnFd();
  auto reply = Relay(session);
  ASSERT_EQ(0, reply.code);
  client_->Disconnect();
  EXPECT_EQ("", ReadPeer(peer_, 1));
  int fd = -1;
  EXPECT_EQ(0u, SayLine(path(), "get", Text(reply->token), &fd).find("ERR "));
}

}  // namespace
