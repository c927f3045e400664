// Clients: the first connection makes one, others join it with its token.
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/tenant/tenant_fixture.h"

namespace {

class Clients : public Tenants {
 protected:
  static std::string TokenOf(const struct client *client) {
    return std::string((const char *)client_token(client), CLIENT_TOKEN_BYTES);
  }

  enum status_code Join(uid_t uid, const std::string &token, struct client **out) {
    struct peer peer = PeerOf(uid);
    return client_join(tenant(), &peer, slice_of(token.data(), token.size()), out).code;
  }
};

TEST_F(Clients, HasEachATokenOfItsOwn) {
  std::set<std::string> tokens;
  std::vector<struct client *> clients;
  for (int i = 0; i < 100; i++) {
    clients.push_back(NewClient());
    tokens.insert(TokenOf(clients.back()));
  }
  EXPECT_EQ(100u, tokens.size());
  for (struct client *client : clients) {
    End(client);
  }
}

TEST_F(Clients, DoesOneKnowItsPeer) {
  struct client *client = NewClient(77);
  EXPECT_EQ(77u, client_peer(client)->uid);
  EXPECT_EQ(4711, client_peer(client)->pid);
  End(client);
}

TEST_F(Clients, DoesTheTokenFindTheClient) {
  struct client *one = NewClient();
  struct client *two = NewClient();
  struct client *joined = nullptr;
  ASSERT_EQ(STATUS_OK, Join(1000, TokenOf(two), &joined));
  EXPECT_EQ(two, joined);
  End(joined);
  End(one);
  End(two);
}

TEST_F(Clients, IsAWrongTokenRefused) {
  struct client *client = NewClient();
  std::string token = TokenOf(client);
  struct client *joined = nullptr;
  for (size_t i = 0; i < token.size(); i++) {
    std::string wrong = token;
    wrong[i] = (char)(wrong[i] ^ 1);
    EXPECT_EQ(STATUS_UNAUTHENTICATED, Join(1000, wrong, &joined)) << i;
  }
  EXPECT_EQ(STATUS_UNAUTHENTICATED, Join(1000, token.substr(1), &joined));
  EXPECT_EQ(STATUS_UNAUTHENTICATED, Join(1000, token + "x", &joined));
  EXPECT_EQ(STATUS_UNAUTHENTICATED, Join(1000, "", &joined));
  EXPECT_EQ(nullptr, joined);
  End(client);
}

TEST_F(Clients, IsTheTokenOfAnotherUserRefused) {
  struct client *mine = NewClient(1000);
  struct client *theirs = NewClient(1001);
  struct client *joined = nullptr;
  EXPECT_EQ(STATUS_UNAUTHENTICATED, Join(1001, TokenOf(mine), &joined));
  EXPECT_EQ(STATUS_UNAUTHENTICATED, Join(0, TokenOf(mine), &joined));
  EXPECT_EQ(STATUS_OK, Join(1001, TokenOf(theirs), &joined));
  End(joined);
  End(mine);
  End(theirs);
}

TEST_F(Clients, DoesHasTokenAgree) {
  struct client *client = NewClient();
  std::string token = TokenOf(client);
  EXPECT_TRUE(client_has_token(client, slice_of(token.data(), token.size())));
  EXPECT_FALSE(client_has_token(client, slice_of(token.data(), token.size() - 1)));
  token[15] = (char)~token[15];
  EXPECT_FALSE(client_has_token(client, slice_of(token.data(), token.size())));
  End(client);
}

TEST_F(Clients, DoHandlesEndWithTheLastConnectionOnly) {
  struct client *client = NewClient();
  struct client *joined = nullptr;
  ASSERT_EQ(STATUS_OK, Join(1000, TokenOf(client), &joined));
  Thing &thing = NewThing();
  thing.tenant = tenant();
  uint64_t handle = 0;
  ASSERT_TRUE(status_ok(handle_add(client, &kSession, &thing, &handle)));
  client_leave(client);
  EXPECT_EQ(0, thing.ends);
  client_leave(joined);
  EXPECT_EQ(1, thing.ends);
  EXPECT_EQ(0, thing.refs);
  EXPECT_EQ(0u, Count(QUOTA_SESSIONS));
  client_unref(client);
  client_unref(joined);
}

TEST_F(Clients, CanOneThatHasEndedNotBeJoined) {
  struct client *client = NewClient();
  std::string token = TokenOf(client);
  client_leave(client);
  struct client *joined = nullptr;
  EXPECT_EQ(STATUS_UNAUTHENTICATED, Join(1000, token, &joined));
  client_unref(client);
  EXPECT_EQ(STATUS_UNAUTHENTICATED, Join(1000, token, &joined));
}

TEST_F(Clients, CanOneThatHasEndedMakeNothing) {
  struct client *client = NewClient();
  client_leave(client);
  Thing &thing = NewThing();
  uint64_t handle = 0;
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, handle_add(client, &kSession, &thing, &handle).code);
  EXPECT_EQ(1, thing.refs);
  EXPECT_EQ(0u, Count(QUOTA_SESSIONS));
  EXPECT_EQ(nullptr, handle_get(client, &kSession, 1));
  client_unref(client);
}

TEST_F(Clients, DoesItLiveAsLongAsSomebodyRefersToIt) {
  struct client *client = NewClient();
  client_ref(client);
  End(client);
  EXPECT_EQ(1000u, client_peer(client)->uid);
  client_unref(client);
  EXPECT_TRUE(list_empty(&tenant()->owners));
}

TEST_F(Clients, DoJoiningAndLeavingRaceInPeace) {
  for (int round = 0; round < 200; round++) {
    struct client *client = NewClient();
    std::string token = TokenOf(client);
    Thing &thing = NewThing();
    uint64_t handle = 0;
    ASSERT_TRUE(status_ok(handle_add(client, &kSession, &thing, &handle)));
    std::thread joiner([&] {
      struct client *joined = nullptr;
      if (Join(1000, token, &joined) == STATUS_OK) {
        void *object = handle_get(joined, &kSession, handle);
        if (object != nullptr) {
          kSession.unref(object);
        }
        End(joined);
      }
    });
    End(client);
    joiner.join();
    EXPECT_EQ(1, thing.ends);
    EXPECT_EQ(0, thing.refs);
  }
}

}  // namespace
