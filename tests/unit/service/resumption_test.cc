// SessionService.GetResumption, and Connect with what it gave.
#include "tests/unit/service/harness.h"

namespace {

constexpr auto kDone = TLSAGENT__V1__STATE__STATE_DONE;
constexpr auto kFailed = TLSAGENT__V1__STATE__STATE_FAILED;

class Resumption : public Sessions {
 protected:
  Reply<V1(GetResumptionResponse)> Get(uint64_t session) {
    auto request = New<V1(GetResumptionRequest)>();
    request.session = session;
    return client_->Call(request);
  }
  Reply<V1(ConnectResponse)> ConnectWith(Client &client, uint64_t context,
                                         const std::string &sealed) {
    V1(BytesValue) value = TLSAGENT__V1__BYTES_VALUE__INIT;
    value.value = Binary(sealed);
    Way way;
    auto request = New<V1(ConnectRequest)>();
    request.context = context;
    request.transport = way.Memory().get();
    request.server_name = (char *)"host.test";
    request.resumption = &value;
    return client.Call(request);
  }
  // A client session whose peer is a server session of the daemon; both have shaken hands, and the
  // client has its tickets.
  struct Pair {
    uint64_t client, server;
    bool client_resumed, server_resumed;
  };
  Pair Shake(const std::string &sealed = "") {
    Way way, accepting;
    auto accept = New<V1(AcceptRequest)>();
    accept.context = server_context_;
    auto connect = New<V1(ConnectRequest)>();
    connect.context = client_context_;
    connect.transport = way.Memory().get();
    connect.server_name = (char *)"host.test";
    auto opened =
        sealed.empty() ? client_->Call(connect) : ConnectWith(*client_, client_context_, sealed);
    EXPECT_NE(0u, opened->session);
    accept.transport = accepting.Memory(Text(opened->progress->output)).get();
    auto accepted = client_->Call(accept);
    std::string to_client = Text(accepted->progress->output);
    std::string to_server;
    for (int i = 0; i < 4; i++) {
      Feed for_client(to_client);
      auto shake = New<V1(HandshakeRequest)>();
      shake.session = opened->session;
      shake.feed = for_client.get();
      auto reply = client_->Call(shake);
      to_client.erase(0, reply->progress->input_consumed);
      to_server += Text(reply->progress->output);
      Feed for_server(to_server);
      shake.session = accepted->session;
      shake.feed = for_server.get();
      reply = client_->Call(shake);
      to_server.erase(0, reply->progress->input_consumed);
      to_client += Text(reply->progress->output);
    }
    Read(opened->session, to_client);  // tickets
    auto client = Describe(opened->session);
    auto server = Describe(accepted->session);
    EXPECT_EQ(kDone, client->state);
    EXPECT_EQ(kDone, server->state);
    EXPECT_EQ(client->negotiated->resumed, server->negotiated->resumed);
    return Pair{opened->session, accepted->session, client->negotiated->resumed != 0,
                server->negotiated->resumed != 0};
  }
};

TEST_F(Resumption, IsASessionResumedAtBothEnds) {
  Pair first = Shake();
  EXPECT_FALSE(first.client_resumed);
  auto got = Get(first.client);
  ASSERT_EQ(STATUS_OK, got.code) << got.message;
  ASSERT_NE(nullptr, got->resumption);
  EXPECT_TRUE(got->has_ticket);
  EXPECT_EQ(32u, got->id.len);
  EXPECT_GT(got->time, 1700000000);
  EXPECT_GT(got->timeout, 0);
  EXPECT_GT(got->ticket_lifetime_hint, 0u);
  Pair second = Shake(Text(got->resumption->value));
  EXPECT_TRUE(second.client_resumed);
  EXPECT_TRUE(second.server_resumed);
  EXPECT_NE(nullptr, Get(second.server)->resumption);
}

TEST_F(Resumption, IsThereNothingBeforeTheHandshake) {
  Way way;
  auto request = New<V1(ConnectRequest)>();
  request.context = client_context_;
  request.transport = way.Memory().get();
  request.server_name = (char *)"host.test";
  uint64_t session = client_->Call(request)->session;
  auto got = Get(session);
  EXPECT_EQ(STATUS_OK, got.code);
  EXPECT_EQ(nullptr, got->resumption);
  EXPECT_EQ(STATUS_NOT_FOUND, Get(session + 1).code);
}

TEST_F(Resumption, IsItOfNoUseToAnybodyElse) {
  const std::string sealed = Text(Get(Shake().client)->resumption->value);
  Client other = Connect();
  std::string changed = sealed;
  changed[sealed.size() / 2] ^= 1;
  struct Row {
    Client *client;
    uint64_t context;
    const std::string *sealed;
  };
  for (const Row &row : {Row{&other, ClientContext(other), &sealed},
                         Row{client_.get(), ClientContext(*client_), &sealed},
                         Row{client_.get(), client_context_, &changed}}) {
    auto reply = ConnectWith(*row.client, row.context, *row.sealed);
    EXPECT_EQ(STATUS_OK, reply.code) << reply.message;
    EXPECT_EQ(0u, reply->session);
    EXPECT_EQ(kFailed, reply->progress->state);
    ASSERT_NE(nullptr, reply->progress->error);
    EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_INVALID, reply->progress->error->kind);
    EXPECT_STREQ("resumption", reply->progress->error->item);
  }
  EXPECT_TRUE(Shake(sealed).client_resumed) << "and its owner isn't hurt by that";
}

TEST_F(Resumption, IsItTheClientsOnEveryConnectionOfIts) {
  const std::string sealed = Text(Get(Shake().client)->resumption->value);
  auto hello = client_->Call(New<V1(HelloRequest)>());
  Client second = Connect();
  How how;
  for (unsigned char byte : Text(hello->token)) {
    char hex[3];
    snprintf(hex, sizeof(hex), "%02x", byte);
    how.token += hex;
  }
  EXPECT_EQ(STATUS_OK, second.Call(New<V1(PingRequest)>(), how).code);
  EXPECT_NE(0u, ConnectWith(second, client_context_, sealed)->session);
}

}  // namespace
