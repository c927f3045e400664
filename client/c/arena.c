#include "client/c/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

// Most replies are small: one chunk holds them.
#define CHUNK_SIZE ((size_t)2048)

struct tla_chunk {
  struct tla_chunk *next;
  size_t used;
  size_t size;
  alignas(max_align_t) unsigned char data[];
};

static size_t round_up(size_t size) {
  return (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

static struct tla_chunk *add_chunk(struct tla_arena *arena, size_t least) {
  const size_t size = least > CHUNK_SIZE ? least : CHUNK_SIZE;
  if (size > arena->limit - arena->allocated) {
    return NULL;
  }
  struct tla_chunk *chunk = calloc(1, sizeof(*chunk) + size);
  if (chunk == NULL) {
    return NULL;
  }
  chunk->next = arena->chunks;
  chunk->size = size;
  arena->chunks = chunk;
  arena->allocated += size;
  return chunk;
}

void *tla_arena_new(struct tla_arena *arena, size_t size) {
  if (size > arena->limit) {
    return NULL;
  }
  const size_t need = round_up(size);
  struct tla_chunk *chunk = arena->chunks;
  if (chunk == NULL || need > chunk->size - chunk->used) {
    chunk = add_chunk(arena, need);
  }
  if (chunk == NULL) {
    return NULL;
  }
  void *memory = chunk->data + chunk->used;
  chunk->used += need;
  return memory;
}

void *tla_arena_new_array(struct tla_arena *arena, size_t num, size_t size) {
  if (size != 0 && num > arena->limit / size) {
    return NULL;
  }
  return tla_arena_new(arena, num * size);
}

void tla_arena_free(const struct tla_arena *arena) {
  struct tla_chunk *chunk = arena->chunks;  // the arena may lie in one of them
  while (chunk != NULL) {
    struct tla_chunk *next = chunk->next;
    free(chunk);
    chunk = next;
  }
}
