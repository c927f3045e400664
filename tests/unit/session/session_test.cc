#include "server/session/session.h"

#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/session/harness.h"

namespace {

using Session = SessionTest;

// Waits for the descriptor's end as the peer sees it.
bool SeesEnd(int fd) {
  char byte;
  struct timeval patience = {10, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  return recv(fd, &byte, 1, 0) == 0;
}

struct Waiter {
  struct session_closed closed = {};
  std::atomic<int> times{0};
  Waiter() {
    closed.closed = [](struct session_closed *told) { LIST_ENTRY(told, Waiter, closed)->times++; };
  }
};

TEST_F(Session, IsANewOneCountedWhereItLives) {
  uint64_t living = Living();
  struct session *session = Make(Wish());
  EXPECT_EQ(living + 1, Living());
  EXPECT_EQ(1u, worker_load(worker()));
  EXPECT_EQ(worker(), session_worker(session));
  Close(session);
  Release(session);
  EXPECT_TRUE(Eventually([&] { return Living() == living && worker_load(worker()) == 0; }));
}

TEST_F(Session, DoesOneThatWasNeverClosedGoWithItsLastReference) {
  struct session *session = Make(Wish());
  session_ref(session);
  session_unref(session);
  Release(session);  // on another thread than its worker's
  EXPECT_TRUE(Eventually([&] { return Living() == 0; }));
}

TEST_F(Session, IsADescriptorTakenOverEvenWhenTheEngineRefuses) {
  Sockets sockets;
  Wish wish;
  wish.path = SESSION_FD;
  wish.fd = sockets.ours;
  wish.role = ENGINE_SERVER;
  wish.context = client_context_;
  struct tls_error error;
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, TryMake(wish, &error).code);
  EXPECT_EQ(TLS_ERROR_INVALID, error.kind);
  EXPECT_STRNE("", error.text);
  EXPECT_TRUE(SeesEnd(sockets.theirs));
  close(sockets.theirs);
}

TEST_F(Session, IsAHostThatCantBeOneAnInvalidArgument) {
  Wish wish;
  wish.path = SESSION_DIAL;
  wish.host = std::string(300, 'a');
  wish.port = 443;
  struct tls_error error;
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, TryMake(wish, &error).code);
  EXPECT_EQ(TLS_ERROR_INVALID, error.kind);
  EXPECT_STRNE("", error.text);
}

TEST_F(Session, DoesCloseAnswerWhatIsQueued) {
  Sockets sockets;
  struct session *session = MakeOn(sockets.ours, ENGINE_CLIENT);
  Operation handshake(SESSION_HANDSHAKE);
  Operation read(SESSION_READ);
  Operation write(SESSION_WRITE);
  Submit(session, handshake);
  Submit(session, read.Room(16));
  Submit(session, write.Data("x"));
  EXPECT_TRUE(handshake.Pending());
  Close(session);
  for (Operation *operation : {&handshake, &read, &write}) {
    EXPECT_EQ(ENGINE_FAILED, operation->Result());
    EXPECT_EQ(TLS_ERROR_CLOSED_HERE, operation->op.error.kind);
  }
  char data[4096];
  EXPECT_GT(recv(sockets.theirs, data, sizeof(data), 0), 0) << "the ClientHello had been sent";
  EXPECT_TRUE(SeesEnd(sockets.theirs));
  close(sockets.theirs);
}

TEST_F(Session, IsAnOperationAfterCloseAnsweredAtOnce) {
  struct session *session = Make(Wish());
  Close(session);
  Operation read(SESSION_READ);
  EXPECT_EQ(ENGINE_FAILED, Do(session, read.Room(16)));
  EXPECT_EQ(TLS_ERROR_CLOSED_HERE, read.op.error.kind);
  EXPECT_EQ(ENGINE_FAILED, session_state(session));
}

TEST_F(Session, IsEachWaiterToldOnceThatItIsClosed) {
  Sockets sockets;
  struct session *session = MakeOn(sockets.ours, ENGINE_CLIENT);
  Waiter waiters[3];
  Run([&] { session_close(session, &waiters[0].closed); });
  Run([&] { session_close(session, &waiters[1].closed); });
  EXPECT_TRUE(Eventually([&] { return waiters[0].times + waiters[1].times == 2; }));
  Run([&] {
    session_close(session, &waiters[2].closed);
    EXPECT_EQ(1, waiters[2].times) << "it is gone already";
  });
  for (Waiter &waiter : waiters) {
    EXPECT_EQ(1, waiter.times);
  }
  EXPECT_TRUE(SeesEnd(sockets.theirs));
  close(sockets.theirs);
}

TEST_F(Session, IsAMemorySessionClosedAtOnce) {
  struct session *session = Make(Wish());
  Waiter waiter;
  Run([&] {
    session_close(session, &waiter.closed);
    EXPECT_EQ(1, waiter.times);
  });
}

TEST_F(Session, CanAnyThreadEndIt) {
  Sockets sockets;
  struct session *session = MakeOn(sockets.ours, ENGINE_CLIENT);
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session, handshake);
  session_end(session);
  session_end(session);
  EXPECT_EQ(ENGINE_FAILED, handshake.Result());
  EXPECT_EQ(TLS_ERROR_CLOSED_HERE, handshake.op.error.kind);
  Release(session);
  EXPECT_TRUE(Eventually([&] { return Living() == 0; }));
  close(sockets.theirs);
}

