// Many bytes at once: several calls in flight, so that this process moves bytes while the daemon
// encrypts or decrypts the next ones. For sessions whose context reports no events.
#ifndef TLSAGENT_CLIENT_PYTHON_BULK_H_
#define TLSAGENT_CLIENT_PYTHON_BULK_H_

#include "client/python/call.h"

// A call carries a few full records: what it and its answer are copied through stays in the cache.
enum { BULK_CHUNK = 4 * 16384, BULK_LEAST = 2 * BULK_CHUNK };

// struct bulk_sink takes what is ready, while further calls are in flight. It must not wait. false:
// it can't go on now, and no further call is made.
struct bulk_sink {
  bool (*take)(void *user);
  void *user;
};

// bulk_write encrypts call->data, whole or the first part of it, and queues the output on the
// socket; call->accepted says how much. `sink` is told of each output. Without the GIL.
void bulk_write(struct ssl_socket *socket, struct call *call, const struct bulk_sink *sink);

// bulk_read decrypts call->feed.data, records that records_of_data() has found, into out, which is
// as long. call->accepted says how much plaintext it gave, *out_used how much of the feed was
// taken. What came of the last call is in call. Without the GIL.
void bulk_read(struct ssl_socket *socket, struct call *call, uint8_t *out, size_t *out_used);

#endif  // TLSAGENT_CLIENT_PYTHON_BULK_H_
