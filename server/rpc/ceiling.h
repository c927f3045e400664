// A ceiling: how much of one thing may be held at a time, by all connections together or by those
// of one user id. Any thread.
#ifndef TLSAGENT_SERVER_RPC_CEILING_H_
#define TLSAGENT_SERVER_RPC_CEILING_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ceiling {
  struct ceiling *parent;  // what is taken here is taken there too; NULL at the top
  const char *name;        // as --limit takes it
  uint64_t max;
  uint64_t used;  // atomic
};

void ceiling_init(struct ceiling *ceiling, struct ceiling *parent, const char *name, uint64_t max);

// ceiling_take takes n, or nothing and returns false when that would be past the ceiling or its
// parent's. A refused take at the top never makes another one fail.
bool ceiling_take(struct ceiling *ceiling, uint64_t n);
void ceiling_give(struct ceiling *ceiling, uint64_t n);
uint64_t ceiling_used(const struct ceiling *ceiling);

// ceiling_lacking returns which one has no room for n now: the ceiling itself or, when it has, its
// parent. For telling whoever was refused.
const struct ceiling *ceiling_lacking(const struct ceiling *ceiling, uint64_t n);

enum { CEILING_TEXT_MAX = 192 };

// ceiling_text writes the sentence for whoever ran into a limit.
void ceiling_text(char out[CEILING_TEXT_MAX], const char *name, uint64_t max);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_CEILING_H_
