#include "server/tenant/tenant.h"

#include <thread>
#include <vector>

#include "tests/unit/tenant/tenant_fixture.h"

namespace {

class Quotas : public Tenants {
 protected:
  status_t ConnectAs(uid_t uid) {
    struct peer peer = PeerOf(uid);
    return tenant_connect(tenant(), &peer);
  }
  void DisconnectAs(uid_t uid) {
    struct peer peer = PeerOf(uid);
    tenant_disconnect(tenant(), &peer);
  }
  std::string LimitOf(uid_t uid) {
    struct peer peer = PeerOf(uid);
    struct quota_limit limit = tenant_limit(tenant(), &peer, QUOTA_CONNECTIONS);
    return limit.name + std::string("=") + std::to_string(limit.value);
  }
};

TEST_F(Quotas, AreConnectionsCounted) {
  EXPECT_TRUE(status_ok(ConnectAs(1)));
  EXPECT_TRUE(status_ok(ConnectAs(2)));
  EXPECT_EQ(2u, Count(QUOTA_CONNECTIONS));
  DisconnectAs(1);
  DisconnectAs(2);
  EXPECT_EQ(0u, Count(QUOTA_CONNECTIONS));
}

TEST_F(Quotas, DoesOneOwnersLimitLeaveOthersAlone) {
  limits_.connections_per_owner = 2;
  EXPECT_TRUE(status_ok(ConnectAs(1)));
  EXPECT_TRUE(status_ok(ConnectAs(1)));
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, ConnectAs(1).code);
  EXPECT_EQ("connections_per_owner=2", LimitOf(1));
  EXPECT_TRUE(status_ok(ConnectAs(2)));
  DisconnectAs(1);
  EXPECT_TRUE(status_ok(ConnectAs(1)));
  DisconnectAs(1);
  DisconnectAs(1);
  DisconnectAs(2);
}

TEST_F(Quotas, IsTheDaemonsLimitForAllTogether) {
  limits_.connections = 2;
  EXPECT_TRUE(status_ok(ConnectAs(1)));
  EXPECT_TRUE(status_ok(ConnectAs(2)));
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, ConnectAs(3).code);
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, ConnectAs(1).code);
  EXPECT_EQ("connections=2", LimitOf(3));
  EXPECT_EQ(2u, Count(QUOTA_CONNECTIONS));
  DisconnectAs(1);
  DisconnectAs(2);
}

TEST_F(Quotas, IsAnOwnerOfNothingForgotten) {
  for (uid_t uid = 0; uid < 100; uid++) {
    ASSERT_TRUE(status_ok(ConnectAs(uid)));
    DisconnectAs(uid);
    EXPECT_TRUE(list_empty(&tenant()->owners));
  }
}

TEST_F(Quotas, DoThreadsLoseNoCount) {
  limits_.connections_per_owner = 3;
  tenant();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([this, i] {
      for (int n = 0; n < 5000; n++) {
        if (status_ok(ConnectAs((uid_t)i % 2))) {
          EXPECT_LE(Count(QUOTA_CONNECTIONS), 6u);
          DisconnectAs((uid_t)i % 2);
        }
      }
    });
  }
  for (std::thread &thread : threads) {
    thread.join();
  }
  EXPECT_EQ(0u, Count(QUOTA_CONNECTIONS));
}

TEST_F(Quotas, IsFreeingNoTenantFine) {
  tenant_free(nullptr);
}

}  // namespace
