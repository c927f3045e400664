#include "server/ring/op.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "tests/unit/ring/ring_fixture.h"

namespace {

// A poll that waits for ever, and somebody who wants to stop it.
struct Stopped {
  ring_op op = {};
  op_stopper stopper = {};
  int results = 0;
  int value = 0;
  int rests = 0;

  void Init(Loop &loop, int fd) {
    op_init(&op, OP_POLL, fd, [](ring_op *done, const op_result *result) {
      Stopped *self = reinterpret_cast<Stopped *>(done);
      self->results++;
      self->value = result->value;
      op_stopper_rest(&self->stopper);
    });
    op.events = POLLIN;
    op_stopper_init(
        &stopper, loop.get(), &op, [](void *owner) { static_cast<Stopped *>(owner)->rests++; },
        this);
  }
  bool Idle() const {
    return !op_busy(&op) && !op_stopper_busy(&stopper);
  }
};

TEST(OpStopper, DoesItStopWhatTheKernelHas) {
  Loop loop;
  SocketPair pair;
  Stopped stopped;
  stopped.Init(loop, pair.ours);
  op_start(loop.get(), &stopped.op);
  loop.Turns(2);
  EXPECT_TRUE(op_busy(&stopped.op));
  op_stopper_stop(&stopped.stopper);
  EXPECT_TRUE(loop.Until([&] { return stopped.Idle(); }));
  EXPECT_EQ(1, stopped.results);
  EXPECT_EQ(-ECANCELED, stopped.value);
  EXPECT_EQ(1, stopped.rests);
}

TEST(OpStopper, DoesItStopWhatWasNotSubmittedYet) {
  Loop loop;
  SocketPair pair;
  Stopped stopped;
  stopped.Init(loop, pair.ours);
  op_start(loop.get(), &stopped.op);
  op_stopper_stop(&stopped.stopper);
  EXPECT_TRUE(loop.Until([&] { return stopped.Idle(); }));
  EXPECT_EQ(-ECANCELED, stopped.value);
}

TEST(OpStopper, DoesItStopWhatWaitsForAPlace) {
  Loop loop(16, 4096, 2);
  SocketPair pair;
  Stopped stopped[10];
  for (Stopped &one : stopped) {
    one.Init(loop, pair.ours);
    op_start(loop.get(), &one.op);
  }
  EXPECT_EQ(OP_WAITING, stopped[9].op.state);
  for (Stopped &one : stopped) {
    op_stopper_stop(&one.stopper);
  }
  for (Stopped &one : stopped) {
    EXPECT_TRUE(loop.Until([&] { return one.Idle(); }));
    EXPECT_EQ(1, one.results);
    EXPECT_EQ(-ECANCELED, one.value);
  }
}

TEST(OpStopper, IsStoppingAnIdleOperationHarmless) {
  Loop loop;
  SocketPair pair;
  Stopped stopped;
  stopped.Init(loop, pair.ours);
  op_stopper_stop(&stopped.stopper);
  op_stopper_rest(&stopped.stopper);
  EXPECT_TRUE(stopped.Idle());
}

// Whatever the kernel answers to the cancellation: it is asked until the target has ended.
TEST(OpStopper, DoesItAskUntilTheTargetHasEnded) {
  for (int error : {ENOENT, EALREADY, ENOMEM, EINVAL, EINTR}) {
    Loop loop;
    SocketPair pair;
    Stopped stopped;
    stopped.Init(loop, pair.ours);
    op_start(loop.get(), &stopped.op);
    loop.Turns(2);
    loop.SetFaults({{OP_CANCEL, 1, 3, FAULT_ERRNO, error, 0}});
    op_stopper_stop(&stopped.stopper);
    EXPECT_TRUE(loop.Until([&] { return stopped.Idle(); })) << error;
    EXPECT_EQ(-ECANCELED, stopped.value);
  }
}

TEST(OpStopper, IsTheTargetsOwnResultWaitedFor) {
  Loop loop;
  SocketPair pair;
  Stopped stopped;
  stopped.Init(loop, pair.ours);
  op_start(loop.get(), &stopped.op);
  loop.Turns(2);
  loop.SetFaults({{OP_POLL, 1, 1, FAULT_LATE, 20, 0}});
  op_stopper_stop(&stopped.stopper);
  loop.Turns(10);
  EXPECT_TRUE(op_busy(&stopped.op));
  EXPECT_GE(stopped.rests, 1);
  EXPECT_TRUE(loop.Until([&] { return stopped.Idle(); }));
  EXPECT_EQ(1, stopped.results);
}

TEST(OpStopper, IsTheCancellationsResultWaitedFor) {
  Loop loop;
  SocketPair pair;
  Stopped stopped;
  stopped.Init(loop, pair.ours);
  op_start(loop.get(), &stopped.op);
  loop.Turns(2);
  loop.SetFaults({{OP_CANCEL, 1, 1, FAULT_LATE, 20, 0}});
  op_stopper_stop(&stopped.stopper);
  loop.Turns(10);
  EXPECT_FALSE(op_busy(&stopped.op));
  EXPECT_TRUE(op_stopper_busy(&stopped.stopper));
  EXPECT_TRUE(loop.Until([&] { return stopped.Idle(); }));
}

// Stopped, wanted again, stopped again, while the first cancellation is still under way.
TEST(OpStopper, IsASecondStopNotLostInTheFirst) {
  Loop loop;
  SocketPair pair;
  Stopped stopped;
  stopped.Init(loop, pair.ours);
  op_start(loop.get(), &stopped.op);
  loop.Turns(2);
  loop.SetFaults({{OP_CANCEL, 1, 1, FAULT_LATE, 10, 0}});
  op_stopper_stop(&stopped.stopper);
  loop.Turns(3);
  ASSERT_FALSE(op_busy(&stopped.op));
  op_start(loop.get(), &stopped.op);
  op_stopper_stop(&stopped.stopper);
  EXPECT_TRUE(loop.Until([&] { return stopped.Idle(); }));
  EXPECT_EQ(2, stopped.results);
}

struct AnyOp {
  ring_op op = {};
  int value = 1;
};

// Every kind, with an error that never gets to the kernel.
TEST(Op, DoesAnInjectedErrorOfEveryKindReachItsOwner) {
  for (int kind = 0; kind < OP_KIND_COUNT; kind++) {
    Loop loop;
    loop.SetFaults({{kind, 1, 1, FAULT_ERRNO, EIO, 0}});
    AnyOp any;
    op_init(&any.op, static_cast<op_kind>(kind), -1, [](ring_op *op, const op_result *result) {
      reinterpret_cast<AnyOp *>(op)->value = result->value;
    });
    op_start(loop.get(), &any.op);
    loop.Turns(1);
    EXPECT_EQ(-EIO, any.value) << op_name(static_cast<op_kind>(kind));
    EXPECT_EQ(0u, loop_in_flight(loop.get()));
  }
}

TEST(Op, DoesTheKernelsErrorReachItsOwner) {
  Loop loop;
  for (op_kind kind : {OP_RECV, OP_RECV_MULTISHOT, OP_SEND, OP_ACCEPT, OP_POLL, OP_READ}) {
    AnyOp any;
    char byte = 0;
    op_init(&any.op, kind, 1000000, [](ring_op *op, const op_result *result) {
      reinterpret_cast<AnyOp *>(op)->value = result->value;
    });
    any.op.bytes.data = &byte;
    any.op.bytes.len = 1;
    op_start(loop.get(), &any.op);
    EXPECT_TRUE(loop.UntilIdle());
    EXPECT_EQ(-EBADF, any.value) << op_name(kind);
  }
}

}  // namespace
