// Memory that the kernel holds. Sanitizers can't see the kernel write, so we tell them ourselves: a
// touch of what the kernel holds is then reported like a use after free.
#ifndef TLSAGENT_SERVER_RING_POISON_H_
#define TLSAGENT_SERVER_RING_POISON_H_

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define RING_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RING_HAS_ASAN 1
#endif
#endif

#ifdef RING_HAS_ASAN
#include <sanitizer/asan_interface.h>
#endif

static inline void poison_for_kernel(const void *data, size_t len) {
#ifdef RING_HAS_ASAN
  __asan_poison_memory_region(data, len);
#else
  (void)data;
  (void)len;
#endif
}

static inline void unpoison_from_kernel(const void *data, size_t len) {
#ifdef RING_HAS_ASAN
  __asan_unpoison_memory_region(data, len);
#else
  (void)data;
  (void)len;
#endif
}

#endif  // TLSAGENT_SERVER_RING_POISON_H_
