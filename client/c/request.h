// A request: from the struct of tlsagent.h to the bytes and descriptors of a frame.
#ifndef TLSAGENT_CLIENT_C_REQUEST_H_
#define TLSAGENT_CLIENT_C_REQUEST_H_

#include <stdint.h>

#include "client/c/connection.h"
#include "client/c/methods.h"

#ifdef __cplusplus
extern "C" {
#endif

// struct tla_envelope is what a request says about itself.
struct tla_envelope {
  uint32_t stream_id;
  uint32_t timeout_ms;   // 0: none
  const uint8_t *token;  // of the client to join; NULL: none
};

// tla_request_pack returns the frame of a request to method, or NULL with *error.
struct tla_parcel *tla_request_pack(const struct tla_envelope *envelope,
                                    const struct tla_method *method, const void *request,
                                    struct tlsagent_error *error);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_C_REQUEST_H_
