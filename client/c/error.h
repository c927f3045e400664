// How a struct tlsagent_error is filled in.
#ifndef TLSAGENT_CLIENT_C_ERROR_H_
#define TLSAGENT_CLIENT_C_ERROR_H_

#include <stdbool.h>

#include "client/c/tlsagent.h"

#ifdef __cplusplus
extern "C" {
#endif

// tla_fail fills *error, which may be NULL, and returns false, so that a function can end with it.
__attribute__((format(printf, 3, 4))) bool tla_fail(struct tlsagent_error *error,
                                                    enum tlsagent_fault fault, const char *format,
                                                    ...);

// tla_fail_errno is tla_fail with os_errno and, at the end of the message, what it means.
__attribute__((format(printf, 4, 5))) bool tla_fail_errno(struct tlsagent_error *error,
                                                          enum tlsagent_fault fault, int os_errno,
                                                          const char *format, ...);

// tla_fail_memory says that there is no memory.
bool tla_fail_memory(struct tlsagent_error *error);

// tla_fail_rpc says that the daemon refused method with that code and message.
bool tla_fail_rpc(struct tlsagent_error *error, const char *method, int code, const char *message);

// tla_fail_tls says that method was done and TLS failed like this.
bool tla_fail_tls(struct tlsagent_error *error, const char *method,
                  const struct tlsagent_tls_error *tls);

// TLA_CLOSED_EARLY is the failure of a handshake that the peer ended with close_notify, which
// anybody on the way can send before there are keys.
extern const struct tlsagent_tls_error TLA_CLOSED_EARLY;

// tla_succeed clears *error, which may be NULL, and returns true.
bool tla_succeed(struct tlsagent_error *error);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_C_ERROR_H_
