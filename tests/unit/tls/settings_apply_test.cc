#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "server/tls/settings.h"
#include "tests/unit/tls/harness.h"

namespace {

struct CtxFree {
  void operator()(SSL_CTX *ctx) const {
    SSL_CTX_free(ctx);
  }
};
using Ctx = std::unique_ptr<SSL_CTX, CtxFree>;

class SettingsApplyTest : public TlsTest {
 protected:
  // What a context of this kind would have after the change.
  tls_settings Merged(Change &change, tls_context_kind kind = TLS_CONTEXT_BOTH) {
    tls_settings settings;
    settings_default(kind, &settings);
    EXPECT_EQ(settings_merge(&settings, &change.get()->settings, arena_).code, STATUS_OK);
    return settings;
  }
  status_code Apply(Change &change, tls_context_kind kind = TLS_CONTEXT_BOTH) {
    tls_settings merged = Merged(change, kind);
    ctx_.reset(SSL_CTX_new(TLS_method()));
    tls_error_clear(&error_);
    return settings_apply(ctx_.get(), kind, &merged, &error_).code;
  }
  void ExpectRefused(status_code code, const char *item, const char *text) {
    EXPECT_EQ(code, STATUS_INVALID_ARGUMENT) << item;
    EXPECT_STREQ(error_.item, item);
    EXPECT_NE(std::string(error_.detail).find(text), std::string::npos) << error_.detail;
  }
  Arena arena_;
  Ctx ctx_;
  tls_error error_;
};

TEST_F(SettingsApplyTest, AreTheDefaultsThoseOfTheContract) {
  Change nothing;
  ASSERT_EQ(Apply(nothing), STATUS_OK) << error_.text;
  EXPECT_EQ(SSL_CTX_get_min_proto_version(ctx_.get()), TLS1_2_VERSION);
  EXPECT_EQ(SSL_CTX_get_max_proto_version(ctx_.get()), 0);
  uint64_t options = SSL_CTX_get_options(ctx_.get());
  EXPECT_NE(options & SSL_OP_NO_COMPRESSION, 0u);
  EXPECT_NE(options & SSL_OP_CIPHER_SERVER_PREFERENCE, 0u);
  EXPECT_NE(options & SSL_OP_NO_SSLv3, 0u);
  EXPECT_EQ(options & SSL_OP_NO_TICKET, 0u);
  EXPECT_EQ(options & SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS, 0u);
  EXPECT_NE(X509_VERIFY_PARAM_get_flags(SSL_CTX_get0_param(ctx_.get())) & X509_V_FLAG_TRUSTED_FIRST,
            0u);
  EXPECT_EQ(SSL_CTX_get_verify_mode(ctx_.get()), SSL_VERIFY_NONE);
  EXPECT_EQ(SSL_CTX_get_session_cache_mode(ctx_.get()), SSL_SESS_CACHE_SERVER);
  ASSERT_EQ(Apply(nothing, TLS_CONTEXT_CLIENT), STATUS_OK);
  EXPECT_NE(SSL_CTX_get_verify_mode(ctx_.get()) & SSL_VERIFY_PEER, 0);
  EXPECT_TRUE(Merged(nothing, TLS_CONTEXT_CLIENT).check_hostname);
  EXPECT_FALSE(Merged(nothing, TLS_CONTEXT_SERVER).check_hostname);
}

TEST_F(SettingsApplyTest, IsTheRefusedWordOfAListNamed) {
  Change none;
  none.Ciphers("NOSUCH:NOTHIS");
  ExpectRefused(Apply(none), "settings.ciphers", "\"NOSUCH:NOTHIS\"");
  EXPECT_STREQ(error_.reason, "NO_CIPHER_MATCH");
  Change suites;
  suites.Set(TLS_SET_CIPHERSUITES).ciphersuites = "NOSUCH";
  Change groups;
  groups.Set(TLS_SET_GROUPS).groups = "X25519:nosuch:P-256";
  ExpectRefused(Apply(groups), "settings.groups", "\"nosuch\"");
  Change sigalgs;
  sigalgs.Set(TLS_SET_SIGALGS).sigalgs = "ECDSA+SHA256:WRONG+SHA1";
  ExpectRefused(Apply(sigalgs), "settings.signature_algorithms", "\"WRONG+SHA1\"");
  Change client_sigalgs;
  client_sigalgs.Set(TLS_SET_CLIENT_SIGALGS).client_sigalgs = "x";
  ExpectRefused(Apply(client_sigalgs), "settings.client_signature_algorithms", "\"x\"");
}

TEST_F(SettingsApplyTest, AreWordsThatOpensslSkipsSkipped) {
  Change change;
  change.Ciphers("NOSUCH:ECDHE-ECDSA-AES128-GCM-SHA256");
  EXPECT_EQ(Apply(change), STATUS_OK) << error_.text;
}

TEST_F(SettingsApplyTest, AreGoodListsTaken) {
  Change change;
  change.Set(TLS_SET_CIPHERSUITES).ciphersuites = "TLS_CHACHA20_POLY1305_SHA256";
  change.Set(TLS_SET_GROUPS).groups = "P-521:X448";
  change.Set(TLS_SET_SIGALGS).sigalgs = "ECDSA+SHA256:RSA-PSS+SHA256";
  change.Set(TLS_SET_CLIENT_SIGALGS).client_sigalgs = "ed25519";
  EXPECT_EQ(Apply(change), STATUS_OK) << error_.text;
}

TEST_F(SettingsApplyTest, AreOptionsTheWholeSet) {
  Change change;
  change.Set(TLS_SET_OPTIONS).options = SSL_OP_NO_TICKET;
  ASSERT_EQ(Apply(change), STATUS_OK);
  EXPECT_EQ(SSL_CTX_get_options(ctx_.get()), static_cast<uint64_t>(SSL_OP_NO_TICKET));
}

TEST_F(SettingsApplyTest, AreVerifyAndHostFlagsTheWholeSet) {
  Change change;
  change.Set(TLS_SET_VERIFY_FLAGS).verify_flags = X509_V_FLAG_PARTIAL_CHAIN;
  change.Set(TLS_SET_HOST_FLAGS).host_flags = X509_CHECK_FLAG_NO_WILDCARDS;
  change.Set(TLS_SET_VERIFY_DEPTH).verify_depth = 3;
  ASSERT_EQ(Apply(change), STATUS_OK);
  X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx_.get());
  EXPECT_EQ(X509_VERIFY_PARAM_get_flags(param),
            static_cast<unsigned long>(X509_V_FLAG_PARTIAL_CHAIN));
  EXPECT_EQ(X509_VERIFY_PARAM_get_hostflags(param),
            static_cast<unsigned>(X509_CHECK_FLAG_NO_WILDCARDS));
  EXPECT_EQ(SSL_CTX_get_verify_depth(ctx_.get()), 3);
}

