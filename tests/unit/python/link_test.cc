// Does a socket behave as its timeout says, and keep what wasn't taken?

#include "client/python/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

namespace {

enum Family { UNIX, TCP };

uint64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

void ConnectTcp(int ends[2]) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t len = sizeof(address);
  ASSERT_EQ(0, bind(listener, reinterpret_cast<sockaddr *>(&address), len));
  ASSERT_EQ(0, listen(listener, 1));
  ASSERT_EQ(0, getsockname(listener, reinterpret_cast<sockaddr *>(&address), &len));
  ends[0] = socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(0, connect(ends[0], reinterpret_cast<sockaddr *>(&address), len));
  ends[1] = accept(listener, nullptr, nullptr);
  close(listener);
}

class Link : public testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    int ends[2] = {-1, -1};
    if (GetParam() == TCP) {
      ConnectTcp(ends);
    } else {
      ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    }
    link_.fd = ends[0];
    link_.watched = -1;
    peer_ = ends[1];
  }
  ~Link() override {
    buffer_free(&buffer_);
    close(link_.fd);
    HangUp();
  }

  // As Python's settimeout() does it: a descriptor without a timeout blocks, others don't.
  void Block() {
    link_.blocks = true;
  }
  void NeverWait() {
    link_.never_waits = true;
    Unblock();
  }
  void WaitFor(uint64_t milliseconds) {
    link_.deadline_ns = Now() + milliseconds * 1000000;
    Unblock();
  }
  void Unblock() {
    fcntl(link_.fd, F_SETFL, fcntl(link_.fd, F_GETFL) | O_NONBLOCK);
  }

  void Send(const std::string &data) {
    ASSERT_EQ(static_cast<ssize_t>(data.size()), send(peer_, data.data(), data.size(), 0));
  }
  std::thread SendLater(const std::string &data) {
    return std::thread([this, data] {
      usleep(20000);
      Send(data);
    });
  }
  void HangUp() {
    close(peer_);
    peer_ = -1;
  }
  std::string Peek(size_t size, link_result expected = LINK_OK) {
    std::string out(size, '\0');
    size_t len = 0;
    EXPECT_EQ(expected, link_peek(&link_, &out[0], size, &len));
    return out.substr(0, len);
  }
  std::string Received() const {
    const size_t len = buffer_len(&buffer_);
    return len == 0 ? "" : std::string(reinterpret_cast<const char *>(buffer_front(&buffer_)), len);
  }
  void Fill() {
    const std::string data(65536, 'x');
    while (send(link_.fd, data.data(), data.size(), MSG_DONTWAIT) > 0) {
    }
  }

  struct link link_ = {};
  struct buffer buffer_ = {};
  int peer_ = -1;
};
INSTANTIATE_TEST_SUITE_P(Over, Link, testing::Values(UNIX, TCP),
                         [](const auto &row) { return row.param == UNIX ? "Unix" : "Tcp"; });

// --- Receiving ---

TEST_P(Link, IsWhatIsThereReceivedAtOnce) {
  Send("abc");
  NeverWait();
  EXPECT_EQ(LINK_OK, link_receive(&link_, &buffer_, 2));
  EXPECT_EQ("ab", Received());
  EXPECT_EQ(LINK_OK, link_receive(&link_, &buffer_, 100));
  EXPECT_EQ("abc", Received());
}

TEST_P(Link, DoesNothingComeOfASocketThatNeverWaits) {
  NeverWait();
  EXPECT_EQ(LINK_WOULD_BLOCK, link_receive(&link_, &buffer_, 10));
  EXPECT_EQ(LINK_WOULD_BLOCK, link_wait(&link_, false));
  EXPECT_EQ(LINK_WOULD_BLOCK, link_wait(&link_, true)) << "though it could be written";
  EXPECT_EQ("", Peek(10, LINK_WOULD_BLOCK));
  EXPECT_EQ(0u, buffer_len(&buffer_));
}

TEST_P(Link, DoesABlockingSocketWait) {
  Block();
  std::thread sender = SendLater("abc");
  EXPECT_EQ(LINK_OK, link_receive(&link_, &buffer_, 10));
  sender.join();
  EXPECT_EQ("abc", Received());
}

TEST_P(Link, DoesABlockingSocketWaitThoughSomebodyMadeItsDescriptionNonblocking) {
  Block();
  Unblock();
  std::thread sender = SendLater("abc");
  EXPECT_EQ("abc", Peek(10));
  sender.join();
  EXPECT_EQ(LINK_OK, link_receive(&link_, &buffer_, 10));
  sender = SendLater("def");
  EXPECT_EQ(LINK_OK, link_receive(&link_, &buffer_, 10));
  sender.join();
  EXPECT_EQ("abcdef", Received());
}

