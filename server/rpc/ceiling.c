#include "server/rpc/ceiling.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

void ceiling_init(struct ceiling *ceiling, struct ceiling *parent, const char *name, uint64_t max) {
  *ceiling = (struct ceiling){.parent = parent, .name = name, .max = max};
}

static bool take_here(struct ceiling *ceiling, uint64_t n) {
  uint64_t used = __atomic_load_n(&ceiling->used, __ATOMIC_RELAXED);
  do {
    if (n > ceiling->max - used) {
      return false;
    }
  } while (!__atomic_compare_exchange_n(&ceiling->used, &used, used + n, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED));
  return true;
}

static void give_here(struct ceiling *ceiling, uint64_t n) {
  uint64_t before = __atomic_fetch_sub(&ceiling->used, n, __ATOMIC_RELAXED);
  assert(before >= n);
  (void)before;
}

bool ceiling_take(struct ceiling *ceiling, uint64_t n) {
  if (!take_here(ceiling, n)) {
    return false;
  }
  if (ceiling->parent != NULL && !take_here(ceiling->parent, n)) {
    give_here(ceiling, n);
    return false;
  }
  return true;
}

// The parent first: whoever gives the last of a share back may see it reused at once.
void ceiling_give(struct ceiling *ceiling, uint64_t n) {
  if (ceiling->parent != NULL) {
    give_here(ceiling->parent, n);
  }
  give_here(ceiling, n);
}

const struct ceiling *ceiling_lacking(const struct ceiling *ceiling, uint64_t n) {
  bool here = n > ceiling->max - ceiling_used(ceiling);
  return here || ceiling->parent == NULL ? ceiling : ceiling->parent;
}

uint64_t ceiling_used(const struct ceiling *ceiling) {
  return __atomic_load_n(&ceiling->used, __ATOMIC_RELAXED);
}

void ceiling_text(char out[CEILING_TEXT_MAX], const char *name, uint64_t max) {
  snprintf(out, CEILING_TEXT_MAX,
           "limit \"%s\" (%" PRIu64
           ") is reached: wait for answers, or start tlsagentd with --limit %s=N",
           name, max, name);
}
