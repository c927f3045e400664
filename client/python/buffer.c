#include "client/python/buffer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
  LEAST_SIZE = 4096,           // growing byte by byte isn't worth it below
  KEPT_SIZE = 16 << 10,        // an empty buffer that is larger gives its memory back
  SPARE_MAX = 8,               // large blocks that wait for the next use
  SPARE_SIZE_MAX = 512 << 10,  // and how large they may be
};

// --- Large blocks go round ---

// Between two of its bursts a connection holds no large block, and the next burst, of whichever
// connection, finds one that the kernel needn't map again.
static struct {
  pthread_mutex_t lock;
  struct block {
    uint8_t *data;
    size_t size;
  } blocks[SPARE_MAX];
} spare = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_large(size_t size) {
  return size > KEPT_SIZE && size <= SPARE_SIZE_MAX;
}

// Only if nobody else is at it: a fork may have left the lock held.
static bool lock_spare(void) {
  return pthread_mutex_trylock(&spare.lock) == 0;
}

// A spare block of at least *size bytes, whose size it then is; NULL when there is none.
static uint8_t *take_spare(size_t *size) {
  uint8_t *data = NULL;
  if (!is_large(*size) || !lock_spare()) {
    return NULL;
  }
  for (size_t i = 0; data == NULL && i < SPARE_MAX; i++) {
    if (spare.blocks[i].size >= *size) {
      data = spare.blocks[i].data;
      *size = spare.blocks[i].size;
      spare.blocks[i] = (struct block){.data = NULL};
    }
  }
  pthread_mutex_unlock(&spare.lock);
  return data;
}

static bool give_spare(uint8_t *data, size_t size) {
  bool given = false;
  if (!is_large(size) || !lock_spare()) {
    return false;
  }
  for (size_t i = 0; !given && i < SPARE_MAX; i++) {
    given = spare.blocks[i].data == NULL;
    if (given) {
      spare.blocks[i] = (struct block){data, size};
    }
  }
  pthread_mutex_unlock(&spare.lock);
  return given;
}

static uint8_t *allocate(size_t *size) {
  uint8_t *data = take_spare(size);
  return data != NULL ? data : malloc(*size);
}

static void release(uint8_t *data, size_t size) {
  if (!give_spare(data, size)) {
    free(data);
  }
}

// What is freed may have been plaintext.
static void wipe_and_free(uint8_t *data, size_t size) {
  if (data != NULL) {
    explicit_bzero(data, size);
    release(data, size);
  }
}

// --- One buffer ---

void buffer_free(struct buffer *buffer) {
  wipe_and_free(buffer->data, buffer->size);
  *buffer = (struct buffer){.data = NULL};
}

// Moves what is held to the front of `data`, the same or a new place of size bytes.
static void settle(struct buffer *buffer, uint8_t *data, size_t size) {
  const size_t len = buffer_len(buffer);
  if (len > 0) {
    memmove(data, buffer_front(buffer), len);
  }
  if (data != buffer->data) {
    wipe_and_free(buffer->data, buffer->size);
  }
  *buffer = (struct buffer){.data = data, .end = len, .size = size};
}

static size_t grown(size_t size, size_t needed) {
  const size_t doubled = size > SIZE_MAX / 2 ? SIZE_MAX : size * 2;
  const size_t enough = doubled > needed ? doubled : needed;
  return enough > LEAST_SIZE ? enough : LEAST_SIZE;
}

static bool grow(struct buffer *buffer, size_t needed) {
  size_t size = grown(buffer->size, needed);
  uint8_t *data = allocate(&size);
  if (data != NULL) {
    settle(buffer, data, size);
  }
  return data != NULL;
}

// Makes room at the end. Moving to the front pays only when less is held than was taken away before
// it: else a full buffer would be moved for every few bytes.
static bool make_room(struct buffer *buffer, size_t len) {
  const size_t held = buffer_len(buffer);
  if (buffer->data != NULL && len <= buffer->size - buffer->end) {
    return true;
  }
  if (len > SIZE_MAX - held) {
    return false;
  }
  if (buffer->data == NULL || held + len > buffer->size || held > buffer->start) {
    return grow(buffer, held + len);
  }
  settle(buffer, buffer->data, buffer->size);
  return true;
}

uint8_t *buffer_room(struct buffer *buffer, size_t len) {
  return make_room(buffer, len) ? buffer->data + buffer->end : NULL;
}

void buffer_added(struct buffer *buffer, size_t len) {
  buffer->end += len;
}

bool buffer_append(struct buffer *buffer, const void *data, size_t len) {
  if (len == 0) {
    return true;
  }
  uint8_t *room = buffer_room(buffer, len);
  if (room == NULL) {
    return false;
  }
  memcpy(room, data, len);
  buffer_added(buffer, len);
  return true;
}

size_t buffer_peek(const struct buffer *buffer, void *out, size_t size) {
  const size_t held = buffer_len(buffer);
  const size_t len = held < size ? held : size;
  if (len > 0) {
    memcpy(out, buffer_front(buffer), len);
  }
  return len;
}

void buffer_drop(struct buffer *buffer, size_t len) {
  buffer->start += len;
  if (buffer->start < buffer->end) {
    return;
  }
  buffer->start = 0;
  buffer->end = 0;
  if (buffer->size > KEPT_SIZE) {
    buffer_free(buffer);
  }
}

void buffer_release(struct buffer *buffer) {
  if (buffer_len(buffer) == 0 && buffer->size > KEPT_SIZE) {
    release(buffer->data, buffer->size);
    *buffer = (struct buffer){.data = NULL};
  }
}
