// A slice is bytes that somebody else owns. slice_take is the only place that compares a length
// with what is left: every parser of hostile bytes is built on it.
#ifndef TLSAGENT_SERVER_BASE_SLICE_H_
#define TLSAGENT_SERVER_BASE_SLICE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

struct slice {
  const uint8_t *data;  // may be NULL when len is 0
  size_t len;
};

static inline struct slice slice_of(const void *data, size_t len) {
  struct slice slice = {(const uint8_t *)data, len};
  return slice;
}

static inline struct slice slice_of_string(const char *text) {
  return slice_of(text, strlen(text));
}

// slice_after is what follows the first n bytes, of which there must be so many. Nothing may be
// added to NULL, not even 0.
static inline struct slice slice_after(struct slice slice, size_t n) {
  return slice_of(n == 0 ? slice.data : slice.data + n, slice.len - n);
}

// slice_take moves the first n bytes of from into out. False, and nothing moved, when from is
// shorter.
static inline bool slice_take(struct slice *from, size_t n, struct slice *out) {
  if (n > from->len) {
    return false;
  }
  *out = slice_of(from->data, n);
  *from = slice_after(*from, n);
  return true;
}

// slice_take_u8 reads one byte.
static inline bool slice_take_u8(struct slice *from, uint8_t *out) {
  struct slice byte;
  if (!slice_take(from, 1, &byte)) {
    return false;
  }
  *out = byte.data[0];
  return true;
}

// slice_take_be32 reads a 32-bit number, big end first.
static inline bool slice_take_be32(struct slice *from, uint32_t *out) {
  struct slice bytes;
  if (!slice_take(from, 4, &bytes)) {
    return false;
  }
  *out = (uint32_t)bytes.data[0] << 24 | (uint32_t)bytes.data[1] << 16 |
         (uint32_t)bytes.data[2] << 8 | (uint32_t)bytes.data[3];
  return true;
}

static inline bool slice_equal(struct slice a, struct slice b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_BASE_SLICE_H_
