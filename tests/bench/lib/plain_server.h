// The least TLS server there can be in a process of its own: OpenSSL behind a blocking Unix socket.
// Beside the handshake in process it shows what being woken for each flight costs any server, by
// itself and by what has left the caches meanwhile.
#ifndef TLSAGENT_TESTS_BENCH_LIB_PLAIN_SERVER_H_
#define TLSAGENT_TESTS_BENCH_LIB_PLAIN_SERVER_H_

#include <openssl/ssl.h>

#include "tests/bench/lib/child.h"

// plain_server_start starts it and waits until it listens. It serves one connection, and on that
// one handshake after another: a flight of the client's, one of its own, twice; each flight stands
// after its length, 4 bytes of the machine's own order.
bool plain_server_start(struct child *child, const char *folder, int cpu, SSL_CTX *context);

// flight_send and flight_receive speak so. 0: it failed, and said why.
bool flight_send(int fd, const uint8_t *data, size_t len);
size_t flight_receive(int fd, uint8_t *out, size_t size);

#endif  // TLSAGENT_TESTS_BENCH_LIB_PLAIN_SERVER_H_
