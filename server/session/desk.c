// Questions on their way from a session to a clerk and back.
//
// A question is in a list of its clerk's, and may be taken back by its session at any time; but
// while it travels to the session, with an answer or the news that nobody answers, only what
// arrives there ends it. Both sides look at that under the desk's lock.
#include "server/session/desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/counters.h"
#include "server/session/private.h"

enum {
  // One more than an answer may have, so that the engine says what is wrong with it.
  IDENTITY_MAX = 256 + 1,
  KEY_MAX = 512 + 1,
};

struct question {
  // Under the lock.
  struct list link;
  struct clerk *clerk;  // NULL when he has left
  // Never changes.
  struct session *session;  // a reference
  uint64_t id;
  enum engine_decision_kind kind;
  bool has_text;
  bool travels;    // to its session; under the lock
  bool withdrawn;  // the session waits for it no longer; on its worker
  // What travels.
  bool answered;  // else nobody answers
  struct message message;
  struct engine_answer answer;
  struct tls_context *context;  // a reference, or NULL
  char identity[IDENTITY_MAX + 1];
  uint8_t key[KEY_MAX];
  char text[DESK_TEXT_MAX + 1];  // of the decision; never changes
  char why[DESK_TEXT_MAX + 1];   // the answer wasn't taken
};

void desk_init(struct desk *desk) {
  pthread_mutex_init(&desk->lock, NULL);
  list_init(&desk->clerks);
}

// ---------------------------------------------------------------------------------------------
// Questions

static const char *text_of(const struct engine_decision *decision) {
  if (decision->server_name != NULL) {
    return decision->server_name;
  }
  return decision->psk_hint != NULL ? decision->psk_hint : decision->psk_identity;
}

static void on_arrival(struct message *message);

static struct question *question_new(struct session *session) {
  const struct engine_decision *decision = engine_decision(session->engine);
  struct question *question = calloc(1, sizeof(*question));
  if (question == NULL) {
    return NULL;
  }
  const char *text = text_of(decision);
  list_init(&question->link);
  question->message.run = on_arrival;
  question->session = session;
  session_ref(session);
  question->kind = decision->kind;
  question->has_text = text != NULL;
  snprintf(question->text, sizeof(question->text), "%s", text == NULL ? "" : text);
  return question;
}

static void forget_answer(struct question *question) {
  tls_context_unref(question->context);
  question->context = NULL;
  explicit_bzero(question->identity, sizeof(question->identity));
  explicit_bzero(question->key, sizeof(question->key));
}

static void question_free(struct question *question) {
  struct session *session = question->session;
  forget_answer(question);
  free(question);
  session_unref(session);
}

// Under the lock.
static void unlist(struct question *question) {
  list_remove(&question->link);
  if (question->clerk != NULL) {
    question->clerk->num_questions--;
    question->clerk = NULL;
  }
}

// Under the lock. True: his message is the caller's to post, after it.
static bool put(struct clerk *clerk, struct question *question) {
  list_push_back(&clerk->fresh, &question->link);
  bool wake = !clerk->posted;
  clerk->posted = true;
  return wake;
}

// He stays until his message has come.
static void wake_if(struct clerk *clerk, bool wake) {
  if (wake) {
    worker_post(clerk->worker, &clerk->message);
  }
}

// ---------------------------------------------------------------------------------------------
// The session's side

void session_ask_at(struct session *session, const struct desk_place *place) {
  session->place = *place;
}

// The lock is everybody's: what is done under it takes steps for one client's contexts, not for
// pairs of them.
static int compare(const void *one, const void *other) {
  uint64_t a = *(const uint64_t *)one;
  uint64_t b = *(const uint64_t *)other;
  return (a > b) - (a < b);
}

static bool has_context(const struct clerk *clerk, uint64_t context) {
  return clerk->num_contexts == 0 ||
         bsearch(&context, clerk->contexts, clerk->num_contexts, sizeof(context), compare) != NULL;
}

static bool has_owner(const struct clerk *clerk, const uint8_t owner[ENGINE_OWNER_MAX]) {
  return memcmp(clerk->owner, owner, sizeof(clerk->owner)) == 0;
}

static struct clerk *find_clerk(const struct desk_place *place) {
  LIST_FOR(link, &place->desk->clerks) {
    struct clerk *clerk = LIST_ENTRY(link, struct clerk, link);
    if (has_owner(clerk, place->owner) && has_context(clerk, place->context)) {
      return clerk;
    }
  }
  return NULL;
}

// Under the lock: the clerk who takes the question, or NULL.
static struct clerk *enlist(const struct desk_place *place, struct question *question,
                            bool *out_wake) {
  struct clerk *clerk = find_clerk(place);
  if (clerk == NULL) {
    return NULL;
  }
  if (clerk->num_questions == CLERK_QUESTIONS_MAX) {
    counter_add(COUNTER_limits_hit, 1);
    return NULL;
  }
  question->clerk = clerk;
  question->id = ++clerk->last_id;
  clerk->num_questions++;
  *out_wake = put(clerk, question);
  return clerk;
}

