#include "server/tls/trust_directory.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <thread>

#include "server/tls/trust.h"
#include "tests/unit/tls/harness.h"

namespace {

// A directory in memory.
class Folder {
 public:
  tls_directory get() {
    tls_directory out = {Read, Ref, Unref, this, 1, inode_};
    return out;
  }
  explicit Folder(uint64_t inode = 1) : inode_(inode) {}
  void Put(const std::string &name, const std::string &bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    files_[name] = bytes;
  }
  void Put(const pki_identity *identity, int suffix = 0, bool der = false) {
    Put(Name(X509_get_subject_name(identity->certificate), ".", suffix),
        der ? String(identity->der) : identity->pem);
  }
  // Filled up to that size.
  void PutCrl(const pki_identity *issuer, const pki_identity *revoked, int suffix = 0,
              size_t size = 0) {
    char *crl = pki_crl(issuer, revoked);
    std::string bytes = crl;
    free(crl);
    bytes.resize(std::max(size, bytes.size()), '\n');
    Put(Name(X509_get_subject_name(issuer->certificate), ".r", suffix), bytes);
  }
  static std::string Name(const X509_NAME *name, const char *dot, int suffix) {
    char text[32];
    snprintf(text, sizeof(text), "%08lx%s%d", X509_NAME_hash_ex(name, nullptr, nullptr, nullptr),
             dot, suffix);
    return text;
  }
  int refs() {
    std::lock_guard<std::mutex> lock(mutex_);
    return refs_;
  }
  int reads(const pki_identity *identity) {
    std::lock_guard<std::mutex> lock(mutex_);
    return reads_[Name(X509_get_subject_name(identity->certificate), ".", 0)];
  }

