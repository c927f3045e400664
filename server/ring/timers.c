#include "server/ring/timers.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 64 };

void timers_init(struct timers *timers, size_t max) {
  *timers = (struct timers){.max = max};
}

void timers_cleanup(struct timers *timers) {
  free(timers->heap);
  timers_init(timers, timers->max);
}

static void put(struct timers *timers, size_t place, struct timer *timer) {
  timers->heap[place - 1] = timer;
  timer->place = place;
}

static struct timer *at(const struct timers *timers, size_t place) {
  return timers->heap[place - 1];
}

static void sift_up(struct timers *timers, struct timer *timer) {
  size_t place = timer->place;
  while (place > 1 && at(timers, place / 2)->when > timer->when) {
    put(timers, place, at(timers, place / 2));
    place /= 2;
  }
  put(timers, place, timer);
}

// The place of the earlier of the two below, or 0 when there is none.
static size_t earlier_child(const struct timers *timers, size_t place) {
  size_t left = place * 2;
  if (left > timers->len) {
    return 0;
  }
  size_t right = left + 1;
  bool right_is_earlier = right <= timers->len && at(timers, right)->when < at(timers, left)->when;
  return right_is_earlier ? right : left;
}

static void sift_down(struct timers *timers, struct timer *timer) {
  size_t place = timer->place;
  size_t child = earlier_child(timers, place);
  while (child != 0 && at(timers, child)->when < timer->when) {
    put(timers, place, at(timers, child));
    place = child;
    child = earlier_child(timers, place);
  }
  put(timers, place, timer);
}

static status_t grow(struct timers *timers) {
  if (timers->len < timers->capacity) {
    return OK_STATUS;
  }
  ENSURE(timers->capacity < timers->max, RESOURCE_EXHAUSTED);
  size_t capacity = timers->capacity == 0 ? FIRST_CAPACITY : timers->capacity * 2;
  capacity = capacity < timers->max ? capacity : timers->max;
  struct timer **heap = reallocarray(timers->heap, capacity, sizeof(struct timer *));
  ENSURE(heap != NULL, RESOURCE_EXHAUSTED);
  timers->heap = heap;
  timers->capacity = capacity;
  return OK_STATUS;
}

status_t timers_set(struct timers *timers, struct timer *timer, clock_time when) {
  if (timer->place == 0) {
    TRY(grow(timers));
    timers->len++;
    put(timers, timers->len, timer);
  }
  assert(at(timers, timer->place) == timer);
  timer->when = when;
  sift_up(timers, timer);
  sift_down(timers, timer);
  return OK_STATUS;
}

void timers_cancel(struct timers *timers, struct timer *timer) {
  if (timer->place == 0) {
    return;
  }
  assert(at(timers, timer->place) == timer);
  struct timer *last = at(timers, timers->len);
  size_t place = timer->place;
  timers->len--;
  timer->place = 0;
  if (last != timer) {
    put(timers, place, last);
    sift_up(timers, last);
    sift_down(timers, last);
  }
}

clock_time timers_next(const struct timers *timers) {
  return timers->len == 0 ? CLOCK_NEVER : at(timers, 1)->when;
}

void timers_fire(struct timers *timers, clock_time now) {
  // A callback that always asks for "now" must not keep the loop here for ever.
  size_t most = timers->len;
  for (size_t fired = 0; fired < most && timers_next(timers) <= now; fired++) {
    struct timer *timer = at(timers, 1);
    timers_cancel(timers, timer);
    timer->fire(timer);
  }
}
