#include "server/tls/passphrase.h"

#include <openssl/evp.h>

#include "tests/unit/tls/harness.h"

namespace {

class PassphraseTest : public TlsTest {
 protected:
  // A key sealed by algorithm, which is given away.
  static bool IsBearable(X509_ALGOR *algorithm) {
    EXPECT_NE(algorithm, nullptr);
    X509_SIG *sealed = X509_SIG_new();
    X509_ALGOR *own;
    X509_SIG_getm(sealed, &own, nullptr);
    X509_ALGOR_copy(own, algorithm);
    bool bearable = passphrase_is_bearable(sealed);
    X509_SIG_free(sealed);
    X509_ALGOR_free(algorithm);
    return bearable;
  }
  static X509_ALGOR *Pbkdf2(int iterations) {
    return PKCS5_pbe2_set_iv(EVP_aes_128_cbc(), iterations, nullptr, 0, nullptr, -1);
  }
  static X509_ALGOR *Scrypt(uint64_t n, uint64_t r, uint64_t p) {
    unsigned char salt[8] = {};
    return PKCS5_pbe2_set_scrypt(EVP_aes_128_cbc(), salt, sizeof(salt), nullptr, n, r, p);
  }
};

TEST_F(PassphraseTest, AreTheUsualWaysBearable) {
  EXPECT_TRUE(IsBearable(Pbkdf2(2048)));
  EXPECT_TRUE(IsBearable(Pbkdf2(1300000)));
  EXPECT_TRUE(IsBearable(Scrypt(16384, 8, 1)));
  EXPECT_TRUE(IsBearable(PKCS5_pbe_set(NID_pbe_WithSHA1And3_Key_TripleDES_CBC, 2048, nullptr, 0)));
}

TEST_F(PassphraseTest, IsWorkForHoursRefused) {
  EXPECT_FALSE(IsBearable(Pbkdf2(PASSPHRASE_ITERATIONS_MAX + 1)));
  EXPECT_FALSE(IsBearable(Pbkdf2(2000000000)));
  EXPECT_FALSE(IsBearable(Scrypt(16384, 8, 1000)));
  EXPECT_FALSE(
      IsBearable(PKCS5_pbe_set(NID_pbe_WithSHA1And3_Key_TripleDES_CBC, 2000000000, nullptr, 0)));
}

TEST_F(PassphraseTest, IsWhatIsNotKnownLeftToOpenssl) {
  X509_ALGOR *unknown = X509_ALGOR_new();
  X509_ALGOR_set0(unknown, OBJ_txt2obj("1.2.3.4", 1), V_ASN1_NULL, nullptr);
  EXPECT_TRUE(IsBearable(unknown));
}

}  // namespace
