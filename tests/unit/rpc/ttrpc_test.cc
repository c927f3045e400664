// The protocol, to the letter: what every frame that may come is answered with.
#include <unistd.h>

#include <thread>

#include "tests/unit/rpc/rpc_fixture.h"

namespace {

class Ttrpc : public Rpc {
 protected:
  static Answer Next(Client &client) {
    std::unique_ptr<Answer> answer = client.Receive();
    if (answer == nullptr) {
      ADD_FAILURE() << "the connection ended";
      return Answer();
    }
    return *answer;
  }

  bool Parked(int num) {
    return Eventually([num] { return Load(&g_parked) == num; });
  }

  // Lets what was sent be received on its own.
  static void Pause() {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
};

// ---------------------------------------------------------------------------------------------
// Stream ids

TEST_F(Ttrpc, IsAnEvenStreamIdRefusedAndTheConnectionStays) {
  Client client = Connect();
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client.Call(2, {"Echo"}).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client.Call(0, {"Echo"}).code);
  EXPECT_EQ("stream id 4 is not odd", client.Call(4, {"Echo"}).message);
  EXPECT_EQ(0, client.Call(1, {"Echo"}).code);
}

TEST_F(Ttrpc, MustStreamIdsGrow) {
  Client client = Connect();
  EXPECT_EQ(0, client.Call(5, {"Echo"}).code);
  EXPECT_EQ("stream id 5 is not larger than the last one, 5", client.Call(5, {"Echo"}).message);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client.Call(3, {"Echo"}).code);
  EXPECT_EQ(0, client.Call(7, {"Echo"}).code);
  EXPECT_EQ(0, client.Call(UINT32_MAX, {"Echo"}).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client.Call(1, {"Echo"}).code);
}

TEST_F(Ttrpc, IsTheStreamIdOfACallInFlightNotFree) {
  Client client = Connect();
  client.Send(RequestFrame(1, {"Park"}));
  ASSERT_TRUE(Parked(1));
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client.Call(1, {"Echo"}).code);
  EXPECT_EQ(1, Load(&g_parked));
}

TEST_F(Ttrpc, DoesARefusedFrameTakeItsStreamIdAlong) {
  Client client = Connect();
  client.Send(Frame(5, 1, "", FRAME_REMOTE_OPEN));
  EXPECT_EQ(STATUS_UNIMPLEMENTED, Next(client).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client.Call(5, {"Echo"}).code);
}

// ---------------------------------------------------------------------------------------------
// Frames that are no unary request

TEST_F(Ttrpc, IsAStreamingRequestUnimplemented) {
  Client client = Connect();
  client.Send(Frame(1, 1, Envelope({"Echo"}), FRAME_REMOTE_OPEN));
  EXPECT_EQ(STATUS_UNIMPLEMENTED, Next(client).code);
  client.Send(Frame(3, 1, Envelope({"Echo"}), FRAME_REMOTE_OPEN | FRAME_NO_DATA));
  EXPECT_EQ(STATUS_UNIMPLEMENTED, Next(client).code);
  client.Send(Frame(5, 1, Envelope({"Echo"}), FRAME_REMOTE_CLOSED));
  EXPECT_EQ(STATUS_OK, Next(client).code);
}

TEST_F(Ttrpc, IsDataForNoStreamRefused) {
  Client client = Connect();
  client.Send(Frame(1, 3, "data") + Frame(0, 3, "", 5));
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Next(client).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Next(client).code);
  EXPECT_EQ(0, client.Call(1, {"Echo"}).code);
}

TEST_F(Ttrpc, DoesDataEndAUnaryCallWithOneAnswer) {
  Client client = Connect();
  for (uint32_t id : {1u, 3u}) {
    client.Send(RequestFrame(id, {id == 1 ? "Park" : "ParkAway"}));
    ASSERT_TRUE(Parked(1));
    client.Send(Frame(id, 3, "data") + Frame(id, 3, "", 5));
    Answer answer = Next(client);
    EXPECT_EQ(id, answer.stream_id);
    EXPECT_EQ(STATUS_INVALID_ARGUMENT, answer.code);
    ASSERT_TRUE(Parked(0));
    if (!client.Silent(20)) {
      EXPECT_EQ(STATUS_INVALID_ARGUMENT, Next(client).code);  // the second frame found no call
    }
  }
}

TEST_F(Ttrpc, AreUnknownTypesIgnored) {
  Client client = Connect();
  for (int type = 0; type < 256; type++) {
    if (type != 1 && type != 3) {
      client.Send(Frame(1, (uint8_t)type, "whatever this is"));
    }
  }
  EXPECT_EQ(0, client.Call(1, {"Echo"}).code);
  EXPECT_TRUE(client.Silent());
}

TEST_F(Ttrpc, AreUnknownFlagsIgnored) {
  Client client = Connect();
  client.Send(Frame(1, 1, Envelope({"Echo"}), 0xf8));
  EXPECT_EQ(STATUS_OK, Next(client).code);
}

// ---------------------------------------------------------------------------------------------
// Lengths

