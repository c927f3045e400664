#include "server/rpc/grpc_memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool has_room(const struct grpc_memory *memory, size_t size) {
  return memory->used <= memory->max && size <= memory->max - memory->used;
}

// What the block takes counts, not what was asked for.
static void *take(size_t size, void *user_data) {
  struct grpc_memory *memory = user_data;
  void *block = has_room(memory, size) ? spares_take(memory->spares, size) : NULL;
  memory->used += block != NULL ? spares_cost(block) : 0;
  return block;
}

// All blocks begin as zeros.
static void *take_zeroed(size_t num, size_t size, void *user_data) {
  return size == 0 || num <= SIZE_MAX / size ? take(num * size, user_data) : NULL;
}

static void give(void *block, void *user_data) {
  struct grpc_memory *memory = user_data;
  if (block != NULL) {
    memory->used -= spares_cost(block);
    spares_give(memory->spares, block);
  }
}

// Not realloc(3), which leaves what it moved from as it was.
static void *resize(void *block, size_t size, void *user_data) {
  size_t old = block != NULL ? spares_room(block) : 0;
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

void grpc_memory_init(struct grpc_memory *memory, struct spares *spares, size_t max) {
  *memory = (struct grpc_memory){
      .functions = {.mem_user_data = memory,
                    .malloc = take,
                    .free = give,
                    .calloc = take_zeroed,
                    .realloc = resize},
      .spares = spares,
      .max = max,
  };
}
