#include "server/service/convert.h"

#include "tests/unit/service/harness.h"

namespace {

class Convert : public testing::Test {
 protected:
  Convert() {
    arena_init(&arena_, 1 << 20);
  }
  ~Convert() override {
    arena_cleanup(&arena_);
  }
  struct arena arena_;
};

TEST_F(Convert, AreBytesNeitherCopiedNorLost) {
  std::string data = "bytes";
  ProtobufCBinaryData binary = binary_of(slice_of(data.data(), data.size()));
  EXPECT_EQ((uint8_t *)data.data(), binary.data);
  EXPECT_EQ(5u, binary.len);
  struct slice back = slice_of_binary(binary);
  EXPECT_EQ((uint8_t *)data.data(), back.data);
  EXPECT_EQ(5u, back.len);
}

TEST_F(Convert, IsEveryFieldOfAnErrorThere) {
  struct tls_error error = {};
  error.kind = TLS_ERROR_VERIFY;
  error.ssl_error = 1;
  error.code = 0xffffffff12345678ul;
  error.library_number = 20;
  error.reason_number = 134;
  snprintf(error.library, sizeof(error.library), "SSL");
  snprintf(error.reason, sizeof(error.reason), "CERTIFICATE_VERIFY_FAILED");
  snprintf(error.text, sizeof(error.text), "certificate verify failed");
  error.verify_code = 62;
  snprintf(error.verify_message, sizeof(error.verify_message), "hostname mismatch");
  error.os_errno = 104;
  snprintf(error.item, sizeof(error.item), "pairs[1].key");
  error.alert = 0;
  V1(TlsError) *out = convert_error(&arena_, &error);
  ASSERT_NE(nullptr, out);
  EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_VERIFY, out->kind);
  EXPECT_EQ(1u, out->ssl_error);
  EXPECT_EQ(0xffffffff12345678ul, out->code);
  EXPECT_EQ(20u, out->library_number);
  EXPECT_EQ(134u, out->reason_number);
  EXPECT_STREQ("SSL", out->library);
  EXPECT_STREQ("CERTIFICATE_VERIFY_FAILED", out->reason);
  EXPECT_STREQ("certificate verify failed", out->text);
  EXPECT_EQ(62, out->verify_code);
  EXPECT_STREQ("hostname mismatch", out->verify_message);
  EXPECT_EQ(104u, out->os_errno);
  EXPECT_STREQ("pairs[1].key", out->item);
  ASSERT_NE(nullptr, out->alert) << "close_notify is alert 0";
  EXPECT_EQ(0u, out->alert->value);
}

TEST_F(Convert, IsNoAlertAbsent) {
  struct tls_error error;
  tls_error_simple(&error, TLS_ERROR_TRUNCATED, "the end");
  EXPECT_EQ(nullptr, convert_error(&arena_, &error)->alert);
}

TEST_F(Convert, IsTextOfAPeerAlwaysUtf8) {
  struct tls_error error;
  tls_error_simple(&error, TLS_ERROR_TLS, "bad \xff byte");
  EXPECT_STREQ("bad \\xff byte", convert_error(&arena_, &error)->text);
}

TEST_F(Convert, IsACertificateThatCameThroughTheSame) {
  struct tls_certificate certificate;
  struct tls_error error;
  const struct pki_identity *server = pki_get()->server;
  ASSERT_TRUE(status_ok(tls_certificate_decode(server->der, &arena_, &certificate, &error)));
  V1(Certificate) *out = convert_certificate(&arena_, &certificate);
  ASSERT_NE(nullptr, out);
  EXPECT_EQ(3u, out->version);
  EXPECT_STREQ(certificate.serial_number, out->serial_number);
  EXPECT_STREQ(certificate.subject_text, out->subject_text);
  EXPECT_EQ(certificate.not_after_unix, out->not_after_unix);
  EXPECT_EQ(32u, out->fingerprint_sha256.len);
  EXPECT_EQ(32u, out->spki_sha256.len);
  EXPECT_STREQ("EC", out->key_type);
  EXPECT_STREQ("prime256v1", out->key_curve);
  EXPECT_EQ(256u, out->key_bits);
  ASSERT_EQ(certificate.subject.num_steps, out->n_subject);
  EXPECT_EQ(TLSAGENT__V1__NAME_ATTRIBUTE__VALUE_TEXT, out->subject[0]->attributes[0]->value_case);
  EXPECT_EQ(certificate.num_alt_names, out->n_subject_alt_names);
  // Whoever unpacks it has to get all of it.
  std::string packed(tlsagent__v1__certificate__get_packed_size(out), '\0');
  tlsagent__v1__certificate__pack(out, (uint8_t *)&packed[0]);
  V1(Certificate) *back =
      tlsagent__v1__certificate__unpack(nullptr, packed.size(), (const uint8_t *)packed.data());
  ASSERT_NE(nullptr, back);
  EXPECT_EQ(std::string((const char *)server->der.data, server->der.len), Text(back->der));
  tlsagent__v1__certificate__free_unpacked(back, nullptr);
}

