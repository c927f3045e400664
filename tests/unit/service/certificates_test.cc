// CertificateService.
#include <openssl/x509_vfy.h>

#include "tests/unit/service/harness.h"

namespace {

class Certificates : public Daemon {
 protected:
  Client client_ = Connect();

  Reply<V1(DecodeResponse)> Decode(const std::string &data, uint32_t max = 0) {
    Material material(data);
    auto request = New<V1(DecodeRequest)>();
    request.certificates = material.get();
    request.max_certificates = max;
    return client_.Call(request);
  }
};

std::string Der(const struct pki_identity *identity) {
  return std::string((const char *)identity->der.data, identity->der.len);
}

TEST_F(Certificates, IsPemAndDerDecodedTheSame) {
  const struct pki_identity *server = pki_get()->server;
  auto pem = Decode(server->pem);
  auto der = Decode(Der(server));
  ASSERT_EQ(1u, pem->n_certificates);
  ASSERT_EQ(1u, der->n_certificates);
  EXPECT_EQ(Der(server), Text(pem->certificates[0]->der));
  EXPECT_EQ(Der(server), Text(der->certificates[0]->der));
  EXPECT_STREQ(server->pem, der->certificates[0]->pem);
  EXPECT_EQ(nullptr, pem->error);
}

TEST_F(Certificates, IsAChainDecodedInItsOrderUpToTheMost) {
  const std::string chain =
      std::string("some text\n") + pki_get()->server->chain_pem + pki_get()->root->pem;
  EXPECT_EQ(3u, Decode(chain)->n_certificates);
  EXPECT_EQ(3u, Decode(chain, 256)->n_certificates);
  auto two = Decode(chain, 2);
  ASSERT_EQ(2u, two->n_certificates);
  EXPECT_EQ(Der(pki_get()->server), Text(two->certificates[0]->der));
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Decode(chain, 257).code);
}

TEST_F(Certificates, IsEveryKindOfAlternativeNameThere) {
  auto reply = Decode(pki_get()->server->pem);
  std::map<std::string, int> names;
  const V1(Certificate) *certificate = reply->certificates[0];
  for (size_t i = 0; i < certificate->n_subject_alt_names; i++) {
    names[certificate->subject_alt_names[i]->text] = certificate->subject_alt_names[i]->kind;
  }
  EXPECT_EQ(TLSAGENT__V1__ALTERNATIVE_NAME_KIND__ALTERNATIVE_NAME_KIND_DNS, names["host.test"]);
  EXPECT_EQ(TLSAGENT__V1__ALTERNATIVE_NAME_KIND__ALTERNATIVE_NAME_KIND_IP, names["127.0.0.1"]);
}

TEST_F(Certificates, IsWhatIsNoCertificateAnAnswer) {
  for (const char *rubbish : {"", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n"}) {
    auto reply = Decode(rubbish);
    EXPECT_EQ(0, reply.code) << rubbish;
    ASSERT_NE(nullptr, reply->error) << rubbish;
    EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_INVALID, reply->error->kind);
    EXPECT_EQ(0u, reply->n_certificates);
  }
}

TEST_F(Certificates, IsARequestWithoutAnyRefused) {
  auto decode = New<V1(DecodeRequest)>();
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_.Call(decode).code);
  auto verify = New<V1(VerifyRequest)>();
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_.Call(verify).code);
}

TEST_F(Certificates, IsOneTooLongRefused) {
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, Decode(std::string(limits_.material_bytes + 1, 'x')).code);
}

// Small on the wire and large decoded: it does not fit the memory of a call, and says so.
TEST_F(Certificates, IsOneThatDoesNotFitACallRefused) {
  std::string names = "DNS:a";
  for (int i = 0; i < 60000; i++) {
    names += ",DNS:a" + std::to_string(i);
  }
  struct pki_request request = {};
  request.name = "many";
  request.alt_names = names.c_str();
  struct pki_identity *many = pki_issue(&request);
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, Decode(Der(many)).code);
  EXPECT_EQ(0, Decode(pki_get()->server->pem).code) << "and nobody else notices";
  pki_free(many);
}

// ---------------------------------------------------------------------------------------------

