#include "server/rpc/strings.h"

#include <string.h>

#include "server/base/utf8.h"
#include "server/rpc/wire.h"

static bool is_good(struct slice text) {
  return (text.len == 0 || memchr(text.data, '\0', text.len) == NULL) && utf8_valid(text);
}

static enum strings_result check_field(const ProtobufCFieldDescriptor *field, struct slice value,
                                       const ProtobufCFieldDescriptor **out_field) {
  if (field->type == PROTOBUF_C_TYPE_STRING && !is_good(value)) {
    *out_field = field;
    return STRINGS_BAD;
  }
  // No message of ours contains itself, so the schema bounds the depth.
  return field->type == PROTOBUF_C_TYPE_MESSAGE ? strings_check(field->descriptor, value, out_field)
                                                : STRINGS_GOOD;
}

enum strings_result strings_check(const ProtobufCMessageDescriptor *descriptor,
                                  struct slice message,
                                  const ProtobufCFieldDescriptor **out_field) {
  enum strings_result result = STRINGS_GOOD;
  while (message.len > 0 && result == STRINGS_GOOD) {
    struct wire_field part;
    // What stops us here must stop the unpacking too, or it would find strings that were not seen.
    if (!wire_take_field(&message, &part)) {
      return STRINGS_MALFORMED;
    }
    const ProtobufCFieldDescriptor *field =
        part.type == WIRE_BYTES ? protobuf_c_message_descriptor_get_field(descriptor, part.number)
                                : NULL;
    result = field == NULL ? STRINGS_GOOD : check_field(field, part.bytes, out_field);
  }
  return result;
}
