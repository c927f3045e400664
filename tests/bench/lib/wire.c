#include "tests/bench/lib/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_BYTES = 2, VARINT_MAX = 10 };

void wire_put_raw(struct wire_writer *writer, const void *data, size_t len) {
  if ((size_t)(writer->at - writer->floor) < len) {
    fputs("bench: a request doesn't fit its buffer\n", stderr);
    abort();
  }
  writer->at -= len;
  if (len != 0) {
    memcpy(writer->at, data, len);
  }
}

static void put_varint(struct wire_writer *writer, uint64_t value) {
  uint8_t text[VARINT_MAX];
  size_t len = 0;
  do {
    text[len++] = (uint8_t)(value | 0x80);
    value >>= 7;
  } while (value != 0);
  text[len - 1] &= 0x7f;
  wire_put_raw(writer, text, len);
}

void wire_put_number(struct wire_writer *writer, uint32_t field, uint64_t value) {
  put_varint(writer, value);
  put_varint(writer, (uint64_t)field << 3 | WIRE_VARINT);
}

void wire_put_bytes(struct wire_writer *writer, uint32_t field, const void *data, size_t len) {
  const uint8_t *end = writer->at;
  wire_put_raw(writer, data, len);
  wire_put_message(writer, field, end);
}

void wire_put_message(struct wire_writer *writer, uint32_t field, const uint8_t *end) {
  put_varint(writer, (uint64_t)(end - writer->at));
  put_varint(writer, (uint64_t)field << 3 | WIRE_BYTES);
}

static bool take_varint(struct view *message, uint64_t *out) {
  *out = 0;
  for (size_t i = 0; i < message->len && i < VARINT_MAX; i++) {
    *out |= (uint64_t)(message->data[i] & 0x7f) << (7 * i);
    if (message->data[i] < 0x80) {
      *message = (struct view){message->data + i + 1, message->len - i - 1};
      return true;
    }
  }
  return false;
}

bool wire_next(struct view *message, struct wire_field *out) {
  uint64_t tag;
  *out = (struct wire_field){0};
  if (!take_varint(message, &tag) || !take_varint(message, &out->value)) {
    return false;
  }
  out->number = (uint32_t)(tag >> 3);
  if ((tag & 7) == WIRE_VARINT) {
    return true;
  }
  if ((tag & 7) != WIRE_BYTES || out->value > message->len) {
    return false;
  }
  out->bytes = (struct view){message->data, out->value};
  *message = (struct view){message->data + out->value, message->len - out->value};
  return true;
}

static struct wire_field find(struct view message, uint32_t number) {
  struct wire_field field;
  struct wire_field found = {0};
  while (wire_next(&message, &field)) {
    if (field.number == number) {
      found = field;
    }
  }
  return found;
}

uint64_t wire_find_number(struct view message, uint32_t number) {
  return find(message, number).value;
}

struct view wire_find_bytes(struct view message, uint32_t number) {
  return find(message, number).bytes;
}
