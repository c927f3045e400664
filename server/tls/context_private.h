// What the rest of this folder may do with a context. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_CONTEXT_PRIVATE_H_
#define TLSAGENT_SERVER_TLS_CONTEXT_PRIVATE_H_

#include "server/tls/context.h"
#include "server/tls/edition.h"

#ifdef __cplusplus
extern "C" {
#endif

// tls_context_enter gives the current edition, which stays as it is until tls_context_leave.
struct edition *tls_context_enter(struct tls_context *context);
void tls_context_leave(struct tls_context *context, struct edition *edition);

// tls_context_number is a number that no other context of this process has or had.
uint64_t tls_context_number(const struct tls_context *context);

// tls_context_stats sums up what the sessions of all editions have done.
struct tls_session_stats tls_context_stats(struct tls_context *context);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_CONTEXT_PRIVATE_H_
