#include "server/tls/tls13_kdf.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "tests/unit/tls/harness.h"

namespace {

std::string FromHex(const char *hex) {
  long len = 0;
  unsigned char *data = OPENSSL_hexstr2buf(hex, &len);
  std::string bytes(reinterpret_cast<char *>(data), static_cast<size_t>(len));
  OPENSSL_free(data);
  return bytes;
}

const std::string kPrefix = "tls13 ";

// What OpenSSL's own makes of the same; empty when it refuses.
std::string Reference(int mode, const char *digest, const std::string *key, const std::string *salt,
                      const std::string &label, const std::string &data, size_t len) {
  auto bytes = [](const char *name, const std::string &of) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<char *>(of.data()), of.size());
  };
  std::vector<OSSL_PARAM> params = {
      OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, const_cast<char *>(digest), 0),
      bytes(OSSL_KDF_PARAM_PREFIX, kPrefix), bytes(OSSL_KDF_PARAM_LABEL, label)};
  if (key != nullptr) {
    params.push_back(bytes(OSSL_KDF_PARAM_KEY, *key));
  }
  if (salt != nullptr) {
    params.push_back(bytes(OSSL_KDF_PARAM_SALT, *salt));
  }
  if (!data.empty()) {
    params.push_back(bytes(OSSL_KDF_PARAM_DATA, data));
  }
  params.push_back(OSSL_PARAM_construct_end());
  EVP_KDF *kdf = EVP_KDF_fetch(nullptr, OSSL_KDF_NAME_TLS1_3_KDF, "provider=default");
  EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
  std::string out(len, '\0');
  if (EVP_KDF_derive(ctx, reinterpret_cast<unsigned char *>(&out[0]), len, params.data()) != 1) {
    out.clear();
  }
  EVP_KDF_CTX_free(ctx);
  EVP_KDF_free(kdf);
  return out;
}

std::string Expand(const char *digest, const std::string &secret, const std::string &label,
                   const std::string &data, size_t len) {
  std::string out(len, '\0');
  const tls13_kdf_label both = {Slice(kPrefix), Slice(label)};
  bool good = tls13_kdf_expand(tls13_kdf_hash(digest), Slice(secret), &both, Slice(data),
                               reinterpret_cast<uint8_t *>(&out[0]), len);
  return good ? out : "";
}

std::string Extract(const char *digest, const std::string *before, const std::string *input,
                    size_t len) {
  std::string out(len, '\0');
  slice before_slice = before == nullptr ? slice_of(nullptr, 0) : Slice(*before);
  slice input_slice = input == nullptr ? slice_of(nullptr, 0) : Slice(*input);
  const tls13_kdf_label label = {Slice(kPrefix), slice_of_string("derived")};
  bool good = tls13_kdf_extract(tls13_kdf_hash(digest), before == nullptr ? nullptr : &before_slice,
                                &label, input == nullptr ? nullptr : &input_slice,
                                reinterpret_cast<uint8_t *>(&out[0]), len);
  return good ? out : "";
}

struct Hash {
  const char *name;
  size_t len;
};
const Hash kHashes[] = {{"SHA2-256", 32}, {"SHA2-384", 48}};

// Not at random: what fails must fail again.
std::string Bytes(size_t len, unsigned seed) {
  std::string bytes(len, '\0');
  for (char &byte : bytes) {
    seed = seed * 1664525 + 1013904223;
    byte = static_cast<char>(seed >> 24);
  }
  return bytes;
}

// RFC 8448, section 3: the early secret, what is derived from it, and the handshake secret.
TEST(Tls13KdfTest, AreItsSecretsThoseOfTheRfc) {
  std::string early = FromHex("33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a");
  EXPECT_EQ(Extract("SHA256", nullptr, nullptr, 32), early);
  std::string of_nothing =
      FromHex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Expand("SHA256", early, "derived", of_nothing, 32),
            FromHex("6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba"));
  std::string shared = FromHex("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d");
  EXPECT_EQ(Extract("SHA256", &early, &shared, 32),
            FromHex("1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac"));
}

