// A queue of bytes: in at the end, out at the front. No lock, no Python.
#ifndef TLSAGENT_CLIENT_PYTHON_BUFFER_H_
#define TLSAGENT_CLIENT_PYTHON_BUFFER_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct buffer {
  uint8_t *data;
  size_t start;
  size_t end;
  size_t size;
};

// A buffer of all zeros is empty and good. buffer_free empties it; what it held is wiped.
void buffer_free(struct buffer *buffer);

static inline size_t buffer_len(const struct buffer *buffer) {
  return buffer->end - buffer->start;
}

// buffer_front returns the bytes, buffer_len() of them; NULL when there never were any.
static inline const uint8_t *buffer_front(const struct buffer *buffer) {
  return buffer->data == NULL ? NULL : buffer->data + buffer->start;
}

// buffer_room returns room for len bytes at the end, which buffer_added() then counts; NULL without
// memory.
uint8_t *buffer_room(struct buffer *buffer, size_t len);
void buffer_added(struct buffer *buffer, size_t len);

// buffer_append copies bytes to the end; false, with nothing taken, without memory.
bool buffer_append(struct buffer *buffer, const void *data, size_t len);

// buffer_peek copies the first bytes out, at most size, and returns how many.
size_t buffer_peek(const struct buffer *buffer, void *out, size_t size);

// buffer_release gives much memory that holds nothing back, as it is: for ciphertext.
void buffer_release(struct buffer *buffer);

// buffer_drop takes the first len bytes away.
void buffer_drop(struct buffer *buffer, size_t len);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_PYTHON_BUFFER_H_
