// How much is missing of a record?

#include "client/python/records.h"

#include <gtest/gtest.h>

#include <string>

namespace {

size_t Missing(const std::string &data) {
  return record_missing(reinterpret_cast<const uint8_t *>(data.data()), data.size());
}

std::string Record(int type, int major, size_t len) {
  return std::string({static_cast<char>(type), static_cast<char>(major), 3,
                      static_cast<char>(len >> 8), static_cast<char>(len)}) +
         std::string(len, 'x');
}

TEST(Records, IsEachByteOfARecordAskedFor) {
  const std::string record = Record(23, 3, 300);
  for (size_t len = 0; len < 5; len++) {
    EXPECT_EQ(5 - len, Missing(record.substr(0, len))) << "the header first";
  }
  for (size_t len = 5; len <= record.size(); len++) {
    EXPECT_EQ(record.size() - len, Missing(record.substr(0, len)));
  }
}

TEST(Records, DoesOnlyTheFirstOneCount) {
  EXPECT_EQ(0u, Missing(Record(22, 3, 10) + "\x17\x03"));
}

TEST(Records, CanOneBeEmpty) {
  EXPECT_EQ(0u, Missing(Record(23, 3, 0)));
}

TEST(Records, AreAllTypesKnown) {
  for (int type = 0; type < 256; type++) {
    const std::string header = Record(type, 3, 100).substr(0, 5);
    EXPECT_EQ(type >= 20 && type <= 23 ? 100u : 0u, Missing(header)) << type;
  }
}

TEST(Records, IsWhatIsNoRecordWaitedForByNobody) {
  EXPECT_EQ(0u, Missing("HTTP/1.1 400 Bad Request"));
  EXPECT_EQ(0u, Missing("220 mail.example.org ESMTP"));
  EXPECT_EQ(0u, Missing(Record(23, 2, 100).substr(0, 5))) << "SSL 2";
  EXPECT_EQ(0u, Missing(std::string(5, '\0')));
}

TEST(Records, IsOneThatIsTooLongWaitedForByNobody) {
  EXPECT_EQ(16384u + 2048, Missing(Record(23, 3, 16384 + 2048).substr(0, 5)));
  EXPECT_EQ(0u, Missing(Record(23, 3, 16384 + 2049).substr(0, 5)));
  EXPECT_EQ(0u, Missing("\x17\x03\x03\xff\xff"));
}

// --- Several of them ---

size_t Whole(const std::string &data) {
  return records_whole(reinterpret_cast<const uint8_t *>(data.data()), data.size());
}

size_t OfData(const std::string &data, size_t most = SIZE_MAX) {
  return records_of_data(reinterpret_cast<const uint8_t *>(data.data()), data.size(), most);
}

TEST(Records, AreWholeOnesCountedToTheFirstThatIsNot) {
  const std::string two = Record(22, 3, 10) + Record(23, 3, 0);
  const std::string third = Record(21, 3, 2);
  EXPECT_EQ(0u, Whole(""));
  EXPECT_EQ(two.size(), Whole(two));
  for (size_t len = 0; len < third.size(); len++) {
    EXPECT_EQ(two.size(), Whole(two + third.substr(0, len)));
  }
  EXPECT_EQ(two.size() + third.size(), Whole(two + third));
}

TEST(Records, IsWhatIsNoRecordCountedToTheEnd) {
  EXPECT_EQ(9u, Whole("HTTP/1.1 "));
  const std::string mixed = Record(22, 3, 10) + "clear text";
  EXPECT_EQ(mixed.size(), Whole(mixed));
}

TEST(Records, AreOnlyThoseOfDataForSureCounted) {
  const std::string data = Record(23, 3, 100);
  EXPECT_EQ(0u, OfData(""));
  EXPECT_EQ(data.size(), OfData(data));
  EXPECT_EQ(2 * data.size(), OfData(data + data));
  EXPECT_EQ(data.size(), OfData(data + data.substr(0, data.size() - 1))) << "not whole";
  EXPECT_EQ(data.size(), OfData(data + Record(21, 3, 100) + data)) << "an alert";
  EXPECT_EQ(data.size(), OfData(data + Record(23, 3, 40) + data)) << "as short as an alert";
  EXPECT_EQ(data.size(), OfData(data + "clear text"));
  EXPECT_EQ(0u, OfData(Record(22, 3, 100)));
  EXPECT_EQ(0u, OfData(Record(23, 3, 16384 + 2049).substr(0, 100)));
}

TEST(Records, IsNoMoreOfThemGivenThanWanted) {
  const std::string data = Record(23, 3, 100);
  EXPECT_EQ(0u, OfData(data + data, data.size() - 1));
  EXPECT_EQ(data.size(), OfData(data + data, data.size()));
  EXPECT_EQ(data.size(), OfData(data + data, 2 * data.size() - 1));
}

}  // namespace
