#include <openssl/ssl.h>

#include <thread>

#include "server/tls/engine_private.h"
#include "tests/support/fibres.h"
#include "tests/unit/tls/harness.h"

namespace {

struct engine_answer Proceed() {
  struct engine_answer answer = {};
  answer.kind = ENGINE_PROCEED;
  answer.identity = "";
  return answer;
}

struct engine_answer Refuse(unsigned alert) {
  struct engine_answer answer = Proceed();
  answer.kind = ENGINE_REFUSE;
  answer.alert = alert;
  return answer;
}

struct engine_answer Psk(const char *identity, const std::string &key) {
  struct engine_answer answer = Proceed();
  answer.kind = ENGINE_PSK;
  answer.identity = identity;
  answer.key = Slice(key);
  return answer;
}

status_code Answer(const Engine &engine, const struct engine_answer &answer) {
  const char *why = nullptr;
  status_t taken = engine_answer(engine.get(), &answer, &why);
  EXPECT_EQ(taken.code == STATUS_OK, why == nullptr);
  return taken.code;
}

Change AskingChange() {
  Change change = ServerChange();
  change.Set(TLS_SET_DECISIONS).decisions.server_name = true;
  return change;
}

class EngineDecision : public TlsTest {
 protected:
  EngineDecision() {
    Change server = AskingChange();
    Change client = ClientChange();
    asking_ = MakeContext(TLS_CONTEXT_SERVER, server);
    client_ = MakeContext(TLS_CONTEXT_CLIENT, client);
  }
  Ends Asked(const char *name = "host.test") {
    Ends ends(MakeClient(client_, name), MakeServer(asking_));
    ends.Shake();
    EXPECT_EQ(ENGINE_WANT_DECISION, ends.server_result);
    return ends;
  }
  Context asking_;
  Context client_;
};

TEST_F(EngineDecision, IsAServerNameAskedForAndTheHandshakeGoesOn) {
  Ends ends = Asked();
  const struct engine_decision *decision = engine_decision(ends.server.get());
  ASSERT_NE(nullptr, decision);
  EXPECT_EQ(ENGINE_DECIDE_SERVER_NAME, decision->kind);
  EXPECT_STREQ("host.test", decision->server_name);
  EXPECT_EQ(nullptr, decision->psk_hint);
  EXPECT_EQ(nullptr, decision->psk_identity);
  EXPECT_EQ(STATUS_OK, Answer(ends.server, Proceed()));
  EXPECT_EQ(nullptr, engine_decision(ends.server.get()));
  ends.Shake();
  EXPECT_TRUE(ends.established());
  ends.Send(true, "hello");
  ends.Send(false, "hello yourself");
}

TEST_F(EngineDecision, IsNoNameNoName) {
  Ends ends = Asked("127.0.0.1");  // an address is not sent
  EXPECT_EQ(nullptr, engine_decision(ends.server.get())->server_name);
  EXPECT_EQ(STATUS_OK, Answer(ends.server, Proceed()));
  ends.Shake();
  EXPECT_TRUE(ends.established());
}

TEST_F(EngineDecision, IsItWantedByEveryOperationUntilItIsAnswered) {
  Ends ends = Asked();
  engine *server = ends.server.get();
  char buffer[10];
  size_t len = 0;
  uint64_t discarded = 0;
  EXPECT_EQ(ENGINE_WANT_DECISION, engine_handshake(server));
  EXPECT_EQ(ENGINE_WANT_DECISION, engine_read(server, buffer, sizeof(buffer), &len));
  EXPECT_EQ(ENGINE_WANT_DECISION, engine_write(server, Slice("x"), &len));
  EXPECT_EQ(ENGINE_WANT_DECISION, engine_write(server, Slice(""), &len));
  EXPECT_EQ(ENGINE_WANT_DECISION, engine_shutdown_receive(server, &discarded));
  EXPECT_EQ(ENGINE_WANT_DECISION, engine_shutdown_send(server));
  EXPECT_FALSE(engine_failed(server));
  EXPECT_STREQ("host.test", engine_decision(server)->server_name);
  EXPECT_EQ(STATUS_OK, Answer(ends.server, Proceed()));
  ends.Shake();
  EXPECT_TRUE(ends.established());
}

TEST_F(EngineDecision, CanAReadOrAWriteGoOn) {
  for (bool reads : {true, false}) {
    Ends ends = Asked();
    EXPECT_EQ(STATUS_OK, Answer(ends.server, Proceed()));
    char buffer[10];
    size_t len = 0;
    EXPECT_EQ(ENGINE_WANT_INPUT, reads
                                     ? engine_read(ends.server.get(), buffer, sizeof(buffer), &len)
                                     : engine_write(ends.server.get(), Slice("x"), &len));
    ends.to_client.TakeFrom(ends.server.get());
    ends.Shake();
    EXPECT_TRUE(ends.established());
  }
}

TEST_F(EngineDecision, DoesARefusalSendExactlyItsAlert) {
  for (unsigned alert : {40u, 48u, 49u, 80u, 112u, 120u}) {
    Ends ends = Asked();
    EXPECT_EQ(STATUS_OK, Answer(ends.server, Refuse(alert)));
    ends.Shake();
    EXPECT_EQ(ENGINE_FAILED, ends.server_result);
    EXPECT_STREQ("CALLBACK_FAILED", engine_error(ends.server.get())->reason);
    EXPECT_STREQ("SSL", engine_error(ends.server.get())->library);
    EXPECT_EQ((int)alert, engine_error(ends.server.get())->alert);
    EXPECT_EQ(ENGINE_FAILED, ends.client_result);
    EXPECT_EQ((int)alert, engine_error(ends.client.get())->alert);
  }
}

TEST_F(EngineDecision, IsWhatIsNoAnswerRefusedAndTheDecisionStays) {
  Ends ends = Asked();
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Answer(ends.server, Psk("me", "key")));
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Answer(ends.server, Refuse(255)));
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Answer(ends.server, Refuse(256)));
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Answer(ends.server, Refuse(UINT32_MAX)));
  EXPECT_EQ(ENGINE_WANT_DECISION, engine_handshake(ends.server.get()));
  EXPECT_EQ(STATUS_OK, Answer(ends.server, Proceed()));
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Answer(ends.server, Refuse(40))) << "too late";
  ends.Shake();
  EXPECT_TRUE(ends.established());
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Answer(ends.server, Proceed()));
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Answer(ends.client, Proceed()));
}

