#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/ring/ring_fixture.h"

namespace {

// What arrives of a message: bytes, and for each descriptor the offset of the chunk it came with.
struct Arrived {
  std::string data;
  std::vector<size_t> fd_offsets;
};

// Receives by hand, at most chunk bytes at a time, until the end.
Arrived ReceiveAll(int fd, size_t chunk) {
  Arrived arrived;
  std::vector<char> buffer(chunk);
  while (true) {
    char control[CMSG_SPACE(64 * sizeof(int))];
    iovec part = {buffer.data(), buffer.size()};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (n <= 0) {
      return arrived;
    }
    for (cmsghdr *header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      size_t num = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < num; i++) {
        int received = -1;
        memcpy(&received, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
        close(received);
        arrived.fd_offsets.push_back(arrived.data.size());
      }
    }
    arrived.data.append(buffer.data(), static_cast<size_t>(n));
  }
}

int DevNull() {
  return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

// ---------------------------------------------------------------------------------------------
// Bytes

TEST(StreamOut, DoesTheOrderHoldWhileMoreIsAppended) {
  for (bool tcp : {false, true}) {
    Loop loop;
    SocketPair pair(tcp);
    Stream stream(loop, pair.ReleaseOurs(), STREAM_PLAIN, 8 << 20);
    std::string data = Pattern(4 << 20);
    std::string arrived;
    std::thread reader([&] { arrived = ReadAll(pair.theirs, data.size()); });
    std::mt19937 random(5);
    for (size_t at = 0; at < data.size();) {
      size_t len = std::min<size_t>(1 + random() % 20000, data.size() - at);
      ASSERT_TRUE(stream.Append(data.substr(at, len)));
      if (random() % 2 == 0) {
        stream_flush(stream.get());
      }
      at += len;
      loop.Turns(static_cast<int>(random() % 2));
    }
    stream_flush(stream.get());
    EXPECT_TRUE(loop.Until([&] { return stream_unsent(stream.get()) == 0; }));
    reader.join();
    EXPECT_TRUE(arrived == data);
    EXPECT_EQ(0, stream.sent_errno);
  }
}

TEST(StreamOut, IsNothingSentBeforeTheFlush) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs());
  EXPECT_TRUE(stream.Append("wait"));
  loop.Turns(5);
  EXPECT_EQ(4u, stream_unsent(stream.get()));
  EXPECT_EQ(0, stream.sents);
  stream_flush(stream.get());
  EXPECT_EQ(4u, stream_unsent(stream.get()));
  EXPECT_TRUE(loop.Until([&] { return stream.sents == 1; }));
  EXPECT_EQ(0u, stream_unsent(stream.get()));
}

TEST(StreamOut, IsAFlushOfNothingSilent) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs());
  stream_flush(stream.get());
  loop.Turns(5);
  EXPECT_EQ(0, stream.sents);
}

TEST(StreamOut, IsThereACeiling) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs(), STREAM_PLAIN, 1000);
  EXPECT_TRUE(stream.Append(std::string(1000, 'x')));
  EXPECT_FALSE(stream.Append("x"));
  EXPECT_EQ(1000u, stream_unsent(stream.get()));
}

// What is on its way leaves the queue, and that is told once, before all of it has arrived.
TEST(StreamOut, IsRoomToldBeforeAllIsSent) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs(), STREAM_PLAIN, 4 << 20);
  int rooms_before = -1;
  stream.on_sent = [&] { rooms_before = stream.rooms; };
  stream.Send(std::string(1 << 20, 'x'));
  loop.Turns(5);
  EXPECT_EQ(0, stream.rooms);
  stream.Send(std::string(1 << 20, 'y'));
  std::thread reader([&] { ReadAll(pair.theirs, 2 << 20); });
  EXPECT_TRUE(loop.Until([&] { return stream.sents == 1; }));
  reader.join();
  EXPECT_EQ(1, rooms_before);
  EXPECT_EQ(1, stream.rooms);
}

TEST(StreamOut, MayTheCeilingBeRaised) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs(), STREAM_PLAIN, 1000);
  EXPECT_TRUE(stream.Append(std::string(1000, 'x')));
  EXPECT_FALSE(stream.Append("y"));
  stream_set_max_queued(stream.get(), 2000);
  EXPECT_TRUE(stream.Append(std::string(1000, 'y')));
  EXPECT_FALSE(stream.Append("z"));
  stream_flush(stream.get());
  EXPECT_TRUE(loop.Until([&] { return stream.sents == 1; }));
  EXPECT_EQ(std::string(1000, 'x') + std::string(1000, 'y'), ReadAll(pair.theirs, 2000));
  EXPECT_TRUE(stream.Append(std::string(2000, 'z'))) << "of both queues";
}

