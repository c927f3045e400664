// Answers on their way: what a client that does not read costs, and whom.
#include <thread>

#include "tests/unit/rpc/rpc_fixture.h"

namespace {

class Output : public Rpc {
 protected:
  static Answer Next(Client &client) {
    std::unique_ptr<Answer> answer = client.Receive();
    if (answer == nullptr) {
      ADD_FAILURE() << "the connection ended";
      return Answer();
    }
    return *answer;
  }

  // Nothing has run for a while, so nothing will.
  static int RanInTheEnd() {
    int ran = -1;
    while (ran != Load(&g_ran)) {
      ran = Load(&g_ran);
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return ran;
  }
};

TEST_F(Output, IsAClientThatNeverReadsNotListenedTo) {
  limits_.queued_bytes = 1 << 20;
  Client client = Connect();
  std::string value(10000, 'v');
  std::string all;
  for (uint32_t i = 0; i < 2000; i++) {
    all += RequestFrame(2 * i + 1, {"Echo", Any("", value)});
  }
  size_t taken = client.SendSome(all);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  for (size_t more = 1; more > 0; taken += more) {
    more = client.SendSome(all.substr(taken));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_LT(taken, all.size());
  EXPECT_LE(ceiling_used(&server_->shares.all.reply_bytes),
            limits_.queued_bytes + FRAME_HEADER_BYTES);
  int ran = RanInTheEnd();
  EXPECT_LT(ran, 500);

  // And when it reads after all, it goes on where it stopped.
  std::thread rest([&] { client.Send(all.substr(taken)); });
  for (uint32_t i = 0; i < 2000; i++) {
    std::unique_ptr<Answer> answer = client.Receive();
    ASSERT_NE(nullptr, answer);
    ASSERT_EQ(2 * i + 1, answer->stream_id);
    ASSERT_EQ(0, answer->code) << answer->message;
    ASSERT_EQ(value, answer->value);
  }
  rest.join();
  EXPECT_TRUE(Eventually([this] { return ceiling_used(&server_->shares.all.reply_bytes) == 0; }));
}

TEST_F(Output, DoesAClientThatNeverReadsDisturbNobody) {
  Client unread = Connect();
  std::string all;
  for (uint32_t i = 0; i < 20; i++) {
    all += RequestFrame(2 * i + 1, {"Big", Any("1000000")});
  }
  unread.SendSome(all);
  Client good = Connect();
  for (uint32_t id = 1; id < 200; id += 2) {
    EXPECT_EQ(0, good.Call(id, {id % 4 == 1 ? "Echo" : "Away"}).code);
  }
  unread.Close();
  good.Close();
  EXPECT_TRUE(AllGone());
}

TEST_F(Output, DoesAnAnswerPastTheQueueSayWhichLimit) {
  limits_.queued_bytes = 1 << 20;
  Client client = Connect();
  for (const char *method : {"Big", "BigAway"}) {
    Answer answer = client.Call(method[3] == 0 ? 1 : 3, {method, Any("2000000")});
    EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, answer.code);
    EXPECT_NE(std::string::npos, answer.message.find("\"queued_bytes\" (1048576)"))
        << answer.message;
  }
  EXPECT_EQ(1000000u, client.Call(5, {"Big", Any("1000000")}).value.size());
  EXPECT_EQ(1000000u, client.Call(7, {"BigAway", Any("1000000")}).value.size());
  client.Close();
  EXPECT_TRUE(AllGone());
}

TEST_F(Output, IsTheRestRefusedWhenSeveralAnswersAreTooMuch) {
  limits_.queued_bytes = 1 << 20;
  Client client = Connect();
  std::string all;
  for (uint32_t i = 0; i < 16; i++) {
    all += RequestFrame(2 * i + 1, {"Big", Any("500000")});  // all in one chunk
  }
  client.Send(all);
  int served = 0;
  for (int i = 0; i < 16; i++) {
    Answer answer = Next(client);
    served += answer.code == STATUS_OK ? 1 : 0;
    EXPECT_TRUE(answer.code == STATUS_OK || answer.code == STATUS_RESOURCE_EXHAUSTED);
  }
  EXPECT_GE(served, 2);
  EXPECT_LT(served, 16);
  EXPECT_EQ(0, client.Call(101, {"Echo"}).code);
}

TEST_F(Output, AreAnswersOfAllConnectionsLimited) {
  limits_.reply_bytes = 1 << 20;
  Client unread = Connect();
  unread.Send(RequestFrame(1, {"Big", Any("1000000")}));
  ASSERT_TRUE(Eventually([this] { return ceiling_used(&server_->shares.all.reply_bytes) > 0; }));
  Client good = Connect();
  for (const char *method : {"Big", "BigAway"}) {
    Answer answer = good.Call(method[3] == 0 ? 1 : 3, {method, Any("200000")});
    EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, answer.code);
    EXPECT_NE(std::string::npos, answer.message.find("\"reply_bytes\" (1048576)"))
        << answer.message;
  }
  EXPECT_EQ(0, good.Call(5, {"Echo"}).code);
  EXPECT_EQ(1000000u, Next(unread).value.size());
  ASSERT_TRUE(Eventually([this] { return ceiling_used(&server_->shares.all.reply_bytes) == 0; }));
  EXPECT_EQ(200000u, good.Call(7, {"Big", Any("200000")}).value.size());
}

TEST_F(Output, IsAFloodOfMistakesWithoutReadingCutOff) {
  limits_.queued_bytes = 64 << 10;
  Client client = Connect();
  std::string mistakes;
  for (int i = 0; i < 100000; i++) {
    mistakes += Frame(0, 1, "");
  }
  // It is either not listened to any more or closed; in any case it costs no memory.
  client.SendSome(mistakes);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  Client good = Connect();
  EXPECT_EQ(0, good.Call(1, {"Echo"}).code);
  client.Close();
  good.Close();
  EXPECT_TRUE(AllGone());
}

TEST_F(Output, DoAnswersOfOneTurnLeaveTogether) {
  Client client = Connect();
  std::string all;
  for (uint32_t i = 0; i < 50; i++) {
    all += RequestFrame(2 * i + 1, {"Echo"});
  }
  client.Send(all);
  char data[65536];
  ssize_t n = recv(client.fd(), data, sizeof(data), 0);
  EXPECT_EQ(50 * 10, n);
}

}  // namespace
