#include "server/tls/secure_heap.h"

#include <openssl/crypto.h>
#include <pthread.h>

// An RSA-2048 key takes 1 KiB, an EC key 64 bytes. Pages are locked as they are touched.
enum { HEAP_BYTES = 4 << 20, SMALLEST_BLOCK = 32 };

static size_t heap_bytes;
static bool heap_locked;

static void start(void) {
  int made = CRYPTO_secure_malloc_init(HEAP_BYTES, SMALLEST_BLOCK);
  heap_bytes = made == 0 ? 0 : HEAP_BYTES;
  heap_locked = made == 1;  // 2: made, but something like mlock(2) was refused
}

void secure_heap_start(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, start);
}

size_t secure_heap_bytes(void) {
  return heap_bytes;
}

bool secure_heap_is_locked(void) {
  return heap_locked;
}

bool secure_heap_has_room(void) {
  return heap_bytes == 0 || CRYPTO_secure_used() < heap_bytes / 4 * 3;
}
