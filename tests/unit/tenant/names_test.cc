// Names: objects that outlive their client, for clients of the same user.
#include <string>

#include "tests/unit/tenant/tenant_fixture.h"

namespace {

class Names : public Tenants {
 protected:
  void SetUp() override {
    client_ = NewClient();
    thing_.tenant = tenant();
  }

  void TearDown() override {
    if (client_ != nullptr) {
      End(client_);
    }
    Tenants::TearDown();
  }

  enum status_code Publish(const char *name, Thing *thing = nullptr) {
    return name_publish(client_, &kContext, name, thing == nullptr ? &thing_ : thing).code;
  }

  struct client *client_;
  Thing thing_;
};

TEST_F(Names, DoesANameOutliveItsClient) {
  ASSERT_EQ(STATUS_OK, Publish("web"));
  EXPECT_EQ(2, thing_.refs);
  End(client_);
  client_ = NewClient();
  EXPECT_EQ(&thing_, name_get(client_, &kContext, "web"));
  EXPECT_EQ(3, thing_.refs);
  kContext.unref(&thing_);
  EXPECT_EQ(0, thing_.ends);
}

TEST_F(Names, IsANameTakenTaken) {
  Thing &other = NewThing();
  ASSERT_EQ(STATUS_OK, Publish("web"));
  EXPECT_EQ(STATUS_ALREADY_EXISTS, Publish("web", &other));
  EXPECT_EQ(1, other.refs);
  EXPECT_EQ(1u, Count(QUOTA_CONTEXTS));
}

TEST_F(Names, HasEveryKindAndEveryUserNamesOfItsOwn) {
  ASSERT_EQ(STATUS_OK, Publish("web"));
  EXPECT_EQ(nullptr, name_get(client_, &kSession, "web"));
  struct client *stranger = NewClient(2000);
  EXPECT_EQ(nullptr, name_get(stranger, &kContext, "web"));
  EXPECT_EQ(STATUS_NOT_FOUND, name_forget(stranger, &kContext, "web").code);
  Thing &theirs = NewThing();
  EXPECT_TRUE(status_ok(name_publish(stranger, &kContext, "web", &theirs)));
  EXPECT_TRUE(status_ok(name_forget(stranger, &kContext, "web")));
  EXPECT_EQ(1, theirs.refs);
  End(stranger);
}

TEST_F(Names, IsAForgottenNameNotFound) {
  ASSERT_EQ(STATUS_OK, Publish("web"));
  EXPECT_TRUE(status_ok(name_forget(client_, &kContext, "web")));
  EXPECT_EQ(1, thing_.refs);
  EXPECT_EQ(0, thing_.ends);
  EXPECT_EQ(nullptr, name_get(client_, &kContext, "web"));
  EXPECT_EQ(STATUS_NOT_FOUND, name_forget(client_, &kContext, "web").code);
  EXPECT_EQ(STATUS_OK, Publish("web"));
}

TEST_F(Names, HaveNamesALength) {
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Publish(""));
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Publish(std::string(256, 'n').c_str()));
  EXPECT_EQ(STATUS_OK, Publish(std::string(255, 'n').c_str()));
  EXPECT_NE(nullptr, name_get(client_, &kContext, std::string(255, 'n').c_str()));
  kContext.unref(&thing_);
  EXPECT_EQ(nullptr, name_get(client_, &kContext, ""));
}

TEST_F(Names, AreAllForgottenWithTheTenant) {
  for (int i = 0; i < 10; i++) {
    ASSERT_EQ(STATUS_OK, Publish(("name" + std::to_string(i)).c_str()));
  }
  EXPECT_EQ(11, thing_.refs);
  End(client_);
  client_ = nullptr;
  thing_.tenant = nullptr;
  Tenants::TearDown();
  EXPECT_EQ(1, thing_.refs);
}

class NamesQuota : public Names {
 protected:
  NamesQuota() {
    limits_.contexts_per_owner = 2;
  }
};

TEST_F(NamesQuota, DoNamesCountAgainstTheQuota) {
  ASSERT_EQ(STATUS_OK, Publish("one"));
  uint64_t handle = 0;
  Thing &context = NewThing();
  ASSERT_TRUE(status_ok(handle_add(client_, &kContext, &context, &handle)));
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, Publish("two"));
  EXPECT_EQ(2, thing_.refs);
  EXPECT_TRUE(status_ok(name_forget(client_, &kContext, "one")));
  EXPECT_EQ(STATUS_OK, Publish("two"));
}

}  // namespace
