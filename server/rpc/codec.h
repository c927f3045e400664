// A codec: how one protocol is spoken on a connection. Which one it is, the first bytes tell.
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

struct codec {
  const char *name;
  void (*begin)(struct connection *connection);
  // Turns bytes and the descriptors that arrived with them into calls.
  void (*receive)(struct connection *connection, struct slice data, struct attachments *arrived);
  // Gives back what the connection's part of the codec holds.
  void (*end)(struct connection *connection);
  // Answers, as bytes. May be called on any thread.
  struct reply_size (*measure)(const ProtobufCMessage *response);
  void (*write)(uint8_t *out, struct reply_size size, uint32_t stream_id,
                const ProtobufCMessage *response);
  size_t (*write_failure)(uint8_t out[FAILURE_FRAME_MAX], uint32_t stream_id, enum status_code code,
                          const char *text);
};

// codec_for chooses by the first bytes of a connection, NULL when they are nobody's. A ttrpc header
// begins with a zero; HTTP/2 would begin with "PRI ".
const struct codec *codec_for(struct slice first);

extern const struct codec codec_ttrpc;

// What ttrpc keeps for a connection.
struct ttrpc_state {
  struct frame_reader reader;
  uint32_t last_stream_id;
  uint64_t charged;                // of server->request_bytes, for the frame under way
  struct attachments descriptors;  // of the frame under way
};

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RPC_CODEC_H_