TEST_F(Ttrpc, IsAFramePastTheLimitDiscardedAsItComes) {
  limits_.frame_bytes = 10000;
  Client client = Connect();
  std::string too_large = RequestFrame(1, {"Echo", Any("", std::string(3 << 20, 'x'))});
  client.Send(too_large.substr(0, 10));
  Answer answer = Next(client);  // known from the header alone
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, answer.code);
  EXPECT_EQ("a frame of " + std::to_string(too_large.size() - 10) +
                " bytes is larger than limit \"frame_bytes\" (10000)",
            answer.message);
  client.Send(too_large.substr(10) + RequestFrame(3, {"Echo", Any("after")}));
  EXPECT_EQ("after", Next(client).type_url);
  EXPECT_EQ(0u, ceiling_used(&server_->shares.all.request_bytes));
}

TEST_F(Ttrpc, IsTheLargestLengthAHeaderCanHaveDiscardedToo) {
  Client client = Connect();
  client.Send(Header(0xffffff, 1, 1));
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, Next(client).code);
  client.Send(std::string(0xffffff, 'x'));
  EXPECT_EQ(0, client.Call(3, {"Echo"}).code);
}

TEST_F(Ttrpc, DoesAFrameOfTheLimitGetThrough) {
  limits_.frame_bytes = 10000;
  Client client = Connect();
  std::string empty = Envelope({"Echo", Any("", std::string(9900, 'x'))});
  std::string value(9900 + 10000 - empty.size(), 'x');
  std::string exact = RequestFrame(1, {"Echo", Any("", value)});
  ASSERT_EQ(10010u, exact.size());
  client.Send(exact);
  EXPECT_EQ(value, Next(client).value);
  client.Send(RequestFrame(3, {"Echo", Any("", value + "x")}));
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, Next(client).code);
}

TEST_F(Ttrpc, DoesALargeRequestGetThroughInManyChunks) {
  Client client = Connect();
  std::string value((4 << 20) - 100, 'v');
  EXPECT_EQ(value, client.Call(1, {"Echo", Any("", value)}).value);
  EXPECT_EQ(value, client.Call(3, {"Away", Any("", value)}).value);
}

TEST_F(Ttrpc, IsALengthThatLiesInsideTheFrameRefused) {
  Client client = Connect();
  std::string envelope = Envelope({"Echo", Any("type")});
  envelope[1] = 127;  // the service's length
  client.Send(Frame(1, 1, envelope));
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Next(client).code);
  EXPECT_EQ(0, client.Call(3, {"Echo"}).code);
}

TEST_F(Ttrpc, AreBytesOfRequestsLimitedBeforeTheyAreStored) {
  limits_.request_bytes = 1 << 20;
  Client one = Connect();
  Client two = Connect();
  one.Send(Header(1000000, 1, 1) + "the rest comes late");
  ASSERT_TRUE(
      Eventually([this] { return ceiling_used(&server_->shares.all.request_bytes) == 1000000; }));
  std::string value(100000, 'v');
  two.Send(RequestFrame(1, {"Echo", Any("", value)}));
  Answer answer = Next(two);
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, answer.code);
  EXPECT_NE(std::string::npos, answer.message.find("\"request_bytes\" (1048576)"));
  EXPECT_EQ("small", two.Call(3, {"Echo", Any("small")}).type_url);
  one.Close();
  ASSERT_TRUE(Eventually([this] { return ceiling_used(&server_->shares.all.request_bytes) == 0; }));
  EXPECT_EQ(value, two.Call(5, {"Echo", Any("", value)}).value);
}

TEST_F(Ttrpc, AreBytesOfARequestHeldUntilItsCallHasEnded) {
  Client client = Connect();
  client.Send(RequestFrame(1, {"ParkAway", Any("", std::string(5000, 'x'))}));
  ASSERT_TRUE(Parked(1));
  EXPECT_GT(ceiling_used(&server_->shares.all.request_bytes), 5000u);
  client.Close();
  EXPECT_TRUE(AllGone());
}

// ---------------------------------------------------------------------------------------------
// Torn frames

TEST_F(Ttrpc, DoesATornFrameReachItsHandlerWhereverItIsTorn) {
  Client client = Connect();
  uint32_t id = 1;
  size_t size = RequestFrame(1, {"Echo", Any("torn", "apart")}).size();
  for (size_t cut = 1; cut < size; cut++, id += 2) {
    std::string frame = RequestFrame(id, {"Echo", Any("torn", "apart")});
    client.Send(frame.substr(0, cut));
    Pause();
    client.Send(frame.substr(cut));
    Answer answer = Next(client);
    ASSERT_EQ(id, answer.stream_id);
    ASSERT_EQ("torn", answer.type_url);
  }
}

TEST_F(Ttrpc, DoesAByteAtATimeDo) {
  Client client = Connect();
  for (char c : RequestFrame(1, {"Echo", Any("slow")}) + RequestFrame(3, {"Away", Any("slow")})) {
    client.Send(std::string(1, c));
  }
  EXPECT_EQ("slow", Next(client).type_url);
  EXPECT_EQ("slow", Next(client).type_url);
}

