#include "server/ring/faults.h"

#include <cerrno>
#include <climits>

#include "tests/unit/ring/ring_fixture.h"

TEST(Faults, DoTheyStrikeWhenTheyAreTold) {
  fault table[] = {{OP_SEND, 2, 3, FAULT_ERRNO, EPIPE, 0}};
  faults set = {table, 1};
  std::string struck;
  for (int i = 0; i < 7; i++) {
    struck += faults_match(&set, OP_SEND, FAULT_ERRNO) != nullptr ? '!' : '.';
  }
  EXPECT_EQ(".!!!...", struck);
}

TEST(Faults, DoTheyStrikeNothingElse) {
  fault table[] = {{OP_SEND, 1, UINT_MAX, FAULT_ERRNO, EPIPE, 0}};
  faults set = {table, 1};
  EXPECT_EQ(nullptr, faults_match(&set, OP_RECV, FAULT_ERRNO));
  EXPECT_EQ(nullptr, faults_match(&set, OP_SEND, FAULT_SHORT));
  EXPECT_EQ(nullptr, faults_match(nullptr, OP_SEND, FAULT_ERRNO));
  EXPECT_EQ(EPIPE, faults_match(&set, OP_SEND, FAULT_ERRNO)->value);
}

struct Poll {
  ring_op op = {};
  int turns = -1;
  int value = 0;
};

static void NoteResult(ring_op *op, const op_result *result) {
  reinterpret_cast<Poll *>(op)->value = result->value;
}

TEST(Faults, IsALateResultSeenThatManyTurnsLater) {
  Loop loop;
  SocketPair pair;
  WriteAll(pair.theirs, "x");
  loop.SetFaults({{OP_POLL, 1, 1, FAULT_LATE, 5, 0}});
  Poll poll;
  op_init(&poll.op, OP_POLL, pair.ours, NoteResult);
  poll.op.events = 1;
  op_start(loop.get(), &poll.op);
  int turns = 0;
  while (op_busy(&poll.op)) {
    loop.Turns(1);
    turns++;
  }
  EXPECT_EQ(6, turns);
  EXPECT_EQ(1, poll.value);
}

TEST(Faults, IsAnErrorAnAnswerWithoutTheKernel) {
  Loop loop;
  SocketPair pair;
  loop.SetFaults({{OP_POLL, 1, 1, FAULT_ERRNO, EIO, 0}});
  Poll poll;
  op_init(&poll.op, OP_POLL, pair.ours, NoteResult);
  op_start(loop.get(), &poll.op);
  EXPECT_EQ(OP_ANSWERED, poll.op.state);
  loop.Turns(1);
  EXPECT_EQ(-EIO, poll.value);
  EXPECT_FALSE(op_busy(&poll.op));
}