TEST_F(EngineDecision, IsAnEngineThatWaitsFreedAsItIs) {
  Asked();
  Ends answered = Asked();
  EXPECT_EQ(STATUS_OK, Answer(answered.server, Proceed()));
}

TEST_F(EngineDecision, IsItAskedOnceWithAHelloRetryRequest) {
  Change server = AskingChange();
  server.Set(TLS_SET_GROUPS).groups = "P-384";
  Change client = ClientChange();
  client.Set(TLS_SET_GROUPS).groups = "X25519:P-384";
  Context picky = MakeContext(TLS_CONTEXT_SERVER, server);
  Context wrong = MakeContext(TLS_CONTEXT_CLIENT, client);
  Ends ends(MakeClient(wrong), MakeServer(picky));
  ends.Shake();
  EXPECT_EQ(ENGINE_WANT_DECISION, ends.server_result);
  EXPECT_EQ(STATUS_OK, Answer(ends.server, Proceed()));
  ends.Shake();
  EXPECT_TRUE(ends.established());
}

TEST_F(EngineDecision, IsItAskedOfResumedSessionsToo) {
  Ends first = Asked();
  EXPECT_EQ(STATUS_OK, Answer(first.server, Proceed()));
  first.Shake();
  first.Read(true);  // the tickets
  Arena arena;
  struct engine_resumption resumption;
  ASSERT_EQ(STATUS_OK, engine_resumption(first.client.get(), arena, &resumption).code);
  Ends second(MakeClient(client_, "host.test", resumption.sealed), MakeServer(asking_));
  second.Shake();
  EXPECT_EQ(ENGINE_WANT_DECISION, second.server_result);
  EXPECT_EQ(STATUS_OK, Answer(second.server, Proceed()));
  second.Shake();
  struct engine_negotiated negotiated;
  ASSERT_EQ(STATUS_OK, engine_negotiated(second.server.get(), arena, &negotiated).code);
  EXPECT_TRUE(negotiated.resumed);
}

// ---------------------------------------------------------------------------------------------
// Hostile names: the extension of a real ClientHello, overwritten.

struct Hostile {
  const char *what;
  std::function<void(std::string &hello, size_t at)> change;  // at: of the name's first byte
  int alert;
};