TEST_F(Convert, AreTheBasicConstraintsOfACaThere) {
  struct tls_certificate certificate;
  struct tls_error error;
  ASSERT_TRUE(
      status_ok(tls_certificate_decode(pki_get()->root->der, &arena_, &certificate, &error)));
  V1(Certificate) *out = convert_certificate(&arena_, &certificate);
  ASSERT_NE(nullptr, out->basic_constraints);
  EXPECT_TRUE(out->basic_constraints->ca);
  EXPECT_TRUE(out->self_issued);
  certificate.has_basic_constraints = false;
  EXPECT_EQ(nullptr, convert_certificate(&arena_, &certificate)->basic_constraints);
  certificate.has_basic_constraints = true;
  certificate.has_path_length = true;
  certificate.path_length = 7;
  EXPECT_EQ(7u, convert_certificate(&arena_, &certificate)->basic_constraints->path_length->value);
}

TEST_F(Convert, IsOneThatDoesNotDecodeLeftOut) {
  struct slice der[] = {slice_of_string("rubbish"), pki_get()->server->der, slice_of(nullptr, 0)};
  size_t num = 0;
  V1(Certificate) **list = decode_chain(&arena_, der, 3, &num);
  ASSERT_EQ(1u, num);
  EXPECT_EQ(pki_get()->server->der.len, list[0]->der.len);
  decode_chain(&arena_, nullptr, 0, &num);
  EXPECT_EQ(0u, num);
}

// Wherever the memory ends, what there is can be walked, and the arena says that it was too small.
TEST_F(Convert, IsAnArenaThatEndsNeverWalkedPast) {
  struct arena whole;
  arena_init(&whole, 1 << 20);
  struct tls_certificate certificate;
  struct tls_error error;
  ASSERT_TRUE(
      status_ok(tls_certificate_decode(pki_get()->server->der, &whole, &certificate, &error)));
  bool fitted = false;
  for (size_t max = 16; max < 16384 && !fitted; max += 16) {
    struct arena small;
    arena_init(&small, max);
    V1(Certificate) *out = convert_certificate(&small, &certificate);
    fitted = out != nullptr && !small.exhausted;
    EXPECT_TRUE(fitted || small.exhausted) << max;
    if (out != nullptr) {
      EXPECT_GT(tlsagent__v1__certificate__get_packed_size(out), 0u);
    }
    arena_cleanup(&small);
  }
  EXPECT_TRUE(fitted);
  arena_cleanup(&whole);
}

TEST_F(Convert, IsWhatWasNegotiatedThere) {
  struct engine_negotiated from = {};
  from.version = TLS1_3_VERSION;
  from.version_name = "TLSv1.3";
  from.cipher.id = 0x03001301;
  from.cipher.name = "TLS_AES_128_GCM_SHA256";
  from.cipher.standard_name = "TLS_AES_128_GCM_SHA256";
  from.cipher.protocol = "TLSv1.3";
  from.cipher.description = "one line";
  from.cipher.strength_bits = 128;
  from.cipher.algorithm_bits = 129;
  from.cipher.aead = true;
  from.cipher.symmetric = "aes-128-gcm";
  from.cipher.digest = "";
  from.cipher.key_exchange = "kx-any";
  from.cipher.authentication = "auth-any";
  from.alpn = slice_of_string("h2");
  from.server_name = "bad\xff";
  from.resumed = true;
  from.group = "x25519";
  from.peer_signature = "ECDSA+SHA256";
  V1(Negotiated) *out = convert_negotiated(&arena_, &from);
  ASSERT_NE(nullptr, out);
  EXPECT_EQ(TLSAGENT__V1__PROTOCOL_VERSION__PROTOCOL_VERSION_TLS_1_3, out->version);
  EXPECT_STREQ("TLSv1.3", out->version_name);
  EXPECT_EQ(0x03001301u, out->cipher->id);
  EXPECT_EQ(128u, out->cipher->strength_bits);
  EXPECT_EQ(129u, out->cipher->algorithm_bits);
  EXPECT_TRUE(out->cipher->aead);
  EXPECT_STREQ("aes-128-gcm", out->cipher->symmetric);
  EXPECT_EQ("h2", Text(out->alpn));
  EXPECT_STREQ("bad\\xff", out->server_name);
  EXPECT_TRUE(out->resumed);
  EXPECT_STREQ("x25519", out->group);
  EXPECT_STREQ("ECDSA+SHA256", out->peer_signature);
}

}  // namespace
