#include <string>

#include "tests/unit/tenant/tenant_fixture.h"

namespace {

class Identities : public Tenants {
 protected:
  enum status_code Of(const std::string &text, struct peer *out) {
    return tenant_identity(tenant(), text.c_str(), out).code;
  }
};

TEST_F(Identities, IsTheSameTextTheSameOwner) {
  struct peer one, other, again;
  ASSERT_EQ(STATUS_OK, Of("dns:a.test", &one));
  ASSERT_EQ(STATUS_OK, Of("dns:b.test", &other));
  ASSERT_EQ(STATUS_OK, Of("dns:a.test", &again));
  EXPECT_EQ(one.uid, again.uid);
  EXPECT_NE(one.uid, other.uid);
  EXPECT_STREQ("dns:a.test", one.identity);
  EXPECT_GE(one.uid, PEER_IDENTITIES_FIRST);
}

TEST_F(Identities, IsWhatIsNoPlainTextRefused) {
  struct peer peer;
  for (const char *text : {"", "a\nb", "\x7f", "Zo\xc3\xab", "\t"}) {
    EXPECT_EQ(STATUS_INVALID_ARGUMENT, Of(text, &peer)) << text;
  }
  EXPECT_EQ(STATUS_OK, Of(std::string(IDENTITY_MAX, 'a'), &peer));
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Of(std::string(IDENTITY_MAX + 1, 'a'), &peer));
}

TEST_F(Identities, DoTheirNumbersRunOutBeforeThoseOfNobody) {
  struct peer peer;
  for (int i = 0; i < IDENTITIES_MAX; i++) {
    ASSERT_EQ(STATUS_OK, Of("cn:" + std::to_string(i), &peer));
  }
  EXPECT_LT(peer.uid, (uid_t)-2);
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, Of("cn:one more", &peer));
  EXPECT_EQ(STATUS_OK, Of("cn:0", &peer));
}

TEST_F(Identities, AreTheirClientsApart) {
  struct peer one, other;
  struct client *client = nullptr, *joined = nullptr;
  ASSERT_EQ(STATUS_OK, Of("dns:a.test", &one));
  ASSERT_EQ(STATUS_OK, Of("dns:b.test", &other));
  ASSERT_TRUE(status_ok(client_new(tenant(), &one, &client)));
  struct slice token = slice_of(client_token(client), CLIENT_TOKEN_BYTES);
  EXPECT_EQ(STATUS_UNAUTHENTICATED, client_join(tenant(), &other, token, &joined).code);
  EXPECT_TRUE(status_ok(client_join(tenant(), &one, token, &joined)));
  client_leave(client);
  client_leave(joined);
  client_unref(client);
  client_unref(joined);
}

TEST_F(Identities, IsALineOfTheLogAboutWhoItIs) {
  char text[PEER_TEXT_MAX];
  struct peer peer = PeerOf(1000);
  peer.pid = 7;
  peer_text(&peer, text);
  EXPECT_STREQ("uid 1000, pid 7", text);
  ASSERT_EQ(STATUS_OK, Of("dns:a.test", &peer));
  peer_text(&peer, text);
  EXPECT_STREQ("dns:a.test", text);
}

}  // namespace