// The memory that was sent is wiped, but of streams without secrets.
TEST(StreamOut, IsOnlyTheUnsecretLeftInMemory) {
  for (int flags : {(int)STREAM_PLAIN, (int)STREAM_NO_SECRETS}) {
    Loop loop;
    SocketPair pair;
    Stream stream(loop, pair.ReleaseOurs(), flags);
    std::string data = Pattern(2000);
    EXPECT_TRUE(stream.Append(data));
    const uint8_t *memory = bytes_peek(stream_output(stream.get())).data;
    stream_flush(stream.get());
    EXPECT_TRUE(loop.Until([&] { return stream.sents == 1; }));
    EXPECT_EQ(data, ReadAll(pair.theirs, data.size()));
    bool is_left = memcmp(memory, data.data(), data.size()) == 0;
    EXPECT_EQ(flags == STREAM_NO_SECRETS, is_left);
  }
}

TEST(StreamOut, IsThePeersBackPressureFelt) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs(), STREAM_PLAIN, 16 << 20);
  stream.Send(std::string(8 << 20, 'x'));
  loop.Turns(20);
  EXPECT_EQ(0, stream.sents);
  EXPECT_GT(stream_unsent(stream.get()), 0u);
  std::thread reader([&] { ReadAll(pair.theirs, 8 << 20); });
  EXPECT_TRUE(loop.Until([&] { return stream.sents == 1; }));
  reader.join();
}

TEST(StreamOut, IsMemoryGivenBackOnceItIsNotUsed) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs());
  std::string data(100000, 'x');
  std::thread reader([&] { ReadAll(pair.theirs, data.size() * 2); });
  for (int i = 1; i <= 2; i++) {
    stream.Send(data);
    ASSERT_TRUE(loop.Until([&] { return stream.sents == i; }));
  }
  reader.join();
  clock_time until = clock_add(clock_now(), 2500 * NANOS_PER_MILLI);
  EXPECT_TRUE(loop.Until([&] { return clock_now() > until; }));
  EXPECT_EQ(0u, stream_output(stream.get())->capacity);
}

// ---------------------------------------------------------------------------------------------
// The end

TEST(StreamOut, DoesTheFinComeAfterTheLastByte) {
  for (bool tcp : {false, true}) {
    Loop loop;
    SocketPair pair(tcp);
    Stream stream(loop, pair.ReleaseOurs(), STREAM_CONTINUOUS, 8 << 20);
    std::string data = Pattern(4 << 20);
    stream.Send(data);
    stream_shutdown(stream.get());
    std::string arrived;
    std::thread reader([&] { arrived = ReadAll(pair.theirs, data.size() + 1); });
    ASSERT_TRUE(loop.Until([&] { return stream.sents == 1; }));
    reader.join();
    EXPECT_TRUE(arrived == data);
    // The other direction goes on.
    stream_receive(stream.get());
    WriteAll(pair.theirs, "still here");
    EXPECT_TRUE(loop.Until([&] { return stream.received == "still here"; }));
  }
}

TEST(StreamOut, IsAShutdownWithNothingQueuedImmediate) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs());
  stream_shutdown(stream.get());
  char byte;
  EXPECT_EQ(0, recv(pair.theirs, &byte, 1, 0));
}

TEST(StreamOut, IsAPeerThatIsGoneToldOnce) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs());
  pair.CloseTheirs();
  stream.Send("hello?");
  ASSERT_TRUE(loop.Until([&] { return stream.sents == 1; }));
  EXPECT_EQ(EPIPE, stream.sent_errno);
  stream.Send("anybody?");
  loop.Turns(5);
  EXPECT_EQ(1, stream.sents);
  EXPECT_EQ(0u, stream_unsent(stream.get()));
}

TEST(StreamOut, IsAResetInTheMiddleToldOnce) {
  Loop loop;
  SocketPair pair(true);
  Stream stream(loop, pair.ReleaseOurs(), STREAM_CONTINUOUS, 16 << 20);
  stream_receive(stream.get());
  stream.Send(std::string(12 << 20, 'x'));
  loop.Turns(5);
  pair.CloseTheirs();  // with unread bytes: a reset
  ASSERT_TRUE(loop.Until([&] { return stream.sents == 1 && stream.ends == 1; }));
  EXPECT_TRUE(stream.sent_errno == ECONNRESET || stream.sent_errno == EPIPE);
  EXPECT_EQ(0u, stream_unsent(stream.get()));
}

