// TLS without a daemon: both halves in this thread, their ciphertext copied from one to the other.
#include <stdlib.h>
#include <string.h>

#include "tests/bench/lib/base.h"
#include "tests/bench/lib/contender.h"

enum { CALIBRATIONS = 1001, RECORD_BYTES = 16384, BULK_ROOM = BULK_BYTES + FLIGHT_ROOM };

struct local {
  const struct stage *stage;
  struct tls_half client;
  struct tls_half server;
  SSL_SESSION *session;  // what the client resumes, or NULL
  uint64_t clock_cost;   // of a look at the thread's clock, which is in every interval once
  uint8_t flight[FLIGHT_ROOM];
};

// Moves what there is for the other half.
static bool move(struct local *local, struct tls_half *from, struct tls_half *to) {
  size_t len = half_take(from, local->flight, sizeof(local->flight));
  return half_give(to, local->flight, len);
}

static void local_close(void *self) {
  struct local *local = self;
  SSL_SESSION_free(local->session);
  half_close(&local->client);
  half_close(&local->server);
  free(local);
}

static struct local *local_open(const struct stage *stage) {
  struct local *local = calloc(1, sizeof(*local));
  if (local == NULL) {
    fail("no memory for both halves");
    return NULL;
  }
  local->stage = stage;
  return local;
}

// --- Echo ---

static bool shake_hands(struct local *local) {
  struct tls_half *client = &local->client;
  struct tls_half *server = &local->server;
  return half_open(client, local->stage->client, false) &&
         half_open(server, local->stage->server, true) && half_step(client) &&
         move(local, client, server) && half_step(server) && move(local, server, client) &&
         half_step(client) && move(local, client, server) && half_step(server) &&
         move(local, server, client) && half_settle(client);
}

static void *echo_open(const struct stage *stage, size_t option) {
  struct local *local = local_open(stage);
  (void)option;
  if (local != NULL && !shake_hands(local)) {
    local_close(local);
    return NULL;
  }
  return local;
}

static bool pass(struct local *local, struct tls_half *from, struct tls_half *to, uint8_t *data) {
  return SSL_write(from->ssl, data, PAYLOAD_BYTES) == PAYLOAD_BYTES && move(local, from, to) &&
         SSL_read(to->ssl, data, PAYLOAD_BYTES) == PAYLOAD_BYTES;
}

static bool echo_run(void *self, struct turn *turn) {
  struct local *local = self;
  uint8_t data[PAYLOAD_BYTES] = {0};
  while (turn_goes_on(turn)) {
    if (!pass(local, &local->client, &local->server, data) ||
        !pass(local, &local->server, &local->client, data)) {
      return fail_tls("the echo in process failed");
    }
    turn_add(turn);
  }
  return true;
}

const struct kind local_echo = {echo_open, echo_run, local_close};

// --- Handshake ---

static uint64_t thread_nanos(void) {
  return clock_nanos(CLOCK_THREAD_CPUTIME_ID);
}

static uint64_t cost_of_clock(void) {
  double costs[CALIBRATIONS];
  for (int i = 0; i < CALIBRATIONS; i++) {
    uint64_t before = thread_nanos();
    costs[i] = (double)(thread_nanos() - before);
  }
  return (uint64_t)spread_of(costs, CALIBRATIONS).median;
}

static void *handshake_open(const struct stage *stage, size_t option) {
  struct local *local = local_open(stage);
  (void)option;
  if (local != NULL) {
    local->clock_cost = cost_of_clock();
  }
  return local;
}

static void charge(const struct local *local, struct turn *turn, uint64_t since) {
  uint64_t spent = thread_nanos() - since;
  turn->server_nanos += spent > local->clock_cost ? spent - local->clock_cost : 0;
}

// The server's turns. What a server does besides is in them: it makes and frees its half, takes the
// other's bytes and gives its own.
static size_t server_turn(struct local *local, size_t len) {
  struct tls_half *server = &local->server;
  if (!half_give(server, local->flight, len) || !half_step(server)) {
    return 0;
  }
  return half_take(server, local->flight, sizeof(local->flight));
}

static size_t server_opens(struct local *local, struct turn *turn, size_t hello_len) {
  uint64_t since = thread_nanos();
  bool open = half_open(&local->server, local->stage->server, true);
  size_t len = open ? server_turn(local, hello_len) : 0;
  charge(local, turn, since);
  return len;
}