TEST(Tls13KdfTest, DoesItExpandAsOpensslDoes) {
  unsigned seed = 1;
  for (const Hash &hash : kHashes) {
    for (size_t secret : {hash.len, size_t{0}, size_t{1}, size_t{64}, size_t{128}, size_t{200}}) {
      for (size_t label : {0, 1, 3, 12, 200, 249}) {
        for (size_t data : {size_t{0}, size_t{1}, hash.len}) {
          for (size_t len : {size_t{1}, size_t{12}, hash.len, hash.len + 1, 255 * hash.len}) {
            std::string key = Bytes(secret, seed++);
            std::string name = Bytes(label, seed++);
            std::string transcript = Bytes(data, seed++);
            std::string expected = Reference(EVP_KDF_HKDF_MODE_EXPAND_ONLY, hash.name, &key,
                                             nullptr, name, transcript, len);
            ASSERT_FALSE(expected.empty() && secret > 0) << hash.name << " " << label << " " << len;
            if (!expected.empty()) {
              ASSERT_EQ(Expand(hash.name, key, name, transcript, len), expected);
            }
          }
        }
      }
    }
  }
}

TEST(Tls13KdfTest, DoesItExtractAsOpensslDoes) {
  unsigned seed = 1;
  for (const Hash &hash : kHashes) {
    for (size_t len : {1, 31, 32, 48, 66, 128, 1000}) {
      const std::string before = Bytes(hash.len, seed++);
      const std::string input = Bytes(len, seed++);
      for (const std::string *salt : {static_cast<const std::string *>(nullptr), &before}) {
        for (const std::string *key : {static_cast<const std::string *>(nullptr), &input}) {
          std::string expected = Reference(EVP_KDF_HKDF_MODE_EXTRACT_ONLY, hash.name, key, salt,
                                           "derived", "", hash.len);
          ASSERT_EQ(expected.size(), hash.len);
          EXPECT_EQ(Extract(hash.name, salt, key, hash.len), expected);
        }
      }
    }
  }
}

TEST(Tls13KdfTest, IsMoreThanLengthsCanSayRefused) {
  std::string secret(32, 's');
  EXPECT_NE(Expand("SHA256", secret, std::string(249, 'l'), "", 16), "");
  EXPECT_EQ(Expand("SHA256", secret, std::string(250, 'l'), "", 16), "");
  EXPECT_EQ(Expand("SHA256", secret, std::string(70000, 'l'), "", 16), "");
  EXPECT_NE(Expand("SHA256", secret, "label", std::string(255, 'd'), 16), "");
  EXPECT_EQ(Expand("SHA256", secret, "label", std::string(256, 'd'), 16), "");
  EXPECT_NE(Expand("SHA256", secret, "label", "", 255 * 32), "");
  EXPECT_EQ(Expand("SHA256", secret, "label", "", 255 * 32 + 1), "");
  EXPECT_EQ(Extract("SHA256", &secret, &secret, 31), "");
  EXPECT_EQ(Extract("SHA384", &secret, &secret, 32), "");
}

TEST(Tls13KdfTest, WhichHashesAreThere) {
  for (const char *name : {"SHA256", "sha256", "SHA2-256", "SHA-256"}) {
    EXPECT_EQ(tls13_kdf_hash(name), tls13_kdf_hash("SHA256")) << name;
  }
  for (const char *name : {"SHA384", "SHA2-384", "sha-384"}) {
    EXPECT_EQ(tls13_kdf_hash(name), tls13_kdf_hash("SHA384")) << name;
  }
  EXPECT_NE(tls13_kdf_hash("SHA384"), nullptr);
  EXPECT_NE(tls13_kdf_hash("SHA384"), tls13_kdf_hash("SHA256"));
  for (const char *name : {"", "SHA", "SHA512", "SHA1", "SHA2-256/192", "MD5"}) {
    EXPECT_EQ(tls13_kdf_hash(name), nullptr) << name;
  }
}

}  // namespace
