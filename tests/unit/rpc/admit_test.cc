// Which requests become calls: methods, tokens, payloads, limits.
#include <unistd.h>

#include "tests/unit/rpc/rpc_fixture.h"

namespace {

std::string Hex(const std::string &bytes) {
  std::string out;
  for (unsigned char c : bytes) {
    char digits[3];
    snprintf(digits, sizeof(digits), "%02x", c);
    out += digits;
  }
  return out;
}

class Admit : public Rpc {
 protected:
  std::string TokenOf(Client &client, uint32_t id) {
    Answer answer = client.Call(id, {"Token"});
    EXPECT_EQ((size_t)CLIENT_TOKEN_BYTES, answer.value.size());
    return Hex(answer.value);
  }

  bool Parked(int num) {
    return Eventually([num] { return Load(&g_parked) == num; });
  }

  static void ExpectLimit(const Answer &answer, const std::string &name, int value) {
    EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, answer.code);
    EXPECT_EQ("limit \"" + name + "\" (" + std::to_string(value) +
                  ") is reached: wait for answers, or start tlsagentd with --limit " + name + "=N",
              answer.message);
  }
};

// ---------------------------------------------------------------------------------------------
// Methods

TEST_F(Admit, IsAnUnknownServiceNamed) {
  Client client = Connect();
  Request request("Echo");
  request.service = "toy.Boy";
  Answer answer = client.Call(1, request);
  EXPECT_EQ(STATUS_UNIMPLEMENTED, answer.code);
  EXPECT_EQ("there is no service \"toy.Boy\"", answer.message);
}

TEST_F(Admit, IsAnUnknownMethodNamed) {
  Client client = Connect();
  Answer answer = client.Call(1, {"Ecco"});
  EXPECT_EQ(STATUS_UNIMPLEMENTED, answer.code);
  EXPECT_EQ("service \"toy.Toy\" has no method \"Ecco\"", answer.message);
  EXPECT_EQ(0, client.Call(3, {"Echo"}).code);
}

TEST_F(Admit, IsANameOfAnyBytesQuotedSafely) {
  Client client = Connect();
  Request request("\xff\n\0", "");
  request.service = std::string(100000, 'x');
  EXPECT_EQ("there is no service \"" + std::string(92, 'x') + "...\"",
            client.Call(1, request).message);
  EXPECT_EQ("service \"toy.Toy\" has no method \"\"", client.Call(3, {""}).message);
  EXPECT_EQ("service \"toy.Toy\" has no method \"??\"", client.Call(5, {"\xff\n"}).message);
}

// ---------------------------------------------------------------------------------------------
// Payloads

TEST_F(Admit, IsAPayloadThatIsNoMessageRefused) {
  Client client = Connect();
  Answer answer = client.Call(1, {"Echo", "\xff\xff\xff"});
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, answer.code);
  EXPECT_EQ("the payload is not a ttrpc.Any", answer.message);
  EXPECT_EQ(0, Load(&g_ran));
}

TEST_F(Admit, IsAPayloadOfTooManyPartsRefused) {
  std::string many;
  for (int i = 0; i < 100000; i++) {
    many += BytesField(100, "");
  }
  Client client = Connect();
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, client.Call(1, {"Echo", many}).code);
  client.Close();
  EXPECT_TRUE(AllGone());
}

TEST_F(Admit, IsAFrameThatIsNoRequestRefused) {
  Client client = Connect();
  client.Send(Frame(1, 1, "\x0a\xff"));
  std::unique_ptr<Answer> answer = client.Receive();
  ASSERT_NE(nullptr, answer);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, answer->code);
  EXPECT_EQ("the frame does not hold a ttrpc.Request", answer->message);
  EXPECT_EQ(0, client.Call(3, {"Echo"}).code);
  EXPECT_EQ(0u, ceiling_used(&server_->shares.all.request_bytes));
}

// ---------------------------------------------------------------------------------------------
// Clients and their tokens

TEST_F(Admit, HasEveryConnectionAClientOfItsOwn) {
  Client one = Connect();
  Client two = Connect();
  std::string token = TokenOf(one, 1);
  EXPECT_NE(token, TokenOf(two, 1));
  EXPECT_EQ(token, TokenOf(one, 3));
}

TEST_F(Admit, DoesATokenJoinConnectionsToOneClient) {
  Client one = Connect();
  Client two = Connect();
  std::string token = TokenOf(one, 1);
  EXPECT_EQ(0, two.Call(1, {"Echo", "", 0, token}).code);
  EXPECT_EQ(token, TokenOf(two, 3));
  std::string upper = token;
  for (char &c : upper) {
    c = (char)toupper(c);
  }
  Client three = Connect();
  EXPECT_EQ(0, three.Call(1, {"Echo", "", 0, upper}).code);
  EXPECT_EQ(token, TokenOf(three, 3));
}

TEST_F(Admit, DoesAWrongTokenLeaveTheConnectionUnbound) {
  Client one = Connect();
  std::string token = TokenOf(one, 1);
  Client two = Connect();
  Answer answer = two.Call(1, {"Echo", "", 0, std::string(32, '0')});
  EXPECT_EQ(STATUS_UNAUTHENTICATED, answer.code);
  EXPECT_EQ(std::string::npos, answer.message.find("000"));
  EXPECT_EQ(0, two.Call(3, {"Echo", "", 0, token}).code);
  EXPECT_EQ(token, TokenOf(two, 5));
  EXPECT_EQ(0, Load(&g_ran) - 1);
}

