#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/ring/ring_fixture.h"

namespace {

const int kAllFlags[] = {STREAM_PLAIN, STREAM_CONTINUOUS, STREAM_WITH_FDS,
                         STREAM_WITH_FDS | STREAM_CONTINUOUS};

op_kind ReceiveKind(int flags) {
  if ((flags & STREAM_WITH_FDS) != 0) {
    return (flags & STREAM_CONTINUOUS) != 0 ? OP_RECVMSG_MULTISHOT : OP_RECVMSG;
  }
  return (flags & STREAM_CONTINUOUS) != 0 ? OP_RECV_MULTISHOT : OP_RECV;
}

// Asks for more after each piece, as an owner without STREAM_CONTINUOUS does.
void KeepReceiving(Stream &stream) {
  stream.on_data = [&](slice) { stream_receive(stream.get()); };
  stream_receive(stream.get());
}

std::vector<int> MakeFds(size_t num) {
  std::vector<int> fds;
  for (size_t i = 0; i < num; i++) {
    fds.push_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
  }
  return fds;
}

void CloseAll(std::vector<int> &fds) {
  for (int fd : fds) {
    close(fd);
  }
  fds.clear();
}

// ---------------------------------------------------------------------------------------------
// Bytes

TEST(StreamIn, DoBytesComeInOrderHoweverTheyAreTorn) {
  for (int flags : kAllFlags) {
    Loop loop;
    SocketPair pair;
    Stream stream(loop, pair.ReleaseOurs(), flags);
    KeepReceiving(stream);
    std::string data = Pattern(20000);
    std::mt19937 random(3);
    for (size_t at = 0; at < data.size();) {
      size_t len = std::min<size_t>(1 + random() % 300, data.size() - at);
      WriteAll(pair.theirs, data.substr(at, len));
      at += len;
      loop.Turns(static_cast<int>(random() % 3));
    }
    ASSERT_TRUE(loop.Until([&] { return stream.received.size() == data.size(); }));
    EXPECT_TRUE(stream.received == data);
  }
}

TEST(StreamIn, DoesNothingComeBeforeItIsAskedFor) {
  for (int flags : kAllFlags) {
    Loop loop;
    SocketPair pair;
    Stream stream(loop, pair.ReleaseOurs(), flags);
    WriteAll(pair.theirs, "early");
    loop.Turns(5);
    EXPECT_EQ("", stream.received);
    EXPECT_FALSE(stream_receiving(stream.get()));
    stream_receive(stream.get());
    EXPECT_TRUE(stream_receiving(stream.get()));
    EXPECT_TRUE(loop.Until([&] { return stream.received == "early"; }));
  }
}

TEST(StreamIn, IsThereOneEventForOneReceive) {
  for (int flags : {STREAM_PLAIN, STREAM_WITH_FDS}) {
    Loop loop;
    SocketPair pair;
    Stream stream(loop, pair.ReleaseOurs(), flags);
    stream_receive(stream.get());
    stream_receive(stream.get());
    WriteAll(pair.theirs, std::string(10000, 'x'));
    ASSERT_TRUE(loop.Until([&] { return stream.data_events == 1; }));
    EXPECT_FALSE(stream_receiving(stream.get()));
    loop.Turns(10);
    EXPECT_EQ(1, stream.data_events);
    EXPECT_LE(stream.received.size(), 4096u);
    stream_receive(stream.get());
    ASSERT_TRUE(loop.Until([&] { return stream.data_events == 2; }));
  }
}

TEST(StreamIn, IsOneReceiveEnoughForStreamsThatAreContinuous) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs());
  stream_receive(stream.get());
  loop.Turns(2);
  uint64_t before = loop_get_stats(loop.get())->completions;
  for (int i = 0; i < 50; i++) {
    WriteAll(pair.theirs, "x");
    ASSERT_TRUE(loop.Until([&] { return stream.data_events == i + 1; }));
  }
  EXPECT_EQ(50u, loop_get_stats(loop.get())->completions - before);
  EXPECT_EQ(1u, loop_in_flight(loop.get()));
}

