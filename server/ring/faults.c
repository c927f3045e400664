#include "server/ring/faults.h"

#include "server/ring/loop_private.h"

void loop_set_faults(struct loop *loop, struct faults *faults) {
  OBJECT_CHECK(loop, LOOP_MAGIC);
  loop->faults = faults;
}

static bool strikes(const struct fault *fault) {
  return fault->seen >= fault->nth && fault->seen - fault->nth < fault->times;
}

const struct fault *faults_match(struct faults *faults, int where, enum fault_effect effect) {
  if (faults == NULL) {
    return NULL;
  }
  const struct fault *found = NULL;
  for (size_t i = 0; i < faults->num; i++) {
    struct fault *fault = &faults->table[i];
    if (fault->where != where || fault->effect != effect) {
      continue;
    }
    fault->seen++;
    if (found == NULL && strikes(fault)) {
      found = fault;
    }
  }
  return found;
}

// The turn of the operation's last result that is held back, or 0. What comes after it must not
// overtake it.
static uint64_t turn_of_last(const struct loop *loop, const struct ring_op *op) {
  uint64_t turn = 0;
  for (size_t i = 0; i < loop->num_late; i++) {
    turn = loop->late[i].completion.op == op ? loop->late[i].turn : turn;
  }
  return turn;
}

bool faults_hold(struct loop *loop, const struct completion *completion) {
  if (loop->faults == NULL && loop->num_late == 0) {
    return false;
  }
  const struct fault *fault = faults_match(loop->faults, (int)completion->op->kind, FAULT_LATE);
  uint64_t turn = fault == NULL ? 0 : loop->stats.turns + (uint64_t)fault->value;
  uint64_t last = turn_of_last(loop, completion->op);
  turn = turn > last ? turn : last;
  if (turn == 0 || loop->num_late == LATE_MAX) {
    return false;
  }
  loop->late[loop->num_late++] = (struct late_completion){.completion = *completion, .turn = turn};
  return true;
}

void faults_release(struct loop *loop) {
  size_t kept = 0;
  for (size_t i = 0; i < loop->num_late; i++) {
    struct late_completion late = loop->late[i];
    bool due = late.turn <= loop->stats.turns && loop->num_completions < COMPLETIONS_MAX;
    if (due) {
      loop->completions[loop->num_completions++] = late.completion;
    } else {
      loop->late[kept++] = late;
    }
  }
  loop->num_late = kept;
}
