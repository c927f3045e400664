#include "server/tls/library.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <map>
#include <set>

#include "tests/unit/tls/harness.h"

namespace {

class LibraryTest : public TlsTest {
 protected:
  Arena arena_;
};

TEST_F(LibraryTest, CanItBeStartedTwice) {
  Error error;
  EXPECT_EQ(tls_library_start(&error).code, STATUS_OK);
}

TEST_F(LibraryTest, IsEverythingAboutItTold) {
  const struct tls_library_info *info = tls_library_info();
  EXPECT_EQ(std::string(info->version).substr(0, 8), "OpenSSL ");
  EXPECT_EQ(info->version_number, OpenSSL_version_num());
  EXPECT_EQ(info->build_number, static_cast<unsigned long>(OPENSSL_VERSION_NUMBER));
  EXPECT_GE(info->num_groups, 5u);
  EXPECT_STREQ(info->file_env, "SSL_CERT_FILE");
  EXPECT_STREQ(info->directory_env, "SSL_CERT_DIR");
  EXPECT_STRNE(info->file, "");
  EXPECT_NE(std::string(info->default_ciphers).find("ECDH+AESGCM"), std::string::npos);
  EXPECT_GT(info->secure_heap_bytes, 0u);
}

TEST_F(LibraryTest, HaveConstantsTheirValuesInThisOpenssl) {
  const struct tls_library_info *info = tls_library_info();
  std::map<std::string, int64_t> values;
  for (size_t i = 0; i < info->num_constants; i++) {
    values[info->constants[i].name] = info->constants[i].value;
  }
  EXPECT_EQ(values.size(), info->num_constants);
  EXPECT_EQ(values["SSL_OP_NO_TICKET"], static_cast<int64_t>(SSL_OP_NO_TICKET));
  EXPECT_EQ(values["SSL_OP_ENABLE_KTLS"], static_cast<int64_t>(SSL_OP_ENABLE_KTLS));
  EXPECT_EQ(values["SSL_OP_ALL"], static_cast<int64_t>(SSL_OP_ALL));
  EXPECT_EQ(values["X509_V_FLAG_CRL_CHECK"], X509_V_FLAG_CRL_CHECK);
  EXPECT_EQ(values["X509_CHECK_FLAG_NO_WILDCARDS"], X509_CHECK_FLAG_NO_WILDCARDS);
  EXPECT_EQ(values["SSL_AD_HANDSHAKE_FAILURE"], SSL_AD_HANDSHAKE_FAILURE);
  EXPECT_EQ(values["SSL_ERROR_ZERO_RETURN"], SSL_ERROR_ZERO_RETURN);
}

// What Python's _ssl makes its constants of: OP_*, VERIFY_*, HOSTFLAG_*, SSL_ERROR_*,
// ALERT_DESCRIPTION_*.
TEST_F(LibraryTest, IsEveryConstantThereThatPythonsModuleHas) {
  const struct tls_library_info *info = tls_library_info();
  std::set<std::string> names;
  for (size_t i = 0; i < info->num_constants; i++) {
    names.insert(info->constants[i].name);
  }
  const std::map<std::string, std::vector<std::string>> wanted = {
      {"SSL_OP_",
       {"ALL", "NO_SSLv2", "NO_SSLv3", "NO_TLSv1", "NO_TLSv1_1", "NO_TLSv1_2", "NO_TLSv1_3",
        "CIPHER_SERVER_PREFERENCE", "SINGLE_DH_USE", "SINGLE_ECDH_USE", "NO_TICKET",
        "LEGACY_SERVER_CONNECT", "NO_COMPRESSION", "ENABLE_MIDDLEBOX_COMPAT", "NO_RENEGOTIATION",
        "IGNORE_UNEXPECTED_EOF", "ENABLE_KTLS"}},
      {"X509_V_FLAG_",
       {"CRL_CHECK", "CRL_CHECK_ALL", "X509_STRICT", "ALLOW_PROXY_CERTS", "TRUSTED_FIRST",
        "PARTIAL_CHAIN"}},
      {"X509_CHECK_FLAG_",
       {"ALWAYS_CHECK_SUBJECT", "NEVER_CHECK_SUBJECT", "NO_WILDCARDS", "NO_PARTIAL_WILDCARDS",
        "MULTI_LABEL_WILDCARDS", "SINGLE_LABEL_SUBDOMAINS"}},
      {"SSL_ERROR_",
       {"SSL", "WANT_READ", "WANT_WRITE", "WANT_X509_LOOKUP", "SYSCALL", "ZERO_RETURN",
        "WANT_CONNECT"}},
      {"SSL_AD_",
       {"CLOSE_NOTIFY",
        "UNEXPECTED_MESSAGE",
        "BAD_RECORD_MAC",
        "RECORD_OVERFLOW",
        "DECOMPRESSION_FAILURE",
        "HANDSHAKE_FAILURE",
        "BAD_CERTIFICATE",
        "UNSUPPORTED_CERTIFICATE",
        "CERTIFICATE_REVOKED",
        "CERTIFICATE_EXPIRED",
        "CERTIFICATE_UNKNOWN",
        "ILLEGAL_PARAMETER",
        "UNKNOWN_CA",
        "ACCESS_DENIED",
        "DECODE_ERROR",
        "DECRYPT_ERROR",
        "PROTOCOL_VERSION",
        "INSUFFICIENT_SECURITY",
        "INTERNAL_ERROR",
        "USER_CANCELLED",
        "NO_RENEGOTIATION",
        "UNSUPPORTED_EXTENSION",
        "CERTIFICATE_UNOBTAINABLE",
        "UNRECOGNIZED_NAME",
        "BAD_CERTIFICATE_STATUS_RESPONSE",
        "BAD_CERTIFICATE_HASH_VALUE",
        "UNKNOWN_PSK_IDENTITY"}},
  };
  for (const auto &family : wanted) {
    for (const std::string &name : family.second) {
      EXPECT_EQ(names.count(family.first + name), 1u) << family.first << name;
    }
  }
}

TEST_F(LibraryTest, AreTheVersionsThoseOfTheHeaders) {
  const struct tls_library_info *info = tls_library_info();
  std::map<std::string, bool> versions;
  for (size_t i = 0; i < info->num_versions; i++) {
    versions[info->versions[i].name] = info->versions[i].available;
  }
  EXPECT_TRUE(versions.at("tls1.2"));
  EXPECT_TRUE(versions.at("tls1.3"));
#ifdef OPENSSL_NO_SSL3
  EXPECT_FALSE(versions.at("ssl3"));
#endif
  EXPECT_EQ(versions.size(), 5u);
}

TEST_F(LibraryTest, AreTheDefaultsThoseOfAFreshContext) {
  for (auto kind : {TLS_CONTEXT_BOTH, TLS_CONTEXT_CLIENT, TLS_CONTEXT_SERVER}) {
    Change nothing;
    Context context = MakeContext(kind, nothing);
    tls_context_info info;
    ASSERT_EQ(tls_context_describe(context.get(), arena_, &info).code, STATUS_OK);
    const tls_settings *defaults = tls_default_settings(kind);
    EXPECT_EQ(defaults->present, info.settings.present);
    EXPECT_EQ(defaults->options, info.settings.options);
    EXPECT_EQ(defaults->verify_mode, info.settings.verify_mode);
    EXPECT_EQ(defaults->check_hostname, kind == TLS_CONTEXT_CLIENT);
    EXPECT_EQ(defaults->min_version, TLS1_2_VERSION);
    EXPECT_STREQ(defaults->ciphers, info.settings.ciphers);
  }
}

TEST_F(LibraryTest, AreRandomBytesRandom) {
  std::set<std::string> seen;
  for (int i = 0; i < 20; i++) {
    char bytes[16];
    Error error;
    ASSERT_EQ(tls_random(bytes, sizeof(bytes), &error).code, STATUS_OK);
    seen.insert(std::string(bytes, sizeof(bytes)));
  }
  EXPECT_EQ(seen.size(), 20u);
  Error error;
  EXPECT_EQ(tls_random(nullptr, 0, &error).code, STATUS_OK);
  EXPECT_EQ(tls_random(nullptr, static_cast<size_t>(1) << 40, &error).code,
            STATUS_INVALID_ARGUMENT);
  tls_add_entropy(Slice("some bytes"));
  tls_add_entropy(slice_of(nullptr, 0));
}

TEST_F(LibraryTest, AreObjectsFoundByNumberNameAndOid) {
  tls_object object;
  ASSERT_EQ(tls_object_by_nid(NID_server_auth, arena_, &object).code, STATUS_OK);
  EXPECT_STREQ(object.short_name, "serverAuth");
  EXPECT_STREQ(object.long_name, "TLS Web Server Authentication");
  EXPECT_STREQ(object.oid, "1.3.6.1.5.5.7.3.1");
  for (const char *text : {"serverAuth", "TLS Web Server Authentication", "1.3.6.1.5.5.7.3.1"}) {
    ASSERT_EQ(tls_object_by_text(text, false, arena_, &object).code, STATUS_OK) << text;
    EXPECT_EQ(object.nid, NID_server_auth);
  }
  EXPECT_EQ(tls_object_by_text("1.3.6.1.5.5.7.3.1", true, arena_, &object).code, STATUS_OK);
}

TEST_F(LibraryTest, AreUnknownObjectsNotFound) {
  tls_object object;
  for (int nid : {-1, 0, 1000000}) {
    EXPECT_EQ(tls_object_by_nid(nid, arena_, &object).code, STATUS_NOT_FOUND) << nid;
  }
  std::string endless = "1.2";
  for (int i = 0; i < 10000; i++) {
    endless += ".99999999999999999999";
  }
  for (const std::string &text : {std::string(""), std::string("no such"), std::string("1.2.3.4.5"),
                                  std::string("1..2"), endless}) {
    EXPECT_EQ(tls_object_by_text(text.c_str(), false, arena_, &object).code, STATUS_NOT_FOUND);
  }
  EXPECT_EQ(tls_object_by_text("serverAuth", true, arena_, &object).code, STATUS_NOT_FOUND);
}

}  // namespace
