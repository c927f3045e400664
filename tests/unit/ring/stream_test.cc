#include "server/ring/stream.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/ring/ring_fixture.h"

TEST(Stream, DoesAnythingGetThroughAtAll) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs());
  stream_receive(stream.get());
  WriteAll(pair.theirs, "hello");
  ASSERT_TRUE(loop.Until([&] { return stream.received == "hello"; }));
  stream.Send("good day");
  ASSERT_TRUE(loop.Until([&] { return stream.sents == 1; }));
  EXPECT_EQ(0, stream.sent_errno);
  EXPECT_EQ("good day", ReadAll(pair.theirs, 8));
}

TEST(Stream, IsItIdleWhileNothingIsWantedOrUnderWay) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs(), STREAM_PLAIN);
  EXPECT_TRUE(stream_is_idle(stream.get()));
  stream_receive(stream.get());
  EXPECT_FALSE(stream_is_idle(stream.get()));
  WriteAll(pair.theirs, "hello");
  ASSERT_TRUE(loop.Until([&] { return stream.received == "hello"; }));
  EXPECT_TRUE(stream_is_idle(stream.get()));
  stream.Send("good day");
  EXPECT_FALSE(stream_is_idle(stream.get()));
  ASSERT_TRUE(loop.Until([&] { return stream.sents == 1; }));
  EXPECT_TRUE(stream_is_idle(stream.get()));
}

// Sends 64 MiB to a stream that echoes, and compares what comes back. A thread plays the peer.
static void Echo64MiB(bool tcp, int flags) {
  const size_t kTotal = RunsUnderSanitizer() ? 16 << 20 : 64 << 20;
  const size_t kQueue = 1 << 20;
  Loop loop;
  SocketPair pair(tcp);
  Stream stream(loop, pair.ReleaseOurs(), flags, 64 << 20);
  stream.on_data = [&](slice data) {
    stream.received.clear();
    stream.Send(std::string(reinterpret_cast<const char *>(data.data), data.len));
    if (stream_unsent(stream.get()) > kQueue) {
      stream_pause(stream.get());
    } else if ((flags & STREAM_CONTINUOUS) == 0) {
      stream_receive(stream.get());
    }
  };
  stream.on_sent = [&] { stream_receive(stream.get()); };
  stream_receive(stream.get());
  std::string data = Pattern(kTotal);
  std::string echoed;
  std::thread writer([&] { WriteAll(pair.theirs, data); });
  std::atomic<bool> done{false};
  std::thread reader([&] {
    echoed = ReadAll(pair.theirs, kTotal);
    done = true;
  });
  EXPECT_TRUE(loop.Until([&] { return done.load(); }));
  shutdown(pair.theirs, SHUT_RDWR);
  writer.join();
  reader.join();
  EXPECT_TRUE(echoed == data);
}

TEST(Stream, Do64MiBComeBackUnchangedOverUnix) {
  Echo64MiB(false, STREAM_CONTINUOUS);
}
TEST(Stream, Do64MiBComeBackUnchangedOverTcp) {
  Echo64MiB(true, STREAM_CONTINUOUS);
}
TEST(Stream, Do64MiBComeBackUnchangedOneReceiveAtATime) {
  Echo64MiB(true, STREAM_PLAIN);
}
TEST(Stream, Do64MiBComeBackUnchangedWithRoomForDescriptors) {
  Echo64MiB(false, STREAM_CONTINUOUS | STREAM_WITH_FDS);
}
TEST(Stream, Do64MiBComeBackUnchangedOneMessageAtATime) {
  Echo64MiB(false, STREAM_WITH_FDS);
}

TEST(Stream, IsTheEndToldOnce) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs());
  stream_receive(stream.get());
  WriteAll(pair.theirs, "last");
  pair.CloseTheirs();
  ASSERT_TRUE(loop.Until([&] { return stream.ends > 0; }));
  stream_receive(stream.get());
  loop.Turns(10);
  EXPECT_EQ("last", stream.received);
  EXPECT_EQ(1, stream.ends);
  EXPECT_EQ(0, stream.end_errno);
}

TEST(Stream, CanItBeClosedWithOperationsInFlight) {
  for (int flags = 0; flags < 4; flags++) {
    int before = NumOpenFds();
    {
      Loop loop;
      SocketPair pair;
      Stream stream(loop, pair.ReleaseOurs(), flags, 16 << 20);
      stream_receive(stream.get());
      stream.Send(std::string(8 << 20, 'x'));
      loop.Turns(3);
      stream_close(stream.get());
      EXPECT_TRUE(loop.Until([&] { return stream.closed; }));
    }
    EXPECT_EQ(before, NumOpenFds());
  }
}

