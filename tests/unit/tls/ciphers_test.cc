#include "server/tls/ciphers.h"

#include "tests/unit/tls/harness.h"

namespace {

class CiphersTest : public TlsTest {
 protected:
  tls_cipher_info Describe(const char *name) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    SSL_CTX_set_cipher_list(ctx, "ALL");
    tls_cipher_info info = {};
    STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(ctx);
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
      const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(ciphers, i);
      if (std::string(SSL_CIPHER_get_name(cipher)) == name) {
        EXPECT_EQ(cipher_describe(cipher, arena_, &info).code, STATUS_OK);
      }
    }
    SSL_CTX_free(ctx);
    return info;
  }
  Arena arena_;
};

TEST_F(CiphersTest, IsAnOldCipherDescribedAsPythonDoes) {
  tls_cipher_info info = Describe("ECDHE-RSA-AES128-SHA256");
  EXPECT_EQ(info.id, 0x0300c027u);
  EXPECT_STREQ(info.standard_name, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256");
  EXPECT_STREQ(info.protocol, "TLSv1.2");
  EXPECT_EQ(info.strength_bits, 128);
  EXPECT_EQ(info.algorithm_bits, 128);
  EXPECT_FALSE(info.aead);
  EXPECT_STREQ(info.symmetric, "aes-128-cbc");
  EXPECT_STREQ(info.digest, "sha256");
  EXPECT_STREQ(info.key_exchange, "kx-ecdhe");
  EXPECT_STREQ(info.authentication, "auth-rsa");
  EXPECT_EQ(std::string(info.description).find('\n'), std::string::npos);
  EXPECT_NE(std::string(info.description).find("Kx=ECDH"), std::string::npos);
}

TEST_F(CiphersTest, IsATls13SuiteDescribed) {
  tls_cipher_info info = Describe("TLS_AES_256_GCM_SHA384");
  EXPECT_TRUE(info.aead);
  EXPECT_STREQ(info.protocol, "TLSv1.3");
  EXPECT_STREQ(info.digest, "");
  EXPECT_STREQ(info.key_exchange, "kx-any");
}

TEST_F(CiphersTest, IsNoCipherAllEmpty) {
  tls_cipher_info info;
  EXPECT_EQ(cipher_describe(nullptr, arena_, &info).code, STATUS_OK);
  EXPECT_STREQ(info.name, "");
  EXPECT_STREQ(info.authentication, "");
}

TEST_F(CiphersTest, IsAFullArenaSaid) {
  Arena small(8);
  SSL_CTX *ctx = SSL_CTX_new(TLS_method());
  tls_cipher_info info;
  EXPECT_EQ(cipher_describe(sk_SSL_CIPHER_value(SSL_CTX_get_ciphers(ctx), 0), small, &info).code,
            STATUS_RESOURCE_EXHAUSTED);
  SSL_CTX_free(ctx);
}

}  // namespace
