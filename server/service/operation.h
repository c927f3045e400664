// One call on a session, from its request to its answer: the session is held, the operation runs on
// the session's worker, and a caller who has gone takes the operation back.
#ifndef TLSAGENT_SERVER_SERVICE_OPERATION_H_
#define TLSAGENT_SERVER_SERVICE_OPERATION_H_

#include "server/service/private.h"

#ifdef __cplusplus
extern "C" {
#endif

// Lives in the call's arena, so it is gone when the call has been answered.
struct operation {
  struct session_op op;
  struct call *call;
  struct session *session;  // a reference
  // Answers the call. The session may fail or be closed in it; the reference is given back after.
  void (*respond)(struct operation *operation);
  bool decode_peer;
  bool answers;  // a decision, by what follows
  struct engine_answer answer;
  // Connect and Accept only.
  bool opening;  // a failure, or a caller who has gone, ends the session
  uint64_t handle;
  struct slice first_write;
  const Tlsagent__V1__RelayOptions *relay;  // NULL: none is wanted
};

// operation_new makes an operation on the session of that handle, or fails the call and returns
// NULL.
struct operation *operation_new(struct call *call, uint64_t handle, enum session_op_kind kind,
                                void (*respond)(struct operation *operation));
// operation_feed and operation_wait read what most requests carry; either may be NULL.
void operation_feed(struct operation *operation, const Tlsagent__V1__Feed *feed);
void operation_wait(struct operation *operation, const Tlsagent__V1__Wait *wait);
// operation_decide reads the answer to a decision; NULL is none. False, and the operation is given
// up, when it holds none.
bool operation_decide(struct operation *operation, const Tlsagent__V1__DecisionAnswer *decision);
// read_answer reads such an answer. False: it holds none.
bool read_answer(const Tlsagent__V1__DecisionAnswer *from, struct engine_answer *out);
// operation_run moves the call to the session's worker and submits the operation there.
void operation_run(struct operation *operation);
// operation_submit does the second half, for a caller who is there already.
void operation_submit(struct operation *operation);
// operation_finish answers the call: the done of an operation's op. A session that failed while
// opening is gone with the answer.
void operation_finish(struct session_op *op);
// operation_refuse fails the call and gives the operation up before it ran.
void operation_refuse(struct operation *operation, enum status_code code, const char *text);

// operation_abandon ends a session that was being opened, and its handle: nobody waits for it.
void operation_abandon(struct operation *operation);

// operation_progress tells how it went.
Tlsagent__V1__Progress *operation_progress(struct operation *operation);

// peer_is_known tells whether the session is far enough to say who its peer is, or that it is
// nobody.
bool peer_is_known(struct session *session);

// What was agreed and who the peer is; NULL when that is not known (yet), or the peer showed no
// certificate.
Tlsagent__V1__Negotiated *describe_negotiated(struct call *call, struct session *session);
Tlsagent__V1__Peer *describe_peer(struct call *call, struct session *session, bool decode);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SERVICE_OPERATION_H_
