// A queue of bytes that grows up to a ceiling: append at the back, consume at the front.
#ifndef TLSAGENT_SERVER_BASE_BYTES_H_
#define TLSAGENT_SERVER_BASE_BYTES_H_

#include <stddef.h>
#include <stdint.h>

#include "server/base/slice.h"
#include "server/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

// Always true: start <= end <= capacity <= max. The content is data[start, end).
struct bytes {
  uint8_t *data;
  size_t start;
  size_t end;
  size_t capacity;
  size_t max;
};

// bytes_init makes an empty queue of at most max bytes. It allocates nothing yet.
void bytes_init(struct bytes *bytes, size_t max);

// bytes_cleanup wipes and frees the content. The queue can be used again.
void bytes_cleanup(struct bytes *bytes);

static inline size_t bytes_len(const struct bytes *bytes) {
  return bytes->end - bytes->start;
}

static inline size_t bytes_room(const struct bytes *bytes) {
  return bytes->max - bytes_len(bytes);
}

// bytes_peek shows the content, until the next call that changes the queue.
static inline struct slice bytes_peek(const struct bytes *bytes) {
  // Nothing may be added to NULL, not even 0.
  return bytes->data == NULL ? slice_of(NULL, 0)
                             : slice_of(bytes->data + bytes->start, bytes_len(bytes));
}

// bytes_reserve makes room for n more bytes at the back and returns where to put them; bytes_commit
// then says how many came. RESOURCE_EXHAUSTED past the ceiling or without memory, nothing changed.
status_t bytes_reserve(struct bytes *bytes, size_t n, uint8_t **out);
void bytes_commit(struct bytes *bytes, size_t n);

// bytes_append copies data to the back, or fails as bytes_reserve does and changes nothing.
status_t bytes_append(struct bytes *bytes, struct slice data);

// bytes_consume drops the first n bytes, which must be there. They are wiped: the queues carry
// plaintext of one client through memory that another's may use next.
void bytes_consume(struct bytes *bytes, size_t n);

// bytes_skip drops them too, and leaves them where they were: for what everybody may see, as
// ciphertext is.
void bytes_skip(struct bytes *bytes, size_t n);

// bytes_trim gives memory back that content needed which is gone: an empty queue has none then,
// another four times its content, or 4 KiB, or (without memory to move to) what it had.
void bytes_trim(struct bytes *bytes);

// bytes_release_if_empty gives the memory of an empty queue back.
void bytes_release_if_empty(struct bytes *bytes);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_BASE_BYTES_H_
