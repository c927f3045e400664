#include "server/tls/record_size.h"

#include "tests/unit/tls/harness.h"

namespace {

constexpr clock_time kIdle = RECORD_SIZE_IDLE_MILLIS * NANOS_PER_MILLI;

// Writes that much, and says how many records it took.
size_t Write(record_size *size, clock_time now, size_t len) {
  size_t records = 0;
  record_size_begin(size, now);
  while (len > 0) {
    size_t record = std::min(len, record_size_next(size));
    record_size_written(size, record);
    len -= record;
    records++;
  }
  return records;
}

TEST(RecordSizeTest, DoesItBeginSmallAndGrow) {
  record_size size = {};
  record_size_begin(&size, 1);
  EXPECT_EQ(record_size_next(&size), static_cast<size_t>(RECORD_SIZE_PACKET));
  Write(&size, 2, RECORD_SIZE_SMALL_UNTIL - 1);
  EXPECT_EQ(record_size_next(&size), static_cast<size_t>(RECORD_SIZE_PACKET));
  Write(&size, 3, 1);
  EXPECT_EQ(record_size_next(&size), static_cast<size_t>(RECORD_SIZE_MEDIUM));
  Write(&size, 4, RECORD_SIZE_MEDIUM_UNTIL - RECORD_SIZE_SMALL_UNTIL);
  EXPECT_EQ(record_size_next(&size), static_cast<size_t>(RECORD_SIZE_LARGE));
}

TEST(RecordSizeTest, DoesItStayLargeWhileSomebodyWrites) {
  record_size size = {};
  Write(&size, 0, 1 << 20);
  for (clock_time now = 0; now < 10 * kIdle; now += kIdle / 2) {
    EXPECT_EQ(Write(&size, now, RECORD_SIZE_LARGE), 1u);
  }
}

TEST(RecordSizeTest, DoesItBeginAnewAfterAPause) {
  record_size size = {};
  clock_time now = 5 * kIdle;
  Write(&size, now, 1 << 20);
  now += kIdle - 1;
  record_size_begin(&size, now);
  EXPECT_EQ(record_size_next(&size), static_cast<size_t>(RECORD_SIZE_LARGE));
  now += kIdle;
  record_size_begin(&size, now);
  EXPECT_EQ(record_size_next(&size), static_cast<size_t>(RECORD_SIZE_PACKET));
}

// What bulk pays for it: some twenty records, once.
TEST(RecordSizeTest, HowManyMoreRecordsAreThereInAMegabyte) {
  record_size size = {};
  EXPECT_LE(Write(&size, 1, 1 << 20), (1u << 20) / RECORD_SIZE_LARGE + 24);
}

}  // namespace
