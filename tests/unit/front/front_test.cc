// The whole of it: accepting, bounds, records and who waits for them, the end.
#include "server/front/front.h"

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>

#include "tests/unit/front/harness.h"

namespace {

class Front : public FrontTest {
 protected:
  // Comes and goes without a word.
  void Knock() {
    close(front_listener_.Connect());
  }
};

TEST_F(Front, IsItsListenerOpenUntilItsEnd) {
  size_t before = NumOpenFds();
  Start();
  EXPECT_EQ(before + 1, NumOpenFds());
  End();
  EXPECT_TRUE(Eventually([&] { return NumOpenFds() == before; }));
  Knock();  // it isn't shut down: others may have it
}

TEST_F(Front, MayItBeClosedTwice) {
  Start();
  EXPECT_FALSE(front_is_closed(front_));
  front_close(front_);
  front_close(front_);
  EXPECT_TRUE(front_is_closed(front_));
}

TEST_F(Front, DoesItEndWhenItHasHardlyBegun) {
  for (int i = 0; i < 20; i++) {
    Start();
    End();
  }
}

TEST_F(Front, IsOneWithoutConnectionsDrainedAtOnce) {
  for (int i = 0; i < 20; i++) {
    Start();
    fronts_drain(&fronts_);
    EXPECT_EQ(0u, fronts_await_end(&fronts_, clock_now() + kPatienceMs * NANOS_PER_MILLI));
    EXPECT_TRUE(front_is_closed(front_));
    End();
  }
}

TEST_F(Front, AreThereNoMoreConnectionsThanAllowed) {
  config_.max_connections = 4;
  Start();
  std::vector<int> clients;
  for (int i = 0; i < 20; i++) {
    clients.push_back(front_listener_.Connect());
  }
  // Each of two workers has its share, and may have one more on its way.
  EXPECT_TRUE(Eventually([this] { return Stats().active >= 4; }));
  usleep(50000);
  EXPECT_LE(Stats().active, 6u);
  EXPECT_EQ(0u, Stats().refused);
  for (int fd : clients) {
    close(fd);
  }
  EXPECT_TRUE(Eventually([this] { return Stats().accepted == 20; })) << "the others come then";
  EXPECT_TRUE(Eventually([this] { return Stats().active == 0; }));
}

TEST_F(Front, AreRecordsKeptInOrderAndTheOldestLost) {
  config_.keep_records = true;
  Start();
  for (int i = 0; i < FRONT_RECORDS_MAX + 10; i++) {
    Knock();
    if (i % 100 == 0) {
      EXPECT_TRUE(Eventually([&] { return Stats().handshakes_failed + 20 > (uint64_t)i; }));
    }
  }
  EXPECT_TRUE(Eventually([this] { return Stats().handshakes_failed == FRONT_RECORDS_MAX + 10; }));
  uint64_t lost = 0;
  uint64_t sum = 0;
  size_t num = 0;
  struct front_record *record;
  while ((record = front_take(front_, &lost)) != nullptr) {
    front_record_free(record);
    sum += lost;
    num++;
  }
  EXPECT_EQ((size_t)FRONT_RECORDS_MAX, num);
  EXPECT_EQ(10u, sum);
}

TEST_F(Front, AreRecordsKeptOnlyWhenAskedFor) {
  config_.keep_records = false;
  Start();
  Knock();
  EXPECT_TRUE(Eventually([this] { return Stats().handshakes_failed == 1; }));
  uint64_t lost = 0;
  EXPECT_EQ(nullptr, front_take(front_, &lost));
  EXPECT_EQ(0u, lost);
}

TEST_F(Front, AreRecordsThatNobodyFetchedFreed) {
  Start();
  Knock();
  EXPECT_TRUE(Eventually([this] { return Stats().handshakes_failed == 1; }));
}

// ---------------------------------------------------------------------------------------------
// Who waits

struct Waiter {
  struct front_waiter waiter = {};
  std::atomic<int> times{0};
};

void OnReady(struct front_waiter *waiter) {
  LIST_ENTRY(waiter, Waiter, waiter)->times++;
}

class Waiting : public Front {
 protected:
  void Await(Waiter *waiter) {
    Run([&] { front_await(front_, &waiter->waiter, OnReady); });
  }
  bool Forget(Waiter *waiter) {
    bool forgotten = false;
    Run([&] { forgotten = front_forget(front_, &waiter->waiter); });
    return forgotten;
  }
  bool IsCalled(Waiter *waiter) {
    return Eventually([&] { return waiter->times == 1; });
  }
};

TEST_F(Waiting, AreAllToldOnceThatThereIsARecord) {
  Start();
  Waiter one;
  Waiter two;
  Await(&one);
  Await(&two);
  EXPECT_EQ(0, one.times);
  Knock();
  EXPECT_TRUE(IsCalled(&one));
  EXPECT_TRUE(IsCalled(&two));
  EXPECT_NE(nullptr, NextRecord());
}

TEST_F(Waiting, IsWhoComesLateToldAtOnce) {
  Start();
  Knock();
  EXPECT_TRUE(Eventually([this] { return Stats().handshakes_failed == 1; }));
  Waiter late;
  Await(&late);
  EXPECT_TRUE(IsCalled(&late));
  EXPECT_FALSE(Forget(&late));
}

TEST_F(Waiting, IsWhoIsForgottenNotTold) {
  Start();
  Waiter forgotten;
  Await(&forgotten);
  EXPECT_TRUE(Forget(&forgotten));
  EXPECT_FALSE(Forget(&forgotten)) << "once";
  Knock();
  EXPECT_NE(nullptr, NextRecord());
  EXPECT_EQ(0, forgotten.times);
}

TEST_F(Waiting, IsTheEndToldToo) {
  Start();
  Waiter waiter;
  Await(&waiter);
  front_close(front_);
  EXPECT_TRUE(IsCalled(&waiter));
  Waiter late;
  Await(&late);
  EXPECT_TRUE(IsCalled(&late));
}

// ---------------------------------------------------------------------------------------------
// When the kernel says no

TEST_F(Front, DoesAnAcceptWithoutADescriptorCostNoConnection) {
  struct fault table[] = {{OP_ACCEPT, 1, 2, FAULT_ERRNO, EMFILE, 0},
                          {OP_ACCEPT, 4, 1, FAULT_ERRNO, ECONNABORTED, 0}};
  struct faults faults = {table, 2};
  Run([&] { loop_set_faults(worker_loop(worker_pool_at(workers_, 0)), &faults); });
  Start();
  for (int i = 0; i < 20; i++) {
    Knock();
  }
  EXPECT_TRUE(Eventually([this] { return Stats().accepted == 20; }));
  Run([&] { loop_set_faults(worker_loop(worker_pool_at(workers_, 0)), nullptr); });
}

}  // namespace