TEST_F(EngineDecision, IsANameThatIsNoneRefusedUnasked) {
  const Hostile hostiles[] = {
      {"a NUL", [](std::string &hello, size_t at) { hello[at + 3] = '\0'; }, 112},
      {"no UTF-8", [](std::string &hello, size_t at) { hello[at] = '\xff'; }, 112},
      {"another type", [](std::string &hello, size_t at) { hello[at - 3] = 1; }, 50},
      {"a name too short", [](std::string &hello, size_t at) { hello[at - 1]--; }, 50},
      {"a name too long", [](std::string &hello, size_t at) { hello[at - 1]++; }, 50},
      {"a huge name", [](std::string &hello, size_t at) { hello[at - 2] = '\xff'; }, 50},
      {"a list too short", [](std::string &hello, size_t at) { hello[at - 4]--; }, 50},
      {"a list too long", [](std::string &hello, size_t at) { hello[at - 4]++; }, 50},
      {"an empty list", [](std::string &hello, size_t at) { hello[at - 4] = 0; }, 50},
  };
  for (const Hostile &hostile : hostiles) {
    Ends ends(MakeClient(client_), MakeServer(asking_));
    EXPECT_EQ(ENGINE_WANT_INPUT, engine_handshake(ends.client.get()));
    ends.to_server.TakeFrom(ends.client.get());
    std::string &hello = ends.to_server.content();
    hostile.change(hello, hello.find("host.test"));
    ends.Shake();
    EXPECT_EQ(ENGINE_FAILED, ends.server_result) << hostile.what;
    EXPECT_EQ(hostile.alert, engine_error(ends.server.get())->alert) << hostile.what;
    EXPECT_STREQ("CALLBACK_FAILED", engine_error(ends.server.get())->reason) << hostile.what;
  }
}

// ---------------------------------------------------------------------------------------------
// Pre-shared keys, of TLS 1.2 and 1.3.

