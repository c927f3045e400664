#include "server/rpc/envelope.h"

#include <assert.h>

#include "proto/ttrpc/ttrpc.pb-c.h"
#include "server/rpc/frame.h"
#include "server/rpc/text.h"
#include "server/rpc/wire.h"

// Fields of ttrpc.Request, KeyValue and Response.
enum { REQUEST_SERVICE = 1, REQUEST_METHOD, REQUEST_PAYLOAD, REQUEST_TIMEOUT, REQUEST_METADATA };
enum { KEY_VALUE_KEY = 1, KEY_VALUE_VALUE };
enum { RESPONSE_PAYLOAD_TAG = 2 << 3 | WIRE_BYTES };

static bool is_bytes(const struct wire_field *field) {
  return field->type == WIRE_BYTES;
}

static bool key_value_parse(struct slice from, struct slice *key, struct slice *value) {
  *key = slice_of(NULL, 0);
  *value = slice_of(NULL, 0);
  while (from.len > 0) {
    struct wire_field field;
    if (!wire_take_field(&from, &field)) {
      return false;
    }
    if (field.number == KEY_VALUE_KEY || field.number == KEY_VALUE_VALUE) {
      if (!is_bytes(&field)) {
        return false;
      }
      *(field.number == KEY_VALUE_KEY ? key : value) = field.bytes;
    }
  }
  return true;
}

static bool take_metadata(struct envelope *envelope, struct slice entry) {
  struct slice key;
  struct slice value;
  if (!key_value_parse(entry, &key, &value)) {
    return false;
  }
  if (!envelope->has_token && slice_equal(key, slice_of_string(TOKEN_KEY))) {
    envelope->has_token = true;
    envelope->token = value;
  }
  return true;
}

static bool take_field(struct envelope *envelope, const struct wire_field *field) {
  switch (field->number) {
    case REQUEST_SERVICE:
      envelope->service = field->bytes;
      return is_bytes(field);
    case REQUEST_METHOD:
      envelope->method = field->bytes;
      return is_bytes(field);
    case REQUEST_PAYLOAD:
      envelope->payload = field->bytes;
      return is_bytes(field);
    case REQUEST_TIMEOUT:
      envelope->timeout_nano = (int64_t)field->varint;
      return field->type == WIRE_VARINT;
    case REQUEST_METADATA:
      return is_bytes(field) && take_metadata(envelope, field->bytes);
    default:
      return true;
  }
}

bool envelope_parse(struct slice body, struct envelope *out) {
  *out = (struct envelope){.timeout_nano = 0};
  while (body.len > 0) {
    struct wire_field field = {.number = 0};
    if (!wire_take_field(&body, &field) || !take_field(out, &field)) {
      return false;
    }
  }
  return true;
}

struct reply_size reply_measure(const ProtobufCMessage *response) {
  size_t payload = protobuf_c_message_get_packed_size(response);
  size_t length = payload == 0 ? 0 : 1 + wire_varint_size(payload) + payload;
  return (struct reply_size){
      .payload = payload,
      .frame = length > FRAME_LENGTH_MAX ? SIZE_MAX : FRAME_HEADER_BYTES + length,
  };
}

static void write_response_header(uint8_t *out, uint32_t stream_id, size_t length) {
  struct frame_header header = {
      .length = (uint32_t)length, .stream_id = stream_id, .type = FRAME_RESPONSE};
  frame_header_write(out, &header);
}

void reply_write(uint8_t *out, struct reply_size size, uint32_t stream_id,
                 const ProtobufCMessage *response) {
  assert(size.frame != SIZE_MAX);
  write_response_header(out, stream_id, size.frame - FRAME_HEADER_BYTES);
  uint8_t *end = out + FRAME_HEADER_BYTES;
  if (size.payload > 0) {
    *end++ = RESPONSE_PAYLOAD_TAG;
    end = wire_put_varint(end, size.payload);
    end += protobuf_c_message_pack(response, end);
  }
  assert(end == out + size.frame);
}

size_t failure_write(uint8_t out[FAILURE_FRAME_MAX], uint32_t stream_id, enum status_code code,
                     const char *text) {
  char mended[FAILURE_TEXT_MAX + 1];
  text_mend(mended, sizeof(mended), text);
  Ttrpc__Status status = TTRPC__STATUS__INIT;
  status.code = (int32_t)code;
  status.message = mended;
  Ttrpc__Response response = TTRPC__RESPONSE__INIT;
  response.status = &status;
  size_t length = ttrpc__response__get_packed_size(&response);
  assert(FRAME_HEADER_BYTES + length <= FAILURE_FRAME_MAX);
  write_response_header(out, stream_id, length);
  ttrpc__response__pack(&response, out + FRAME_HEADER_BYTES);
  return FRAME_HEADER_BYTES + length;
}
