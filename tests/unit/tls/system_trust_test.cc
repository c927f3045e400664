#include "server/tls/system_trust.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/support/folder.h"
#include "tests/unit/tls/harness.h"

namespace {

class SystemTrustTest : public TlsTest {
 protected:
  void SetUp() override {
    setenv("SSL_CERT_FILE", (folder_ / "none.pem").c_str(), 1);
    setenv("SSL_CERT_DIR", folder_.path().c_str(), 1);
  }
  void TearDown() override {
    unsetenv("SSL_CERT_FILE");
    unsetenv("SSL_CERT_DIR");
  }
  void Write(const std::string &name, const std::string &content) {
    std::ofstream(folder_ / name) << content;
  }
  // How many certificates and lists are found.
  std::pair<int, int> Read() {
    STACK_OF(X509) *certificates = sk_X509_new_null();
    STACK_OF(X509_CRL) *crls = sk_X509_CRL_new_null();
    EXPECT_EQ(system_trust_read(certificates, crls).code, STATUS_OK);
    std::pair<int, int> found(sk_X509_num(certificates), sk_X509_CRL_num(crls));
    sk_X509_pop_free(certificates, X509_free);
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
    return found;
  }
  std::string Digest() {
    uint8_t digest[DIGEST_SIZE];
    EXPECT_EQ(system_trust_digest(digest).code, STATUS_OK);
    return String(slice_of(digest, sizeof(digest)));
  }
  const struct pki *pki_ = pki_get();
  Folder folder_;
};

TEST_F(SystemTrustTest, IsNothingNothing) {
  EXPECT_EQ(Read(), std::make_pair(0, 0));
}

TEST_F(SystemTrustTest, AreFileAndHashedFilesReadEachOnce) {
  Write("bundle.pem", std::string(pki_->root->pem) + pki_->other_root->pem);
  setenv("SSL_CERT_FILE", (folder_ / "bundle.pem").c_str(), 1);
  Write("0123abcd.0", pki_->root->pem);
  Write("0123abcd.1", pki_->intermediate->pem);
  char *crl = pki_crl(pki_->root, nullptr);
  Write("0123abcd.r0", crl);
  free(crl);
  EXPECT_EQ(Read(), std::make_pair(3, 1));
}

TEST_F(SystemTrustTest, AreOtherNamesLeftAlone) {
  for (const char *name : {"root.pem", "0123abcd", "0123abcd.", "0123abcd.x", "0123abcdef.0",
                           "0123abc.0", "0123abcd.0~"}) {
    Write(name, pki_->root->pem);
  }
  EXPECT_EQ(Read(), std::make_pair(0, 0));
}

TEST_F(SystemTrustTest, IsADamagedFileSkipped) {
  Write("0123abcd.0", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  Write("0123abcd.1", pki_->root->pem);
  EXPECT_EQ(Read(), std::make_pair(1, 0));
}

TEST_F(SystemTrustTest, AreSeveralDirectoriesRead) {
  setenv("SSL_CERT_DIR", ("/nowhere::" + folder_.path()).c_str(), 1);
  Write("0123abcd.0", pki_->root->pem);
  EXPECT_EQ(Read(), std::make_pair(1, 0));
}

TEST_F(SystemTrustTest, DoesTheDigestTellAChange) {
  std::string before = Digest();
  EXPECT_EQ(Digest(), before);
  Write("0123abcd.0", pki_->root->pem);
  EXPECT_NE(Digest(), before);
}

TEST_F(SystemTrustTest, IsAnEmptySystemStoreAnAnswerThatHelps) {
  Change change;
  change.SystemTrust();
  Error error = Refused(TLS_CONTEXT_CLIENT, change);
  EXPECT_STREQ(error.item, "trust.system");
  EXPECT_NE(std::string(error.detail).find("ca-certificates"), std::string::npos);
}

TEST_F(SystemTrustTest, IsTheSystemStoreFoundByAContext) {
  Write("0123abcd.0", pki_->root->pem);
  Change change;
  change.SystemTrust().Trust(pki_->other_root->pem);
  Context context = MakeContext(TLS_CONTEXT_CLIENT, change);
  Arena arena;
  tls_context_info info;
  ASSERT_EQ(tls_context_describe(context.get(), arena, &info).code, STATUS_OK);
  EXPECT_EQ(info.trust.certificates, 2u);
}

}  // namespace
