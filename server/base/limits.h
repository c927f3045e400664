// Every ceiling of the daemon, and their sum in memory. Each can be set by --limit NAME=VALUE; past
// one the caller gets RESOURCE_EXHAUSTED and everybody else notices nothing.
#ifndef TLSAGENT_SERVER_BASE_LIMITS_H_
#define TLSAGENT_SERVER_BASE_LIMITS_H_

#include <stdbool.h>
#include <stdint.h>

#include "server/base/slice.h"
#include "server/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

// LIMIT_TABLE lists every limit: X(name, default, least, most, text).
#define LIMIT_TABLE(X)                                                                      \
  X(connections, 1024, 1, 1000000, "RPC connections at a time")                             \
  X(connections_per_owner, 512, 1, 1000000, "RPC connections of one user id")               \
  X(sessions, 4096, 1, 1000000, "TLS sessions at a time")                                   \
  X(sessions_per_owner, 3072, 1, 1000000, "TLS sessions of one user id")                    \
  X(contexts, 512, 1, 1000000, "handles and names of contexts at a time")                   \
  X(contexts_per_owner, 256, 1, 1000000, "handles and names of contexts of one user id")    \
  X(context_editions, 640, 1, 1000000, "contexts in memory, and changed ones still in use") \
  X(context_editions_per_owner, 480, 1, 1000000, "the same of one user id")                 \
  X(calls, 1024, 1, 1000000, "calls in flight")                                             \
  X(calls_per_owner, 768, 1, 1000000, "calls in flight of one user id")                     \
  X(calls_per_connection, 64, 1, 65536, "calls in flight on one connection")                \
  X(frame_bytes, 4194304, 4096, 4194304, "bytes of one frame, header excluded")             \
  X(request_millis, 60000, 100, 86400000, "milliseconds a request may take to arrive")      \
  X(request_bytes, 67108864, 1048576, 17179869184, "bytes of all requests in flight")       \
  X(request_bytes_per_owner, 50331648, 1048576, 17179869184, "the same of one user id")     \
  X(queued_bytes, 4194304, 65536, 67108864, "bytes of answers a connection leaves unread")  \
  X(reply_bytes, 67108864, 1048576, 17179869184, "bytes of all answers not yet sent")       \
  X(reply_bytes_per_owner, 50331648, 1048576, 17179869184, "the same of one user id")       \
  X(read_bytes, 262144, 16384, 4194304, "bytes of plaintext one Read gives")                \
  X(session_output_bytes, 131072, 65536, 16777216, "ciphertext a session leaves unsent")    \
  X(material_bytes, 1048576, 4096, 4194304, "bytes of one certificate, key or trust file")  \
  X(context_bytes, 1048576, 65536, 4194304, "bytes of one change, and of what is trusted")  \
  X(listeners, 64, 1, 65536, "listeners whose connections are relayed")                     \
  X(listeners_per_owner, 48, 1, 65536, "the same of one user id")                           \
  X(descriptors, 1536, 16, 1000000, "descriptors received and not yet used")                \
  X(descriptors_per_owner, 1152, 16, 1000000, "the same of one user id")                    \
  X(descriptor_tokens, 256, 1, 65536, "tokens for descriptors, used up by none yet")        \
  X(descriptor_tokens_per_owner, 192, 1, 65536, "the same of one user id")                  \
  X(descriptor_token_millis, 60000, 100, 3600000, "milliseconds such a token is good for")  \
  X(resolver_queue, 256, 1, 65536, "host names waiting to be resolved")

struct limits {
#define X(name, default_, least, most, text) uint64_t name;
  LIMIT_TABLE(X)
#undef X
};

enum limit_id {
#define X(name, default_, least, most, text) LIMIT_##name,
  LIMIT_TABLE(X)
#undef X
      LIMIT_COUNT
};

// limits_default fills in every default.
void limits_default(struct limits *limits);

// limits_set sets a limit from "NAME=VALUE". NOT_FOUND: no limit of that name. INVALID_ARGUMENT:
// the value is no number. OUT_OF_RANGE: it is outside what the table allows.
status_t limits_set(struct limits *limits, const char *assignment);

// limits_has tells whether there is a limit of that name.
bool limits_has(struct slice name);

// One line of the memory plan.
struct limit_row {
  const char *name;
  const char *text;
  uint64_t value;
  uint64_t memory_bytes;  // the most that this limit can cost; 0 when another's line has it
};

// limits_rows writes LIMIT_COUNT rows and returns what the daemon can use in all, the fixed part of
// the process and its workers included.
uint64_t limits_rows(const struct limits *limits, unsigned num_workers, struct limit_row *out);

// What each worker holds for receiving: the buffers provided to the kernel, and the large ones with
// what the streams that use them have queued (server/ring/loop.h, server/session/relay.c).
enum { WORKER_BUFFERS = 256, WORKER_BUFFER_BYTES = 16384, WORKER_BULK_BYTES = (2 + 32) << 20 };

// What a client may send in a stream before the peer has taken any (server/service/stream.c), and
// what can wait of it then: by windows a message more.
enum { STREAM_WINDOW = 128 << 10, STREAM_QUEUE = STREAM_WINDOW + STREAM_WINDOW / 2 };

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_BASE_LIMITS_H_
