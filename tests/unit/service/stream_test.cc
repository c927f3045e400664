// SessionService.Stream: plaintext both ways by one call. What only real peers and gRPC can show is
// in tests/e2e/streams_test.py.
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/service/harness.h"
#include "tests/unit/service/streams.h"

namespace {

constexpr uint64_t kMuch = 1 << 20;
constexpr size_t kWindow = STREAM_WINDOW;

struct FreeResponse {
  void operator()(V1(StreamResponse) * response) const {
    tlsagent__v1__stream_response__free_unpacked(response, nullptr);
  }
};
using Answer = std::unique_ptr<V1(StreamResponse), FreeResponse>;

class Streams : public Sessions {
 protected:
  void Open() {
    call_ = std::make_unique<StreamingCall>(path(), Token());
    call_->Open("tlsagent.v1.SessionService", "Stream");
  }
  void First(uint64_t session, uint64_t credit, bool forget = false) {
    V1(StreamBegin) begin = TLSAGENT__V1__STREAM_BEGIN__INIT;
    begin.session = session;
    begin.forget = forget;
    V1(StreamRequest) request = TLSAGENT__V1__STREAM_REQUEST__INIT;
    request.begin = &begin;
    request.credit = credit;
    call_->Send(&request.base);
  }
  void Begin(enum engine_role role = ENGINE_CLIENT, uint64_t credit = kMuch, bool forget = false) {
    session_ = OpenOnFd(role);
    Open();
    First(session_, credit, forget);
    Answer first = Next();
    ASSERT_NE(nullptr, first);
    EXPECT_EQ(kWindow, first->credit);
    EXPECT_EQ(0u, first->data.len);
  }
  void Send(const std::string &data, uint64_t credit = 0) {
    V1(StreamRequest) request = TLSAGENT__V1__STREAM_REQUEST__INIT;
    request.data = Binary(data);
    request.credit = credit;
    call_->Send(&request.base);
  }
  // NULL at the end.
  Answer Next() {
    std::string bytes;
    return call_->Next(&bytes) ? Answer(tlsagent__v1__stream_response__unpack(
                                     nullptr, bytes.size(), (const uint8_t *)bytes.data()))
                               : nullptr;
  }
  std::string Receive(size_t len) {
    std::string out;
    while (out.size() < len) {
      Answer answer = Next();
      if (answer == nullptr || answer->end != nullptr) {
        ADD_FAILURE() << "it ended";
        break;
      }
      out += Text(answer->data);
    }
    return out;
  }
  // The last answer, after which the call ends well.
  Answer End() {
    Answer answer = Next();
    while (answer != nullptr && answer->end == nullptr) {
      answer = Next();
    }
    EXPECT_NE(nullptr, answer);
    EXPECT_EQ(nullptr, Next());
    EXPECT_EQ(0, call_->code);
    return answer;
  }
  int Code() {
    while (Next() != nullptr) {
    }
    return call_->code;
  }
  void Talk() {
    std::string question = "question";
    Send(question);
    EXPECT_EQ(question, ReadPeer(peer_, question.size()));
    EXPECT_TRUE(peer_write(peer_.get(), "answer", 6));
    EXPECT_EQ("answer", Receive(6));
  }
  std::string TrailingOf(uint64_t session) {
    auto request = New<V1(ShutdownRequest)>();
    request.session = session;
    return Text(client_->Call(request)->trailing);
  }
  std::unique_ptr<StreamingCall> call_;
  uint64_t session_ = 0;
};

TEST_F(Streams, DoBytesGoBothWays) {
  for (enum engine_role role : {ENGINE_CLIENT, ENGINE_SERVER}) {
    Begin(role);
    Talk();
    call_->HalfClose();
    EXPECT_EQ("", ReadPeer(peer_, 1));
    EXPECT_TRUE(peer_was_shut_down(peer_.get()));
    peer_shutdown(peer_.get());
    Answer told = Next();
    ASSERT_NE(nullptr, told);
    EXPECT_TRUE(told->peer_ended);
    Answer last = End();
    EXPECT_EQ(TLSAGENT__V1__STATE__STATE_CLOSED, last->end->state);
    EXPECT_EQ(nullptr, last->end->error);
    EXPECT_EQ(6u, last->end->bytes_read);
    EXPECT_EQ(8u, last->end->bytes_written);
    EXPECT_EQ(0, Close(session_));
  }
}

TEST_F(Streams, MayThePeerEndFirst) {
  Begin();
  peer_shutdown(peer_.get());
  EXPECT_TRUE(Next()->peer_ended);
  std::string more = "more";
  Send(more);
  EXPECT_EQ(more, ReadPeer(peer_, more.size()));
  call_->HalfClose();
  EXPECT_EQ(TLSAGENT__V1__STATE__STATE_CLOSED, End()->end->state);
}

TEST_F(Streams, IsWhatFollowsTlsLeftForShutdown) {
  Begin(ENGINE_CLIENT, 1);
  EXPECT_TRUE(peer_write(peer_.get(), "xy", 2));
  EXPECT_EQ("x", Receive(1));
  peer_shutdown(peer_.get());
  EXPECT_EQ(10, write(peer_fd(peer_.get()), "clear text", 10));
  Send("", kMuch);  // all of it is there by now, and is received at once
  EXPECT_EQ("y", Receive(1));
  EXPECT_TRUE(Next()->peer_ended);
  call_->HalfClose();
  EXPECT_EQ(TLSAGENT__V1__STATE__STATE_CLOSED, End()->end->state);
  EXPECT_EQ("clear text", TrailingOf(session_));
}

TEST_F(Streams, IsAnEndThatIsNoneAFailure) {
  Begin();
  peer_.reset();
  Answer last = End();
  EXPECT_EQ(TLSAGENT__V1__STATE__STATE_FAILED, last->end->state);
  ASSERT_NE(nullptr, last->end->error);
  EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_TRUNCATED, last->end->error->kind);
  EXPECT_EQ(TLSAGENT__V1__STATE__STATE_FAILED, Describe(session_)->state);
}

