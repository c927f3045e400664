// The memory path: input that isn't used up, output that isn't sent, and the verbs around them.

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/c/error.h"
#include "client/c/verb.h"

// The most that one call carries.
enum { FEED_MAX = 256 * 1024, READ_MAX = 256 * 1024, WRITE_MAX = 64 * 1024 };

// Bytes that come in at the end and go out at the front.
struct queue {
  uint8_t *data;
  size_t start;
  size_t end;
  size_t size;
};

struct tlsagent_memory {
  struct tlsagent_client *client;
  uint64_t session;
  struct queue input;
  struct queue output;
  bool eof;
  struct tlsagent_decision_answer answer;  // for the next verb
  void *reply;                             // to the last verb
  const struct tlsagent_progress *progress;
};

// --- The queues ---

static size_t queue_len(const struct queue *queue) {
  return queue->end - queue->start;
}

// Nothing may be added to NULL, not even 0.
static uint8_t *queue_front(const struct queue *queue) {
  return queue->data == NULL ? NULL : queue->data + queue->start;
}

static void queue_drop(struct queue *queue, size_t len) {
  assert(len <= queue_len(queue));
  queue->start += len;
  if (queue->start == queue->end) {
    queue->start = 0;
    queue->end = 0;
  }
}

// Room for len bytes more at the end: by moving to the front what is there, or by growing.
static bool queue_make_room(struct queue *queue, size_t len) {
  const size_t have = queue_len(queue);
  if (len > SIZE_MAX / 4 - have) {
    return false;
  }
  if (have != 0 && queue->start != 0) {
    memmove(queue->data, queue->data + queue->start, have);
  }
  queue->start = 0;
  queue->end = have;
  if (have + len <= queue->size) {
    return true;
  }
  const size_t size = 2 * (have + len);
  uint8_t *data = realloc(queue->data, size);
  if (data == NULL) {
    return false;
  }
  queue->data = data;
  queue->size = size;
  return true;
}

static bool queue_add(struct queue *queue, const void *data, size_t len) {
  if (len == 0) {
    return true;
  }
  if (len > queue->size - queue->end && !queue_make_room(queue, len)) {
    return false;
  }
  memcpy(queue->data + queue->end, data, len);
  queue->end += len;
  return true;
}

// --- What the caller gives and takes ---

bool tlsagent_memory_give(struct tlsagent_memory *memory, const void *data, size_t len) {
  return queue_add(&memory->input, data, len);
}

void tlsagent_memory_give_eof(struct tlsagent_memory *memory) {
  memory->eof = true;
}

const uint8_t *tlsagent_memory_take(const struct tlsagent_memory *memory, size_t *out_len) {
  *out_len = queue_len(&memory->output);
  return queue_front(&memory->output);
}

void tlsagent_memory_taken(struct tlsagent_memory *memory, size_t len) {
  queue_drop(&memory->output, len);
}

const uint8_t *tlsagent_memory_unused(const struct tlsagent_memory *memory, size_t *out_len) {
  *out_len = queue_len(&memory->input);
  return queue_front(&memory->input);
}

uint64_t tlsagent_memory_session(const struct tlsagent_memory *memory) {
  return memory->session;
}

// --- Feeding and absorbing ---

struct tlsagent_feed tlsagent_memory_feed(const struct tlsagent_memory *memory) {
  const size_t len = queue_len(&memory->input);
  const struct tlsagent_feed feed = {{queue_front(&memory->input), len < FEED_MAX ? len : FEED_MAX},
                                     memory->eof && len <= FEED_MAX};
  return feed;
}

bool tlsagent_memory_absorb(struct tlsagent_memory *memory,
                            const struct tlsagent_progress *progress) {
  const size_t len = queue_len(&memory->input);
  queue_drop(&memory->input,
             progress->input_consumed < len ? (size_t)progress->input_consumed : len);
  return queue_add(&memory->output, progress->output.data, progress->output.len);
}

// --- Opening ---

