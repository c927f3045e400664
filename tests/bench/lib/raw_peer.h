// A client of the daemon, by hand, with a context: what the contenders of raw_*.c share.
#ifndef TLSAGENT_TESTS_BENCH_LIB_RAW_PEER_H_
#define TLSAGENT_TESTS_BENCH_LIB_RAW_PEER_H_

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/lib/contender.h"
#include "tests/bench/lib/raw_client.h"

// Numbers of the contract: values, and fields of the messages used here.
enum { KIND_CLIENT = 2, KIND_SERVER = 3 };
enum { STATE_DONE = 1, STATE_WANT_DECISION = 4, STATE_FAILED = 6 };
enum { SESSION = 1, HANDSHAKE_FEED = 2, READ_FEED = 3, WRITE_DATA = 2 };
enum { OPENED_PROGRESS = 2, PROGRESS = 1, READ_DATA = 2 };

extern const struct raw_method CONNECT;
extern const struct raw_method ACCEPT;
extern const struct raw_method HANDSHAKE;
extern const struct raw_method READ;
extern const struct raw_method WRITE;
extern const struct raw_method CLOSE;

struct peer {
  const struct stage *stage;
  struct raw_client *client;
  uint64_t server;  // a context with the stage's certificate
};

// peer_open connects and makes the context, one that asks its client to decide about server names
// if asks is true. False: it failed, and said why; raw_close() is due all the same.
bool peer_open(struct peer *peer, const struct stage *stage, bool asks);

// peer_client_context makes a context for clients, as the stage's own: it takes any certificate.
bool peer_client_context(struct peer *peer, uint64_t *out);

// put_opening puts a ConnectRequest or an AcceptRequest, which are alike, on the memory path.
void put_opening(struct wire_writer *writer, uint64_t context, struct view input);

// put_feed puts a request with a session, and ciphertext for it in the field of that number.
void put_feed(struct wire_writer *writer, uint32_t field, uint64_t session, struct view data);

// put_go_on puts a HandshakeRequest that answers a decision: go on as if nobody had asked.
void put_go_on(struct wire_writer *writer, uint64_t session);

struct progress {
  uint64_t state;
  struct view output;
};

// read_progress reads the Progress in the field of that number. False: the daemon's half failed,
// and it was said why.
bool read_progress(struct view message, uint32_t field, struct progress *out);

#endif  // TLSAGENT_TESTS_BENCH_LIB_RAW_PEER_H_