// ---------------------------------------------------------------------------------------------
// Whose descriptors

class TtrpcFds : public Ttrpc {
 protected:
  void SetUp() override {
    Ttrpc::SetUp();
    one_ = FileWith("one");
    two_ = FileWith("two");
  }
  void TearDown() override {
    close(one_);
    close(two_);
    Ttrpc::TearDown();
  }
  int one_;
  int two_;
};

TEST_F(TtrpcFds, DoTheyBelongToTheFrameTheyWereSentWith) {
  Client client = Connect();
  client.Send(RequestFrame(1, {"Fds"}), {one_});
  client.Send(RequestFrame(3, {"Fds"}));
  client.Send(RequestFrame(5, {"Fds"}), {two_, one_});
  EXPECT_EQ("one;", Next(client).type_url);
  EXPECT_EQ("", Next(client).type_url);
  EXPECT_EQ("two;one;", Next(client).type_url);
}

TEST_F(TtrpcFds, DoTheyBelongToTheLastFrameThatBeginsInTheirChunk) {
  Client client = Connect();
  client.Send(RequestFrame(1, {"Fds"}) + RequestFrame(3, {"Fds"}) + RequestFrame(5, {"Fds"}),
              {one_});
  EXPECT_EQ("", Next(client).type_url);
  EXPECT_EQ("", Next(client).type_url);
  EXPECT_EQ("one;", Next(client).type_url);
}

TEST_F(TtrpcFds, DoTheyWaitForATornFrameWhereverItIsTorn) {
  Client client = Connect();
  uint32_t id = 1;
  size_t size = RequestFrame(1, {"Fds"}).size();
  for (size_t cut = 1; cut < size; cut++, id += 2) {
    std::string frame = RequestFrame(id, {"Fds"});
    client.Send(frame.substr(0, cut), {one_});
    Pause();
    client.Send(frame.substr(cut), {two_});
    ASSERT_EQ("one;two;", Next(client).type_url) << cut;
  }
}

TEST_F(TtrpcFds, DoTheyBelongToAFrameWhoseBeginningEndsTheirChunk) {
  Client client = Connect();
  std::string second = RequestFrame(3, {"Fds"});
  client.Send(RequestFrame(1, {"Fds"}) + second.substr(0, 3), {one_});
  EXPECT_EQ("", Next(client).type_url);
  client.Send(second.substr(3));
  EXPECT_EQ("one;", Next(client).type_url);
}

TEST_F(TtrpcFds, DoThoseOfALateChunkBelongToTheFrameItContinues) {
  Client client = Connect();
  std::string first = RequestFrame(1, {"Fds", Any("", std::string(100, 'x'))});
  client.Send(first.substr(0, 50));
  Pause();
  client.Send(first.substr(50, 20), {one_});
  Pause();
  client.Send(first.substr(70));
  EXPECT_EQ("one;", Next(client).type_url);
}

TEST_F(TtrpcFds, AreThoseOfALargeRequestThere) {
  Client client = Connect();
  EXPECT_EQ("one;two;",
            client.Call(1, {"Fds", Any("", std::string(1000000, 'x'))}, {one_, two_}).type_url);
}

TEST_F(TtrpcFds, AreThoseOfARefusedFrameClosed) {
  Client client = Connect();
  EXPECT_EQ(0, client.Call(1, {"Echo"}).code);
  size_t open = NumOpenFds();
  client.Send(Frame(1, 1, "reused id"), {one_, two_});
  client.Send(Frame(7, 3, "data"), {one_});
  client.Send(Frame(7, 77, "unknown"), {one_});
  client.Send(Frame(9, 1, "\xff"), {one_});
  client.Send(Header(0xffffff, 11, 1), {one_});
  for (int i = 0; i < 4; i++) {
    EXPECT_NE(0, Next(client).code);
  }
  EXPECT_TRUE(Eventually([open] { return NumOpenFds() == open; }));
  EXPECT_EQ(0u, ceiling_used(&server_->shares.all.descriptors));
}

TEST_F(TtrpcFds, AreThoseOfAHalfFrameClosedWithTheConnection) {
  Client client = Connect();
  EXPECT_EQ(0, client.Call(1, {"Echo"}).code);
  size_t open = NumOpenFds();
  client.Send(RequestFrame(3, {"Fds"}).substr(0, 5), {one_, two_});
  ASSERT_TRUE(Eventually([this] { return ceiling_used(&server_->shares.all.descriptors) == 2; }));
  client.Close();
  EXPECT_TRUE(AllGone());
  EXPECT_TRUE(Eventually([open] { return NumOpenFds() <= open - 2; }));
}

TEST_F(TtrpcFds, AreTooManyInPiecesTooMany) {
  Client client = Connect();
  std::string frame = RequestFrame(1, {"LeaveFds"});
  client.Send(frame.substr(0, 5), std::vector<int>(10, one_));
  Pause();
  client.Send(frame.substr(5), std::vector<int>(7, one_));
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Next(client).code);
  EXPECT_EQ(0u, ceiling_used(&server_->shares.all.descriptors));
}

}  // namespace
