#include <openssl/x509_vfy.h>

#include "tests/unit/tls/harness.h"

namespace {

class VerifyTest : public TlsTest {
 protected:
  void SetUp() override {
    Ask(pki_->server->chain_pem, pki_->root->pem);
  }
  // The request is to verify this chain with that trust.
  void Ask(const std::string &chain, const std::string &trust) {
    chain_ = chain;
    trust_ = trust;
    trust_slice_ = Slice(trust_);
    request_ = tls_verify_request{};
    request_.chain = Slice(chain_);
    request_.trust = &trust_slice_;
    request_.num_trust = 1;
  }
  void Crl(char *crl) {
    crl_ = crl;
    free(crl);
    crl_slice_ = Slice(crl_);
    request_.crls = &crl_slice_;
    request_.num_crls = 1;
    request_.flags = X509_V_FLAG_CRL_CHECK;
  }
  tls_verify_result Verify() {
    tls_verify_result result;
    tls_error_clear(&error_);
    EXPECT_EQ(tls_chain_verify(&request_, arena_, &result, &error_).code, STATUS_OK) << error_.text;
    return result;
  }
  void ExpectRefused(const char *item) {
    tls_verify_result result;
    tls_error_clear(&error_);
    EXPECT_EQ(tls_chain_verify(&request_, arena_, &result, &error_).code, STATUS_INVALID_ARGUMENT);
    EXPECT_STREQ(error_.item, item);
    EXPECT_STRNE(error_.text, "");
  }
  static bool Failed(const tls_verify_result &result, size_t depth, long code) {
    for (size_t i = 0; depth < result.num_depths && i < result.depths[depth].num_failures; i++) {
      if (result.depths[depth].failures[i].code == code) {
        return true;
      }
    }
    return false;
  }
  const struct pki *pki_ = pki_get();
  Arena arena_;
  tls_error error_;
  std::string chain_, trust_, crl_;
  slice trust_slice_, crl_slice_;
  tls_verify_request request_;
};

TEST_F(VerifyTest, IsAGoodChainGoodAtEveryDepth) {
  request_.host = "host.test";
  request_.purpose = TLS_PURPOSE_SERVER;
  tls_verify_result result = Verify();
  EXPECT_TRUE(result.ok);
  ASSERT_EQ(result.num_depths, 3u);
  for (size_t i = 0; i < 3; i++) {
    EXPECT_EQ(result.depths[i].depth, static_cast<int>(i));
    EXPECT_TRUE(result.depths[i].has_certificate);
    EXPECT_EQ(result.depths[i].num_failures, 0u);
  }
  EXPECT_EQ(String(result.depths[2].certificate.der), String(pki_->root->der));
}

TEST_F(VerifyTest, IsAHostThatDoesNotMatchNamed) {
  request_.host = "wrong.test";
  tls_verify_result result = Verify();
  EXPECT_FALSE(result.ok);
  ASSERT_EQ(result.depths[0].num_failures, 1u);
  EXPECT_STREQ(result.depths[0].failures[0].message,
               "Hostname mismatch, certificate is not valid for 'wrong.test'.");
  EXPECT_EQ(result.depths[1].num_failures, 0u);
  request_.host = "127.0.0.1";
  EXPECT_TRUE(Verify().ok);
  request_.host = "host.test.";
  EXPECT_TRUE(Verify().ok);
  request_.host = "::2";
  EXPECT_TRUE(Failed(Verify(), 0, X509_V_ERR_IP_ADDRESS_MISMATCH));
}

TEST_F(VerifyTest, AreAllFailuresFoundAndNotTheFirstOnly) {
  Ask(pki_->expired->pem, pki_->other_root->pem);
  request_.host = "wrong.test";
  request_.purpose = TLS_PURPOSE_CLIENT;
  tls_verify_result result = Verify();
  EXPECT_FALSE(result.ok);
  EXPECT_TRUE(Failed(result, 0, X509_V_ERR_CERT_HAS_EXPIRED));
  EXPECT_TRUE(Failed(result, 0, X509_V_ERR_HOSTNAME_MISMATCH));
  EXPECT_TRUE(Failed(result, 0, X509_V_ERR_INVALID_PURPOSE));
  EXPECT_TRUE(Failed(result, 0, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY));
}

TEST_F(VerifyTest, IsTheTimeTheOneAskedFor) {
  Ask(pki_->expired->chain_pem, pki_->root->pem);
  EXPECT_FALSE(Verify().ok);
  request_.has_time = true;
  request_.at_unix = time(nullptr) - 8 * 86400;
  tls_verify_result result = Verify();
  EXPECT_FALSE(Failed(result, 0, X509_V_ERR_CERT_HAS_EXPIRED));
  EXPECT_TRUE(Failed(result, 2, X509_V_ERR_CERT_NOT_YET_VALID));  // the root is of yesterday
  request_.at_unix = 0;
  EXPECT_TRUE(Failed(Verify(), 0, X509_V_ERR_CERT_NOT_YET_VALID));
}

TEST_F(VerifyTest, IsARevokedCertificateFound) {
  Crl(pki_crl(pki_->intermediate, pki_->server));
  EXPECT_TRUE(Failed(Verify(), 0, X509_V_ERR_CERT_REVOKED));
  Crl(pki_crl(pki_->intermediate, nullptr));
  EXPECT_TRUE(Verify().ok);
  Crl(pki_crl(pki_->root, nullptr));
  EXPECT_TRUE(Failed(Verify(), 0, X509_V_ERR_UNABLE_TO_GET_CRL));
}

TEST_F(VerifyTest, DoesTheOrderOfIntermediatesNotMatter) {
  Ask(std::string(pki_->server->pem) + pki_->other_root->pem + pki_->intermediate->pem,
      pki_->root->pem);
  EXPECT_TRUE(Verify().ok);
  Ask(String(pki_->server->der) + String(pki_->intermediate->der), String(pki_->root->der));
  EXPECT_TRUE(Verify().ok);
}

TEST_F(VerifyTest, DoesNobodysTrustVerifyNothing) {
  request_.num_trust = 0;
  tls_verify_result result = Verify();
  EXPECT_FALSE(result.ok);
  EXPECT_EQ(result.num_depths, 2u);
}

TEST_F(VerifyTest, IsAPartialChainGoodWhenAskedFor) {
  Ask(pki_->server->pem, pki_->intermediate->pem);
  EXPECT_FALSE(Verify().ok);
  request_.flags = X509_V_FLAG_PARTIAL_CHAIN;
  EXPECT_TRUE(Verify().ok);
}

TEST_F(VerifyTest, IsAForgedSignatureFound) {
  std::string forged = String(pki_->server->der);
  forged.back() = static_cast<char>(forged.back() ^ 1);
  Ask(forged + String(pki_->intermediate->der), pki_->root->pem);
  EXPECT_TRUE(Failed(Verify(), 0, X509_V_ERR_CERT_SIGNATURE_FAILURE));
}

TEST_F(VerifyTest, IsEveryUnreadableInputNamed) {
  Ask("", pki_->root->pem);
  ExpectRefused("chain");
  Ask("junk", pki_->root->pem);
  ExpectRefused("chain");
  Ask(pki_->server->chain_pem, "junk");
  ExpectRefused("trust[0]");
  Ask(pki_->server->chain_pem, pki_->root->pem);
  Crl(strdup("junk"));
  ExpectRefused("crls[0]");
  Ask(pki_->server->chain_pem, pki_->root->pem);
  request_.host = ".test";
  ExpectRefused("host");
  std::string endless;
  for (int i = 0; i < 257; i++) {
    endless += pki_->server->pem;
  }
  Ask(endless, pki_->root->pem);
  ExpectRefused("chain");
}

TEST_F(VerifyTest, IsAFullArenaSaid) {
  for (size_t max : {0u, 1000u, 70000u, 80000u}) {
    Arena small(max);
    tls_verify_result result;
    EXPECT_EQ(tls_chain_verify(&request_, small, &result, &error_).code, STATUS_RESOURCE_EXHAUSTED)
        << max;
  }
}

}  // namespace
