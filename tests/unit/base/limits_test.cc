#include "server/base/limits.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace {

struct limits Defaults() {
  struct limits limits = {};
  limits_default(&limits);
  return limits;
}

uint64_t MemoryOf(const struct limits &limits, unsigned num_workers) {
  struct limit_row rows[LIMIT_COUNT];
  return limits_rows(&limits, num_workers, rows);
}

TEST(Limits, IsEveryDefaultWithinItsBounds) {
#define X(name, default_, least, most, text)                   \
  EXPECT_GE((uint64_t)(default_), (uint64_t)(least)) << #name; \
  EXPECT_LE((uint64_t)(default_), (uint64_t)(most)) << #name;  \
  EXPECT_STRNE("", text) << #name;
  LIMIT_TABLE(X)
#undef X
}

TEST(Limits, IsEveryOneFilledIn) {
  struct limits limits = Defaults();
#define X(name, default_, least, most, text) EXPECT_EQ((uint64_t)(default_), limits.name) << #name;
  LIMIT_TABLE(X)
#undef X
}

TEST(Limits, DoOwnersGetNoMoreThanThereIs) {
  struct limits limits = Defaults();
  EXPECT_LE(limits.connections_per_owner, limits.connections);
  EXPECT_LE(limits.sessions_per_owner, limits.sessions);
  EXPECT_LE(limits.contexts_per_owner, limits.contexts);
  EXPECT_LE(limits.calls_per_connection, limits.calls);
}

// A read's answer has to fit the queue of its connection, and that of a session's output too.
TEST(Limits, DoAnswersFitTheirQueueByDefault) {
  struct limits limits = Defaults();
  EXPECT_LE(limits.read_bytes, limits.queued_bytes / 2);
  EXPECT_LE(limits.session_output_bytes, limits.queued_bytes / 2);
  EXPECT_LE(limits.material_bytes, limits.frame_bytes);
}

TEST(Limits, CanEachBeSetToItsBoundsAndNoFurther){
#define X(name, default_, least, most, text)                                        \
  {                                                                                 \
    struct limits limits = Defaults();                                              \
    auto set = [&](uint64_t value) {                                                \
      return limits_set(&limits, (#name "=" + std::to_string(value)).c_str()).code; \
    };                                                                              \
    EXPECT_EQ(STATUS_OK, set(least)) << #name;                                      \
    EXPECT_EQ((uint64_t)(least), limits.name);                                      \
    EXPECT_EQ(STATUS_OK, set(most)) << #name;                                       \
    EXPECT_EQ((uint64_t)(most), limits.name);                                       \
    EXPECT_EQ(STATUS_OUT_OF_RANGE, set((uint64_t)(least)-1)) << #name;              \
    EXPECT_EQ(STATUS_OUT_OF_RANGE, set((uint64_t)(most) + 1)) << #name;             \
    EXPECT_EQ((uint64_t)(most), limits.name) << "a refused value changes nothing";  \
  }
    LIMIT_TABLE(X)
#undef X
}

TEST(Limits, DoesSettingOneLeaveTheOthersAlone) {
  struct limits limits = Defaults();
  ASSERT_TRUE(status_ok(limits_set(&limits, "sessions=7")));
  struct limits expected = Defaults();
  expected.sessions = 7;
  EXPECT_EQ(0, memcmp(&expected, &limits, sizeof(limits)));
}

TEST(Limits, IsAnUnknownNameToldFromAWrongValue) {
  struct limits limits = Defaults();
  EXPECT_TRUE(limits_has(slice_of_string("sessions")));
  EXPECT_FALSE(limits_has(slice_of_string("session")));
  EXPECT_FALSE(limits_has(slice_of(nullptr, 0)));
  EXPECT_EQ(STATUS_NOT_FOUND, limits_set(&limits, "session=7").code);
  EXPECT_EQ(STATUS_NOT_FOUND, limits_set(&limits, "sessionsx=7").code);
  EXPECT_EQ(STATUS_NOT_FOUND, limits_set(&limits, "=7").code);
  for (const char *wrong :
       {"sessions", "sessions=", "sessions=x", "sessions=7x", "sessions= 7", "sessions=-7",
        "sessions=+7", "sessions=0x7", "sessions==7", "", "sessions=99999999999999999999999999"}) {
    EXPECT_EQ(STATUS_INVALID_ARGUMENT, limits_set(&limits, wrong).code) << wrong;
  }
  EXPECT_EQ(Defaults().sessions, limits.sessions);
}

TEST(Limits, IsTheCeilingTheSumOfItsLinesAndTheProcess) {
  struct limits limits = Defaults();
  struct limit_row rows[LIMIT_COUNT];
  uint64_t sum = limits_rows(&limits, 3, rows);
  uint64_t listed = 0;
  std::set<std::string> names;
  for (const struct limit_row &row : rows) {
    listed += row.memory_bytes;
    names.insert(row.name);
    EXPECT_STRNE("", row.text) << row.name;
  }
  EXPECT_EQ((size_t)LIMIT_COUNT, names.size());
  EXPECT_GT(sum, listed);
  uint64_t worker = MemoryOf(limits, 4) - MemoryOf(limits, 3);
  EXPECT_GE(worker, (uint64_t)WORKER_BUFFERS * WORKER_BUFFER_BYTES);
  EXPECT_EQ(sum, MemoryOf(limits, 0) + 3 * worker);
}

TEST(Limits, DoesEveryRowShowItsValue) {
  struct limits limits = Defaults();
  limits.descriptors = 17;
  struct limit_row rows[LIMIT_COUNT];
  limits_rows(&limits, 1, rows);
  EXPECT_EQ(17u, rows[LIMIT_descriptors].value);
  EXPECT_STREQ("descriptors", rows[LIMIT_descriptors].name);
}

TEST(Limits, DoesMoreOfWhatCostsMemoryRaiseTheCeiling) {
  uint64_t before = MemoryOf(Defaults(), 1);
  for (const char *more :
       {"connections=2000", "sessions=5000", "contexts=600", "calls=2000", "request_bytes=99999999",
        "reply_bytes=99999999", "read_bytes=500000", "session_output_bytes=500000",
        "context_bytes=2000000", "resolver_queue=500"}) {
    struct limits limits = Defaults();
    ASSERT_TRUE(status_ok(limits_set(&limits, more))) << more;
    EXPECT_GT(MemoryOf(limits, 1), before) << more;
  }
}

TEST(Limits, DoesTheLargestCeilingNotOverflow) {
  struct limits limits = {};
#define X(name, default_, least, most, text) limits.name = most;
  LIMIT_TABLE(X)
#undef X
  struct limit_row rows[LIMIT_COUNT];
  uint64_t sum = limits_rows(&limits, 256, rows);
  for (const struct limit_row &row : rows) {
    EXPECT_LE(row.memory_bytes, sum) << row.name;
  }
}

}  // namespace
