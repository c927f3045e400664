// A desk: where sessions of the socket path bring the decisions that their handshakes wait for, and
// clerks make them, on other threads.
//
// A session that has its place there (session_ask_at) asks the clerk who sits for it. Its
// operations then wait for the answer, as they wait for the peer; each wait may run out, and says
// ENGINE_WANT_DECISION. Without a clerk they say so at once. When the clerk leaves, the sessions
// whose questions he has ask again, whoever sits there then.
#ifndef TLSAGENT_SERVER_SESSION_DESK_H_
#define TLSAGENT_SERVER_SESSION_DESK_H_

#include <pthread.h>

#include "server/session/session.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  // Questions that one clerk has at a time. What comes beyond finds nobody.
  CLERK_QUESTIONS_MAX = 256,
  DESK_TEXT_MAX = 256,  // of a decision, and of a sentence why an answer wasn't taken
};

struct desk {
  pthread_mutex_t lock;
  struct list clerks;
};
void desk_init(struct desk *desk);

// A place at a desk: whose the session is, and two numbers for the clerk.
struct desk_place {
  struct desk *desk;
  uint8_t owner[ENGINE_OWNER_MAX];
  uint64_t context;
  uint64_t session;
};

// session_ask_at gives a session its place, on its own worker, before it shakes hands.
void session_ask_at(struct session *session, const struct desk_place *place);

// session_decide is engine_answer, and takes the question back if somebody was asked. For the
// session's own worker.
status_t session_decide(struct session *session, const struct engine_answer *answer,
                        const char **out_why);

// Who makes decisions. He is the caller's, from clerk_sit until gone is called.
struct clerk {
  // For whom: sessions of that owner, and of these contexts, in ascending order; none: of all.
  uint8_t owner[ENGINE_OWNER_MAX];
  const uint64_t *contexts;
  size_t num_contexts;
  void (*ready)(struct clerk *clerk);  // there is something to take
  void (*gone)(struct clerk *clerk);   // he has left, and nothing points at him

  // The desk's own.
  struct list link;
  struct desk *desk;
  struct worker *worker;
  struct message message;
  bool posted;
  bool left;
  struct list fresh;      // to be taken
  struct list asked;      // taken
  struct list answering;  // answered, on their way
  size_t num_questions;
  uint64_t last_id;
};

// clerk_sit begins; what he is told is told on the calling worker, where the rest is to be called
// too. ALREADY_EXISTS when another sits for one of his sessions.
status_t clerk_sit(struct desk *desk, struct clerk *clerk);
// clerk_leave ends it. gone may be called before this returns.
void clerk_leave(struct clerk *clerk);

// What a clerk takes: a question, or why his answer to one was not taken and it stays a question.
struct clerk_question {
  uint64_t id;
  uint64_t context;
  uint64_t session;
  struct engine_decision decision;  // points into text
  char text[DESK_TEXT_MAX + 1];
  char why[DESK_TEXT_MAX + 1];  // "" for a question
};

// clerk_take gives the next one. False when there is none: ready will tell.
bool clerk_take(struct clerk *clerk, struct clerk_question *out);

// clerk_answer answers a question that was taken; what is wrong with the answer is told later, by
// clerk_take. context, if not NULL, is what a server's session is put on first
// (engine_set_context); a reference, taken over in any case. NOT_FOUND: there is no such question,
// maybe no longer.
status_t clerk_answer(struct clerk *clerk, uint64_t id, const struct engine_answer *answer,
                      struct tls_context *context);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SESSION_DESK_H_
