// The strings of a request, looked at before it is unpacked: proto3 has them in UTF-8, and
// protobuf-c hands them on as C strings, which a NUL would cut short unseen.
#ifndef TLSAGENT_SERVER_RPC_STRINGS_H_
#define TLSAGENT_SERVER_RPC_STRINGS_H_

#include <protobuf-c/protobuf-c.h>

#include "server/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

enum strings_result {
  STRINGS_GOOD,
  STRINGS_BAD,       // *out_field is not UTF-8, or holds a NUL
  STRINGS_MALFORMED  // it does not parse, by rules at least as strict as those of the unpacking
};

// strings_check looks through a serialized message: whether every string field, those of its
// sub-messages included, is UTF-8 without NUL. *out_field is set for STRINGS_BAD only.
enum strings_result strings_check(const ProtobufCMessageDescriptor *descriptor,
                                  struct slice message, const ProtobufCFieldDescriptor **out_field);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_STRINGS_H_