TEST_F(SettingsApplyTest, IsACacheOfNothingNoCache) {
  Change change;
  change.Set(TLS_SET_SESSION_CACHE_SIZE).session_cache_size = 0;
  ASSERT_EQ(Apply(change), STATUS_OK);
  EXPECT_EQ(SSL_CTX_get_session_cache_mode(ctx_.get()), SSL_SESS_CACHE_OFF);
}

TEST_F(SettingsApplyTest, CanOldVersionsBeHadAndBoundsBeLifted) {
  Change change;
  change.Versions(0, 0x303);
  ASSERT_EQ(Apply(change), STATUS_OK) << error_.text;
  EXPECT_EQ(SSL_CTX_get_min_proto_version(ctx_.get()), 0);
  EXPECT_EQ(SSL_CTX_get_max_proto_version(ctx_.get()), TLS1_2_VERSION);
}

TEST_F(SettingsApplyTest, DoesTheNewerOfTwoSecurityLevelsCount) {
  Change level;
  level.Set(TLS_SET_SECURITY_LEVEL).security_level = 3;
  tls_settings settings = Merged(level);
  Change ciphers;
  ciphers.Ciphers("ALL:@SECLEVEL=1");
  ASSERT_EQ(settings_merge(&settings, &ciphers.get()->settings, arena_).code, STATUS_OK);
  ctx_.reset(SSL_CTX_new(TLS_method()));
  ASSERT_EQ(settings_apply(ctx_.get(), TLS_CONTEXT_BOTH, &settings, &error_).code, STATUS_OK);
  EXPECT_EQ(SSL_CTX_get_security_level(ctx_.get()), 1);

  settings_keep_level(ctx_.get(), &settings);
  Change other;
  other.Ciphers("ALL");
  ASSERT_EQ(settings_merge(&settings, &other.get()->settings, arena_).code, STATUS_OK);
  ctx_.reset(SSL_CTX_new(TLS_method()));
  ASSERT_EQ(settings_apply(ctx_.get(), TLS_CONTEXT_BOTH, &settings, &error_).code, STATUS_OK);
  EXPECT_EQ(SSL_CTX_get_security_level(ctx_.get()), 1);
}

std::string DhParams(const char *type, const char *group) {
  EVP_PKEY_CTX *making = EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr);
  EVP_PKEY *params = nullptr;
  EVP_PKEY_paramgen_init(making);
  EVP_PKEY_CTX_set_group_name(making, group);
  EVP_PKEY_paramgen(making, &params);
  BIO *bio = BIO_new(BIO_s_mem());
  PEM_write_bio_Parameters(bio, params);
  char *data;
  long len = BIO_get_mem_data(bio, &data);
  std::string pem(data, static_cast<size_t>(len));
  BIO_free(bio);
  EVP_PKEY_free(params);
  EVP_PKEY_CTX_free(making);
  return pem;
}

TEST_F(SettingsApplyTest, AreDhParametersReadAndOthersRefused) {
  std::string good = DhParams("DH", "ffdhe2048");
  Change change;
  change.Set(TLS_SET_DH_PARAMS).dh_params = Slice(good);
  EXPECT_EQ(Apply(change), STATUS_OK) << error_.text;
  Change junk;
  junk.Set(TLS_SET_DH_PARAMS).dh_params = Slice("junk");
  ExpectRefused(Apply(junk), "settings.dh_params", "no Diffie-Hellman parameters");
  EXPECT_STREQ(error_.library, "PEM");
  EXPECT_STREQ(error_.reason, "NO_START_LINE");
  EXPECT_STREQ(error_.text, "no start line");
  Change broken;
  broken.Set(TLS_SET_DH_PARAMS).dh_params =
      Slice("-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n");
  ExpectRefused(Apply(broken), "settings.dh_params", "no Diffie-Hellman parameters");
  EXPECT_STREQ(error_.library, "PEM");
  EXPECT_STREQ(error_.text, "ASN1 lib");
  std::string curve = DhParams("EC", "P-256");
  Change wrong;
  wrong.Set(TLS_SET_DH_PARAMS).dh_params = Slice(curve);
  ExpectRefused(Apply(wrong), "settings.dh_params", "no Diffie-Hellman parameters");
  Change weak;
  std::string small = DhParams("DH", "modp_1536");
  weak.Set(TLS_SET_DH_PARAMS).dh_params = Slice(small);
  ExpectRefused(Apply(weak), "settings.dh_params", "too weak");
}

}  // namespace
