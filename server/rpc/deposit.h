// Deposits: descriptors that wait under a token of their client's, one under each.
//
// They are for protocols that carry none. A client has a token made, which is 128 random bits. On
// the Unix socket, by a connection that says nothing else (token.c), somebody of the same user id
// puts a descriptor under it (DEPOSIT_IN), which a call then takes; or fetches the one that a call
// has left there (DEPOSIT_OUT). A token is good for one such use and for limit
// "descriptor_token_millis"; then, or with its client, it is gone, and a descriptor under it is
// closed.
#ifndef TLSAGENT_SERVER_RPC_DEPOSIT_H_
#define TLSAGENT_SERVER_RPC_DEPOSIT_H_

#include "server/base/slice.h"
#include "server/base/status.h"
#include "server/base/token.h"
#include "server/rpc/call.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { DEPOSIT_TOKEN_BYTES = TOKEN_BYTES };

enum deposit_way {
  DEPOSIT_IN,  // to the daemon
  DEPOSIT_OUT  // from it
};

// All of these are for the thread of the worker where the call is, and for its client's tokens.
//
// deposit_new makes a token. RESOURCE_EXHAUSTED past QUOTA_DESCRIPTOR_TOKENS or without memory,
// FAILED_PRECONDITION when the client has ended.
status_t deposit_new(struct call *call, enum deposit_way way, uint8_t out[DEPOSIT_TOKEN_BYTES]);
// deposit_take gives what was put under a token, to be closed by the caller, and ends the token.
// NOT_FOUND when nothing is there, or the token isn't this client's.
status_t deposit_take(struct call *call, struct slice token, int *out);
// deposit_leave leaves a descriptor under a token that deposit_new made for it. It takes fd over in
// any case: when the token is gone by now, it is closed.
void deposit_leave(struct call *call, const uint8_t token[DEPOSIT_TOKEN_BYTES], int fd);
// deposit_drop ends a token that will not be used. Harmless when it is gone.
void deposit_drop(struct call *call, const uint8_t token[DEPOSIT_TOKEN_BYTES]);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_DEPOSIT_H_