class Keys : public EngineDecision, public testing::WithParamInterface<int> {
 protected:
  static Change PskChange(bool server) {
    Change change;
    change.Versions(GetParam(), GetParam()).Verify(TLS_VERIFY_NONE).CheckHostname(false);
    change.Set(TLS_SET_CIPHERS).ciphers = "PSK";
    change.Set(TLS_SET_CIPHERSUITES).ciphersuites = "TLS_AES_128_GCM_SHA256";
    tls_decisions &decisions = change.Set(TLS_SET_DECISIONS).decisions;
    (server ? decisions.psk_server : decisions.psk_client) = true;
    if (server) {
      change.Set(TLS_SET_PSK_HINT).psk_hint = "the hint";
    }
    return change;
  }
  void SetUp() override {
    if (!CanGoBackToFibres()) {
      GTEST_SKIP() << "no fibres";
    }
    Change server = PskChange(true);
    Change client = PskChange(false);
    psk_server_ = MakeContext(TLS_CONTEXT_SERVER, server);
    psk_client_ = MakeContext(TLS_CONTEXT_CLIENT, client);
  }
  Ends Begin() {
    return Ends(MakeClient(psk_client_), MakeServer(psk_server_));
  }
  // Goes on to where the client is asked, and has been answered.
  Ends ClientAnswered(const std::string &key = "secret", const char *identity = "me") {
    Ends ends = Begin();
    ends.Shake();
    EXPECT_EQ(ENGINE_WANT_DECISION, ends.client_result);
    EXPECT_EQ(STATUS_OK, Answer(ends.client, Psk(identity, key)));
    ends.Shake();
    return ends;
  }
  Context psk_server_;
  Context psk_client_;
};
INSTANTIATE_TEST_SUITE_P(EngineDecision, Keys, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(Keys, AreBothEndsAsked) {
  Ends ends = Begin();
  ends.Shake();
  ASSERT_EQ(ENGINE_WANT_DECISION, ends.client_result);
  const struct engine_decision *decision = engine_decision(ends.client.get());
  EXPECT_EQ(ENGINE_DECIDE_PSK_CLIENT, decision->kind);
  EXPECT_STREQ(GetParam() == TLS1_2_VERSION ? "the hint" : nullptr, decision->psk_hint);
  EXPECT_EQ(nullptr, decision->server_name);
  EXPECT_EQ(STATUS_OK, Answer(ends.client, Psk("me \xc3\xa9", "secret")));
  ends.Shake();
  ASSERT_EQ(ENGINE_WANT_DECISION, ends.server_result);
  decision = engine_decision(ends.server.get());
  EXPECT_EQ(ENGINE_DECIDE_PSK_SERVER, decision->kind);
  EXPECT_STREQ("me \xc3\xa9", decision->psk_identity);
  EXPECT_EQ(STATUS_OK, Answer(ends.server, Psk("", "secret")));
  ends.Shake();
  EXPECT_TRUE(ends.established());
  ends.Send(true, "hello");
  ends.Send(false, "hello yourself");
}

TEST_P(Keys, DoReadsAndWritesDriveTheHandshakeToo) {
  Ends ends = Begin();
  char buffer[10];
  size_t len = 0;
  for (int i = 0; i < 20 && !ends.established(); i++) {
    ends.to_client.ShowTo(ends.client.get());
    engine_result client = engine_read(ends.client.get(), buffer, sizeof(buffer), &len);
    ends.to_client.Done(ends.client.get());
    ends.to_server.TakeFrom(ends.client.get());
    if (client == ENGINE_WANT_DECISION) {
      EXPECT_EQ(STATUS_OK, Answer(ends.client, Psk("me", "secret")));
      continue;
    }
    ends.to_server.ShowTo(ends.server.get());
    engine_result server = engine_write(ends.server.get(), Slice("first"), &len);
    ends.to_server.Done(ends.server.get());
    ends.to_client.TakeFrom(ends.server.get());
    if (server == ENGINE_WANT_DECISION) {
      EXPECT_EQ(STATUS_OK, Answer(ends.server, Psk("", "secret")));
    }
  }
  EXPECT_TRUE(ends.established());
  EXPECT_EQ("first", ends.Read(true));
}

// OpenSSL's stacks of a thread go when none of them is in use any more.
TEST_P(Keys, DoFibresEndInAnyOrder) {
  for (bool first_goes_on : {true, false}) {
    Ends first = Begin();
    Ends second = Begin();
    first.Shake();
    second.Shake();
    EXPECT_EQ(ENGINE_WANT_DECISION, second.client_result);
    Ends &left = first_goes_on ? first : second;
    (first_goes_on ? second : first).client.reset();
    EXPECT_EQ(STATUS_OK, Answer(left.client, Psk("me", "secret")));
    left.Shake();
    EXPECT_EQ(STATUS_OK, Answer(left.server, Psk("", "secret")));
    left.Shake();
    EXPECT_TRUE(left.established());
    EXPECT_EQ(ENGINE_WANT_DECISION, ClientAnswered().server_result) << "and further ones begin";
  }
}

TEST_P(Keys, DoDifferentKeysFail) {
  Ends ends = ClientAnswered("secret");
  EXPECT_EQ(STATUS_OK, Answer(ends.server, Psk("", "other")));
  ends.Shake();
  EXPECT_EQ(ENGINE_FAILED, ends.server_result);
  EXPECT_EQ(ENGINE_FAILED, ends.client_result);
}

TEST_P(Keys, IsAnEmptyKeyARefusal) {
  Ends ends = ClientAnswered();
  ASSERT_EQ(ENGINE_WANT_DECISION, ends.server_result);
  EXPECT_EQ(STATUS_OK, Answer(ends.server, Psk("", "")));
  ends.Shake();
  EXPECT_EQ(ENGINE_FAILED, ends.server_result) << "it has no certificate";
  EXPECT_EQ(ENGINE_FAILED, ends.client_result);
  EXPECT_EQ(GetParam() == TLS1_2_VERSION ? 115 : 40, engine_error(ends.client.get())->alert);
  Ends none = ClientAnswered("");
  EXPECT_FALSE(none.established());
}

TEST_P(Keys, AreTheBoundsWhatTheyAre) {
  Ends ends = Begin();
  ends.Shake();
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Answer(ends.client, Proceed()));
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Answer(ends.client, Refuse(40)));
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Answer(ends.client, Psk("me", std::string(513, 'k'))));
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Answer(ends.client, Psk(std::string(257, 'i').c_str(), "k")));
  std::string longest(256, 'i');
  std::string key(512, 'k');
  EXPECT_EQ(STATUS_OK, Answer(ends.client, Psk(longest.c_str(), key)));
  ends.Shake();
  ASSERT_EQ(ENGINE_WANT_DECISION, ends.server_result);
  EXPECT_EQ(longest, engine_decision(ends.server.get())->psk_identity);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Answer(ends.server, Psk("me", key)));
  EXPECT_EQ(STATUS_OK, Answer(ends.server, Psk("", key)));
  ends.Shake();
  EXPECT_TRUE(ends.established());
}

