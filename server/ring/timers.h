// A heap of timers, the earliest on top. For this folder only.
#ifndef TLSAGENT_SERVER_RING_TIMERS_H_
#define TLSAGENT_SERVER_RING_TIMERS_H_

#include <stddef.h>

#include "server/ring/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

// The time stands beside the timer, so that looking for a place touches no timer but those that
// move: with thousands of them each is far away in memory.
struct timers_slot {
  clock_time when;
  struct timer *timer;
};

// Always true: len <= capacity <= max, and heap[timer->place - 1].timer == timer for each timer in
// it.
struct timers {
  struct timers_slot *heap;
  size_t len;
  size_t capacity;
  size_t max;
};

void timers_init(struct timers *timers, size_t max);
void timers_cleanup(struct timers *timers);

// timers_set puts the timer in, or moves it. RESOURCE_EXHAUSTED past the ceiling or without memory;
// a timer that was set then keeps its old time.
status_t timers_set(struct timers *timers, struct timer *timer, clock_time when);
void timers_cancel(struct timers *timers, struct timer *timer);

// timers_next returns when the earliest fires, or CLOCK_NEVER.
clock_time timers_next(const struct timers *timers);

// timers_fire runs all that are due at now, earliest first. One that is set again while it runs,
// for a time that has passed too, waits for the next call.
void timers_fire(struct timers *timers, clock_time now);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RING_TIMERS_H_
