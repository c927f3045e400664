#include "server/tls/ticket_keys.h"

#include <atomic>
#include <cstring>
#include <set>
#include <thread>

#include "tests/unit/tls/harness.h"

namespace {

constexpr long kLifetime = 7200;
constexpr clock_time kHour = 3600 * NANOS_PER_SECOND;

class TicketKeysTest : public TlsTest {
 protected:
  TicketKeysTest() : keys_(ticket_keys_new(kLifetime)), start_(ticket_keys_now(keys_)) {}
  ~TicketKeysTest() override {
    ticket_keys_unref(keys_);
  }
  ticket_key At(clock_time after) {
    ticket_key key = {};
    EXPECT_TRUE(ticket_keys_current(keys_, start_ + after, &key));
    return key;
  }
  ticket_key_age Age(const ticket_key &key, clock_time after) {
    ticket_key found = {};
    ticket_key_age age =
        ticket_keys_find(keys_, slice_of(key.name, sizeof(key.name)), start_ + after, &found);
    if (age != TICKET_KEY_UNKNOWN) {
      EXPECT_EQ(memcmp(&found, &key, sizeof(key)), 0);
    }
    return age;
  }
  static std::string Name(const ticket_key &key) {
    return std::string(reinterpret_cast<const char *>(key.name), sizeof(key.name));
  }
  ticket_keys *keys_;
  clock_time start_;
};

TEST_F(TicketKeysTest, IsThereOneFromTheStart) {
  ticket_key key = At(0);
  const uint8_t nothing[TICKET_KEY_AES_BYTES] = {};
  EXPECT_NE(memcmp(key.aes, nothing, sizeof(key.aes)), 0);
  EXPECT_NE(memcmp(key.mac, nothing, sizeof(key.mac)), 0);
  EXPECT_NE(memcmp(key.mac, key.aes, sizeof(key.mac)), 0);
  EXPECT_EQ(Age(key, 0), TICKET_KEY_CURRENT);
  EXPECT_EQ(Name(At(kHour / 2)), Name(key));
}

TEST_F(TicketKeysTest, DoOthersHaveOthers) {
  ticket_keys *others = ticket_keys_new(kLifetime);
  ticket_key other;
  ASSERT_TRUE(ticket_keys_current(others, start_, &other));
  EXPECT_EQ(Age(other, 0), TICKET_KEY_UNKNOWN);
  ticket_keys_unref(others);
}

TEST_F(TicketKeysTest, DoesOneSealForHalfALifetimeAndOpenForAWholeOneMore) {
  ticket_key first = At(0);
  ticket_key second = At(kHour + NANOS_PER_SECOND);
  EXPECT_NE(Name(first), Name(second));
  EXPECT_NE(memcmp(first.aes, second.aes, sizeof(first.aes)), 0);
  EXPECT_EQ(Age(first, kHour + NANOS_PER_SECOND), TICKET_KEY_OLD);
  EXPECT_EQ(Age(second, kHour + NANOS_PER_SECOND), TICKET_KEY_CURRENT);
  ticket_key third = At(2 * kHour + 2 * NANOS_PER_SECOND);
  EXPECT_EQ(Age(first, 3 * kHour - NANOS_PER_SECOND), TICKET_KEY_OLD);
  EXPECT_EQ(Age(second, 3 * kHour - NANOS_PER_SECOND), TICKET_KEY_OLD);
  EXPECT_EQ(Age(third, 3 * kHour - NANOS_PER_SECOND), TICKET_KEY_CURRENT);
  EXPECT_EQ(Age(first, 3 * kHour + NANOS_PER_SECOND), TICKET_KEY_UNKNOWN);
}

// Nobody is there to change them while nothing happens.
TEST_F(TicketKeysTest, IsOneTooOldToSealWithOldToOpenWithToo) {
  ticket_key first = At(0);
  EXPECT_EQ(Age(first, kHour + NANOS_PER_SECOND), TICKET_KEY_OLD);
  EXPECT_EQ(Age(first, 4 * kHour), TICKET_KEY_UNKNOWN);
  EXPECT_EQ(Age(first, 0), TICKET_KEY_UNKNOWN);  // it is gone, whatever the clock says
  ticket_key next = At(100 * kHour);
  EXPECT_NE(Name(first), Name(next));
  EXPECT_EQ(Age(next, 100 * kHour), TICKET_KEY_CURRENT);
}

TEST_F(TicketKeysTest, AreThereNeverMoreThanThree) {
  std::vector<ticket_key> made;
  for (clock_time at = 0; at < 10; at++) {
    made.push_back(At(at * (kHour + NANOS_PER_SECOND)));
  }
  // All of them would have their time still.
  ticket_keys_set_lifetime(keys_, 100 * kLifetime);
  size_t good = 0;
  for (const ticket_key &key : made) {
    good += Age(key, 9 * (kHour + NANOS_PER_SECOND)) != TICKET_KEY_UNKNOWN;
  }
  EXPECT_EQ(good, static_cast<size_t>(TICKET_KEYS_MAX));
}

TEST_F(TicketKeysTest, DoesALifetimeMadeShorterEndThem) {
  ticket_key first = At(0);
  ticket_keys_set_lifetime(keys_, 60);
  EXPECT_EQ(Age(first, 29 * NANOS_PER_SECOND), TICKET_KEY_CURRENT);
  EXPECT_EQ(Age(first, 31 * NANOS_PER_SECOND), TICKET_KEY_OLD);
  EXPECT_EQ(Age(first, 91 * NANOS_PER_SECOND), TICKET_KEY_UNKNOWN);
}

TEST_F(TicketKeysTest, HowLongDoesOneSealAtTheMost) {
  ticket_keys_set_lifetime(keys_, 365L * 24 * 3600);
  ticket_key first = At(0);
  EXPECT_EQ(Name(At(12 * kHour - NANOS_PER_SECOND)), Name(first));
  EXPECT_NE(Name(At(12 * kHour + NANOS_PER_SECOND)), Name(first));
  EXPECT_EQ(Age(first, 36 * kHour + NANOS_PER_SECOND), TICKET_KEY_UNKNOWN);
}

TEST_F(TicketKeysTest, MayALifetimeBeNothing) {
  ticket_keys_set_lifetime(keys_, 0);
  ticket_key first = At(0);
  EXPECT_EQ(Age(first, 0), TICKET_KEY_CURRENT);
}

TEST_F(TicketKeysTest, CanThreadsShareThem) {
  enum { THREADS = 4, TURNS = 200 };
  std::atomic<clock_time> time(0);
  std::set<std::string> names[THREADS];
  std::vector<std::thread> threads;
  for (std::set<std::string> &mine : names) {
    threads.emplace_back([&] {
      for (int turn = 0; turn < TURNS; turn++) {
        clock_time now = time += kHour / 10;
        ticket_key key = At(now);
        mine.insert(Name(key));
        Age(key, now);  // others' time may be later, and this one over
        ticket_keys_set_lifetime(keys_, kLifetime);
        ticket_keys_unref(ticket_keys_ref(keys_));
      }
    });
  }
  for (std::thread &thread : threads) {
    thread.join();
  }
  std::set<std::string> all;
  for (const std::set<std::string> &mine : names) {
    all.insert(mine.begin(), mine.end());
  }
  // One for each hour that has passed, or nearly.
  EXPECT_GE(all.size(), static_cast<size_t>(THREADS * TURNS / 10 / 3));
}

}  // namespace