TEST(StreamIn, CanItBePausedAndResumed) {
  for (int flags : kAllFlags) {
    Loop loop;
    SocketPair pair;
    Stream stream(loop, pair.ReleaseOurs(), flags);
    std::string sent;
    for (int i = 0; i < 50; i++) {
      stream_receive(stream.get());
      WriteAll(pair.theirs, "on");
      sent += "on";
      ASSERT_TRUE(loop.Until([&] { return stream.received == sent; }));
      stream_receive(stream.get());
      loop.Turns(i % 3);
      stream_pause(stream.get());
      EXPECT_FALSE(stream_receiving(stream.get()));
      loop.Turns(3);
      WriteAll(pair.theirs, "off");
      loop.Turns(3);
      EXPECT_EQ(sent, stream.received) << i;
      sent += "off";
      stream_receive(stream.get());
      ASSERT_TRUE(loop.Until([&] { return stream.received == sent; }));
    }
  }
}

// Pauses and receives in the worst of moments; nothing is lost, and the last word counts.
TEST(StreamIn, DoesTheLastOfManyWordsCount) {
  for (int flags : kAllFlags) {
    Loop loop;
    SocketPair pair;
    Stream stream(loop, pair.ReleaseOurs(), flags);
    std::mt19937 random(4);
    std::string sent;
    for (int i = 0; i < 300; i++) {
      for (unsigned flip = random() % 5; flip > 0; flip--) {
        stream_receive(stream.get());
        loop.Turns(static_cast<int>(random() % 2));
        stream_pause(stream.get());
        loop.Turns(static_cast<int>(random() % 2));
      }
      WriteAll(pair.theirs, "x");
      sent += "x";
    }
    KeepReceiving(stream);
    ASSERT_TRUE(loop.Until([&] { return stream.received.size() == sent.size(); }));
    stream.on_data = nullptr;
    stream_receive(stream.get());
    stream_pause(stream.get());
    loop.Turns(5);
    WriteAll(pair.theirs, "never");
    loop.Turns(5);
    EXPECT_EQ(sent, stream.received);
  }
}

// ---------------------------------------------------------------------------------------------
// The end

// Buffers of 4 KiB, and as soon as one was full, large ones, for as long as they are filled.
TEST(StreamIn, DoesMuchComeInLargePieces) {
  for (int flags : {(int)STREAM_PLAIN, (int)STREAM_WITH_FDS}) {
    Loop loop;
    SocketPair pair;
    Stream stream(loop, pair.ReleaseOurs(), flags);
    size_t largest = 0;
    stream.on_data = [&](slice data) {
      largest = std::max(largest, data.len);
      stream_receive(stream.get());
    };
    std::string data = Pattern(200000);
    stream_receive_bulk(stream.get());
    EXPECT_FALSE(stream_receives_much(stream.get()));
    WriteAll(pair.theirs, data.substr(0, 100000));
    stream_receive(stream.get());
    EXPECT_TRUE(loop.Until([&] { return stream.received.size() == 100000; }));
    WriteAll(pair.theirs, data.substr(100000));
    EXPECT_TRUE(loop.Until([&] { return stream.received.size() == data.size(); }));
    EXPECT_TRUE(stream.received == data);
    EXPECT_GT(largest, 4096u);
    EXPECT_LE(largest, (size_t)LOOP_LARGE_BUFFER_SIZE);
    WriteAll(pair.theirs, "little");
    EXPECT_TRUE(loop.Until([&] { return stream.received.size() == data.size() + 6; }));
    EXPECT_FALSE(stream_receives_much(stream.get()));
  }
}

