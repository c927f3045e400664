// A reason: the word for a program that goes with a failure's sentence, as google.rpc.ErrorInfo.
#ifndef TLSAGENT_SERVER_RPC_REASON_H_
#define TLSAGENT_SERVER_RPC_REASON_H_

#include <stddef.h>
#include <stdint.h>

#include "server/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define REASON_DOMAIN   "tlsagent"
#define REASON_TYPE_URL "type.googleapis.com/google.rpc.ErrorInfo"

enum { REASON_MAX = 63, REASON_INFO_MAX = 80 };

// reason_of writes the reason and a NUL, and returns its length: for RESOURCE_EXHAUSTED and
// DEADLINE_EXCEEDED the limit that the sentence names, if it names one, in capitals; for
// FAILED_PRECONDITION that name. 0: there is nothing to say beyond the status.
size_t reason_of(char out[REASON_MAX + 1], enum status_code code, const char *text);

// reason_write writes the google.rpc.ErrorInfo of such a reason, and returns its length.
size_t reason_write(uint8_t out[REASON_INFO_MAX], const char *reason);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_REASON_H_