struct tlsagent_memory *tlsagent_memory_adopt(struct tlsagent_client *client, uint64_t session) {
  struct tlsagent_memory *memory = calloc(1, sizeof(*memory));
  if (memory != NULL) {
    memory->client = client;
    memory->session = session;
  }
  return memory;
}

// Keeps what the opening call gave: the session, and the ClientHello to send.
static struct tlsagent_memory *keep(struct tlsagent_client *client, uint64_t session,
                                    const struct tlsagent_progress *progress,
                                    struct tlsagent_error *error) {
  struct tlsagent_memory *memory = tlsagent_memory_adopt(client, session);
  if (memory == NULL || !tlsagent_memory_absorb(memory, progress)) {
    tla_fail_memory(error);
    tlsagent_memory_free(memory);
    return NULL;
  }
  return memory;
}

struct tlsagent_memory *tlsagent_memory_connect(
    struct tlsagent_client *client, const struct tlsagent_session_connect_request *request,
    uint32_t timeout_ms, struct tlsagent_error *error) {
  struct tlsagent_session_connect_request own = *request;
  struct tlsagent_session_connect_reply *reply;
  struct tlsagent_memory *memory = NULL;
  own.transport = tlsagent_over_memory();
  if (tlsagent_session_connect(client, &reply, &own, timeout_ms, error)) {
    memory = keep(client, reply->session, &reply->progress, error);
  }
  tlsagent_free(reply);
  return memory;
}

struct tlsagent_memory *tlsagent_memory_accept(
    struct tlsagent_client *client, const struct tlsagent_session_accept_request *request,
    uint32_t timeout_ms, struct tlsagent_error *error) {
  struct tlsagent_session_accept_request own = *request;
  struct tlsagent_session_accept_reply *reply;
  struct tlsagent_memory *memory = NULL;
  own.transport = tlsagent_over_memory();
  if (tlsagent_session_accept(client, &reply, &own, timeout_ms, error)) {
    memory = keep(client, reply->session, &reply->progress, error);
  }
  tlsagent_free(reply);
  return memory;
}

void tlsagent_memory_free(struct tlsagent_memory *memory) {
  if (memory == NULL) {
    return;
  }
  const struct tlsagent_handle_request request = {memory->session};
  tlsagent_submit(memory->client, TLSAGENT_SESSION_CLOSE, &request, 0, NULL, NULL, NULL);
  tlsagent_free(memory->reply);
  free(memory->input.data);
  free(memory->output.data);
  free(memory);
}

const struct tlsagent_progress *tlsagent_memory_progress(const struct tlsagent_memory *memory) {
  return memory->progress;
}

void tlsagent_memory_decide(struct tlsagent_memory *memory,
                            const struct tlsagent_decision_answer *answer) {
  memory->answer = *answer;
}

// --- The verbs ---
//
// One call is one step: it takes at most FEED_MAX of the input. A step that wants more is followed
// by another one while there is more, so that the caller only hears WANT_READ when all is used.

static struct tlsagent_decision_answer take_answer(struct tlsagent_memory *memory) {
  const struct tlsagent_decision_answer answer = memory->answer;
  memory->answer = (struct tlsagent_decision_answer){.answer = TLSAGENT_ANSWER_NONE};
  return answer;
}

// Takes in a reply, whether it failed or not, and keeps it until the next one. It returns the
// state.
static enum tlsagent_state step(struct tlsagent_memory *memory, bool ok, void *reply,
                                const struct tlsagent_progress *progress,
                                struct tlsagent_error *error) {
  tlsagent_free(memory->reply);
  memory->reply = reply;
  memory->progress = progress;
  if (progress != NULL && !tlsagent_memory_absorb(memory, progress)) {
    tla_fail_memory(error);
    return TLSAGENT_STATE_FAILED;
  }
  return ok && progress != NULL ? progress->state : TLSAGENT_STATE_FAILED;
}

static bool step_again(const struct tlsagent_memory *memory, enum tlsagent_state state) {
  return state == TLSAGENT_STATE_WANT_READ && memory->progress->input_consumed != 0 &&
         queue_len(&memory->input) != 0;
}