TEST(StreamIn, IsMuchOnlyForWhomItWasAskedAndUntilItRests) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs(), STREAM_PLAIN);
  size_t largest = 0;
  stream.on_data = [&](slice data) {
    largest = std::max(largest, data.len);
    stream_receive(stream.get());
  };
  WriteAll(pair.theirs, Pattern(50000));
  stream_receive(stream.get());
  EXPECT_TRUE(loop.Until([&] { return stream.received.size() == 50000; }));
  EXPECT_EQ(4096u, largest);
  stream.on_data = nullptr;
  stream_receive_bulk(stream.get());
  WriteAll(pair.theirs, Pattern(4096));
  EXPECT_TRUE(loop.Until([&] { return stream.received.size() == 54096; }));
  EXPECT_TRUE(stream_receives_much(stream.get()));
  stream_rest(stream.get());
  EXPECT_FALSE(stream_receives_much(stream.get()));
}

// However many want much, so many get it, and none of them waits for it.
TEST(StreamIn, DoMoreThanAFewGetMuchInCommonBuffers) {
  Loop loop;
  const int kStreams = LOOP_BULK_STREAMS + 4;
  std::vector<std::unique_ptr<SocketPair>> pairs;
  std::vector<std::unique_ptr<Stream>> streams;
  std::string data = Pattern(50000);
  for (int i = 0; i < kStreams; i++) {
    pairs.emplace_back(new SocketPair);
    streams.emplace_back(new Stream(loop, pairs.back()->ReleaseOurs(), STREAM_PLAIN));
    stream_receive_bulk(streams.back()->get());
    WriteAll(pairs.back()->theirs, data);
  }
  for (auto &stream : streams) {
    KeepReceiving(*stream);
  }
  EXPECT_TRUE(loop.Until([&] {
    return std::all_of(streams.begin(), streams.end(),
                       [&](auto &stream) { return stream->received.size() == data.size(); });
  }));
  int num_bulk = 0;
  for (auto &stream : streams) {
    EXPECT_TRUE(stream->received == data);
    num_bulk += stream_receives_much(stream->get());
  }
  EXPECT_LE(num_bulk, (int)LOOP_BULK_STREAMS);
}

TEST(StreamIn, IsAResetToldAsAnError) {
  for (int flags : {STREAM_PLAIN, STREAM_CONTINUOUS}) {
    Loop loop;
    SocketPair pair(true);
    Stream stream(loop, pair.ReleaseOurs(), flags);
    stream_receive(stream.get());
    loop.Turns(2);
    linger abort_it = {1, 0};
    setsockopt(pair.theirs, SOL_SOCKET, SO_LINGER, &abort_it, sizeof(abort_it));
    pair.CloseTheirs();
    ASSERT_TRUE(loop.Until([&] { return stream.ends == 1; }));
    EXPECT_EQ(ECONNRESET, stream.end_errno);
    stream_receive(stream.get());
    loop.Turns(5);
    EXPECT_EQ(1, stream.ends);
  }
}

TEST(StreamIn, DoesTheEndComeAfterTheLastByte) {
  for (int flags : kAllFlags) {
    for (bool tcp : {false, true}) {
      Loop loop;
      SocketPair pair(tcp);
      Stream stream(loop, pair.ReleaseOurs(), flags);
      WriteAll(pair.theirs, std::string(50000, 'x'));
      shutdown(pair.theirs, SHUT_WR);
      KeepReceiving(stream);
      ASSERT_TRUE(loop.Until([&] { return stream.ends == 1; }));
      EXPECT_EQ(0, stream.end_errno);
      EXPECT_EQ(50000u, stream.received.size());
      // The other direction goes on.
      stream.Send("still here");
      EXPECT_EQ("still here", [&] {
        EXPECT_TRUE(loop.Until([&] { return stream.sents == 1; }));
        return ReadAll(pair.theirs, 10);
      }());
    }
  }
}

// ---------------------------------------------------------------------------------------------
// Sockets of other people's

