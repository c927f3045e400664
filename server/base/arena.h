// An arena: memory for one call, handed out in order and given back all at once, up to a ceiling.
//
// What hostile bytes make us allocate comes from here, so that the ceiling holds whatever they
// claim.
#ifndef TLSAGENT_SERVER_BASE_ARENA_H_
#define TLSAGENT_SERVER_BASE_ARENA_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct arena_block;

struct arena {
  struct arena_block *blocks;  // newest first
  size_t used;                 // bytes handed out, rounding included
  size_t max;
  bool exhausted;  // something was refused since the last reset
};

// arena_init makes an empty arena that hands out at most max bytes.
void arena_init(struct arena *arena, size_t max);

// arena_alloc returns size bytes, zeroed and aligned for anything; NULL past the ceiling or without
// memory. A size of 0 gives a pointer that must not be read.
void *arena_alloc(struct arena *arena, size_t size);

// arena_bytes is arena_alloc for bytes that are written before anybody reads them: not zeroed.
uint8_t *arena_bytes(struct arena *arena, size_t size);

// arena_array returns room for num elements of the given size, or NULL; num * size can't overflow.
void *arena_array(struct arena *arena, size_t num, size_t size);

// arena_copy returns a copy of data, or NULL.
uint8_t *arena_copy(struct arena *arena, struct slice data);

// arena_string returns a copy of text with its NUL, or NULL.
char *arena_string(struct arena *arena, const char *text);

// arena_printf returns a formatted string, or NULL.
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// arena_reset wipes and takes back everything that was handed out; the arena can be used again. The
// first block stays allocated, so that the next call costs no malloc.
void arena_reset(struct arena *arena);

// arena_cleanup is arena_reset and gives all memory back.
void arena_cleanup(struct arena *arena);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_BASE_ARENA_H_
