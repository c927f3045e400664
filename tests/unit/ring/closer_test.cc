#include "server/ring/closer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/bomb.h"
#include "tests/support/eventually.h"
#include "tests/unit/ring/ring_fixture.h"

namespace {

const uid_t kOwner = 70001;
const uid_t kOther = 70002;

bool IsEverythingClosed(uid_t owner) {
  return Eventually([=] { return closer_pending(owner) == 0; });
}

bool HasEnded(int fd) {
  pollfd poll_fd = {fd, POLLIN, 0};
  char byte = 0;
  return poll(&poll_fd, 1, 0) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

void Fill(int fd) {
  std::string much(1 << 16, 'x');
  fcntl(fd, F_SETFL, O_NONBLOCK);
  while (send(fd, much.data(), much.size(), MSG_NOSIGNAL) > 0) {
  }
}

TEST(Closer, IsTheDescriptorClosed) {
  SocketPair pair;
  closer_close(kOwner, pair.ReleaseOurs());
  EXPECT_TRUE(IsEverythingClosed(kOwner));
  EXPECT_TRUE(HasEnded(pair.theirs));
  EXPECT_EQ(0u, closer_pending(kOther));
}

TEST(Closer, IsNobodysDescriptorClosedAtOnce) {
  SocketPair pair;
  closer_close(CLOSER_NOBODY, pair.ReleaseOurs());
  EXPECT_TRUE(HasEnded(pair.theirs));
}

TEST(Closer, AreManyOfManyClosed) {
  std::vector<std::unique_ptr<SocketPair>> pairs;
  for (int i = 0; i < 300; i++) {
    pairs.push_back(std::make_unique<SocketPair>());
    closer_close(kOwner + static_cast<uid_t>(i % 100), pairs.back()->ReleaseOurs());
  }
  for (uid_t i = 0; i < 100; i++) {
    EXPECT_TRUE(IsEverythingClosed(kOwner + i));
  }
  for (const auto &pair : pairs) {
    EXPECT_TRUE(HasEnded(pair->theirs));
  }
}

TEST(Closer, DoesALingeringSocketNotLinger) {
  SocketPair pair(true);
  Fill(pair.ours);
  linger patience = {1, 3600};
  ASSERT_EQ(0, setsockopt(pair.ours, SOL_SOCKET, SO_LINGER, &patience, sizeof(patience)));
  closer_close(kOwner, pair.ReleaseOurs());
  EXPECT_TRUE(IsEverythingClosed(kOwner));
}

TEST(Closer, DoesAHungCloseHangItsOwnersOnly) {
  Bomb bomb;
  SocketPair behind;
  SocketPair elsewhere;
  closer_close(kOwner, bomb.Release());
  closer_close(kOwner, behind.ReleaseOurs());
  closer_close(kOther, elsewhere.ReleaseOurs());
  EXPECT_TRUE(IsEverythingClosed(kOther));
  EXPECT_TRUE(HasEnded(elsewhere.theirs));
  EXPECT_EQ(2u, closer_pending(kOwner));
  EXPECT_FALSE(HasEnded(behind.theirs));
  bomb.Defuse();
  EXPECT_TRUE(IsEverythingClosed(kOwner));
  EXPECT_TRUE(HasEnded(behind.theirs));
}

TEST(Closer, IsAnOwnerWithAHungCloseAndManyMoreBehind) {
  Bomb bomb;
  closer_close(kOwner, bomb.Release());
  for (int i = 0; i < CLOSER_HANGING_MAX; i++) {
    EXPECT_FALSE(closer_behind(kOwner));
    closer_close(kOwner, dup(STDERR_FILENO));
  }
  EXPECT_TRUE(Eventually([] { return closer_behind(kOwner); }));
  EXPECT_FALSE(closer_behind(kOther));
  bomb.Defuse();
  EXPECT_TRUE(IsEverythingClosed(kOwner));
  EXPECT_FALSE(closer_behind(kOwner));
}

}  // namespace