 private:
  static bool Read(void *owner, const char *name, uint8_t *out, size_t size, size_t *out_len) {
    Folder *folder = static_cast<Folder *>(owner);
    std::lock_guard<std::mutex> lock(folder->mutex_);
    folder->reads_[name]++;
    auto found = folder->files_.find(name);
    *out_len = 0;
    if (found == folder->files_.end()) {
      return false;
    }
    if (found->second.size() <= size) {
      memcpy(out, found->second.data(), found->second.size());
      *out_len = found->second.size();
    }
    return true;
  }
  static void Ref(void *owner) {
    Folder *folder = static_cast<Folder *>(owner);
    std::lock_guard<std::mutex> lock(folder->mutex_);
    folder->refs_++;
  }
  static void Unref(void *owner) {
    Folder *folder = static_cast<Folder *>(owner);
    std::lock_guard<std::mutex> lock(folder->mutex_);
    folder->refs_--;
  }
  uint64_t inode_;
  std::mutex mutex_;
  std::map<std::string, std::string> files_;
  int refs_ = 0;
  std::map<std::string, int> reads_;
};

class TrustDirectoryTest : public TlsTest {
 protected:
  ~TrustDirectoryTest() override {
    client_.reset();
    pki_free(directly_issued_);
    EXPECT_EQ(folder_.refs(), 0);
  }
  void MakeClient(Change &change) {
    directory_ = folder_.get();
    tls_context_change with = *change.get();
    with.trust.directories = &directory_;
    with.trust.num_directories = 1;
    tls_context *context = nullptr;
    Error error;
    ASSERT_EQ(tls_context_new(TLS_CONTEXT_CLIENT, &with, &context, &error).code, STATUS_OK)
        << error.item << error.detail;
    client_.reset(context);
  }
  void MakeClient() {
    Change change;
    MakeClient(change);
  }
  status_code Configure(tls_directory *directories, size_t num, Error *error) {
    tls_context_change change = {};
    change.trust.directories = directories;
    change.trust.num_directories = num;
    return tls_context_configure(client_.get(), &change, error).code;
  }
  // Whether the client takes the server.
  bool Connects(const pki_identity *identity = pki_get()->server) {
    Change server;
    server.Pair(identity);
    Context context = MakeContext(TLS_CONTEXT_SERVER, server);
    Ends ends(::MakeClient(client_), MakeServer(context));
    ends.Shake();
    verify_code_ = engine_error(ends.client.get())->verify_code;
    return ends.established();
  }
  tls_trust_counts Counts() {
    Arena arena;
    tls_context_info info;
    EXPECT_EQ(tls_context_describe(client_.get(), arena, &info).code, STATUS_OK);
    slice *der = nullptr;
    size_t num = 0;
    EXPECT_EQ(tls_context_list_trust(client_.get(), arena, &der, &num).code, STATUS_OK);
    EXPECT_EQ(num, info.trust.ca_certificates);
    return info.trust;
  }
  // A server's, by the root.
  const pki_identity *DirectlyIssued() {
    pki_request request = {};
    request.name = "host.test";
    request.issuer = pki_->root;
    request.alt_names = "DNS:host.test";
    directly_issued_ = pki_issue(&request);
    return directly_issued_;
  }
  const struct pki *pki_ = pki_get();
  pki_identity *directly_issued_ = nullptr;
  Folder folder_;
  tls_directory directory_;
  Context client_;
  long verify_code_ = 0;
};

TEST_F(TrustDirectoryTest, IsAnAuthorityFoundWhenAHandshakeNeedsIt) {
  folder_.Put(pki_->root);
  folder_.Put(pki_->other_root);
  MakeClient();
  EXPECT_EQ(Counts().certificates, 0u);
  EXPECT_TRUE(Connects());
  EXPECT_EQ(Counts().certificates, 1u) << "the one that was needed";
  EXPECT_EQ(Counts().ca_certificates, 1u);
  EXPECT_TRUE(Connects());
  EXPECT_EQ(folder_.reads(pki_->root), 1) << "then it is there";
  EXPECT_EQ(folder_.reads(pki_->other_root), 0);
  EXPECT_GE(folder_.reads(pki_->intermediate), 2) << "what isn't is looked for again";
}

TEST_F(TrustDirectoryTest, IsDerReadToo) {
  folder_.Put(pki_->root, 0, true);
  MakeClient();
  EXPECT_TRUE(Connects());
}

// What isn't there isn't remembered.
TEST_F(TrustDirectoryTest, IsANewFileFound) {
  MakeClient();
  EXPECT_FALSE(Connects());
  EXPECT_EQ(verify_code_, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
  folder_.Put(pki_->root);
  EXPECT_TRUE(Connects());
}

// Files that are of another name, damaged, empty or too large are passed over.
TEST_F(TrustDirectoryTest, DoesRubbishStandInNobodysWay) {
  const X509_NAME *name = X509_get_subject_name(pki_->root->certificate);
  folder_.Put(Folder::Name(name, ".", 0), pki_->other_root->pem);
  folder_.Put(Folder::Name(name, ".", 1), "rubbish");
  folder_.Put(Folder::Name(name, ".", 2), "");
  folder_.Put(Folder::Name(name, ".", 3),
              std::string(TRUST_DIRECTORY_BYTES_MAX, '\n') + pki_->root->pem);
  folder_.Put(Folder::Name(name, ".", 4), std::string(pki_->root->pem).substr(0, 100));
  folder_.Put(Folder::Name(name, ".", 5), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERT");
  folder_.Put(pki_->root, 6);
  MakeClient();
  EXPECT_TRUE(Connects());
  EXPECT_EQ(Counts().certificates, 1u);
}

TEST_F(TrustDirectoryTest, IsASearchBounded) {
  const X509_NAME *name = X509_get_subject_name(pki_->root->certificate);
  for (int i = 0; i < TRUST_DIRECTORY_SUFFIXES_MAX; i++) {
    folder_.Put(Folder::Name(name, ".", i), "rubbish");
  }
  folder_.Put(pki_->root, TRUST_DIRECTORY_SUFFIXES_MAX);
  MakeClient();
  EXPECT_FALSE(Connects());
}

TEST_F(TrustDirectoryTest, AreListsFound) {
  Change change;
  change.Set(TLS_SET_VERIFY_FLAGS).verify_flags = X509_V_FLAG_CRL_CHECK;
  folder_.Put(pki_->root);
  MakeClient(change);
  EXPECT_FALSE(Connects());
  EXPECT_EQ(verify_code_, X509_V_ERR_UNABLE_TO_GET_CRL);
  folder_.PutCrl(pki_->intermediate, nullptr);
  EXPECT_TRUE(Connects());
  EXPECT_EQ(Counts().crls, 1u);
  EXPECT_TRUE(Connects());
  EXPECT_EQ(Counts().crls, 1u);
  folder_.PutCrl(pki_->intermediate, pki_->server, 1);
  Connects();
  EXPECT_EQ(Counts().crls, 2u) << "a further one";
}

TEST_F(TrustDirectoryTest, IsARevokedCertificateRefused) {
  Change change;
  change.Set(TLS_SET_VERIFY_FLAGS).verify_flags = X509_V_FLAG_CRL_CHECK;
  folder_.Put(pki_->root);
  folder_.PutCrl(pki_->intermediate, pki_->server);
  MakeClient(change);
  EXPECT_FALSE(Connects());
  EXPECT_EQ(verify_code_, X509_V_ERR_CERT_REVOKED);
  EXPECT_TRUE(Connects(pki_->server_rsa));
}

// One file under the names of both.
TEST_F(TrustDirectoryTest, AreACertificateAndAListInOneFileBothFound) {
  Change change;
  change.Set(TLS_SET_VERIFY_FLAGS).verify_flags = X509_V_FLAG_CRL_CHECK;
  char *crl = pki_crl(pki_->root, nullptr);
  const X509_NAME *name = X509_get_subject_name(pki_->root->certificate);
  for (const char *dot : {".", ".r"}) {
    folder_.Put(Folder::Name(name, dot, 0), std::string(pki_->root->pem) + crl);
  }
  free(crl);
  MakeClient(change);
  EXPECT_TRUE(Connects(DirectlyIssued()));
  EXPECT_EQ(Counts().certificates, 1u);
  EXPECT_EQ(Counts().crls, 1u);
}

// As often as a list is renewed, it takes the room of one.
TEST_F(TrustDirectoryTest, DoesAReplacedListGiveItsRoomBack) {
  Change change;
  change.Set(TLS_SET_VERIFY_FLAGS).verify_flags = X509_V_FLAG_CRL_CHECK;
  folder_.Put(pki_->root);
  MakeClient(change);
  const size_t most = TRUST_DIRECTORY_BYTES_MAX * 3 / 4;
  const int times = TRUST_DIRECTORY_REPLACED_BYTES_MAX / (int)most;
  for (int i = 0; i <= times; i++) {
    folder_.PutCrl(pki_->intermediate, nullptr, 0, most);
    EXPECT_TRUE(Connects()) << i;
    EXPECT_EQ(Counts().crls, (size_t)i + 1) << "the old ones are still there";
  }
  testing::internal::CaptureStderr();
  folder_.PutCrl(pki_->intermediate, pki_->server, 0, most);
  EXPECT_TRUE(Connects()) << "no room: passed over";
  EXPECT_TRUE(Connects());
  std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("no room left"), std::string::npos);
  EXPECT_EQ(log.find("no room left"), log.rfind("no room left")) << "once";
  Change more;
  more.Trust(pki_->other_root->pem);
  Error error;
  ASSERT_EQ(tls_context_configure(client_.get(), more.get(), &error).code, STATUS_OK);
  EXPECT_EQ(Counts().crls, 1u) << "the last one";
  Connects();  // by either: OpenSSL takes the newer one, and they are of one second
  EXPECT_EQ(Counts().crls, 2u) << "and there is room again";
}

// A change that trusts more keeps what was found; another context begins with nothing.
TEST_F(TrustDirectoryTest, IsWhatWasFoundTheContextsOwn) {
  folder_.Put(pki_->root);
  MakeClient();
  EXPECT_TRUE(Connects());
  Change more;
  more.Trust(pki_->other_root->pem);
  Error error;
  ASSERT_EQ(tls_context_configure(client_.get(), more.get(), &error).code, STATUS_OK);
  EXPECT_EQ(Counts().certificates, 2u);
  EXPECT_TRUE(Connects());
  Context first = std::move(client_);
  MakeClient();
  EXPECT_EQ(Counts().certificates, 0u);
  EXPECT_EQ(folder_.refs(), 2);
}

TEST_F(TrustDirectoryTest, IsTheSameDirectoryTakenOnce) {
  MakeClient();
  Error error;
  tls_directory same[] = {folder_.get(), folder_.get()};
  EXPECT_EQ(Configure(same, 2, &error), STATUS_OK);
  EXPECT_EQ(folder_.refs(), 1);
}

TEST_F(TrustDirectoryTest, AreSeveralSearchedButNotAnyNumber) {
  Change change;
  MakeClient(change);
  Folder second(2), third(3), fourth(4), fifth(5);
  second.Put(pki_->root);
  Error error;
  tls_directory many[] = {second.get(), third.get(), fourth.get(), fifth.get()};
  EXPECT_EQ(Configure(many, 4, &error), STATUS_INVALID_ARGUMENT);
  EXPECT_STREQ(error.item, "trust.directories[3]");
  EXPECT_EQ(second.refs(), 0);
  EXPECT_EQ(Configure(many, 3, &error), STATUS_OK) << error.detail;
  EXPECT_TRUE(Connects());
  client_.reset();
  EXPECT_EQ(second.refs(), 0);
}

TEST_F(TrustDirectoryTest, DoesItCountForTheBytesThatMayBeTrusted) {
  Change change;
  tls_context_change with = *change.get();
  directory_ = folder_.get();
  with.trust.directories = &directory_;
  with.trust.num_directories = 1;
  with.trust.max_bytes = TRUST_DIRECTORY_BYTES_MAX - 1;
  tls_context *context = nullptr;
  Error error;
  EXPECT_EQ(tls_context_new(TLS_CONTEXT_CLIENT, &with, &context, &error).code,
            STATUS_INVALID_ARGUMENT);
  EXPECT_NE(std::string(error.detail).find("bytes of trust in all"), std::string::npos);
}

TEST_F(TrustDirectoryTest, CanManyThreadsSearchAtOnce) {
  folder_.Put(pki_->root);
  MakeClient();
  Change server = ServerChange();
  Context context = MakeContext(TLS_CONTEXT_SERVER, server);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&] {
      for (int j = 0; j < 5; j++) {
        Ends ends(::MakeClient(client_), MakeServer(context));
        ends.Shake();
        EXPECT_TRUE(ends.established());
        Counts();
      }
    });
  }
  for (auto &thread : threads) {
    thread.join();
  }
  EXPECT_EQ(Counts().certificates, 1u);
}

}  // namespace