TEST_P(Keys, IsNobodyAskedAboutAnIdentityThatIsNoText) {
  Ends ends = ClientAnswered("secret", "\xff\xfe");
  EXPECT_EQ(ENGINE_FAILED, ends.server_result);
  EXPECT_EQ(nullptr, engine_decision(ends.server.get()));
}

TEST_P(Keys, IsNobodyAskedAboutAHintThatIsNoText) {
  if (GetParam() != TLS1_2_VERSION) {
    GTEST_SKIP() << "there are no hints";
  }
  Change server = PskChange(true);
  server.Set(TLS_SET_PSK_HINT).psk_hint = "\xff\xfe";
  Context hostile = MakeContext(TLS_CONTEXT_SERVER, server);
  Ends ends(MakeClient(psk_client_), MakeServer(hostile));
  ends.Shake();
  EXPECT_EQ(ENGINE_FAILED, ends.client_result);
  EXPECT_EQ(nullptr, engine_decision(ends.client.get()));
}

// What they leave behind is for LeakSanitizer to say.
TEST_P(Keys, AreEnginesThatWaitFreed) {
  for (int i = 0; i < 100; i++) {
    Ends waits = Begin();
    waits.Shake();
    EXPECT_EQ(ENGINE_WANT_DECISION, waits.client_result);
    Ends answered = ClientAnswered();
    EXPECT_EQ(ENGINE_WANT_DECISION, answered.server_result);
    EXPECT_EQ(STATUS_OK, Answer(answered.server, Psk("", "secret")));
  }
}

TEST_P(Keys, DoManyWaitAtATimeAndGoOnInAnyOrder) {
  std::vector<Ends> crowd;
  for (int i = 0; i < 50; i++) {
    crowd.push_back(ClientAnswered());
  }
  for (size_t i = 0; i < crowd.size(); i++) {
    Ends &one = crowd[(i * 7) % crowd.size()];
    EXPECT_EQ(STATUS_OK, Answer(one.server, Psk("", "secret")));
    one.Shake();
    EXPECT_TRUE(one.established());
  }
}

TEST_P(Keys, DoThreadsHaveFibresOfTheirOwn) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([this] {
      Ends ends = ClientAnswered();
      EXPECT_EQ(STATUS_OK, Answer(ends.server, Psk("", "secret")));
      ends.Shake();
      EXPECT_TRUE(ends.established());
    });
  }
  for (std::thread &thread : threads) {
    thread.join();
  }
}

TEST_P(Keys, DoesAServerWithACertificateGoOnWithoutAKeyInTls13) {
  if (GetParam() != TLS1_3_VERSION) {
    GTEST_SKIP();
  }
  Change server = PskChange(true);
  server.Pair(pki_get()->server);
  Context both = MakeContext(TLS_CONTEXT_SERVER, server);
  Ends ends(MakeClient(psk_client_), MakeServer(both));
  ends.Shake();
  EXPECT_EQ(STATUS_OK, Answer(ends.client, Psk("me", "secret")));
  ends.Shake();
  EXPECT_EQ(STATUS_OK, Answer(ends.server, Psk("", "")));
  ends.Shake();
  EXPECT_TRUE(ends.established());
}

TEST_P(Keys, AreTheNameAndTheKeyTwoDecisions) {
  Change server = PskChange(true);
  server.Set(TLS_SET_DECISIONS).decisions.server_name = true;
  Context both = MakeContext(TLS_CONTEXT_SERVER, server);
  Ends ends(MakeClient(psk_client_), MakeServer(both));
  for (int i = 0; i < 3; i++) {
    ends.Shake();
    if (ends.client_result == ENGINE_WANT_DECISION) {
      EXPECT_EQ(STATUS_OK, Answer(ends.client, Psk("me", "secret")));
    } else {
      bool name = engine_decision(ends.server.get())->kind == ENGINE_DECIDE_SERVER_NAME;
      EXPECT_EQ(STATUS_OK, Answer(ends.server, name ? Proceed() : Psk("", "secret")));
    }
  }
  ends.Shake();
  EXPECT_TRUE(ends.established());
}

std::string Number(size_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; i--) {
    out += (char)(value >> (8 * i));
  }
  return out;
}

