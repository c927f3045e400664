#include "server/rpc/wire.h"

enum { VARINT_BYTES_MAX = 10, FIELD_NUMBER_MAX = (1 << 29) - 1 };

bool wire_take_varint(struct slice *from, uint64_t *out) {
  uint64_t value = 0;
  for (unsigned i = 0; i < VARINT_BYTES_MAX; i++) {
    uint8_t byte = 0;
    if (!slice_take_u8(from, &byte)) {
      return false;
    }
    value |= (uint64_t)(byte & 0x7f) << (7 * i);
    if ((byte & 0x80) == 0) {
      *out = value;
      return true;
    }
  }
  return false;
}

static bool take_tag(struct slice *from, struct wire_field *out) {
  uint64_t tag = 0;
  if (!wire_take_varint(from, &tag)) {
    return false;
  }
  out->number = (uint32_t)(tag >> 3);
  out->type = (enum wire_type)(tag & 7);
  return tag >> 3 >= 1 && tag >> 3 <= FIELD_NUMBER_MAX;
}

static bool take_bytes(struct slice *from, struct slice *out) {
  uint64_t len = 0;
  return wire_take_varint(from, &len) && len <= SIZE_MAX && slice_take(from, (size_t)len, out);
}

bool wire_take_field(struct slice *from, struct wire_field *out) {
  if (!take_tag(from, out)) {
    return false;
  }
  switch (out->type) {
    case WIRE_VARINT:
      return wire_take_varint(from, &out->varint);
    case WIRE_BYTES:
      return take_bytes(from, &out->bytes);
    case WIRE_FIXED64:
      return slice_take(from, 8, &out->bytes);
    case WIRE_FIXED32:
      return slice_take(from, 4, &out->bytes);
  }
  return false;
}

size_t wire_varint_size(uint64_t value) {
  size_t size = 1;
  while (value >= 0x80) {
    value >>= 7;
    size++;
  }
  return size;
}

uint8_t *wire_put_varint(uint8_t *out, uint64_t value) {
  while (value >= 0x80) {
    *out++ = (uint8_t)(value | 0x80);
    value >>= 7;
  }
  *out++ = (uint8_t)value;
  return out;
}
