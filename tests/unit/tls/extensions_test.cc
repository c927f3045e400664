#include "server/tls/extensions.h"

#include <openssl/x509v3.h>

#include "tests/unit/tls/harness.h"

namespace {

class ExtensionsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    to_.scratch = BIO_new(BIO_s_mem());
    certificate_ = X509_new();
  }
  void TearDown() override {
    BIO_free(to_.scratch);
    X509_free(certificate_);
  }
  void Add(int nid, const char *value) {
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
    ASSERT_NE(extension, nullptr) << value;
    X509_add_ext(certificate_, extension, -1);
    X509_EXTENSION_free(extension);
  }
  void AddRaw(int nid, const std::string &der) {
    ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
    ASN1_STRING_set(data, der.data(), static_cast<int>(der.size()));
    X509_EXTENSION *extension = X509_EXTENSION_create_by_NID(nullptr, nid, 0, data);
    X509_add_ext(certificate_, extension, -1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(data);
  }
  tls_certificate Decoded() {
    tls_certificate out = {};
    extensions_decode(&to_, certificate_, &out);
    return out;
  }
  Arena arena_;
  struct decoding to_ = {arena_, nullptr};
  X509 *certificate_ = nullptr;
};

TEST_F(ExtensionsTest, IsNothingThereNothingShown) {
  tls_certificate out = Decoded();
  EXPECT_EQ(out.num_alt_names, 0u);
  EXPECT_FALSE(out.has_basic_constraints);
}

TEST_F(ExtensionsTest, AreAllKindsShown) {
  Add(NID_subject_alt_name, "DNS:a.test,email:x@a.test");
  Add(NID_info_access,
      "OCSP;URI:http://ocsp.test/,caIssuers;URI:http://ca.test/ca.crt,OCSP;URI:http://two.test/");
  Add(NID_crl_distribution_points, "URI:http://crl.test/1.crl,URI:http://crl.test/2.crl");
  Add(NID_key_usage, "digitalSignature,nonRepudiation,decipherOnly");
  Add(NID_ext_key_usage, "serverAuth,1.2.3.4");
  Add(NID_basic_constraints, "CA:TRUE,pathlen:3");
  tls_certificate out = Decoded();
  EXPECT_EQ(out.num_alt_names, 2u);
  ASSERT_EQ(out.num_ocsp, 2u);
  EXPECT_STREQ(out.ocsp[1], "http://two.test/");
  ASSERT_EQ(out.num_ca_issuers, 1u);
  EXPECT_STREQ(out.ca_issuers[0], "http://ca.test/ca.crt");
  ASSERT_EQ(out.num_crl_points, 2u);
  EXPECT_STREQ(out.crl_points[1], "http://crl.test/2.crl");
  ASSERT_EQ(out.num_key_usage, 3u);
  EXPECT_STREQ(out.key_usage[2], "decipherOnly");
  ASSERT_EQ(out.num_extended_key_usage, 2u);
  EXPECT_STREQ(out.extended_key_usage[1], "1.2.3.4");
  EXPECT_TRUE(out.ca);
  EXPECT_TRUE(out.has_path_length);
  EXPECT_EQ(out.path_length, 3u);
}

TEST_F(ExtensionsTest, DoBothCountOfOneThatIsThereTwice) {
  Add(NID_subject_alt_name, "DNS:a.test");
  Add(NID_subject_alt_name, "DNS:b.test");
  tls_certificate out = Decoded();
  ASSERT_EQ(out.num_alt_names, 2u);
  EXPECT_STREQ(out.alt_names[1].text, "b.test");
}

TEST_F(ExtensionsTest, IsAnUnreadableOneAsIfItWereNotThere) {
  for (int nid : {NID_subject_alt_name, NID_info_access, NID_crl_distribution_points, NID_key_usage,
                  NID_ext_key_usage, NID_basic_constraints}) {
    AddRaw(nid, "\x30\x7f rubbish");
    AddRaw(nid, "");
  }
  tls_certificate out = Decoded();
  EXPECT_EQ(out.num_alt_names + out.num_ocsp + out.num_crl_points + out.num_key_usage +
                out.num_extended_key_usage,
            0u);
  EXPECT_FALSE(out.has_basic_constraints);
}

TEST_F(ExtensionsTest, IsADistributionPointWithoutPlaceTolerated) {
  AddRaw(NID_crl_distribution_points, std::string("\x30\x02\x30\x00", 4));
  // One that is named relative to the issuer.
  AddRaw(
      NID_crl_distribution_points,
      std::string("\x30\x13\x30\x11\xa0\x0f\xa1\x0d\x30\x0b\x06\x03\x55\x04\x03\x0c\x04test", 21));
  EXPECT_EQ(Decoded().num_crl_points, 0u);
}

TEST_F(ExtensionsTest, IsANegativePathLengthNone) {
  AddRaw(NID_basic_constraints, std::string("\x30\x06\x01\x01\xff\x02\x01\xff", 8));
  tls_certificate out = Decoded();
  EXPECT_TRUE(out.ca);
  EXPECT_FALSE(out.has_path_length);
}

TEST_F(ExtensionsTest, IsAHugeListBoundedByTheArena) {
  std::string names = "DNS:a.test";
  for (int i = 0; i < 5000; i++) {
    names += ",DNS:a.test";
  }
  Add(NID_subject_alt_name, names.c_str());
  EXPECT_EQ(Decoded().num_alt_names, 5001u);
  Arena small(100000);
  struct decoding to = {small, to_.scratch};
  tls_certificate out = {};
  extensions_decode(&to, certificate_, &out);
  EXPECT_TRUE(small.arena.exhausted);
}

}  // namespace
