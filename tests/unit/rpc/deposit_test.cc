// What waits under tokens: for whom, how often, how long, and how many.
#include "server/rpc/deposit.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "tests/unit/rpc/rpc_fixture.h"

namespace {

class Deposits : public Rpc {
 protected:
  Deposits() {
    limits_.descriptor_tokens = 4;
    limits_.descriptor_tokens_per_owner = 3;
  }
  std::string Make(Client &client, const std::string &method = "TokenIn") {
    Answer answer = client.Call(Id(), {method});
    EXPECT_EQ(0, answer.code) << answer.message;
    EXPECT_EQ((size_t)DEPOSIT_TOKEN_BYTES, answer.value.size());
    return answer.value;
  }
  int CodeOf(Client &client, const std::string &method) {
    return client.Call(Id(), {method}).code;
  }
  bool Put(const std::string &token, const std::string &text) {
    int fd = FileWith(text);
    Client line = Connect();
    line.Send(TokenLine("put", token), {fd});
    close(fd);
    return line.ReceiveAll() == "OK\n";
  }
  std::string Get(const std::string &token) {
    std::vector<int> fds;
    Client line = Connect();
    line.Send(TokenLine("get", token));
    if (line.ReceiveAll(&fds) != "OK\n" || fds.size() != 1) {
      return "";
    }
    std::string text = ReadAll(fds[0]);
    close(fds[0]);
    return text;
  }
  Answer Take(Client &client, const std::string &token, const std::string &away = "") {
    return client.Call(Id(), {"TakeByToken" + away, Any("", token)});
  }
  uint32_t Id() {
    next_id_ += 2;
    return next_id_;
  }
  bool NoneLeft() {
    return Eventually([this] { return tenant_count(tenant_, QUOTA_DESCRIPTOR_TOKENS) == 0; });
  }
  uint32_t next_id_ = 1;
};

TEST_F(Deposits, DoesOneComeToItsClientWhereverItsCallsAre) {
  Client client = Connect();
  for (const char *made : {"", "Away"}) {
    for (const char *taken : {"", "Away"}) {
      std::string token = Make(client, std::string("TokenIn") + made);
      EXPECT_TRUE(Put(token, "brought"));
      EXPECT_EQ("brought", Take(client, token, taken).type_url);
    }
  }
  EXPECT_TRUE(NoneLeft());
}

TEST_F(Deposits, IsOneFetchedWhereverItWasLeft) {
  Client client = Connect();
  for (const char *method : {"TokenOut", "TokenOutAway"}) {
    EXPECT_EQ("gift", Get(Make(client, method)));
  }
  EXPECT_TRUE(NoneLeft());
}

TEST_F(Deposits, IsATokenGoodOnce) {
  Client client = Connect();
  std::string in = Make(client);
  EXPECT_TRUE(Put(in, "one"));
  EXPECT_FALSE(Put(in, "another")) << "what is there stays";
  EXPECT_EQ("one", Take(client, in).type_url);
  EXPECT_EQ(STATUS_NOT_FOUND, Take(client, in).code);
  EXPECT_FALSE(Put(in, "another"));
  std::string out = Make(client, "TokenOut");
  EXPECT_EQ("gift", Get(out));
  EXPECT_EQ("", Get(out));
}

TEST_F(Deposits, IsATokenForOneWayOnly) {
  Client client = Connect();
  std::string in = Make(client);
  std::string out = Make(client, "TokenOut");
  EXPECT_EQ("", Get(in));
  EXPECT_FALSE(Put(out, "intruder"));
  EXPECT_EQ(STATUS_NOT_FOUND, Take(client, out).code);
  EXPECT_EQ(STATUS_NOT_FOUND, Take(client, in).code) << "nothing is there yet";
  EXPECT_TRUE(Put(in, "all the same"));
  EXPECT_EQ("", Get(in));
  EXPECT_EQ("gift", Get(out));
  EXPECT_EQ("all the same", Take(client, in).type_url);
}

TEST_F(Deposits, IsAnotherClientsTokenNone) {
  Client client = Connect();
  Client other = Connect();
  std::string token = Make(client);
  EXPECT_TRUE(Put(token, "mine"));
  EXPECT_EQ(STATUS_NOT_FOUND, Take(other, token).code);
  EXPECT_EQ("mine", Take(client, token).type_url);
}

TEST_F(Deposits, IsEachGuessTheSame) {
  Client client = Connect();
  std::string token = Make(client);
  EXPECT_TRUE(Put(token, "mine"));
  for (size_t i = 0; i < token.size(); i++) {
    std::string guess = token;
    guess[i] = (char)(guess[i] ^ 1);
    EXPECT_EQ(STATUS_NOT_FOUND, Take(client, guess).code);
    EXPECT_EQ("", Get(guess));
    EXPECT_FALSE(Put(guess, "intruder"));
  }
  for (const std::string &guess : {std::string(), token.substr(1), token + "x"}) {
    EXPECT_EQ(STATUS_NOT_FOUND, Take(client, guess).code);
  }
  EXPECT_EQ("mine", Take(client, token).type_url);
}

TEST_F(Deposits, AreTheyGoneWithTheirClient) {
  Start();
  const size_t open = NumOpenFds();
  std::string in;
  std::string out;
  {
    Client client = Connect();
    in = Make(client);
    EXPECT_TRUE(Put(in, "left behind"));
    out = Make(client, "TokenOut");
    Make(client);
  }
  EXPECT_TRUE(NoneLeft());
  EXPECT_EQ("", Get(out));
  EXPECT_FALSE(Put(in, "late"));
  EXPECT_TRUE(AllGone());
  EXPECT_TRUE(Eventually([open] { return NumOpenFds() <= open; }));
}

TEST_F(Deposits, DoTheyExpireWhoeverMadeThem) {
  limits_.descriptor_token_millis = 100;
  Client client = Connect();
  ASSERT_EQ(0, client.Call(Id(), {"Echo"}).code);
  const size_t open = NumOpenFds();
  for (int round = 0; round < 3; round++) {  // timers are set again
    std::string out = Make(client, "TokenOutAway");
    std::string in = Make(client);
    EXPECT_TRUE(NoneLeft());
    EXPECT_EQ("", Get(out));
    EXPECT_FALSE(Put(in, "late"));
  }
  EXPECT_TRUE(Eventually([open] { return NumOpenFds() <= open; }));
  EXPECT_EQ(0, client.Call(Id(), {"Echo"}).code);
}

TEST_F(Deposits, DoesEachExpireThoughItsTimerWasSetForAnOlderOne) {
  limits_.descriptor_token_millis = 200;
  Client client = Connect();
  Make(client);
  usleep(100000);
  Make(client);
  EXPECT_TRUE(NoneLeft());
}

TEST_F(Deposits, IsWhatWasPutThereClosedWhenItExpires) {
  limits_.descriptor_token_millis = 2000;
  Client client = Connect();
  int ends[2];
  ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
  Client line = Connect();
  line.Send(TokenLine("put", Make(client)), {ends[1]});
  close(ends[1]);
  EXPECT_EQ("OK\n", line.ReceiveAll());
  char byte;
  EXPECT_EQ(0, read(ends[0], &byte, 1)) << "its last copy has gone";
  close(ends[0]);
  EXPECT_TRUE(NoneLeft());
}

TEST_F(Deposits, AreThereOnlySoMany) {
  Client client = Connect();
  std::vector<std::string> tokens;
  for (int i = 0; i < 3; i++) {
    tokens.push_back(Make(client));
  }
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, CodeOf(client, "TokenIn"));
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, CodeOf(client, "TokenOutAway"));
  EXPECT_TRUE(Put(tokens[0], "x"));
  EXPECT_EQ("x", Take(client, tokens[0]).type_url);
  Make(client);
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, CodeOf(client, "TokenIn"));
}

