#include "server/rpc/spares.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Nothing is kept where AddressSanitizer should see a use after free.
#if defined(__SANITIZE_ADDRESS__)
enum { KEEPS = 0 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { KEEPS = 0 };
#else
enum { KEEPS = 1 };
#endif
#else
enum { KEEPS = 1 };
#endif

// In front of each block.
struct spare {
  alignas(16) struct spare *next;  // while nobody uses it
  size_t room;
  uint8_t data[];
};

static struct spare *spare_of(const void *block) {
  return (struct spare *)(void *)((uintptr_t)block - offsetof(struct spare, data));
}

static size_t cost_of(const struct spare *spare) {
  return sizeof(*spare) + spare->room;
}

static size_t class_of(size_t room) {
  return room / SPARES_STEP - 1;
}

void spares_init(struct spares *spares) {
  *spares = (struct spares){.kept = 0};
}

void spares_cleanup(struct spares *spares) {
  for (size_t i = 0; i < SPARES_CLASSES; i++) {
    while (spares->first[i] != NULL) {
      struct spare *spare = spares->first[i];
      spares->first[i] = spare->next;
      free(spare);
    }
  }
  spares_init(spares);
}

// What is kept is zero already.
static void *take_kept(struct spares *spares, size_t room) {
  struct spare **first = &spares->first[class_of(room)];
  struct spare *spare = *first;
  if (spare == NULL) {
    return NULL;
  }
  *first = spare->next;
  spares->kept -= cost_of(spare);
  return spare->data;
}

static void *make(size_t room) {
  struct spare *spare = calloc(1, sizeof(*spare) + room);
  if (spare == NULL) {
    return NULL;
  }
  spare->room = room;
  return spare->data;
}

void *spares_take(struct spares *spares, size_t size) {
  if (size > SIZE_MAX - sizeof(struct spare) - SPARES_STEP) {
    return NULL;
  }
  size_t room = size == 0 ? SPARES_STEP : (size + SPARES_STEP - 1) / SPARES_STEP * SPARES_STEP;
  void *block = room <= SPARES_SIZE_MAX ? take_kept(spares, room) : NULL;
  return block != NULL ? block : make(room);
}

void spares_give(struct spares *spares, void *block) {
  if (block == NULL) {
    return;
  }
  struct spare *spare = spare_of(block);
  explicit_bzero(spare->data, spare->room);
  if (!KEEPS || spare->room > SPARES_SIZE_MAX || cost_of(spare) > SPARES_BYTES_MAX - spares->kept) {
    free(spare);
    return;
  }
  struct spare **first = &spares->first[class_of(spare->room)];
  spare->next = *first;
  *first = spare;
  spares->kept += cost_of(spare);
}

size_t spares_room(const void *block) {
  return spare_of(block)->room;
}

size_t spares_cost(const void *block) {
  return cost_of(spare_of(block));
}
