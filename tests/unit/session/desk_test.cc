// Sessions that ask, and clerks who answer, leave, or have too much to do.
#include "server/session/desk.h"

#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "tests/unit/session/harness.h"

namespace {

constexpr uint64_t kContext = 7;

struct Clerk {
  explicit Clerk(std::vector<uint64_t> contexts = {}, char owner = 'o')
      : kept(std::move(contexts)) {
    clerk.owner[0] = (uint8_t)owner;
    clerk.contexts = kept.data();
    clerk.num_contexts = kept.size();
    clerk.ready = [](struct clerk *told) { LIST_ENTRY(told, Clerk, clerk)->times_ready++; };
    clerk.gone = [](struct clerk *told) { LIST_ENTRY(told, Clerk, clerk)->times_gone++; };
  }
  struct clerk clerk = {};
  std::atomic<int> times_ready{0};
  std::atomic<int> times_gone{0};
  std::vector<uint64_t> kept;
};

class Desk : public SessionTest {
 protected:
  void SetUp() override {
    desk_init(&desk_);
    tls_context_change change = {};
    tls_pair pair = {};
    pair.chain = slice_of_string(pki_get()->server->chain_pem);
    pair.key = slice_of_string(pki_get()->server->key_pem);
    change.pairs = &pair;
    change.num_pairs = 1;
    change.settings.present = TLS_SET_DECISIONS;
    change.settings.decisions.server_name = true;
    struct tls_error error;
    EXPECT_EQ(STATUS_OK, tls_context_new(TLS_CONTEXT_SERVER, &change, &asking_, &error).code);
  }
  void TearDown() override {
    for (int fd : theirs_) {
      close(fd);
    }
    tls_context_unref(asking_);
  }
  // A server session that has its place, and the peer's first flight on its way to it.
  struct session *Asking(uint64_t context = kContext, enum session_path path = SESSION_FD) {
    Sockets sockets;
    theirs_.push_back(sockets.theirs);
    Wish wish;
    wish.role = ENGINE_SERVER;
    wish.path = path;
    wish.fd = sockets.ours;
    wish.context = asking_;
    struct session *session = Make(wish);
    struct desk_place place = {};
    place.desk = &desk_;
    place.owner[0] = 'o';
    place.context = context;
    place.session = ++num_;
    Run([&] { session_ask_at(session, &place); });
    peer_ = ClientPeer(-1);
    peer_handshake(peer_.get());
    std::string hello = TakePeer(peer_);
    EXPECT_EQ((ssize_t)hello.size(), send(sockets.theirs, hello.data(), hello.size(), 0));
    return session;
  }
  status_code Sit(Clerk &clerk) {
    status_t sat = OK_STATUS;
    Run([&] { sat = clerk_sit(&desk_, &clerk.clerk); });
    return sat.code;
  }
  void Leave(Clerk &clerk) {
    Run([&] { clerk_leave(&clerk.clerk); });
    EXPECT_TRUE(Eventually([&] { return clerk.times_gone == 1; }));
  }
  bool Take(Clerk &clerk) {
    bool taken = false;
    Run([&] { taken = clerk_take(&clerk.clerk, &question_); });
    return taken;
  }
  bool Await(Clerk &clerk) {
    return Eventually([&] { return Take(clerk); });
  }
  status_code Answer(Clerk &clerk, uint64_t id, enum engine_answer_kind kind = ENGINE_PROCEED,
                     struct tls_context *context = nullptr) {
    status_t given = OK_STATUS;
    struct engine_answer answer = {};
    answer.kind = kind;
    answer.alert = 112;
    answer.identity = "";
    Run([&] { given = clerk_answer(&clerk.clerk, id, &answer, context); });
    return given.code;
  }
  size_t NumQuestions(Clerk &clerk) {
    pthread_mutex_lock(&desk_.lock);
    size_t num = clerk.clerk.num_questions;
    pthread_mutex_unlock(&desk_.lock);
    return num;
  }
  // The session has its answer, and waits for the peer again.
  bool GoesOn(struct session *session) {
    return Eventually([&] {
      enum engine_result state = ENGINE_FAILED;
      Run([&] { state = session_state(session); });
      return state == ENGINE_WANT_INPUT;
    });
  }
  // The operation is the test's, and must not outlive it.
  void End(struct session *session, Operation &operation) {
    Close(session);
    EXPECT_EQ(ENGINE_FAILED, operation.Result());
  }
  struct desk desk_;
  struct tls_context *asking_ = nullptr;
  struct clerk_question question_ = {};
  Peer peer_;
  std::vector<int> theirs_;
  uint64_t num_ = 0;
};

TEST_F(Desk, IsAClerkAskedAndHisAnswerTaken) {
  Clerk clerk({kContext});
  ASSERT_EQ(STATUS_OK, Sit(clerk));
  struct session *session = Asking();
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session, handshake);
  ASSERT_TRUE(Await(clerk));
  EXPECT_EQ(1, clerk.times_ready);
  EXPECT_EQ(1u, question_.id);
  EXPECT_EQ(kContext, question_.context);
  EXPECT_EQ(num_, question_.session);
  EXPECT_EQ(ENGINE_DECIDE_SERVER_NAME, question_.decision.kind);
  EXPECT_STREQ("host.test", question_.decision.server_name);
  EXPECT_STREQ("", question_.why);
  EXPECT_TRUE(handshake.Pending());
  EXPECT_FALSE(Take(clerk));
  EXPECT_EQ(STATUS_NOT_FOUND, Answer(clerk, 2));
  EXPECT_EQ(STATUS_OK, Answer(clerk, 1));
  EXPECT_EQ(STATUS_NOT_FOUND, Answer(clerk, 1));
  EXPECT_TRUE(GoesOn(session));
  EXPECT_TRUE(handshake.Pending());
  Leave(clerk);
  End(session, handshake);
}

