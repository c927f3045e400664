// The wire format of protobuf, as far as an envelope needs it: fields read on a slice, no copies.
#ifndef TLSAGENT_SERVER_RPC_WIRE_H_
#define TLSAGENT_SERVER_RPC_WIRE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_field {
  uint32_t number;
  enum wire_type type;
  uint64_t varint;     // WIRE_VARINT
  struct slice bytes;  // WIRE_BYTES; the raw bytes of the fixed ones
};

// wire_take_varint reads a number of at most ten bytes. False when there is none.
bool wire_take_varint(struct slice *from, uint64_t *out);

// wire_take_field reads one field, of any number. False when there is none; groups are none.
bool wire_take_field(struct slice *from, struct wire_field *out);

// wire_varint_size is how many bytes a number takes; wire_put_varint writes them and returns the
// end.
size_t wire_varint_size(uint64_t value);
uint8_t *wire_put_varint(uint8_t *out, uint64_t value);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_WIRE_H_
