#include "tests/unit/tenant/tenant_fixture.h"

static void Ref(void *object) {
  ((Thing *)object)->refs++;
}

static void AskSomething(Thing *thing) {
  if (thing->tenant != nullptr) {
    tenant_count(thing->tenant, QUOTA_SESSIONS);  // takes the lock
  }
}

static void Unref(void *object) {
  Thing *thing = (Thing *)object;
  AskSomething(thing);
  EXPECT_GT(thing->refs--, 0);
}

static void End(void *object) {
  Thing *thing = (Thing *)object;
  AskSomething(thing);
  EXPECT_GT(thing->refs, 0);
  thing->ends++;
}

const struct handle_kind kSession = {"session", QUOTA_SESSIONS, Ref, Unref, End};
const struct handle_kind kContext = {"context", QUOTA_CONTEXTS, Ref, Unref, End};

Tenants::Tenants() {
  limits_default(&limits_);
}

void Tenants::TearDown() {
  tenant_free(tenant_);
  tenant_ = nullptr;
}

struct tenant *Tenants::tenant() {
  if (tenant_ == nullptr) {
    EXPECT_TRUE(status_ok(tenant_new(&limits_, &tenant_)));
  }
  return tenant_;
}

Thing &Tenants::NewThing() {
  things_.emplace_back();
  return things_.back();
}

struct peer Tenants::PeerOf(uid_t uid) {
  struct peer peer = {uid, uid, 4711};
  return peer;
}

struct client *Tenants::NewClient(uid_t uid) {
  struct peer peer = PeerOf(uid);
  struct client *client = nullptr;
  EXPECT_TRUE(status_ok(client_new(tenant(), &peer, &client)));
  return client;
}

void Tenants::End(struct client *client) {
  client_leave(client);
  client_unref(client);
}
