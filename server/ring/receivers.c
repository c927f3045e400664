#include "server/ring/receivers.h"

#include <stddef.h>

// How long the line is kept after somebody has found no buffer.
enum { SHORT_TURNS = 16 };

void receivers_init(struct receivers *receivers, unsigned num_buffers) {
  list_init(&receivers->starved);
  list_init(&receivers->behind);
  receivers->per_turn = num_buffers;
  receivers->short_until = 0;
}

void receiver_init(struct receiver *receiver, void (*start)(struct receiver *receiver)) {
  list_init(&receiver->link);
  receiver->start = start;
}

void receivers_starve(struct receivers *receivers, struct receiver *receiver, uint64_t turn) {
  receivers->short_until = turn + SHORT_TURNS;
  list_remove(&receiver->link);
  list_push_back(&receivers->starved, &receiver->link);
}

void receivers_queue(struct receivers *receivers, struct receiver *receiver) {
  if (list_empty(&receiver->link)) {
    list_push_back(&receivers->behind, &receiver->link);
  }
}

void receiver_withdraw(struct receiver *receiver) {
  list_remove(&receiver->link);
}

bool receivers_short(const struct receivers *receivers, uint64_t turn) {
  return turn < receivers->short_until;
}

bool receivers_waiting(const struct receivers *receivers) {
  return !list_empty(&receivers->starved) || !list_empty(&receivers->behind);
}

static struct list *next_in_line(struct receivers *receivers) {
  struct list *first = list_pop_front(&receivers->starved);
  return first != NULL ? first : list_pop_front(&receivers->behind);
}

void receivers_run(struct receivers *receivers) {
  for (unsigned i = 0; i < receivers->per_turn; i++) {
    struct list *link = next_in_line(receivers);
    if (link == NULL) {
      return;
    }
    struct receiver *receiver = LIST_ENTRY(link, struct receiver, link);
    receiver->start(receiver);
  }
}
