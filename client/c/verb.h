// The verbs of tlsagent.h are tla_call_and_wait() with types of their own. Their files are tables
// of these.
#ifndef TLSAGENT_CLIENT_C_VERB_H_
#define TLSAGENT_CLIENT_C_VERB_H_

#include "client/c/client.h"

// TLA_ANSWER makes the call, hands the reply out, and returns.
#define TLA_ANSWER(METHOD, out, request)                                                        \
  void *reply_ = NULL;                                                                          \
  const bool ok_ = tla_call_and_wait(client, TLSAGENT_##METHOD, (out) != NULL ? &reply_ : NULL, \
                                     request, timeout_ms, error);                               \
  if ((out) != NULL) {                                                                          \
    *(out) = reply_;                                                                            \
  }                                                                                             \
  return ok_

// TLA_VERB is a verb with a request and a reply.
#define TLA_VERB(verb, METHOD)                                                               \
  bool tlsagent_##verb(struct tlsagent_client *client, struct tlsagent_##verb##_reply **out, \
                       const struct tlsagent_##verb##_request *request, uint32_t timeout_ms, \
                       struct tlsagent_error *error) {                                       \
    TLA_ANSWER(METHOD, out, request);                                                        \
  }

// TLA_VERB_OF_HANDLE is a verb on one handle, with a reply.
#define TLA_VERB_OF_HANDLE(verb, METHOD)                                                     \
  bool tlsagent_##verb(struct tlsagent_client *client, struct tlsagent_##verb##_reply **out, \
                       uint64_t handle, uint32_t timeout_ms, struct tlsagent_error *error) { \
    const struct tlsagent_handle_request request = {handle};                                 \
    TLA_ANSWER(METHOD, out, &request);                                                       \
  }

// TLA_VERB_OF_NOTHING is a verb with a reply and nothing to ask.
#define TLA_VERB_OF_NOTHING(verb, METHOD)                                                    \
  bool tlsagent_##verb(struct tlsagent_client *client, struct tlsagent_##verb##_reply **out, \
                       uint32_t timeout_ms, struct tlsagent_error *error) {                  \
    TLA_ANSWER(METHOD, out, NULL);                                                           \
  }

#endif  // TLSAGENT_CLIENT_C_VERB_H_
