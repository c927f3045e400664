// Faults: the kernel's failures, on demand. Tools that fail system calls don't reach what runs on a
// ring, so the loop itself can be told what shall go wrong.
#ifndef TLSAGENT_SERVER_RING_FAULTS_H_
#define TLSAGENT_SERVER_RING_FAULTS_H_

#include <stdbool.h>
#include <stddef.h>

#include "server/ring/loop.h"
#include "server/ring/op.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FAULT_IN_ENTER = OP_KIND_COUNT };  // io_uring_enter itself; only FAULT_ERRNO

enum fault_effect {
  FAULT_ERRNO,  // fails with errno value, and never gets to the kernel
  FAULT_SHORT,  // moves at most value bytes (OP_RECV*, OP_SEND, OP_SENDMSG)
  FAULT_LATE    // what the kernel answered is seen value turns later
};

// The nth operation of a kind (counted from 1), and the times - 1 after it, suffer the effect.
struct fault {
  int where;  // enum op_kind, or FAULT_IN_ENTER
  unsigned nth;
  unsigned times;
  enum fault_effect effect;
  int value;
  unsigned seen;  // counted by the loop: how many of this kind there were
};

struct faults {
  struct fault *table;
  size_t num;
};

// loop_set_faults makes the loop suffer the faults, which stay the caller's; NULL ends it.
void loop_set_faults(struct loop *loop, struct faults *faults);

// faults_match counts one occurrence of where for each fault of the given effect, and returns the
// first that strikes, or NULL. faults may be NULL.
const struct fault *faults_match(struct faults *faults, int where, enum fault_effect effect);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RING_FAULTS_H_