// A ClientHello whose pre_shared_key, the last of its extensions, offers so many identities.
std::string WithIdentities(const std::string &record, int num) {
  const size_t session_id = 5 + 4 + 2 + 32;
  const size_t ciphers = session_id + 1 + (uint8_t)record[session_id];
  const size_t extensions = ciphers + 2 + (uint8_t)record[ciphers] * 256 +
                            (uint8_t)record[ciphers + 1] + 2;  // and no compression
  size_t at = extensions + 2;
  while (record.substr(at, 2) != Number(0x29, 2)) {
    at += 4 + (uint8_t)record[at + 2] * 256 + (uint8_t)record[at + 3];
  }
  std::string identities;
  std::string binders;
  for (int i = 0; i < num; i++) {
    identities += Number(2, 2) + "me" + Number(0, 4);
    binders += Number(32, 1) + std::string(32, 'b');
  }
  std::string psk = Number(identities.size(), 2) + identities + Number(binders.size(), 2) + binders;
  std::string all = record.substr(extensions + 2, at - extensions - 2) + Number(0x29, 2) +
                    Number(psk.size(), 2) + psk;
  std::string body = record.substr(9, extensions - 9) + Number(all.size(), 2) + all;
  return record.substr(0, 3) + Number(body.size() + 4, 2) + Number(1, 1) + Number(body.size(), 3) +
         body;
}

TEST_P(Keys, IsThereAnEndToTheQuestionsOfOneHello) {
  if (GetParam() != TLS1_3_VERSION) {
    GTEST_SKIP() << "there is one identity in TLS 1.2";
  }
  Ends ends = Begin();
  ends.Shake();
  EXPECT_EQ(STATUS_OK, Answer(ends.client, Psk("me", "secret")));
  EXPECT_EQ(ENGINE_WANT_INPUT, engine_handshake(ends.client.get()));
  ends.to_server.TakeFrom(ends.client.get());
  ends.to_server.content() = WithIdentities(ends.to_server.content(), 100);
  int asked = 0;
  ends.to_server.ShowTo(ends.server.get());
  while (engine_handshake(ends.server.get()) == ENGINE_WANT_DECISION) {
    EXPECT_STREQ("me", engine_decision(ends.server.get())->psk_identity);
    EXPECT_EQ(STATUS_OK, Answer(ends.server, Psk("", "")));
    asked++;
  }
  ends.to_server.Done(ends.server.get());
  EXPECT_EQ(32, asked);
  EXPECT_TRUE(engine_failed(ends.server.get()));
}

TEST_P(Keys, IsAServerWithPskCiphersAloneMadeThoughItCantBeTried) {
  Change change = PskChange(true);
  change.Pair(pki_get()->server);
  EXPECT_NE(nullptr, MakeContext(TLS_CONTEXT_SERVER, change));
}

// ---------------------------------------------------------------------------------------------

// What can be seen of it. The callback of ClientHellos and that of messages have no getters.
TEST_F(EngineDecision, DoContextsThatAskForNothingHaveNoCallbacks) {
  for (bool asks : {false, true}) {
    Change change = ServerChange();
    change.Set(TLS_SET_DECISIONS).decisions = {asks, false, asks};
    change.Set(TLS_SET_EVENTS).events = {asks, asks};
    Context context = MakeContext(TLS_CONTEXT_SERVER, change);
    Engine server = MakeServer(context);
    SSL *ssl = server->ssl;
    EXPECT_EQ(asks, SSL_CTX_get_keylog_callback(SSL_get_SSL_CTX(ssl)) != nullptr);
    EXPECT_EQ(asks, (SSL_get_mode(ssl) & SSL_MODE_ASYNC) != 0);
    EXPECT_EQ(asks, server->decisions != nullptr);
    EXPECT_EQ(0, SSL_CTX_get_mode(SSL_get_SSL_CTX(ssl)) & SSL_MODE_ASYNC);
  }
}

TEST_P(Keys, AreFibresGivenUpWithTheHandshake) {
  Ends ends = ClientAnswered();
  EXPECT_EQ(STATUS_OK, Answer(ends.server, Psk("", "secret")));
  ends.Shake();
  EXPECT_EQ(0, SSL_get_mode(ends.client->ssl) & SSL_MODE_ASYNC);
  EXPECT_EQ(0, SSL_get_mode(ends.server->ssl) & SSL_MODE_ASYNC);
}

}  // namespace