TEST_F(Streams, IsCreditKeptTo) {
  Begin(ENGINE_CLIENT, 5);
  EXPECT_TRUE(peer_write(peer_.get(), "hello world", 11));
  EXPECT_EQ("hello", Receive(5));
  EXPECT_EQ(5u, Describe(session_)->bytes_read);
  Send("", 3);
  EXPECT_EQ(" wo", Receive(3));
  Send("", UINT64_MAX);
  Send("", UINT64_MAX);
  EXPECT_EQ("rld", Receive(3));
}

TEST_F(Streams, IsCreditGivenAsItIsUsed) {
  Begin();
  std::string half = Pattern(kWindow / 2);
  for (int i = 0; i < 20; i++) {
    Send(half);
    EXPECT_EQ(half, ReadPeer(peer_, half.size()));
    Answer grant = Next();
    ASSERT_NE(nullptr, grant);
    EXPECT_EQ(half.size(), grant->credit);
  }
}

TEST_F(Streams, IsWhoOverrunsItEnded) {
  Begin();
  std::string all = Pattern(kWindow);
  for (int i = 0; i < 40; i++) {  // more than sockets take from who doesn't read
    Send(all);
  }
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, Code());
  EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_CLOSED_HERE, Describe(session_)->error->kind);
}

TEST_F(Streams, IsTooLargeAMessageTheEnd) {
  Begin();
  Send(Pattern(kWindow + 1));
  EXPECT_EQ(STATUS_RESOURCE_EXHAUSTED, Code());
}

TEST_F(Streams, IsASecondBeginningTheEnd) {
  Begin();
  First(session_, 1);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Code());
}

TEST_F(Streams, IsTheSessionNobodyElsesMeanwhile) {
  Begin();
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Read(session_).code);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Write(session_, "x").code);
  EXPECT_EQ(STATUS_OK, Describe(session_).code);
  auto stream = std::move(call_);
  Open();
  First(session_, kMuch);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Code());
  call_ = std::move(stream);
  Talk();
}

TEST_F(Streams, DoesACloseEndIt) {
  for (uint64_t credit : {kMuch, (uint64_t)1}) {
    Begin(ENGINE_CLIENT, credit);
    EXPECT_TRUE(peer_write(peer_.get(), "xy", 2));
    EXPECT_NE("", Receive(1));
    EXPECT_EQ(0, Close(session_));
    Answer last = End();
    EXPECT_EQ(TLSAGENT__V1__ERROR_KIND__ERROR_KIND_CLOSED_HERE, last->end->error->kind);
  }
}

TEST_F(Streams, DoesItsClientsEndCloseTheSession) {
  for (bool forget : {false, true}) {
    Begin(ENGINE_CLIENT, kMuch, forget);
    Talk();
    call_.reset();
    EXPECT_TRUE(SeesEnd(peer_fd(peer_.get())));
    EXPECT_FALSE(peer_was_shut_down(peer_.get()));
    EXPECT_EQ(forget ? STATUS_NOT_FOUND : STATUS_OK, (int)Close(session_));
  }
}

TEST_F(Streams, IsOneForgottenThatIsToBe) {
  Begin(ENGINE_CLIENT, kMuch, true);
  call_->HalfClose();
  peer_shutdown(peer_.get());
  EXPECT_EQ(TLSAGENT__V1__STATE__STATE_CLOSED, End()->end->state);
  EXPECT_EQ(STATUS_NOT_FOUND, Describe(session_).code);
  EXPECT_TRUE(SeesEnd(peer_fd(peer_.get())));
}

TEST_F(Streams, IsWhatCantBeStreamedRefused) {
  uint64_t in_memory = OpenInMemory();
  Open();
  First(in_memory, 1);
  EXPECT_EQ(STATUS_FAILED_PRECONDITION, Code());
  Open();
  First(in_memory + 1, 1);
  EXPECT_EQ(STATUS_NOT_FOUND, Code());
  session_ = OpenOnFd();
  Open();
  First(session_, 0);  // by ttrpc
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Code());
  Open();
  Send("data");
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Code());
  Open();
  call_->HalfClose();
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, Code());
  EXPECT_EQ(TLSAGENT__V1__STATE__STATE_DONE, Describe(session_)->state);
}

TEST_F(Streams, DoesOneThatHasNotBegunEndWithTheService) {
  uint64_t before = counter_read(COUNTER_calls_started);
  Open();
  // Its own Hello, and it.
  ASSERT_TRUE(Eventually([&] { return counter_read(COUNTER_calls_started) == before + 2; }));
  Drain();
  EXPECT_EQ(STATUS_UNAVAILABLE, Code());
}

}  // namespace