TEST(StreamIn, DoesANonBlockingSocketWorkAndKeepItsFlag) {
  for (int flags : kAllFlags) {
    Loop loop;
    SocketPair pair;
    int fd = pair.ReleaseOurs();
    fcntl(fd, F_SETFL, O_NONBLOCK);
    Stream stream(loop, fd, flags);
    KeepReceiving(stream);
    for (int i = 1; i <= 20; i++) {
      loop.Turns(2);
      WriteAll(pair.theirs, "x");
      ASSERT_TRUE(loop.Until([&] { return stream.received.size() == static_cast<size_t>(i); }));
      // The client that shares the socket may change its mind at any time.
      EXPECT_EQ(i % 2 == 1 ? O_NONBLOCK : 0, fcntl(fd, F_GETFL) & O_NONBLOCK);
      fcntl(fd, F_SETFL, i % 2 == 1 ? 0 : O_NONBLOCK);
    }
  }
}

TEST(StreamIn, DoesItPollAfterEagain) {
  for (int flags : kAllFlags) {
    Loop loop;
    SocketPair pair;
    Stream stream(loop, pair.ReleaseOurs(), flags);
    loop.SetFaults({{ReceiveKind(flags), 1, 5, FAULT_ERRNO, EAGAIN, 0}});
    KeepReceiving(stream);
    loop.Turns(5);
    uint64_t completions = loop_get_stats(loop.get())->completions;
    loop.Turns(5);
    // It waits, and does not ask again and again.
    EXPECT_EQ(completions, loop_get_stats(loop.get())->completions);
    WriteAll(pair.theirs, "hello");
    ASSERT_TRUE(loop.Until([&] { return stream.received == "hello"; }));
  }
}

// Poll says yes and the receive says no, for ever: no busy loop.
TEST(StreamIn, DoesItNotSpinWherePollLies) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs());
  WriteAll(pair.theirs, "x");
  loop.SetFaults({{OP_RECV_MULTISHOT, 1, UINT_MAX, FAULT_ERRNO, EAGAIN, 0}});
  stream_receive(stream.get());
  clock_time until = clock_add(clock_now(), 200 * NANOS_PER_MILLI);
  EXPECT_TRUE(loop.Until([&] { return clock_now() > until; }));
  EXPECT_LT(loop_get_stats(loop.get())->turns, 2000u);
  loop_set_faults(loop.get(), nullptr);
  EXPECT_TRUE(loop.Until([&] { return stream.received == "x"; }));
}

// ---------------------------------------------------------------------------------------------
// Buffers

TEST(StreamIn, DoesNobodyStarveWhenBuffersAreFew) {
  for (int flags : kAllFlags) {
    Loop loop(2);
    const int kStreams = 20;
    const size_t kLen = 30000;
    std::vector<std::unique_ptr<SocketPair>> pairs;
    std::vector<std::unique_ptr<Stream>> streams;
    for (int i = 0; i < kStreams; i++) {
      pairs.push_back(std::make_unique<SocketPair>());
      streams.push_back(std::make_unique<Stream>(loop, pairs[i]->ReleaseOurs(), flags));
      KeepReceiving(*streams[i]);
      WriteAll(pairs[i]->theirs, std::string(kLen, static_cast<char>('a' + i)));
    }
    for (int i = 0; i < kStreams; i++) {
      ASSERT_TRUE(loop.Until([&] { return streams[i]->received.size() == kLen; })) << i;
      EXPECT_EQ(std::string(kLen, static_cast<char>('a' + i)), streams[i]->received);
    }
    EXPECT_GT(loop_get_stats(loop.get())->no_buffers, 0u);
  }
}

