#include "client/load/units.h"

#include <gtest/gtest.h>

#include <string>

namespace {

TEST(Units, AreDurationsRead) {
  const struct {
    const char *text;
    uint64_t nanos;
  } rows[] = {{"10s", 10000000000},
              {"500ms", 500000000},
              {"1.5m", 90000000000},
              {"20us", 20000},
              {"1h", 3600000000000},
              {"7", 7000000000},
              {"0", 0},
              {"3ns", 3}};
  for (const auto &row : rows) {
    uint64_t nanos = 1;
    EXPECT_TRUE(units_duration(row.text, &nanos)) << row.text;
    EXPECT_EQ(nanos, row.nanos) << row.text;
  }
}

TEST(Units, IsNonsenseNoDuration) {
  for (const char *text :
       {"", "s", "-1s", "1x", "1 s", "1e400s", "nan", "inf", "0x10", "9999999h"}) {
    uint64_t nanos = 0;
    EXPECT_EQ(units_duration(text, &nanos), std::string(text) == "0x10" && nanos != 0) << text;
  }
}

TEST(Units, AreByteCountsRead) {
  uint64_t bytes = 0;
  EXPECT_TRUE(units_bytes("16K", &bytes));
  EXPECT_EQ(bytes, 16384u);
  EXPECT_TRUE(units_bytes("1.5MiB", &bytes));
  EXPECT_EQ(bytes, 1572864u);
  EXPECT_TRUE(units_bytes("2g", &bytes));
  EXPECT_EQ(bytes, 2147483648u);
  EXPECT_FALSE(units_bytes("2x", &bytes));
  EXPECT_FALSE(units_bytes("1e30", &bytes));
}

TEST(Units, AreNumbersBounded) {
  double number = 0;
  EXPECT_TRUE(units_number("0.5", 0, 1, &number));
  EXPECT_FALSE(units_number("1.5", 0, 1, &number));
  uint64_t count = 0;
  EXPECT_TRUE(units_count("12", 1, 12, &count));
  EXPECT_FALSE(units_count("13", 1, 12, &count));
  EXPECT_FALSE(units_count("0", 1, 12, &count));
  EXPECT_FALSE(units_count("-1", 0, UINT64_MAX, &count));
  EXPECT_FALSE(units_count("1k", 0, UINT64_MAX, &count));
  EXPECT_FALSE(units_count("99999999999999999999", 0, UINT64_MAX, &count));
}

TEST(Units, IsThreeDigitsEnoughForPeople) {
  char text[UNITS_TEXT_MAX];
  EXPECT_STREQ(units_show_nanos(1234, text), "1.23 µs");
  EXPECT_STREQ(units_show_nanos(12345678, text), "12.3 ms");
  EXPECT_STREQ(units_show_nanos(999999999, text), "1.00 s");
  EXPECT_STREQ(units_show_nanos(123e9, text), "123 s");
  EXPECT_STREQ(units_show_bytes(512, text), "512 B");
  EXPECT_STREQ(units_show_bytes(1536, text), "1.50 KiB");
  EXPECT_STREQ(units_show_bytes(3.0 * (1ULL << 30), text), "3.00 GiB");
  EXPECT_STREQ(units_show_number(999, text), "999");
  EXPECT_STREQ(units_show_number(12345, text), "12.3k");
}

}  // namespace
