// What of a connection is timed.
#ifndef TLSAGENT_CLIENT_LOAD_PHASE_H_
#define TLSAGENT_CLIENT_LOAD_PHASE_H_

// PHASE_TABLE lists the phases: X(name, text, what it lasts from and to).
#define PHASE_TABLE(X)                                                                        \
  X(CONNECT, "connect", "TCP: from connect to connected")                                     \
  X(HANDSHAKE, "handshake", "TLS: from connected to established")                             \
  X(FIRST_BYTE, "first_byte", "from the request's start to the answer's first byte")          \
  X(TRANSFER, "transfer", "from the first byte to the last")                                  \
  X(CLOSE, "close", "from the wish to close to close_notify sent, or answered if waited for") \
  X(OPERATION, "operation", "a whole operation, from its actual start")                       \
  X(CORRECTED, "operation_corrected", "the same from its intended start (open loop)")

enum phase {
#define X(name, text, meaning) PHASE_##name,
  PHASE_TABLE(X)
#undef X
      PHASE_COUNT
};

extern const char *const PHASE_NAMES[PHASE_COUNT];
extern const char *const PHASE_MEANINGS[PHASE_COUNT];

#endif  // TLSAGENT_CLIENT_LOAD_PHASE_H_
