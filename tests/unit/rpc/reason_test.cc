#include "server/rpc/reason.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "server/base/limits.h"
#include "server/rpc/ceiling.h"

namespace {

std::string ReasonOf(enum status_code code, const std::string &text) {
  char out[REASON_MAX + 1];
  size_t len = reason_of(out, code, text.c_str());
  EXPECT_EQ(len, strlen(out));
  return out;
}

TEST(Reason, IsEachLimitNamed) {
  struct {
    const char *name;
    const char *reason;
  } limits[] = {{"connections", "CONNECTIONS"},
                {"calls_per_connection", "CALLS_PER_CONNECTION"},
                {"context_editions_per_owner", "CONTEXT_EDITIONS_PER_OWNER"}};
  for (const auto &limit : limits) {
    char text[CEILING_TEXT_MAX];
    ceiling_text(text, limit.name, 7);
    EXPECT_EQ(limit.reason, ReasonOf(STATUS_RESOURCE_EXHAUSTED, text));
  }
  EXPECT_EQ("REQUEST_MILLIS", ReasonOf(STATUS_DEADLINE_EXCEEDED,
                                       "the request took longer than limit \"request_millis\""));
}

TEST(Reason, FitsEveryNameOfALimit) {
#define X(name, default_, least, most, text) EXPECT_LE(strlen(#name), (size_t)REASON_MAX);
  LIMIT_TABLE(X)
#undef X
}

TEST(Reason, IsThereNoneWhereNoneIsNamed) {
  for (const char *text :
       {"", "out of memory", "limit ", "limit \"", "limit \"calls", "limit \"\"",
        "limit \"no such\"", "limit \"CALLS\" (1)", "past limit \"frame_bytes\" or \"calls\"",
        "past limit \"frame_bytes\", \"queued_bytes\" or \"calls\""}) {
    EXPECT_EQ("", ReasonOf(STATUS_RESOURCE_EXHAUSTED, text)) << text;
  }
}

// What a peer is quoted with isn't ours to say.
TEST(Reason, IsASentenceAboutSomethingElseNotLookedAt) {
  EXPECT_EQ("", ReasonOf(STATUS_UNIMPLEMENTED, "there is no service \"limit \"calls\"\""));
  EXPECT_EQ("", ReasonOf(STATUS_INVALID_ARGUMENT, "limit \"calls\" (1)"));
}

TEST(Reason, IsAPreconditionOne) {
  EXPECT_EQ("FAILED_PRECONDITION", ReasonOf(STATUS_FAILED_PRECONDITION, "the session is no relay"));
}

TEST(Reason, IsItAnErrorInfoOnTheWire) {
  uint8_t out[REASON_INFO_MAX];
  size_t len = reason_write(out, "CALLS");
  EXPECT_EQ(
      "\x0a\x05"
      "CALLS\x12\x08"
      "tlsagent",
      std::string((char *)out, len));
  EXPECT_LE(reason_write(out, std::string(REASON_MAX, 'A').c_str()), (size_t)REASON_INFO_MAX);
}

}  // namespace
