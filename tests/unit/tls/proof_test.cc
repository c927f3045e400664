#include "server/tls/proof.h"

#include <openssl/err.h>

#include "tests/unit/tls/harness.h"

namespace {

class ProofTest : public TlsTest {
 protected:
  void SetUp() override {
    ctx_ = SSL_CTX_new(TLS_method());
  }
  void TearDown() override {
    SSL_CTX_free(ctx_);
    ERR_clear_error();
  }
  void Use(const pki_identity *identity) {
    ASSERT_EQ(SSL_CTX_use_cert_and_key(ctx_, identity->certificate, identity->key, nullptr, 1), 1);
  }
  SSL_CTX *ctx_;
  Error why_;
};

TEST_F(ProofTest, DoesAGoodContextPassBothWays) {
  Use(pki_get()->server);
  EXPECT_EQ(proof_as_server(ctx_, &why_), PROOF_GOOD);
  EXPECT_EQ(proof_as_client(ctx_, &why_), PROOF_GOOD);
}

TEST_F(ProofTest, DoesVerificationNotMatter) {
  Use(pki_get()->expired);
  SSL_CTX_set_verify(ctx_, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  EXPECT_EQ(proof_as_server(ctx_, &why_), PROOF_GOOD);
  EXPECT_EQ(proof_as_client(ctx_, &why_), PROOF_GOOD);
}

TEST_F(ProofTest, IsAServerWithoutCertificateNone) {
  EXPECT_EQ(proof_as_server(ctx_, &why_), PROOF_IMPOSSIBLE);
}

TEST_F(ProofTest, AreSettingsThatLeaveNothingFound) {
  Use(pki_get()->server);
  SSL_CTX_set_max_proto_version(ctx_, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(ctx_, "ECDHE-RSA-AES128-GCM-SHA256");
  EXPECT_EQ(proof_as_server(ctx_, &why_), PROOF_IMPOSSIBLE);
}

TEST_F(ProofTest, IsEveryCornerThatCanWorkFoundToWork) {
  Use(pki_get()->server_rsa);
  Use(pki_get()->server);
  for (const char *suite : {"TLS_AES_128_CCM_8_SHA256", "TLS_CHACHA20_POLY1305_SHA256"}) {
    SSL_CTX_set_ciphersuites(ctx_, suite);
    SSL_CTX_set_security_level(ctx_, 0);
    EXPECT_EQ(proof_as_server(ctx_, &why_), PROOF_GOOD) << suite;
    EXPECT_EQ(proof_as_client(ctx_, &why_), PROOF_GOOD) << suite;
  }
  SSL_CTX_set_max_proto_version(ctx_, TLS1_2_VERSION);
  for (const char *cipher : {"AES128-SHA", "ECDHE-ECDSA-AES256-CCM8", "ECDHE-RSA-NULL-SHA"}) {
    SSL_CTX_set_cipher_list(ctx_, (std::string(cipher) + ":@SECLEVEL=0").c_str());
    EXPECT_EQ(proof_as_server(ctx_, &why_), PROOF_GOOD) << cipher;
  }
  SSL_CTX_set_cipher_list(ctx_, "ALL:@SECLEVEL=0");
  SSL_CTX_set_min_proto_version(ctx_, TLS1_VERSION);
  SSL_CTX_set_max_proto_version(ctx_, TLS1_VERSION);
  EXPECT_EQ(proof_as_server(ctx_, &why_), PROOF_GOOD);
  EXPECT_EQ(proof_as_client(ctx_, &why_), PROOF_GOOD);
}

}  // namespace