#define PROGRESS_OF(reply) ((reply) == NULL ? NULL : &(reply)->progress)

enum tlsagent_state tlsagent_memory_handshake(struct tlsagent_memory *memory, uint32_t timeout_ms,
                                              struct tlsagent_error *error) {
  enum tlsagent_state state;
  do {
    const struct tlsagent_session_handshake_request request = {.session = memory->session,
                                                               .feed = tlsagent_memory_feed(memory),
                                                               .decision = take_answer(memory)};
    struct tlsagent_session_handshake_reply *reply;
    const bool ok = tlsagent_session_handshake(memory->client, &reply, &request, timeout_ms, error);
    state = step(memory, ok, reply, PROGRESS_OF(reply), error);
  } while (step_again(memory, state));
  if (state != TLSAGENT_STATE_CLOSED) {
    return state;
  }
  tla_fail_tls(error, "Handshake", &TLA_CLOSED_EARLY);
  return TLSAGENT_STATE_FAILED;
}

enum tlsagent_state tlsagent_memory_read(struct tlsagent_memory *memory, size_t *out_len,
                                         void *buffer, size_t size, uint32_t timeout_ms,
                                         struct tlsagent_error *error) {
  enum tlsagent_state state;
  *out_len = 0;
  if (size == 0) {
    tla_fail(error, TLSAGENT_FAULT_USAGE, "Read needs room for at least one byte");
    return TLSAGENT_STATE_FAILED;
  }
  do {
    const struct tlsagent_session_read_request request = {
        .session = memory->session,
        .max_bytes = size < READ_MAX ? (uint32_t)size : READ_MAX,
        .feed = tlsagent_memory_feed(memory),
        .decision = take_answer(memory)};
    struct tlsagent_session_read_reply *reply;
    const bool ok = tlsagent_session_read(memory->client, &reply, &request, timeout_ms, error);
    state = step(memory, ok, reply, PROGRESS_OF(reply), error);
    if (state == TLSAGENT_STATE_DONE && reply->data.len <= size) {
      memcpy(buffer, reply->data.data, reply->data.len);
      *out_len = reply->data.len;
    }
  } while (step_again(memory, state));
  return state;
}

enum tlsagent_state tlsagent_memory_write(struct tlsagent_memory *memory, size_t *out_accepted,
                                          const void *data, size_t len, uint32_t timeout_ms,
                                          struct tlsagent_error *error) {
  const uint8_t *bytes = data;
  enum tlsagent_state state;
  *out_accepted = 0;
  do {
    const size_t left = len - *out_accepted;
    const struct tlsagent_session_write_request request = {
        .session = memory->session,
        .data = {bytes + *out_accepted, left < WRITE_MAX ? left : WRITE_MAX},
        .feed = tlsagent_memory_feed(memory),
        .decision = take_answer(memory)};
    struct tlsagent_session_write_reply *reply;
    const bool ok = tlsagent_session_write(memory->client, &reply, &request, timeout_ms, error);
    state = step(memory, ok, reply, PROGRESS_OF(reply), error);
    if (reply != NULL && !tla_count_accepted(out_accepted, reply, request.data.len, error)) {
      state = TLSAGENT_STATE_FAILED;
    }
  } while (step_again(memory, state) || (state == TLSAGENT_STATE_DONE && *out_accepted < len));
  return state;
}

enum tlsagent_state tlsagent_memory_shutdown(struct tlsagent_memory *memory, bool await_peer,
                                             uint32_t timeout_ms, struct tlsagent_error *error) {
  enum tlsagent_state state;
  do {
    const struct tlsagent_session_shutdown_request request = {
        .session = memory->session, .feed = tlsagent_memory_feed(memory), .await_peer = await_peer};
    struct tlsagent_session_shutdown_reply *reply;
    const bool ok = tlsagent_session_shutdown(memory->client, &reply, &request, timeout_ms, error);
    state = step(memory, ok, reply, PROGRESS_OF(reply), error);
  } while (step_again(memory, state));
  return state;
}
