// What is measured: anything that can be opened, does operations for the length of a turn, and is
// closed again.
#ifndef TLSAGENT_TESTS_BENCH_LIB_CONTENDER_H_
#define TLSAGENT_TESTS_BENCH_LIB_CONTENDER_H_

#include <stdbool.h>
#include <stddef.h>

#include "tests/bench/lib/child.h"
#include "tests/bench/lib/tls_half.h"
#include "tests/bench/lib/turn.h"

// What all contenders stand on.
struct stage {
  struct child daemon;
  struct child echo;   // the bare io_uring echo
  struct child plain;  // the plain TLS server
  struct identity identity;
  SSL_CTX *client;  // the client half of every handshake
  SSL_CTX *server;  // the server half of those in process
};

// What one operation of a bulk kind moves.
enum { BULK_BYTES = 64 << 10 };

struct kind {
  // option tells contenders of one kind apart: payload bytes, or how many are in flight. NULL: it
  // failed, and said why.
  void *(*open)(const struct stage *stage, size_t option);
  // False: it failed, and said why.
  bool (*run)(void *self, struct turn *turn);
  void (*close)(void *self);
};

// ping.c: a message of a ping's size through the bare server, and the ping itself.
extern const struct kind bare_echo;
extern const struct kind raw_ping;

// in_process.c: TLS in one thread over memory BIOs.
extern const struct kind local_echo;
extern const struct kind local_handshake;       // charged is the server's half
extern const struct kind local_handshake_both;  // both are
extern const struct kind local_resumption;  // the server's half; its context has to give tickets
extern const struct kind local_down;        // the server seals BULK_BYTES
extern const struct kind local_up;          // the server opens BULK_BYTES

// plain_server.c: TLS through a server without RPC.
extern const struct kind plain_handshake;

// raw_session.c: TLS through the daemon, by the client made by hand.
extern const struct kind raw_echo;
extern const struct kind raw_handshake;
extern const struct kind raw_asked_handshake;

// raw_both.c: the same, both halves in the daemon.
extern const struct kind raw_both;

// library.c: through the daemon, by libtlsagent.
extern const struct kind library_ping;
extern const struct kind library_echo;

#endif  // TLSAGENT_TESTS_BENCH_LIB_CONTENDER_H_
