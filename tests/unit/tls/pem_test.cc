#include "server/tls/pem.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <string>

#include "tests/unit/tls/harness.h"

namespace {

struct Count {
  int certificates = 0;
  int crls = 0;
  int stop_after = 1000;
};

bool Take(void *state, struct pem_object object) {
  auto *count = static_cast<Count *>(state);
  count->certificates += object.certificate != nullptr;
  count->crls += object.crl != nullptr;
  X509_free(object.certificate);
  X509_CRL_free(object.crl);
  return count->certificates + count->crls < count->stop_after;
}

class PemTest : public ::testing::Test {
 protected:
  pem_each_result Each(const std::string &data, unsigned want) {
    return pem_each(Slice(data), want, Take, &count_);
  }
  const struct pki *pki_ = pki_get();
  Count count_;
  const unsigned both_ = PEM_WANT_CERTIFICATES | PEM_WANT_CRLS;
};

TEST_F(PemTest, IsPemToldFromDer) {
  EXPECT_TRUE(pem_looks_like(Slice(pki_->root->pem)));
  EXPECT_TRUE(pem_looks_like(Slice(std::string("text\n") + pki_->root->pem)));
  EXPECT_FALSE(pem_looks_like(pki_->root->der));
  EXPECT_FALSE(pem_looks_like(slice_of(nullptr, 0)));
}

TEST_F(PemTest, IsTextBetweenBlocksSkipped) {
  std::string data = std::string("# one\n") + pki_->root->pem + "two\n\n" + pki_->other_root->pem;
  EXPECT_EQ(Each(data, both_), PEM_EACH_DONE);
  EXPECT_EQ(count_.certificates, 2);
}

TEST_F(PemTest, AreBlocksOfOtherKindsSkipped) {
  std::string data = std::string(pki_->server->key_pem) + pki_->server->pem;
  EXPECT_EQ(Each(data, PEM_WANT_CERTIFICATES), PEM_EACH_DONE);
  EXPECT_EQ(count_.certificates, 1);
}

TEST_F(PemTest, AreListsGivenToThoseWhoWantThem) {
  char *crl = pki_crl(pki_->intermediate, nullptr);
  std::string data = std::string(pki_->root->pem) + crl;
  EXPECT_EQ(Each(data, PEM_WANT_CERTIFICATES), PEM_EACH_DONE);
  EXPECT_EQ(count_.crls, 0);
  EXPECT_EQ(Each(data, PEM_WANT_CRLS), PEM_EACH_DONE);
  EXPECT_EQ(count_.crls, 1);
  EXPECT_EQ(count_.certificates, 1);
  free(crl);
}

TEST_F(PemTest, IsDerReadToItsLastByte) {
  std::string data = String(pki_->root->der) + String(pki_->server->der);
  EXPECT_EQ(Each(data, both_), PEM_EACH_DONE);
  EXPECT_EQ(count_.certificates, 2);
  EXPECT_EQ(Each(data + "x", both_), PEM_EACH_DAMAGED);
  EXPECT_EQ(Each("0junk", both_), PEM_EACH_DAMAGED);
  count_ = {};
  EXPECT_EQ(Each("junk", both_), PEM_EACH_DONE) << "neither DER nor PEM";
  EXPECT_EQ(count_.certificates, 0);
}

TEST_F(PemTest, IsNothingNothing) {
  EXPECT_EQ(Each("", both_), PEM_EACH_DONE);
  EXPECT_EQ(count_.certificates, 0);
}

TEST_F(PemTest, IsADamagedBlockNoticedWhereverItIs) {
  std::string pem = pki_->root->pem;
  for (size_t cut = pem.find('\n') + 1; cut < pem.size() - 1; cut += 37) {
    EXPECT_EQ(Each(pem.substr(0, cut), both_), PEM_EACH_DAMAGED) << cut;
  }
  std::string garbled = pem;
  garbled[garbled.size() / 2] = '!';
  EXPECT_EQ(Each(garbled, both_), PEM_EACH_DAMAGED);
  EXPECT_EQ(Each("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", both_),
            PEM_EACH_DAMAGED);
}

TEST_F(PemTest, CanTheTakerStop) {
  count_.stop_after = 1;
  std::string data = std::string(pki_->root->pem) + pki_->other_root->pem;
  EXPECT_EQ(Each(data, both_), PEM_EACH_STOPPED);
  EXPECT_EQ(count_.certificates, 1);
}

TEST_F(PemTest, IsEveryBlockGivenWithItsName) {
  BIO *reader = pem_open(Slice(pki_->server->key_pem));
  struct pem_block block;
  EXPECT_EQ(pem_next(reader, true, &block), PEM_BLOCK);
  EXPECT_STREQ(block.name, "PRIVATE KEY");
  EXPECT_EQ(std::string(reinterpret_cast<char *>(block.data), static_cast<size_t>(block.len)),
            String(pki_->server->key_der));
  pem_block_cleanup(&block);
  EXPECT_EQ(block.data, nullptr);
  EXPECT_EQ(pem_next(reader, true, &block), PEM_END);
  pem_block_cleanup(&block);
  BIO_free(reader);
  ERR_clear_error();
}

}  // namespace