// What is left to give are tickets, if the context gives any.
static bool server_ends(struct local *local, struct turn *turn, size_t finished_len,
                        size_t *out_len) {
  uint64_t since = thread_nanos();
  *out_len = server_turn(local, finished_len);
  bool done = half_done(&local->server) &&
              SSL_session_reused(local->server.ssl) == (local->session != NULL);
  half_close(&local->server);
  charge(local, turn, since);
  return done;
}

static bool client_opens(struct local *local) {
  return half_open(&local->client, local->stage->client, false) &&
         (local->session == NULL || SSL_set_session(local->client.ssl, local->session) == 1);
}

// The client's turn, with what the server sent. It has something to send whenever it hasn't failed.
static size_t client_turn(struct local *local, size_t len) {
  struct tls_half *client = &local->client;
  if (!half_give(client, local->flight, len) || !half_step(client)) {
    return 0;
  }
  return half_take(client, local->flight, sizeof(local->flight));
}

static bool handshake_once(struct local *local, struct turn *turn) {
  bool good = client_opens(local);
  size_t len = client_turn(local, 0);
  len = client_turn(local, server_opens(local, turn, len));
  good = good && server_ends(local, turn, len, &len) &&
         half_give(&local->client, local->flight, len) && half_settle(&local->client);
  half_close(&local->client);
  return good;
}

static bool handshake_run(void *self, struct turn *turn) {
  struct local *local = self;
  while (turn_goes_on(turn)) {
    if (!handshake_once(local, turn)) {
      return fail("the handshake in process failed");
    }
    turn_add(turn);
  }
  return true;
}

const struct kind local_handshake = {handshake_open, handshake_run, local_close};

static bool both_run(void *self, struct turn *turn) {
  uint64_t since = thread_nanos();
  bool good = handshake_run(self, turn);
  turn->server_nanos = thread_nanos() - since;
  return good;
}

const struct kind local_handshake_both = {handshake_open, both_run, local_close};

// --- Resumption ---

static void *resumption_open(const struct stage *stage, size_t option) {
  struct local *local = echo_open(stage, option);
  if (local == NULL) {
    return NULL;
  }
  local->clock_cost = cost_of_clock();
  local->session = SSL_get1_session(local->client.ssl);
  SSL_shutdown(local->client.ssl);  // a session whose connection is cut isn't resumed
  half_close(&local->client);
  half_close(&local->server);
  return local;
}

const struct kind local_resumption = {resumption_open, handshake_run, local_close};

// --- Bulk ---

static uint8_t plain[BULK_BYTES];
static uint8_t sealed[BULK_ROOM];

static void *bulk_open(const struct stage *stage, size_t option) {
  struct local *local = echo_open(stage, option);
  if (local != NULL) {
    local->clock_cost = cost_of_clock();
  }
  return local;
}

// Returns how much ciphertext it gave, 0 when it failed.
static size_t seal(struct tls_half *half) {
  for (size_t at = 0; at < BULK_BYTES; at += RECORD_BYTES) {
    if (SSL_write(half->ssl, plain + at, RECORD_BYTES) != RECORD_BYTES) {
      return 0;
    }
  }
  return half_take(half, sealed, sizeof(sealed));
}

static bool unseal(struct tls_half *half, size_t len) {
  if (!half_give(half, sealed, len)) {
    return false;
  }
  for (size_t at = 0; at < BULK_BYTES; at += RECORD_BYTES) {
    if (SSL_read(half->ssl, plain + at, RECORD_BYTES) != RECORD_BYTES) {
      return false;
    }
  }
  return true;
}

static bool down_run(void *self, struct turn *turn) {
  struct local *local = self;
  while (turn_goes_on(turn)) {
    uint64_t since = thread_nanos();
    size_t len = seal(&local->server);
    charge(local, turn, since);
    if (len == 0 || !unseal(&local->client, len)) {
      return fail_tls("bulk in process failed");
    }
    turn_add(turn);
  }
  return true;
}

static bool up_run(void *self, struct turn *turn) {
  struct local *local = self;
  while (turn_goes_on(turn)) {
    size_t len = seal(&local->client);
    uint64_t since = thread_nanos();
    bool good = len != 0 && unseal(&local->server, len);
    charge(local, turn, since);
    if (!good) {
      return fail_tls("bulk in process failed");
    }
    turn_add(turn);
  }
  return true;
}

const struct kind local_down = {bulk_open, down_run, local_close};
const struct kind local_up = {bulk_open, up_run, local_close};
