// Both halves of a handshake are the daemon's: this only carries the ciphertext from one to the
// other. So the daemon has all the work, is never out of it, and nobody has to be woken for each
// call.
#include <stdlib.h>

#include "tests/bench/lib/base.h"
#include "tests/bench/lib/raw_peer.h"

enum { IN_FLIGHT_MAX = 64, CALLS = 5 };

// One of those in flight: the next of its calls, in the order below.
struct bout {
  size_t call;      // which is awaited
  uint32_t stream;  // as which call
  uint64_t client;
  uint64_t server;
  uint64_t began;
};

struct both {
  struct peer peer;
  uint64_t client;  // a context for clients
  size_t in_flight;
  size_t awaited;  // answers
  struct bout bouts[IN_FLIGHT_MAX];
};

// --- The calls of a handshake. Each gets the ciphertext that the one before it gave. ---

static void put_connect(struct both *both, struct bout *bout, struct view input) {
  (void)bout;
  put_opening(raw_request(both->peer.client), both->client, input);
}

static void put_accept(struct both *both, struct bout *bout, struct view hello) {
  (void)bout;
  put_opening(raw_request(both->peer.client), both->peer.server, hello);
}

static void put_client_handshake(struct both *both, struct bout *bout, struct view flight) {
  put_feed(raw_request(both->peer.client), HANDSHAKE_FEED, bout->client, flight);
}

static void put_server_handshake(struct both *both, struct bout *bout, struct view finished) {
  put_feed(raw_request(both->peer.client), HANDSHAKE_FEED, bout->server, finished);
}

static void put_client_read(struct both *both, struct bout *bout, struct view tickets) {
  put_feed(raw_request(both->peer.client), READ_FEED, bout->client, tickets);
}

static const struct {
  const struct raw_method *method;
  uint32_t progress;  // the field of the answer
  void (*put)(struct both *both, struct bout *bout, struct view input);
} calls[CALLS] = {
    {&CONNECT, OPENED_PROGRESS, put_connect},     {&ACCEPT, OPENED_PROGRESS, put_accept},
    {&HANDSHAKE, PROGRESS, put_client_handshake}, {&HANDSHAKE, PROGRESS, put_server_handshake},
    {&READ, PROGRESS, put_client_read},
};

static void post(struct both *both, struct bout *bout, size_t call, struct view input) {
  bout->call = call;
  calls[call].put(both, bout, input);
  bout->stream = raw_post(both->peer.client, calls[call].method);
  both->awaited++;
}

static void post_close(struct both *both, uint64_t session) {
  wire_put_number(raw_request(both->peer.client), SESSION, session);
  raw_post(both->peer.client, &CLOSE);
  both->awaited++;
}

// --- The handshakes ---

static void begin(struct both *both, struct bout *bout, uint64_t now) {
  bout->began = now;
  post(both, bout, 0, (struct view){0});
}

static void end(struct both *both, struct bout *bout, struct turn *turn) {
  post_close(both, bout->client);
  post_close(both, bout->server);
  bout->stream = 0;
  turn_add_since(turn, bout->began);
  if (turn_goes_on(turn)) {
    begin(both, bout, turn->last);
  }
}

static bool is_over_in_time(size_t call, uint64_t state) {
  bool due = calls[call].method == &HANDSHAKE;
  return !due || state == STATE_DONE || fail("a handshake isn't over after two flights");
}

static bool answered(struct both *both, struct bout *bout, struct view message, struct turn *turn) {
  struct progress progress;
  if (!read_progress(message, calls[bout->call].progress, &progress) ||
      !is_over_in_time(bout->call, progress.state)) {
    return false;
  }
  if (calls[bout->call].method == &CONNECT) {
    bout->client = wire_find_number(message, SESSION);
  } else if (calls[bout->call].method == &ACCEPT) {
    bout->server = wire_find_number(message, SESSION);
  }
  if (bout->call + 1 == CALLS) {
    end(both, bout, turn);
  } else {
    post(both, bout, bout->call + 1, progress.output);
  }
  return true;
}

// An answer to none of them is a Close's.
static struct bout *find_bout(struct both *both, uint32_t stream) {
  for (size_t i = 0; i < both->in_flight; i++) {
    if (both->bouts[i].stream == stream) {
      return &both->bouts[i];
    }
  }
  return NULL;
}

// Waits for one answer and does what follows from it.
static bool go_on(struct both *both, struct turn *turn) {
  uint32_t stream;
  struct view message;
  if (!raw_next(both->peer.client, &stream, &message)) {
    return false;
  }
  both->awaited--;
  struct bout *bout = find_bout(both, stream);
  return bout == NULL || answered(both, bout, message, turn);
}

static bool both_run(void *self, struct turn *turn) {
  struct both *both = self;
  both->awaited = 0;
  for (size_t i = 0; i < both->in_flight; i++) {
    begin(both, &both->bouts[i], now_nanos());
  }
  while (both->awaited != 0) {
    // What follows from answers that came together leaves together.
    bool sent = raw_has_reply(both->peer.client) || raw_flush(both->peer.client);
    if (!sent || !go_on(both, turn)) {
      return false;
    }
  }
  return true;
}

static void both_close(void *self) {
  struct both *both = self;
  raw_close(both->peer.client);
  free(both);
}

static void *both_open(const struct stage *stage, size_t in_flight) {
  struct both *both = calloc(1, sizeof(*both));
  if (both == NULL) {
    fail("no memory for handshakes");
    return NULL;
  }
  both->in_flight = in_flight;
  if (!peer_open(&both->peer, stage, false) || !peer_client_context(&both->peer, &both->client)) {
    both_close(both);
    return NULL;
  }
  return both;
}

const struct kind raw_both = {both_open, both_run, both_close};
