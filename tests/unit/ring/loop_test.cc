#include "server/ring/loop.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/ring/ring_fixture.h"

namespace {

const uint64_t kMilli = NANOS_PER_MILLI;

uint64_t Since(clock_time start) {
  return clock_now() - start;
}

struct PollOp {
  ring_op op = {};
  int results = 0;
  int value = 0;
  void Start(Loop &loop, int fd, unsigned events = POLLIN) {
    op_init(&op, OP_POLL, fd, [](ring_op *op_done, const op_result *result) {
      reinterpret_cast<PollOp *>(op_done)->results++;
      reinterpret_cast<PollOp *>(op_done)->value = result->value;
    });
    op.events = events;
    op_start(loop.get(), &op);
  }
};

// ---------------------------------------------------------------------------------------------
// io_uring_enter fails

// Test number one: a naive submit-and-wait hangs for ever after one such failure.
TEST(Loop, SurvivesOneFailedEnterOfEveryKind) {
  for (int error : {EINTR, EBUSY, EAGAIN, ENOMEM}) {
    for (unsigned nth = 1; nth <= 8; nth++) {
      Loop loop;
      SocketPair pair;
      Stream stream(loop, pair.ReleaseOurs());
      stream.on_data = [&](slice) { stream.Send("pong"); };
      loop.SetFaults({{FAULT_IN_ENTER, nth, 1, FAULT_ERRNO, error, 0}});
      clock_time start = clock_now();
      stream_receive(stream.get());
      for (int i = 0; i < 5; i++) {
        WriteAll(pair.theirs, "ping");
        int before = stream.sents;
        ASSERT_TRUE(loop.Until([&] { return stream.sents > before; }));
        EXPECT_EQ("pong", ReadAll(pair.theirs, 4));
      }
      EXPECT_LT(Since(start), 500 * kMilli) << error << " at " << nth;
      EXPECT_EQ(1u, loop_get_stats(loop.get())->enter_failures);
    }
  }
}

TEST(Loop, SurvivesEntersThatFailManyTimesInARow) {
  for (int error : {EINTR, EBUSY, EAGAIN, ENOMEM, EIO}) {
    Loop loop;
    SocketPair pair;
    Stream stream(loop, pair.ReleaseOurs());
    loop.SetFaults({{FAULT_IN_ENTER, 2, 60, FAULT_ERRNO, error, 0}});
    stream_receive(stream.get());
    WriteAll(pair.theirs, "ping");
    EXPECT_TRUE(loop.Until([&] { return stream.received == "ping"; }));
  }
}

TEST(Loop, DoesItPauseWhereNothingButFailureComes) {
  Loop loop;
  loop.SetFaults({{FAULT_IN_ENTER, 1, 100, FAULT_ERRNO, ENOMEM, 0}});
  clock_time start = clock_now();
  loop.Turns(60);
  EXPECT_GT(Since(start), 60 * kMilli);
}

// ---------------------------------------------------------------------------------------------
// Submitting

TEST(Loop, IsNothingLostWhenTheSubmissionQueueIsFull) {
  Loop loop(16, 4096, 4);
  SocketPair pair;
  WriteAll(pair.theirs, "x");
  std::vector<PollOp> polls(500);
  for (PollOp &poll : polls) {
    poll.Start(loop, pair.ours);
  }
  EXPECT_EQ(500u, loop_in_flight(loop.get()));
  ASSERT_TRUE(loop.UntilIdle());
  for (PollOp &poll : polls) {
    EXPECT_EQ(1, poll.results);
  }
}

TEST(Loop, AreCompletionsNeverRunFromInsideAStart) {
  Loop loop;
  SocketPair pair;
  WriteAll(pair.theirs, "x");
  PollOp poll;
  poll.Start(loop, pair.ours);
  EXPECT_EQ(0, poll.results);
  loop_enter(loop.get(), false);
  EXPECT_EQ(0, poll.results);
  loop_run(loop.get());
  EXPECT_EQ(1, poll.results);
}

// The daemon's budget: a busy turn costs one system call, however many do something in it.
TEST(Loop, DoesABusyTurnCostOneEnter) {
  Loop loop(256);
  std::vector<std::unique_ptr<SocketPair>> pairs;
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < 32; i++) {
    pairs.push_back(std::make_unique<SocketPair>());
    streams.push_back(std::make_unique<Stream>(loop, pairs[i]->ReleaseOurs()));
    Stream *stream = streams[i].get();
    stream->on_data = [stream](slice) { stream->Send("pong"); };
    stream_receive(stream->get());
  }
  loop.Turns(2);
  struct loop_stats before = *loop_get_stats(loop.get());
  for (int round = 1; round <= 10; round++) {
    for (auto &pair : pairs) {
      WriteAll(pair->theirs, "ping");
    }
    auto all_sent = [&] {
      return std::all_of(
          streams.begin(), streams.end(),
          [&](const std::unique_ptr<Stream> &stream) { return stream->sents == round; });
    };
    ASSERT_TRUE(loop.Until(all_sent));
  }
  struct loop_stats after = *loop_get_stats(loop.get());
  EXPECT_EQ(after.turns - before.turns, after.enters - before.enters);
  // One receive and one send for each: no receive was armed again.
  EXPECT_EQ(32u * 10 * 2, after.completions - before.completions);
  // The kernel hands out about twenty at a time.
  EXPECT_LE(after.turns - before.turns, 10u * 6);
}

