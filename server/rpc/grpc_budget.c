#include "server/rpc/grpc_budget.h"

void grpc_budget_init(struct grpc_budget *budget, clock_time now) {
  *budget = (struct grpc_budget){.left = GRPC_BUDGET_MAX, .refilled = now};
}

static void earn(struct grpc_budget *budget, uint64_t n) {
  uint64_t missing = GRPC_BUDGET_MAX - budget->left;
  budget->left += n < missing ? n : missing;
}

// Time that has earned nothing yet goes on counting.
static void refill(struct grpc_budget *budget, clock_time now) {
  const uint64_t nanos_per_piece = NANOS_PER_SECOND / GRPC_BUDGET_PER_SECOND;
  uint64_t earned = (now - budget->refilled) / nanos_per_piece;
  earn(budget, earned);
  budget->refilled += earned * nanos_per_piece;
}

bool grpc_budget_spend(struct grpc_budget *budget, uint64_t cost, clock_time now) {
  refill(budget, now);
  if (budget->left < cost) {
    return false;
  }
  budget->left -= cost;
  return true;
}

void grpc_budget_earn(struct grpc_budget *budget) {
  earn(budget, GRPC_BUDGET_PER_ANSWER);
}
