#include "server/ring/mailbox.h"

#include <stddef.h>

void mailbox_init(struct mailbox *mailbox) {
  *mailbox = (struct mailbox){0};
}

// Sleeping and putting are a pair of "write mine, then read yours" on newest and asleep, in one
// total order (SEQ_CST). So at least one of the two sees the other: the owner the message, or the
// sender that the owner sleeps.
bool mailbox_put(struct mailbox *mailbox, struct message *message) {
  struct message *before = __atomic_load_n(&mailbox->newest, __ATOMIC_RELAXED);
  do {
    message->next = before;
  } while (!__atomic_compare_exchange_n(&mailbox->newest, &before, message, true, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED));
  return __atomic_load_n(&mailbox->asleep, __ATOMIC_SEQ_CST) &&
         __atomic_exchange_n(&mailbox->asleep, false, __ATOMIC_SEQ_CST);
}

static struct message *reversed(struct message *newest) {
  struct message *oldest = NULL;
  while (newest != NULL) {
    struct message *before = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = before;
  }
  return oldest;
}

struct message *mailbox_take(struct mailbox *mailbox) {
  if (__atomic_load_n(&mailbox->newest, __ATOMIC_RELAXED) == NULL) {
    return NULL;
  }
  return reversed(__atomic_exchange_n(&mailbox->newest, NULL, __ATOMIC_ACQUIRE));
}

bool mailbox_may_sleep(struct mailbox *mailbox) {
  __atomic_store_n(&mailbox->asleep, true, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&mailbox->newest, __ATOMIC_SEQ_CST) == NULL) {
    return true;
  }
  mailbox_wake_up(mailbox);
  return false;
}

void mailbox_wake_up(struct mailbox *mailbox) {
  __atomic_store_n(&mailbox->asleep, false, __ATOMIC_SEQ_CST);
}
