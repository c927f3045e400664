// Structs of tlsagent.h to protobuf and back, by tables: one row for each field of a message.
//
// The rows are in the *_fields.c beside it. A test compares them with the descriptors that protoc
// makes of the .proto files, and every message with what protobuf-c makes of it.
#ifndef TLSAGENT_CLIENT_C_CODEC_H_
#define TLSAGENT_CLIENT_C_CODEC_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/c/arena.h"
#include "client/c/tlsagent.h"

#ifdef __cplusplus
extern "C" {
#endif

// enum tla_kind says how a field stands in the struct.
enum tla_kind {
  TLA_NUMBER,      // an unsigned integer or enum of 4 or 8 bytes
  TLA_SIGNED,      // a signed integer of 4 or 8 bytes
  TLA_BOOL,        // a bool
  TLA_TEXT,        // a const char *, "" when absent
  TLA_CHARS,       // a char[], cut to its size
  TLA_BYTES,       // a struct tlsagent_bytes, data NULL when absent
  TLA_TEXT_BYTES,  // a struct tlsagent_bytes with a NUL after its end
  TLA_FD,          // an int: on the wire the index of a descriptor that travels along; with second,
                   // the offset of a tlsagent_bytes, none does while that isn't empty
  TLA_OPT_NUMBER,  // a struct tlsagent_optional: on the wire a message with the number in field 1
  TLA_OPT_TEXT,    // a const char *, NULL when absent: a message with the text in field 1
  TLA_OPT_BYTES,   // a struct tlsagent_bytes, data NULL when absent: a message with them in field 1
  TLA_INLINE,      // a struct in the struct: a message; left out when it says nothing
  TLA_POINTER,     // a pointer to a struct, NULL when absent: a message
  TLA_TEXTS,       // a pointer to const char *, and a count
  TLA_BYTES_LIST,  // a pointer to struct tlsagent_bytes, and a count
  TLA_LIST,        // a pointer to structs, and a count: messages
  TLA_KINDS,
};

struct tla_message;

// struct tla_field is one row.
struct tla_field {
  uint32_t number;                    // the field's number in the .proto
  enum tla_kind kind;                 // how it stands in the struct
  bool chosen;                        // a oneof: it counts when the enum at second equals number
  size_t offset;                      // where it is in the struct
  size_t size;                        // how large it is there
  size_t second;                      // where its count, its enum or its token is
  const struct tla_message *message;  // INLINE, POINTER, LIST
};

// tla_fd_by_token tells whether a token stands in the place of that FD, in the struct at base.
static inline bool tla_fd_by_token(const struct tla_field *field, const void *base) {
  return !field->chosen && field->second != 0 &&
         ((const struct tlsagent_bytes *)(const void *)((const uint8_t *)base + field->second))
                 ->len > 0;
}

// struct tla_message is one table.
struct tla_message {
  size_t size;  // of the struct
  const struct tla_field *fields;
  size_t num_fields;
};

// struct tla_writer writes to data, or, while that is NULL, only counts. It may gather descriptors.
struct tla_writer {
  uint8_t *data;
  size_t len;
  int *fds;  // room for TLSAGENT_FDS_MAX; NULL while counting
  size_t num_fds;
};

// tla_encode writes the message at base. The caller counted before, so it can't fail: data has room
// for what the same call said with data NULL.
void tla_encode(struct tla_writer *writer, const struct tla_message *message, const void *base);

// tla_encode_bytes_field writes one field of bytes or text.
void tla_encode_bytes_field(struct tla_writer *writer, uint32_t number, const void *data,
                            size_t len);

// tla_encode_number_field writes one field of a number.
void tla_encode_number_field(struct tla_writer *writer, uint32_t number, uint64_t value);

// tla_encode_prefix writes the start of a field of len bytes, which the caller writes next.
void tla_encode_prefix(struct tla_writer *writer, uint32_t number, size_t len);

// enum tla_decoded is how decoding ended.
enum tla_decoded {
  TLA_DECODED,            // everything is in the struct
  TLA_DECODED_MALFORMED,  // the bytes aren't such a message
  TLA_DECODED_TOO_LARGE,  // the arena's limit doesn't hold it, or there is no memory
};

// struct tla_reader is what decoding needs beside the bytes.
struct tla_reader {
  struct tla_arena *arena;  // for structs, lists and texts; bytes stay where they are
  int *fds;                 // descriptors that came along; one that is taken becomes -1 here
  size_t num_fds;
};

// tla_decode fills the struct at base, of message->size zeroed bytes, from bytes. Unknown fields
// are skipped. Bytes in the struct view the input, which has to live as long.
enum tla_decoded tla_decode(const struct tla_reader *reader, const struct tla_message *message,
                            void *base, struct tlsagent_bytes bytes);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_C_CODEC_H_
