#include "server/rpc/call.h"

#include <unistd.h>

#include <map>
#include <random>
#include <thread>

#include "tests/unit/rpc/rpc_fixture.h"

namespace {

constexpr int64_t kMilli = 1000000;

class Call : public Rpc {
 protected:
  bool Parked(int num) {
    return Eventually([num] { return Load(&g_parked) == num; });
  }
};

// Tests of what must be the same on home and away take the method's suffix.
class CallAnywhere : public Call, public testing::WithParamInterface<std::string> {
 protected:
  std::string Here(const std::string &method) {
    return method + GetParam();
  }
};
INSTANTIATE_TEST_SUITE_P(Where, CallAnywhere, testing::Values("", "Away"),
                         [](const testing::TestParamInfo<std::string> &where) {
                           return where.param.empty() ? "Home" : where.param;
                         });

// ---------------------------------------------------------------------------------------------
// Answers

TEST_F(Call, DoesAnythingGetThroughAtAll) {
  Client client = Connect();
  Answer answer = client.Call(1, {"Echo", Any("hello", "world")});
  EXPECT_EQ(0, answer.code) << answer.message;
  EXPECT_EQ("hello", answer.type_url);
  EXPECT_EQ("world", answer.value);
}

TEST_F(Call, DoesACallThatMovedGetThrough) {
  Client client = Connect();
  Answer answer = client.Call(1, {"Away", Any("hello", "world")});
  EXPECT_EQ(0, answer.code) << answer.message;
  EXPECT_EQ("hello", answer.type_url);
  EXPECT_EQ("world", answer.value);
}

TEST_F(Call, IsAnEmptyAnswerAnAnswer) {
  Client client = Connect();
  EXPECT_EQ(0, client.Call(1, {"Echo"}).code);
  EXPECT_EQ(0, client.Call(3, {"Away"}).code);
}

TEST_P(CallAnywhere, DoesAFailureSayWhy) {
  Client client = Connect();
  Answer answer = client.Call(1, {Here("Fail"), Any("there is no such thing")});
  EXPECT_EQ(STATUS_NOT_FOUND, answer.code);
  EXPECT_EQ("there is no such thing", answer.message);
  EXPECT_EQ(0, client.Call(3, {"Echo"}).code);
}

TEST_P(CallAnywhere, IsASentenceThatIsNotUtf8StillAnAnswer) {
  Client client = Connect();
  EXPECT_EQ("bad ? byte", client.Call(1, {Here("Fail"), Any("", "bad \xff byte")}).message);
}

TEST_P(CallAnywhere, IsAnAnswerLargerThanAFrameRefused) {
  limits_.queued_bytes = 16 << 20;
  Client client = Connect();
  EXPECT_EQ(4000000u, client.Call(1, {Here("Big"), Any("4000000")}).value.size());
  Answer answer = client.Call(3, {Here("Big"), Any("4194304")});
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, answer.code);
  EXPECT_NE(std::string::npos, answer.message.find("larger than a frame")) << answer.message;
}

TEST_F(Call, DoAnswersComeOutOfOrder) {
  Client client = Connect();
  client.Send(RequestFrame(1, {"Park"}) + RequestFrame(3, {"ParkAway"}) +
              RequestFrame(5, {"Echo", Any("first")}));
  std::unique_ptr<Answer> answer = client.Receive();
  ASSERT_NE(nullptr, answer);
  EXPECT_EQ(5u, answer->stream_id);
}

TEST_F(Call, DoesEveryPipelinedCallGetItsOwnAnswer) {
  limits_.calls_per_connection = 1000;
  Client client = Connect();
  std::string all;
  for (uint32_t i = 0; i < 500; i++) {
    std::string method = i % 2 == 0 ? "Echo" : "Away";
    all += RequestFrame(2 * i + 1, {method, Any(std::to_string(i), std::string(i, 'v'))});
  }
  client.Send(all);
  std::map<uint32_t, int> seen;
  for (int i = 0; i < 500; i++) {
    std::unique_ptr<Answer> answer = client.Receive();
    ASSERT_NE(nullptr, answer);
    ASSERT_EQ(0, answer->code) << answer->message;
    uint32_t index = answer->stream_id / 2;
    EXPECT_EQ(std::to_string(index), answer->type_url);
    EXPECT_EQ(index, answer->value.size());
    EXPECT_EQ(1, ++seen[index]);
  }
  EXPECT_TRUE(client.Silent());
}

