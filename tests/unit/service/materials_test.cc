// Materials by descriptor, wherever a material can stand.
#include "server/service/materials.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/service/harness.h"

namespace {

// A material that is the descriptor of that index.
struct ByFd {
  explicit ByFd(uint32_t index) {
    tlsagent__v1__material__init(&message);
    message.source_case = TLSAGENT__V1__MATERIAL__SOURCE_FD;
    message.fd = index;
  }
  V1(Material) message;
};

class Materials : public Daemon {
 protected:
  ~Materials() override {
    for (int fd : fds_) {
      close(fd);
    }
  }
  // A file of these bytes, its offset at the end.
  int File(const std::string &bytes, int flags = O_RDWR) {
    std::string path = folder_ / ("file" + std::to_string(fds_.size()));
    int fd = open(path.c_str(), O_CREAT | O_WRONLY, 0600);
    EXPECT_EQ((ssize_t)bytes.size(), write(fd, bytes.data(), bytes.size()));
    close(fd);
    fd = Keep(open(path.c_str(), flags));
    lseek(fd, 0, SEEK_END);
    return fd;
  }
  int Keep(int fd) {
    EXPECT_GE(fd, 0);
    fds_.push_back(fd);
    return fd;
  }
  Reply<V1(DecodeResponse)> Decode(int fd, uint32_t index = 0, Client *as = nullptr) {
    ByFd material(index);
    How how;
    how.fds.push_back(fd);
    auto request = New<V1(DecodeRequest)>();
    request.certificates = &material.message;
    return (as == nullptr ? client_ : *as).Call(request, how);
  }
  Folder folder_;
  Client client_ = Connect();
  std::vector<int> fds_;
};

TEST_F(Materials, IsAFileReadFromItsStartWhateverItsOffset) {
  int fd = File(std::string(pki_get()->server->pem) + pki_get()->root->pem);
  for (int i = 0; i < 2; i++) {
    auto reply = Decode(fd);
    ASSERT_EQ(STATUS_OK, reply.code) << reply.message;
    EXPECT_EQ(2u, reply->n_certificates);
  }
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), lseek(fd, 0, SEEK_END)) << "which stays";
}

TEST_F(Materials, IsAContextMadeOfFilesAlone) {
  How how;
  const struct pki_identity *server = pki_get()->server;
  how.fds = {File(server->chain_pem), File(server->key_pem), File(pki_get()->root->pem)};
  V1(CertificatePair) pair = TLSAGENT__V1__CERTIFICATE_PAIR__INIT;
  V1(CertificatePair) * pairs[] = {&pair};
  ByFd chain(0), key(1), root(2);
  V1(Material) * roots[] = {&root.message};
  V1(TrustSettings) trust = TLSAGENT__V1__TRUST_SETTINGS__INIT;
  trust.certificates = roots;
  trust.n_certificates = 1;
  pair.chain = &chain.message;
  pair.key = &key.message;
  auto request = New<V1(CreateContextRequest)>();
  request.pairs = pairs;
  request.n_pairs = 1;
  request.trust = &trust;
  auto made = client_.Call(request, how);
  ASSERT_EQ(STATUS_OK, made.code) << made.message;
  EXPECT_EQ(nullptr, made->error);
  auto describe = New<V1(DescribeContextRequest)>();
  describe.context = made->context;
  auto described = client_.Call(describe);
  EXPECT_EQ(1u, described->n_certificates);
  EXPECT_EQ(1u, described->trust->certificates);
}

TEST_F(Materials, AreDhParametersTakenByDescriptor) {
  How how;
  how.fds = {File("junk")};
  ByFd params(0);
  V1(ContextSettings) settings = TLSAGENT__V1__CONTEXT_SETTINGS__INIT;
  settings.dh_params = &params.message;
  auto request = New<V1(CreateContextRequest)>();
  request.settings = &settings;
  auto made = client_.Call(request, how);
  ASSERT_EQ(STATUS_OK, made.code) << made.message;
  ASSERT_NE(nullptr, made->error);
  EXPECT_STREQ("settings.dh_params", made->error->item);
}

