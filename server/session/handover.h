// The end of a session in the daemon without the end of its connection: the keys of its records go
// to the kernel, and the socket goes to the client.
#ifndef TLSAGENT_SERVER_SESSION_HANDOVER_H_
#define TLSAGENT_SERVER_SESSION_HANDOVER_H_

#include "server/session/session.h"

#ifdef __cplusplus
extern "C" {
#endif

enum handover_result {
  HANDOVER_DONE,          // fd is the connection's, the caller's to close
  HANDOVER_NOT_POSSIBLE,  // why says it; the session is as it was
  HANDOVER_BROKE          // why says it; the session has failed
};

struct handover {
  int fd;
  char why[160];
};

// session_hand_over hands a session's connection over, on the session's own worker. Afterwards it
// counts as a relay that has ended (session_relay_end). Possible for an established session on TCP
// whose engine keeps traffic keys, while nothing of the connection is in the daemon: no operation,
// nothing to be sent, and nothing that the peer has sent. It can be tried again until the session
// is handed over or becomes a relay: then the engine forgets the keys.
enum handover_result session_hand_over(struct session *session, struct handover *out);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SESSION_HANDOVER_H_
