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
