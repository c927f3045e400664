#include "server/rpc/dispatch.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proto/ttrpc/ttrpc.pb-c.h"
#include "tests/unit/rpc/rpc_fixture.h"

namespace {

struct slice SliceOf(const std::string &bytes) {
  return slice_of(bytes.data(), bytes.size());
}

struct method Row(const char *service, const char *name) {
  struct method method = {service, name, &ttrpc__any__descriptor, nullptr};
  return method;
}

class Dispatch : public testing::Test {
 protected:
  void TearDown() override {
    dispatch_free(dispatch_);
  }

  status_t Build(const std::vector<struct method> &methods) {
    methods_ = methods;
    return dispatch_new(methods_.data(), methods_.size(), &dispatch_);
  }

  const struct method *Find(const std::string &service, const std::string &method) {
    return dispatch_find(dispatch_, SliceOf(service), SliceOf(method));
  }

  std::vector<struct method> methods_;
  struct dispatch *dispatch_ = nullptr;
};

TEST_F(Dispatch, IsEveryMethodFoundByItsName) {
  std::vector<std::string> names;
  for (int i = 0; i < 200; i++) {
    names.push_back("Method" + std::to_string(i));
  }
  std::vector<struct method> methods;
  for (const std::string &name : names) {
    methods.push_back(Row("a.One", name.c_str()));
    methods.push_back(Row("a.Two", name.c_str()));
  }
  ASSERT_TRUE(status_ok(Build(methods)));
  for (const struct method &method : methods_) {
    EXPECT_EQ(&method, Find(method.service, method.name));
  }
}

TEST_F(Dispatch, IsAnUnknownNameNotFound) {
  ASSERT_TRUE(status_ok(Build({Row("a.One", "Get"), Row("a.One", "Put")})));
  EXPECT_EQ(nullptr, Find("a.One", "Ge"));
  EXPECT_EQ(nullptr, Find("a.One", "Gett"));
  EXPECT_EQ(nullptr, Find("a.On", "eGet"));
  EXPECT_EQ(nullptr, Find("", ""));
  EXPECT_EQ(nullptr, Find(std::string("a.One\0", 6), "Get"));
  EXPECT_EQ(nullptr, Find(std::string(1 << 20, 'x'), "Get"));
}

TEST_F(Dispatch, IsAnUnknownMethodToldFromAnUnknownService) {
  ASSERT_TRUE(status_ok(Build({Row("a.One", "Get")})));
  EXPECT_TRUE(dispatch_has_service(dispatch_, slice_of_string("a.One")));
  EXPECT_FALSE(dispatch_has_service(dispatch_, slice_of_string("a.Two")));
  EXPECT_FALSE(dispatch_has_service(dispatch_, slice_of_string("")));
}

TEST_F(Dispatch, AreTwoOfOneNameRefused) {
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Build({Row("a.One", "Get"), Row("a.One", "Get")}).code);
}

TEST_F(Dispatch, IsAnEmptyTableATable) {
  ASSERT_TRUE(status_ok(Build({})));
  EXPECT_EQ(nullptr, Find("a.One", "Get"));
}

class Unpack : public testing::Test {
 protected:
  void SetUp() override {
    arena_init(&arena_, 64 << 10);
  }
  void TearDown() override {
    arena_cleanup(&arena_);
  }

  status_t Try(const ProtobufCMessageDescriptor *descriptor, const std::string &payload) {
    memory_.assign(payload.begin(), payload.end());
    memory_.shrink_to_fit();
    return dispatch_unpack(descriptor, slice_of(memory_.data(), memory_.size()), &arena_,
                           &message_);
  }

  std::vector<char> memory_;
  struct arena arena_;
  const ProtobufCMessage *message_ = nullptr;
};

TEST_F(Unpack, IsAMessageInTheArena) {
  ASSERT_TRUE(status_ok(Try(&ttrpc__any__descriptor, Any("type", "value"))));
  const Ttrpc__Any *any = (const Ttrpc__Any *)(const void *)message_;
  memory_.assign(memory_.size(), 'x');
  EXPECT_STREQ("type", any->type_url);
  EXPECT_EQ(0, memcmp("value", any->value.data, 5));
  EXPECT_GT(arena_.used, 0u);
}

TEST_F(Unpack, IsNoPayloadAnEmptyMessage) {
  ASSERT_TRUE(status_ok(Try(&ttrpc__any__descriptor, "")));
  const Ttrpc__Any *any = (const Ttrpc__Any *)(const void *)message_;
  EXPECT_STREQ("", any->type_url);
}

TEST_F(Unpack, IsAnythingElseAnInvalidArgument) {
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Try(&ttrpc__any__descriptor, "\xff\xff\xff").code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Try(&ttrpc__any__descriptor, VarintField(1, 5)).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT,
            Try(&ttrpc__any__descriptor, Varint(1 << 3 | 2) + Varint(100) + "short").code);
}

TEST_F(Unpack, DoesAMessageOfManySmallPartsStopAtTheCeiling) {
  std::string many;
  for (int i = 0; i < 100000; i++) {
    many += BytesField(5, "");
  }
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, Try(&ttrpc__request__descriptor, many).code);
  EXPECT_LE(arena_.used, arena_.max);
}

TEST_F(Unpack, DoesALargeUnknownFieldStopAtTheCeiling) {
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED,
            Try(&ttrpc__any__descriptor, BytesField(100, std::string(100000, 'x'))).code);
}

}  // namespace
