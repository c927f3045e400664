// SessionService.Decisions, from its first message to the handshake that goes on. What only real
// peers and gRPC can show is in tests/e2e/deciding_test.py.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "tests/unit/service/harness.h"
#include "tests/unit/service/streams.h"

namespace {

struct FreeResponse {
  void operator()(V1(DecisionsResponse) * response) const {
    tlsagent__v1__decisions_response__free_unpacked(response, nullptr);
  }
};
using Question = std::unique_ptr<V1(DecisionsResponse), FreeResponse>;

class Deciding : public Sessions {
 protected:
  void SetUp() override {
    Sessions::SetUp();
    V1(ContextSettings) settings = TLSAGENT__V1__CONTEXT_SETTINGS__INIT;
    V1(DecisionSettings) decisions = TLSAGENT__V1__DECISION_SETTINGS__INIT;
    V1(CertificatePair) pair = TLSAGENT__V1__CERTIFICATE_PAIR__INIT;
    V1(CertificatePair) * pairs[] = {&pair};
    Material chain(pki_get()->server->chain_pem);
    Material key(pki_get()->server->key_pem);
    decisions.server_name = true;
    settings.decisions = &decisions;
    pair.chain = chain.get();
    pair.key = key.get();
    auto request = New<V1(CreateContextRequest)>();
    request.kind = TLSAGENT__V1__CONTEXT_KIND__CONTEXT_KIND_SERVER;
    request.settings = &settings;
    request.pairs = pairs;
    request.n_pairs = 1;
    asking_ = client_->Call(request)->context;
  }
  void Open() {
    call_ = std::make_unique<StreamingCall>(path(), Token());
    call_->Open("tlsagent.v1.SessionService", "Decisions");
  }
  void First(std::vector<uint64_t> contexts) {
    V1(DecisionsBegin) begin = TLSAGENT__V1__DECISIONS_BEGIN__INIT;
    begin.contexts = contexts.data();
    begin.n_contexts = contexts.size();
    V1(DecisionsRequest) request = TLSAGENT__V1__DECISIONS_REQUEST__INIT;
    request.begin = &begin;
    call_->Send(&request.base);
  }
  void Begin(const std::vector<uint64_t> &contexts = {}) {
    Open();
    First(contexts);
    Question first = Next();
    ASSERT_NE(nullptr, first);
    EXPECT_EQ(0u, first->id);
  }
  Question Next() {
    std::string bytes;
    return call_->Next(&bytes) ? Question(tlsagent__v1__decisions_response__unpack(
                                     nullptr, bytes.size(), (const uint8_t *)bytes.data()))
                               : nullptr;
  }
  int Code() {
    while (Next() != nullptr) {
    }
    return call_->code;
  }
  void Answer(uint64_t id, uint64_t context = 0, bool empty = false) {
    V1(Proceed) proceed = TLSAGENT__V1__PROCEED__INIT;
    V1(DecisionAnswer) answer = TLSAGENT__V1__DECISION_ANSWER__INIT;
    answer.answer_case = TLSAGENT__V1__DECISION_ANSWER__ANSWER_PROCEED;
    answer.proceed = &proceed;
    V1(DecisionsRequest) request = TLSAGENT__V1__DECISIONS_REQUEST__INIT;
    request.id = id;
    request.context = context;
    request.answer = empty ? nullptr : &answer;
    call_->Send(&request.base);
  }
  // An Accept under way, and its peer at it.
  uint32_t Accept() {
    Sockets sockets;
    Way way;
    How how;
    how.fds = {sockets.ours()};
    auto request = New<V1(AcceptRequest)>();
    request.context = asking_;
    request.transport = way.Fd().get();
    uint32_t id = client_->Start(request, how);
    peer_ = ClientPeer(sockets.ReleaseTheirs());
    shaking_ = std::thread([this] { shaken_ = peer_handshake(peer_.get()); });
    return id;
  }
  Reply<V1(AcceptResponse)> Finish(uint32_t id) {
    auto reply = client_->Finish<V1(AcceptRequest)>(id);
    if (reply->progress != nullptr && reply->progress->state != TLSAGENT__V1__STATE__STATE_DONE &&
        reply->session != 0) {
      Close(reply->session);
    }
    shaking_.join();
    return reply;
  }
  std::unique_ptr<StreamingCall> call_;
  uint64_t asking_ = 0;
  std::thread shaking_;
  bool shaken_ = false;
};

TEST_F(Deciding, DoesAHandshakeGoOnWithTheAnswer) {
  for (bool all : {true, false}) {
    Begin(all ? std::vector<uint64_t>() : std::vector<uint64_t>{asking_});
    uint32_t id = Accept();
    Question question = Next();
    ASSERT_NE(nullptr, question);
    EXPECT_EQ(asking_, question->context);
    EXPECT_STREQ("host.test", question->decision->server_name->value);
    EXPECT_STREQ("", question->refused);
    EXPECT_EQ(TLSAGENT__V1__STATE__STATE_WANT_DECISION, Describe(question->session)->state);
    Answer(question->id, server_context_);
    auto reply = Finish(id);
    EXPECT_EQ(TLSAGENT__V1__STATE__STATE_DONE, reply->progress->state);
    EXPECT_EQ(question->session, reply->session);
    EXPECT_TRUE(shaken_);
    Close(reply->session);
    call_->HalfClose();
    EXPECT_EQ(0, Code());
  }
}

TEST_F(Deciding, IsAnAnswerThatIsNoneToldSo) {
  Begin();
  uint32_t id = Accept();
  uint64_t question = Next()->id;
  Answer(question, 0, true);
  EXPECT_STRNE("", Next()->refused);
  Answer(question, asking_ + 1);
  EXPECT_STRNE("", Next()->refused);
  Answer(question, client_context_);
  Question refused = Next();
  EXPECT_EQ(question, refused->id);
  EXPECT_STRNE("", refused->refused);
  EXPECT_EQ(nullptr, refused->decision);
  Answer(question + 1);
  Answer(question);
  EXPECT_EQ(TLSAGENT__V1__STATE__STATE_DONE, Finish(id)->progress->state);
}

TEST_F(Deciding, DoesTheOperationSayItWhenNobodyIsLeft) {
  for (bool well : {true, false}) {
    Begin();
    uint32_t id = Accept();
    ASSERT_NE(nullptr, Next());
    if (well) {
      call_->HalfClose();
      EXPECT_EQ(0, Code());
    } else {
      call_.reset();
    }
    EXPECT_EQ(TLSAGENT__V1__STATE__STATE_WANT_DECISION, Finish(id)->progress->state);
    EXPECT_FALSE(shaken_);
  }
}

TEST_F(Deciding, IsASecondOneRefused) {
  Begin({asking_});
  auto first = std::move(call_);
  Open();
  First({});
  EXPECT_EQ(STATUS_ALREADY_EXISTS, Code());
  Begin({server_context_});
}

TEST_F(Deciding, MayContextsComeInAnyOrderAndTwice) {
  const uint64_t low = std::min(asking_, server_context_);
  const uint64_t high = std::max(asking_, server_context_);
  for (const std::vector<uint64_t> &contexts :
       {std::vector<uint64_t>{low, high}, {high, low}, {high, low, high}, {low, high, low, low}}) {
    Begin(contexts);
    auto first = std::move(call_);
    for (uint64_t one : {low, high}) {
      Open();
      First({one});
      EXPECT_EQ(STATUS_ALREADY_EXISTS, Code());
    }
    call_ = std::move(first);
    uint32_t id = Accept();
    Question question = Next();
    ASSERT_NE(nullptr, question);
    Answer(question->id);
    EXPECT_EQ(TLSAGENT__V1__STATE__STATE_DONE, Finish(id)->progress->state);
    call_->HalfClose();
    EXPECT_EQ(0, Code());
  }
}

TEST_F(Deciding, AreFirstMessagesChecked) {
  Open();
  First({asking_ + 1});
  EXPECT_EQ(STATUS_NOT_FOUND, Code());
  Open();
  First(std::vector<uint64_t>(257, asking_));
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Code());
  Open();
  Answer(1);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Code());
  Open();
  call_->HalfClose();
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Code());
  Begin();
  First({});
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Code());
}

TEST_F(Deciding, DoesItEndWithTheService) {
  Begin();
  uint32_t id = Accept();
  ASSERT_NE(nullptr, Next());
  Drain();
  EXPECT_EQ(0, Code());
  EXPECT_EQ(TLSAGENT__V1__STATE__STATE_WANT_DECISION,
            client_->Finish<V1(AcceptRequest)>(id)->progress->state);
  client_->Disconnect();
  call_.reset();
  shaking_.join();
}

TEST_F(Deciding, MayAllGoInTheMiddle) {
  Begin();
  Accept();
  ASSERT_NE(nullptr, Next());
  client_->Disconnect();
  call_.reset();
  Stop();
  shaking_.join();
}

}  // namespace
