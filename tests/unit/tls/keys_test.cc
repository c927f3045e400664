#include "server/tls/keys.h"

#include <openssl/pem.h>
#include <openssl/pkcs12.h>

#include "server/tls/passphrase.h"
#include "server/tls/secure_heap.h"
#include "tests/unit/tls/harness.h"

namespace {

struct Free {
  void operator()(pki_identity *identity) const {
    pki_free(identity);
  }
};
using Identity = std::unique_ptr<pki_identity, Free>;

Identity Issue(enum pki_key key) {
  pki_request request = {};
  request.name = "x";
  request.key = key;
  return Identity(pki_issue(&request));
}

std::string Taken(char *text) {
  std::string copy = text;
  free(text);
  return copy;
}

std::string Garbled(std::string pem) {
  pem[pem.size() / 2] = '!';
  return pem;
}

class KeysTest : public TlsTest {
 protected:
  void TearDown() override {
    own_pair_cleanup(&pair_);
  }
  // Parses as pair number 1; the error stays in error_.
  status_code Parse(const std::string &chain, const std::string &key) {
    return Parse({Slice(chain), Slice(key), slice_of(nullptr, 0), false});
  }
  status_code Parse(const std::string &chain, const std::string &key, const std::string &password) {
    return Parse({Slice(chain), Slice(key), Slice(password), true});
  }
  status_code Parse(const tls_pair &from) {
    own_pair_cleanup(&pair_);
    tls_error_clear(&error_);
    status_code code = own_pair_parse(&from, 1, &pair_, &error_).code;
    EXPECT_EQ(code == STATUS_OK, pair_.key != nullptr);
    return code;
  }
  void ExpectRefused(const char *item, const char *text) {
    EXPECT_EQ(error_.kind, TLS_ERROR_INVALID);
    EXPECT_STREQ(error_.item, item);
    EXPECT_NE(std::string(error_.detail).find(text), std::string::npos) << error_.detail;
  }