TEST_F(Desk, IsAWrongAnswerToldAndARightOneTaken) {
  Clerk clerk;
  ASSERT_EQ(STATUS_OK, Sit(clerk));
  struct session *session = Asking();
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session, handshake);
  ASSERT_TRUE(Await(clerk));
  EXPECT_EQ(STATUS_OK, Answer(clerk, 1, ENGINE_PSK));
  ASSERT_TRUE(Await(clerk));
  EXPECT_EQ(1u, question_.id);
  EXPECT_STRNE("", question_.why);
  EXPECT_EQ(STATUS_OK, Answer(clerk, 1, ENGINE_PROCEED, tls_context_ref(client_context_)));
  ASSERT_TRUE(Await(clerk));
  EXPECT_STRNE("", question_.why);
  EXPECT_TRUE(handshake.Pending());
  EXPECT_EQ(STATUS_OK, Answer(clerk, 1, ENGINE_PROCEED, tls_context_ref(server_context_)));
  EXPECT_TRUE(GoesOn(session));
  Leave(clerk);
  End(session, handshake);
}

TEST_F(Desk, IsARefusalTheEndOfTheHandshake) {
  Clerk clerk;
  ASSERT_EQ(STATUS_OK, Sit(clerk));
  struct session *session = Asking();
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session, handshake);
  ASSERT_TRUE(Await(clerk));
  EXPECT_EQ(STATUS_OK, Answer(clerk, 1, ENGINE_REFUSE));
  EXPECT_EQ(ENGINE_FAILED, handshake.Result());
  EXPECT_EQ(112, handshake.op.error.alert);
  Leave(clerk);
}

