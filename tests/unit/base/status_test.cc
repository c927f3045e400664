#include "server/base/status.h"

#include <gtest/gtest.h>

namespace {

status_t Passes(bool *reached_end) {
  TRY(OK_STATUS);
  *reached_end = true;
  return OK_STATUS;
}

status_t FailsInTheMiddle(bool *reached_end) {
  TRY(status_of(STATUS_NOT_FOUND));
  *reached_end = true;
  return OK_STATUS;
}

status_t Insists(bool condition) {
  ENSURE(condition, FAILED_PRECONDITION);
  return OK_STATUS;
}

TEST(Status, AreTheNumbersThoseOfGoogleRpcCode) {
  EXPECT_EQ(0, STATUS_OK);
  EXPECT_EQ(1, STATUS_CANCELLED);
  EXPECT_EQ(3, STATUS_INVALID_ARGUMENT);
  EXPECT_EQ(4, STATUS_DEADLINE_EXCEEDED);
  EXPECT_EQ(5, STATUS_NOT_FOUND);
  EXPECT_EQ(8, STATUS_RESOURCE_EXHAUSTED);
  EXPECT_EQ(9, STATUS_FAILED_PRECONDITION);
  EXPECT_EQ(12, STATUS_UNIMPLEMENTED);
  EXPECT_EQ(14, STATUS_UNAVAILABLE);
  EXPECT_EQ(16, STATUS_UNAUTHENTICATED);
}

TEST(Status, DoesTryPassAFailureOnAndASuccessBy) {
  bool reached = false;
  EXPECT_TRUE(status_ok(Passes(&reached)));
  EXPECT_TRUE(reached);
  reached = false;
  EXPECT_EQ(STATUS_NOT_FOUND, FailsInTheMiddle(&reached).code);
  EXPECT_FALSE(reached);
}

TEST(Status, DoesEnsureFailWithTheNamedStatus) {
  EXPECT_TRUE(status_ok(Insists(true)));
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Insists(false).code);
}

TEST(Status, HasEveryCodeANameAndWords) {
  for (int code = STATUS_OK; code <= STATUS_UNAUTHENTICATED; code++) {
    EXPECT_STRNE("", status_name((enum status_code)code));
    EXPECT_STRNE("", status_text((enum status_code)code));
  }
  EXPECT_STREQ("RESOURCE_EXHAUSTED", status_name(STATUS_RESOURCE_EXHAUSTED));
  EXPECT_STREQ("resource exhausted", status_text(STATUS_RESOURCE_EXHAUSTED));
}

TEST(Status, IsANumberThatIsNoCodeUnknown) {
  EXPECT_STREQ("UNKNOWN", status_name((enum status_code)17));
  EXPECT_STREQ("unknown", status_text((enum status_code)17));
}

}  // namespace
