#include "server/rpc/grpc_memory.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// What the allocator gave counts, not what was asked for: that is what can be looked up again.
static void *count_in(struct grpc_memory *memory, void *block) {
  memory->used += malloc_usable_size(block);
  return block;
}

static bool has_room(const struct grpc_memory *memory, size_t size) {
  return memory->used <= memory->max && size <= memory->max - memory->used;
}

static void *take(size_t size, void *user_data) {
  struct grpc_memory *memory = user_data;
  return has_room(memory, size) ? count_in(memory, malloc(size)) : NULL;
}

// nghttp2 asks for no empty blocks.
static void *take_zeroed(size_t num, size_t size, void *user_data) {
  struct grpc_memory *memory = user_data;
  bool fits = num > 0 && size > 0 && num <= SIZE_MAX / size && has_room(memory, num * size);
  return fits ? count_in(memory, calloc(num, size)) : NULL;
}

static void give(void *block, void *user_data) {
  struct grpc_memory *memory = user_data;
  size_t size = malloc_usable_size(block);
  memory->used -= size;
  if (block != NULL) {
    explicit_bzero(block, size);
  }
  free(block);
}

// Not realloc(3), which leaves what it moved from as it was.
static void *resize(void *block, size_t size, void *user_data) {
  size_t old = malloc_usable_size(block);
  if (block != NULL && size <= old) {
    return block;
  }
  void *larger = take(size, user_data);
  if (larger != NULL && block != NULL) {
    memcpy(larger, block, old);
    give(block, user_data);
  }
  return larger;
}

void grpc_memory_init(struct grpc_memory *memory, size_t max) {
  *memory = (struct grpc_memory){
      .functions = {.mem_user_data = memory,
                    .malloc = take,
                    .free = give,
                    .calloc = take_zeroed,
                    .realloc = resize},
      .max = max,
  };
}
