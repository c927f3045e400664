#include "server/tls/kdf_provider.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>

#include "tests/unit/tls/harness.h"

namespace {

class KdfProviderTest : public TlsTest {
 protected:
  // The one that an SSL_CTX of ours gets.
  KdfProviderTest()
      : kdf_(EVP_KDF_fetch(nullptr, OSSL_KDF_NAME_TLS1_3_KDF, kdf_provider_query())) {}
  ~KdfProviderTest() override {
    EVP_KDF_free(kdf_);
  }
  static std::string Whose(const EVP_KDF *kdf) {
    return kdf == nullptr ? "" : OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(kdf));
  }
  // Whether it derives something with these.
  bool Derives(int mode, const char *digest, bool twice = false) {
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf_);
    char secret[32] = "secret";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, const_cast<char *>(digest), 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret, sizeof(secret)),
        OSSL_PARAM_construct_end()};
    unsigned char out[32];
    bool good = EVP_KDF_derive(ctx, out, sizeof(out), params) == 1;
    if (twice) {
      EVP_KDF_CTX_reset(ctx);
      good = good && EVP_KDF_derive(ctx, out, sizeof(out), nullptr) == 1;
    }
    EVP_KDF_CTX_free(ctx);
    return good;
  }
  EVP_KDF *kdf_;
};

TEST_F(KdfProviderTest, IsItTheOneThatIsUsed) {
  ASSERT_NE(kdf_, nullptr);
  EXPECT_NE(Whose(kdf_), "default");
}

// Nothing but this is ours: keys, certificates and TLS 1.2 go on as they were.
TEST_F(KdfProviderTest, IsAllElseOpenssls) {
  for (const char *name : {"HKDF", "TLS1-PRF", "PBKDF2"}) {
    EVP_KDF *other = EVP_KDF_fetch(nullptr, name, kdf_provider_query());
    EXPECT_EQ(Whose(other), "default") << name;
    EVP_KDF_free(other);
  }
  EVP_MD *digest = EVP_MD_fetch(nullptr, "SHA2-256", kdf_provider_query());
  ASSERT_NE(digest, nullptr);
  EXPECT_STREQ(OSSL_PROVIDER_get0_name(EVP_MD_get0_provider(digest)), "default");
  EVP_MD_free(digest);
}

TEST_F(KdfProviderTest, IsItNotForWhomeverWantsAnother) {
  EVP_KDF *kdf = EVP_KDF_fetch(nullptr, OSSL_KDF_NAME_TLS1_3_KDF, "provider=default");
  EXPECT_EQ(Whose(kdf), "default");
  EVP_KDF_free(kdf);
  EXPECT_EQ(EVP_KDF_fetch(nullptr, OSSL_KDF_NAME_TLS1_3_KDF, "fips=yes"), nullptr);
}

TEST_F(KdfProviderTest, WhatDoesItRefuse) {
  EXPECT_TRUE(Derives(EVP_KDF_HKDF_MODE_EXPAND_ONLY, "SHA256"));
  EXPECT_FALSE(Derives(EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND, "SHA256"));
  EXPECT_FALSE(Derives(EVP_KDF_HKDF_MODE_EXPAND_ONLY, "SHA512"));
  EXPECT_FALSE(Derives(EVP_KDF_HKDF_MODE_EXTRACT_ONLY, "SHA384"));  // of 32 bytes
  EXPECT_FALSE(Derives(-7, "SHA256"));
  EXPECT_FALSE(Derives(EVP_KDF_HKDF_MODE_EXPAND_ONLY, "SHA256", true));  // it keeps nothing
}

// What would be forgotten isn't taken.
TEST_F(KdfProviderTest, CanNothingBeSetBefore) {
  EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf_);
  int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
                               OSSL_PARAM_construct_end()};
  EXPECT_NE(EVP_KDF_CTX_set_params(ctx, params), 1);
  EXPECT_EQ(EVP_KDF_CTX_set_params(ctx, &params[1]), 1);
  EVP_KDF_CTX_free(ctx);
}

// One end of each pair derives by OpenSSL's own.
TEST_F(KdfProviderTest, DoesItAgreeWithOpenssls) {
  Change change = ServerChange();
  Context context = MakeContext(TLS_CONTEXT_SERVER, change);
  for (const char *suite :
       {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}) {
    SSL_CTX *ctx = SSL_CTX_new_ex(nullptr, "?provider=default", TLS_client_method());
    ASSERT_EQ(SSL_CTX_set_ciphersuites(ctx, suite), 1);
    SSL *client = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(client, in, out);
    SSL_set_connect_state(client);
    Engine server = MakeServer(context);
    for (int flight = 0; flight < 3; flight++) {
      char bytes[20000];
      SSL_do_handshake(client);
      int len = BIO_read(out, bytes, sizeof(bytes));
      engine_set_input(server.get(), slice_of(bytes, len > 0 ? static_cast<size_t>(len) : 0),
                       false);
      engine_handshake(server.get());
      engine_set_input(server.get(), slice_of(nullptr, 0), false);
      slice answer = bytes_peek(engine_output(server.get()));
      EXPECT_TRUE(answer.len == 0 || BIO_write(in, answer.data, static_cast<int>(answer.len)) > 0);
      bytes_consume(engine_output(server.get()), answer.len);
    }
    EXPECT_TRUE(SSL_is_init_finished(client)) << suite;
    EXPECT_TRUE(engine_established(server.get())) << suite;
    SSL_free(client);
    SSL_CTX_free(ctx);
  }
}

}  // namespace
