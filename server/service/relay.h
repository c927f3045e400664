// A session becomes a relay: SessionService.Relay, and Connect and Accept in one call.
#ifndef TLSAGENT_SERVER_SERVICE_RELAY_H_
#define TLSAGENT_SERVER_SERVICE_RELAY_H_

#include "server/service/private.h"
#include "server/session/relay.h"

#ifdef __cplusplus
extern "C" {
#endif

// begin_relay makes the session of that handle a relay, on the session's worker; *out_fd is the
// plaintext end for its client. Else it fails the call.
bool begin_relay(struct call *call, struct session *session, uint64_t handle,
                 const Tlsagent__V1__RelayOptions *options, int *out_fd);

// convert_end tells how a relay ended, in the arena; NULL when that is exhausted.
Tlsagent__V1__WaitEndResponse *convert_end(struct arena *arena, const struct relay_end *end);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SERVICE_RELAY_H_
