#include <openssl/ssl.h>

#include "server/tls/settings.h"
#include "tests/unit/tls/harness.h"

namespace {

class DescribeTest : public TlsTest {
 protected:
  tls_context_info Describe(const Context &context) {
    tls_context_info info;
    EXPECT_EQ(tls_context_describe(context.get(), arena_, &info).code, STATUS_OK);
    return info;
  }
  Arena arena_;
};

TEST_F(DescribeTest, IsEveryDefaultReadBack) {
  Change nothing;
  Context context = MakeContext(TLS_CONTEXT_CLIENT, nothing);
  tls_settings settings = Describe(context).settings;
  const uint32_t expected = TLS_SET_MIN_VERSION | TLS_SET_MAX_VERSION | TLS_SET_CIPHERS |
                            TLS_SET_OPTIONS | TLS_SET_VERIFY_MODE | TLS_SET_VERIFY_FLAGS |
                            TLS_SET_HOST_FLAGS | TLS_SET_VERIFY_DEPTH | TLS_SET_CHECK_HOSTNAME |
                            TLS_SET_NUM_TICKETS | TLS_SET_SESSION_ID_CONTEXT |
                            TLS_SET_SESSION_TIMEOUT | TLS_SET_SESSION_CACHE_SIZE |
                            TLS_SET_SECURITY_LEVEL | TLS_SET_POST_HANDSHAKE_AUTH;
  EXPECT_EQ(settings.present & expected, expected);
  EXPECT_EQ(settings.min_version, 0x303);
  EXPECT_EQ(settings.max_version, 0);
  EXPECT_STREQ(settings.ciphers, SETTINGS_DEFAULT_CIPHERS);
  EXPECT_EQ(settings.verify_mode, TLS_VERIFY_REQUIRED);
  EXPECT_TRUE(settings.check_hostname);
  EXPECT_EQ(settings.num_tickets, 2u);
  EXPECT_EQ(String(settings.session_id_context), "tlsagent");
  EXPECT_EQ(settings.verify_depth, 100);
}

TEST_F(DescribeTest, IsWhatWasSetReadBack) {
  Change change = ServerChange();
  change.Versions(0x303, 0x304).Verify(TLS_VERIFY_OPTIONAL).Alpn({"h2", "x"}, true);
  change.Set(TLS_SET_GROUPS).groups = "X25519";
  change.Set(TLS_SET_SESSION_TIMEOUT).session_timeout = 77;
  change.Set(TLS_SET_POST_HANDSHAKE_AUTH).post_handshake_auth = true;
  Context context = MakeContext(TLS_CONTEXT_SERVER, change);
  tls_context_info info = Describe(context);
  context.reset();  // what was given lives in the arena
  EXPECT_EQ(info.settings.max_version, 0x304);
  EXPECT_EQ(info.settings.verify_mode, TLS_VERIFY_OPTIONAL);
  EXPECT_STREQ(info.settings.groups, "X25519");
  EXPECT_EQ(info.settings.session_timeout, 77);
  EXPECT_TRUE(info.settings.post_handshake_auth);
  ASSERT_EQ(info.settings.num_alpn, 2u);
  EXPECT_EQ(String(info.settings.alpn[1]), "x");
  EXPECT_TRUE(info.settings.alpn_require_overlap);
  ASSERT_EQ(info.num_certificates, 1u);
  EXPECT_EQ(String(info.certificates[0].der), String(pki_get()->server->der));
}

TEST_F(DescribeTest, AreTheCiphersListedInOrder) {
  Change change;
  change.Ciphers("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384");
  Context context = MakeContext(TLS_CONTEXT_BOTH, change);
  tls_context_info info = Describe(context);
  ASSERT_GE(info.num_ciphers, 3u);
  EXPECT_STREQ(info.ciphers[0].protocol, "TLSv1.3");
  EXPECT_STREQ(info.ciphers[info.num_ciphers - 1].name, "ECDHE-RSA-AES256-GCM-SHA384");
}

TEST_F(DescribeTest, IsTheTrustListed) {
  Change change;
  change.Trust(std::string(pki_get()->root->pem) + pki_get()->other_root->pem);
  Context context = MakeContext(TLS_CONTEXT_CLIENT, change);
  slice *der;
  size_t num;
  ASSERT_EQ(tls_context_list_trust(context.get(), arena_, &der, &num).code, STATUS_OK);
  EXPECT_EQ(num, 2u);
  EXPECT_EQ(Describe(context).trust.ca_certificates, 2u);
}

TEST_F(DescribeTest, IsAFullArenaSaid) {
  Change change = ServerChange();
  change.Trust(pki_get()->root->pem);
  Context context = MakeContext(TLS_CONTEXT_SERVER, change);
  for (size_t max : {0u, 100u, 1000u, 5000u}) {
    Arena small(max);
    tls_context_info info;
    EXPECT_EQ(tls_context_describe(context.get(), small, &info).code, STATUS_RESOURCE_EXHAUSTED)
        << max;
  }
}

}  // namespace
