#include "server/base/counters.h"

#include <stdatomic.h>

static _Atomic uint64_t values[COUNTER_COUNT];

static const char *const names[COUNTER_COUNT] = {
#define X(name) [COUNTER_##name] = #name,
    COUNTER_TABLE(X)
#undef X
};

void counter_add(enum counter counter, uint64_t n) {
  atomic_fetch_add_explicit(&values[counter], n, memory_order_relaxed);
}

uint64_t counter_read(enum counter counter) {
  return atomic_load_explicit(&values[counter], memory_order_relaxed);
}

const char *counter_name(enum counter counter) {
  return names[counter];
}
