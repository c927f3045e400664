// Spares: small blocks of memory that are kept for the next who needs one, so that what comes and
// goes with each call costs no malloc. They are wiped as they come back. For one thread.
#ifndef TLSAGENT_SERVER_RPC_SPARES_H_
#define TLSAGENT_SERVER_RPC_SPARES_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  SPARES_STEP = 16,  // sizes are rounded up to a multiple of it
  SPARES_CLASSES = 64,
  SPARES_SIZE_MAX = SPARES_STEP * SPARES_CLASSES,  // larger blocks go back to malloc(3)
  // Of blocks that nobody uses. What a few hundred calls of HTTP/2 in flight take.
  SPARES_BYTES_MAX = 512 << 10,
};

struct spare;

struct spares {
  struct spare *first[SPARES_CLASSES];
  size_t kept;  // bytes of blocks that nobody uses
};

void spares_init(struct spares *spares);
// spares_cleanup frees what is kept. Blocks that are still used are given back before it.
void spares_cleanup(struct spares *spares);

// spares_take returns a block of size bytes, aligned for anything and zeroed; NULL without memory.
void *spares_take(struct spares *spares, size_t size);
// spares_give wipes it and takes it back; NULL does nothing.
void spares_give(struct spares *spares, void *block);

// spares_room is how many bytes a block has, no less than were asked for; spares_cost how many of
// memory it takes.
size_t spares_room(const void *block);
size_t spares_cost(const void *block);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_SPARES_H_
