// Inside of gRPC: HTTP/2 by nghttp2 on one side, calls on the other. Only the grpc_*.c include
// this.
//
//   grpc.c          the session: what nghttp2 tells, floods, the end    grpc_stream.c   one
//   request: its grpc_headers.c  what the headers of a request say                   message, and
//   its call grpc_answer.c   messages and statuses on their way out
//
// nghttp2 calls back from inside of grpc_receive and grpc_fill. Answers are submitted from there as
// from anywhere else; but it must not be asked for output, nor be freed, before it has returned.
#ifndef TLSAGENT_SERVER_RPC_GRPC_PRIV_H_
#define TLSAGENT_SERVER_RPC_GRPC_PRIV_H_

#include <nghttp2/nghttp2.h>

#include "server/rpc/grpc_budget.h"
#include "server/rpc/grpc_memory.h"
#include "server/rpc/rpc_priv.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { GRPC_STREAM_MAGIC = 0x67726c11 };

enum {
  // What a peer may send unasked: a message of 64 KiB takes no round trip on a new stream. More is
  // let in
  // as it is stored, which is after it was charged.
  GRPC_STREAM_WINDOW = 256 << 10,
  GRPC_CONNECTION_WINDOW = 1 << 20,
  // A streaming call's handler has less than this before it: let more come.
  GRPC_INBOX_LOW = 64 << 10,
  // Counted as HTTP/2 does, with 32 bytes for each field.
  GRPC_HEADER_LIST_MAX = 8 << 10,
  GRPC_FIELD_OVERHEAD = 32,
  // Bytes in the output at a time; the rest waits in its stream. Two sends on their way.
  GRPC_OUTPUT_MAX = 256 << 10,
  // A compressed flag and a length before each message.
  GRPC_PREFIX_BYTES = 5,
  GRPC_PATH_MAX = 256,
  GRPC_TOKEN_MAX = 64,
  // What nghttp2 has for a connection, and for each of its streams (limits.c counts with them).
  GRPC_SESSION_BYTES = 128 << 10,
  GRPC_STREAM_BYTES = 2 << 10,
};

// What the headers of a request say.
struct grpc_headers {
  size_t list_size;
  bool too_large;
  bool is_post;
  bool is_grpc;  // by its content-type
  bool bad_timeout;
  int64_t timeout_nano;  // as in struct envelope
  size_t path_len;
  char path[GRPC_PATH_MAX];
  bool has_token;
  size_t token_len;
  char token[GRPC_TOKEN_MAX];
};

enum grpc_stage {
  GRPC_HEADERS,  // are coming
  GRPC_MESSAGE,  // is coming
  GRPC_STREAMS,  // the call has begun, and messages are coming
  GRPC_CALLED,   // all of the request was there
  GRPC_REFUSED,  // what still comes goes by
};

struct grpc_stream {
  uint32_t magic;
  struct list link;      // in grpc_state.streams
  struct list incoming;  // in grpc_state.incoming, until all of the request has come
  struct connection *connection;
  int32_t id;
  enum grpc_stage stage;
  struct grpc_headers headers;
  bool has_path;  // that names a method; service and name point into the headers
  struct slice service;
  struct slice name;
  const struct method *method;  // NULL when there is none of that name
  // The message that is coming.
  size_t prefix_len;
  uint8_t prefix[GRPC_PREFIX_BYTES];
  size_t length;      // that its prefix tells
  uint64_t charged;   // of share->request_bytes
  struct bytes body;  // what has come of it, or
  struct slice lent;  // all of it where it was received, until grpc_receive returns
  bool compressed;    // it can't be read, and the peer is told what could be
  bool stopped;       // the peer need not send the rest
  size_t unconsumed;  // bytes of its window that are not given back yet
  // The answers that are going.
  struct list answers;           // struct grpc_answer
  size_t answer_sent;            // bytes of the first
  size_t waiting;                // bytes of all that are not in the output yet
  bool submitted;                // HTTP/2 has been given the headers
  bool over;                     // what waits is the last
  bool is_stream;                // the call is told what has gone
  struct grpc_failure *failure;  // the status after it; NULL when all is well
};

