// Whose turn it is to receive, when buffers are few. For this folder only.
//
// A multishot receive takes as many buffers as it finds, and who is armed first is served first:
// with too few buffers a chatty stream would get all of them, always. So, from the moment on that
// one found none, receivers stand in line, those that went away empty-handed in front, and each
// takes one.
#ifndef TLSAGENT_SERVER_RING_RECEIVERS_H_
#define TLSAGENT_SERVER_RING_RECEIVERS_H_

#include <stdbool.h>
#include <stdint.h>

#include "server/base/list.h"

#ifdef __cplusplus
extern "C" {
#endif

struct receiver {
  struct list link;
  void (*start)(struct receiver *receiver);
};

struct receivers {
  struct list starved;   // found no buffer
  struct list behind;    // got one, and want another
  unsigned per_turn;     // started in one turn: no more than there are buffers
  uint64_t short_until;  // a turn
};

void receivers_init(struct receivers *receivers, unsigned num_buffers);

void receiver_init(struct receiver *receiver, void (*start)(struct receiver *receiver));

// receivers_starve notes in the given turn that a receiver found no buffer, and queues it.
void receivers_starve(struct receivers *receivers, struct receiver *receiver, uint64_t turn);
// receivers_queue queues one that wants a buffer. Harmless when it is queued.
void receivers_queue(struct receivers *receivers, struct receiver *receiver);
// receiver_withdraw takes it out of the line.
void receiver_withdraw(struct receiver *receiver);

// receivers_short tells whether receivers have to stand in line.
bool receivers_short(const struct receivers *receivers, uint64_t turn);
bool receivers_waiting(const struct receivers *receivers);

// receivers_run starts those whose turn it is, once a turn.
void receivers_run(struct receivers *receivers);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RING_RECEIVERS_H_