TEST_F(Call, DoesTheArenaHaveRoomForTheHandlerAndACeiling) {
  Client client = Connect();
  EXPECT_EQ("true", client.Call(1, {"Hog", Any("8000000")}).type_url);
  EXPECT_EQ("false", client.Call(3, {"Hog", Any("9000000")}).type_url);
}

// ---------------------------------------------------------------------------------------------
// Deadlines

TEST_P(CallAnywhere, DoesADeadlineEndACallThatWaits) {
  Client client = Connect();
  Answer answer = client.Call(1, {Here("Park"), "", 20 * kMilli});
  EXPECT_EQ(STATUS_DEADLINE_EXCEEDED, answer.code);
  EXPECT_EQ("the deadline has passed", answer.message);
  EXPECT_EQ(1, Load(&g_told));
  EXPECT_EQ(0, client.Call(3, {"Echo"}).code);
}

TEST_P(CallAnywhere, IsTheAnswerOfOneThatDidNotListenReplaced) {
  Client client = Connect();
  Answer answer = client.Call(1, {Here("Deaf"), Any("60"), 10 * kMilli});
  EXPECT_EQ(STATUS_DEADLINE_EXCEEDED, answer.code);
  EXPECT_EQ("", answer.type_url);
}

TEST_P(CallAnywhere, IsACallInTimeLeftAlone) {
  Client client = Connect();
  Answer answer = client.Call(1, {Here("Deaf"), Any("10"), 10000 * kMilli});
  EXPECT_EQ(0, answer.code);
  EXPECT_EQ("rested", answer.type_url);
}

TEST_F(Call, IsOneThatIsLateBeforeItStartsNotStarted) {
  Client client = Connect();
  EXPECT_EQ(STATUS_DEADLINE_EXCEEDED, client.Call(1, {"Echo", "", -1}).code);
  EXPECT_EQ(STATUS_DEADLINE_EXCEEDED, client.Call(3, {"Echo", "", INT64_MIN}).code);
  EXPECT_EQ(0, Load(&g_ran));
}

TEST_F(Call, DoesAHandlerKnowItsDeadline) {
  Client client = Connect();
  EXPECT_EQ("never", client.Call(1, {"Deadline"}).type_url);
  int left = atoi(client.Call(3, {"Deadline", "", 60000 * kMilli}).type_url.c_str());
  EXPECT_GT(left, 1000);
  EXPECT_LE(left, 60000);
  EXPECT_NE("", client.Call(5, {"Deadline", "", INT64_MAX}).type_url);
}

TEST_F(Call, IsOneThatIsLateOnItsWayToldOnArrival) {
  Client client = Connect();
  client.Send(RequestFrame(1, {"BusyAway", Any("60")}));
  ASSERT_TRUE(Parked(1));
  client.Send(RequestFrame(3, {"ParkAway", "", 5 * kMilli}));
  std::map<uint32_t, Answer> answers;
  for (int i = 0; i < 2; i++) {
    std::unique_ptr<Answer> answer = client.Receive();
    ASSERT_NE(nullptr, answer);
    answers[answer->stream_id] = *answer;
  }
  EXPECT_EQ("free again", answers[1].type_url);
  EXPECT_EQ(STATUS_DEADLINE_EXCEEDED, answers[3].code);
  EXPECT_EQ(1, Load(&g_told));
}

TEST_P(CallAnywhere, DoManyDeadlinesLeaveNothing) {
  Client client = Connect();
  for (uint32_t id = 1; id < 40; id += 2) {
    EXPECT_EQ(STATUS_DEADLINE_EXCEEDED, client.Call(id, {Here("Park"), "", kMilli}).code);
  }
  client.Close();
  EXPECT_TRUE(AllGone());
}