TEST_F(Deposits, IsOneThatWasDroppedGoneAtOnce) {
  Client client = Connect();
  ASSERT_EQ(0, client.Call(Id(), {"Echo"}).code);
  const size_t open = NumOpenFds();
  for (int i = 0; i < 10; i++) {
    EXPECT_EQ("", Get(Make(client, "TokenDropped")));
  }
  EXPECT_TRUE(NoneLeft());
  EXPECT_TRUE(Eventually([open] { return NumOpenFds() <= open; }));
}

// Clients that end while others put, fetch and take, and all of it expires at any moment.
TEST_F(Deposits, IsACrowdBorne) {
  limits_.descriptor_tokens = limits_.descriptor_tokens_per_owner = 64;
  limits_.descriptor_token_millis = 100;
  Start();
  std::atomic<int> fetched{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++) {
    threads.emplace_back([this, &fetched] {
      for (int i = 0; i < 40; i++) {
        Client client = Connect();
        std::string in = client.Call(1, {i % 2 == 0 ? "TokenIn" : "TokenInAway"}).value;
        std::string out = client.Call(3, {i % 2 == 0 ? "TokenOutAway" : "TokenOut"}).value;
        Put(in, "x");
        client.Send(RequestFrame(5, {"TakeByTokenAway", Any("", in)}));
        if (i % 3 == 0) {
          client.Close();
        }
        fetched += Get(out) == "gift" ? 1 : 0;
      }
    });
  }
  for (std::thread &thread : threads) {
    thread.join();
  }
  EXPECT_GT(fetched, 0);
  EXPECT_TRUE(NoneLeft());
  EXPECT_TRUE(AllGone());
}

TEST_F(Deposits, AreTheServersTimersGoneWithIt) {
  limits_.descriptor_token_millis = 100;
  Client client = Connect();
  Make(client);
  Make(client, "TokenOutAway");
  Stop();
  usleep(300000);  // the workers go on, and would meet what is set there
  EXPECT_EQ(0u, tenant_count(tenant_, QUOTA_DESCRIPTOR_TOKENS));
}

}  // namespace
