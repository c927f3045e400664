// The loop that the bare echo and the ping share to the last byte: send these bytes, await so many.
#ifndef TLSAGENT_TESTS_BENCH_LIB_EXCHANGE_H_
#define TLSAGENT_TESTS_BENCH_LIB_EXCHANGE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/lib/wire.h"

// connect_to returns a socket connected to the Unix socket at path, which may not be there yet: it
// tries for ten seconds, as long as the process that is to make it lives. Negative: it failed, and
// said why. server_pid 0: tries once.
int connect_to(const char *path, int server_pid);

// await_listener waits until somebody listens at path, in the same way.
bool await_listener(const char *path, int server_pid);

// listen_at returns a socket that listens at path. Negative: it failed, and said why.
int listen_at(const char *path);

// send_all and receive_some block. They say why they failed.
bool send_all(int fd, const void *data, size_t len);
size_t receive_some(int fd, void *out, size_t size);

// exchange sends a message and receives out_len bytes.
bool exchange(int fd, struct view message, uint8_t *out, size_t out_len);

#endif  // TLSAGENT_TESTS_BENCH_LIB_EXCHANGE_H_
