#include "server/ring/timers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace {

struct Noted {
  timer base;
  std::vector<clock_time> *fired;
};

void Note(timer *base) {
  Noted *noted = reinterpret_cast<Noted *>(base);
  noted->fired->push_back(base->when);
}

class Timers : public ::testing::Test {
 protected:
  void SetUp() override {
    timers_init(&timers_, 4096);
  }
  void TearDown() override {
    timers_cleanup(&timers_);
  }

  std::vector<Noted> Make(size_t num) {
    std::vector<Noted> made(num);
    for (Noted &noted : made) {
      timer_init(&noted.base, Note);
      noted.fired = &fired_;
    }
    return made;
  }

  timers timers_;
  std::vector<clock_time> fired_;
};

TEST_F(Timers, DoTheyFireInOrder) {
  std::mt19937 random(1);
  std::vector<Noted> made = Make(1000);
  for (Noted &noted : made) {
    ASSERT_TRUE(status_ok(timers_set(&timers_, &noted.base, random() % 500)));
  }
  timers_fire(&timers_, 499);
  EXPECT_EQ(1000u, fired_.size());
  EXPECT_TRUE(std::is_sorted(fired_.begin(), fired_.end()));
  EXPECT_EQ(CLOCK_NEVER, timers_next(&timers_));
}

TEST_F(Timers, DoesNothingFireBeforeItsTime) {
  std::vector<Noted> made = Make(2);
  ASSERT_TRUE(status_ok(timers_set(&timers_, &made[0].base, 10)));
  ASSERT_TRUE(status_ok(timers_set(&timers_, &made[1].base, 20)));
  timers_fire(&timers_, 19);
  EXPECT_EQ(std::vector<clock_time>{10}, fired_);
  EXPECT_EQ(20u, timers_next(&timers_));
}

// Sets, moves and cancels at random, and compares with the obvious implementation.
TEST_F(Timers, IsTheHeapRightWhateverIsDoneToIt) {
  std::mt19937 random(2);
  std::vector<Noted> made = Make(300);
  for (int i = 0; i < 20000; i++) {
    timer *chosen = &made[random() % made.size()].base;
    if (random() % 3 == 0) {
      timers_cancel(&timers_, chosen);
      EXPECT_EQ(0u, chosen->place);
    } else {
      ASSERT_TRUE(status_ok(timers_set(&timers_, chosen, random() % 1000)));
    }
    clock_time earliest = CLOCK_NEVER;
    for (const Noted &noted : made) {
      earliest = noted.base.place != 0 ? std::min(earliest, noted.base.when) : earliest;
    }
    ASSERT_EQ(earliest, timers_next(&timers_));
  }
}

TEST_F(Timers, IsThereACeiling) {
  timers few;
  timers_init(&few, 100);
  std::vector<Noted> made = Make(101);
  for (size_t i = 0; i < 100; i++) {
    ASSERT_TRUE(status_ok(timers_set(&few, &made[i].base, i)));
  }
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, timers_set(&few, &made[100].base, 1).code);
  EXPECT_EQ(0u, made[100].base.place);
  // One that is set already can still be moved.
  EXPECT_TRUE(status_ok(timers_set(&few, &made[50].base, 5000)));
  timers_cleanup(&few);
}

struct Again {
  timer base;
  struct timers *timers;
  int fired;
};

TEST_F(Timers, DoesOneThatIsAlwaysDueLetGo) {
  Again again = {};
  timer_init(&again.base, [](timer *base) {
    Again *self = reinterpret_cast<Again *>(base);
    self->fired++;
    EXPECT_TRUE(status_ok(timers_set(self->timers, base, 1)));
  });
  again.timers = &timers_;
  ASSERT_TRUE(status_ok(timers_set(&timers_, &again.base, 1)));
  timers_fire(&timers_, 100);
  EXPECT_EQ(1, again.fired);
  timers_fire(&timers_, 100);
  EXPECT_EQ(2, again.fired);
}

struct Killer {
  timer base;
  struct timers *timers;
  timer *victim;
};

TEST_F(Timers, MayACallbackCancelAnotherThatIsDue) {
  std::vector<Noted> made = Make(1);
  Killer killer = {};
  timer_init(&killer.base, [](timer *base) {
    Killer *self = reinterpret_cast<Killer *>(base);
    timers_cancel(self->timers, self->victim);
  });
  killer.timers = &timers_;
  killer.victim = &made[0].base;
  ASSERT_TRUE(status_ok(timers_set(&timers_, &killer.base, 1)));
  ASSERT_TRUE(status_ok(timers_set(&timers_, &made[0].base, 2)));
  timers_fire(&timers_, 3);
  EXPECT_TRUE(fired_.empty());
}

}  // namespace
