#include "tests/bench/lib/raw_peer.h"

#include <string.h>

#include "tests/bench/lib/base.h"

enum { TLS_1_3 = 772, VERIFY_NONE = 1 };

// Fields that nobody else needs.
enum { CREATE_KIND = 1, CREATE_SETTINGS = 2, CREATE_PAIRS = 3, CREATED_CONTEXT = 1 };
enum { CREATED_ERROR = 2, ERROR_TEXT = 8, SETTINGS_MIN_VERSION = 1, SETTINGS_GROUPS = 5 };
enum { SETTINGS_VERIFY_MODE = 9, SETTINGS_CHECK_HOSTNAME = 13, VALUE = 1 };
enum { PAIR_CHAIN = 1, PAIR_KEY = 2, MATERIAL_DATA = 1 };
enum { OPENING_CONTEXT = 1, OPENING_TRANSPORT = 2, TRANSPORT_MEMORY = 1, MEMORY_FEED = 1 };
enum { SETTINGS_DECISIONS = 23, DECISIONS_SERVER_NAME = 1 };
enum { HANDSHAKE_DECISION = 4, ANSWER_PROCEED = 1 };
enum { FEED_DATA = 1, PROGRESS_STATE = 1, PROGRESS_OUTPUT = 2, PROGRESS_ERROR = 4 };

static const struct raw_method CREATE = {"tlsagent.v1.ContextService", "Create"};
const struct raw_method CONNECT = {"tlsagent.v1.SessionService", "Connect"};
const struct raw_method ACCEPT = {"tlsagent.v1.SessionService", "Accept"};
const struct raw_method HANDSHAKE = {"tlsagent.v1.SessionService", "Handshake"};
const struct raw_method READ = {"tlsagent.v1.SessionService", "Read"};
const struct raw_method WRITE = {"tlsagent.v1.SessionService", "Write"};
const struct raw_method CLOSE = {"tlsagent.v1.SessionService", "Close"};

// --- Requests: each puts its fields, the last one first ---

static void put_material(struct wire_writer *writer, uint32_t field, struct view data) {
  const uint8_t *end = writer->at;
  wire_put_bytes(writer, MATERIAL_DATA, data.data, data.len);
  wire_put_message(writer, field, end);
}

static void put_pair(struct wire_writer *writer, const struct identity *identity) {
  const uint8_t *end = writer->at;
  put_material(writer, PAIR_KEY, pem_bytes(identity->key_pem));
  put_material(writer, PAIR_CHAIN, pem_bytes(identity->chain_pem));
  wire_put_message(writer, CREATE_PAIRS, end);
}

static void put_setting(struct wire_writer *writer, uint32_t field, uint64_t value) {
  const uint8_t *end = writer->at;
  wire_put_number(writer, VALUE, value);
  wire_put_message(writer, field, end);
}

static void put_decisions(struct wire_writer *writer) {
  const uint8_t *end = writer->at;
  wire_put_number(writer, DECISIONS_SERVER_NAME, true);
  wire_put_message(writer, SETTINGS_DECISIONS, end);
}

static void put_settings(struct wire_writer *writer, bool takes_any_certificate, bool asks) {
  const uint8_t *end = writer->at;
  if (asks) {
    put_decisions(writer);
  }
  if (takes_any_certificate) {
    put_setting(writer, SETTINGS_CHECK_HOSTNAME, false);
    put_setting(writer, SETTINGS_VERIFY_MODE, VERIFY_NONE);
  }
  const uint8_t *inner = writer->at;
  wire_put_bytes(writer, VALUE, "X25519", strlen("X25519"));
  wire_put_message(writer, SETTINGS_GROUPS, inner);
  put_setting(writer, SETTINGS_MIN_VERSION, TLS_1_3);
  wire_put_message(writer, CREATE_SETTINGS, end);
}

void put_opening(struct wire_writer *writer, uint64_t context, struct view input) {
  const uint8_t *end = writer->at;
  wire_put_bytes(writer, FEED_DATA, input.data, input.len);
  wire_put_message(writer, MEMORY_FEED, end);
  wire_put_message(writer, TRANSPORT_MEMORY, end);
  wire_put_message(writer, OPENING_TRANSPORT, end);
  wire_put_number(writer, OPENING_CONTEXT, context);
}

void put_feed(struct wire_writer *writer, uint32_t field, uint64_t session, struct view data) {
  const uint8_t *end = writer->at;
  wire_put_bytes(writer, FEED_DATA, data.data, data.len);
  wire_put_message(writer, field, end);
  wire_put_number(writer, SESSION, session);
}

void put_go_on(struct wire_writer *writer, uint64_t session) {
  const uint8_t *end = writer->at;
  wire_put_message(writer, ANSWER_PROCEED, end);
  wire_put_message(writer, HANDSHAKE_DECISION, end);
  wire_put_number(writer, SESSION, session);
}

// --- Replies ---

bool read_progress(struct view message, uint32_t field, struct progress *out) {
  struct view progress = wire_find_bytes(message, field);
  out->state = wire_find_number(progress, PROGRESS_STATE);
  out->output = wire_find_bytes(progress, PROGRESS_OUTPUT);
  if (out->state != STATE_FAILED) {
    return true;
  }
  struct view text = wire_find_bytes(wire_find_bytes(progress, PROGRESS_ERROR), ERROR_TEXT);
  return fail("the daemon's half failed: %.*s", (int)text.len,
              text.len == 0 ? "" : (const char *)text.data);
}

// --- Contexts ---

static bool create(struct peer *peer, uint64_t *out) {
  struct view message;
  if (!raw_call(peer->client, &CREATE, &message)) {
    return false;
  }
  struct view error = wire_find_bytes(wire_find_bytes(message, CREATED_ERROR), ERROR_TEXT);
  *out = wire_find_number(message, CREATED_CONTEXT);
  return *out != 0 ||
         fail("no context: %.*s", (int)error.len, error.len == 0 ? "" : (const char *)error.data);
}

bool peer_open(struct peer *peer, const struct stage *stage, bool asks) {
  *peer = (struct peer){.stage = stage, .client = raw_open(stage->daemon.path)};
  if (peer->client == NULL) {
    return false;
  }
  struct wire_writer *writer = raw_request(peer->client);
  put_pair(writer, &stage->identity);
  put_settings(writer, false, asks);
  wire_put_number(writer, CREATE_KIND, KIND_SERVER);
  return create(peer, &peer->server);
}

bool peer_client_context(struct peer *peer, uint64_t *out) {
  struct wire_writer *writer = raw_request(peer->client);
  put_settings(writer, true, false);
  wire_put_number(writer, CREATE_KIND, KIND_CLIENT);
  return create(peer, out);
}
