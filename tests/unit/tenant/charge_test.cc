// Charges: what is counted as long as an object lives, and not as long as its handle.
#include <string>

#include "tests/unit/tenant/tenant_fixture.h"

namespace {

class Charges : public Tenants {
 protected:
  struct charge *Take(struct client *client, enum status_code expected = STATUS_OK) {
    struct charge *charge = nullptr;
    EXPECT_EQ(expected, charge_take(client, QUOTA_CONTEXT_EDITIONS, &charge).code);
    return charge;
  }
};

TEST_F(Charges, AreTheyCountedAndGivenBack) {
  struct client *client = NewClient();
  struct charge *first = Take(client);
  struct charge *second = Take(client);
  EXPECT_EQ(2u, Count(QUOTA_CONTEXT_EDITIONS));
  charge_give(first);
  EXPECT_EQ(1u, Count(QUOTA_CONTEXT_EDITIONS));
  charge_give(second);
  EXPECT_EQ(0u, Count(QUOTA_CONTEXT_EDITIONS));
  End(client);
}

TEST_F(Charges, DoTheyOutliveTheirClient) {
  limits_.context_editions_per_owner = 1;
  struct client *client = NewClient(1000);
  struct charge *charge = Take(client);
  End(client);
  client = NewClient(1000);
  Take(client, STATUS_RESOURCE_EXHAUSTED);
  EXPECT_STREQ("context_editions_per_owner", client_limit(client, QUOTA_CONTEXT_EDITIONS).name);
  charge_give(charge);
  charge_give(Take(client));
  End(client);
}

TEST_F(Charges, IsOneOwnersLimitNobodyElses) {
  limits_.context_editions_per_owner = 1;
  struct client *one = NewClient(1000);
  struct client *other = NewClient(1001);
  struct charge *charge = Take(one);
  Take(one, STATUS_RESOURCE_EXHAUSTED);
  charge_give(Take(other));
  charge_give(charge);
  End(one);
  End(other);
}

TEST_F(Charges, IsTheDaemonsLimitForAllTogether) {
  limits_.context_editions = 1;
  struct client *one = NewClient(1000);
  struct client *other = NewClient(1001);
  struct charge *charge = Take(one);
  Take(other, STATUS_RESOURCE_EXHAUSTED);
  EXPECT_STREQ("context_editions", client_limit(other, QUOTA_CONTEXT_EDITIONS).name);
  charge_give(charge);
  End(one);
  End(other);
}

TEST_F(Charges, DoTheyCountForWhomTheyAreMovedTo) {
  limits_.context_editions = 2;
  limits_.context_editions_per_owner = 1;
  struct client *one = NewClient(1000);
  struct client *other = NewClient(1001);
  struct charge *charge = Take(one);
  ASSERT_EQ(STATUS_OK, charge_move(charge, client_peer(other)).code);
  EXPECT_EQ(1u, Count(QUOTA_CONTEXT_EDITIONS));
  Take(other, STATUS_RESOURCE_EXHAUSTED);
  charge_give(Take(one));
  charge_give(charge);
  charge_give(Take(other));
  End(one);
  End(other);
}

TEST_F(Charges, StaysOneWhereItWasIfTheOtherHasNoRoom) {
  limits_.context_editions_per_owner = 1;
  struct client *one = NewClient(1000);
  struct client *other = NewClient(1001);
  struct charge *charge = Take(one);
  struct charge *full = Take(other);
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, charge_move(charge, client_peer(other)).code);
  Take(one, STATUS_RESOURCE_EXHAUSTED);
  charge_give(full);
  charge_give(Take(other));
  charge_give(charge);
  charge_give(Take(one));
  End(one);
  End(other);
}

}  // namespace
