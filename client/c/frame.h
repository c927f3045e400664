// ttrpc frames: ten bytes of header, then a body. Bytes in, frames out; no I/O.
#ifndef TLSAGENT_CLIENT_C_FRAME_H_
#define TLSAGENT_CLIENT_C_FRAME_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TLA_FRAME_HEADER = 10, TLA_FRAME_BUFFER = 16384 };

enum tla_frame_type { TLA_FRAME_REQUEST = 1, TLA_FRAME_RESPONSE = 2, TLA_FRAME_DATA = 3 };

// struct tla_frame is a whole frame. The body is malloc'd, and of whoever has the frame.
struct tla_frame {
  uint32_t stream_id;
  uint8_t type;
  uint8_t flags;
  uint8_t *body;
  size_t body_len;
};

// tla_frame_header writes the header of a request of length bytes.
void tla_frame_header(uint8_t out[TLA_FRAME_HEADER], uint32_t length, uint32_t stream_id);

// struct tla_frame_reader cuts a stream into frames. Zeros are an empty one.
struct tla_frame_reader {
  uint8_t buffer[TLA_FRAME_BUFFER];
  size_t start;  // of what isn't cut yet
  size_t end;
  bool in_body;      // whether next has its header, and a body of its length
  size_t body_have;  // bytes of the body that are there
  struct tla_frame next;
};

// tla_frame_reader_space says where the next bytes are to be received: up to two places, in order.
// It returns how many. There is always space after tla_frame_reader_next() said PARTIAL.
size_t tla_frame_reader_space(struct tla_frame_reader *reader, struct iovec places[2]);

// tla_frame_reader_received says that len bytes were received there.
void tla_frame_reader_received(struct tla_frame_reader *reader, size_t len);

// enum tla_frame_result says what comes next.
enum tla_frame_result {
  TLA_FRAME_COMPLETE,   // a frame, in *out
  TLA_FRAME_PARTIAL,    // bytes are missing
  TLA_FRAME_MALFORMED,  // not a frame, or one over the limit: nothing can be read any more
  TLA_FRAME_NO_MEMORY,  // the body can't be stored: neither
};

// tla_frame_reader_next cuts off the next frame.
enum tla_frame_result tla_frame_reader_next(struct tla_frame_reader *reader, struct tla_frame *out);

// tla_frame_reader_free frees a body that never became whole.
void tla_frame_reader_free(struct tla_frame_reader *reader);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_C_FRAME_H_
