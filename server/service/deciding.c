// SessionService.Decisions: one call makes the decisions of many handshakes. It stays where its
// connection is; the desk carries questions and answers to the sessions' workers and back.
#include <assert.h>
#include <stdlib.h>

#include "server/service/convert.h"
#include "server/service/operation.h"

typedef Tlsagent__V1__DecisionsRequest Request;
typedef Tlsagent__V1__DecisionsResponse Response;

enum { CONTEXTS_MAX = 256 };

// On the heap: the desk may have it for longer than the call lives.
struct deciding {
  struct clerk clerk;
  struct call *call;
  bool full;  // the client has to take some first
  bool lost;  // it takes nothing any more
  size_t num_contexts;
  uint64_t contexts[];
};

struct desk_place place_at_desk(const struct call *call, uint64_t context) {
  struct desk_place place = {.desk = &environment.desk, .context = context};
  static_assert(CLIENT_TOKEN_BYTES <= sizeof(place.owner), "an owner is a client");
  memcpy(place.owner, client_token(call_client(call)), CLIENT_TOKEN_BYTES);
  return place;
}

// ---------------------------------------------------------------------------------------------
// Its end

static void on_gone(struct clerk *clerk) {
  struct deciding *deciding = LIST_ENTRY(clerk, struct deciding, clerk);
  explicit_bzero(clerk->owner, sizeof(clerk->owner));  // a client's token
  free(deciding);
}

static void end(struct call *call) {
  struct deciding *deciding = call_state(call);
  call_on_cancel(call, NULL);
  call_end(call);
  clerk_leave(&deciding->clerk);
}

static void abandon(struct call *call, enum status_code code, const char *text) {
  struct deciding *deciding = call_state(call);
  call_on_cancel(call, NULL);
  call_fail(call, code, "%s", text);
  clerk_leave(&deciding->clerk);
}

static void on_cancel(struct call *call) {
  abandon(call, STATUS_CANCELLED, "the call was cancelled");
}

// ---------------------------------------------------------------------------------------------
// Questions

static void tell(struct deciding *deciding, const Response *response) {
  enum call_sent sent = call_send(deciding->call, &response->base);
  deciding->full = sent == CALL_FULL;
  deciding->lost = sent == CALL_OVER;
}

static void ask(struct deciding *deciding, struct clerk_question *question) {
  struct arena arena;
  Response response = TLSAGENT__V1__DECISIONS_RESPONSE__INIT;
  arena_init(&arena, 4096);
  response.id = question->id;
  response.context = question->context;
  response.session = question->session;
  response.refused = question->why;
  if (question->why[0] == '\0') {
    response.decision = convert_decision(&arena, &question->decision);
  }
  tell(deciding, &response);
  arena_cleanup(&arena);
}

static void ask_all(struct deciding *deciding) {
  struct clerk_question question;
  while (!deciding->full && !deciding->lost && clerk_take(&deciding->clerk, &question)) {
    ask(deciding, &question);
  }
}

static void on_ready(struct clerk *clerk) {
  struct deciding *deciding = LIST_ENTRY(clerk, struct deciding, clerk);
  ask_all(deciding);
  if (deciding->lost) {
    end(deciding->call);
  }
}

// ---------------------------------------------------------------------------------------------
// Answers

static void refuse(struct deciding *deciding, uint64_t id, const char *why) {
  Response response = TLSAGENT__V1__DECISIONS_RESPONSE__INIT;
  response.id = id;
  response.refused = (char *)why;
  tell(deciding, &response);
}

static void take_answer(struct deciding *deciding, const Request *from) {
  struct client *client = call_client(deciding->call);
  struct engine_answer answer;
  struct tls_context *context = NULL;
  if (from->answer == NULL || !read_answer(from->answer, &answer)) {
    refuse(deciding, from->id, "answer is empty: proceed, refuse_with_alert or psk");
    return;
  }
  if (from->context != 0) {
    context = handle_get(client, &context_handles, from->context);
  }
  if (from->context != 0 && context == NULL) {
    refuse(deciding, from->id, "no such context");
    return;
  }
  status_t given = clerk_answer(&deciding->clerk, from->id, &answer, context);
  (void)given;  // the session may have been faster
}

// Answers are taken only while their refusals have room.
static void want_more(struct call *call) {
  struct deciding *deciding = call_state(call);
  if (deciding->lost) {
    end(call);
  } else if (!deciding->full) {
    call_want(call);
  }
}

