// Descriptors that requests name: by their index among those that came with the call, or by a token
// under which one waits (SessionService.DescriptorToken).
#ifndef TLSAGENT_SERVER_SERVICE_DESCRIPTORS_H_
#define TLSAGENT_SERVER_SERVICE_DESCRIPTORS_H_

#include "server/service/private.h"

#ifdef __cplusplus
extern "C" {
#endif

// take_descriptor gives the one that is named, to be closed by the caller: by token when that isn't
// empty, else by index. False: there is none, and *refusal says why, and what would help.
bool take_descriptor(struct call *call, uint32_t index, ProtobufCBinaryData token, int *out,
                     struct refusal *refusal);
// take_descriptor_by_token is that where only a token can name it.
bool take_descriptor_by_token(struct call *call, ProtobufCBinaryData token, int *out,
                              struct refusal *refusal);

// make_token is deposit_new, with the refusal of one that can't be had.
bool make_token(struct call *call, enum deposit_way way, uint8_t out[DEPOSIT_TOKEN_BYTES],
                struct refusal *refusal);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_SERVICE_DESCRIPTORS_H_
