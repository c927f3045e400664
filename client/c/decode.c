#include <string.h>

#include "client/c/codec.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

// One field as it stands on the wire.
struct wire_field {
  uint32_t number;
  enum wire_type type;
  uint64_t value;               // VARINT
  struct tlsagent_bytes bytes;  // BYTES
};

// The only place that compares a length with what is left.
static bool take(struct tlsagent_bytes *input, size_t len, const uint8_t **out) {
  if (len > input->len) {
    return false;
  }
  *out = input->data;
  if (len != 0) {  // the empty input may have no data to point to
    input->data += len;
    input->len -= len;
  }
  return true;
}

static bool take_varint(struct tlsagent_bytes *input, uint64_t *out) {
  *out = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const uint8_t *byte;
    if (!take(input, 1, &byte)) {
      return false;
    }
    *out |= (uint64_t)(*byte & 0x7F) << shift;
    if ((*byte & 0x80) == 0) {
      return true;
    }
  }
  return false;
}

static bool take_bytes(struct tlsagent_bytes *input, struct tlsagent_bytes *out) {
  uint64_t len;
  if (!take_varint(input, &len)) {
    return false;
  }
  out->len = len;
  return take(input, len, &out->data);
}

static bool take_field(struct tlsagent_bytes *input, struct wire_field *out) {
  uint64_t key;
  const uint8_t *skipped;
  if (!take_varint(input, &key) || key >> 3 == 0 || key >> 3 > UINT32_MAX) {
    return false;
  }
  out->number = (uint32_t)(key >> 3);
  out->type = (enum wire_type)(key & 7);
  switch (out->type) {
    case WIRE_VARINT:
      return take_varint(input, &out->value);
    case WIRE_BYTES:
      return take_bytes(input, &out->bytes);
    case WIRE_FIXED64:
      return take(input, 8, &skipped);
    case WIRE_FIXED32:
      return take(input, 4, &skipped);
  }
  return false;
}

static bool is_list(enum tla_kind kind) {
  return kind == TLA_TEXTS || kind == TLA_BYTES_LIST || kind == TLA_LIST;
}

static enum wire_type wire_type_of(enum tla_kind kind) {
  switch (kind) {
    case TLA_NUMBER:
    case TLA_SIGNED:
    case TLA_BOOL:
    case TLA_FD:
      return WIRE_VARINT;
    default:
      return WIRE_BYTES;
  }
}

// The row of a field, or NULL when nobody here knows it.
static const struct tla_field *find(const struct tla_message *message,
                                    const struct wire_field *wire) {
  for (size_t i = 0; i < message->num_fields; i++) {
    const struct tla_field *field = &message->fields[i];
    if (field->number == wire->number) {
      return wire_type_of(field->kind) == wire->type ? field : NULL;
    }
  }
  return NULL;
}

static void *place(void *base, size_t offset) {
  return (uint8_t *)base + offset;
}

static size_t *count_of(const struct tla_field *field, void *base) {
  return place(base, field->second);
}

// --- The struct before the first field ---

static void set_default(const struct tla_field *field, void *at);

static void set_defaults(const struct tla_message *message, void *base) {
  for (size_t i = 0; i < message->num_fields; i++) {
    set_default(&message->fields[i], place(base, message->fields[i].offset));
  }
}

static void set_default(const struct tla_field *field, void *at) {
  switch (field->kind) {
    case TLA_TEXT:
      *(const char **)at = "";
      break;
    case TLA_FD:
      *(int *)at = -1;
      break;
    case TLA_INLINE:
      set_defaults(field->message, at);
      break;
    default:
      break;
  }
}

// --- One field of each kind ---

typedef enum tla_decoded decode_kind(const struct tla_reader *reader, const struct tla_field *field,
                                     void *base, void *at, const struct wire_field *wire);

static enum tla_decoded decode_number(const struct tla_reader *reader,
                                      const struct tla_field *field, void *base, void *at,
                                      const struct wire_field *wire) {
  (void)reader;
  (void)base;
  const uint32_t narrow = (uint32_t)wire->value;
  if (field->size == sizeof(wire->value)) {
    memcpy(at, &wire->value, sizeof(wire->value));
  } else {
    memcpy(at, &narrow, sizeof(narrow));
  }
  return TLA_DECODED;
}

static enum tla_decoded decode_bool(const struct tla_reader *reader, const struct tla_field *field,
                                    void *base, void *at, const struct wire_field *wire) {
  (void)reader;
  (void)field;
  (void)base;
  *(bool *)at = wire->value != 0;
  return TLA_DECODED;
}

// A copy with a NUL after its end; NULL past the limit.
static char *copy_text(const struct tla_reader *reader, struct tlsagent_bytes bytes) {
  char *copy = tla_arena_new(reader->arena, bytes.len + 1);
  if (copy != NULL && bytes.len != 0) {
    memcpy(copy, bytes.data, bytes.len);
  }
  return copy;
}

