// The line that puts or gets a descriptor: torn, wrong, late, with too many descriptors or too few.
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/rpc/rpc_fixture.h"

namespace {

class Token : public Rpc {
 protected:
  // The next use of a token of that method's.
  std::string Make(const std::string &method = "TokenIn") {
    if (client_ == nullptr) {
      client_.reset(new Client(Connect()));
    }
    next_id_ += 2;
    Answer answer = client_->Call(next_id_, {method});
    EXPECT_EQ(0, answer.code) << answer.message;
    return answer.value;
  }
  std::string Take(const std::string &token) {
    next_id_ += 2;
    return client_->Call(next_id_, {"TakeByToken", Any("", token)}).type_url;
  }
  std::string Say(const std::string &line, const std::vector<int> &fds = {},
                  std::vector<int> *came = nullptr) {
    Client speaker = Connect();
    speaker.Send(line, fds);
    return speaker.ReceiveAll(came);
  }
  // An answer that says why not, in one line.
  static void ExpectRefused(const std::string &answer, const std::string &word) {
    EXPECT_EQ(0u, answer.find("ERR ")) << answer;
    EXPECT_EQ(answer.size() - 1, answer.find('\n')) << answer;
    EXPECT_NE(std::string::npos, answer.find(word)) << answer;
  }
  void ExpectSameUsable(const std::string &token) {
    int fd = FileWith("still good");
    EXPECT_EQ("OK\n", Say(TokenLine("put", token), {fd}));
    close(fd);
    EXPECT_EQ("still good", Take(token));
  }
  std::unique_ptr<Client> client_;
  uint32_t next_id_ = 1;
};

TEST_F(Token, IsALineTornAtEveryByteALine) {
  int fd = FileWith("torn");
  for (size_t at = 1; at < TOKEN_LINE_LEN; at++) {
    std::string token = Make();
    std::string line = TokenLine("put", token);
    ASSERT_EQ((size_t)TOKEN_LINE_LEN, line.size());
    Client speaker = Connect();
    const bool first = at % 2 == 0;
    speaker.Send(line.substr(0, at), first ? std::vector<int>{fd} : std::vector<int>());
    speaker.Send(line.substr(at), first ? std::vector<int>() : std::vector<int>{fd});
    EXPECT_EQ("OK\n", speaker.ReceiveAll());
    EXPECT_EQ("torn", Take(token));
  }
  close(fd);
}

TEST_F(Token, IsALineThatComesByteByByteALine) {
  std::string line = TokenLine("get", Make("TokenOut"));
  std::vector<int> fds;
  Client speaker = Connect();
  for (char byte : line) {
    speaker.Send(std::string(1, byte));
  }
  EXPECT_EQ("OK\n", speaker.ReceiveAll(&fds));
  ASSERT_EQ(1u, fds.size());
  EXPECT_EQ("gift", ReadAll(fds[0]));
  close(fds[0]);
}

TEST_F(Token, IsGarbageRefusedAndNothingUsedUp) {
  std::string token = Make();
  std::string good = TokenLine("put", token);
  std::string other_verb = good;
  other_verb.replace(6, 3, "pot");
  std::string not_hex = good;
  not_hex[20] = 'g';
  std::string small = good;
  small[0] = 't';
  int fd = FileWith("x");
  for (const std::string &line :
       {other_verb, not_hex, good.substr(0, good.size() - 1) + "x", good + "x", good + good,
        std::string("T\n"), std::string("TOKEN put \n"), std::string("TRACE / HTTP/1.1\r\n\r\n"),
        std::string(1000, 'T'), std::string("TOKEN put ") + std::string(33, '0') + "\n",
        std::string("TOKEN put ") + std::string(31, '0') + "\n"}) {
    ExpectRefused(Say(line, {fd}), "32 hexadecimal digits");
  }
  EXPECT_EQ("", Say(small, {fd})) << "another protocol, which there is not";
  close(fd);
  ExpectSameUsable(token);
}

TEST_F(Token, IsPutWithoutOneDescriptorRefused) {
  std::string token = Make();
  ExpectRefused(Say(TokenLine("put", token)), "one descriptor");
  int fd = FileWith("x");
  ExpectRefused(Say(TokenLine("put", token), {fd, fd}), "one descriptor");
  ExpectRefused(Say(TokenLine("put", token), std::vector<int>(17, fd)), "more than 16");
  close(fd);
  ExpectSameUsable(token);
}

TEST_F(Token, IsGetWithADescriptorRefused) {
  std::string token = Make("TokenOut");
  int fd = FileWith("x");
  ExpectRefused(Say(TokenLine("get", token), {fd}), "takes no descriptor");
  close(fd);
  std::vector<int> fds;
  EXPECT_EQ("OK\n", Say(TokenLine("get", token), {}, &fds));
  ASSERT_EQ(1u, fds.size());
  close(fds[0]);
}

TEST_F(Token, IsEveryTokenThatIsNoneRefusedInTheSameWords) {
  std::string used = Make("TokenOut");
  std::string in = Make();
  std::vector<int> fds;
  EXPECT_EQ("OK\n", Say(TokenLine("get", used), {}, &fds));
  close(fds.at(0));
  std::string unknown = Say(TokenLine("get", std::string(16, 'x')));
  ExpectRefused(unknown, "no such token");
  EXPECT_EQ(unknown, Say(TokenLine("get", used)));
  EXPECT_EQ(unknown, Say(TokenLine("get", in)));
  int fd = FileWith("x");
  EXPECT_EQ(unknown, Say(TokenLine("put", std::string(16, 'x')), {fd}));
  close(fd);
}

TEST_F(Token, DoCapitalLettersCount) {
  std::string token = Make();
  std::string line = TokenLine("put", token);
  for (char &c : line) {
    c = c >= 'a' && c <= 'f' ? (char)(c - 'a' + 'A') : c;
  }
  int fd = FileWith("capital");
  EXPECT_EQ("OK\n", Say(line, {fd}));
  close(fd);
  EXPECT_EQ("capital", Take(token));
}

TEST_F(Token, IsALineThatNeverEndsWaitedForOnlySoLong) {
  limits_.request_millis = 100;
  uint64_t before = counter_read(COUNTER_requests_unfinished);
  std::string line = TokenLine("put", Make());
  int fd = FileWith("x");
  for (size_t len : {1u, 20u, (unsigned)TOKEN_LINE_LEN - 1}) {
    Client slow = Connect();
    slow.Send(line.substr(0, len), {fd});
    ExpectRefused(slow.ReceiveAll(), "request_millis");
  }
  close(fd);
  EXPECT_EQ(before + 3, counter_read(COUNTER_requests_unfinished));
}

TEST_F(Token, IsOneWhoGoesAwayInTheMiddleMissedByNobody) {
  std::string token = Make();
  const size_t open = NumOpenFds();
  std::string line = TokenLine("put", token);
  int fd = FileWith("x");
  for (size_t len = 1; len < line.size(); len++) {
    Client speaker = Connect();
    speaker.Send(line.substr(0, len), {fd});
  }
  close(fd);
  ExpectSameUsable(token);
  EXPECT_TRUE(Eventually([open] { return NumOpenFds() <= open; }));
}

TEST_F(Token, IsWhatNobodyReceivesClosed) {
  Start();
  const size_t open = NumOpenFds();
  for (int i = 0; i < 20; i++) {
    Client speaker = Connect();
    speaker.Send(TokenLine("get", Make("TokenOut")));
  }
  client_.reset();
  EXPECT_TRUE(AllGone());
  EXPECT_TRUE(Eventually([open] { return NumOpenFds() <= open; }));
}

TEST_F(Token, IsWhoIsPastALimitOfConnectionsToldSo) {
  limits_.connections = 1;
  std::string token = Make();
  int fd = FileWith("x");
  ExpectRefused(Say(TokenLine("put", token), {fd}), "\"connections\"");
  close(fd);
}

TEST_F(Token, IsTheLimitOfDescriptorsItsToo) {
  limits_.descriptors = 16;
  limits_.descriptors_per_owner = 16;
  std::string token = Make();
  int fd = FileWith("x");
  std::vector<Client> holders;
  for (int i = 0; i < 16; i++) {
    holders.push_back(Connect());
    holders.back().Send("TOKEN", {fd});
  }
  EXPECT_TRUE(Eventually([this] { return ceiling_used(&server_->shares.all.descriptors) == 16; }));
  ExpectRefused(Say(TokenLine("put", token), {fd}), "\"descriptors_per_owner\"");
  close(fd);
  holders.clear();
  EXPECT_TRUE(Eventually([this] { return ceiling_used(&server_->shares.all.descriptors) == 0; }));
  ExpectSameUsable(token);
}

TEST_F(Token, DoOthersGoOn) {
  Client good = Connect();
  for (uint32_t id = 1; id < 21; id += 2) {
    Say("TOKEN nonsense\n");
    EXPECT_EQ(0, good.Call(id, {"Echo"}).code);
  }
}

}  // namespace
