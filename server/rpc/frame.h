// Frames of ttrpc: ten bytes of header and a body, cut out of whatever chunks the socket gave.
//
// The reader is pulled: frame_next says what comes next in a chunk. It does no I/O, answers nothing
// and judges nothing but the header's first byte; whether a frame is kept is decided by its header,
// before a byte of its body is stored.
#ifndef TLSAGENT_SERVER_RPC_FRAME_H_
#define TLSAGENT_SERVER_RPC_FRAME_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FRAME_HEADER_BYTES = 10, FRAME_LENGTH_MAX = 4 << 20 };

enum frame_type { FRAME_REQUEST = 1, FRAME_RESPONSE = 2, FRAME_DATA = 3 };

enum frame_flag { FRAME_REMOTE_CLOSED = 1, FRAME_REMOTE_OPEN = 2, FRAME_NO_DATA = 4 };

struct frame_header {
  uint32_t length;  // of the body
  uint32_t stream_id;
  uint8_t type;
  uint8_t flags;
};

// frame_header_write writes FRAME_HEADER_BYTES.
void frame_header_write(uint8_t *out, const struct frame_header *header);

// What comes next.
enum frame_result {
  FRAME_BEGINS,     // reader->header is known; it is kept unless frame_skip is called now
  FRAME_COMPLETE,   // all of a kept frame is there: the body is valid until the next frame_next
  FRAME_SKIPPED,    // the last byte of a skipped frame has gone by
  FRAME_PARTIAL,    // the chunk is used up; frame_missing tells how much is still to come
  FRAME_MALFORMED,  // not a header: its first byte is not zero. Nothing can be read any more
  FRAME_NO_MEMORY,  // a kept frame can't be stored: it is being skipped from now on
};

struct frame_reader {
  struct frame_header header;  // of the frame under way
  enum { FRAME_READER_HEADER, FRAME_READER_BODY, FRAME_READER_SKIP } state;
  size_t left;      // of its body, still to come
  size_t head_len;  // bytes in head
  uint8_t head[FRAME_HEADER_BYTES];
  struct bytes body;  // what came of a body that the first chunk did not hold whole
  bool body_done;     // the body was given out and goes with the next frame_next
};

void frame_reader_init(struct frame_reader *reader);
void frame_reader_cleanup(struct frame_reader *reader);

// frame_next takes what it needs from the front of chunk.
enum frame_result frame_next(struct frame_reader *reader, struct slice *chunk, struct slice *body);

// frame_skip lets the body of the frame that has just begun go by.
void frame_skip(struct frame_reader *reader);

// frame_missing is how many bytes are still needed to go on: of the header, or of the body.
size_t frame_missing(const struct frame_reader *reader);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_FRAME_H_
