// Both ends of a session through libtlsagent, each with decisions of its own: no certificate, a
// pre-shared key. Prints a line for each step; argv[1] is the daemon's address.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/c/tlsagent.h"

enum { PATIENCE_MS = 20000, STEPS_MAX = 12 };

static struct tlsagent_client *agent;
static struct tlsagent_error error;

static void check(bool good, const char *what) {
  if (!good) {
    printf("FAIL %s: %s\n", what, error.message);
    exit(1);
  }
}

static uint64_t make_context(enum tlsagent_context_kind kind,
                             const struct tlsagent_decisions *decisions) {
  const struct tlsagent_event_settings events = {.key_log = true, .messages = true};
  struct tlsagent_context_create_request request = {.kind = kind};
  uint64_t context = 0;
  request.settings.decisions = decisions;
  request.settings.events = &events;
  request.settings.ciphersuites = "TLS_AES_128_GCM_SHA256";
  check(tlsagent_context_create(agent, &context, &request, PATIENCE_MS, &error), "create");
  return context;
}

static struct tlsagent_memory *connect_to(const char *name) {
  const struct tlsagent_decisions decisions = {.psk_client = true};
  const struct tlsagent_session_connect_request request = {
      .context = make_context(TLSAGENT_CONTEXT_CLIENT, &decisions), .server_name = name};
  struct tlsagent_memory *memory = tlsagent_memory_connect(agent, &request, PATIENCE_MS, &error);
  check(memory != NULL, "connect");
  return memory;
}

static struct tlsagent_memory *accept_one(void) {
  const struct tlsagent_decisions decisions = {.server_name = true, .psk_server = true};
  const struct tlsagent_session_accept_request request = {
      .context = make_context(TLSAGENT_CONTEXT_SERVER, &decisions)};
  struct tlsagent_memory *memory = tlsagent_memory_accept(agent, &request, PATIENCE_MS, &error);
  check(memory != NULL, "accept");
  return memory;
}

static void move(struct tlsagent_memory *from, struct tlsagent_memory *to) {
  size_t len = 0;
  const uint8_t *data = tlsagent_memory_take(from, &len);
  check(tlsagent_memory_give(to, data, len), "give");
  tlsagent_memory_taken(from, len);
}

static void decide(struct tlsagent_memory *memory, const struct tlsagent_decision *decision) {
  static const struct tlsagent_decision_answer proceed = {.answer = TLSAGENT_ANSWER_PROCEED};
  static const struct tlsagent_decision_answer refuse = {.answer = TLSAGENT_ANSWER_REFUSE,
                                                         .alert = 112};
  static const struct tlsagent_decision_answer mine = {
      .answer = TLSAGENT_ANSWER_PSK, .identity = "me", .key = {(const uint8_t *)"secret", 6}};
  static const struct tlsagent_decision_answer theirs = {.answer = TLSAGENT_ANSWER_PSK,
                                                         .key = {(const uint8_t *)"secret", 6}};
  switch (decision->kind) {
    case TLSAGENT_DECISION_SERVER_NAME:
      printf("name %s\n", decision->server_name);
      tlsagent_memory_decide(memory,
                             strcmp(decision->server_name, "bad.test") == 0 ? &refuse : &proceed);
      break;
    case TLSAGENT_DECISION_PSK_CLIENT:
      printf("client, hint %s\n", decision->psk_hint == NULL ? "absent" : decision->psk_hint);
      tlsagent_memory_decide(memory, &mine);
      break;
    case TLSAGENT_DECISION_PSK_SERVER:
      printf("server, identity %s\n", decision->psk_identity);
      tlsagent_memory_decide(memory, &theirs);
      break;
    case TLSAGENT_DECISION_UNSPECIFIED:
      check(false, "decision");
      break;
  }
}

static size_t count_lines(const struct tlsagent_progress *progress) {
  size_t lines = 0;
  for (size_t i = 0; i < progress->num_events; i++) {
    lines += progress->events[i].kind == TLSAGENT_EVENT_KEY_LOG;
  }
  return lines;
}

// One step of one end. The lines of the key log are added up.
static enum tlsagent_state step(struct tlsagent_memory *memory, struct tlsagent_memory *peer,
                                size_t *lines) {
  enum tlsagent_state state = tlsagent_memory_handshake(memory, PATIENCE_MS, &error);
  const struct tlsagent_progress *progress = tlsagent_memory_progress(memory);
  *lines += count_lines(progress);
  if (state == TLSAGENT_STATE_WANT_DECISION) {
    decide(memory, progress->decision);
  }
  if (state == TLSAGENT_STATE_FAILED) {
    printf("failed: %s\n", error.message);
  }
  move(memory, peer);
  return state;
}

static void shake(const char *name) {
  struct tlsagent_memory *client = connect_to(name);
  struct tlsagent_memory *server = accept_one();
  enum tlsagent_state client_state = TLSAGENT_STATE_WANT_READ;
  enum tlsagent_state server_state = TLSAGENT_STATE_WANT_READ;
  size_t lines = 0;
  for (int i = 0;
       i < STEPS_MAX && server_state < TLSAGENT_STATE_FAILED && server_state != TLSAGENT_STATE_DONE;
       i++) {
    client_state = step(client, server, &lines);
    server_state = step(server, client, &lines);
  }
  printf("client %s, server %s, %zu lines\n", tlsagent_state_name(client_state),
         tlsagent_state_name(server_state), lines);
  tlsagent_memory_free(client);
  tlsagent_memory_free(server);
}

int main(int argc, char **argv) {
  (void)argc;
  setenv("TLSAGENT_SOCKET", argv[1], 1);
  agent = tlsagent_client_open(NULL, PATIENCE_MS, &error);
  check(agent != NULL, "open");
  shake("host.test");
  shake("bad.test");
  tlsagent_client_close(agent);
  return 0;
}