TEST_P(Link, DoesOneWithATimeoutWaitAsLong) {
  WaitFor(5000);
  std::thread sender = SendLater("abc");
  EXPECT_EQ(LINK_OK, link_receive(&link_, &buffer_, 10));
  sender.join();
}

TEST_P(Link, IsADeadlineKept) {
  WaitFor(30);
  EXPECT_EQ(LINK_TIMED_OUT, link_receive(&link_, &buffer_, 10));
  EXPECT_GE(Now(), link_.deadline_ns) << "and not before it";
  EXPECT_EQ("", Peek(10, LINK_TIMED_OUT)) << "one that has passed is over at once";
  EXPECT_EQ(LINK_TIMED_OUT, link_wait(&link_, false));
}

TEST_P(Link, IsWhatIsThereGivenAfterTheDeadline) {
  WaitFor(0);
  Send("abc");
  EXPECT_EQ(LINK_OK, link_receive(&link_, &buffer_, 10));
  EXPECT_EQ("abc", Received());
}

TEST_P(Link, DoesReceivingNowNeverWait) {
  Block();
  EXPECT_EQ(LINK_WOULD_BLOCK, link_receive_now(&link_, &buffer_, 10));
  Send("abc");
  EXPECT_EQ(LINK_OK, link_wait(&link_, false));
  EXPECT_EQ(LINK_OK, link_receive_now(&link_, &buffer_, 10));
  EXPECT_EQ("abc", Received());
}

TEST_P(Link, IsTheEndToldAfterTheLastBytes) {
  Send("abc");
  HangUp();
  Block();
  EXPECT_EQ(LINK_OK, link_receive(&link_, &buffer_, 10));
  EXPECT_EQ("", Peek(10, LINK_END));
  EXPECT_EQ(LINK_END, link_receive(&link_, &buffer_, 10));
  EXPECT_EQ(LINK_END, link_receive(&link_, &buffer_, 10));
  EXPECT_EQ("abc", Received());
}

TEST_P(Link, DoesAWaitEndWithThePeer) {
  Block();
  std::thread closer([this] {
    usleep(20000);
    shutdown(peer_, SHUT_WR);
  });
  EXPECT_EQ(LINK_END, link_receive(&link_, &buffer_, 10));
  closer.join();
}

TEST_P(Link, IsTheEndOfWhatIsWatchedTold) {
  int watched[2];
  ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, watched));
  link_.watched = watched[0];
  Block();
  std::thread closer([watched] {
    usleep(20000);
    close(watched[1]);
  });
  EXPECT_EQ(LINK_ALARMED, link_receive(&link_, &buffer_, 10));
  closer.join();
  Send("x");
  EXPECT_EQ(LINK_OK, link_receive(&link_, &buffer_, 10)) << "the peer comes first";
  close(watched[0]);
}

TEST_P(Link, IsRoomThatNoMemoryHasAFailure) {
  ASSERT_TRUE(buffer_append(&buffer_, "x", 1));
  EXPECT_EQ(LINK_FAILED, link_receive(&link_, &buffer_, SIZE_MAX));
  EXPECT_EQ(ENOMEM, link_.os_errno);
}

TEST_P(Link, IsTheKernelsReasonKept) {
  struct link closed = {};
  closed.fd = -1;
  closed.blocks = true;
  size_t len = 1;
  char byte;
  EXPECT_EQ(LINK_FAILED, link_peek(&closed, &byte, 1, &len));
  EXPECT_EQ(EBADF, closed.os_errno);
  EXPECT_EQ(0u, len);
  ASSERT_TRUE(buffer_append(&buffer_, "x", 1));
  EXPECT_EQ(LINK_FAILED, link_send(&closed, &buffer_));
}

// --- Looking, and taking away ---

TEST_P(Link, IsWhatWasLookedAtStillThere) {
  Send("abcdef");
  Block();
  EXPECT_EQ("abc", Peek(3));
  EXPECT_EQ("abcdef", Peek(10));
  link_skip(&link_, 2);
  EXPECT_EQ("cdef", Peek(10));
  link_skip(&link_, 4);
  NeverWait();
  EXPECT_EQ("", Peek(10, LINK_WOULD_BLOCK));
}

TEST_P(Link, IsNothingTakenBeyondWhatWasUsed) {
  const std::string used(20000, 'u');
  Send(used + "clear text");
  Block();
  std::string seen;
  while (seen.size() < used.size()) {
    seen = Peek(40000);
  }
  link_skip(&link_, used.size());
  EXPECT_EQ("clear text", Peek(100));
}