TEST_F(Materials, IsAChainToVerifyTakenByDescriptor) {
  How how;
  how.fds = {File(pki_get()->server->chain_pem), File(pki_get()->root->pem)};
  ByFd chain(0), root(1);
  V1(Material) * roots[] = {&root.message};
  auto request = New<V1(VerifyRequest)>();
  request.chain = &chain.message;
  request.trust = roots;
  request.n_trust = 1;
  auto verified = client_.Call(request, how);
  EXPECT_EQ(STATUS_OK, verified.code) << verified.message;
  EXPECT_TRUE(verified->ok);
}

// A worker would wait for what they may bring some day.
TEST_F(Materials, IsEverythingElseThanAFileRefused) {
  int pipes[2];
  int sockets[2];
  ASSERT_EQ(0, pipe(pipes));
  ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
  for (int fd : {Keep(pipes[0]), Keep(pipes[1]), Keep(sockets[0]), Keep(sockets[1]),
                 Keep(open("/dev/null", O_RDONLY)), Keep(open("/dev/zero", O_RDONLY)),
                 Keep(open(".", O_RDONLY)), Keep(open("/", O_PATH)),
                 File(pki_get()->root->pem, O_WRONLY), File(pki_get()->root->pem, O_PATH)}) {
    auto reply = Decode(fd);
    EXPECT_EQ(STATUS_INVALID_ARGUMENT, reply.code) << reply.message;
  }
}

TEST_F(Materials, DoesAFileWithoutSizeHoldNothing) {
  for (int fd : {File(""), Keep(open("/proc/self/maps", O_RDONLY))}) {
    auto reply = Decode(fd);
    EXPECT_EQ(STATUS_OK, reply.code) << reply.message;
    EXPECT_EQ(0u, reply->n_certificates);
  }
}

TEST_F(Materials, IsAFileHeldToTheLimit) {
  int large = File(std::string(limits_.material_bytes + 1, '\n'));
  auto reply = Decode(large);
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, reply.code);
  EXPECT_NE(std::string::npos, reply.message.find("material_bytes"));
  int fits = File(pki_get()->root->pem +
                  std::string(limits_.material_bytes - strlen(pki_get()->root->pem), '\n'));
  EXPECT_EQ(1u, Decode(fits)->n_certificates);
}

TEST_F(Materials, IsADescriptorThatDidNotComeMissed) {
  int fd = File(pki_get()->root->pem);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Decode(fd, 1).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Decode(fd, UINT32_MAX).code);
}

TEST(MayPassFiles, OnlyTheDaemonsOwnUserAndRoot) {
  EXPECT_TRUE(may_pass_files(0));
  EXPECT_TRUE(may_pass_files(geteuid()));
  EXPECT_FALSE(may_pass_files(geteuid() + 1));
  EXPECT_FALSE(may_pass_files(65534)) << "whose id isn't mapped";
}

// It may lie where reading it hangs: nothing is asked of it, and its close is the closer's.
TEST_F(Materials, IsAnotherUsersFileRefusedUnseen) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root can be another user";
  }
  Client other = ConnectAs(4711);
  int file = File(pki_get()->root->pem);
  int directory = Keep(open(".", O_RDONLY));
  Material bytes(pki_get()->root->pem);
  auto request = New<V1(DecodeRequest)>();
  request.certificates = bytes.get();
  EXPECT_EQ(1u, other.Call(request)->n_certificates);  // and the daemon has his connection
  size_t before = NumOpenFds();
  for (int fd : {file, directory}) {
    auto reply = Decode(fd, 0, &other);
    EXPECT_EQ(STATUS_PERMISSION_DENIED, reply.code);
    EXPECT_NE(std::string::npos, reply.message.find(": send the bytes instead")) << reply.message;
  }
  EXPECT_TRUE(Eventually([&] { return NumOpenFds() == before; }));
}

TEST_F(Materials, AreDescriptorsClosedWhateverCameOfThem) {
  int good = File(pki_get()->root->pem);
  int bad = File("junk");
  int directory = Keep(open(".", O_RDONLY));
  Decode(good);
  size_t before = NumOpenFds();
  for (int i = 0; i < 10; i++) {
    Decode(good);
    Decode(bad);
    Decode(directory);
    Decode(good, 1);
  }
  EXPECT_TRUE(Eventually([&] { return NumOpenFds() == before; }));
}

}  // namespace
