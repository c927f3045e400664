// A budget: how much of what only costs a peer of HTTP/2 may do. What it spends comes back with
// time and with calls that were answered; whoever has nothing left is told to calm down, and
// closed.
#ifndef TLSAGENT_SERVER_RPC_GRPC_BUDGET_H_
#define TLSAGENT_SERVER_RPC_GRPC_BUDGET_H_

#include <stdbool.h>
#include <stdint.h>

#include "server/base/clock.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  GRPC_BUDGET_MAX = 2000,
  GRPC_BUDGET_PER_SECOND = 1000,
  GRPC_BUDGET_PER_ANSWER = 10,  // a client that pings or cancels now and then never runs out
};

struct grpc_budget {
  uint64_t left;
  clock_time refilled;
};

void grpc_budget_init(struct grpc_budget *budget, clock_time now);

// grpc_budget_spend takes cost. False when there is not so much left.
bool grpc_budget_spend(struct grpc_budget *budget, uint64_t cost, clock_time now);

// grpc_budget_earn gives GRPC_BUDGET_PER_ANSWER.
void grpc_budget_earn(struct grpc_budget *budget);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_GRPC_BUDGET_H_
