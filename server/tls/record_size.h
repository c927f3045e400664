// How large the records of a stream should be. What a record holds can be read only when all of it
// has come: while a connection is young, or was idle, and the network gives it a few packets at a
// time, a record that fits in one of them reaches the reader sooner; later on a large one costs
// both ends less. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_RECORD_SIZE_H_
#define TLSAGENT_SERVER_TLS_RECORD_SIZE_H_

#include <stddef.h>
#include <stdint.h>

#include "server/base/clock.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  // What is left of Ethernet's 1500 bytes after IPv6, TCP with timestamps and the most that TLS
  // adds.
  RECORD_SIZE_PACKET = 1369,
  RECORD_SIZE_SMALL_UNTIL = 16 * 1024,   // bytes in records of one packet: what TCP begins with
  RECORD_SIZE_MEDIUM_UNTIL = 64 * 1024,  // then in records of RECORD_SIZE_MEDIUM
  RECORD_SIZE_MEDIUM = 3 * RECORD_SIZE_PACKET,
  RECORD_SIZE_LARGE = 16 * 1024,  // then as large as TLS has them
  RECORD_SIZE_IDLE_MILLIS = 1000  // after which it begins anew, as TCP does (RFC 5681, 4.1)
};

// All zero: nothing was written yet.
struct record_size {
  uint64_t written;  // bytes since it began
  clock_time last;
};

// record_size_begin notes that somebody writes now.
void record_size_begin(struct record_size *size, clock_time now);

// record_size_next gives the most bytes that the next record should hold.
size_t record_size_next(const struct record_size *size);

// record_size_written counts the bytes of a record.
void record_size_written(struct record_size *size, size_t len);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_RECORD_SIZE_H_
