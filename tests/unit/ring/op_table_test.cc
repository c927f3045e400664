#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string>

#include "server/ring/op.h"

TEST(OpTable, HasEveryKindANameOfItsOwn) {
  std::set<std::string> names;
  for (int kind = 0; kind < OP_KIND_COUNT; kind++) {
    names.insert(op_name(static_cast<op_kind>(kind)));
  }
  EXPECT_EQ(static_cast<size_t>(OP_KIND_COUNT), names.size());
  EXPECT_STREQ("unknown", op_name(OP_KIND_COUNT));
}

TEST(OpTable, IsSuccessSuccess) {
  for (int kind = 0; kind < OP_KIND_COUNT; kind++) {
    EXPECT_EQ(OP_SUCCEEDED, op_outcome(static_cast<op_kind>(kind), 0));
    EXPECT_EQ(OP_SUCCEEDED, op_outcome(static_cast<op_kind>(kind), 1 << 30));
  }
}

TEST(OpTable, DoesEveryKindKnowTheCommonErrors) {
  for (int i = 0; i < OP_KIND_COUNT; i++) {
    op_kind kind = static_cast<op_kind>(i);
    EXPECT_EQ(OP_AGAIN, op_outcome(kind, -EINTR));
    EXPECT_EQ(OP_CANCELLED, op_outcome(kind, -ECANCELED));
    EXPECT_EQ(OP_LATER, op_outcome(kind, -ENOMEM));
    EXPECT_EQ(OP_FAILED, op_outcome(kind, -EBADF));
    EXPECT_EQ(OP_FAILED, op_outcome(kind, -EHWPOISON));
    EXPECT_EQ(OP_FAILED, op_outcome(kind, -4095));
  }
}

TEST(OpTable, IsALackOfBuffersNoError) {
  EXPECT_EQ(OP_NO_BUFFER, op_outcome(OP_RECV, -ENOBUFS));
  EXPECT_EQ(OP_NO_BUFFER, op_outcome(OP_RECV_MULTISHOT, -ENOBUFS));
  EXPECT_EQ(OP_NO_BUFFER, op_outcome(OP_RECVMSG_MULTISHOT, -ENOBUFS));
  EXPECT_EQ(OP_LATER, op_outcome(OP_SEND, -ENOBUFS));
}

TEST(OpTable, IsAConnectionThatFailedEarlyNotTheListenersFault) {
  EXPECT_EQ(OP_AGAIN, op_outcome(OP_ACCEPT, -ECONNABORTED));
  EXPECT_EQ(OP_LATER, op_outcome(OP_ACCEPT, -EMFILE));
  EXPECT_EQ(OP_FAILED, op_outcome(OP_ACCEPT, -ENOTSOCK));
  EXPECT_EQ(OP_FAILED, op_outcome(OP_RECV, -ECONNRESET));
  EXPECT_EQ(OP_FAILED, op_outcome(OP_SEND, -EPIPE));
}