// One message of answer, of home's spares.
struct grpc_answer {
  struct list link;
  struct packed packed;  // what doesn't fit into bytes, or was packed elsewhere, is of malloc(3)
  uint8_t bytes[];
};

struct grpc_state {
  nghttp2_session *session;
  struct grpc_memory memory;
  struct grpc_budget budget;
  struct list streams;
  struct list incoming;          // the oldest first
  struct grpc_stream *recent;    // that was looked for last, and will be again; or NULL
  struct grpc_stream *borrower;  // whose message is lent to it; or NULL
  bool greeted;                  // the peer's settings have come
  bool flooded;                  // it has spent its budget
  bool leaving;                  // it was told which stream is the last
};

// grpc_say_goodbye tells the peer that no streams are taken after those that have come. The session
// is over with the last of them.
void grpc_say_goodbye(struct connection *connection);

// grpc_stream_of returns the stream of that id, or NULL when it is closed.
struct grpc_stream *grpc_stream_of(const struct connection *connection, uint32_t id);
// grpc_stream_new makes one whose headers are coming; NULL without memory.
struct grpc_stream *grpc_stream_new(struct connection *connection, int32_t id);
// grpc_stream_data takes bytes of its request; grpc_stream_complete its end. If it ends with them,
// a message that they are all of is not copied but borrowed.
void grpc_stream_data(struct grpc_stream *stream, struct slice data, bool ends);
// grpc_stream_keep copies what is still borrowed when the bytes go.
void grpc_stream_keep(struct grpc_stream *stream);
void grpc_stream_complete(struct grpc_stream *stream);
// grpc_stream_refuse answers why not, and lets the rest of the request go by.
void grpc_stream_refuse(struct grpc_stream *stream, enum status_code code,
                        const struct sentence *why);
// grpc_stream_drop_request gives back what the request holds.
void grpc_stream_drop_request(struct grpc_stream *stream);
// grpc_stream_closed cancels its call, and frees it. grpc_stream_free only frees it.
void grpc_stream_closed(struct grpc_stream *stream);
void grpc_stream_free(struct grpc_stream *stream);

// grpc_stream_open begins a call that messages are to come for.
void grpc_stream_open(struct grpc_stream *stream);
// grpc_stream_consume gives back so much of its window as there is room for.
void grpc_stream_consume(struct grpc_stream *stream);

// grpc_headers_add notes one field.
void grpc_headers_add(struct grpc_headers *headers, struct slice name, struct slice value);
// grpc_headers_complete goes on to the message, or answers why not.
void grpc_headers_complete(struct grpc_stream *stream);

// What codec_grpc does to answer.
struct reply_size grpc_measure(const ProtobufCMessage *response);
void grpc_pack(uint8_t *out, struct reply_size size, uint32_t stream_id,
               const ProtobufCMessage *response);
status_t grpc_reply(struct connection *connection, uint32_t stream_id,
                    const ProtobufCMessage *response, int fd, struct sentence *why);
status_t grpc_send(struct connection *connection, uint32_t stream_id, struct packed packed, int fd,
                   struct sentence *why);
void grpc_fail(struct connection *connection, uint32_t stream_id, enum status_code code,
               const char *text);
status_t grpc_send_message(struct connection *connection, uint32_t stream_id, struct packed packed,
                           struct sentence *why);
void grpc_finish(struct connection *connection, uint32_t stream_id);
// grpc_answer_http answers with a status of HTTP's and nothing else.
void grpc_answer_http(struct grpc_stream *stream, const char *status);
// grpc_answer_drop gives back what the answer holds.
void grpc_answer_drop(struct grpc_stream *stream);
// grpc_answer_data appends the next length bytes of an answer to the output, behind their frame's
// header: nghttp2's send_data_callback.
int grpc_answer_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                     size_t length, nghttp2_data_source *source, void *user_data);
// grpc_has_room tells whether the output takes another frame.
bool grpc_has_room(const struct connection *connection);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_GRPC_PRIV_H_