// One that never stops talking, and one that says a word.
TEST(StreamIn, IsAQuietStreamHeardBesideAChattyOne) {
  Loop loop(8);
  SocketPair chatty_pair;
  SocketPair quiet_pair;
  Stream chatty(loop, chatty_pair.ReleaseOurs());
  Stream quiet(loop, quiet_pair.ReleaseOurs());
  std::string much(100000, 'x');
  chatty.on_data = [&](slice) {
    chatty.received.clear();
    send(chatty_pair.theirs, much.data(), much.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  };
  stream_receive(chatty.get());
  stream_receive(quiet.get());
  WriteAll(chatty_pair.theirs, much);
  loop.Turns(20);
  for (int i = 1; i <= 20; i++) {
    WriteAll(quiet_pair.theirs, "word");
    int turns = 0;
    while (quiet.data_events < i && turns < 1000) {
      loop.Turns(1);
      turns++;
    }
    EXPECT_LT(turns, 50);
  }
  chatty.on_data = nullptr;
}

// ---------------------------------------------------------------------------------------------
// Descriptors

class StreamInFds : public ::testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(Flags, StreamInFds,
                         ::testing::Values(STREAM_WITH_FDS, STREAM_WITH_FDS | STREAM_CONTINUOUS));

TEST_P(StreamInFds, DoThatManyArrive) {
  for (size_t num : {0, 1, 2, 15, 16}) {
    int before = NumOpenFds();
    {
      Loop loop;
      SocketPair pair;
      Stream stream(loop, pair.ReleaseOurs(), GetParam());
      stream_receive(stream.get());
      std::vector<int> fds = MakeFds(num);
      SendWithFds(pair.theirs, "take", fds);
      CloseAll(fds);
      ASSERT_TRUE(loop.Until([&] { return stream.received == "take"; }));
      EXPECT_EQ(num, stream.fds.size());
      EXPECT_EQ(0u, stream.dropped);
      for (int fd : stream.fds) {
        EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
      }
    }
    EXPECT_TRUE(NumOpenFdsBecomes(before)) << num;
  }
}

TEST_P(StreamInFds, AreThoseBeyondTheLimitClosedAndCounted) {
  for (size_t num : {17, 40, 253}) {
    int before = NumOpenFds();
    {
      Loop loop;
      SocketPair pair;
      Stream stream(loop, pair.ReleaseOurs(), GetParam());
      stream_receive(stream.get());
      std::vector<int> fds = MakeFds(num);
      SendWithFds(pair.theirs, "too many", fds);
      CloseAll(fds);
      ASSERT_TRUE(loop.Until([&] { return stream.received == "too many"; }));
      EXPECT_EQ(16u, stream.fds.size());
      EXPECT_EQ(num - 16, stream.dropped);
      EXPECT_EQ(num - 16, loop_get_stats(loop.get())->descriptors_dropped);
    }
    EXPECT_TRUE(NumOpenFdsBecomes(before)) << num;
  }
}

TEST_P(StreamInFds, DoTheyComeWithTheirOwnMessage) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs(), GetParam());
  std::vector<size_t> counts;
  stream.on_data = [&](slice) {
    counts.push_back(stream.fds.size());
    stream_receive(stream.get());
  };
  for (int i = 0; i < 5; i++) {
    std::vector<int> fds = MakeFds(1);
    SendWithFds(pair.theirs, "one", fds);
    CloseAll(fds);
  }
  stream_receive(stream.get());
  ASSERT_TRUE(loop.Until([&] { return stream.received.size() == 15; }));
  EXPECT_EQ((std::vector<size_t>{1, 2, 3, 4, 5}), counts);
}

// A socket that lingers, among those that are too many, must not block the loop.
TEST_P(StreamInFds, DoesADroppedSocketThatLingersBlockNobody) {
  Loop loop;
  SocketPair pair;
  SocketPair lingering(true);
  std::string much(1 << 20, 'x');
  while (send(lingering.ours, much.data(), much.size(), MSG_DONTWAIT) > 0) {
  }
  linger patience = {1, 20};
  setsockopt(lingering.ours, SOL_SOCKET, SO_LINGER, &patience, sizeof(patience));
  std::vector<int> fds = MakeFds(16);
  fds.push_back(lingering.ReleaseOurs());
  SendWithFds(pair.theirs, "x", fds);
  // The test's own close must not be the last one, which is the one that lingers.
  CloseAll(fds);
  Stream stream(loop, pair.ReleaseOurs(), GetParam());
  stream_receive(stream.get());
  clock_time start = clock_now();
  ASSERT_TRUE(loop.Until([&] { return stream.received == "x"; }));
  loop.Turns(10);
  EXPECT_LT(clock_now() - start, 500 * NANOS_PER_MILLI);
  EXPECT_EQ(1u, stream.dropped);
}

