// Decisions and events, from the request to the answer.
#include <openssl/err.h>

#include "tests/unit/service/harness.h"

namespace {

constexpr auto kDone = TLSAGENT__V1__STATE__STATE_DONE;
constexpr auto kWantRead = TLSAGENT__V1__STATE__STATE_WANT_READ;
constexpr auto kWantDecision = TLSAGENT__V1__STATE__STATE_WANT_DECISION;
constexpr auto kFailed = TLSAGENT__V1__STATE__STATE_FAILED;

// An answer, and what it points at.
struct Answer {
  Answer() {
    decision.answer_case = TLSAGENT__V1__DECISION_ANSWER__ANSWER_PROCEED;
    decision.proceed = &proceed;
  }
  explicit Answer(uint32_t alert) {
    decision.answer_case = TLSAGENT__V1__DECISION_ANSWER__ANSWER_REFUSE_WITH_ALERT;
    decision.refuse_with_alert = alert;
  }
  explicit Answer(const std::string &key) : key(key) {
    psk.key = Binary(this->key);
    decision.answer_case = TLSAGENT__V1__DECISION_ANSWER__ANSWER_PSK;
    decision.psk = &psk;
  }
  Answer(const Answer &) = delete;
  std::string key;
  V1(Proceed) proceed = TLSAGENT__V1__PROCEED__INIT;
  V1(PskAnswer) psk = TLSAGENT__V1__PSK_ANSWER__INIT;
  V1(DecisionAnswer) decision = TLSAGENT__V1__DECISION_ANSWER__INIT;
};

class Decisions : public Sessions {
 protected:
  void SetUp() override {
    Sessions::SetUp();
    asking_ = Make(true, false);
  }
  // A server's context.
  uint64_t Make(bool asks, bool tells, const struct pki_identity *identity = nullptr) {
    V1(ContextSettings) settings = TLSAGENT__V1__CONTEXT_SETTINGS__INIT;
    V1(DecisionSettings) decisions = TLSAGENT__V1__DECISION_SETTINGS__INIT;
    V1(EventSettings) events = TLSAGENT__V1__EVENT_SETTINGS__INIT;
    V1(CertificatePair) pair = TLSAGENT__V1__CERTIFICATE_PAIR__INIT;
    V1(CertificatePair) * pairs[] = {&pair};
    identity = identity == nullptr ? pki_get()->server : identity;
    Material chain(identity->chain_pem);
    Material key(identity->key_pem);
    decisions.server_name = asks;
    events.key_log = events.messages = tells;
    settings.decisions = &decisions;
    settings.events = &events;
    pair.chain = chain.get();
    pair.key = key.get();
    auto request = New<V1(CreateContextRequest)>();
    request.kind = TLSAGENT__V1__CONTEXT_KIND__CONTEXT_KIND_SERVER;
    request.settings = &settings;
    request.pairs = pairs;
    request.n_pairs = 1;
    auto reply = client_->Call(request);
    EXPECT_EQ(nullptr, reply->error);
    return reply->context;
  }
  // A server session in memory that has the peer's ClientHello, in wire_, yet to come.
  uint64_t Begin(uint64_t context, Client *by = nullptr) {
    peer_ = ClientPeer(-1);
    peer_handshake(peer_.get());
    wire_ = TakePeer(peer_);
    Way way;
    auto request = New<V1(AcceptRequest)>();
    request.context = context;
    request.transport = way.Memory().get();
    auto reply = (by == nullptr ? client_.get() : by)->Call(request);
    EXPECT_EQ(kWantRead, reply->progress->state);
    return reply->session;
  }
  Reply<V1(HandshakeResponse)> Shake(uint64_t session, Answer *answer = nullptr,
                                     Client *by = nullptr) {
    Feed feed(wire_);
    auto request = New<V1(HandshakeRequest)>();
    request.session = session;
    request.feed = wire_.empty() ? nullptr : feed.get();
    request.decision = answer == nullptr ? nullptr : &answer->decision;
    auto reply = (by == nullptr ? client_.get() : by)->Call(request);
    if (reply.code == STATUS_OK) {
      wire_.erase(0, reply->progress->input_consumed);
      FeedPeer(peer_, Text(reply->progress->output));
    }
    return reply;
  }
  // The rest of a handshake that is answered.
  bool Finish(uint64_t session) {
    bool done = false;
    for (int i = 0; i < 5 && !done; i++) {
      bool peer_done = peer_handshake(peer_.get());
      wire_ += TakePeer(peer_);
      done = Shake(session)->progress->state == kDone && peer_done;
    }
    return done;
  }
  uint64_t Asked() {
    uint64_t session = Begin(asking_);
    EXPECT_EQ(kWantDecision, Shake(session)->progress->state);
    return session;
  }
  int SetContext(uint64_t session, uint64_t context, Client *by = nullptr) {
    auto request = New<V1(SetContextRequest)>();
    request.session = session;
    request.context = context;
    return (by == nullptr ? client_.get() : by)->Call(request).code;
  }
  uint64_t asking_ = 0;
};

TEST_F(Decisions, IsTheNameAskedFor) {
  uint64_t session = Begin(asking_);
  auto reply = Shake(session);
  ASSERT_EQ(kWantDecision, reply->progress->state);
  ASSERT_NE(nullptr, reply->progress->decision);
  EXPECT_EQ(TLSAGENT__V1__DECISION_KIND__DECISION_KIND_SERVER_NAME,
            reply->progress->decision->kind);
  EXPECT_STREQ("host.test", reply->progress->decision->server_name->value);
  EXPECT_EQ(nullptr, reply->progress->decision->psk_hint);
  EXPECT_EQ(nullptr, reply->progress->decision->psk_identity);
  EXPECT_EQ(kWantDecision, Describe(session)->state);
  auto again = Shake(session);
  EXPECT_EQ(kWantDecision, again->progress->state);
  EXPECT_STREQ("host.test", again->progress->decision->server_name->value);
  EXPECT_EQ(kWantDecision, Read(session)->progress->state);
  auto write = Write(session, "x");
  EXPECT_EQ(kWantDecision, write->progress->state);
  EXPECT_EQ(0u, write->accepted);
  Answer proceed;
  auto answered = Shake(session, &proceed);
  EXPECT_EQ(kWantRead, answered->progress->state);
  EXPECT_EQ(nullptr, answered->progress->decision);
  EXPECT_TRUE(Finish(session));
}

TEST_F(Decisions, CanAcceptAskAtOnceAndItsSessionStay) {
  peer_ = ClientPeer(-1);
  peer_handshake(peer_.get());
  Way way;
  auto request = New<V1(AcceptRequest)>();
  request.context = asking_;
  request.transport = way.Memory(TakePeer(peer_)).get();
  auto reply = client_->Call(request);
  EXPECT_EQ(kWantDecision, reply->progress->state);
  ASSERT_NE(0u, reply->session);
  wire_.clear();
  Answer proceed;
  EXPECT_EQ(kWantRead, Shake(reply->session, &proceed)->progress->state);
  EXPECT_TRUE(Finish(reply->session));
}

TEST_F(Decisions, CanReadAndWriteBringTheAnswer) {
  Answer proceed;
  uint64_t reads = Asked();
  auto read = New<V1(ReadRequest)>();
  read.session = reads;
  read.decision = &proceed.decision;
  EXPECT_EQ(kWantRead, client_->Call(read)->progress->state);
  uint64_t writes = Asked();
  auto write = New<V1(WriteRequest)>();
  write.session = writes;
  write.decision = &proceed.decision;
  EXPECT_EQ(kWantRead, client_->Call(write)->progress->state);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, client_->Call(write).code) << "that was the answer";
}

