#include "server/tls/record_size.h"

void record_size_begin(struct record_size *size, clock_time now) {
  if (now >= clock_add(size->last, RECORD_SIZE_IDLE_MILLIS * NANOS_PER_MILLI)) {
    size->written = 0;
  }
  size->last = now;
}

size_t record_size_next(const struct record_size *size) {
  if (size->written < RECORD_SIZE_SMALL_UNTIL) {
    return RECORD_SIZE_PACKET;
  }
  return size->written < RECORD_SIZE_MEDIUM_UNTIL ? RECORD_SIZE_MEDIUM : RECORD_SIZE_LARGE;
}

void record_size_written(struct record_size *size, size_t len) {
  size->written += len;
}
