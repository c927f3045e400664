// Directories of hashed CA files: who may have which one searched, and what is read of it.
#include "server/service/directories.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/ring/closer.h"
#include "tests/unit/service/harness.h"

namespace {

constexpr auto kDone = TLSAGENT__V1__STATE__STATE_DONE;
constexpr auto kFailed = TLSAGENT__V1__STATE__STATE_FAILED;

std::string HashedName(const struct pki_identity *identity) {
  char name[32];
  const X509_NAME *subject = X509_get_subject_name(identity->certificate);
  snprintf(name, sizeof(name), "%08lx.0", X509_NAME_hash_ex(subject, nullptr, nullptr, nullptr));
  return name;
}

void WriteFile(const std::string &path, const std::string &bytes) {
  int fd = open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
  EXPECT_EQ((ssize_t)bytes.size(), write(fd, bytes.data(), bytes.size()));
  close(fd);
}

class Directory : public testing::Test {
 protected:
  ~Directory() override {
    if (directory_.unref != nullptr) {
      directory_.unref(directory_.owner);
    }
  }
  int Open(int flags = O_RDONLY | O_DIRECTORY) {
    return open(folder_.path().c_str(), flags | O_CLOEXEC);
  }
  void Make() {
    ASSERT_EQ(STATUS_OK, directory_new(Open(), getuid(), &directory_).code);
  }
  // The bytes, or "(none)" when there is no such file.
  std::string Read(const std::string &name, size_t size = 1000) {
    std::vector<uint8_t> data(size);
    size_t len = 7;
    bool found = directory_.read(directory_.owner, name.c_str(), data.data(), size, &len);
    return found ? std::string(data.begin(), data.begin() + (ptrdiff_t)len) : "(none)";
  }
  Folder folder_;
  struct tls_directory directory_ = {};
};

TEST_F(Directory, IsAFileReadAndALinkFollowed) {
  Make();
  EXPECT_EQ("(none)", Read("a.0"));
  WriteFile(folder_ / "a.0", "bytes");
  ASSERT_EQ(0, symlink("a.0", (folder_ / "b.0").c_str()));
  EXPECT_EQ("bytes", Read("a.0"));
  EXPECT_EQ("bytes", Read("b.0"));
  EXPECT_EQ("bytes", Read("a.0", 5));
  EXPECT_EQ("", Read("a.0", 4)) << "too large";
}

// Nothing there makes a worker wait, or gives what isn't in a file.
TEST_F(Directory, IsEverythingElsePassedOver) {
  Make();
  ASSERT_EQ(0, mkdir((folder_ / "directory.0").c_str(), 0700));
  ASSERT_EQ(0, mkfifo((folder_ / "fifo.0").c_str(), 0600));
  ASSERT_EQ(0, symlink("/dev/zero", (folder_ / "device.0").c_str()));
  ASSERT_EQ(0, symlink("loop.0", (folder_ / "loop.0").c_str()));
  WriteFile(folder_ / "secret", "secret");
  int secret = open((folder_ / "secret").c_str(), O_RDONLY | O_CLOEXEC);
  std::string own = "/proc/self/fd/" + std::to_string(secret);
  ASSERT_EQ(0, symlink(own.c_str(), (folder_ / "own.0").c_str()));
  for (const char *name : {"directory.0", "fifo.0", "device.0", "loop.0", "own.0"}) {
    EXPECT_EQ("", Read(name)) << name;
  }
  close(secret);
}

TEST_F(Directory, IsWhatIsNoDirectoryRefusedAndClosed) {
  WriteFile(folder_ / "file", "x");
  int pipes[2];
  ASSERT_EQ(0, pipe(pipes));
  size_t before = NumOpenFds();
  EXPECT_EQ(STATUS_INVALID_ARGUMENT,
            directory_new(open((folder_ / "file").c_str(), O_RDONLY), getuid(), &directory_).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, directory_new(dup(pipes[0]), getuid(), &directory_).code);
  EXPECT_TRUE(Eventually([&] { return NumOpenFds() == before; }));
  close(pipes[0]);
  close(pipes[1]);
}

// The daemon's rights are lent to nobody: a link in the directory may point anywhere, and an
// overlay can show any owner and mode.
TEST_F(Directory, MayOthersHaveNoneSearched) {
  const uid_t other = geteuid() + 1;
  size_t before = NumOpenFds();
  for (const char *path : {folder_.path().c_str(), "/etc", "/dev/null"}) {
    struct tls_directory made = {};
    EXPECT_EQ(STATUS_PERMISSION_DENIED,
              directory_new(open(path, O_RDONLY | O_CLOEXEC), other, &made).code)
        << path;
  }
  EXPECT_TRUE(Eventually([&] { return NumOpenFds() == before; }));
  struct tls_directory roots = {};
  ASSERT_EQ(STATUS_OK, directory_new(Open(), 0, &roots).code);
  roots.unref(roots.owner);
}

TEST_F(Directory, IsItClosedWithItsLastReference) {
  size_t before = NumOpenFds();
  struct tls_directory made = {};
  ASSERT_EQ(STATUS_OK, directory_new(Open(), getuid(), &made).code);
  made.ref(made.owner);
  made.unref(made.owner);
  EXPECT_TRUE(Eventually([&] { return NumOpenFds() == before + 1; }));
  made.unref(made.owner);
  EXPECT_TRUE(Eventually([&] { return NumOpenFds() == before; }));
}

// ---------------------------------------------------------------------------------------------

class Directories : public Sessions {
 protected:
  Reply<V1(CreateContextResponse)> Create(const std::vector<int> &fds, size_t num = 1) {
    V1(Material) material;
    tlsagent__v1__material__init(&material);
    material.source_case = TLSAGENT__V1__MATERIAL__SOURCE_FD;
    std::vector<V1(Material) *> list(num, &material);
    V1(TrustSettings) trust = TLSAGENT__V1__TRUST_SETTINGS__INIT;
    trust.directories = list.data();
    trust.n_directories = num;
    How how;
    how.fds = fds;
    auto request = New<V1(CreateContextRequest)>();
    request.kind = TLSAGENT__V1__CONTEXT_KIND__CONTEXT_KIND_CLIENT;
    request.trust = &trust;
    return client_->Call(request, how);
  }
  size_t Listed(uint64_t context) {
    auto request = New<V1(ListTrustRequest)>();
    request.context = context;
    return client_->Call(request)->n_der;
  }
  Tlsagent__V1__State ConnectTo(uint64_t context) {
    Sockets sockets;
    Peer peer = ServerPeer(sockets.ReleaseTheirs());
    Way way;
    How how;
    how.fds.push_back(sockets.ours());
    auto request = New<V1(ConnectRequest)>();
    request.context = context;
    request.transport = way.Fd().get();
    request.server_name = (char *)"host.test";
    uint32_t id = client_->Start(request, how);
    peer_handshake(peer.get());
    return client_->Finish<V1(ConnectRequest)>(id)->progress->state;
  }
  Folder folder_;
};

// As get_ca_certs() of Python has it: nothing before the handshake, one after.
TEST_F(Directories, IsAnAuthorityListedOnceItWasNeeded) {
  int fd = open(folder_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  auto made = Create({fd});
  close(fd);
  ASSERT_EQ(STATUS_OK, made.code) << made.message;
  ASSERT_NE(0u, made->context);
  EXPECT_EQ(kFailed, ConnectTo(made->context));
  EXPECT_EQ(0u, Listed(made->context));
  WriteFile(folder_ / HashedName(pki_get()->root), pki_get()->root->pem);
  EXPECT_EQ(kDone, ConnectTo(made->context));
  EXPECT_EQ(1u, Listed(made->context));
}

TEST_F(Directories, IsAnotherUserToldWhatToDoInstead) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root can be another user";
  }
  client_.reset(new Client(ConnectAs(4711)));
  int fd = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  auto made = Create({fd});
  close(fd);
  EXPECT_EQ(STATUS_PERMISSION_DENIED, made.code);
  EXPECT_NE(std::string::npos, made.message.find("send the bytes")) << made.message;
}

TEST_F(Directories, IsItClosedWithItsContext) {
  int fd = open(folder_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  size_t before = NumOpenFds();
  auto made = Create({fd});
  EXPECT_TRUE(Eventually([&] { return NumOpenFds() == before + 1; }));
  auto release = New<V1(ReleaseContextRequest)>();
  release.context = made->context;
  EXPECT_EQ(STATUS_OK, client_->Call(release).code);
  EXPECT_TRUE(Eventually([&] { return NumOpenFds() == before; }));
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Create({fd}, 2).code) << "one descriptor for two";
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Create({fd}, 5).code) << "too many";
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Create({}).code);
  int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Create({file}).code);
  close(file);
  EXPECT_TRUE(Eventually([&] { return NumOpenFds() == before; }));
  close(fd);
}

}  // namespace
