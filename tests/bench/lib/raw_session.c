// The daemon is the server, and this is its peer: it moves the ciphertext by calls.
#include <stdlib.h>

#include "tests/bench/lib/base.h"
#include "tests/bench/lib/raw_peer.h"

enum { IN_FLIGHT_MAX = 64 };

// Handshake once more, to answer a decision.
static const struct raw_method DECISION = {"tlsagent.v1.SessionService", "Handshake"};

// --- Handshake: Accept, Handshake, and a Close that nobody waits for ---

// One of those in flight. Its Close leaves with the next one's Accept, so that a handshake is three
// calls and two round trips.
struct bout {
  struct tls_half half;
  const struct raw_method *method;  // what was asked
  uint32_t stream;                  // and as which call; 0: nothing
  uint64_t session;
  uint64_t began;
};

struct handshakes {
  struct peer peer;
  size_t in_flight;
  size_t awaited;  // answers
  struct bout bouts[IN_FLIGHT_MAX];
};

static uint32_t post(struct handshakes *all, const struct raw_method *method) {
  all->awaited++;
  return raw_post(all->peer.client, method);
}

static bool begin(struct handshakes *all, struct bout *bout, uint64_t now) {
  uint8_t flight[FLIGHT_ROOM];
  bout->began = now;
  if (!half_open(&bout->half, all->peer.stage->client, false) || !half_step(&bout->half)) {
    return false;
  }
  size_t len = half_take(&bout->half, flight, sizeof(flight));
  put_opening(raw_request(all->peer.client), all->peer.server, (struct view){flight, len});
  bout->method = &ACCEPT;
  bout->stream = post(all, &ACCEPT);
  return true;
}

// The server's flight has come: the client's last one goes back.
static bool answer_flight(struct handshakes *all, struct bout *bout, struct view output) {
  uint8_t flight[FLIGHT_ROOM];
  if (!half_give(&bout->half, output.data, output.len) || !half_step(&bout->half)) {
    return false;
  }
  size_t len = half_take(&bout->half, flight, sizeof(flight));
  put_feed(raw_request(all->peer.client), HANDSHAKE_FEED, bout->session,
           (struct view){flight, len});
  bout->method = &HANDSHAKE;
  bout->stream = post(all, &HANDSHAKE);
  return true;
}

// A context that asks gets its answer first.
static bool accepted(struct handshakes *all, struct bout *bout, struct view message) {
  struct progress progress;
  if (!read_progress(message, OPENED_PROGRESS, &progress)) {
    return false;
  }
  bout->session = wire_find_number(message, SESSION);
  if (progress.state != STATE_WANT_DECISION) {
    return answer_flight(all, bout, progress.output);
  }
  put_go_on(raw_request(all->peer.client), bout->session);
  bout->method = &DECISION;
  bout->stream = post(all, &HANDSHAKE);
  return true;
}

static bool decided(struct handshakes *all, struct bout *bout, struct view message) {
  struct progress progress;
  return read_progress(message, PROGRESS, &progress) && answer_flight(all, bout, progress.output);
}

static bool shaken(struct handshakes *all, struct bout *bout, struct view message) {
  struct progress progress;
  if (!read_progress(message, PROGRESS, &progress) ||
      !half_give(&bout->half, progress.output.data, progress.output.len) ||
      !half_settle(&bout->half)) {
    return false;
  }
  if (progress.state != STATE_DONE || !half_done(&bout->half)) {
    return fail("a handshake isn't over after two flights");
  }
  half_close(&bout->half);
  wire_put_number(raw_request(all->peer.client), SESSION, bout->session);
  post(all, &CLOSE);
  bout->stream = 0;
  return true;
}

// An answer to none of them is a Close's.
static struct bout *find_bout(struct handshakes *all, uint32_t stream) {
  for (size_t i = 0; i < all->in_flight; i++) {
    if (all->bouts[i].stream == stream) {
      return &all->bouts[i];
    }
  }
  return NULL;
}

// Waits for one answer and does what follows from it.
static bool go_on(struct handshakes *all, struct turn *turn) {
  uint32_t stream;
  struct view message;
  if (!raw_next(all->peer.client, &stream, &message)) {
    return false;
  }
  all->awaited--;
  struct bout *bout = find_bout(all, stream);
  if (bout == NULL) {
    return true;
  }
  if (bout->method == &ACCEPT) {
    return accepted(all, bout, message);
  }
  if (bout->method == &DECISION) {
    return decided(all, bout, message);
  }
  if (!shaken(all, bout, message)) {
    return false;
  }
  turn_add_since(turn, bout->began);
  return !turn_goes_on(turn) || begin(all, bout, turn->last);
}