// ---------------------------------------------------------------------------------------------
// Sockets of other people's

TEST(StreamOut, DoesANonBlockingSocketWorkAndKeepItsFlag) {
  for (bool tcp : {false, true}) {
    Loop loop;
    SocketPair pair(tcp);
    int fd = pair.ReleaseOurs();
    fcntl(fd, F_SETFL, O_NONBLOCK);
    Stream stream(loop, fd, STREAM_PLAIN, 16 << 20);
    std::string data = Pattern(8 << 20);
    stream.Send(data);
    loop.Turns(5);
    std::string arrived;
    std::thread reader([&] { arrived = ReadAll(pair.theirs, data.size()); });
    EXPECT_TRUE(loop.Until([&] { return stream.sents == 1; }));
    reader.join();
    EXPECT_TRUE(arrived == data);
    EXPECT_EQ(O_NONBLOCK, fcntl(fd, F_GETFL) & O_NONBLOCK);
  }
}

TEST(StreamOut, DoesItPollAfterEagain) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs(), STREAM_PLAIN, 16 << 20);
  loop.SetFaults({{OP_SEND, 2, 3, FAULT_ERRNO, EAGAIN, 0}});
  stream.Send("one");
  ASSERT_TRUE(loop.Until([&] { return stream.sents == 1; }));
  stream.Send("two");
  ASSERT_TRUE(loop.Until([&] { return stream.sents == 2; }));
  EXPECT_EQ("onetwo", ReadAll(pair.theirs, 6));
}

// ---------------------------------------------------------------------------------------------
// Descriptors

TEST(StreamOut, DoDescriptorsTravelWithTheRightByte) {
  int before = NumOpenFds();
  {
    Loop loop;
    SocketPair pair;
    Stream stream(loop, pair.ReleaseOurs(), STREAM_WITH_FDS | STREAM_CONTINUOUS);
    std::vector<size_t> expected;
    std::mt19937 random(6);
    std::string data = Pattern(30000);
    size_t at = 0;
    while (at < data.size()) {
      size_t num = random() % 3;
      for (size_t i = 0; i < num; i++) {
        ASSERT_TRUE(status_ok(stream_send_fd(stream.get(), DevNull())));
        expected.push_back(at);
      }
      size_t len = std::min<size_t>(1 + random() % 2000, data.size() - at);
      stream.Send(data.substr(at, len));
      at += len;
      if (random() % 3 == 0) {
        ASSERT_TRUE(loop.UntilIdle());
      } else if (expected.size() > 20) {
        loop.Turns(3);
      }
    }
    stream_shutdown(stream.get());
    ASSERT_TRUE(loop.Until([&] { return stream_unsent(stream.get()) == 0; }));
    // Byte by byte, so that each chunk is one byte and its offset exact.
    Arrived arrived = ReceiveAll(pair.theirs, 1);
    EXPECT_TRUE(arrived.data == data);
    EXPECT_EQ(expected, arrived.fd_offsets);
  }
  EXPECT_TRUE(NumOpenFdsBecomes(before));
}

TEST(StreamOut, DoSixteenTravelTogetherAndIsTheNextRefused) {
  int before = NumOpenFds();
  {
    Loop loop;
    SocketPair pair;
    Stream stream(loop, pair.ReleaseOurs(), STREAM_WITH_FDS);
    for (int i = 0; i < STREAM_FDS_MAX; i++) {
      ASSERT_TRUE(status_ok(stream_send_fd(stream.get(), DevNull())));
    }
    int refused = DevNull();
    EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, stream_send_fd(stream.get(), refused).code);
    close(refused);
    stream.Send("x");
    stream_shutdown(stream.get());
    ASSERT_TRUE(loop.Until([&] { return stream.sents == 1; }));
    EXPECT_EQ(std::vector<size_t>(16, 0), ReceiveAll(pair.theirs, 100).fd_offsets);
  }
  EXPECT_TRUE(NumOpenFdsBecomes(before));
}

