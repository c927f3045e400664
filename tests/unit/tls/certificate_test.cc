#include "server/tls/certificate.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "tests/unit/tls/harness.h"

namespace {

class CertificateTest : public TlsTest {
 protected:
  tls_certificate Decoded(slice der) {
    tls_certificate out = {};
    Error error;
    EXPECT_EQ(tls_certificate_decode(der, arena_, &out, &error).code, STATUS_OK) << error.text;
    return out;
  }
  Error Refused(slice der, status_code expected = STATUS_INVALID_ARGUMENT) {
    tls_certificate out;
    Error error;
    EXPECT_EQ(tls_certificate_decode(der, arena_, &out, &error).code, expected);
    return error;
  }
  // Decodes several; what was refused is in error_.
  std::vector<tls_certificate> All(const std::string &data, size_t max = 256,
                                   status_code expected = STATUS_OK) {
    tls_certificate *list = nullptr;
    size_t num = 0;
    tls_error_clear(&error_);
    EXPECT_EQ(tls_certificates_decode(Slice(data), max, arena_, &list, &num, &error_).code,
              expected);
    return std::vector<tls_certificate>(list, list + num);
  }
  const struct pki *pki_ = pki_get();
  Arena arena_;
  tls_error error_;
};

TEST_F(CertificateTest, IsEverythingInItShown) {
  tls_certificate c = Decoded(pki_->server->der);
  EXPECT_EQ(c.version, 3);
  EXPECT_STREQ(c.subject_text, "CN=host.test,O=tlsagent tests");
  EXPECT_STREQ(c.issuer_text, "CN=Test Intermediate,O=tlsagent tests");
  ASSERT_EQ(c.subject.num_steps, 2u);
  ASSERT_EQ(c.subject.steps[1].num_attributes, 1u);
  EXPECT_STREQ(c.subject.steps[1].attributes[0].type, "commonName");
  EXPECT_STREQ(c.subject.steps[1].attributes[0].short_type, "CN");
  EXPECT_STREQ(c.subject.steps[1].attributes[0].text, "host.test");
  EXPECT_FALSE(c.self_issued);
  EXPECT_STREQ(c.key_type, "EC");
  EXPECT_EQ(c.key_bits, 256);
  EXPECT_STREQ(c.key_curve, "prime256v1");
  EXPECT_STREQ(c.signature_algorithm, "ecdsa-with-SHA256");
  ASSERT_EQ(c.num_alt_names, 3u);
  EXPECT_STREQ(c.alt_names[0].text, "host.test");
  EXPECT_STREQ(c.alt_names[2].text, "0:0:0:0:0:0:0:1");
  ASSERT_EQ(c.num_key_usage, 1u);
  EXPECT_STREQ(c.key_usage[0], "digitalSignature");
  ASSERT_EQ(c.num_extended_key_usage, 1u);
  EXPECT_STREQ(c.extended_key_usage[0], "TLS Web Server Authentication");
  EXPECT_TRUE(c.has_basic_constraints);
  EXPECT_FALSE(c.ca);
  EXPECT_EQ(String(c.der), String(pki_->server->der));
  EXPECT_STREQ(c.pem, pki_->server->pem);
  EXPECT_EQ(c.subject_hash, X509_subject_name_hash(pki_->server->certificate));
}

TEST_F(CertificateTest, AreTheHashesThoseOfTheEncodings) {
  tls_certificate c = Decoded(pki_->server->der);
  uint8_t digest[EVP_MAX_MD_SIZE];
  EVP_Digest(c.der.data, c.der.len, digest, nullptr, EVP_sha256(), nullptr);
  EXPECT_EQ(memcmp(c.fingerprint_sha256, digest, 32), 0);
  unsigned len = 0;
  X509_pubkey_digest(pki_->server->certificate, EVP_sha256(), digest, &len);
  EXPECT_NE(memcmp(c.spki_sha256, digest, 32), 0);  // OpenSSL's hash leaves the algorithm out
  unsigned char *spki = nullptr;
  int spki_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(pki_->server->certificate), &spki);
  EVP_Digest(spki, static_cast<size_t>(spki_len), digest, nullptr, EVP_sha256(), nullptr);
  EXPECT_EQ(memcmp(c.spki_sha256, digest, 32), 0);
  OPENSSL_free(spki);
}

TEST_F(CertificateTest, AreTheTimesGivenBothWays) {
  tls_certificate c = Decoded(pki_->server->der);
  time_t now = time(nullptr);
  EXPECT_NEAR(static_cast<double>(c.not_before_unix), static_cast<double>(now - 86400), 100);
  EXPECT_NEAR(static_cast<double>(c.not_after_unix), static_cast<double>(now + 30 * 86400), 100);
  struct tm parts;
  time_t from = static_cast<time_t>(c.not_before_unix);
  gmtime_r(&from, &parts);
  char text[64];
  strftime(text, sizeof(text), "%b %e %H:%M:%S %Y GMT", &parts);
  EXPECT_STREQ(c.not_before, text);
}

