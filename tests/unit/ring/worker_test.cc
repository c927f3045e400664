#include "server/ring/worker.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "tests/unit/ring/ring_fixture.h"

namespace {

class Pool {
 public:
  explicit Pool(unsigned num_workers) {
    worker_config config = {num_workers, 64, 16, 4096, 2};
    const char *why = nullptr;
    status_t status = worker_pool_new(&config, &pool_, &why);
    EXPECT_TRUE(status_ok(status)) << why;
  }
  ~Pool() {
    worker_pool_free(pool_);
  }
  worker *At(unsigned index) {
    return worker_pool_at(pool_, index);
  }
  worker_pool *get() {
    return pool_;
  }

 private:
  worker_pool *pool_ = nullptr;
};

// Runs a function on a worker; Wait returns when it has run.
class Call {
 public:
  explicit Call(std::function<void()> function) : function_(std::move(function)) {
    message_.base.run = [](message *base) {
      Call *self = reinterpret_cast<Embedded *>(base)->call;
      self->function_();
      self->done_ = true;
    };
    message_.call = this;
  }
  void Post(worker *to) {
    worker_post(to, &message_.base);
  }
  void Wait() {
    while (!done_) {
      std::this_thread::yield();
    }
  }
  void Run(worker *on) {
    Post(on);
    Wait();
  }