static void on_answer(struct call *call, const ProtobufCMessage *message) {
  const Request *from = (const Request *)message;
  if (from->begin != NULL) {
    abandon(call, STATUS_INVALID_ARGUMENT, "begin is for the first message");
    return;
  }
  take_answer(call_state(call), from);
  want_more(call);
}

static void on_room(struct call *call) {
  struct deciding *deciding = call_state(call);
  deciding->full = false;
  ask_all(deciding);
  want_more(call);
}

// ---------------------------------------------------------------------------------------------
// The beginning

static bool knows_contexts(struct call *call, const Tlsagent__V1__DecisionsBegin *from) {
  bool known = true;
  for (size_t i = 0; i < from->n_contexts && known; i++) {
    struct tls_context *context =
        handle_get(call_client(call), &context_handles, from->contexts[i]);
    known = context != NULL;
    tls_context_unref(context);
  }
  return known;
}

static int compare(const void *one, const void *other) {
  uint64_t a = *(const uint64_t *)one;
  uint64_t b = *(const uint64_t *)other;
  return (a > b) - (a < b);
}

// As a clerk has them.
static void keep_contexts(struct deciding *deciding, const uint64_t *contexts, size_t num) {
  deciding->num_contexts = num;
  if (num > 0) {
    memcpy(deciding->contexts, contexts, num * sizeof(contexts[0]));
    qsort(deciding->contexts, num, sizeof(contexts[0]), compare);
  }
}

static struct deciding *deciding_new(struct call *call, const Tlsagent__V1__DecisionsBegin *from) {
  size_t size = from->n_contexts * sizeof(from->contexts[0]);
  struct deciding *deciding = calloc(1, sizeof(*deciding) + size);
  if (deciding == NULL) {
    return NULL;
  }
  deciding->call = call;
  keep_contexts(deciding, from->contexts, from->n_contexts);
  const struct desk_place place = place_at_desk(call, 0);
  deciding->clerk = (struct clerk){.contexts = deciding->contexts,
                                   .num_contexts = from->n_contexts,
                                   .ready = on_ready,
                                   .gone = on_gone};
  memcpy(deciding->clerk.owner, place.owner, sizeof(place.owner));
  return deciding;
}

static void begin(struct call *call, struct deciding *deciding) {
  static const struct call_events events = {
      .on_message = on_answer, .on_half_close = end, .on_room = on_room, .on_drain = end};
  Response begun = TLSAGENT__V1__DECISIONS_RESPONSE__INIT;
  call_set_state(call, deciding);
  call_stream(call, &events);
  call_on_cancel(call, on_cancel);
  tell(deciding, &begun);
  want_more(call);
}

static void start(struct call *call, const Tlsagent__V1__DecisionsBegin *from) {
  struct deciding *deciding = deciding_new(call, from);
  if (deciding == NULL) {
    call_fail(call, STATUS_RESOURCE_EXHAUSTED, "no memory for the call");
  } else if (!status_ok(clerk_sit(&environment.desk, &deciding->clerk))) {
    on_gone(&deciding->clerk);
    call_fail(call, STATUS_ALREADY_EXISTS,
              "another call of this client makes the decisions of one of these contexts");
  } else {
    begin(call, deciding);
  }
}

static void on_first(struct call *call, const ProtobufCMessage *message) {
  const Tlsagent__V1__DecisionsBegin *from = ((const Request *)message)->begin;
  if (from == NULL) {
    call_fail(call, STATUS_INVALID_ARGUMENT, "the first message has to say for which contexts");
  } else if (from->n_contexts > CONTEXTS_MAX) {
    call_fail(call, STATUS_INVALID_ARGUMENT, "contexts has at most 256 elements");
  } else if (!knows_contexts(call, from)) {
    call_fail(call, STATUS_NOT_FOUND, "no such context");
  } else {
    start(call, from);
  }
}

static void end_unbegun(struct call *call) {
  call_fail(call, STATUS_INVALID_ARGUMENT, "there was no message to say for which contexts");
}

static void drain_unbegun(struct call *call) {
  call_fail(call, STATUS_UNAVAILABLE, "the daemon is stopping");
}

static void cancel_unbegun(struct call *call) {
  call_fail(call, STATUS_CANCELLED, "the call was cancelled");
}

void session_decisions(struct call *call, const ProtobufCMessage *request) {
  static const struct call_events events = {
      .on_message = on_first, .on_half_close = end_unbegun, .on_drain = drain_unbegun};
  (void)request;
  call_stream(call, &events);
  call_on_cancel(call, cancel_unbegun);
  call_want(call);
}