// ---------------------------------------------------------------------------------------------
// Cancelling

TEST_P(CallAnywhere, DoesACancelEndACallThatWaits) {
  Client client = Connect();
  client.Send(RequestFrame(1, {Here("Park")}));
  ASSERT_TRUE(Parked(1));
  client.Send(RequestFrame(3, {"Cancel", Any("1")}));
  std::map<uint32_t, Answer> answers;
  for (int i = 0; i < 2; i++) {
    std::unique_ptr<Answer> answer = client.Receive();
    ASSERT_NE(nullptr, answer);
    answers[answer->stream_id] = *answer;
  }
  EXPECT_EQ(STATUS_CANCELLED, answers[1].code);
  EXPECT_EQ("cancelled by the client", answers[1].message);
  EXPECT_EQ("true", answers[3].type_url);
}

TEST_P(CallAnywhere, IsAReplyAfterTheCancelReplacedAndItsDescriptorClosed) {
  size_t open = 0;
  Client client = Connect();
  EXPECT_EQ(0, client.Call(1, {"Echo"}).code);
  open = NumOpenFds();
  client.Send(RequestFrame(3, {Here("Answers")}));
  ASSERT_TRUE(Parked(1));
  client.Send(RequestFrame(5, {"Cancel", Any("3")}));
  for (int i = 0; i < 2; i++) {
    std::unique_ptr<Answer> answer = client.Receive();
    ASSERT_NE(nullptr, answer);
    EXPECT_TRUE(answer->fds.empty());
    EXPECT_EQ(answer->stream_id == 3 ? STATUS_CANCELLED : STATUS_OK, answer->code);
  }
  EXPECT_TRUE(Eventually([open] { return NumOpenFds() == open; }));
}

TEST_F(Call, IsThereNothingToCancelWhereNothingIs) {
  Client client = Connect();
  EXPECT_EQ(0, client.Call(1, {"Echo"}).code);
  EXPECT_EQ("false", client.Call(3, {"Cancel", Any("1")}).type_url);   // is over
  EXPECT_EQ("false", client.Call(5, {"Cancel", Any("99")}).type_url);  // never was
  EXPECT_EQ("false", client.Call(7, {"Cancel", Any("7")}).type_url);   // itself
}

TEST_F(Call, DoesACancelReachOnlyTheOwnConnection) {
  Client one = Connect();
  Client two = Connect();
  one.Send(RequestFrame(1, {"Park"}));
  ASSERT_TRUE(Parked(1));
  EXPECT_EQ("false", two.Call(3, {"Cancel", Any("1")}).type_url);
  EXPECT_EQ(1, Load(&g_parked));
}

TEST_P(CallAnywhere, IsASecondCancelHarmless) {
  Client client = Connect();
  client.Send(RequestFrame(1, {Here("Deaf"), Any("50")}));
  ASSERT_TRUE(Parked(1));
  EXPECT_EQ("true", client.Call(3, {"Cancel", Any("1")}).type_url);
  EXPECT_EQ("true", client.Call(5, {"Cancel", Any("1")}).type_url);
  std::unique_ptr<Answer> answer = client.Receive();
  ASSERT_NE(nullptr, answer);
  EXPECT_EQ(STATUS_CANCELLED, answer->code);
}

// ---------------------------------------------------------------------------------------------
// Lost connections

TEST_P(CallAnywhere, DoesALostConnectionCancelItsCalls) {
  Client client = Connect();
  client.Send(RequestFrame(1, {Here("Park")}) + RequestFrame(3, {Here("Park")}));
  ASSERT_TRUE(Parked(2));
  client.Close();
  EXPECT_TRUE(Parked(0));
  EXPECT_EQ(2, Load(&g_told));
  EXPECT_TRUE(AllGone());
}

TEST_P(CallAnywhere, DoesACallThatDoesNotListenEndInPeace) {
  Client client = Connect();
  client.Send(RequestFrame(1, {Here("Deaf"), Any("30")}));
  ASSERT_TRUE(Parked(1));
  client.Close();
  EXPECT_TRUE(Parked(0));
  EXPECT_TRUE(AllGone());
}