TEST_F(CertificateTest, AreOtherKeysDescribed) {
  tls_certificate rsa = Decoded(pki_->server_rsa->der);
  EXPECT_STREQ(rsa.key_type, "RSA");
  EXPECT_EQ(rsa.key_bits, 2048);
  EXPECT_STREQ(rsa.key_curve, "");
  pki_request request = {};
  request.name = "x";
  request.key = PKI_ED25519;
  pki_identity *ed25519 = pki_issue(&request);
  tls_certificate ed = Decoded(ed25519->der);
  EXPECT_STREQ(ed.key_type, "ED25519");
  EXPECT_STREQ(ed.signature_algorithm, "ED25519");
  EXPECT_TRUE(ed.self_issued);
  pki_free(ed25519);
}

TEST_F(CertificateTest, IsAnAuthorityToldByItsConstraints) {
  tls_certificate root = Decoded(pki_->root->der);
  EXPECT_TRUE(root.ca);
  EXPECT_TRUE(root.self_issued);
  EXPECT_FALSE(root.has_path_length);
  ASSERT_EQ(root.num_key_usage, 2u);
  EXPECT_STREQ(root.key_usage[0], "keyCertSign");
  EXPECT_STREQ(root.key_usage[1], "cRLSign");
}

TEST_F(CertificateTest, IsAKeyOfAnUnknownKindNamedByItsOid) {
  // The OID of the curve's key type, id-ecPublicKey, changed to one that nobody knows.
  std::string der = String(pki_->server->der);
  const std::string known("\x06\x07\x2a\x86\x48\xce\x3d\x02\x01", 9);
  size_t at = der.find(known);
  ASSERT_NE(at, std::string::npos);
  der[at + 8] = 0x7f;
  tls_certificate c = Decoded(Slice(der));
  EXPECT_STREQ(c.key_type, "1.2.840.10045.2.127");
  EXPECT_EQ(c.key_bits, 0);
  EXPECT_STREQ(c.key_curve, "");
}

TEST_F(CertificateTest, IsABadTimeSaidAndNotGuessed) {
  std::string der = String(pki_->server->der);
  size_t at = der.find("\x17\x0d");  // a UTCTime
  ASSERT_NE(at, std::string::npos);
  memcpy(&der[at + 2], "991399999999Z", 13);
  tls_certificate c = Decoded(Slice(der));
  EXPECT_NE(std::string(c.not_before).find("Bad time value"), std::string::npos) << c.not_before;
  EXPECT_EQ(c.not_before_unix, 0);
}

TEST_F(CertificateTest, IsWhatIsNoCertificateRefused) {
  EXPECT_STREQ(Refused(slice_of(nullptr, 0)).detail, "not a certificate");
  EXPECT_STREQ(Refused(Slice("junk")).detail, "not a certificate");
  std::string longer = String(pki_->server->der) + "x";
  EXPECT_STREQ(Refused(Slice(longer)).text, "bytes follow the certificate");
  std::string der = String(pki_->server->der);
  for (size_t len = 0; len < der.size(); len++) {
    std::string cut = der.substr(0, len);
    Refused(Slice(cut));
  }
}

TEST_F(CertificateTest, DoesNoDamageCrashIt) {
  std::string der = String(pki_->server->der);
  for (size_t i = 0; i < der.size(); i++) {
    for (int flip : {0x01, 0x80, 0xff}) {
      std::string damaged = der;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      Arena arena;
      tls_certificate out;
      Error error;
      status_t status = tls_certificate_decode(Slice(damaged), arena, &out, &error);
      EXPECT_TRUE(status_ok(status) || status.code == STATUS_INVALID_ARGUMENT);
    }
  }
}

TEST_F(CertificateTest, IsAFullArenaSaidWhereverItFills) {
  Arena whole;
  tls_certificate out;
  Error error;
  ASSERT_EQ(tls_certificate_decode(pki_->server->der, whole, &out, &error).code, STATUS_OK);
  for (size_t max = 0; max < whole.arena.used; max += 16) {
    Arena small(max);
    EXPECT_EQ(tls_certificate_decode(pki_->server->der, small, &out, &error).code,
              STATUS_RESOURCE_EXHAUSTED)
        << max;
    EXPECT_EQ(error.os_errno, ENOMEM);
  }
}

TEST_F(CertificateTest, AreSeveralDecodedUpToABound) {
  std::string pem = std::string(pki_->server->chain_pem) + pki_->root->pem;
  EXPECT_EQ(All(pem).size(), 3u);
  EXPECT_EQ(All(pem, 2).size(), 2u);
  EXPECT_STREQ(All(pem)[2].subject_text, "CN=Test Root,O=tlsagent tests");
  EXPECT_EQ(All(String(pki_->server->der) + String(pki_->root->der)).size(), 2u);
  std::string many;
  for (int i = 0; i < 20; i++) {
    many += pem;
  }
  EXPECT_EQ(All(many).size(), 60u);
}

TEST_F(CertificateTest, IsNoneAtAllRefused) {
  All("", 256, STATUS_INVALID_ARGUMENT);
  EXPECT_STREQ(error_.detail, "no certificate in the bytes");
  All(pki_->server->key_pem, 256, STATUS_INVALID_ARGUMENT);
  EXPECT_STREQ(error_.detail, "no certificate in the bytes");
  EXPECT_STREQ(error_.reason, "NO_START_LINE");
  All(std::string(pki_->root->pem) + "-----BEGIN CERTIFICATE-----\nAAAA\n", 256,
      STATUS_INVALID_ARGUMENT);
  EXPECT_STREQ(error_.detail, "certificate 2 can't be read");
}

}  // namespace