TEST_P(StreamInFds, AreThoseThatNobodyWantsClosed) {
  int before = NumOpenFds();
  {
    Loop loop;
    SocketPair pair;
    Stream stream(loop, pair.ReleaseOurs(), GetParam());
    stream_receive(stream.get());
    loop.Turns(2);
    std::vector<int> fds = MakeFds(5);
    SendWithFds(pair.theirs, "late", fds);
    CloseAll(fds);
    loop_enter(loop.get(), false);
    stream.Close();
    EXPECT_EQ("", stream.received);
  }
  EXPECT_TRUE(NumOpenFdsBecomes(before));
}

// ---------------------------------------------------------------------------------------------
// Faults

TEST(StreamIn, DoesItSurviveEveryPassingError) {
  for (int flags : kAllFlags) {
    for (int error : {EINTR, EAGAIN, ENOMEM, ENOBUFS, ECANCELED}) {
      for (unsigned nth : {1u, 2u}) {
        Loop loop;
        SocketPair pair;
        Stream stream(loop, pair.ReleaseOurs(), flags);
        loop.SetFaults({{ReceiveKind(flags), nth, 3, FAULT_ERRNO, error, 0}});
        KeepReceiving(stream);
        WriteAll(pair.theirs, "first");
        ASSERT_TRUE(loop.Until([&] { return stream.received == "first"; }))
            << flags << " " << error;
        WriteAll(pair.theirs, "second");
        ASSERT_TRUE(loop.Until([&] { return stream.received == "firstsecond"; }));
      }
    }
  }
}

TEST(StreamIn, IsALastingErrorTheEnd) {
  for (int flags : kAllFlags) {
    Loop loop;
    SocketPair pair;
    Stream stream(loop, pair.ReleaseOurs(), flags);
    loop.SetFaults({{ReceiveKind(flags), 1, 1, FAULT_ERRNO, ETIMEDOUT, 0}});
    stream_receive(stream.get());
    ASSERT_TRUE(loop.Until([&] { return stream.ends == 1; }));
    EXPECT_EQ(ETIMEDOUT, stream.end_errno);
  }
}

TEST(StreamIn, DoShortReceivesAddUp) {
  for (int flags : {STREAM_PLAIN, STREAM_CONTINUOUS}) {
    Loop loop;
    SocketPair pair;
    Stream stream(loop, pair.ReleaseOurs(), flags);
    loop.SetFaults({{ReceiveKind(flags), 1, 100, FAULT_SHORT, 7, 0}});
    KeepReceiving(stream);
    std::string data = Pattern(1000);
    WriteAll(pair.theirs, data);
    ASSERT_TRUE(loop.Until([&] { return stream.received == data; }));
  }
}

TEST(StreamIn, DoLateResultsKeepTheirOrder) {
  for (int flags : kAllFlags) {
    Loop loop;
    SocketPair pair;
    Stream stream(loop, pair.ReleaseOurs(), flags);
    loop.SetFaults({{ReceiveKind(flags), 2, 1, FAULT_LATE, 7, 0},
                    {ReceiveKind(flags), 4, 2, FAULT_LATE, 3, 0}});
    KeepReceiving(stream);
    std::string data = Pattern(1000);
    for (size_t at = 0; at < data.size(); at += 100) {
      WriteAll(pair.theirs, data.substr(at, 100));
      loop.Turns(1);
    }
    ASSERT_TRUE(loop.Until([&] { return stream.received.size() == data.size(); }));
    EXPECT_TRUE(stream.received == data);
  }
}

}  // namespace
