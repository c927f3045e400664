#include "server/rpc/frame.h"

#include <assert.h>
#include <string.h>

void frame_header_write(uint8_t *out, const struct frame_header *header) {
  const uint8_t bytes[FRAME_HEADER_BYTES] = {
      (uint8_t)(header->length >> 24),
      (uint8_t)(header->length >> 16),
      (uint8_t)(header->length >> 8),
      (uint8_t)header->length,
      (uint8_t)(header->stream_id >> 24),
      (uint8_t)(header->stream_id >> 16),
      (uint8_t)(header->stream_id >> 8),
      (uint8_t)header->stream_id,
      header->type,
      header->flags,
  };
  memcpy(out, bytes, sizeof(bytes));
}

void frame_reader_init(struct frame_reader *reader) {
  *reader = (struct frame_reader){.state = FRAME_READER_HEADER};
  bytes_init(&reader->body, FRAME_LENGTH_MAX);
}

void frame_reader_cleanup(struct frame_reader *reader) {
  bytes_cleanup(&reader->body);
}

// Takes as much of chunk as is there, at most max.
static struct slice take_up_to(struct slice *chunk, size_t max) {
  struct slice taken = slice_of(NULL, 0);
  bool there = slice_take(chunk, chunk->len < max ? chunk->len : max, &taken);
  assert(there);
  return taken;
}

static void header_read(struct frame_header *header, struct slice head) {
  bool whole = slice_take_be32(&head, &header->length) &&
               slice_take_be32(&head, &header->stream_id) && slice_take_u8(&head, &header->type) &&
               slice_take_u8(&head, &header->flags);
  assert(whole);
}

static enum frame_result next_header(struct frame_reader *reader, struct slice *chunk) {
  struct slice part = take_up_to(chunk, FRAME_HEADER_BYTES - reader->head_len);
  if (part.len > 0) {
    memcpy(reader->head + reader->head_len, part.data, part.len);
    reader->head_len += part.len;
  }
  if (reader->head_len > 0 && reader->head[0] != 0) {
    return FRAME_MALFORMED;
  }
  if (reader->head_len < FRAME_HEADER_BYTES) {
    return FRAME_PARTIAL;
  }
  header_read(&reader->header, slice_of(reader->head, FRAME_HEADER_BYTES));
  reader->head_len = 0;
  reader->left = reader->header.length;
  reader->state = FRAME_READER_BODY;
  return FRAME_BEGINS;
}

static enum frame_result next_skipped(struct frame_reader *reader, struct slice *chunk) {
  reader->left -= take_up_to(chunk, reader->left).len;
  if (reader->left > 0) {
    return FRAME_PARTIAL;
  }
  reader->state = FRAME_READER_HEADER;
  return FRAME_SKIPPED;
}

static enum frame_result body_complete(struct frame_reader *reader, struct slice body,
                                       struct slice *out) {
  *out = body;
  reader->left = 0;
  reader->state = FRAME_READER_HEADER;
  reader->body_done = true;
  return FRAME_COMPLETE;
}

// Room for all of it at once, as far as it may be claimed before it has come: growing step by step
// would copy it twice.
static status_t make_room(struct frame_reader *reader) {
  enum { CLAIMED_MAX = 128 << 10 };
  uint8_t *ignored;
  size_t length = reader->header.length;
  return bytes_len(&reader->body) > 0
             ? OK_STATUS
             : bytes_reserve(&reader->body, length < CLAIMED_MAX ? length : CLAIMED_MAX, &ignored);
}

static enum frame_result store_body(struct frame_reader *reader, struct slice *chunk,
                                    struct slice *out) {
  struct slice part = take_up_to(chunk, reader->left);
  reader->left -= part.len;
  if (!status_ok(make_room(reader)) || !status_ok(bytes_append(&reader->body, part))) {
    frame_skip(reader);
    return FRAME_NO_MEMORY;
  }
  return reader->left == 0 ? body_complete(reader, bytes_peek(&reader->body), out) : FRAME_PARTIAL;
}

static enum frame_result next_body(struct frame_reader *reader, struct slice *chunk,
                                   struct slice *out) {
  // The usual case costs no copy: the chunk holds the whole body.
  bool untouched = reader->left == reader->header.length;
  if (untouched && chunk->len >= reader->left) {
    return body_complete(reader, take_up_to(chunk, reader->left), out);
  }
  return store_body(reader, chunk, out);
}

enum frame_result frame_next(struct frame_reader *reader, struct slice *chunk, struct slice *body) {
  if (reader->body_done) {
    bytes_cleanup(&reader->body);
    reader->body_done = false;
  }
  switch (reader->state) {
    case FRAME_READER_SKIP:
      return next_skipped(reader, chunk);
    case FRAME_READER_BODY:
      return next_body(reader, chunk, body);
    case FRAME_READER_HEADER:
      break;
  }
  return next_header(reader, chunk);
}

void frame_skip(struct frame_reader *reader) {
  assert(reader->state == FRAME_READER_BODY);
  reader->state = FRAME_READER_SKIP;
  bytes_cleanup(&reader->body);
}

size_t frame_missing(const struct frame_reader *reader) {
  return reader->state == FRAME_READER_HEADER ? FRAME_HEADER_BYTES - reader->head_len
                                              : reader->left;
}
