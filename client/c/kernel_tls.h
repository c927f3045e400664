// What the records mean that a socket of the kernel's TLS brings.
#ifndef TLSAGENT_CLIENT_C_KERNEL_TLS_H_
#define TLSAGENT_CLIENT_C_KERNEL_TLS_H_

#include "client/c/tlsagent.h"

#ifdef __cplusplus
extern "C" {
#endif

// tla_take_record tells what is to be done about what was read, of a kind that the kernel told, or
// 0 if it told none: DONE, it is data; WANT_READ, it is nothing to the caller; CLOSED; or FAILED
// with *error.
enum tlsagent_state tla_take_record(uint8_t kind, const uint8_t *data, size_t len,
                                    struct tlsagent_error *error);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_C_KERNEL_TLS_H_