TEST(Stream, IsItClosedOnceHoweverOftenItIsAsked) {
  Loop loop;
  SocketPair pair;
  Stream stream(loop, pair.ReleaseOurs());
  stream_receive(stream.get());
  stream_close(stream.get());
  stream_close(stream.get());
  stream_receive(stream.get());
  stream_pause(stream.get());
  stream_flush(stream.get());
  stream_shutdown(stream.get());
  EXPECT_TRUE(loop.Until([&] { return stream.closed; }));
}

TEST(Stream, DoesThePeerSeeTheClose) {
  for (bool tcp : {false, true}) {
    Loop loop;
    SocketPair pair(tcp);
    Stream stream(loop, pair.ReleaseOurs());
    stream_receive(stream.get());
    stream.Send("bye");
    ASSERT_TRUE(loop.Until([&] { return stream.sents == 1; }));
    stream.Close();
    ASSERT_TRUE(loop.UntilIdle());
    EXPECT_EQ("bye", ReadAll(pair.theirs, 100));
  }
}

TEST(Stream, IsAResetSeenByTcpAndAnEndByOthers) {
  for (bool tcp : {false, true}) {
    Loop loop;
    SocketPair pair(tcp);
    Stream stream(loop, pair.ReleaseOurs(), STREAM_PLAIN);
    stream_receive(stream.get());
    stream.Send("bye");
    ASSERT_TRUE(loop.Until([&] { return stream.sents == 1; }));
    EXPECT_EQ("bye", ReadAll(pair.theirs, 3));
    stream_reset(stream.get());
    ASSERT_TRUE(loop.Until([&] { return stream.closed; }));
    ASSERT_TRUE(loop.UntilIdle());
    EXPECT_EQ(0, stream.ends) << "the owner has asked for it, and hears nothing";
    char byte;
    EXPECT_EQ(tcp ? -1 : 0, recv(pair.theirs, &byte, 1, 0));
    EXPECT_TRUE(!tcp || errno == ECONNRESET) << errno;
  }
}

TEST(Stream, MayItBeResetWhateverIsUnderWay) {
  for (bool tcp : {false, true}) {
    for (int flags : {(int)STREAM_PLAIN, (int)STREAM_CONTINUOUS}) {
      Loop loop;
      SocketPair pair(tcp);
      Stream stream(loop, pair.ReleaseOurs(), flags, 64 << 20);
      stream_receive(stream.get());
      stream.Send(std::string(32 << 20, 'x'));
      WriteAll(pair.theirs, "y");
      loop.Turns(3);
      stream_reset(stream.get());
      stream_reset(stream.get());
      stream_close(stream.get());
      ASSERT_TRUE(loop.Until([&] { return stream.closed; }));
      ASSERT_TRUE(loop.UntilIdle());
    }
  }
}

TEST(Stream, MayItBeClosedFromItsOwnEvents) {
  for (int flags = 0; flags < 4; flags++) {
    for (int event = 0; event < 3; event++) {
      Loop loop;
      SocketPair pair;
      Stream stream(loop, pair.ReleaseOurs(), flags);
      stream_receive(stream.get());
      if (event == 0) {
        stream.on_data = [&](slice) { stream_close(stream.get()); };
        WriteAll(pair.theirs, "x");
      } else if (event == 1) {
        stream.on_sent = [&] { stream_close(stream.get()); };
        stream.Send("x");
      } else {
        stream.on_end = [&] { stream_close(stream.get()); };
        pair.CloseTheirs();
      }
      ASSERT_TRUE(loop.Until([&] { return stream.closed; }));
    }
  }
}

// With results that come late, and cancellations that the kernel ignores at first.
TEST(Stream, IsNothingTouchedAfterTheClose) {
  for (int flags = 0; flags < 4; flags++) {
    for (int value = 0; value < 12; value++) {
      Loop loop;
      SocketPair pair;
      loop.SetFaults({{OP_RECV, 1, 9, FAULT_LATE, value, 0},
                      {OP_RECV_MULTISHOT, 1, 9, FAULT_LATE, value, 0},
                      {OP_RECVMSG, 1, 9, FAULT_LATE, value, 0},
                      {OP_RECVMSG_MULTISHOT, 1, 9, FAULT_LATE, value, 0},
                      {OP_SEND, 1, 9, FAULT_LATE, value / 2, 0},
                      {OP_CANCEL, 1, 1, FAULT_ERRNO, ENOENT, 0},
                      {OP_CANCEL, 2, 9, FAULT_LATE, value / 3, 0}});
      Stream stream(loop, pair.ReleaseOurs(), flags, 16 << 20);
      stream_receive(stream.get());
      WriteAll(pair.theirs, "some");
      stream.Send(std::string(8 << 20, 'x'));
      loop.Turns(value % 4);
      std::string before = stream.received;
      stream_close(stream.get());
      ASSERT_TRUE(loop.Until([&] { return stream.closed; }));
      EXPECT_EQ(before, stream.received);
    }
  }
}

