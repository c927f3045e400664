// The same by libtlsagent, as a program would do it: blocking verbs, one connection.
#include <stdlib.h>
#include <string.h>

#include "client/c/tlsagent.h"
#include "tests/bench/lib/base.h"
#include "tests/bench/lib/contender.h"

enum { TIMEOUT_MS = 0, OPEN_TIMEOUT_MS = 5000 };

struct user {
  struct tlsagent_client *agent;
  size_t payload;
  struct tls_half half;
  uint64_t session;
};

static void user_close(void *self) {
  struct user *user = self;
  half_close(&user->half);
  tlsagent_client_close(user->agent);
  free(user);
}

static struct user *user_open(const struct stage *stage) {
  struct user *user = calloc(1, sizeof(*user));
  struct tlsagent_client_options options = {.address = stage->daemon.path};
  struct tlsagent_error error;
  if (user == NULL) {
    fail("no memory for a client");
    return NULL;
  }
  user->agent = tlsagent_client_open(&options, OPEN_TIMEOUT_MS, &error);
  if (user->agent == NULL) {
    fail("libtlsagent: %s", error.message);
    free(user);
    return NULL;
  }
  return user;
}

// --- Ping ---

static void *ping_open(const struct stage *stage, size_t payload) {
  struct user *user = user_open(stage);
  if (user != NULL) {
    user->payload = payload;
  }
  return user;
}

static bool ping_run(void *self, struct turn *turn) {
  static const uint8_t zeros[PAYLOAD_BYTES];
  struct user *user = self;
  struct tlsagent_error error;
  while (turn_goes_on(turn)) {
    if (!tlsagent_agent_ping(user->agent, zeros, user->payload, TIMEOUT_MS, &error)) {
      return fail("ping: %s", error.message);
    }
    turn_add(turn);
  }
  return true;
}

const struct kind library_ping = {ping_open, ping_run, user_close};

// --- Echo ---

static bool create_context(struct user *user, const struct stage *stage, uint64_t *out) {
  struct view chain = pem_bytes(stage->identity.chain_pem);
  struct view key = pem_bytes(stage->identity.key_pem);
  struct tlsagent_certificate_pair pair = {
      .chain = tlsagent_material_data(chain.data, chain.len),
      .key = tlsagent_material_data(key.data, key.len),
  };
  struct tlsagent_context_create_request request = {
      .kind = TLSAGENT_CONTEXT_SERVER,
      .settings = {.min_version = TLSAGENT_GIVEN(TLSAGENT_PROTOCOL_TLS_1_3), .groups = "X25519"},
      .pairs = &pair,
      .num_pairs = 1,
  };
  struct tlsagent_error error;
  return tlsagent_context_create(user->agent, out, &request, TIMEOUT_MS, &error) ||
         fail("no context: %s", error.message);
}

// Hands the other half what a call gave for it.
static bool give(struct user *user, const struct tlsagent_progress *progress) {
  return half_give(&user->half, progress->output.data, progress->output.len);
}

static bool accept_hello(struct user *user, uint64_t context) {
  uint8_t flight[FLIGHT_ROOM];
  size_t len = half_take(&user->half, flight, sizeof(flight));
  struct tlsagent_session_accept_request request = {
      .context = context,
      .transport = {.path = TLSAGENT_PATH_MEMORY, .feed = {.data = tlsagent_bytes_of(flight, len)}},
  };
  struct tlsagent_session_accept_reply *reply;
  struct tlsagent_error error;
  if (!tlsagent_session_accept(user->agent, &reply, &request, TIMEOUT_MS, &error)) {
    tlsagent_free(reply);
    return fail("accept: %s", error.message);
  }
  user->session = reply->session;
  bool given = give(user, &reply->progress);
  tlsagent_free(reply);
  return given && half_step(&user->half);
}

static bool finish(struct user *user) {
  uint8_t flight[FLIGHT_ROOM];
  size_t len = half_take(&user->half, flight, sizeof(flight));
  struct tlsagent_session_handshake_request request = {
      .session = user->session,
      .feed = {.data = tlsagent_bytes_of(flight, len)},
  };
  struct tlsagent_session_handshake_reply *reply;
  struct tlsagent_error error;
  if (!tlsagent_session_handshake(user->agent, &reply, &request, TIMEOUT_MS, &error)) {
    tlsagent_free(reply);
    return fail("handshake: %s", error.message);
  }
  bool given = give(user, &reply->progress);
  tlsagent_free(reply);
  return given && half_settle(&user->half);
}

static void *echo_open(const struct stage *stage, size_t option) {
  struct user *user = user_open(stage);
  uint64_t context;
  (void)option;
  if (user == NULL) {
    return NULL;
  }
  if (!create_context(user, stage, &context) || !half_open(&user->half, stage->client, false) ||
      !half_step(&user->half) || !accept_hello(user, context) || !finish(user)) {
    user_close(user);
    return NULL;
  }
  return user;
}

static bool read_record(struct user *user, struct tlsagent_session_read_reply **reply) {
  uint8_t record[FLIGHT_ROOM];
  size_t len = half_take(&user->half, record, sizeof(record));
  struct tlsagent_session_read_request request = {
      .session = user->session,
      .feed = {.data = tlsagent_bytes_of(record, len)},
  };
  struct tlsagent_error error;
  return tlsagent_session_read(user->agent, reply, &request, TIMEOUT_MS, &error) ||
         fail("read: %s", error.message);
}

static bool write_back(struct user *user, struct tlsagent_bytes data) {
  struct tlsagent_session_write_request request = {.session = user->session, .data = data};
  struct tlsagent_session_write_reply *reply;
  struct tlsagent_error error;
  bool good = tlsagent_session_write(user->agent, &reply, &request, TIMEOUT_MS, &error) ||
              fail("write: %s", error.message);
  good = good && give(user, &reply->progress);
  tlsagent_free(reply);
  return good;
}

static bool echo_once(struct user *user, uint8_t data[static PAYLOAD_BYTES]) {
  struct tlsagent_session_read_reply *reply = NULL;
  if (SSL_write(user->half.ssl, data, PAYLOAD_BYTES) != PAYLOAD_BYTES) {
    return fail_tls("SSL_write");
  }
  bool good = read_record(user, &reply) && write_back(user, reply->data);
  tlsagent_free(reply);
  return good &&
         (SSL_read(user->half.ssl, data, PAYLOAD_BYTES) == PAYLOAD_BYTES || fail_tls("SSL_read"));
}

static bool echo_run(void *self, struct turn *turn) {
  uint8_t data[PAYLOAD_BYTES] = {0};
  while (turn_goes_on(turn)) {
    if (!echo_once(self, data)) {
      return false;
    }
    turn_add(turn);
  }
  return true;
}

const struct kind library_echo = {echo_open, echo_run, user_close};