TEST_F(Decisions, DoesARefusalEndTheHandshakeWithItsAlert) {
  uint64_t session = Asked();
  Answer refuse(112);
  auto reply = Shake(session, &refuse);
  EXPECT_EQ(kFailed, reply->progress->state);
  EXPECT_STREQ("CALLBACK_FAILED", reply->progress->error->reason);
  EXPECT_NE(0u, reply->progress->output.len);
  EXPECT_FALSE(peer_handshake(peer_.get()));
  EXPECT_EQ(SSL_R_TLSV1_UNRECOGNIZED_NAME, ERR_GET_REASON(ERR_peek_last_error()));
  EXPECT_EQ(kFailed, Describe(session)->state);
}

TEST_F(Decisions, IsWhatIsNoAnswerRefusedAndTheDecisionStays) {
  uint64_t session = Asked();
  Answer key("secret");
  Answer no_alert(300);
  Answer nothing;
  nothing.decision.answer_case = TLSAGENT__V1__DECISION_ANSWER__ANSWER__NOT_SET;
  for (Answer *wrong : {&key, &no_alert, &nothing}) {
    EXPECT_EQ(STATUS_INVALID_ARGUMENT, Shake(session, wrong).code);
    EXPECT_EQ(kWantDecision, Shake(session)->progress->state);
  }
  Answer proceed;
  EXPECT_EQ(STATUS_OK, Shake(session, &proceed).code);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Shake(session, &proceed).code);
  EXPECT_TRUE(Finish(session));
}

