#include "server/base/limits.h"

#include <errno.h>
#include <stdlib.h>

void limits_default(struct limits *limits) {
  *limits = (struct limits){
#define X(name, default_, least, most, text) .name = (default_),
      LIMIT_TABLE(X)
#undef X
  };
}

static const struct {
  const char *name;
  const char *text;
  uint64_t least;
  uint64_t most;
  size_t offset;
} table[LIMIT_COUNT] = {
#define X(name, default_, least, most, text) \
  [LIMIT_##name] = {#name, text, least, most, offsetof(struct limits, name)},
    LIMIT_TABLE(X)
#undef X
};

static uint64_t *value_of(const struct limits *limits, size_t id) {
  return (uint64_t *)(void *)((char *)(uintptr_t)limits + table[id].offset);
}

static status_t parse(const char *text, uint64_t *out) {
  char *end = NULL;
  errno = 0;
  *out = strtoull(text, &end, 10);
  ENSURE(*text >= '0' && *text <= '9' && *end == '\0' && errno == 0, INVALID_ARGUMENT);
  return OK_STATUS;
}

// LIMIT_COUNT when there is none.
static size_t find(struct slice name) {
  size_t id = 0;
  while (id < LIMIT_COUNT && !slice_equal(name, slice_of_string(table[id].name))) {
    id++;
  }
  return id;
}

bool limits_has(struct slice name) {
  return find(name) < LIMIT_COUNT;
}

status_t limits_set(struct limits *limits, const char *assignment) {
  const char *equals = strchr(assignment, '=');
  ENSURE(equals != NULL, INVALID_ARGUMENT);
  size_t id = find(slice_of(assignment, (size_t)(equals - assignment)));
  uint64_t value = 0;
  ENSURE(id < LIMIT_COUNT, NOT_FOUND);
  TRY(parse(equals + 1, &value));
  ENSURE(value >= table[id].least && value <= table[id].most, OUT_OF_RANGE);
  *value_of(limits, id) = value;
  return OK_STATUS;
}

// ---------------------------------------------------------------------------------------------
// The memory plan. What one of each can cost, and why.

enum {
  KIB = 1024,
  // OpenSSL's code, tables, error queues; the secure heap; ours; bundles of CA certificates that
  // stay parsed (server/tls/trust.c).
  PROCESS = 48 * 1024 * KIB,
  // Its stack as far as it is used, ring, timers, recycled calls and small blocks; the arena of the
  // call it runs; what its malloc(3) keeps for later (server/daemon/process.c).
  WORKER = (10 + 16) * 1024 * KIB,
  // Stream, names, the partial header; what nghttp2 may have for HTTP/2 (server/rpc/grpc_priv.h),
  // and the answers' bytes that are framed for it.
  CONNECTION = (16 + 128) * KIB,
  // What HTTP/2 may have for each call of a connection: its stream, which the peer may open and not
  // use.
  CONNECTION_CALL = 4 * KIB,
  // An SSL in mid-handshake with its certificates (measured: 97 KiB), the engine's own output
  // queue, what was received and not yet taken; the fibre and the events of one that has them.
  SESSION = (100 + 64 + 48 + 36 + 160) * KIB,
  // A slot in a table, or a name of 255 bytes; what stands behind a token.
  HANDLE = 1 * KIB,
  // An SSL_CTX without materials.
  CONTEXT = 64 * KIB,
  // Parsed certificates are larger than their DER, and PEM is larger than that.
  PARSED_PER_BYTE = 4,
  // The struct and the first block of its arena.
  CALL = 8 * KIB,
  // Two queues of a stream, and the record that it reads; the questions of a call of Decisions
  // (server/session/desk.c) take less.
  CALL_STREAM = 2 * STREAM_QUEUE + 16 * KIB,
  // A request is held as bytes, and unpacked in an arena of four times that.
  REQUEST_PER_BYTE = 5,
  // Records of connections that nobody has fetched (FRONT_RECORDS_MAX), at 4 KiB.
  LISTENER = 4096 * KIB,
  RESOLVING = 1 * KIB
};

// A call is a Read, or a stream, or takes less than either.
static uint64_t larger(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

static uint64_t cost(const struct limits *limits, enum limit_id id) {
  switch (id) {
    case LIMIT_connections:
      return limits->connections * (CONNECTION + limits->calls_per_connection * CONNECTION_CALL);
    case LIMIT_sessions:
      return limits->sessions * (SESSION + limits->session_output_bytes);
    case LIMIT_contexts:
      return limits->contexts * HANDLE;
    case LIMIT_context_editions:
      return limits->context_editions * (CONTEXT + PARSED_PER_BYTE * limits->context_bytes);
    case LIMIT_calls:
      return limits->calls * (CALL + larger(limits->read_bytes, CALL_STREAM));
    case LIMIT_request_bytes:
      return limits->request_bytes * REQUEST_PER_BYTE;
    case LIMIT_reply_bytes:
      return limits->reply_bytes;
    case LIMIT_listeners:
      return limits->listeners * LISTENER;
    case LIMIT_descriptor_tokens:
      return limits->descriptor_tokens * HANDLE;
    case LIMIT_resolver_queue:
      return limits->resolver_queue * RESOLVING;
    default:
      return 0;  // bounds one of the above
  }
}

uint64_t limits_rows(const struct limits *limits, unsigned num_workers, struct limit_row *out) {
  uint64_t worker = WORKER + (uint64_t)WORKER_BUFFERS * WORKER_BUFFER_BYTES + WORKER_BULK_BYTES;
  uint64_t sum = PROCESS + num_workers * worker;
  for (size_t i = 0; i < LIMIT_COUNT; i++) {
    out[i] = (struct limit_row){
        .name = table[i].name,
        .text = table[i].text,
        .value = *value_of(limits, i),
        .memory_bytes = cost(limits, (enum limit_id)i),
    };
    sum += out[i].memory_bytes;
  }
  return sum;
}
