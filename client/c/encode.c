#include <string.h>

#include "client/c/codec.h"

enum wire_type { WIRE_VARINT = 0, WIRE_BYTES = 2 };

static void put(struct tla_writer *writer, const void *data, size_t len) {
  if (writer->data != NULL && len != 0) {
    memcpy(writer->data + writer->len, data, len);
  }
  writer->len += len;
}

static void put_varint(struct tla_writer *writer, uint64_t value) {
  uint8_t bytes[10];
  size_t len = 0;
  while (value >= 0x80) {
    bytes[len++] = (uint8_t)(value | 0x80);
    value >>= 7;
  }
  bytes[len++] = (uint8_t)value;
  put(writer, bytes, len);
}

static void put_key(struct tla_writer *writer, uint32_t number, enum wire_type type) {
  put_varint(writer, (uint64_t)number << 3 | type);
}

void tla_encode_prefix(struct tla_writer *writer, uint32_t number, size_t len) {
  put_key(writer, number, WIRE_BYTES);
  put_varint(writer, len);
}

void tla_encode_bytes_field(struct tla_writer *writer, uint32_t number, const void *data,
                            size_t len) {
  tla_encode_prefix(writer, number, len);
  put(writer, data, len);
}

void tla_encode_number_field(struct tla_writer *writer, uint32_t number, uint64_t value) {
  put_key(writer, number, WIRE_VARINT);
  put_varint(writer, value);
}

// A writer that counts what goes into a message of its own.
static struct tla_writer counter(const struct tla_writer *writer) {
  return (struct tla_writer){.num_fds = writer->num_fds};
}

static void put_message(struct tla_writer *writer, uint32_t number,
                        const struct tla_message *message, const void *base) {
  struct tla_writer count = counter(writer);
  tla_encode(&count, message, base);
  tla_encode_prefix(writer, number, count.len);
  tla_encode(writer, message, base);
}

static uint64_t load_unsigned(const struct tla_field *field, const void *at) {
  uint32_t narrow;
  uint64_t wide;
  if (field->size == sizeof(wide)) {
    memcpy(&wide, at, sizeof(wide));
    return wide;
  }
  memcpy(&narrow, at, sizeof(narrow));
  return narrow;
}

static uint64_t load_signed(const struct tla_field *field, const void *at) {
  const uint64_t value = load_unsigned(field, at);
  return field->size == sizeof(value) ? value : (uint64_t)(int64_t)(int32_t)value;
}

static size_t load_count(const struct tla_field *field, const void *base) {
  size_t count;
  memcpy(&count, (const uint8_t *)base + field->second, sizeof(count));
  return count;
}

static const void *load_pointer(const void *at) {
  const void *pointer;
  memcpy(&pointer, at, sizeof(pointer));
  return pointer;
}

// Whether the enum of a oneof names this field. It is then written even when it is zero.
static bool is_chosen(const struct tla_field *field, const void *base) {
  uint32_t choice;
  memcpy(&choice, (const uint8_t *)base + field->second, sizeof(choice));
  return choice == field->number;
}

static void encode_number(struct tla_writer *writer, const struct tla_field *field,
                          const void *base, const void *at) {
  (void)base;
  const uint64_t value =
      field->kind == TLA_SIGNED ? load_signed(field, at) : load_unsigned(field, at);
  if (value != 0 || field->chosen) {
    tla_encode_number_field(writer, field->number, value);
  }
}

static void encode_bool(struct tla_writer *writer, const struct tla_field *field, const void *base,
                        const void *at) {
  (void)base;
  if (*(const bool *)at) {
    tla_encode_number_field(writer, field->number, 1);
  }
}

static void encode_text(struct tla_writer *writer, const struct tla_field *field, const void *base,
                        const void *at) {
  (void)base;
  const char *text = field->kind == TLA_CHARS ? at : load_pointer(at);
  const size_t len = text == NULL ? 0 : strlen(text);
  if (len != 0 || field->chosen) {
    tla_encode_bytes_field(writer, field->number, text, len);
  }
}

static void encode_bytes(struct tla_writer *writer, const struct tla_field *field, const void *base,
                         const void *at) {
  (void)base;
  const struct tlsagent_bytes *bytes = at;
  if (bytes->len != 0 || field->chosen) {
    tla_encode_bytes_field(writer, field->number, bytes->data, bytes->len);
  }
}

static void encode_fd(struct tla_writer *writer, const struct tla_field *field, const void *base,
                      const void *at) {
  if (tla_fd_by_token(field, base)) {
    return;
  }
  if (writer->fds != NULL && writer->num_fds < TLSAGENT_FDS_MAX) {
    memcpy(&writer->fds[writer->num_fds], at, sizeof(int));
  }
  if (writer->num_fds != 0 || field->chosen) {  // index 0 is what an absent field says
    tla_encode_number_field(writer, field->number, writer->num_fds);
  }
  writer->num_fds++;
}

