#include "server/rpc/wire.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/rpc/rpc_fixture.h"

namespace {

struct slice SliceOf(const std::string &bytes) {
  return slice_of(bytes.data(), bytes.size());
}

bool TakesField(const std::string &bytes, struct wire_field *field) {
  struct slice from = SliceOf(bytes);
  return wire_take_field(&from, field);
}

TEST(Wire, IsANumberReadAsItIsWritten) {
  for (uint64_t value : {0ULL, 1ULL, 127ULL, 128ULL, 300ULL, 16383ULL, 16384ULL, 1ULL << 35,
                         1ULL << 63, (unsigned long long)UINT64_MAX}) {
    uint8_t bytes[10];
    uint8_t *end = wire_put_varint(bytes, value);
    EXPECT_EQ(wire_varint_size(value), (size_t)(end - bytes));
    EXPECT_EQ(Varint(value), std::string((char *)bytes, (size_t)(end - bytes)));
    struct slice from = slice_of(bytes, (size_t)(end - bytes));
    uint64_t read = 0;
    ASSERT_TRUE(wire_take_varint(&from, &read));
    EXPECT_EQ(value, read);
    EXPECT_EQ(0u, from.len);
  }
}

TEST(Wire, IsANumberWithoutEndNone) {
  uint64_t value = 0;
  struct slice cut = slice_of("\x80\x80", 2);
  EXPECT_FALSE(wire_take_varint(&cut, &value));
  std::string eleven(11, '\x80');
  struct slice endless = SliceOf(eleven);
  EXPECT_FALSE(wire_take_varint(&endless, &value));
}

TEST(Wire, AreFieldsOfAllTypesRead) {
  struct wire_field field;
  ASSERT_TRUE(TakesField(BytesField(7, "abc"), &field));
  EXPECT_EQ(7u, field.number);
  EXPECT_EQ(WIRE_BYTES, field.type);
  EXPECT_EQ(3u, field.bytes.len);
  ASSERT_TRUE(TakesField(VarintField(536870911, 300), &field));
  EXPECT_EQ(536870911u, field.number);
  EXPECT_EQ(300u, field.varint);
  ASSERT_TRUE(TakesField(Varint(1 << 3 | 1) + "12345678", &field));
  EXPECT_EQ(8u, field.bytes.len);
  ASSERT_TRUE(TakesField(Varint(1 << 3 | 5) + "1234", &field));
  EXPECT_EQ(4u, field.bytes.len);
}

TEST(Wire, IsALengthThatLiesNoField) {
  struct wire_field field;
  EXPECT_FALSE(TakesField(Varint(1 << 3 | 2) + Varint(4) + "abc", &field));
  EXPECT_FALSE(TakesField(Varint(1 << 3 | 2) + Varint(UINT64_MAX), &field));
  EXPECT_FALSE(TakesField(Varint(1 << 3 | 2), &field));
  EXPECT_FALSE(TakesField(Varint(1 << 3 | 1) + "1234567", &field));
  EXPECT_FALSE(TakesField(Varint(1 << 3 | 5) + "123", &field));
}

TEST(Wire, AreGroupsAndUnknownTypesNoFields) {
  struct wire_field field;
  for (uint64_t type : {3, 4, 6, 7}) {
    EXPECT_FALSE(TakesField(Varint(1 << 3 | type) + "12345678", &field)) << type;
  }
}

TEST(Wire, IsAFieldNumberOutOfRangeNone) {
  struct wire_field field;
  EXPECT_FALSE(TakesField(VarintField(0, 1), &field));
  EXPECT_FALSE(TakesField(Varint(536870912ULL << 3) + "\1", &field));
  EXPECT_FALSE(TakesField(Varint((1ULL << 40) + 8) + "\1", &field));
}

}  // namespace