static enum tla_decoded decode_text(const struct tla_reader *reader, const struct tla_field *field,
                                    void *base, void *at, const struct wire_field *wire) {
  (void)field;
  (void)base;
  const char *text = copy_text(reader, wire->bytes);
  if (text == NULL) {
    return TLA_DECODED_TOO_LARGE;
  }
  *(const char **)at = text;
  return TLA_DECODED;
}

static enum tla_decoded decode_chars(const struct tla_reader *reader, const struct tla_field *field,
                                     void *base, void *at, const struct wire_field *wire) {
  (void)reader;
  (void)base;
  const size_t room = field->size - 1;
  const size_t len = wire->bytes.len < room ? wire->bytes.len : room;
  memset(at, 0, field->size);
  if (len != 0) {
    memcpy(at, wire->bytes.data, len);
  }
  return TLA_DECODED;
}

static enum tla_decoded decode_bytes(const struct tla_reader *reader, const struct tla_field *field,
                                     void *base, void *at, const struct wire_field *wire) {
  (void)reader;
  (void)field;
  (void)base;
  *(struct tlsagent_bytes *)at = wire->bytes;
  return TLA_DECODED;
}

static enum tla_decoded decode_text_bytes(const struct tla_reader *reader,
                                          const struct tla_field *field, void *base, void *at,
                                          const struct wire_field *wire) {
  (void)field;
  (void)base;
  const char *text = copy_text(reader, wire->bytes);
  if (text == NULL) {
    return TLA_DECODED_TOO_LARGE;
  }
  *(struct tlsagent_bytes *)at = tlsagent_bytes_of(text, wire->bytes.len);
  return TLA_DECODED;
}

static enum tla_decoded decode_fd(const struct tla_reader *reader, const struct tla_field *field,
                                  void *base, void *at, const struct wire_field *wire) {
  (void)field;
  (void)base;
  if (wire->value >= reader->num_fds || reader->fds[wire->value] < 0) {
    return TLA_DECODED_MALFORMED;
  }
  *(int *)at = reader->fds[wire->value];
  reader->fds[wire->value] = -1;
  return TLA_DECODED;
}

static const struct tla_field WRAPPED_NUMBER[] = {
    {.number = 1, .kind = TLA_NUMBER, .size = sizeof(uint64_t)},
};
static const struct tla_field WRAPPED_TEXT[] = {
    {.number = 1, .kind = TLA_TEXT, .size = sizeof(const char *)},
};
static const struct tla_field WRAPPED_BYTES[] = {
    {.number = 1, .kind = TLA_BYTES, .size = sizeof(struct tlsagent_bytes)},
};
static const struct tla_message NUMBER_WRAPPER = {sizeof(uint64_t), WRAPPED_NUMBER, 1};
static const struct tla_message TEXT_WRAPPER = {sizeof(const char *), WRAPPED_TEXT, 1};
static const struct tla_message BYTES_WRAPPER = {sizeof(struct tlsagent_bytes), WRAPPED_BYTES, 1};

static enum tla_decoded decode_opt_number(const struct tla_reader *reader,
                                          const struct tla_field *field, void *base, void *at,
                                          const struct wire_field *wire) {
  (void)field;
  (void)base;
  struct tlsagent_optional *optional = at;
  *optional = (struct tlsagent_optional){.given = true};
  return tla_decode(reader, &NUMBER_WRAPPER, &optional->value, wire->bytes);
}

static enum tla_decoded decode_opt_text(const struct tla_reader *reader,
                                        const struct tla_field *field, void *base, void *at,
                                        const struct wire_field *wire) {
  (void)field;
  (void)base;
  return tla_decode(reader, &TEXT_WRAPPER, at, wire->bytes);
}

static enum tla_decoded decode_opt_bytes(const struct tla_reader *reader,
                                         const struct tla_field *field, void *base, void *at,
                                         const struct wire_field *wire) {
  (void)field;
  (void)base;
  *(struct tlsagent_bytes *)at = tlsagent_bytes_of("", 0);  // given, even when it is empty
  return tla_decode(reader, &BYTES_WRAPPER, at, wire->bytes);
}

static enum tla_decoded decode_inline(const struct tla_reader *reader,
                                      const struct tla_field *field, void *base, void *at,
                                      const struct wire_field *wire) {
  (void)base;
  return tla_decode(reader, field->message, at, wire->bytes);
}

static enum tla_decoded decode_pointer(const struct tla_reader *reader,
                                       const struct tla_field *field, void *base, void *at,
                                       const struct wire_field *wire) {
  (void)base;
  void *inner = tla_arena_new(reader->arena, field->message->size);
  if (inner == NULL) {
    return TLA_DECODED_TOO_LARGE;
  }
  *(void **)at = inner;
  return tla_decode(reader, field->message, inner, wire->bytes);
}