TEST_F(Desk, IsNobodyAskedWhereNobodySits) {
  Clerk other({kContext + 1});
  Clerk stranger({}, 's');
  ASSERT_EQ(STATUS_OK, Sit(other));
  ASSERT_EQ(STATUS_OK, Sit(stranger));
  struct session *session = Asking();
  Operation handshake(SESSION_HANDSHAKE);
  EXPECT_EQ(ENGINE_WANT_DECISION, Do(session, handshake));
  EXPECT_FALSE(Take(other));
  EXPECT_FALSE(Take(stranger));
  Leave(other);
  Leave(stranger);
}

TEST_F(Desk, IsThereOneForEach) {
  Clerk first({1, 2});
  Clerk second({2, 3});
  Clerk third({3});
  Clerk all;
  Clerk stranger({1}, 's');
  EXPECT_EQ(STATUS_OK, Sit(first));
  EXPECT_EQ(STATUS_ALREADY_EXISTS, Sit(second));
  EXPECT_EQ(STATUS_ALREADY_EXISTS, Sit(all));
  EXPECT_EQ(STATUS_OK, Sit(third));
  EXPECT_EQ(STATUS_OK, Sit(stranger));
  Leave(first);
  EXPECT_EQ(STATUS_ALREADY_EXISTS, Sit(second));
  Leave(third);
  EXPECT_EQ(STATUS_OK, Sit(all));
  EXPECT_EQ(STATUS_ALREADY_EXISTS, Sit(first));
  Leave(all);
  Leave(stranger);
}

TEST_F(Desk, DoesASessionAskAgainWhenItsClerkLeaves) {
  Clerk one({kContext});
  Clerk fresh({kContext});
  ASSERT_EQ(STATUS_OK, Sit(one));
  struct session *taken = Asking();
  struct session *untaken = Asking();
  Operation first(SESSION_HANDSHAKE);
  Operation second(SESSION_HANDSHAKE);
  Submit(taken, first);
  ASSERT_TRUE(Await(one));
  Submit(untaken, second);
  ASSERT_TRUE(Eventually([&] { return one.times_ready == 2; }));
  Run([&] {
    clerk_leave(&one.clerk);
    EXPECT_EQ(STATUS_OK, clerk_sit(&desk_, &fresh.clerk).code);  // before they hear of it
  });
  EXPECT_TRUE(Await(fresh));
  EXPECT_TRUE(Await(fresh));
  EXPECT_TRUE(first.Pending());
  EXPECT_TRUE(second.Pending());
  Leave(fresh);
  EXPECT_EQ(ENGINE_WANT_DECISION, first.Result());
  EXPECT_EQ(ENGINE_WANT_DECISION, second.Result());
  EXPECT_EQ(1, one.times_gone);
}

TEST_F(Desk, MayHeLeaveWhileAnswersAndNewsAreOnTheirWay) {
  for (bool good : {false, true}) {
    Clerk clerk;
    ASSERT_EQ(STATUS_OK, Sit(clerk));
    struct session *answered = Asking();
    struct session *late = Asking();
    Operation first(SESSION_HANDSHAKE);
    Operation second(SESSION_HANDSHAKE);
    Submit(answered, first);
    ASSERT_TRUE(Await(clerk));
    Run([&] {
      struct engine_answer answer = {};
      answer.kind = good ? ENGINE_PROCEED : ENGINE_PSK;
      answer.identity = "";
      EXPECT_EQ(STATUS_OK, clerk_answer(&clerk.clerk, question_.id, &answer, nullptr).code);
      clerk_leave(&clerk.clerk);
    });
    EXPECT_TRUE(Eventually([&] { return clerk.times_gone == 1; }));
    Submit(late, second);
    EXPECT_EQ(ENGINE_WANT_DECISION, second.Result());
    if (good) {
      EXPECT_TRUE(GoesOn(answered));
      End(answered, first);
    } else {
      EXPECT_EQ(ENGINE_WANT_DECISION, first.Result());
    }
  }
}

