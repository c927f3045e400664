#include "server/ring/resolver.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

class Resolver : public ::testing::Test {
 protected:
  void SetUp() override {
    worker_config config = {1, 16, 16, 4096, 2};
    const char *why = nullptr;
    ASSERT_TRUE(status_ok(worker_pool_new(&config, &pool_, &why))) << why;
  }
  void TearDown() override {
    worker_pool_free(pool_);
  }
  worker_pool *pool_ = nullptr;
};

struct Looked {
  lookup base;
  std::atomic<bool> answered{false};

  void Init(worker *on, const char *host) {
    EXPECT_TRUE(status_ok(lookup_init(&base, host, 443)));
    base.worker = on;
    base.answered.run = [](message *message) {
      // lookup is the first member, answered a member of it.
      lookup *self = LIST_ENTRY(message, lookup, answered);
      reinterpret_cast<Looked *>(self)->answered = true;
    };
  }
  void Wait() {
    while (!answered) {
      std::this_thread::yield();
    }
  }
  ~Looked() {
    if (base.addresses != nullptr) {
      freeaddrinfo(base.addresses);
    }
  }
};

TEST(Lookup, IsAHostOfTheWrongLengthRefused) {
  lookup base;
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, lookup_init(&base, "", 1).code);
  EXPECT_TRUE(status_ok(lookup_init(&base, std::string(255, 'a').c_str(), 65535)));
  EXPECT_STREQ("65535", base.port);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, lookup_init(&base, std::string(256, 'a').c_str(), 1).code);
}

TEST(Lookup, IsAnAddressAnsweredAtOnce) {
  for (const char *host : {"127.0.0.1", "::1", "192.0.2.1"}) {
    lookup base;
    ASSERT_TRUE(status_ok(lookup_init(&base, host, 443)));
    ASSERT_TRUE(lookup_numeric(&base)) << host;
    ASSERT_NE(nullptr, base.addresses);
    EXPECT_EQ(SOCK_STREAM, base.addresses->ai_socktype);
    freeaddrinfo(base.addresses);
  }
  lookup base;
  ASSERT_TRUE(status_ok(lookup_init(&base, "localhost", 443)));
  EXPECT_FALSE(lookup_numeric(&base));
  EXPECT_EQ(nullptr, base.addresses);
}

TEST_F(Resolver, IsANameLookedUp) {
  resolver *resolver = nullptr;
  ASSERT_TRUE(status_ok(resolver_new(2, 100, &resolver)));
  Looked found;
  Looked missing;
  found.Init(worker_pool_at(pool_, 0), "localhost");
  missing.Init(worker_pool_at(pool_, 0), "no.such.name.invalid");
  ASSERT_TRUE(status_ok(resolver_queue(resolver, &found.base)));
  ASSERT_TRUE(status_ok(resolver_queue(resolver, &missing.base)));
  found.Wait();
  missing.Wait();
  EXPECT_EQ(0, found.base.gai_error);
  EXPECT_NE(nullptr, found.base.addresses);
  EXPECT_NE(0, missing.base.gai_error);
  EXPECT_EQ(nullptr, missing.base.addresses);
  EXPECT_FALSE(resolver_withdraw(resolver, &found.base));
  resolver_free(resolver);
}

TEST_F(Resolver, IsTheQueueBounded) {
  resolver *resolver = nullptr;
  ASSERT_TRUE(status_ok(resolver_new(1, 0, &resolver)));
  Looked refused;
  refused.Init(worker_pool_at(pool_, 0), "localhost");
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, resolver_queue(resolver, &refused.base).code);
  resolver_free(resolver);
}

// Some are withdrawn in time, the others answered; none is both or neither.
TEST_F(Resolver, IsEachLookupWithdrawnOrAnswered) {
  resolver *resolver = nullptr;
  ASSERT_TRUE(status_ok(resolver_new(2, 1000, &resolver)));
  std::vector<Looked> all(200);
  std::vector<bool> withdrawn(all.size());
  for (Looked &looked : all) {
    looked.Init(worker_pool_at(pool_, 0), "localhost");
    ASSERT_TRUE(status_ok(resolver_queue(resolver, &looked.base)));
  }
  for (size_t i = all.size(); i-- > 0;) {
    withdrawn[i] = resolver_withdraw(resolver, &all[i].base);
  }
  for (size_t i = 0; i < all.size(); i++) {
    if (!withdrawn[i]) {
      all[i].Wait();
    } else {
      EXPECT_FALSE(all[i].answered);
    }
  }
  resolver_free(resolver);
}

}  // namespace