TEST_P(CallAnywhere, IsAReplyToNobodyDropped) {
  size_t open = 0;
  Client client = Connect();
  EXPECT_EQ(0, client.Call(1, {"Echo"}).code);
  client.Send(RequestFrame(3, {Here("Answers")}));
  ASSERT_TRUE(Parked(1));
  open = NumOpenFds();
  client.Close();
  EXPECT_TRUE(Parked(0));
  EXPECT_TRUE(AllGone());
  EXPECT_TRUE(Eventually([open] { return NumOpenFds() <= open - 2; }));
}

// ---------------------------------------------------------------------------------------------
// Descriptors

TEST_P(CallAnywhere, DoDescriptorsArriveWithTheCall) {
  Client client = Connect();
  std::vector<int> fds = {FileWith("one"), FileWith("two")};
  EXPECT_EQ("one;two;", client.Call(1, {Here("Fds")}, fds).type_url);
  close(fds[0]);
  close(fds[1]);
}

TEST_F(Call, AreDescriptorsThatNobodyTookClosed) {
  Client client = Connect();
  int fd = FileWith("unwanted");
  EXPECT_EQ(0, client.Call(1, {"Echo"}).code);
  size_t open = NumOpenFds();
  EXPECT_EQ("3", client.Call(3, {"LeaveFds"}, {fd, fd, fd}).type_url);
  EXPECT_TRUE(Eventually([open] { return NumOpenFds() == open; }));
  EXPECT_EQ(0u, ceiling_used(&server_->shares.all.descriptors));
  close(fd);
}

TEST_F(Call, DoesADescriptorTravelWithTheAnswer) {
  Client client = Connect();
  uint32_t id = 1;
  for (const char *method : {"GiveFd", "GiveAway"}) {
    Answer answer = client.Call(id, {method});
    id += 2;
    EXPECT_EQ("here", answer.type_url);
    ASSERT_EQ(1u, answer.fds.size()) << method;
    EXPECT_EQ("gift", ReadAll(answer.fds[0]));
    close(answer.fds[0]);
  }
}

// ---------------------------------------------------------------------------------------------
// Everything at once

class CallStress : public Call {
 protected:
  CallStress() {
    limits_.calls_per_connection = 4096;
  }

  // One client that starts calls of every kind, with deadlines and cancels, and may leave at any
  // time.
  void BeAClient(unsigned seed) {
    static const char *const kMethods[] = {"Echo", "Away",     "Park", "ParkAway",    "Answers",
                                           "Deaf", "DeafAway", "Fail", "AnswersAway", "GiveAway"};
    std::mt19937 random(seed);
    Client client = Connect();
    uint32_t id = 1;
    for (int i = 0; i < 60; i++, id += 2) {
      const char *method = kMethods[random() % 10];
      int64_t timeout = (int64_t)(1 + random() % 3000) * 1000;
      client.Send(RequestFrame(id, {method, Any(std::to_string(random() % 3)), timeout}));
      if (random() % 3 == 0) {
        client.Send(
            RequestFrame(id + 2, {"Cancel", Any(std::to_string(1 + 2 * (random() % (i + 1))))}));
        id += 2;
      }
    }
    unsigned answers = random() % 2 == 0 ? id / 2 : random() % (id / 2);
    for (unsigned i = 0; i < answers; i++) {
      std::unique_ptr<Answer> answer = client.Receive();
      ASSERT_NE(nullptr, answer);
      for (int fd : answer->fds) {
        close(fd);
      }
    }
  }
};

TEST_F(CallStress, DoesEveryCallEndWhateverHappens) {
  Start();
  size_t open = NumOpenFds();
  for (unsigned round = 0; round < 10; round++) {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 8; i++) {
      threads.emplace_back([this, round, i] { BeAClient(round * 8 + i); });
    }
    for (std::thread &thread : threads) {
      thread.join();
    }
  }
  EXPECT_TRUE(AllGone());
  EXPECT_EQ(0, Load(&g_parked));
  EXPECT_TRUE(Eventually([open] { return NumOpenFds() <= open; }));
}

}  // namespace
