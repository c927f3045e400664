#include "server/ring/timers.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

enum {
  FIRST_CAPACITY = 64,
  BRANCHES = 4  // slots below one: they lie together, and the heap is half as deep as with two
};

void timers_init(struct timers *timers, size_t max) {
  *timers = (struct timers){.max = max};
}

void timers_cleanup(struct timers *timers) {
  free(timers->heap);
  timers_init(timers, timers->max);
}

static void put(struct timers *timers, size_t place, struct timers_slot slot) {
  timers->heap[place - 1] = slot;
  slot.timer->place = place;
}

static struct timers_slot at(const struct timers *timers, size_t place) {
  return timers->heap[place - 1];
}

// Returns the place that the slot may have, which is free now: `place` or one above it.
static size_t sift_up(struct timers *timers, size_t place, clock_time when) {
  while (place > 1) {
    size_t above = (place - 2) / BRANCHES + 1;
    if (at(timers, above).when <= when) {
      return place;
    }
    put(timers, place, at(timers, above));
    place = above;
  }
  return place;
}

// The place of the earliest of those below, or 0 when there is none.
static size_t earliest_child(const struct timers *timers, size_t place) {
  size_t first = (place - 1) * BRANCHES + 2;
  if (first > timers->len) {
    return 0;
  }
  size_t earliest = first;
  for (size_t child = first + 1; child < first + BRANCHES && child <= timers->len; child++) {
    earliest = at(timers, child).when < at(timers, earliest).when ? child : earliest;
  }
  return earliest;
}

// The same downwards.
static size_t sift_down(struct timers *timers, size_t place, clock_time when) {
  size_t child = earliest_child(timers, place);
  while (child != 0 && at(timers, child).when < when) {
    put(timers, place, at(timers, child));
    place = child;
    child = earliest_child(timers, place);
  }
  return place;
}

// Puts the slot where it belongs, from a place that is free.
static void settle(struct timers *timers, size_t place, struct timers_slot slot) {
  place = sift_up(timers, place, slot.when);
  put(timers, sift_down(timers, place, slot.when), slot);
}

static status_t grow(struct timers *timers) {
  if (timers->len < timers->capacity) {
    return OK_STATUS;
  }
  ENSURE(timers->capacity < timers->max, RESOURCE_EXHAUSTED);
  size_t capacity = timers->capacity == 0 ? FIRST_CAPACITY : timers->capacity * 2;
  capacity = capacity < timers->max ? capacity : timers->max;
  struct timers_slot *heap = reallocarray(timers->heap, capacity, sizeof(*heap));
  ENSURE(heap != NULL, RESOURCE_EXHAUSTED);
  timers->heap = heap;
  timers->capacity = capacity;
  return OK_STATUS;
}

status_t timers_set(struct timers *timers, struct timer *timer, clock_time when) {
  if (timer->place == 0) {
    TRY(grow(timers));
    timers->len++;
    timer->place = timers->len;
  } else {
    assert(at(timers, timer->place).timer == timer);
  }
  timer->when = when;
  settle(timers, timer->place, (struct timers_slot){.when = when, .timer = timer});
  return OK_STATUS;
}

void timers_cancel(struct timers *timers, struct timer *timer) {
  if (timer->place == 0) {
    return;
  }
  assert(at(timers, timer->place).timer == timer);
  struct timers_slot last = at(timers, timers->len);
  size_t place = timer->place;
  timers->len--;
  timer->place = 0;
  if (last.timer != timer) {
    settle(timers, place, last);
  }
}

clock_time timers_next(const struct timers *timers) {
  return timers->len == 0 ? CLOCK_NEVER : at(timers, 1).when;
}

void timers_fire(struct timers *timers, clock_time now) {
  // A callback that always asks for "now" must not keep the loop here for ever.
  size_t most = timers->len;
  for (size_t fired = 0; fired < most && timers_next(timers) <= now; fired++) {
    struct timer *timer = at(timers, 1).timer;
    timers_cancel(timers, timer);
    timer->fire(timer);
  }
}
