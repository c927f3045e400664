#include "server/base/bytes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 512, TRIMMED_CAPACITY = 4096 };

void bytes_init(struct bytes *bytes, size_t max) {
  *bytes = (struct bytes){.max = max};
}

void bytes_cleanup(struct bytes *bytes) {
  if (bytes->data != NULL) {
    explicit_bzero(bytes->data + bytes->start, bytes_len(bytes));
    free(bytes->data);
  }
  bytes_init(bytes, bytes->max);
}

// Moves the content to the front of a block of the given capacity. Not realloc(3): the old block
// may hold plaintext and is wiped before it goes.
static status_t move_to(struct bytes *bytes, size_t capacity) {
  uint8_t *data = malloc(capacity);
  ENSURE(data != NULL, RESOURCE_EXHAUSTED);
  size_t len = bytes_len(bytes);
  if (len > 0) {
    memcpy(data, bytes->data + bytes->start, len);
  }
  size_t max = bytes->max;
  bytes_cleanup(bytes);
  *bytes = (struct bytes){.data = data, .end = len, .capacity = capacity, .max = max};
  return OK_STATUS;
}

static size_t grown_capacity(const struct bytes *bytes, size_t need) {
  size_t capacity = bytes->capacity < FIRST_CAPACITY ? FIRST_CAPACITY : bytes->capacity;
  while (capacity < need) {
    capacity *= 2;
  }
  return capacity < bytes->max ? capacity : bytes->max;
}

// Leaves nothing where the content was: what lies outside of it is never wiped again.
static void move_to_front(struct bytes *bytes) {
  size_t len = bytes_len(bytes);
  memmove(bytes->data, bytes->data + bytes->start, len);
  explicit_bzero(bytes->data + len, bytes->end - len);
  bytes->start = 0;
  bytes->end = len;
}

status_t bytes_reserve(struct bytes *bytes, size_t n, uint8_t **out) {
  ENSURE(n <= bytes_room(bytes), RESOURCE_EXHAUSTED);
  size_t need = bytes_len(bytes) + n;
  if (bytes->capacity - bytes->end < n) {
    if (need <= bytes->capacity / 2) {
      move_to_front(bytes);
    } else {
      TRY(move_to(bytes, grown_capacity(bytes, need)));
    }
  }
  assert(bytes->capacity - bytes->end >= n);
  *out = bytes->data == NULL ? NULL : bytes->data + bytes->end;
  return OK_STATUS;
}

void bytes_commit(struct bytes *bytes, size_t n) {
  assert(n <= bytes->capacity - bytes->end);
  bytes->end += n;
}

status_t bytes_append(struct bytes *bytes, struct slice data) {
  uint8_t *to = NULL;
  TRY(bytes_reserve(bytes, data.len, &to));
  if (data.len > 0) {
    assert(to != NULL);
    memcpy(to, data.data, data.len);
  }
  bytes_commit(bytes, data.len);
  return OK_STATUS;
}

void bytes_consume(struct bytes *bytes, size_t n) {
  assert(n <= bytes_len(bytes));
  if (n > 0) {
    explicit_bzero(bytes->data + bytes->start, n);
    bytes_skip(bytes, n);
  }
}

void bytes_skip(struct bytes *bytes, size_t n) {
  assert(n <= bytes_len(bytes));
  bytes->start += n;
  if (bytes->start == bytes->end) {
    bytes->start = 0;
    bytes->end = 0;
  }
}

void bytes_trim(struct bytes *bytes) {
  size_t len = bytes_len(bytes);
  bytes_release_if_empty(bytes);
  if (bytes->capacity > TRIMMED_CAPACITY && len < bytes->capacity / 4) {
    status_t moved = move_to(bytes, len * 2 > TRIMMED_CAPACITY ? len * 2 : TRIMMED_CAPACITY);
    (void)moved;  // it stays where it is
  }
}

void bytes_release_if_empty(struct bytes *bytes) {
  if (bytes_len(bytes) == 0) {
    bytes_cleanup(bytes);
  }
}
