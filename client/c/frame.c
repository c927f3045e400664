#include "client/c/frame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/c/tlsagent.h"

static void put_u32(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 24);
  at[1] = (uint8_t)(value >> 16);
  at[2] = (uint8_t)(value >> 8);
  at[3] = (uint8_t)value;
}

static uint32_t get_u32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void tla_frame_header(uint8_t out[TLA_FRAME_HEADER], uint32_t length, uint32_t stream_id) {
  put_u32(out, length);
  put_u32(out + 4, stream_id);
  out[8] = TLA_FRAME_REQUEST;
  out[9] = 0;
}

// The only place that takes bytes out of the buffer.
static size_t take(struct tla_frame_reader *reader, void *out, size_t len) {
  const size_t have = reader->end - reader->start;
  const size_t taken = len < have ? len : have;
  if (taken != 0) {
    memcpy(out, reader->buffer + reader->start, taken);
    reader->start += taken;
  }
  return taken;
}

static size_t body_missing(const struct tla_frame_reader *reader) {
  return reader->in_body ? reader->next.body_len - reader->body_have : 0;
}

size_t tla_frame_reader_space(struct tla_frame_reader *reader, struct iovec places[2]) {
  size_t num = 0;
  if (body_missing(reader) != 0) {
    assert(reader->start == reader->end);
    places[num++] = (struct iovec){reader->next.body + reader->body_have, body_missing(reader)};
  }
  memmove(reader->buffer, reader->buffer + reader->start, reader->end - reader->start);
  reader->end -= reader->start;
  reader->start = 0;
  places[num++] =
      (struct iovec){reader->buffer + reader->end, sizeof(reader->buffer) - reader->end};
  return num;
}

void tla_frame_reader_received(struct tla_frame_reader *reader, size_t len) {
  const size_t missing = body_missing(reader);
  const size_t to_body = len < missing ? len : missing;
  reader->body_have += to_body;
  reader->end += len - to_body;
  assert(reader->end <= sizeof(reader->buffer));
}

static enum tla_frame_result begin_body(struct tla_frame_reader *reader) {
  uint8_t header[TLA_FRAME_HEADER];
  if (reader->end - reader->start < sizeof(header)) {
    return TLA_FRAME_PARTIAL;
  }
  take(reader, header, sizeof(header));
  const uint32_t length = get_u32(header);
  if (length > TLSAGENT_FRAME_MAX) {
    return TLA_FRAME_MALFORMED;
  }
  reader->next = (struct tla_frame){.stream_id = get_u32(header + 4),
                                    .type = header[8],
                                    .flags = header[9],
                                    .body = malloc(length + 1),
                                    .body_len = length};
  reader->body_have = 0;
  reader->in_body = reader->next.body != NULL;
  return reader->in_body ? TLA_FRAME_COMPLETE : TLA_FRAME_NO_MEMORY;
}

enum tla_frame_result tla_frame_reader_next(struct tla_frame_reader *reader,
                                            struct tla_frame *out) {
  if (!reader->in_body) {
    const enum tla_frame_result result = begin_body(reader);
    if (result != TLA_FRAME_COMPLETE) {
      return result;
    }
  }
  reader->body_have += take(reader, reader->next.body + reader->body_have, body_missing(reader));
  if (body_missing(reader) != 0) {
    return TLA_FRAME_PARTIAL;
  }
  *out = reader->next;
  reader->next = (struct tla_frame){0};
  reader->in_body = false;
  return TLA_FRAME_COMPLETE;
}

void tla_frame_reader_free(struct tla_frame_reader *reader) {
  free(reader->next.body);
  reader->next.body = NULL;
  reader->in_body = false;
}
