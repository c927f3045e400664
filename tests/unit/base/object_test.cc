#include "server/base/object.h"

#include <gtest/gtest.h>

namespace {

struct Thing {
  uint32_t magic;
};

TEST(Object, DoesALiveObjectPass) {
  Thing thing = {42};
  OBJECT_CHECK(&thing, 42u);
}

TEST(ObjectDeathTest, DoesADeadOneAbortAndSayWhere) {
  Thing thing = {0};
  EXPECT_DEATH(OBJECT_CHECK(&thing, 42u), "object_test.cc:[0-9]+: not a live object: .*thing");
}

TEST(ObjectDeathTest, DoesNoneAbort) {
  Thing *none = nullptr;
  EXPECT_DEATH(OBJECT_CHECK(none, 42u), "not a live object");
}

}  // namespace