 private:
  struct Embedded {
    message base = {};
    Call *call = nullptr;
  };
  Embedded message_;
  std::function<void()> function_;
  std::atomic<bool> done_{false};
};

TEST(Worker, DoPoolsComeAndGoWithoutATrace) {
  int before = NumOpenFds();
  for (int i = 0; i < 20; i++) {
    Pool pool(4);
    EXPECT_EQ(4u, worker_pool_size(pool.get()));
  }
  EXPECT_TRUE(NumOpenFdsBecomes(before));
}

TEST(Worker, IsAMessageRunOnItsWorkersThread) {
  Pool pool(3);
  EXPECT_EQ(nullptr, worker_current());
  for (unsigned i = 0; i < 3; i++) {
    worker *seen = nullptr;
    char name[16];
    sigset_t blocked;
    Call call([&] {
      seen = worker_current();
      pthread_getname_np(pthread_self(), name, sizeof(name));
      pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    });
    call.Run(pool.At(i));
    EXPECT_EQ(pool.At(i), seen);
    EXPECT_EQ(i, worker_index(seen));
    EXPECT_EQ("tlsagent-w" + std::to_string(i), name);
    EXPECT_TRUE(sigismember(&blocked, SIGTERM));
    EXPECT_TRUE(sigismember(&blocked, SIGUSR1));
  }
}

TEST(Worker, IsTheSignalMaskOfTheStarterUntouched) {
  Pool pool(1);
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  EXPECT_FALSE(sigismember(&blocked, SIGTERM));
}

// ---------------------------------------------------------------------------------------------
// Messages

struct Bounce {
  message post = {};
  Pool *pool = nullptr;
  std::atomic<int> left{0};
};

void RunBounce(message *post) {
  Bounce *bounce = reinterpret_cast<Bounce *>(post);
  unsigned index = worker_index(worker_current());
  // Reads what it needs first: the last bounce ends the test.
  Pool *pool = bounce->pool;
  if (bounce->left.fetch_sub(1) > 1) {
    worker_post(pool->At(1 - index), post);
  }
}

void BounceUntilDone(Pool &pool, int times) {
  Bounce bounce;
  bounce.post.run = RunBounce;
  bounce.pool = &pool;
  bounce.left = times;
  clock_time start = clock_now();
  worker_post(pool.At(0), &bounce.post);
  while (bounce.left > 0) {
    std::this_thread::yield();
  }
  // A wake-up that got lost would cost a second, until the wait ends by itself.
  EXPECT_LT(clock_now() - start, 5 * NANOS_PER_SECOND);
}

TEST(Worker, DoesAMessageBounceBetweenTwoWorkers) {
  Pool pool(2);
  BounceUntilDone(pool, 5000);
}

// The wake by the ring fails, or is late: the eventfd takes over, and no wake-up is lost.
TEST(Worker, IsAWakeUpThatFailsNotLost) {
  for (fault_effect effect : {FAULT_ERRNO, FAULT_LATE}) {
    Pool pool(2);
    fault tables[2] = {};
    faults sets[2];
    for (unsigned i = 0; i < 2; i++) {
      tables[i] = {OP_WAKE, 1, UINT_MAX, effect, effect == FAULT_ERRNO ? EOVERFLOW : 3, 0};
      sets[i] = {&tables[i], 1};
      Call([&] { loop_set_faults(worker_loop(worker_current()), &sets[i]); }).Run(pool.At(i));
    }
    BounceUntilDone(pool, 500);
    for (unsigned i = 0; i < 2; i++) {
      Call([&] { loop_set_faults(worker_loop(worker_current()), nullptr); }).Run(pool.At(i));
    }
  }
}

TEST(Worker, IsAnEventfdThatFailsToReadAsked) {
  Pool pool(1);
  fault table = {OP_READ, 1, 3, FAULT_ERRNO, EIO, 0};
  faults set = {&table, 1};
  Call([&] { loop_set_faults(worker_loop(worker_current()), &set); }).Run(pool.At(0));
  for (int i = 0; i < 20; i++) {
    clock_time start = clock_now();
    Call([] {}).Run(pool.At(0));
    EXPECT_LT(clock_now() - start, NANOS_PER_SECOND / 2);
    usleep(1000);
  }
  Call([&] { loop_set_faults(worker_loop(worker_current()), nullptr); }).Run(pool.At(0));
}

struct Numbered {
  message base = {};
  struct Sink *sink = nullptr;
  int sender = 0;
  int number = 0;
};

// Where a storm's messages arrive: one worker's own, so nothing in it is atomic but the count.
struct Sink {
  std::vector<int> expected;
  int out_of_order = 0;
  std::atomic<int> received{0};
};

void Receive(message *base) {
  Numbered *numbered = reinterpret_cast<Numbered *>(base);
  Sink *sink = numbered->sink;
  sink->out_of_order += sink->expected[numbered->sender] != numbered->number;
  sink->expected[numbered->sender] = numbered->number + 1;
  sink->received++;
}

struct Storm {
  Storm(Sink *sink, int sender, int num) : messages(num) {
    for (int i = 0; i < num; i++) {
      messages[i].base.run = Receive;
      messages[i].sink = sink;
      messages[i].sender = sender;
      messages[i].number = i;
    }
  }
  void PostAll(worker *to) {
    for (Numbered &numbered : messages) {
      worker_post(to, &numbered.base);
    }
  }
  std::vector<Numbered> messages;
};

// Two workers at each other, and two threads from outside at both.
TEST(Worker, DoesAStormArriveCompleteAndInOrder) {
  const int kEach = 20000;
  Pool pool(2);
  Sink sinks[2];
  std::vector<std::unique_ptr<Storm>> storms;
  for (int target = 0; target < 2; target++) {
    sinks[target].expected.assign(3, 0);
    for (int sender = 0; sender < 3; sender++) {
      storms.push_back(std::make_unique<Storm>(&sinks[target], sender, kEach));
    }
  }
  Call from_first([&] { storms[5]->PostAll(pool.At(1)); });
  Call from_second([&] { storms[2]->PostAll(pool.At(0)); });
  from_first.Post(pool.At(0));
  from_second.Post(pool.At(1));
  std::thread one([&] {
    storms[0]->PostAll(pool.At(0));
    storms[3]->PostAll(pool.At(1));
  });
  std::thread two([&] {
    storms[4]->PostAll(pool.At(1));
    storms[1]->PostAll(pool.At(0));
  });
  clock_time deadline = clock_add(clock_now(), 20 * NANOS_PER_SECOND);
  while (sinks[0].received + sinks[1].received < 6 * kEach && clock_now() < deadline) {
    std::this_thread::yield();
  }
  one.join();
  two.join();
  EXPECT_EQ(3 * kEach, sinks[0].received);
  EXPECT_EQ(3 * kEach, sinks[1].received);
  EXPECT_EQ(0, sinks[0].out_of_order);
  EXPECT_EQ(0, sinks[1].out_of_order);
}

struct SelfPost {
  message base = {};
  std::atomic<int> left{100};
};

TEST(Worker, MayAWorkerPostToItself) {
  Pool pool(1);
  SelfPost self;
  self.base.run = [](message *base) {
    if (reinterpret_cast<SelfPost *>(base)->left.fetch_sub(1) > 1) {
      worker_post(worker_current(), base);
    }
  };
  clock_time start = clock_now();
  worker_post(pool.At(0), &self.base);
  while (self.left > 0) {
    std::this_thread::yield();
  }
  EXPECT_LT(clock_now() - start, NANOS_PER_SECOND);
}

// ---------------------------------------------------------------------------------------------
// Load

TEST(Worker, IsTheLeastLoadedFound) {
  Pool pool(3);
  EXPECT_EQ(pool.At(1), worker_pool_least_loaded(pool.get(), pool.At(1)));
  EXPECT_EQ(pool.At(0), worker_pool_least_loaded(pool.get(), nullptr));
  worker_load_add(pool.At(0), 5);
  worker_load_add(pool.At(1), 3);
  worker_load_add(pool.At(2), 4);
  EXPECT_EQ(pool.At(1), worker_pool_least_loaded(pool.get(), pool.At(0)));
  worker_load_add(pool.At(1), 1);
  EXPECT_EQ(4u, worker_load(pool.At(1)));
  EXPECT_EQ(pool.At(2), worker_pool_least_loaded(pool.get(), pool.At(2)));
  worker_load_add(pool.At(0), -5);
  EXPECT_EQ(pool.At(0), worker_pool_least_loaded(pool.get(), pool.At(2)));
}

// ---------------------------------------------------------------------------------------------
// Stopping

// A stream that is closing when the pool is asked to stop is waited for.
struct Closing {
  static void OnData(struct stream *, slice, const int *, size_t, size_t) {}
  static void OnEnd(struct stream *, int) {}
  static void OnClosed(struct stream *stream) {
    static_cast<std::atomic<int> *>(stream_owner(stream))->fetch_add(1);
  }
  static const stream_events kEvents;
};

const stream_events Closing::kEvents = {OnData, OnEnd, OnEnd, OnClosed};

TEST(Worker, IsWhatIsInFlightWaitedForAtTheEnd) {
  int before = NumOpenFds();
  std::atomic<int> closed{0};
  {
    SocketPair pairs[2];
    Pool pool(2);
    for (unsigned i = 0; i < 2; i++) {
      Call([&] {
        struct loop *loop = worker_loop(worker_current());
        struct stream *stream = nullptr;
        ASSERT_TRUE(status_ok(stream_new(loop, getuid(), pairs[i].ReleaseOurs(), STREAM_CONTINUOUS,
                                         8 << 20, &Closing::kEvents, &closed, &stream)));
        stream_receive(stream);
        std::string much(4 << 20, 'x');
        ASSERT_TRUE(
            status_ok(bytes_append(stream_output(stream), slice_of(much.data(), much.size()))));
        stream_flush(stream);
        stream_close(stream);
      }).Run(pool.At(i));
    }
  }
  EXPECT_EQ(2, closed);
  EXPECT_TRUE(NumOpenFdsBecomes(before));
}

}  // namespace