TEST_F(Session, CanAnAnswerCloseTheSession) {
  Sockets sockets;
  struct session *session = MakeOn(sockets.ours, ENGINE_CLIENT);
  Operation first(SESSION_READ);
  Operation second(SESSION_READ);
  first.on_done = [&] { session_close(session, nullptr); };
  Submit(session, first.Room(16));
  Submit(session, second.Room(16));
  char hello[4096];
  EXPECT_GT(recv(sockets.theirs, hello, sizeof(hello), 0), 0);
  close(sockets.theirs);
  EXPECT_EQ(ENGINE_FAILED, first.Result());
  EXPECT_EQ(TLS_ERROR_TRUNCATED, first.op.error.kind);
  EXPECT_EQ(ENGINE_FAILED, second.Result());
}

TEST_F(Session, CanAnAnswerGiveTheLastReferenceBack) {
  Sockets sockets;
  struct session *session = MakeOn(sockets.ours, ENGINE_CLIENT);
  Operation read(SESSION_READ);
  read.on_done = [&] {
    session_close(session, nullptr);
    session_unref(session);
  };
  session_ref(session);
  Submit(session, read.Room(16));
  Release(session);
  close(sockets.theirs);
  EXPECT_EQ(ENGINE_FAILED, read.Result());
  EXPECT_TRUE(Eventually([&] { return Living() == 0; }));
}

TEST_F(InMemory, DoesItsStateTellTheStory) {
  Begin();
  EXPECT_EQ(ENGINE_WANT_INPUT, session_state(session_));
  Shake();
  EXPECT_EQ(ENGINE_DONE, session_state(session_));
  peer_shutdown(peer_.get());
  Operation read(SESSION_READ);
  EXPECT_EQ(ENGINE_CLOSED, Pass(read.Room(16)));
  EXPECT_EQ(ENGINE_CLOSED, session_state(session_));
  Close(session_);
  EXPECT_EQ(ENGINE_FAILED, session_state(session_));
  EXPECT_EQ(TLS_ERROR_CLOSED_HERE, session_error(session_)->kind);
}

struct Holder {
  struct session_holder holder = {};
  int times = 0;
  bool was_held = false;
  struct session *session = nullptr;
  Holder() {
    holder.closed = [](struct session_holder *told) {
      Holder *self = LIST_ENTRY(told, Holder, holder);
      self->times++;
      self->was_held = session_is_held(self->session);
    };
  }
};

TEST_F(Shaken, IsASessionHeldByOne) {
  Shake();
  Run([&] {
    Holder one;
    Holder other;
    EXPECT_FALSE(session_is_held(session_));
    EXPECT_EQ(STATUS_OK, session_hold(session_, &one.holder).code);
    EXPECT_TRUE(session_is_held(session_));
    EXPECT_EQ(STATUS_FAILED_PRECONDITION, session_hold(session_, &other.holder).code);
    session_let_go(session_);
    session_let_go(session_);
    EXPECT_FALSE(session_is_held(session_));
    EXPECT_EQ(STATUS_OK, session_hold(session_, &other.holder).code);
    session_let_go(session_);
  });
}

TEST_F(Shaken, IsAHolderToldOfTheClose) {
  Shake();
  Holder holder;
  holder.session = session_;
  Run([&] { EXPECT_EQ(STATUS_OK, session_hold(session_, &holder.holder).code); });
  Operation read(SESSION_READ);
  int told_before = -1;
  read.on_done = [&] { told_before = holder.times; };
  Submit(session_, read.Room(16));
  Close(session_);
  EXPECT_EQ(ENGINE_FAILED, read.Result());
  EXPECT_EQ(0, told_before);  // the operations first
  EXPECT_EQ(1, holder.times);
  EXPECT_FALSE(holder.was_held);
  Run([&] { EXPECT_EQ(STATUS_FAILED_PRECONDITION, session_hold(session_, &holder.holder).code); });
}

TEST_F(Shaken, IsOneThatIsUsedNotHeld) {
  Shake();
  Holder holder;
  Operation read(SESSION_READ);
  Submit(session_, read.Room(16));
  Run([&] { EXPECT_EQ(STATUS_FAILED_PRECONDITION, session_hold(session_, &holder.holder).code); });
  Cancel(read);
  Run([&] {
    EXPECT_EQ(STATUS_OK, session_hold(session_, &holder.holder).code);
    session_let_go(session_);
  });
  Operation shutdown(SESSION_SHUTDOWN);
  EXPECT_EQ(ENGINE_DONE, Do(session_, shutdown));
  Run([&] { EXPECT_EQ(STATUS_FAILED_PRECONDITION, session_hold(session_, &holder.holder).code); });
}

TEST_F(InMemory, IsOneOfTheMemoryPathNotHeld) {
  Begin();
  Shake();
  Holder holder;
  Run([&] { EXPECT_EQ(STATUS_FAILED_PRECONDITION, session_hold(session_, &holder.holder).code); });
}

}  // namespace