TEST_F(Decisions, IsAnAnswerBeforeTheQuestionRefused) {
  uint64_t session = Begin(asking_);
  Answer proceed;
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Shake(session, &proceed).code);
  EXPECT_EQ(kWantDecision, Shake(session)->progress->state) << "and nothing was taken";
}

TEST_F(Decisions, MayAnotherConnectionOfTheClientAnswerAndNobodyElse) {
  uint64_t session = Asked();
  How how;
  how.token = Token();
  Client same = Connect();
  ASSERT_EQ(STATUS_OK, same.Call(New<V1(PingRequest)>(), how).code);
  Client other = Connect();
  Answer proceed;
  EXPECT_EQ(STATUS_NOT_FOUND, Shake(session, &proceed, &other).code);
  EXPECT_EQ(STATUS_NOT_FOUND, SetContext(session, asking_, &other));
  EXPECT_EQ(STATUS_OK, Shake(session, &proceed, &same).code);
  EXPECT_TRUE(Finish(session));
}

TEST_F(Decisions, CanTheContextBeSwitched) {
  uint64_t session = Asked();
  EXPECT_EQ(STATUS_OK, SetContext(session, Make(false, false, pki_get()->server_rsa)));
  Answer proceed;
  Shake(session, &proceed);
  EXPECT_TRUE(Finish(session));
  X509 *shown = SSL_get1_peer_certificate(peer_ssl(peer_.get()));
  EXPECT_EQ(EVP_PKEY_RSA, EVP_PKEY_get_base_id(X509_get0_pubkey(shown)));
  X509_free(shown);
}

TEST_F(Decisions, IsAContextThatCantBeRefused) {
  uint64_t session = Asked();
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, SetContext(session, client_context_));
  EXPECT_EQ(STATUS_NOT_FOUND, SetContext(session, 12345));
  EXPECT_EQ(STATUS_NOT_FOUND, SetContext(12345, server_context_));
  Answer proceed;
  Shake(session, &proceed);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, SetContext(session, server_context_));
}

TEST_F(Decisions, CanOneThatHasNotBegunBeSwitched) {
  uint64_t session = Begin(asking_);
  EXPECT_EQ(STATUS_OK, SetContext(session, server_context_));
  EXPECT_EQ(kWantRead, Shake(session)->progress->state) << "this one doesn't ask";
  EXPECT_TRUE(Finish(session));
}

TEST_F(Decisions, DoSessionsThatWaitEndWithTheirClient) {
  for (int i = 0; i < 20; i++) {
    Asked();
  }
  EXPECT_EQ(20u, LivingSessions());
  EXPECT_EQ(STATUS_OK, Close(Asked()));
  client_.reset();
  EXPECT_TRUE(Eventually([] { return LivingSessions() == 0; }));
}

// ---------------------------------------------------------------------------------------------
// On a socket.

class OnASocket : public Decisions {
 protected:
  // Opens a session; the ClientHello of a peer in memory is on its socket.
  uint64_t Open(uint64_t context, How how = How()) {
    peer_ = ClientPeer(-1);
    peer_handshake(peer_.get());
    wire_.clear();
    std::string hello = TakePeer(peer_);
    EXPECT_EQ((ssize_t)hello.size(), write(sockets_.ours(), hello.data(), hello.size()));
    Way way;
    auto request = New<V1(AcceptRequest)>();
    request.context = context;
    request.transport = way.Fd().get();
    theirs_ = sockets_.ReleaseTheirs();
    how.fds.push_back(theirs_);
    auto reply = client_->Call(request, how);
    close(theirs_);
    EXPECT_EQ(kWantDecision, reply->progress->state);
    EXPECT_EQ(0u, reply->progress->output.len);
    return reply->session;
  }
  Sockets sockets_;
  int theirs_ = -1;
};

