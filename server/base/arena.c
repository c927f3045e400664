#include "server/base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 4096, ALIGNMENT = 16 };

struct arena_block {
  struct arena_block *next;
  size_t used;
  size_t capacity;
  _Alignas(ALIGNMENT) uint8_t data[];
};

void arena_init(struct arena *arena, size_t max) {
  *arena = (struct arena){.max = max};
}

static struct arena_block *block_new(size_t capacity) {
  struct arena_block *block = malloc(sizeof(*block) + capacity);
  if (block != NULL) {
    block->next = NULL;
    block->used = 0;
    block->capacity = capacity;
  }
  return block;
}

static struct arena_block *block_with_room(struct arena *arena, size_t size) {
  struct arena_block *newest = arena->blocks;
  if (newest != NULL && newest->capacity - newest->used >= size) {
    return newest;
  }
  struct arena_block *block = block_new(size > BLOCK_SIZE ? size : BLOCK_SIZE);
  if (block != NULL) {
    block->next = newest;
    arena->blocks = block;
  }
  return block;
}

static size_t round_up(size_t size) {
  return size == 0 ? ALIGNMENT : (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

uint8_t *arena_bytes(struct arena *arena, size_t size) {
  if (size > SIZE_MAX - ALIGNMENT || round_up(size) > arena->max - arena->used) {
    arena->exhausted = true;
    return NULL;
  }
  size_t rounded = round_up(size);
  struct arena_block *block = block_with_room(arena, rounded);
  if (block == NULL) {
    arena->exhausted = true;
    return NULL;
  }
  uint8_t *out = block->data + block->used;
  block->used += rounded;
  arena->used += rounded;
  return out;
}

void *arena_alloc(struct arena *arena, size_t size) {
  uint8_t *out = arena_bytes(arena, size);
  return out == NULL ? NULL : memset(out, 0, size);
}

void *arena_array(struct arena *arena, size_t num, size_t size) {
  if (size != 0 && num > SIZE_MAX / size) {
    arena->exhausted = true;
    return NULL;
  }
  return arena_alloc(arena, num * size);
}

uint8_t *arena_copy(struct arena *arena, struct slice data) {
  uint8_t *copy = arena_bytes(arena, data.len);
  if (copy != NULL && data.len > 0) {
    memcpy(copy, data.data, data.len);
  }
  return copy;
}

char *arena_string(struct arena *arena, const char *text) {
  return (char *)arena_copy(arena, slice_of(text, strlen(text) + 1));
}

char *arena_printf(struct arena *arena, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int len = vsnprintf(NULL, 0, format, args);
  va_end(args);
  char *text = len < 0 ? NULL : arena_alloc(arena, (size_t)len + 1);
  if (text != NULL) {
    va_start(args, format);
    vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
  }
  return text;
}

static void block_free(struct arena_block *block) {
  explicit_bzero(block->data, block->used);
  free(block);
}

void arena_reset(struct arena *arena) {
  struct arena_block *first = arena->blocks;
  while (first != NULL && first->next != NULL) {
    struct arena_block *next = first->next;
    block_free(first);
    first = next;
  }
  if (first != NULL && first->capacity > BLOCK_SIZE) {
    block_free(first);
    first = NULL;
  }
  if (first != NULL) {
    explicit_bzero(first->data, first->used);
    first->used = 0;
  }
  arena->blocks = first;
  arena->used = 0;
  arena->exhausted = false;
}

void arena_cleanup(struct arena *arena) {
  arena_reset(arena);
  free(arena->blocks);
  arena->blocks = NULL;
}
