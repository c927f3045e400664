// A share: what the connections of one user id may hold together, so that what one user uses up is
// missed by nobody else.
#ifndef TLSAGENT_SERVER_RPC_SHARE_H_
#define TLSAGENT_SERVER_RPC_SHARE_H_

#include <pthread.h>
#include <sys/types.h>

#include "server/base/limits.h"
#include "server/base/list.h"
#include "server/rpc/ceiling.h"

#ifdef __cplusplus
extern "C" {
#endif

// What is held. Calls may outlive their connection, and hold their part of it until they end.
struct share {
  struct list link;
  uid_t uid;
  unsigned connections;  // under shares->lock
  struct ceiling calls;
  struct ceiling request_bytes;
  struct ceiling reply_bytes;
  struct ceiling descriptors;
};

// All shares, and what they are shares of.
struct shares {
  pthread_mutex_t lock;
  struct list list;
  struct limits limits;
  struct share all;
};

void shares_init(struct shares *shares, const struct limits *limits);
void shares_cleanup(struct shares *shares);

// share_enter finds or makes the share of a user id for one more connection. NULL without memory.
struct share *share_enter(struct shares *shares, uid_t uid);
// share_leave takes the connection away. The share stays as long as calls hold some of it.
void share_leave(struct shares *shares, struct share *share);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_SHARE_H_
