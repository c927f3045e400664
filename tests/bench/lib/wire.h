// Just enough protobuf for a client by hand. A message's length stands before it and is known after
// it, so messages are written from their end to their start: nothing is measured first or moved.
#ifndef TLSAGENT_TESTS_BENCH_LIB_WIRE_H_
#define TLSAGENT_TESTS_BENCH_LIB_WIRE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct view {
  const uint8_t *data;
  size_t len;
};

// Fields come out in the reverse of the order in which they are put.
struct wire_writer {
  uint8_t *floor;  // the start of the room
  uint8_t *at;     // the first byte written so far
};

// Each of these ends the process when there is no room: sizes here are the benchmark's own.
void wire_put_raw(struct wire_writer *writer, const void *data, size_t len);
void wire_put_number(struct wire_writer *writer, uint32_t field, uint64_t value);
void wire_put_bytes(struct wire_writer *writer, uint32_t field, const void *data, size_t len);

// wire_put_message makes a message field of what was put since writer->at was end.
void wire_put_message(struct wire_writer *writer, uint32_t field, const uint8_t *end);

struct wire_field {
  uint32_t number;
  uint64_t value;     // of a varint
  struct view bytes;  // of anything with a length
};

// wire_next takes the next field off message. False: there is none, or it isn't one.
bool wire_next(struct view *message, struct wire_field *out);

// wire_find_* return the last field of that number, and zeros when there is none.
uint64_t wire_find_number(struct view message, uint32_t number);
struct view wire_find_bytes(struct view message, uint32_t number);

#endif  // TLSAGENT_TESTS_BENCH_LIB_WIRE_H_
