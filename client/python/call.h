// One call on a session: what it brings and what came of it.
#ifndef TLSAGENT_CLIENT_PYTHON_CALL_H_
#define TLSAGENT_CLIENT_PYTHON_CALL_H_

#include "client/python/socket.h"

enum call_kind { CALL_HANDSHAKE, CALL_READ, CALL_WRITE, CALL_SHUTDOWN };

// struct call_opening is what a session is opened with, if it isn't open.
struct call_opening {
  struct agent_handle context;
  const char *server_name;  // a client's; NULL: none
  struct tlsagent_bytes resumption;
};

struct call {
  enum call_kind kind;
  // What it brings.
  struct tlsagent_feed feed;
  struct tlsagent_decision_answer answer;
  struct tlsagent_bytes data;  // WRITE
  uint32_t max_bytes;          // READ
  uint32_t exact_bytes;        // READ: how many the caller wants
  bool await_peer;             // SHUTDOWN
  bool decode_peer;            // HANDSHAKE: the peer's certificate is wanted decoded

  // What came of it. reply is NULL when no answer came; what follows points into it.
  bool ok;
  struct tlsagent_error error;
  void *reply;
  const struct tlsagent_progress *progress;
  const struct tlsagent_negotiated *negotiated;  // HANDSHAKE: once it is done
  const struct tlsagent_peer *peer;              // the same, if it showed a certificate
  struct tlsagent_bytes plain;                   // READ
  uint32_t pending;                              // READ
  bool more;                                     // READ: the next one needs no feed
  size_t accepted;                               // WRITE
  uint64_t discarded;                            // SHUTDOWN
  bool close_received;                           // SHUTDOWN
};

// call_make makes the call and queues its output on the socket, in the order of the calls. Without
// the GIL. The session is opened with `opening` if it isn't open, which only a handshake can.
void call_make(struct ssl_socket *socket, struct call *call, const struct call_opening *opening);

// What call_make does before and after the call itself, for who makes several.
void call_start(struct call *call);
void call_queue_output(struct ssl_socket *socket, struct call *call);

// call_fail_memory says of a call that it failed for want of memory here.
void call_fail_memory(struct call *call);

// call_forget gives the reply back.
void call_forget(struct call *call);

// call_state is where the operation stands; FAILED when no answer came.
static inline enum tlsagent_state call_state(const struct call *call) {
  return call->progress == NULL ? TLSAGENT_STATE_FAILED : call->progress->state;
}

#endif  // TLSAGENT_CLIENT_PYTHON_CALL_H_