// A zero is what an empty message says.
static void put_wrapped_number(struct tla_writer *writer, uint64_t value) {
  if (value != 0) {
    tla_encode_number_field(writer, 1, value);
  }
}

static void encode_opt_number(struct tla_writer *writer, const struct tla_field *field,
                              const void *base, const void *at) {
  (void)base;
  const struct tlsagent_optional *optional = at;
  if (!optional->given) {
    return;
  }
  struct tla_writer count = counter(writer);
  put_wrapped_number(&count, optional->value);
  tla_encode_prefix(writer, field->number, count.len);
  put_wrapped_number(writer, optional->value);
}

// A message that has bytes in field 1.
static void put_wrapped(struct tla_writer *writer, uint32_t number, const void *data, size_t len) {
  struct tla_writer count = counter(writer);
  if (len == 0) {
    tla_encode_prefix(writer, number, 0);
    return;
  }
  tla_encode_prefix(&count, 1, len);
  tla_encode_prefix(writer, number, count.len + len);
  tla_encode_bytes_field(writer, 1, data, len);
}

static void encode_opt_text(struct tla_writer *writer, const struct tla_field *field,
                            const void *base, const void *at) {
  (void)base;
  const char *text = load_pointer(at);
  if (text != NULL) {
    put_wrapped(writer, field->number, text, strlen(text));
  }
}

static void encode_opt_bytes(struct tla_writer *writer, const struct tla_field *field,
                             const void *base, const void *at) {
  (void)base;
  const struct tlsagent_bytes *bytes = at;
  if (bytes->data != NULL) {
    put_wrapped(writer, field->number, bytes->data, bytes->len);
  }
}

static void encode_inline(struct tla_writer *writer, const struct tla_field *field,
                          const void *base, const void *at) {
  (void)base;
  struct tla_writer count = counter(writer);
  tla_encode(&count, field->message, at);
  if (count.len != 0 || field->chosen) {
    tla_encode_prefix(writer, field->number, count.len);
    tla_encode(writer, field->message, at);
  }
}

static void encode_pointer(struct tla_writer *writer, const struct tla_field *field,
                           const void *base, const void *at) {
  (void)base;
  const void *inner = load_pointer(at);
  if (inner != NULL) {
    put_message(writer, field->number, field->message, inner);
  }
}

static void encode_texts(struct tla_writer *writer, const struct tla_field *field, const void *base,
                         const void *at) {
  const char *const *texts = load_pointer(at);
  const size_t count = load_count(field, base);
  for (size_t i = 0; i < count; i++) {
    tla_encode_bytes_field(writer, field->number, texts[i], strlen(texts[i]));
  }
}

static void encode_bytes_list(struct tla_writer *writer, const struct tla_field *field,
                              const void *base, const void *at) {
  const struct tlsagent_bytes *list = load_pointer(at);
  const size_t count = load_count(field, base);
  for (size_t i = 0; i < count; i++) {
    tla_encode_bytes_field(writer, field->number, list[i].data, list[i].len);
  }
}

static void encode_list(struct tla_writer *writer, const struct tla_field *field, const void *base,
                        const void *at) {
  const uint8_t *list = load_pointer(at);
  const size_t count = load_count(field, base);
  for (size_t i = 0; i < count; i++) {
    put_message(writer, field->number, field->message, list + i * field->message->size);
  }
}

typedef void encode_kind(struct tla_writer *writer, const struct tla_field *field, const void *base,
                         const void *at);

static encode_kind *const KINDS[TLA_KINDS] = {
    [TLA_NUMBER] = encode_number,
    [TLA_SIGNED] = encode_number,
    [TLA_BOOL] = encode_bool,
    [TLA_TEXT] = encode_text,
    [TLA_CHARS] = encode_text,
    [TLA_BYTES] = encode_bytes,
    [TLA_TEXT_BYTES] = encode_bytes,
    [TLA_FD] = encode_fd,
    [TLA_OPT_NUMBER] = encode_opt_number,
    [TLA_OPT_TEXT] = encode_opt_text,
    [TLA_OPT_BYTES] = encode_opt_bytes,
    [TLA_INLINE] = encode_inline,
    [TLA_POINTER] = encode_pointer,
    [TLA_TEXTS] = encode_texts,
    [TLA_BYTES_LIST] = encode_bytes_list,
    [TLA_LIST] = encode_list,
};

void tla_encode(struct tla_writer *writer, const struct tla_message *message, const void *base) {
  for (size_t i = 0; i < message->num_fields; i++) {
    const struct tla_field *field = &message->fields[i];
    if (!field->chosen || is_chosen(field, base)) {
      KINDS[field->kind](writer, field, base, (const uint8_t *)base + field->offset);
    }
  }
}
