// A session becomes a relay: SessionService.Relay, and Connect and Accept in one call.
#ifndef TLSAGENT_SERVER_SERVICE_RELAY_H_
#define TLSAGENT_SERVER_SERVICE_RELAY_H_

#include "server/service/private.h"
#include "server/session/relay.h"

#ifdef __cplusplus
extern "C" {
#endif

// why_no_kernel_tls is why no connection can be handed to the kernel by this daemon, a sentence
// that says what would help; NULL: it can.
const char *why_no_kernel_tls(void);

// check_kernel_tls refuses a wish that makes no sense, or that can't be fulfilled here.
void check_kernel_tls(Tlsagent__V1__KernelTls wish, struct refusal *refusal);

// What became of a wish for a relay.
struct begun_relay {
  bool begun;
  int fd;  // for the client, with the answer; -1: it waits under a token, or there is none
  Tlsagent__V1__RelayResponse response;
  enum status_code code;  // why there is none, for the caller to fail the call with
  char why[400];
};

// begin_relay makes the session of that handle a relay, on the session's worker, or hands it to the
// kernel. False: it did neither.
bool begin_relay(struct call *call, struct session *session, uint64_t handle,
                 const Tlsagent__V1__RelayOptions *options, struct begun_relay *out);

// RELAY_NOT_CARRIED is why a call that carries no descriptors can't ask for a relay
// (FAILED_PRECONDITION).
#define RELAY_NOT_CARRIED                                                                    \
  "a relay's answer is a descriptor, which only ttrpc on a Unix socket carries: ask for it " \
  "there, with this client's token, or set by_token and fetch it on the Unix socket"

// convert_end tells how a relay ended, in the arena; NULL when that is exhausted.
Tlsagent__V1__WaitEndResponse *convert_end(struct arena *arena, const struct relay_end *end);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SERVICE_RELAY_H_
