// A codec: how one protocol is spoken on a connection. Which one it is, the first bytes tell.
//
// An answer has two steps. Packing makes bytes of a message, on whichever thread its call is;
// sending gives them to the peer, at home: ttrpc appends a frame to the output, gRPC hands HTTP/2 a
// message that goes as the peer's windows allow.
#ifndef TLSAGENT_SERVER_RPC_CODEC_H_
#define TLSAGENT_SERVER_RPC_CODEC_H_

#include "server/base/slice.h"
#include "server/rpc/attachments.h"
#include "server/rpc/envelope.h"
#include "server/rpc/frame.h"

#ifdef __cplusplus
extern "C" {
#endif

struct connection;
struct sentence;

// An answer that was packed away from where it is sent: memory of malloc(3), charged to
// reply_bytes.
struct packed {
  uint8_t *data;
  size_t len;
};

enum { CODEC_REFUSAL_MAX = FAILURE_FRAME_MAX };

struct codec {
  const char *name;
  bool carries_fds;  // descriptors can travel with a request, and with an answer

  // What a peer hears that is refused without having asked anything. Returns how many bytes.
  size_t (*refusal)(uint8_t out[CODEC_REFUSAL_MAX], const char *text);

  // What a connection needs. RESOURCE_EXHAUSTED without memory.
  status_t (*begin)(struct connection *connection);
  // Turns bytes and the descriptors that arrived with them into calls.
  void (*receive)(struct connection *connection, struct slice data, struct attachments *arrived);
  // Gives back what the connection's part of the codec holds.
  void (*end)(struct connection *connection);
  // Says that no new calls are taken. NULL where a protocol has no words for that.
  void (*drain)(struct connection *connection);
  // A number other than 0 when something that the peer began to say isn't complete: another one for
  // each thing. give_up is called for one that has taken too long.
  uint64_t (*unfinished)(const struct connection *connection);
  void (*give_up)(struct connection *connection);

  // Packing. Any thread.
  struct reply_size (*measure)(const ProtobufCMessage *response);
  void (*pack)(uint8_t *out, struct reply_size size, uint32_t stream_id,
               const ProtobufCMessage *response);

  // Sending, on home. reply packs the answer where it is sent from; send takes one that was packed
  // elsewhere. Both take fd over (-1: none), in any case, and fail with nothing sent and a sentence
  // that says which limit is in the way. fail sends a status.
  status_t (*reply)(struct connection *connection, uint32_t stream_id,
                    const ProtobufCMessage *response, int fd, struct sentence *why);
  status_t (*send)(struct connection *connection, uint32_t stream_id, struct packed packed, int fd,
                   struct sentence *why);
  void (*fail)(struct connection *connection, uint32_t stream_id, enum status_code code,
               const char *text);

  // Streaming calls. The same two steps for one of many messages; finish ends a call well. taken
  // says that the inbox has less in it (NULL where a peer can't be made to wait).
  struct reply_size (*measure_message)(const ProtobufCMessage *message);
  void (*pack_message)(uint8_t *out, struct reply_size size, uint32_t stream_id,
                       const ProtobufCMessage *message);
  status_t (*send_message)(struct connection *connection, uint32_t stream_id, struct packed packed,
                           struct sentence *why);
  void (*finish)(struct connection *connection, uint32_t stream_id);
  void (*taken)(struct connection *connection, uint32_t stream_id);

  // Moves what waits to be sent into the output, as far as there is room. NULL where nothing waits.
  void (*fill)(struct connection *connection);
};

// codec_for chooses by the first bytes of a connection, NULL when they are nobody's. A ttrpc header
// begins with a zero, HTTP/2 with "PRI ", a line about a descriptor with "TOKEN ".
const struct codec *codec_for(struct slice first);

extern const struct codec codec_ttrpc;
extern const struct codec codec_grpc;
extern const struct codec codec_token;

// What ttrpc keeps for a connection.
struct ttrpc_state {
  struct frame_reader reader;
  uint32_t last_stream_id;
  uint64_t num_frames;             // that began
  uint64_t charged;                // of share->request_bytes, for the frame under way
  struct attachments descriptors;  // of the frame under way
};

// "TOKEN put " or "TOKEN get ", a token of deposit.h in hexadecimal, and the line's end.
enum { TOKEN_LINE_LEN = 10 + 32 + 1 };

// What is kept of a line that isn't whole, and of what came with it.
struct token_state {
  char line[TOKEN_LINE_LEN];
  size_t len;
  struct attachments descriptors;
};

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_CODEC_H_