// The next element of a list whose room was made by make_room().
static enum tla_decoded decode_element(const struct tla_reader *reader,
                                       const struct tla_field *field, void *base, void *at,
                                       const struct wire_field *wire) {
  const size_t index = (*count_of(field, base))++;
  void *list = *(void **)at;
  switch (field->kind) {
    case TLA_TEXTS:
      return decode_text(reader, field, base, (const char **)list + index, wire);
    case TLA_BYTES_LIST:
      ((struct tlsagent_bytes *)list)[index] = wire->bytes;
      return TLA_DECODED;
    default:
      return tla_decode(reader, field->message, place(list, index * field->message->size),
                        wire->bytes);
  }
}

static decode_kind *const KINDS[TLA_KINDS] = {
    [TLA_NUMBER] = decode_number,
    [TLA_SIGNED] = decode_number,
    [TLA_BOOL] = decode_bool,
    [TLA_TEXT] = decode_text,
    [TLA_CHARS] = decode_chars,
    [TLA_BYTES] = decode_bytes,
    [TLA_TEXT_BYTES] = decode_text_bytes,
    [TLA_FD] = decode_fd,
    [TLA_OPT_NUMBER] = decode_opt_number,
    [TLA_OPT_TEXT] = decode_opt_text,
    [TLA_OPT_BYTES] = decode_opt_bytes,
    [TLA_INLINE] = decode_inline,
    [TLA_POINTER] = decode_pointer,
    [TLA_TEXTS] = decode_element,
    [TLA_BYTES_LIST] = decode_element,
    [TLA_LIST] = decode_element,
};

// --- A message: count the elements of its lists, make room for them, fill everything in ---

static bool count_elements(const struct tla_message *message, void *base,
                           struct tlsagent_bytes input) {
  while (input.len != 0) {
    struct wire_field wire;
    if (!take_field(&input, &wire)) {
      return false;
    }
    const struct tla_field *field = find(message, &wire);
    if (field != NULL && is_list(field->kind)) {
      (*count_of(field, base))++;
    }
  }
  return true;
}

static size_t element_size(const struct tla_field *field) {
  switch (field->kind) {
    case TLA_TEXTS:
      return sizeof(const char *);
    case TLA_BYTES_LIST:
      return sizeof(struct tlsagent_bytes);
    default:
      return field->message->size;
  }
}

static bool make_room(const struct tla_reader *reader, const struct tla_message *message,
                      void *base) {
  for (size_t i = 0; i < message->num_fields; i++) {
    const struct tla_field *field = &message->fields[i];
    if (!is_list(field->kind) || *count_of(field, base) == 0) {
      continue;
    }
    void *list = tla_arena_new_array(reader->arena, *count_of(field, base), element_size(field));
    if (list == NULL) {
      return false;
    }
    *(void **)place(base, field->offset) = list;
    *count_of(field, base) = 0;
  }
  return true;
}

static enum tla_decoded decode_field(const struct tla_reader *reader, const struct tla_field *field,
                                     void *base, const struct wire_field *wire) {
  if (field->chosen) {
    memcpy(place(base, field->second), &field->number, sizeof(field->number));
  }
  return KINDS[field->kind](reader, field, base, place(base, field->offset), wire);
}

// A number that is absent is 0, and that is the first descriptor, unless a token stands for it.
static enum tla_decoded take_absent_fds(const struct tla_reader *reader,
                                        const struct tla_message *message, void *base) {
  static const struct wire_field zero;
  for (size_t i = 0; i < message->num_fields; i++) {
    const struct tla_field *field = &message->fields[i];
    int *fd = place(base, field->offset);
    if (field->kind == TLA_FD && !field->chosen && *fd < 0 && !tla_fd_by_token(field, base) &&
        decode_fd(reader, field, base, fd, &zero) != TLA_DECODED) {
      return TLA_DECODED_MALFORMED;
    }
  }
  return TLA_DECODED;
}

enum tla_decoded tla_decode(const struct tla_reader *reader, const struct tla_message *message,
                            void *base, struct tlsagent_bytes bytes) {
  set_defaults(message, base);
  if (!count_elements(message, base, bytes)) {
    return TLA_DECODED_MALFORMED;
  }
  if (!make_room(reader, message, base)) {
    return TLA_DECODED_TOO_LARGE;
  }
  while (bytes.len != 0) {
    struct wire_field wire;
    if (!take_field(&bytes, &wire)) {
      return TLA_DECODED_MALFORMED;
    }
    const struct tla_field *field = find(message, &wire);
    const enum tla_decoded decoded =
        field == NULL ? TLA_DECODED : decode_field(reader, field, base, &wire);
    if (decoded != TLA_DECODED) {
      return decoded;
    }
  }
  return take_absent_fds(reader, message, base);
}
