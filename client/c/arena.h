// Memory that is freed all at once, up to a limit: what a reply is unpacked into.
#ifndef TLSAGENT_CLIENT_C_ARENA_H_
#define TLSAGENT_CLIENT_C_ARENA_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tla_chunk;

// struct tla_arena is empty when its limit is set and the rest is zero.
struct tla_arena {
  struct tla_chunk *chunks;  // the one in use first
  size_t allocated;          // bytes of all chunks
  size_t limit;              // what allocated never exceeds
};

// tla_arena_new returns size zeroed bytes, aligned for anything, or NULL when they would pass the
// limit or there is no memory.
void *tla_arena_new(struct tla_arena *arena, size_t size);

// tla_arena_new_array returns num times size zeroed bytes, the same way; their product can't
// overflow.
void *tla_arena_new_array(struct tla_arena *arena, size_t num, size_t size);

// tla_arena_free frees all that the arena gave, which may include the arena itself.
void tla_arena_free(const struct tla_arena *arena);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_C_ARENA_H_
