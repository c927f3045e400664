#include "server/tls/trust.h"

#include <regex>
#include <thread>

#include "tests/unit/tls/harness.h"

namespace {

struct Unref {
  void operator()(trust_set *set) const {
    trust_set_unref(set);
  }
};
using Set = std::unique_ptr<trust_set, Unref>;

class TrustTest : public TlsTest {
 protected:
  // Extends base by what the change trusts.
  Set Extend(const Set &base, Change &change, status_code expected = STATUS_OK) {
    trust_set *set = nullptr;
    tls_error_clear(&error_);
    EXPECT_EQ(trust_set_extend(base.get(), &change.get()->trust, &items_, &set, &error_).code,
              expected)
        << error_.text;
    return Set(set);
  }
  Set Make(Change &change, status_code expected = STATUS_OK) {
    return Extend(nullptr, change, expected);
  }
  Set Of(const std::string &certificates) {
    Change change;
    change.Trust(certificates);
    return Make(change);
  }
  void ExpectRefused(Change &change, const char *item, const char *text) {
    EXPECT_EQ(Make(change, STATUS_INVALID_ARGUMENT), nullptr);
    EXPECT_STREQ(error_.item, item);
    EXPECT_NE(std::string(error_.detail).find(text), std::string::npos) << error_.detail;
  }
  const struct pki *pki_ = pki_get();
  const std::string root_ = pki_get()->root->pem;
  const std::string other_ = pki_get()->other_root->pem;
  const trust_items items_ = {"trust.certificates", "trust.crls", "trust.system"};
  tls_error error_;
};

TEST_F(TrustTest, IsNobodyTrustedAtFirst) {
  Change nothing;
  Set set = Make(nothing);
  EXPECT_EQ(trust_set_counts(set.get()).certificates, 0u);
  EXPECT_NE(trust_set_store(set.get()), nullptr);
}

TEST_F(TrustTest, IsTheSameTrustTheSameStore) {
  Set one = Of(root_ + other_);
  Set two = Of(root_ + other_);
  EXPECT_EQ(one.get(), two.get());
  EXPECT_NE(one.get(), Of(root_).get());
}

TEST_F(TrustTest, DoesTheOrderNotMatter) {
  Change change;
  change.Trust(root_).Trust(other_).Trust(root_);
  Change reversed;
  reversed.Trust(other_).Trust(root_);
  Set one = Make(change);
  EXPECT_EQ(one.get(), Make(reversed).get());
  EXPECT_EQ(trust_set_counts(one.get()).certificates, 2u);
}

TEST_F(TrustTest, DoesExtendingKeepWhatWasThere) {
  Set first = Of(root_);
  Change more;
  more.Trust(other_);
  Set both = Extend(first, more);
  EXPECT_EQ(trust_set_counts(first.get()).certificates, 1u);
  EXPECT_EQ(trust_set_counts(both.get()).certificates, 2u);
  Change at_once;
  at_once.Trust(root_).Trust(other_);
  EXPECT_EQ(both.get(), Make(at_once).get());
}

TEST_F(TrustTest, AreCaCertificatesAndListsCounted) {
  char *crl = pki_crl(pki_->intermediate, pki_->server);
  Change change;
  change.Trust(root_ + pki_->server->pem + crl);
  Set set = Make(change);
  EXPECT_EQ(trust_set_counts(set.get()).certificates, 2u);
  EXPECT_EQ(trust_set_counts(set.get()).ca_certificates, 1u);
  EXPECT_EQ(trust_set_counts(set.get()).crls, 1u);
  Change apart;
  apart.Trust(root_).Crl(crl);
  EXPECT_EQ(trust_set_counts(Make(apart).get()).crls, 1u);
  free(crl);
}

TEST_F(TrustTest, CanAFileOfAuthoritiesHoldAListAlone) {
  char *crl = pki_crl(pki_->intermediate, nullptr);
  Set set = Of(crl);
  EXPECT_EQ(trust_set_counts(set.get()).crls, 1u);
  free(crl);
}

TEST_F(TrustTest, AreTheAuthoritiesListedInDer) {
  Set set = Of(root_ + pki_->server->pem);
  Arena arena;
  slice *der;
  size_t num;
  ASSERT_EQ(trust_set_certificates(set.get(), arena, &der, &num).code, STATUS_OK);
  ASSERT_EQ(num, 1u);
  EXPECT_EQ(String(der[0]), String(pki_->root->der));
  Arena small(100);
  EXPECT_EQ(trust_set_certificates(set.get(), small, &der, &num).code, STATUS_RESOURCE_EXHAUSTED);
}

TEST_F(TrustTest, IsDerReadAndJunkAfterItRefused) {
  Set set = Of(String(pki_->root->der) + String(pki_->other_root->der));
  EXPECT_EQ(trust_set_counts(set.get()).certificates, 2u);
  Change junk;
  junk.Trust(String(pki_->root->der) + "x");
  ExpectRefused(junk, "trust.certificates[0][1]", "certificate 2 can't be read");
}

TEST_F(TrustTest, IsEveryBadInputNamed) {
  Change nothing;
  nothing.Trust(root_).Trust("");
  ExpectRefused(nothing, "trust.certificates[1]", "no certificate in the bytes");
  Change text;
  text.Trust("no certificate here");
  ExpectRefused(text, "trust.certificates[0]", "no certificate in the bytes");
  Change key;
  key.Trust(pki_->server->key_pem);
  ExpectRefused(key, "trust.certificates[0]", "no certificate in the bytes");
  Change crl;
  crl.Crl(root_);
  ExpectRefused(crl, "trust.crls[0]", "no revocation list in the bytes");
  Change cut;
  cut.Trust(root_ + other_.substr(0, 200));
  ExpectRefused(cut, "trust.certificates[0][1]", "certificate 2 can't be read");
}

// Bundles as people have them: certificates, lists, duplicates, remarks, OpenSSL's own kind of
// block.
TEST_F(TrustTest, IsAllReadThatABundleMayHold) {
  char *crl = pki_crl(pki_->root, nullptr);
  const std::string trusted =
      std::regex_replace(other_, std::regex(" CERTIFICATE"), " TRUSTED CERTIFICATE");
  Set set = Of("# Roots\n" + root_ + "again:\n" + root_ + trusted + crl + "\nThe end.");
  EXPECT_EQ(trust_set_counts(set.get()).certificates, 2u);
  EXPECT_EQ(trust_set_counts(set.get()).crls, 1u);
  free(crl);
}

// What X509_load_cert_crl_file(3) and d2i_X509_bio(3) leave, and Python's users know.
TEST_F(TrustTest, IsTheCodeTheOneThatOpensslsOwnLoadersLeave) {
  std::string garbled = root_;
  garbled[garbled.size() / 2] = '!';
  const std::string der = String(pki_->root->der);
  const struct {
    std::string data;
    const char *item, *library, *reason, *text;
  } rows[] = {
      {"", "trust.certificates[0]", "X509", "NO_CERTIFICATE_OR_CRL_FOUND",
       "no certificate or crl found"},
      {"junk", "trust.certificates[0]", "X509", "NO_CERTIFICATE_OR_CRL_FOUND",
       "no certificate or crl found"},
      {pki_->server->key_pem, "trust.certificates[0]", "X509", "NO_CERTIFICATE_OR_CRL_FOUND",
       "no certificate or crl found"},
      {garbled, "trust.certificates[0]", "X509", "", "PEM lib"},
      {root_ + garbled, "trust.certificates[0][1]", "X509", "", "PEM lib"},
      {root_.substr(0, 200), "trust.certificates[0]", "X509", "", "PEM lib"},
      {der.substr(0, 99), "trust.certificates[0]", "ASN1", "NOT_ENOUGH_DATA", "not enough data"},
      {der + "A", "trust.certificates[0][1]", "ASN1", "NOT_ENOUGH_DATA", "not enough data"},
      {der + "0\3\2\1\1", "trust.certificates[0][1]", "ASN1", "", "nested asn1 error"},
      {der + der.substr(0, 99), "trust.certificates[0][1]", "ASN1", "NOT_ENOUGH_DATA",
       "not enough data"},
  };
  for (const auto &row : rows) {
    Change change;
    change.Trust(row.data);
    ExpectRefused(change, row.item, "");
    EXPECT_STREQ(error_.library, row.library) << error_.detail;
    EXPECT_STREQ(error_.reason, row.reason) << error_.detail;
    EXPECT_STREQ(error_.text, row.text) << error_.detail;
  }
}

TEST_F(TrustTest, IsThereABoundOnFilesAndCertificates) {
  Change many;
  std::string bundle;
  for (int i = 0; i <= TLS_TRUST_OBJECTS_MAX; i++) {
    bundle += root_;
  }
  many.Trust(bundle);
  ExpectRefused(many, "trust.certificates[0]", "more than 1024");
  Change files;
  for (int i = 0; i <= TLS_TRUST_PARTS_MAX; i++) {
    files.Trust("# " + std::to_string(i) + "\n" + root_);
  }
  ExpectRefused(files, "trust.certificates[64]", "more than 64 files");
}

TEST_F(TrustTest, IsTrustThatNobodyUsesForgottenAndFoundAnew) {
  for (int i = 0; i < 3; i++) {
    Set set = Of(root_);
    EXPECT_EQ(trust_set_counts(set.get()).certificates, 1u);
  }
}

TEST_F(TrustTest, CanThreadsShareIt) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++) {
    threads.emplace_back([this] {
      for (int i = 0; i < 50; i++) {
        Change change;
        change.Trust(root_).Trust(other_);
        Error error;
        trust_set *set = nullptr;
        ASSERT_EQ(trust_set_extend(nullptr, &change.get()->trust, &items_, &set, &error).code,
                  STATUS_OK);
        trust_set_unref(trust_set_ref(set));
        trust_set_unref(set);
      }
    });
  }
  for (std::thread &thread : threads) {
    thread.join();
  }
}

TEST_F(TrustTest, IsAllThatIsTrustedBoundedTogether) {
  Change first;
  first.Trust(root_);
  Set set = Make(first);
  Change more;
  more.Trust(other_);
  tls_trust trust = more.get()->trust;
  trust.max_bytes = root_.size() + other_.size() - 1;
  trust_set *out = nullptr;
  EXPECT_EQ(trust_set_extend(set.get(), &trust, &items_, &out, &error_).code,
            STATUS_INVALID_ARGUMENT);
  EXPECT_NE(std::string(error_.detail).find("bytes of trust in all"), std::string::npos);
  trust.max_bytes++;
  EXPECT_EQ(trust_set_extend(set.get(), &trust, &items_, &out, &error_).code, STATUS_OK);
  trust_set_unref(out);
}

}  // namespace