// A request to verify the host's server certificate against the root.
struct Verify {
  explicit Verify(const struct pki_identity *identity = pki_get()->server)
      : chain(identity->chain_pem), trust(pki_get()->root->pem) {
    list[0] = trust.get();
    request.chain = chain.get();
    request.trust = list;
    request.n_trust = 1;
  }
  Material chain;
  Material trust;
  V1(Material) * list[1];
  V1(VerifyRequest) request = New<V1(VerifyRequest)>();
};

int64_t CodeAt(const V1(VerifyResponse) * response, size_t depth) {
  return depth < response->n_depths && response->depths[depth]->n_failures > 0
             ? response->depths[depth]->failures[0]->code
             : 0;
}

TEST_F(Certificates, IsAGoodChainGoodAtEveryDepth) {
  Verify verify;
  verify.request.host = (char *)"host.test";
  verify.request.purpose = TLSAGENT__V1__VERIFY_PURPOSE__VERIFY_PURPOSE_TLS_SERVER;
  auto reply = client_.Call(verify.request);
  ASSERT_EQ(0, reply.code) << reply.message;
  EXPECT_TRUE(reply->ok);
  ASSERT_EQ(3u, reply->n_depths);
  for (uint32_t i = 0; i < 3; i++) {
    EXPECT_EQ(i, reply->depths[i]->depth);
    EXPECT_EQ(0u, reply->depths[i]->n_failures);
    EXPECT_NE(nullptr, reply->depths[i]->certificate);
  }
}

TEST_F(Certificates, IsAnotherHostToldAtItsDepth) {
  Verify verify;
  verify.request.host = (char *)"other.test";
  auto reply = client_.Call(verify.request);
  EXPECT_FALSE(reply->ok);
  EXPECT_EQ(X509_V_ERR_HOSTNAME_MISMATCH, CodeAt(reply.response.get(), 0));
  EXPECT_STRNE("", reply->depths[0]->failures[0]->message);
}

TEST_F(Certificates, IsAnExpiredOneGoodInItsTime) {
  Verify verify(pki_get()->expired);
  auto now = client_.Call(verify.request);
  EXPECT_EQ(X509_V_ERR_CERT_HAS_EXPIRED, CodeAt(now.response.get(), 0));
  V1(UInt64Value) at = TLSAGENT__V1__UINT64_VALUE__INIT;
  auto decoded = Decode(pki_get()->expired->pem);
  at.value = (uint64_t)decoded->certificates[0]->not_after_unix - 60;
  verify.request.at_unix = &at;
  EXPECT_EQ(0, CodeAt(client_.Call(verify.request).response.get(), 0));
}

TEST_F(Certificates, IsNobodyTrustedByDefault) {
  Verify verify;
  verify.request.n_trust = 0;
  auto reply = client_.Call(verify.request);
  EXPECT_EQ(0, reply.code);
  EXPECT_FALSE(reply->ok);
}

TEST_F(Certificates, IsARevokedOneFoundByItsList) {
  char *list = pki_crl(pki_get()->intermediate, pki_get()->server);
  Material crl(list);
  free(list);
  V1(Material) * crls[] = {crl.get()};
  Verify verify;
  verify.request.crls = crls;
  verify.request.n_crls = 1;
  EXPECT_TRUE(client_.Call(verify.request)->ok) << "nobody asked to look";
  verify.request.flags = X509_V_FLAG_CRL_CHECK;
  EXPECT_EQ(X509_V_ERR_CERT_REVOKED, CodeAt(client_.Call(verify.request).response.get(), 0));
}

TEST_F(Certificates, IsWhatMakesNoSenseRefused) {
  Verify purpose;
  purpose.request.purpose = (V1(VerifyPurpose))3;
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_.Call(purpose.request).code);
  Verify time;
  V1(UInt64Value) at = TLSAGENT__V1__UINT64_VALUE__INIT;
  at.value = UINT64_MAX;
  time.request.at_unix = &at;
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_.Call(time.request).code);
  Verify material;
  material.trust.get()->source_case = TLSAGENT__V1__MATERIAL__SOURCE__NOT_SET;
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client_.Call(material.request).code);
}

TEST_F(Certificates, IsTrustThatCantBeReadAnAnswer) {
  Verify verify;
  Material rubbish("rubbish");
  verify.list[0] = rubbish.get();
  auto reply = client_.Call(verify.request);
  EXPECT_EQ(0, reply.code);
  ASSERT_NE(nullptr, reply->error);
  EXPECT_STREQ("trust[0]", reply->error->item);
  EXPECT_EQ(0u, reply->n_depths);
}

}  // namespace