TEST(StreamOut, AreDescriptorsSentOnceWhenTheSendIsShort) {
  int before = NumOpenFds();
  {
    Loop loop;
    SocketPair pair;
    Stream stream(loop, pair.ReleaseOurs(), STREAM_WITH_FDS);
    loop.SetFaults({{OP_SENDMSG, 1, 10, FAULT_SHORT, 3, 0}, {OP_SEND, 1, 10, FAULT_SHORT, 2, 0}});
    ASSERT_TRUE(status_ok(stream_send_fd(stream.get(), DevNull())));
    stream.Send("a long message");
    stream_shutdown(stream.get());
    ASSERT_TRUE(loop.Until([&] { return stream.sents == 1; }));
    Arrived arrived = ReceiveAll(pair.theirs, 100);
    EXPECT_EQ("a long message", arrived.data);
    EXPECT_EQ(std::vector<size_t>{0}, arrived.fd_offsets);
  }
  EXPECT_TRUE(NumOpenFdsBecomes(before));
}

TEST(StreamOut, AreDescriptorsClosedThatAreNeverSent) {
  int before = NumOpenFds();
  {
    Loop loop;
    SocketPair pair;
    Stream stream(loop, pair.ReleaseOurs(), STREAM_WITH_FDS);
    ASSERT_TRUE(status_ok(stream_send_fd(stream.get(), DevNull())));
    stream.Close();
    SocketPair other;
    Stream failing(loop, other.ReleaseOurs(), STREAM_WITH_FDS);
    ASSERT_TRUE(status_ok(stream_send_fd(failing.get(), DevNull())));
    other.CloseTheirs();
    failing.Send("x");
    ASSERT_TRUE(loop.Until([&] { return failing.sents == 1; }));
    EXPECT_EQ(EPIPE, failing.sent_errno);
    ASSERT_TRUE(status_ok(stream_send_fd(failing.get(), DevNull())));
  }
  EXPECT_TRUE(NumOpenFdsBecomes(before));
}

// ---------------------------------------------------------------------------------------------
// Faults

TEST(StreamOut, DoesItSurviveEveryPassingError) {
  for (op_kind kind : {OP_SEND, OP_SENDMSG}) {
    for (int error : {EINTR, EAGAIN, ENOMEM, ENOBUFS, ECANCELED}) {
      Loop loop;
      SocketPair pair;
      Stream stream(loop, pair.ReleaseOurs(), STREAM_WITH_FDS);
      loop.SetFaults({{kind, 1, 3, FAULT_ERRNO, error, 0}});
      if (kind == OP_SENDMSG) {
        ASSERT_TRUE(status_ok(stream_send_fd(stream.get(), DevNull())));
      }
      stream.Send("through");
      stream_shutdown(stream.get());
      ASSERT_TRUE(loop.Until([&] { return stream.sents == 1; })) << error;
      EXPECT_EQ(0, stream.sent_errno);
      Arrived arrived = ReceiveAll(pair.theirs, 100);
      EXPECT_EQ("through", arrived.data);
      EXPECT_EQ(kind == OP_SENDMSG ? 1u : 0u, arrived.fd_offsets.size());
    }
  }
}

TEST(StreamOut, IsALastingErrorTold) {
  for (int error : {EPIPE, ECONNRESET, ETIMEDOUT, EIO}) {
    Loop loop;
    SocketPair pair;
    Stream stream(loop, pair.ReleaseOurs());
    loop.SetFaults({{OP_SEND, 1, 1, FAULT_ERRNO, error, 0}});
    stream.Send("lost");
    ASSERT_TRUE(loop.Until([&] { return stream.sents == 1; }));
    EXPECT_EQ(error, stream.sent_errno);
  }
}

TEST(StreamOut, DoShortSendsAddUp) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs());
  loop.SetFaults({{OP_SEND, 1, UINT_MAX, FAULT_SHORT, 13, 0}});
  std::string data = Pattern(1000);
  stream.Send(data);
  ASSERT_TRUE(loop.Until([&] { return stream.sents == 1; }));
  EXPECT_TRUE(ReadAll(pair.theirs, data.size()) == data);
  EXPECT_EQ(1, stream.sents);
}

TEST(StreamOut, MayMoreBeAppendedWhileTheKernelReads) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs());
  loop.SetFaults({{OP_SEND, 1, UINT_MAX, FAULT_LATE, 3, 0}});
  std::string data = Pattern(9000);
  for (size_t at = 0; at < data.size(); at += 100) {
    stream.Send(data.substr(at, 100));
    loop.Turns(1);
  }
  ASSERT_TRUE(loop.Until([&] { return stream_unsent(stream.get()) == 0; }));
  EXPECT_TRUE(ReadAll(pair.theirs, data.size()) == data);
}

}  // namespace