TEST_F(Admit, IsATokenThatIsNoneRefused) {
  Client one = Connect();
  std::string token = TokenOf(one, 1);
  Client two = Connect();
  uint32_t id = 1;
  for (const std::string &bad :
       {token.substr(1), token + "0", token.substr(0, 31) + "g", token.substr(0, 31) + "\xff",
        std::string(16, 'a'), std::string(100000, 'a')}) {
    EXPECT_EQ(STATUS_UNAUTHENTICATED, two.Call(id, {"Echo", "", 0, bad}).code) << bad;
    id += 2;
  }
}

TEST_F(Admit, MustALaterTokenBeTheClientsOwn) {
  Client one = Connect();
  Client two = Connect();
  std::string token_one = TokenOf(one, 1);
  std::string token_two = TokenOf(two, 1);
  EXPECT_EQ(0, one.Call(3, {"Echo", "", 0, token_one}).code);
  EXPECT_EQ(STATUS_UNAUTHENTICATED, one.Call(5, {"Echo", "", 0, token_two}).code);
  EXPECT_EQ(0, one.Call(7, {"Echo"}).code);
  EXPECT_EQ(token_one, TokenOf(one, 9));
}

TEST_F(Admit, IsTheTokenOfAClientThatIsGoneRefused) {
  std::string token;
  {
    Client one = Connect();
    token = TokenOf(one, 1);
  }
  ASSERT_TRUE(AllGone());
  Client two = Connect();
  EXPECT_EQ(STATUS_UNAUTHENTICATED, two.Call(1, {"Echo", "", 0, token}).code);
}

TEST_F(Admit, DoesAClientLiveAsLongAsItsLastConnection) {
  Client last = Connect();
  std::string token;
  {
    Client first = Connect();
    token = TokenOf(first, 1);
    EXPECT_EQ(0, last.Call(1, {"Echo", "", 0, token}).code);
  }
  EXPECT_TRUE(Eventually([this] { return Connections() == 1; }));
  Client another = Connect();
  EXPECT_EQ(0, another.Call(1, {"Echo", "", 0, token}).code);
}

// ---------------------------------------------------------------------------------------------
// Limits

TEST_F(Admit, AreCallsOfOneConnectionLimited) {
  limits_.calls_per_connection = 3;
  Client client = Connect();
  client.Send(RequestFrame(1, {"Park"}) + RequestFrame(3, {"ParkAway"}) +
              RequestFrame(5, {"Park"}));
  ASSERT_TRUE(Parked(3));
  ExpectLimit(client.Call(7, {"Echo"}), "calls_per_connection", 3);
  Client other = Connect();
  EXPECT_EQ(0, other.Call(1, {"Echo"}).code);
}

TEST_F(Admit, IsThereRoomAgainWhenACallHasEnded) {
  limits_.calls_per_connection = 1;
  Client client = Connect();
  client.Send(RequestFrame(1, {"Park", "", 20000000}));
  ASSERT_TRUE(Parked(1));
  ExpectLimit(client.Call(3, {"Echo"}), "calls_per_connection", 1);
  std::unique_ptr<Answer> answer = client.Receive();
  ASSERT_NE(nullptr, answer);
  EXPECT_EQ(1u, answer->stream_id);
  EXPECT_EQ(0, client.Call(5, {"Echo"}).code);
}

TEST_F(Admit, AreCallsOfAllConnectionsLimited) {
  limits_.calls = 2;
  Client one = Connect();
  Client two = Connect();
  one.Send(RequestFrame(1, {"Park"}));
  two.Send(RequestFrame(1, {"ParkAway"}));
  ASSERT_TRUE(Parked(2));
  ExpectLimit(one.Call(3, {"Echo"}), "calls", 2);
  two.Close();
  ASSERT_TRUE(Parked(1));
  EXPECT_TRUE(Eventually([this] { return ceiling_used(&server_->shares.all.calls) == 1; }));
  EXPECT_EQ(0, one.Call(5, {"Echo"}).code);
}

TEST_F(Admit, AreDescriptorsOfAllConnectionsLimited) {
  limits_.descriptors = 4;
  Client one = Connect();
  Client two = Connect();
  int fd = FileWith("x");
  one.Send(RequestFrame(1, {"Park"}), {fd, fd, fd});
  ASSERT_TRUE(Parked(1));
  EXPECT_EQ(0, two.Call(1, {"Echo"}).code);
  size_t open = NumOpenFds();
  ExpectLimit(two.Call(3, {"LeaveFds"}, {fd, fd}), "descriptors", 4);
  EXPECT_TRUE(Eventually([open] { return NumOpenFds() == open; }));
  EXPECT_EQ("1", two.Call(5, {"LeaveFds"}, {fd}).type_url);
  one.Close();
  ASSERT_TRUE(Parked(0));
  EXPECT_TRUE(Eventually([this] { return ceiling_used(&server_->shares.all.descriptors) == 0; }));
  EXPECT_EQ("2", two.Call(7, {"LeaveFds"}, {fd, fd}).type_url);
  close(fd);
}

TEST_F(Admit, AreMoreThanSixteenDescriptorsRefused) {
  Client client = Connect();
  int fd = FileWith("x");
  EXPECT_EQ(0, client.Call(1, {"Echo"}).code);
  size_t open = NumOpenFds();
  EXPECT_EQ("16", client.Call(3, {"LeaveFds"}, std::vector<int>(16, fd)).type_url);
  Answer answer = client.Call(5, {"LeaveFds"}, std::vector<int>(17, fd));
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, answer.code);
  EXPECT_EQ("more than 16 file descriptors came with the call", answer.message);
  answer = client.Call(7, {"LeaveFds"}, std::vector<int>(253, fd));
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, answer.code);
  EXPECT_TRUE(Eventually([open] { return NumOpenFds() == open; }));
  EXPECT_EQ("0", client.Call(9, {"LeaveFds"}).type_url);
  close(fd);
}

}  // namespace