TEST_F(OnASocket, IsAnOperationAnsweredWithTheDecision) {
  uint64_t session = Open(asking_);
  EXPECT_EQ(kWantDecision, Shake(session)->progress->state);
  EXPECT_EQ(kWantDecision, Read(session)->progress->state);
  EXPECT_EQ(kWantDecision, Write(session, "x")->progress->state);
  Answer refuse(112);
  EXPECT_EQ(kFailed, Shake(session, &refuse)->progress->state);
  char alert[16];
  ASSERT_LE(7, recv(sockets_.ours(), alert, sizeof(alert), 0));
  EXPECT_EQ(21, alert[0]);
  EXPECT_EQ(112, alert[6]);
}

TEST_F(OnASocket, DoesAnAnswerCountHoweverMuchIsQueued) {
  uint64_t session = Open(asking_);
  Answer proceed;
  auto request = New<V1(HandshakeRequest)>();
  request.session = session;
  request.decision = &proceed.decision;
  uint32_t first = client_->Start(request);
  uint32_t second = client_->Start(request);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, client_->Finish<V1(HandshakeRequest)>(second).code);
  EXPECT_TRUE(client_->Pending(first));
}

// ---------------------------------------------------------------------------------------------
// Events.

TEST_F(Decisions, AreEventsInTheAnswerOfTheCallTheyFellIn) {
  uint64_t session = Begin(Make(true, true));
  auto asked = Shake(session);
  ASSERT_EQ(kWantDecision, asked->progress->state);
  ASSERT_EQ(2u, asked->progress->n_events) << "before each suspension";
  const V1(MessageEvent) *hello = asked->progress->events[1]->message;
  EXPECT_FALSE(hello->sent);
  EXPECT_EQ(22u, hello->content_type);
  EXPECT_EQ(1, hello->data.data[0]);
  EXPECT_EQ(256u, asked->progress->events[0]->message->content_type);
  EXPECT_EQ(5u, asked->progress->events[0]->message->data.len);
  EXPECT_EQ(0u, Shake(session)->progress->n_events) << "once";
  Answer proceed;
  auto answered = Shake(session, &proceed);
  size_t lines = 0;
  for (size_t i = 0; i < answered->progress->n_events; i++) {
    const V1(SessionEvent) *event = answered->progress->events[i];
    lines += event->event_case == TLSAGENT__V1__SESSION_EVENT__EVENT_KEY_LOG;
    if (event->event_case == TLSAGENT__V1__SESSION_EVENT__EVENT_KEY_LOG) {
      EXPECT_NE(nullptr, strstr(event->key_log, "SECRET"));
    }
  }
  EXPECT_EQ(4u, lines);
}

TEST_F(Decisions, AreEventsOfAFailureInItsAnswer) {
  uint64_t session = Begin(Make(true, true));
  Shake(session);
  Answer refuse(40);
  auto reply = Shake(session, &refuse);
  EXPECT_EQ(kFailed, reply->progress->state);
  ASSERT_LT(0u, reply->progress->n_events);
  const V1(MessageEvent) *alert = reply->progress->events[reply->progress->n_events - 1]->message;
  EXPECT_TRUE(alert->sent);
  EXPECT_EQ(21u, alert->content_type);
  EXPECT_EQ(std::string("\2\50"), Text(alert->data));
}

TEST_F(Decisions, DoReadsWritesAndShutdownsTellOfEventsToo) {
  uint64_t session = Begin(Make(false, true));
  ASSERT_TRUE(Finish(session));
  EXPECT_LT(0u, Write(session, "x")->progress->n_events);
  peer_write(peer_.get(), "x", 1);
  EXPECT_LT(0u, Read(session, TakePeer(peer_))->progress->n_events);
  auto shutdown = New<V1(ShutdownRequest)>();
  shutdown.session = session;
  EXPECT_LT(0u, client_->Call(shutdown)->progress->n_events);
}

TEST_F(Decisions, AreTheChoicesOfAContextDescribed) {
  auto request = New<V1(DescribeContextRequest)>();
  request.context = Make(true, true);
  auto reply = client_->Call(request);
  EXPECT_TRUE(reply->settings->decisions->server_name);
  EXPECT_FALSE(reply->settings->decisions->psk_server);
  EXPECT_TRUE(reply->settings->events->key_log);
  request.context = server_context_;
  EXPECT_EQ(nullptr, client_->Call(request)->settings->decisions);
}

}  // namespace