TEST_F(Desk, IsAQuestionTakenBackWithItsSession) {
  Clerk clerk;
  ASSERT_EQ(STATUS_OK, Sit(clerk));
  struct session *untaken = Asking();
  struct session *taken = Asking();
  Operation first(SESSION_HANDSHAKE);
  Operation second(SESSION_HANDSHAKE);
  Submit(untaken, first);
  ASSERT_TRUE(Eventually([&] { return clerk.times_ready == 1; }));
  Close(untaken);
  EXPECT_FALSE(Take(clerk));
  EXPECT_EQ(ENGINE_FAILED, first.Result());
  Submit(taken, second);
  ASSERT_TRUE(Await(clerk));
  Close(taken);
  EXPECT_EQ(ENGINE_FAILED, second.Result());
  EXPECT_EQ(STATUS_NOT_FOUND, Answer(clerk, question_.id));
  Leave(clerk);
}

TEST_F(Desk, MayASessionCloseWhileItsAnswerIsOnItsWay) {
  Clerk clerk;
  ASSERT_EQ(STATUS_OK, Sit(clerk));
  struct session *session = Asking();
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session, handshake);
  ASSERT_TRUE(Await(clerk));
  Run([&] {
    struct engine_answer answer = {};
    answer.identity = "";
    EXPECT_EQ(STATUS_OK, clerk_answer(&clerk.clerk, question_.id, &answer, nullptr).code);
    session_close(session, nullptr);
  });
  EXPECT_EQ(ENGINE_FAILED, handshake.Result());
  EXPECT_TRUE(Eventually([&] { return NumQuestions(clerk) == 0; }));
  Leave(clerk);
}

TEST_F(Desk, DoesTheSessionsOwnAnswerTakeTheQuestionBack) {
  Clerk clerk;
  ASSERT_EQ(STATUS_OK, Sit(clerk));
  struct session *session = Asking();
  Operation handshake(SESSION_HANDSHAKE);
  Submit(session, handshake.Wait(50));
  ASSERT_TRUE(Await(clerk));
  EXPECT_EQ(ENGINE_WANT_DECISION, handshake.Result());
  Run([&] {
    struct engine_answer answer = {};
    const char *why = nullptr;
    answer.kind = ENGINE_PSK;
    answer.identity = "";
    EXPECT_EQ(STATUS_INVALID_ARGUMENT, session_decide(session, &answer, &why).code);
    answer.kind = ENGINE_PROCEED;
    EXPECT_EQ(STATUS_OK, session_decide(session, &answer, &why).code);
  });
  EXPECT_EQ(STATUS_NOT_FOUND, Answer(clerk, question_.id));
  Leave(clerk);
}

TEST_F(Desk, HasAClerkNoMoreThanHeMayHave) {
  Clerk clerk;
  ASSERT_EQ(STATUS_OK, Sit(clerk));
  std::vector<std::unique_ptr<Operation>> operations;
  std::vector<struct session *> sessions;
  for (int i = 0; i < CLERK_QUESTIONS_MAX; i++) {
    sessions.push_back(Asking());
    operations.push_back(std::make_unique<Operation>(SESSION_HANDSHAKE));
    Submit(sessions.back(), *operations.back());
    ASSERT_TRUE(Await(clerk));
  }
  struct session *last = Asking();
  Operation first(SESSION_HANDSHAKE);
  EXPECT_EQ(ENGINE_WANT_DECISION, Do(last, first));
  EXPECT_EQ(STATUS_OK, Answer(clerk, 1));
  EXPECT_TRUE(GoesOn(sessions[0]));
  Operation second(SESSION_HANDSHAKE);
  Submit(last, second);
  EXPECT_TRUE(Await(clerk));
  Leave(clerk);
  EXPECT_EQ(ENGINE_WANT_DECISION, second.Result());
  End(sessions[0], *operations[0]);
  for (size_t i = 1; i < operations.size(); i++) {
    EXPECT_EQ(ENGINE_WANT_DECISION, operations[i]->Result());
  }
}

}  // namespace
