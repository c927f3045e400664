// Counters of the whole daemon, for AgentService.Counters. Any thread may add.
#ifndef TLSAGENT_SERVER_BASE_COUNTERS_H_
#define TLSAGENT_SERVER_BASE_COUNTERS_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// COUNTER_TABLE lists every counter: X(name).
#define COUNTER_TABLE(X)  \
  X(connections_accepted) \
  X(connections_closed)   \
  X(connections_refused)  \
  X(connections_grpc)     \
  X(calls_started)        \
  X(calls_failed)         \
  X(calls_cancelled)      \
  X(calls_expired)        \
  X(requests_unfinished)  \
  X(frames_malformed)     \
  X(streams_reset)        \
  X(floods)               \
  X(clients_made)         \
  X(clients_ended)        \
  X(contexts_made)        \
  X(contexts_freed)       \
  X(sessions_made)        \
  X(sessions_freed)       \
  X(handshakes_done)      \
  X(handshakes_failed)    \
  X(plaintext_bytes_in)   \
  X(plaintext_bytes_out)  \
  X(events_dropped)       \
  X(tokens_made)          \
  X(tokens_freed)         \
  X(limits_hit)

enum counter {
#define X(name) COUNTER_##name,
  COUNTER_TABLE(X)
#undef X
      COUNTER_COUNT
};

void counter_add(enum counter counter, uint64_t n);
uint64_t counter_read(enum counter counter);
const char *counter_name(enum counter counter);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_BASE_COUNTERS_H_
