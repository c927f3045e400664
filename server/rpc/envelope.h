// What is inside a ttrpc frame: a Request read where it lies, a Response written where it goes.
#ifndef TLSAGENT_SERVER_RPC_ENVELOPE_H_
#define TLSAGENT_SERVER_RPC_ENVELOPE_H_

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/slice.h"
#include "server/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

// The metadata key whose value joins a connection to a client (tenant.h), in hexadecimal.
#define TOKEN_KEY "tlsagent-token"

// A ttrpc.Request; the slices point into the frame.
struct envelope {
  struct slice service;
  struct slice method;
  struct slice payload;
  int64_t timeout_nano;
  bool has_token;
  struct slice token;  // the first value of TOKEN_KEY
};

// envelope_parse reads a serialized ttrpc.Request. False when it is none. Fields it does not know
// are passed over; of a field that comes twice the last counts.
bool envelope_parse(struct slice body, struct envelope *out);

// How many bytes an answer takes.
struct reply_size {
  size_t payload;  // of the response message
  size_t frame;    // of all of it, header included; SIZE_MAX when that is no frame any more
};

// reply_measure measures the answer with response; reply_write writes exactly size.frame bytes.
struct reply_size reply_measure(const ProtobufCMessage *response);
void reply_write(uint8_t *out, struct reply_size size, uint32_t stream_id,
                 const ProtobufCMessage *response);

// The most a failure takes: its text is cut to FAILURE_TEXT_MAX bytes.
enum { FAILURE_TEXT_MAX = 480, FAILURE_FRAME_MAX = 512 };

// failure_write writes an answer with a status, and returns how many bytes it took. Text that
// is not UTF-8 is mended: a peer's parser would refuse the whole answer for it.
size_t failure_write(uint8_t out[FAILURE_FRAME_MAX], uint32_t stream_id, enum status_code code,
                     const char *text);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_ENVELOPE_H_