// Memory of one connection must not show up in another's, nor stay in a buffer of the pool.
TEST(Stream, AreManyStreamsKeptApart) {
  Loop loop(8);
  std::vector<std::unique_ptr<SocketPair>> pairs;
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < 50; i++) {
    pairs.push_back(std::make_unique<SocketPair>());
    streams.push_back(std::make_unique<Stream>(loop, pairs[i]->ReleaseOurs(), i % 4));
    Stream *stream = streams[i].get();
    stream->on_data = [stream](slice) { stream_receive(stream->get()); };
    stream_receive(stream->get());
  }
  std::mt19937 random(7);
  std::vector<size_t> sent(50);
  for (int round = 0; round < 200; round++) {
    int i = static_cast<int>(random() % 50);
    size_t len = 1 + random() % 5000;
    WriteAll(pairs[i]->theirs, std::string(len, static_cast<char>('0' + i)));
    sent[i] += len;
    loop.Turns(1);
  }
  for (int i = 0; i < 50; i++) {
    ASSERT_TRUE(loop.Until([&] { return streams[i]->received.size() == sent[i]; }));
    EXPECT_EQ(std::string(sent[i], static_cast<char>('0' + i)), streams[i]->received);
  }
}

// ---------------------------------------------------------------------------------------------
// Everything at once: a seeded storm of faults over an echo; every byte must come back.

std::vector<fault> RandomFaults(std::mt19937 &random) {
  const int kReceiving[] = {OP_RECV, OP_RECV_MULTISHOT, OP_RECVMSG, OP_RECVMSG_MULTISHOT};
  const int kPassing[] = {EINTR, EAGAIN, ENOMEM, ENOBUFS, ECANCELED};
  const int kEntering[] = {EINTR, EAGAIN, EBUSY, ENOMEM};
  auto upto = [&](unsigned most) { return 1 + static_cast<unsigned>(random() % most); };
  std::vector<fault> table;
  for (int i = 0; i < 40; i++) {
    int kind = random() % 2 == 0 ? kReceiving[random() % 4] : static_cast<int>(OP_SEND);
    table.push_back({kind, upto(60), upto(3), FAULT_ERRNO, kPassing[random() % 5], 0});
    table.push_back({kind, upto(60), upto(3), FAULT_LATE, static_cast<int>(upto(5)), 0});
    table.push_back({OP_SEND, upto(60), upto(3), FAULT_SHORT, static_cast<int>(upto(900)), 0});
    table.push_back({OP_CANCEL, upto(30), 1, FAULT_ERRNO, ENOENT, 0});
    table.push_back({OP_POLL, upto(10), 1, FAULT_ERRNO, EINTR, 0});
    table.push_back({FAULT_IN_ENTER, upto(200), 1, FAULT_ERRNO, kEntering[random() % 4], 0});
  }
  return table;
}

void EchoInAStorm(unsigned seed) {
  std::mt19937 random(seed);
  Loop loop(4);
  SocketPair pair(seed % 2 == 0);
  loop.SetFaults(RandomFaults(random));
  Stream stream(loop, pair.ReleaseOurs(), static_cast<int>(seed % 4), 8 << 20);
  stream.on_data = [&](slice data) {
    stream.Send(std::string(reinterpret_cast<const char *>(data.data), data.len));
    stream_receive(stream.get());
    if (random() % 4 == 0) {
      stream_pause(stream.get());
      stream_receive(stream.get());
    }
  };
  stream_receive(stream.get());
  std::string data = Pattern(400000);
  std::string echoed;
  std::atomic<bool> done{false};
  std::thread writer([&] { WriteAll(pair.theirs, data); });
  std::thread reader([&] {
    echoed = ReadAll(pair.theirs, data.size());
    done = true;
  });
  EXPECT_TRUE(loop.Until([&] { return done.load(); })) << seed;
  shutdown(pair.theirs, SHUT_RDWR);
  writer.join();
  reader.join();
  EXPECT_TRUE(echoed == data) << seed;
}

TEST(Stream, DoesEveryByteComeBackInAStormOfFaults) {
  for (unsigned seed = 0; seed < 16; seed++) {
    EchoInAStorm(seed);
  }
}