static bool handshakes_run(void *self, struct turn *turn) {
  struct handshakes *all = self;
  all->awaited = 0;
  for (size_t i = 0; i < all->in_flight; i++) {
    if (!begin(all, &all->bouts[i], now_nanos())) {
      return false;
    }
  }
  while (all->awaited != 0) {
    if (!raw_flush(all->peer.client) || !go_on(all, turn)) {
      return false;
    }
  }
  return true;
}

static void handshakes_close(void *self) {
  struct handshakes *all = self;
  for (size_t i = 0; i < all->in_flight; i++) {
    half_close(&all->bouts[i].half);
  }
  raw_close(all->peer.client);
  free(all);
}

static void *open_handshakes(const struct stage *stage, size_t in_flight, bool asks) {
  struct handshakes *all = calloc(1, sizeof(*all));
  if (all == NULL) {
    fail("no memory for handshakes");
    return NULL;
  }
  all->in_flight = in_flight;
  if (!peer_open(&all->peer, stage, asks)) {
    handshakes_close(all);
    return NULL;
  }
  return all;
}

static void *handshakes_open(const struct stage *stage, size_t in_flight) {
  return open_handshakes(stage, in_flight, false);
}

static void *asked_open(const struct stage *stage, size_t in_flight) {
  return open_handshakes(stage, in_flight, true);
}

const struct kind raw_handshake = {handshakes_open, handshakes_run, handshakes_close};
const struct kind raw_asked_handshake = {asked_open, handshakes_run, handshakes_close};

// --- Echo: Read takes the ciphertext and gives the plaintext, Write the other way ---

struct echo {
  struct peer peer;
  struct tls_half half;
  uint64_t session;
};

static bool take_hands(struct echo *echo) {
  struct raw_client *client = echo->peer.client;
  uint8_t flight[FLIGHT_ROOM];
  struct view message;
  struct progress progress;
  if (!half_open(&echo->half, echo->peer.stage->client, false) || !half_step(&echo->half)) {
    return false;
  }
  size_t len = half_take(&echo->half, flight, sizeof(flight));
  put_opening(raw_request(client), echo->peer.server, (struct view){flight, len});
  if (!raw_call(client, &ACCEPT, &message) || !read_progress(message, OPENED_PROGRESS, &progress) ||
      !half_give(&echo->half, progress.output.data, progress.output.len) ||
      !half_step(&echo->half)) {
    return false;
  }
  echo->session = wire_find_number(message, SESSION);
  len = half_take(&echo->half, flight, sizeof(flight));
  put_feed(raw_request(client), HANDSHAKE_FEED, echo->session, (struct view){flight, len});
  return raw_call(client, &HANDSHAKE, &message) && read_progress(message, PROGRESS, &progress) &&
         half_give(&echo->half, progress.output.data, progress.output.len) &&
         half_settle(&echo->half);
}

static bool echo_once(struct echo *echo, uint8_t data[static PAYLOAD_BYTES]) {
  struct raw_client *client = echo->peer.client;
  uint8_t record[FLIGHT_ROOM];
  struct view message;
  struct progress progress;
  if (SSL_write(echo->half.ssl, data, PAYLOAD_BYTES) != PAYLOAD_BYTES) {
    return fail_tls("SSL_write");
  }
  size_t len = half_take(&echo->half, record, sizeof(record));
  put_feed(raw_request(client), READ_FEED, echo->session, (struct view){record, len});
  if (!raw_call(client, &READ, &message) || !read_progress(message, PROGRESS, &progress)) {
    return false;
  }
  struct view plaintext = wire_find_bytes(message, READ_DATA);
  struct wire_writer *writer = raw_request(client);
  wire_put_bytes(writer, WRITE_DATA, plaintext.data, plaintext.len);
  wire_put_number(writer, SESSION, echo->session);
  if (!raw_call(client, &WRITE, &message) || !read_progress(message, PROGRESS, &progress) ||
      !half_give(&echo->half, progress.output.data, progress.output.len)) {
    return false;
  }
  return SSL_read(echo->half.ssl, data, PAYLOAD_BYTES) == PAYLOAD_BYTES || fail_tls("SSL_read");
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

static void echo_close(void *self) {
  struct echo *echo = self;
  half_close(&echo->half);
  raw_close(echo->peer.client);
  free(echo);
}

static void *echo_open(const struct stage *stage, size_t option) {
  struct echo *echo = calloc(1, sizeof(*echo));
  (void)option;
  if (echo == NULL) {
    fail("no memory for an echo");
    return NULL;
  }
  if (!peer_open(&echo->peer, stage, false) || !take_hands(echo)) {
    echo_close(echo);
    return NULL;
  }
  return echo;
}

const struct kind raw_echo = {echo_open, echo_run, echo_close};