  const struct pki *pki_ = pki_get();
  const pki_identity *server_ = pki_get()->server;
  own_pair pair_ = {};
  tls_error error_;
};

TEST_F(KeysTest, IsAChainInPemReadWithItsIntermediates) {
  EXPECT_EQ(Parse(server_->chain_pem, server_->key_pem), STATUS_OK) << error_.text;
  EXPECT_EQ(sk_X509_num(pair_.intermediates), 1);
  EXPECT_EQ(X509_cmp(pair_.certificate, server_->certificate), 0);
  EXPECT_STREQ(own_pair_type(&pair_), "EC");
}

TEST_F(KeysTest, IsDerAsGoodAsPem) {
  std::string chain = String(server_->der) + String(pki_->intermediate->der);
  EXPECT_EQ(Parse(chain, String(server_->key_der)), STATUS_OK) << error_.text;
  EXPECT_EQ(sk_X509_num(pair_.intermediates), 1);
  EXPECT_EQ(Parse(chain, server_->key_pem), STATUS_OK);
}

TEST_F(KeysTest, AreTheOlderFormsOfKeysRead) {
  for (const pki_identity *identity : {pki_->server, pki_->server_rsa}) {
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey_traditional(bio, identity->key, nullptr, nullptr, 0, nullptr, nullptr);
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    EXPECT_EQ(Parse(identity->pem, std::string(data, static_cast<size_t>(len))), STATUS_OK)
        << error_.text;
    BIO_free(bio);
    unsigned char *der = nullptr;
    int der_len = i2d_PrivateKey(identity->key, &der);
    EXPECT_EQ(Parse(identity->pem, String(slice_of(der, static_cast<size_t>(der_len)))), STATUS_OK)
        << error_.text;
    OPENSSL_free(der);
  }
}

TEST_F(KeysTest, IsTheKeyLookedForInTheChain) {
  EXPECT_EQ(Parse(std::string(server_->key_pem) + server_->chain_pem, ""), STATUS_OK);
  EXPECT_EQ(Parse(std::string(server_->chain_pem) + server_->key_pem, ""), STATUS_OK);
  EXPECT_EQ(Parse(server_->chain_pem, ""), STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].key", "no private key in the bytes");
  EXPECT_EQ(Parse(String(server_->der), ""), STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].key", "there is no private key");
}

TEST_F(KeysTest, AreTextAndParametersBeforeAKeySkipped) {
  std::string key =
      "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
  EXPECT_EQ(Parse(server_->pem, "Bag Attributes\n" + key + server_->key_pem), STATUS_OK);
}

TEST_F(KeysTest, AreEncryptedKeysOpened) {
  for (bool traditional : {false, true}) {
    std::string key = Taken(pki_encrypted_key(server_, "secret", traditional));
    EXPECT_EQ(Parse(server_->pem, key, "secret"), STATUS_OK) << error_.text;
    EXPECT_EQ(Parse(server_->pem, key, "wrong"), STATUS_INVALID_ARGUMENT);
    ExpectRefused("pairs[1].password", "wrong password");
    EXPECT_EQ(Parse(server_->pem, key, ""), STATUS_INVALID_ARGUMENT);
    ExpectRefused("pairs[1].password", "wrong password");
    EXPECT_EQ(Parse(server_->pem, key), STATUS_INVALID_ARGUMENT);
    ExpectRefused("pairs[1].password", "there is no password");
  }
}

// One wrong password in some hundred decrypts to bytes whose padding happens to be right.
TEST_F(KeysTest, IsEveryWrongPasswordCalledThat) {
  std::string key = Taken(pki_encrypted_key(server_, "secret", true));
  for (int i = 0; i < 2000; i++) {
    EXPECT_EQ(Parse(server_->pem, key, "wrong" + std::to_string(i)), STATUS_INVALID_ARGUMENT);
    ASSERT_STREQ(error_.detail, "wrong password");
    ASSERT_STREQ(error_.item, "pairs[1].password");
  }
}

TEST_F(KeysTest, CanAPasswordBeEmptyOrVeryLong) {
  std::string longest(1024, 'p');
  EXPECT_EQ(Parse(server_->pem, Taken(pki_encrypted_key(server_, longest.c_str(), false)), longest),
            STATUS_OK)
      << error_.text;
  EXPECT_EQ(Parse(server_->pem, server_->key_pem, longest + "p"), STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].password", "longer than 1024");
}

TEST_F(KeysTest, IsAnEncryptedKeyInDerOpened) {
  PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(server_->key);
  X509_SIG *sealed = PKCS8_encrypt(-1, EVP_aes_256_cbc(), "secret", 6, nullptr, 0, 1000, info);
  unsigned char *der = nullptr;
  int len = i2d_X509_SIG(sealed, &der);
  std::string key = String(slice_of(der, static_cast<size_t>(len)));
  EXPECT_EQ(Parse(server_->pem, key, "secret"), STATUS_OK) << error_.text;
  EXPECT_EQ(Parse(server_->pem, key), STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].password", "there is no password");
  OPENSSL_free(der);
  X509_SIG_free(sealed);
  PKCS8_PRIV_KEY_INFO_free(info);
}

TEST_F(KeysTest, IsAKeyThatTakesHoursToOpenRefusedAtOnce) {
  PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(server_->key);
  X509_SIG *sealed = PKCS8_encrypt(-1, EVP_aes_256_cbc(), "secret", 6, nullptr, 0,
                                   PASSPHRASE_ITERATIONS_MAX + 1, info);
  unsigned char *der = nullptr;
  int len = i2d_X509_SIG(sealed, &der);
  EXPECT_EQ(Parse(server_->pem, String(slice_of(der, static_cast<size_t>(len))), "secret"),
            STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].key", "too many iterations");
  OPENSSL_free(der);
  X509_SIG_free(sealed);
  PKCS8_PRIV_KEY_INFO_free(info);
}

TEST_F(KeysTest, IsAPasswordForAPlainKeyIgnored) {
  EXPECT_EQ(Parse(server_->pem, server_->key_pem, "whatever"), STATUS_OK);
}

TEST_F(KeysTest, IsAMissingCertificateSaid) {
  for (std::string chain : {"", "junk", "-----BEGIN RUBBISH-----\nAAAA\n-----END RUBBISH-----\n"}) {
    EXPECT_EQ(Parse(chain, server_->key_pem), STATUS_INVALID_ARGUMENT);
    ExpectRefused("pairs[1].chain", "no certificate in the bytes");
  }
  EXPECT_EQ(Parse(server_->key_pem, server_->key_pem), STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].chain", "no certificate in the bytes");
  EXPECT_EQ(Parse(server_->chain_pem + std::string("-----BEGIN CERTIFICATE-----\nAAAA\n"),
                  server_->key_pem),
            STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].chain", "a certificate can't be read");
}

// What Python's users know: "[SSL] PEM lib", "[X509: KEY_VALUES_MISMATCH] key values mismatch".
TEST_F(KeysTest, IsTheCodeTheOneThatOpensslsOwnLoadersLeave) {
  const std::string junk = "junk";
  const std::string garbled = Garbled(server_->pem);
  char *locked = pki_encrypted_key(server_, "secret", false);
  const std::string key = server_->key_pem;
  const struct {
    std::string chain, key;
    const char *password, *item, *library, *reason, *text;
  } rows[] = {
      {junk, key, nullptr, "pairs[1].chain", "SSL", "", "PEM lib"},
      {String(server_->der).substr(0, 99), key, nullptr, "pairs[1].chain", "SSL", "", "PEM lib"},
      {garbled, key, nullptr, "pairs[1].chain", "SSL", "", "PEM lib"},
      {server_->pem + garbled, key, nullptr, "pairs[1].chain", "PEM", "BAD_BASE64_DECODE",
       "bad base64 decode"},
      {server_->pem, "", nullptr, "pairs[1].key", "SSL", "", "PEM lib"},
      {server_->pem, junk, nullptr, "pairs[1].key", "SSL", "", "PEM lib"},
      {server_->pem, Garbled(key), nullptr, "pairs[1].key", "SSL", "", "PEM lib"},
      {server_->pem, locked, "wrong", "pairs[1].password", "SSL", "", "PEM lib"},
      {server_->pem, locked, nullptr, "pairs[1].password", "PEM", "BAD_PASSWORD_READ",
       "bad password read"},
      {server_->pem, pki_get()->client->key_pem, nullptr, "pairs[1].key", "X509",
       "KEY_VALUES_MISMATCH", "key values mismatch"},
      {server_->pem, pki_get()->server_rsa->key_pem, nullptr, "pairs[1].key", "SSL",
       "NO_CERTIFICATE_ASSIGNED", "no certificate assigned"},
  };
  for (const auto &row : rows) {
    const status_code code = row.password == nullptr ? Parse(row.chain, row.key)
                                                     : Parse(row.chain, row.key, row.password);
    EXPECT_EQ(code, STATUS_INVALID_ARGUMENT);
    EXPECT_STREQ(error_.item, row.item) << error_.detail;
    EXPECT_STREQ(error_.library, row.library) << error_.detail;
    EXPECT_STREQ(error_.reason, row.reason) << error_.detail;
    EXPECT_STREQ(error_.text, row.text) << error_.detail;
    EXPECT_STRNE(error_.detail, "");
  }
  free(locked);
}

TEST_F(KeysTest, IsAnUnreadableKeySaid) {
  EXPECT_EQ(Parse(server_->pem, "junk"), STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].key", "the key");
  EXPECT_EQ(Parse(server_->pem, server_->pem), STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].key", "no private key in the bytes");
  std::string damaged = server_->key_pem;
  damaged[40] = '!';
  EXPECT_EQ(Parse(server_->pem, damaged), STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].key", "the key can't be read");
  EXPECT_EQ(Parse(server_->pem, String(server_->key_der) + "x"), STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].key", "bytes after the key");
}

TEST_F(KeysTest, IsAKeyOfAnotherCertificateSaid) {
  EXPECT_EQ(Parse(server_->pem, pki_->client->key_pem), STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].key", "does not belong to the certificate");
  EXPECT_STREQ(error_.library, "X509");
  EXPECT_STREQ(error_.reason, "KEY_VALUES_MISMATCH");
  EXPECT_EQ(Parse(server_->pem, pki_->server_rsa->key_pem), STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].key", "of another type");
}

TEST_F(KeysTest, IsAChainInTheWrongOrderSaid) {
  std::string chain = std::string(pki_->intermediate->pem) + server_->pem;
  EXPECT_EQ(Parse(chain, server_->key_pem), STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].chain", "must be the first");
}

TEST_F(KeysTest, IsAnUnknownTypeOfKeySaid) {
  // PKCS #8 with the algorithm 1.2.3.4.
  const unsigned char der[] = {0x30, 0x10, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03,
                               0x2a, 0x03, 0x04, 0x04, 0x04, 1,    2,    3,    4};
  EXPECT_EQ(Parse(server_->pem, String(slice_of(der, sizeof(der)))), STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].key", "type is not supported");
}

TEST_F(KeysTest, IsAnEndlessChainRefused) {
  std::string chain = server_->pem;
  for (int i = 0; i < TLS_CHAIN_MAX - 1; i++) {
    chain += pki_->intermediate->pem;
  }
  EXPECT_EQ(Parse(chain, server_->key_pem), STATUS_OK);
  EXPECT_EQ(Parse(chain + pki_->intermediate->pem, server_->key_pem), STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].chain", "more than 32 certificates");
}

std::string Integer(int bits) {
  BIGNUM *number = BN_new();
  BN_set_bit(number, bits - 1);
  BN_set_bit(number, 0);
  ASN1_INTEGER *integer = BN_to_ASN1_INTEGER(number, nullptr);
  unsigned char *der = nullptr;
  int len = i2d_ASN1_INTEGER(integer, &der);
  std::string out = String(slice_of(der, static_cast<size_t>(len)));
  OPENSSL_free(der);
  ASN1_INTEGER_free(integer);
  BN_free(number);
  return out;
}

// Of no use, but of this size.
std::string RsaKey(int bits) {
  std::string content =
      std::string("\x02\x01\x00", 3) + Integer(bits) + Integer(17) + Integer(bits);
  for (int i = 0; i < 5; i++) {
    content += Integer(bits / 2);
  }
  unsigned char header[8];
  unsigned char *to = header;
  ASN1_put_object(&to, 1, static_cast<int>(content.size()), V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
  return String(slice_of(header, static_cast<size_t>(to - header))) + content;
}

TEST_F(KeysTest, IsAKeyThatIsTooSlowRefused) {
  EXPECT_EQ(Parse(pki_->server_rsa->pem, RsaKey(8192)), STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].key", "does not belong");
  EXPECT_EQ(Parse(pki_->server_rsa->pem, RsaKey(8200)), STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].key", "more than 8192 bits");
}

TEST_F(KeysTest, IsAHaystackNotSearched) {
  std::string haystack(129 << 10, '\n');
  EXPECT_EQ(Parse(server_->pem, haystack + server_->key_pem), STATUS_INVALID_ARGUMENT);
  ExpectRefused("pairs[1].key", "more than 128 KiB");
  EXPECT_EQ(Parse(haystack + server_->pem, server_->key_pem), STATUS_OK);
}

TEST_F(KeysTest, AreOtherKindsOfKeysTaken) {
  Identity ed25519 = Issue(PKI_ED25519);
  EXPECT_EQ(Parse(ed25519->pem, ed25519->key_pem), STATUS_OK) << error_.text;
  EXPECT_STREQ(own_pair_type(&pair_), "ED25519");
  EXPECT_EQ(Parse(pki_->server_rsa->pem, pki_->server_rsa->key_pem), STATUS_OK);
  EXPECT_STREQ(own_pair_type(&pair_), "RSA");
}

TEST_F(KeysTest, DoesACopyOutliveItsOriginal) {
  ASSERT_EQ(Parse(server_->chain_pem, server_->key_pem), STATUS_OK);
  own_pair copy;
  ASSERT_EQ(own_pair_copy(&pair_, &copy, &error_).code, STATUS_OK);
  own_pair_cleanup(&pair_);
  EXPECT_STREQ(own_pair_type(&copy), "EC");
  EXPECT_EQ(sk_X509_num(copy.intermediates), 1);
  own_pair_cleanup(&copy);
}

TEST_F(KeysTest, DoesTheSecureHeapHoldTheKeyAndRefuseWhenFull) {
  size_t before = CRYPTO_secure_used();
  ASSERT_EQ(Parse(server_->pem, server_->key_pem), STATUS_OK);
  EXPECT_GT(CRYPTO_secure_used(), before);
  std::vector<void *> blocks;
  while (secure_heap_has_room()) {
    blocks.push_back(OPENSSL_secure_malloc(64 << 10));
  }
  EXPECT_EQ(Parse(server_->pem, server_->key_pem), STATUS_RESOURCE_EXHAUSTED);
  EXPECT_EQ(error_.kind, TLS_ERROR_OS);
  for (void *block : blocks) {
    OPENSSL_secure_free(block);
  }
  own_pair_cleanup(&pair_);
  EXPECT_EQ(CRYPTO_secure_used(), before);
}

}  // namespace
