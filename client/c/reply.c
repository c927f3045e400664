#include "client/c/reply.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/c/error.h"
#include "client/c/fields.h"

// --- The envelope: ttrpc.Response ---

struct status {
  int32_t code;
  const char *message;
};

struct response {
  const struct status *status;  // NULL: OK
  struct tlsagent_bytes payload;
};

#define T struct status
static const struct tla_field STATUS[] = {FIELD(1, SIGNED, code), FIELD(2, TEXT, message)};
static MESSAGE(STATUS_MESSAGE, STATUS);
#undef T

#define T struct response
static const struct tla_field RESPONSE[] = {
    POINTS(1, status, STATUS_MESSAGE),
    FIELD(2, BYTES, payload),
};
static MESSAGE(RESPONSE_MESSAGE, RESPONSE);
#undef T

// --- A reply and what it owns ---

// What lies before the struct that the caller sees. The reply itself is in its arena.
struct owner {
  struct tla_arena arena;
  uint8_t *body;
  alignas(max_align_t) unsigned char reply[];
};

void tlsagent_free(void *reply) {
  if (reply == NULL) {
    return;
  }
  struct owner *owner = (struct owner *)((unsigned char *)reply - offsetof(struct owner, reply));
  free(owner->body);
  tla_arena_free(&owner->arena);
}

static void close_if_open(int fd) {
  if (fd >= 0) {
    close(fd);
  }
}

// Those of the messages in it, too: a session may come with its relay.
static void close_fds(const struct tla_message *message, const void *base) {
  for (size_t i = 0; i < message->num_fields; i++) {
    const struct tla_field *field = &message->fields[i];
    const void *at = (const uint8_t *)base + field->offset;
    if (field->kind == TLA_FD) {
      close_if_open(*(const int *)at);
    } else if (field->kind == TLA_POINTER && *(const void *const *)at != NULL) {
      close_fds(field->message, *(const void *const *)at);
    }
  }
}

void tla_reply_drop(const struct tla_method *method, void *reply) {
  if (reply != NULL) {
    close_fds(method->reply, reply);
    tlsagent_free(reply);
  }
}

static bool fail_decode(struct tlsagent_error *error, const struct tla_method *method,
                        enum tla_decoded decoded) {
  if (decoded == TLA_DECODED_TOO_LARGE) {
    return tla_fail(error, TLSAGENT_FAULT_MEMORY,
                    "the reply to %s needs more than %u MiB, or there is no memory for it",
                    method->name, TLSAGENT_REPLY_MAX >> 20);
  }
  return tla_fail(error, TLSAGENT_FAULT_LOST, "the reply to %s can't be decoded", method->name);
}

// --- What the answer means ---

// What the replies of Connect and Accept begin with.
struct opened {
  uint64_t session;
  struct tlsagent_progress progress;
};
#define BEGINS_AS_OPENED(type)                                                             \
  _Static_assert(offsetof(struct type, session) == offsetof(struct opened, session) &&     \
                     offsetof(struct type, progress) == offsetof(struct opened, progress), \
                 #type)
BEGINS_AS_OPENED(tlsagent_session_connect_reply);
BEGINS_AS_OPENED(tlsagent_session_accept_reply);

static const struct tlsagent_tls_error *find_in_progress(const struct tlsagent_progress *progress) {
  static const struct tlsagent_tls_error unexplained = {.kind = TLSAGENT_ERROR_TLS};
  if (progress->state != TLSAGENT_STATE_FAILED) {
    return NULL;
  }
  return progress->error != NULL ? progress->error : &unexplained;
}

// Whoever is told that it went well uses the session, and takes the peer for verified.
static const struct tlsagent_tls_error *find_in_opened(const struct opened *opened) {
  static const struct tlsagent_tls_error none = {.kind = TLSAGENT_ERROR_TLS,
                                                 .text = "tlsagentd gave no session"};
  const struct tlsagent_tls_error *failure = find_in_progress(&opened->progress);
  if (failure != NULL || opened->session != 0) {
    return failure;
  }
  return opened->progress.state == TLSAGENT_STATE_CLOSED ? &TLA_CLOSED_EARLY : &none;
}

static const struct tlsagent_tls_error *find_failure(const struct tla_method *method,
                                                     const void *reply) {
  const void *at = (const uint8_t *)reply + method->failure_offset;
  switch (method->failure) {
    case TLA_FAILURE_NONE:
      return NULL;
    case TLA_FAILURE_ERROR:
      return *(const struct tlsagent_tls_error *const *)at;
    case TLA_FAILURE_PROGRESS:
      return find_in_progress(at);
    case TLA_FAILURE_OPENING:
      return find_in_opened(at);
  }
  return NULL;
}

static bool judge(const struct tla_method *method, const void *reply,
                  struct tlsagent_error *error) {
  const struct tlsagent_tls_error *failure = find_failure(method, reply);
  return failure == NULL ? tla_succeed(error) : tla_fail_tls(error, method->name, failure);
}

// --- Unpacking ---

// Descriptors that a reply took before it turned out to be malformed.
static void close_taken(const int *before, const struct tla_received *received) {
  for (size_t i = 0; i < received->num_fds; i++) {
    if (received->fds[i] < 0 && before[i] >= 0) {
      close(before[i]);
    }
  }
}

// Unpacks the payload into owner->reply.
static enum tla_decoded unpack_payload(struct tla_arena *arena, struct owner *owner,
                                       const struct tla_method *method,
                                       const struct tla_received *received,
                                       struct tlsagent_bytes payload) {
  int before[TLSAGENT_FDS_MAX];
  const struct tla_reader reader = {arena, received->fds, received->num_fds};
  if (received->num_fds != 0) {
    memcpy(before, received->fds, received->num_fds * sizeof(int));
  }
  const enum tla_decoded decoded = tla_decode(&reader, method->reply, owner->reply, payload);
  if (decoded != TLA_DECODED) {
    close_taken(before, received);
  }
  return decoded;
}

static bool unpack(struct tla_arena *arena, void **out, const struct tla_method *method,
                   const struct tla_received *received, struct tlsagent_error *error) {
  struct response response = {0};
  const struct tla_reader reader = {arena, NULL, 0};
  struct owner *owner = tla_arena_new(arena, sizeof(*owner) + method->reply->size);
  if (owner == NULL) {
    return tla_fail_memory(error);
  }
  enum tla_decoded decoded = tla_decode(&reader, &RESPONSE_MESSAGE, &response,
                                        tlsagent_bytes_of(received->body, received->body_len));
  if (decoded == TLA_DECODED && response.status != NULL && response.status->code != 0) {
    return tla_fail_rpc(error, method->name, response.status->code, response.status->message);
  }
  if (decoded == TLA_DECODED) {
    decoded = unpack_payload(arena, owner, method, received, response.payload);
  }
  if (decoded != TLA_DECODED) {
    return fail_decode(error, method, decoded);
  }
  owner->arena = *arena;  // last: nothing is allocated from here on
  owner->body = received->body;
  *out = owner->reply;
  return judge(method, *out, error);
}

bool tla_reply_unpack(void **out, const struct tla_method *method,
                      const struct tla_received *received, struct tlsagent_error *error) {
  struct tla_arena arena = {.limit = TLSAGENT_REPLY_MAX};
  *out = NULL;
  const bool ok = unpack(&arena, out, method, received, error);
  if (*out == NULL) {
    tla_arena_free(&arena);
    free(received->body);
  }
  return ok;
}