bool session_ask(struct session *session) {
  struct desk *desk = session->place.desk;
  if (session->question != NULL || desk == NULL || engine_decision(session->engine) == NULL) {
    return session->question != NULL;
  }
  struct question *question = question_new(session);
  if (question == NULL) {
    return false;
  }
  bool wake = false;
  pthread_mutex_lock(&desk->lock);
  struct clerk *clerk = enlist(&session->place, question, &wake);
  pthread_mutex_unlock(&desk->lock);
  if (clerk == NULL) {
    question_free(question);
    return false;
  }
  session->question = question;
  wake_if(clerk, wake);
  return true;
}

void session_withdraw(struct session *session) {
  struct question *question = session->question;
  if (question == NULL) {
    return;
  }
  session->question = NULL;
  pthread_mutex_lock(&session->place.desk->lock);
  bool travels = question->travels;
  if (!travels) {
    unlist(question);
  }
  pthread_mutex_unlock(&session->place.desk->lock);
  question->withdrawn = true;
  if (!travels) {
    question_free(question);
  }
}

status_t session_decide(struct session *session, const struct engine_answer *answer,
                        const char **out_why) {
  TRY(engine_answer(session->engine, answer, out_why));
  session_withdraw(session);
  return OK_STATUS;
}

static const char *why_not_switched(struct status set, const struct tls_error *error) {
  switch (set.code) {
    case STATUS_INVALID_ARGUMENT:
      return error->text;
    case STATUS_FAILED_PRECONDITION:
      return "context is for decisions about a server name";
    default:
      return "no memory for the context";
  }
}

// Keeps why it can't be.
static bool apply(struct question *question) {
  struct engine *engine = question->session->engine;
  struct tls_error error;
  const char *why = NULL;
  status_t done =
      question->context == NULL ? OK_STATUS : engine_set_context(engine, question->context, &error);
  if (!status_ok(done)) {
    why = why_not_switched(done, &error);
  } else {
    done = engine_answer(engine, &question->answer, &why);
  }
  snprintf(question->why, sizeof(question->why), "%s", why == NULL ? "" : why);
  return status_ok(done);
}

// False when the clerk has left.
static bool give_back(struct question *question) {
  struct desk *desk = question->session->place.desk;
  bool wake = false;
  forget_answer(question);
  pthread_mutex_lock(&desk->lock);
  struct clerk *clerk = question->clerk;
  if (clerk != NULL) {
    list_remove(&question->link);
    question->travels = false;
    wake = put(clerk, question);
  }
  pthread_mutex_unlock(&desk->lock);
  wake_if(clerk, wake);
  return clerk != NULL;
}

static void discard(struct question *question) {
  struct desk *desk = question->session->place.desk;
  pthread_mutex_lock(&desk->lock);
  unlist(question);
  pthread_mutex_unlock(&desk->lock);
  question_free(question);
}

// The session is asked to look again: it goes on, or asks somebody else.
static void on_arrival(struct message *message) {
  struct question *question = LIST_ENTRY(message, struct question, message);
  struct session *session = question->session;
  if (!question->withdrawn) {
    if (question->answered && !apply(question) && give_back(question)) {
      return;
    }
    session->question = NULL;
    session_schedule(session);
  }
  discard(question);
}

// ---------------------------------------------------------------------------------------------
// The clerk's side

static void on_wake(struct message *message) {
  struct clerk *clerk = LIST_ENTRY(message, struct clerk, message);
  pthread_mutex_lock(&clerk->desk->lock);
  clerk->posted = false;
  bool left = clerk->left;
  pthread_mutex_unlock(&clerk->desk->lock);
  if (left) {
    clerk->gone(clerk);
  } else {
    clerk->ready(clerk);
  }
}

static bool overlap(const struct clerk *one, const struct clerk *other) {
  if (!has_owner(one, other->owner)) {
    return false;
  }
  bool found = one->num_contexts == 0 || other->num_contexts == 0;
  size_t i = 0;
  size_t j = 0;
  while (!found && i < one->num_contexts && j < other->num_contexts) {
    found = one->contexts[i] == other->contexts[j];
    if (one->contexts[i] < other->contexts[j]) {
      i++;
    } else {
      j++;
    }
  }
  return found;
}

static bool is_taken(const struct desk *desk, const struct clerk *clerk) {
  LIST_FOR(link, &desk->clerks) {
    if (overlap(clerk, LIST_ENTRY(link, struct clerk, link))) {
      return true;
    }
  }
  return false;
}

