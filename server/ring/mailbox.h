// A mailbox: many threads put messages in, one takes them all out. No locks. For this folder only.
#ifndef TLSAGENT_SERVER_RING_MAILBOX_H_
#define TLSAGENT_SERVER_RING_MAILBOX_H_

#include <stdbool.h>

#include "server/ring/worker.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mailbox {
  struct message *newest;  // each points at the one before it
  bool asleep;             // the owner waits, or is about to, and has to be woken
};

void mailbox_init(struct mailbox *mailbox);

// mailbox_put adds a message, from any thread. True: the caller, and nobody else, has to wake the
// owner.
bool mailbox_put(struct mailbox *mailbox, struct message *message);

// mailbox_take takes all messages out, oldest first, or returns NULL. For the owner.
struct message *mailbox_take(struct mailbox *mailbox);

// mailbox_may_sleep says that the owner is about to wait. False: it must not, there is a message.
// mailbox_wake_up says that it is up again.
bool mailbox_may_sleep(struct mailbox *mailbox);
void mailbox_wake_up(struct mailbox *mailbox);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RING_MAILBOX_H_
