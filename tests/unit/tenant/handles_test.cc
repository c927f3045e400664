// Handles: a client's names for its objects.
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/tenant/tenant_fixture.h"

namespace {

class Handles : public Tenants {
 protected:
  void SetUp() override {
    client_ = nullptr;
  }

  void TearDown() override {
    if (client_ != nullptr) {
      End(client_);
    }
    Tenants::TearDown();
  }

  struct client *client() {
    client_ = client_ == nullptr ? NewClient() : client_;
    return client_;
  }

  uint64_t Add(Thing *thing, const struct handle_kind *kind = &kSession) {
    uint64_t handle = 0;
    EXPECT_TRUE(status_ok(handle_add(client(), kind, thing, &handle)));
    return handle;
  }

 private:
  struct client *client_;
};

TEST_F(Handles, IsAnObjectFoundByItsHandle) {
  Thing &thing = NewThing();
  uint64_t handle = Add(&thing);
  EXPECT_EQ(1, thing.refs);  // the table's, which was ours
  EXPECT_EQ(&thing, handle_get(client(), &kSession, handle));
  EXPECT_EQ(2, thing.refs);
  kSession.unref(&thing);
}

TEST_F(Handles, AreGuessesNotFound) {
  Thing &thing = NewThing();
  uint64_t handle = Add(&thing);
  std::mt19937_64 random(3);
  for (int i = 0; i < 100000; i++) {
    uint64_t guess = random();
    EXPECT_TRUE(guess == handle || handle_get(client(), &kSession, guess) == nullptr);
  }
  for (uint64_t guess :
       {(uint64_t)0, handle + 1, handle - 1, handle + ((uint64_t)1 << 32), (uint64_t)UINT64_MAX}) {
    EXPECT_EQ(nullptr, handle_get(client(), &kSession, guess)) << guess;
  }
}

TEST_F(Handles, IsAHandleNeverZero) {
  for (int i = 0; i < 100; i++) {
    EXPECT_NE(0u, Add(&NewThing()));
  }
  Thing &last = NewThing();
  struct handle_slot *slot = handle_table_find(&client()->handles, &kSession, Add(&last));
  slot->generation = UINT32_MAX;
  handle_table_remove(&client()->handles, slot);
  quota_give(client(), QUOTA_SESSIONS);
  kSession.unref(&last);
  EXPECT_EQ(1u, slot->generation);
}

TEST_F(Handles, IsAnotherKindsHandleNotFound) {
  Thing &thing = NewThing();
  uint64_t handle = Add(&thing);
  EXPECT_EQ(nullptr, handle_get(client(), &kContext, handle));
  EXPECT_EQ(STATUS_NOT_FOUND, handle_drop(client(), &kContext, handle).code);
  EXPECT_EQ(0, thing.ends);
}

TEST_F(Handles, IsAnotherClientsHandleNotFound) {
  Thing &thing = NewThing();
  uint64_t handle = Add(&thing);
  struct client *other = NewClient();
  Thing &theirs = NewThing();
  uint64_t their_handle = 0;
  ASSERT_TRUE(status_ok(handle_add(other, &kSession, &theirs, &their_handle)));
  EXPECT_EQ(nullptr, handle_get(other, &kSession, handle));
  EXPECT_EQ(nullptr, handle_get(client(), &kSession, their_handle));
  EXPECT_EQ(STATUS_NOT_FOUND, handle_drop(other, &kSession, handle).code);
  End(other);
  EXPECT_EQ(1, theirs.ends);
  EXPECT_EQ(0, thing.ends);
}

TEST_F(Handles, DoesADropEndTheObjectOnce) {
  Thing &thing = NewThing();
  thing.tenant = tenant();
  uint64_t handle = Add(&thing);
  EXPECT_EQ(1u, Count(QUOTA_SESSIONS));
  EXPECT_TRUE(status_ok(handle_drop(client(), &kSession, handle)));
  EXPECT_EQ(1, thing.ends);
  EXPECT_EQ(0, thing.refs);
  EXPECT_EQ(0u, Count(QUOTA_SESSIONS));
  EXPECT_EQ(STATUS_NOT_FOUND, handle_drop(client(), &kSession, handle).code);
  EXPECT_EQ(1, thing.ends);
}

TEST_F(Handles, IsAStaleHandleNotFoundThoughItsSlotIsUsedAgain) {
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; i++) {
    Thing &thing = NewThing();
    uint64_t handle = Add(&thing);
    for (uint64_t stale : seen) {
      ASSERT_EQ(nullptr, handle_get(client(), &kSession, stale));
    }
    EXPECT_TRUE(seen.insert(handle).second);
    EXPECT_TRUE(status_ok(handle_drop(client(), &kSession, handle)));
  }
  EXPECT_LE(client()->handles.capacity, 8u);
}

TEST_F(Handles, IsTheQuotaTheEnd) {
  limits_.sessions_per_owner = 20;
  for (int i = 0; i < 20; i++) {
    Add(&NewThing());
  }
  Thing &thing = NewThing();
  uint64_t handle = 0;
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, handle_add(client(), &kSession, &thing, &handle).code);
  EXPECT_EQ(1, thing.refs);
  EXPECT_STREQ("sessions_per_owner", client_limit(client(), QUOTA_SESSIONS).name);
  EXPECT_EQ(20u, client_limit(client(), QUOTA_SESSIONS).value);
  Thing &context = NewThing();
  Add(&context, &kContext);  // a quota of its own
}

TEST_F(Handles, IsTheQuotaOneForAllClientsOfAUser) {
  limits_.sessions_per_owner = 1;
  Thing &thing = NewThing();
  Add(&thing);
  struct client *other = NewClient();
  uint64_t handle = 0;
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, handle_add(other, &kSession, &thing, &handle).code);
  struct client *stranger = NewClient(2000);
  Thing &theirs = NewThing();
  EXPECT_TRUE(status_ok(handle_add(stranger, &kSession, &theirs, &handle)));
  End(other);
  End(stranger);
}

TEST_F(Handles, DoManyGrowTheTable) {
  std::vector<Thing *> things;
  std::vector<uint64_t> handles;
  for (int i = 0; i < 1000; i++) {
    things.push_back(&NewThing());
    handles.push_back(Add(things.back()));
  }
  EXPECT_EQ(1024u, client()->handles.capacity);
  for (size_t i = 0; i < things.size(); i++) {
    ASSERT_EQ(things[i], handle_get(client(), &kSession, handles[i]));
    kSession.unref(things[i]);
  }
}

TEST_F(Handles, DoGetsAndDropsRaceInPeace) {
  for (int round = 0; round < 300; round++) {
    Thing &thing = NewThing();
    uint64_t handle = Add(&thing);
    struct client *shared = client();
    std::atomic<int> drops{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; i++) {
      threads.emplace_back([&] {
        void *object = handle_get(shared, &kSession, handle);
        if (object != nullptr) {
          kSession.unref(object);
        }
        drops += status_ok(handle_drop(shared, &kSession, handle)) ? 1 : 0;
      });
    }
    for (std::thread &thread : threads) {
      thread.join();
    }
    EXPECT_EQ(1, drops);
    EXPECT_EQ(1, thing.ends);
    EXPECT_EQ(0, thing.refs);
  }
}

}  // namespace