status_t clerk_sit(struct desk *desk, struct clerk *clerk) {
  clerk->desk = desk;
  clerk->worker = worker_current();
  clerk->message.run = on_wake;
  clerk->posted = false;
  clerk->left = false;
  clerk->num_questions = 0;
  clerk->last_id = 0;
  list_init(&clerk->fresh);
  list_init(&clerk->asked);
  list_init(&clerk->answering);
  pthread_mutex_lock(&desk->lock);
  bool taken = is_taken(desk, clerk);
  if (!taken) {
    list_push_back(&desk->clerks, &clerk->link);
  }
  pthread_mutex_unlock(&desk->lock);
  ENSURE(!taken, ALREADY_EXISTS);
  return OK_STATUS;
}

// Under the lock: they are told that nobody answers.
static void send_away(struct list *from, struct list *to) {
  struct list *link;
  while ((link = list_pop_front(from)) != NULL) {
    struct question *question = LIST_ENTRY(link, struct question, link);
    question->clerk = NULL;
    question->travels = true;
    question->answered = false;
    list_push_back(to, link);
  }
}

static void leave_alone(struct list *from) {
  struct list *link;
  while ((link = list_pop_front(from)) != NULL) {
    LIST_ENTRY(link, struct question, link)->clerk = NULL;
  }
}

static void post_all(struct list *questions) {
  struct list *link;
  while ((link = list_pop_front(questions)) != NULL) {
    struct question *question = LIST_ENTRY(link, struct question, link);
    worker_post(session_worker(question->session), &question->message);
  }
}

void clerk_leave(struct clerk *clerk) {
  struct list away;
  list_init(&away);
  pthread_mutex_lock(&clerk->desk->lock);
  list_remove(&clerk->link);
  clerk->left = true;
  send_away(&clerk->fresh, &away);
  send_away(&clerk->asked, &away);
  leave_alone(&clerk->answering);
  bool posted = clerk->posted;
  pthread_mutex_unlock(&clerk->desk->lock);
  post_all(&away);
  if (!posted) {
    clerk->gone(clerk);
  }
}

static void tell(const struct question *question, struct clerk_question *out) {
  *out = (struct clerk_question){
      .id = question->id,
      .context = question->session->place.context,
      .session = question->session->place.session,
      .decision = {.kind = question->kind},
  };
  memcpy(out->text, question->text, sizeof(out->text));
  memcpy(out->why, question->why, sizeof(out->why));
  const char *text = question->has_text ? out->text : NULL;
  switch (question->kind) {
    case ENGINE_DECIDE_SERVER_NAME:
      out->decision.server_name = text;
      break;
    case ENGINE_DECIDE_PSK_CLIENT:
      out->decision.psk_hint = text;
      break;
    case ENGINE_DECIDE_PSK_SERVER:
      out->decision.psk_identity = text;
      break;
    case ENGINE_DECIDE_NOTHING:
      break;
  }
}

bool clerk_take(struct clerk *clerk, struct clerk_question *out) {
  pthread_mutex_lock(&clerk->desk->lock);
  struct list *link = list_pop_front(&clerk->fresh);
  if (link != NULL) {
    tell(LIST_ENTRY(link, struct question, link), out);
    list_push_back(&clerk->asked, link);
  }
  pthread_mutex_unlock(&clerk->desk->lock);
  return link != NULL;
}

static struct question *find_asked(const struct clerk *clerk, uint64_t id) {
  LIST_FOR(link, &clerk->asked) {
    struct question *question = LIST_ENTRY(link, struct question, link);
    if (question->id == id) {
      return question;
    }
  }
  return NULL;
}

static void keep_answer(struct question *question, const struct engine_answer *answer,
                        struct tls_context *context) {
  size_t key_len = answer->key.len < KEY_MAX ? answer->key.len : KEY_MAX;
  question->answered = true;
  question->context = context;
  question->answer = *answer;
  snprintf(question->identity, sizeof(question->identity), "%s",
           answer->kind == ENGINE_PSK ? answer->identity : "");
  question->answer.identity = question->identity;
  if (key_len > 0) {
    memcpy(question->key, answer->key.data, key_len);
  }
  question->answer.key = slice_of(question->key, key_len);
}

status_t clerk_answer(struct clerk *clerk, uint64_t id, const struct engine_answer *answer,
                      struct tls_context *context) {
  pthread_mutex_lock(&clerk->desk->lock);
  struct question *question = find_asked(clerk, id);
  if (question != NULL) {
    keep_answer(question, answer, context);
    question->travels = true;
    list_remove(&question->link);
    list_push_back(&clerk->answering, &question->link);
  }
  pthread_mutex_unlock(&clerk->desk->lock);
  if (question == NULL) {
    tls_context_unref(context);
    return status_of(STATUS_NOT_FOUND);
  }
  worker_post(session_worker(question->session), &question->message);
  return OK_STATUS;
}