TEST(Loop, HasEveryWaitAnEnd) {
  Loop loop;
  clock_time start = clock_now();
  loop_turn(loop.get(), true);
  EXPECT_GT(Since(start), 500 * kMilli);
  EXPECT_LT(Since(start), 3000 * kMilli);
}

// ---------------------------------------------------------------------------------------------
// Timers

TEST(Loop, DoesATimerEndTheWait) {
  Loop loop;
  static bool fired;
  fired = false;
  timer soon;
  timer_init(&soon, [](timer *) { fired = true; });
  clock_time start = clock_now();
  ASSERT_TRUE(status_ok(timer_set(loop.get(), &soon, clock_add(start, 20 * kMilli))));
  EXPECT_TRUE(loop.Until([] { return fired; }));
  EXPECT_GE(Since(start), 20 * kMilli);
  EXPECT_LT(Since(start), 500 * kMilli);
}

TEST(Loop, DoesACancelledTimerStaySilent) {
  Loop loop;
  timer never;
  timer_init(&never, [](timer *) { ADD_FAILURE(); });
  timer_cancel(loop.get(), &never);
  ASSERT_TRUE(status_ok(timer_set(loop.get(), &never, clock_now())));
  timer_cancel(loop.get(), &never);
  loop.Turns(3);
}

// ---------------------------------------------------------------------------------------------
// Tasks

struct NotedTask {
  task base = {};
  std::string *log = nullptr;
  char name = '?';
  std::function<void()> then;
};

class Tasks : public ::testing::Test {
 protected:
  void Init(NotedTask *noted, char name) {
    noted->log = &log_;
    noted->name = name;
    task_init(&noted->base, [](task *base) {
      NotedTask *self = reinterpret_cast<NotedTask *>(base);
      *self->log += self->name;
      if (self->then) {
        self->then();
      }
    });
  }
  Loop loop_;  // two handshakes a turn
  std::string log_;
};

TEST_F(Tasks, DoesDataComeBeforeHandshakes) {
  NotedTask a, b, c, d, e;
  char name = 'a';
  for (NotedTask *noted : {&a, &b, &c}) {
    Init(noted, name++);
    task_schedule(loop_.get(), &noted->base, TASK_HANDSHAKE);
  }
  for (NotedTask *noted : {&d, &e}) {
    Init(noted, name++);
    task_schedule(loop_.get(), &noted->base, TASK_DATA);
  }
  loop_run(loop_.get());
  EXPECT_EQ("deab", log_);
  EXPECT_TRUE(loop_ready(loop_.get()));
  clock_time start = clock_now();
  loop_turn(loop_.get(), true);
  EXPECT_EQ("deabc", log_);
  EXPECT_LT(Since(start), 500 * kMilli);
}

TEST_F(Tasks, RunsATaskScheduledTwiceOnce) {
  NotedTask a;
  Init(&a, 'a');
  task_schedule(loop_.get(), &a.base, TASK_DATA);
  task_schedule(loop_.get(), &a.base, TASK_DATA);
  task_schedule(loop_.get(), &a.base, TASK_HANDSHAKE);
  loop_.Turns(3);
  EXPECT_EQ("a", log_);
}

TEST_F(Tasks, MayATaskCancelOneThatIsReady) {
  NotedTask a, b;
  Init(&a, 'a');
  Init(&b, 'b');
  a.then = [&] { task_cancel(&b.base); };
  task_schedule(loop_.get(), &a.base, TASK_DATA);
  task_schedule(loop_.get(), &b.base, TASK_DATA);
  loop_.Turns(3);
  EXPECT_EQ("a", log_);
}

// A task that schedules itself for ever must leave room for everything else.
TEST_F(Tasks, DoesAnEndlessTaskLetOthersRun) {
  NotedTask a;
  Init(&a, 'a');
  a.then = [&] { task_schedule(loop_.get(), &a.base, TASK_DATA); };
  task_schedule(loop_.get(), &a.base, TASK_DATA);
  SocketPair pair;
  PollOp poll;
  poll.Start(loop_, pair.ours);
  WriteAll(pair.theirs, "x");
  EXPECT_TRUE(loop_.Until([&] { return poll.results == 1; }));
  a.then = nullptr;
  EXPECT_TRUE(loop_.UntilIdle());
}

}  // namespace
