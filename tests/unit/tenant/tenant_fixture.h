// What the tests of this folder share: objects that count their references, and peers.
#ifndef TLSAGENT_TESTS_UNIT_TENANT_TENANT_FIXTURE_H_
#define TLSAGENT_TESTS_UNIT_TENANT_TENANT_FIXTURE_H_

#include <gtest/gtest.h>

#include <atomic>
#include <deque>

#include "server/tenant/tenant_priv.h"

// An object that handles can name. Its creator has one reference.
struct Thing {
  std::atomic<int> refs{1};
  std::atomic<int> ends{0};
  struct tenant *tenant = nullptr;  // asked something from end and unref, where no lock may be held
};

extern const struct handle_kind kSession;
extern const struct handle_kind kContext;

class Tenants : public testing::Test {
 protected:
  Tenants();
  void TearDown() override;
  // Limits may be changed before the first use.
  struct tenant *tenant();
  struct client *NewClient(uid_t uid = 1000);
  // A client's last connection leaves and its reference is given back.
  static void End(struct client *client);
  // Objects live as long as the test, teardown included.
  Thing &NewThing();
  static struct peer PeerOf(uid_t uid);
  uint64_t Count(enum quota quota) {
    return tenant_count(tenant(), quota);
  }

  struct limits limits_;

 private:
  struct tenant *tenant_ = nullptr;
  std::deque<Thing> things_;
};

#endif  // TLSAGENT_TESTS_UNIT_TENANT_TENANT_FIXTURE_H_
