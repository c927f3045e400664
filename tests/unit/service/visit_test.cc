// What doesn't queue.
#include "server/service/visit.h"

#include "tests/unit/service/harness.h"

namespace {

class Visit : public Sessions {
 protected:
  Visit() : Sessions(1) {}
};

TEST_F(Visit, IsItNotHeldUpByAReadThatWaits) {
  uint64_t session = OpenOnFd();
  uint32_t waiting = StartRead(*client_, session);
  EXPECT_TRUE(client_->Pending(waiting));
  EXPECT_EQ(STATUS_OK, Describe(session).code);
  peer_write(peer_.get(), "x", 1);
  EXPECT_EQ("x", Text(client_->Finish<V1(ReadRequest)>(waiting)->data));
}

TEST_F(Visit, IsASessionOfNobodysNotFound) {
  uint64_t session = OpenOnFd();
  EXPECT_EQ(STATUS_NOT_FOUND, Describe(session + 1).code);
  EXPECT_EQ(STATUS_NOT_FOUND, Describe(0).code);
}

TEST_F(Visit, DoesItGiveItsReferenceBack) {
  uint64_t session = OpenInMemory();
  EXPECT_EQ(STATUS_OK, Describe(session).code);
  EXPECT_EQ(STATUS_OK, Close(session));
  EXPECT_TRUE(Eventually([] { return LivingSessions() == 0; }));
}

}  // namespace
