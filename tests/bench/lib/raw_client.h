// The least ttrpc client there can be: one blocking socket, frames made and read in place.
#ifndef TLSAGENT_TESTS_BENCH_LIB_RAW_CLIENT_H_
#define TLSAGENT_TESTS_BENCH_LIB_RAW_CLIENT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/lib/wire.h"

enum { FRAME_HEADER = 10, REQUEST_ROOM = 16384, QUEUE_ROOM = 1 << 18, REPLY_ROOM = 1 << 18 };

struct raw_client {
  int fd;
  uint32_t stream;            // the next call's; odd, and growing
  struct wire_writer writer;  // over request
  size_t queued;              // bytes of queue
  size_t in_start;            // reply: bytes from here
  size_t in_end;              // to here have been received and not been looked at
  uint8_t request[REQUEST_ROOM];
  uint8_t queue[QUEUE_ROOM];
  uint8_t reply[REPLY_ROOM];
};

struct raw_method {
  const char *service;
  const char *method;
};

// raw_open connects. NULL: it failed, and said why.
struct raw_client *raw_open(const char *path);
void raw_close(struct raw_client *client);

// raw_request returns where to put the fields of the next request.
struct wire_writer *raw_request(struct raw_client *client);

// raw_frame makes a frame of what was put, and returns it; it lives until the next raw_request().
struct view raw_frame(struct raw_client *client, const struct raw_method *method);

// raw_post makes a frame and queues it. It returns the call's stream id.
uint32_t raw_post(struct raw_client *client, const struct raw_method *method);

// raw_flush sends what is queued.
bool raw_flush(struct raw_client *client);

// raw_has_reply returns whether a whole reply has been received that raw_next() hasn't given.
bool raw_has_reply(const struct raw_client *client);

// raw_next waits for the next reply, of any call. A refused call is a failure. *out_message lives
// until the next raw_next().
bool raw_next(struct raw_client *client, uint32_t *out_stream, struct view *out_message);

// raw_call posts, flushes and waits for that one reply.
bool raw_call(struct raw_client *client, const struct raw_method *method, struct view *out_message);

#endif  // TLSAGENT_TESTS_BENCH_LIB_RAW_CLIENT_H_
