#include "server/tls/wiping_heap.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local bool wiping;

static void *allocate(size_t size, const char *file, int line) {
  (void)file;
  (void)line;
  return malloc(size);
}

static void give_back(void *block, const char *file, int line) {
  (void)file;
  (void)line;
  if (wiping && block != NULL) {
    explicit_bzero(block, malloc_usable_size(block));
  }
  free(block);
}

// What realloc(3) moves it leaves behind.
static void *resize(void *block, size_t size, const char *file, int line) {
  if (size == 0) {
    give_back(block, file, line);
    return NULL;
  }
  if (!wiping || block == NULL) {
    return realloc(block, size);
  }
  size_t had = malloc_usable_size(block);
  if (size <= had) {
    return block;
  }
  void *bigger = malloc(size);
  if (bigger != NULL) {
    memcpy(bigger, block, had);
    give_back(block, file, line);
  }
  return bigger;
}

bool wiping_heap_start(void) {
  CRYPTO_malloc_fn allocating = NULL;
  CRYPTO_get_mem_functions(&allocating, NULL, NULL);
  if (allocating == allocate) {
    return true;
  }
  bool is_free = allocating == CRYPTO_malloc;
  return is_free && CRYPTO_set_mem_functions(allocate, resize, give_back) == 1;
}

void wiping_heap_begin(void) {
  wiping = true;
}

void wiping_heap_end(void) {
  wiping = false;
}