TEST_P(Link, DoesSkippingNeverWait) {
  Send("abc");
  Block();
  EXPECT_EQ("abc", Peek(10));
  link_skip(&link_, 100);
  link_skip(&link_, 100);
  HangUp();
  link_skip(&link_, 100);
  EXPECT_EQ("", Peek(10, LINK_END));
}

// --- Sending ---

TEST_P(Link, IsAllOfItSentAndNoneKept) {
  Block();
  ASSERT_TRUE(buffer_append(&buffer_, "abc", 3));
  EXPECT_EQ(LINK_OK, link_send(&link_, &buffer_));
  EXPECT_EQ(0u, buffer_len(&buffer_));
  EXPECT_EQ(LINK_OK, link_send(&link_, &buffer_)) << "nothing is sent at once";
  char got[4] = {};
  EXPECT_EQ(3, recv(peer_, got, 3, MSG_WAITALL));
  EXPECT_STREQ("abc", got);
}

TEST_P(Link, IsWhatCouldNotBeSentKept) {
  NeverWait();
  const std::string data(8 << 20, 'x');
  ASSERT_TRUE(buffer_append(&buffer_, data.data(), data.size()));
  EXPECT_EQ(LINK_WOULD_BLOCK, link_send(&link_, &buffer_));
  EXPECT_GT(buffer_len(&buffer_), 0u);
  EXPECT_LT(buffer_len(&buffer_), data.size());
}

TEST_P(Link, DoesSendingWaitForThePeerToRead) {
  Block();
  const std::string data(8 << 20, 'x');
  ASSERT_TRUE(buffer_append(&buffer_, data.data(), data.size()));
  size_t got = 0;
  std::thread reader([&] {
    char room[65536];
    usleep(20000);
    while (got < data.size()) {
      got += static_cast<size_t>(recv(peer_, room, sizeof(room), 0));
    }
  });
  EXPECT_EQ(LINK_OK, link_send(&link_, &buffer_));
  reader.join();
  EXPECT_EQ(data.size(), got);
}

TEST_P(Link, IsADeadlineKeptInSending) {
  Fill();
  WaitFor(30);
  ASSERT_TRUE(buffer_append(&buffer_, "abc", 3));
  EXPECT_EQ(LINK_TIMED_OUT, link_send(&link_, &buffer_));
  EXPECT_EQ(3u, buffer_len(&buffer_));
}

TEST_P(Link, DoesSendingToNobodyFailWithoutASignal) {
  Block();
  HangUp();
  link_result result = LINK_OK;
  for (int i = 0; i < 100 && result == LINK_OK; i++) {
    ASSERT_TRUE(buffer_append(&buffer_, "abc", 3));
    result = link_send(&link_, &buffer_);
  }
  EXPECT_EQ(LINK_FAILED, result);
  EXPECT_TRUE(link_.os_errno == EPIPE || link_.os_errno == ECONNRESET) << link_.os_errno;
}

// --- Signals ---

// Sends this thread signals, whose handler does nothing, as long as it lives.
class Signals {
 public:
  Signals() {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    sigaction(SIGUSR1, &action, &before_);
    const pthread_t target = pthread_self();
    sender_ = std::thread([this, target] {
      while (!done_) {
        usleep(5000);
        pthread_kill(target, SIGUSR1);
      }
    });
  }
  ~Signals() {
    done_ = true;
    sender_.join();
    sigaction(SIGUSR1, &before_, nullptr);
  }

 private:
  struct sigaction before_ = {};
  std::atomic<bool> done_{false};
  std::thread sender_;
};

TEST_P(Link, DoesASignalInterruptEachWait) {
  Signals signals;
  Block();
  size_t len;
  char byte;
  EXPECT_EQ(LINK_INTERRUPTED, link_receive(&link_, &buffer_, 10));
  EXPECT_EQ(LINK_INTERRUPTED, link_peek(&link_, &byte, 1, &len));
  EXPECT_EQ(LINK_INTERRUPTED, link_wait(&link_, false));
  Fill();
  ASSERT_TRUE(buffer_append(&buffer_, "abc", 3));
  EXPECT_EQ(LINK_INTERRUPTED, link_send(&link_, &buffer_));
  EXPECT_EQ(3u, buffer_len(&buffer_));
}

TEST_P(Link, DoesASignalInterruptAWaitWithADeadline) {
  Signals signals;
  WaitFor(10000);
  EXPECT_EQ(LINK_INTERRUPTED, link_receive(&link_, &buffer_, 10));
  EXPECT_LT(Now(), link_.deadline_ns);
}

}  // namespace
