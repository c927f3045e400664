// The same loop against two servers: one sends the frame of a ping back, one answers it.
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/lib/base.h"
#include "tests/bench/lib/contender.h"
#include "tests/bench/lib/exchange.h"
#include "tests/bench/lib/raw_client.h"

enum { PING_PAYLOAD = 1, STREAM_AT = 4 };

static const struct raw_method PING = {"tlsagent.v1.AgentService", "Ping"};

struct ping {
  struct raw_client *client;
  uint32_t stream;
  size_t len;        // of the message, which stands in client->queue
  size_t reply_len;  // of the answer, which always has the same
};

static void make_message(struct ping *ping, size_t payload) {
  static const uint8_t zeros[PAYLOAD_BYTES];
  if (payload != 0) {
    wire_put_bytes(raw_request(ping->client), PING_PAYLOAD, zeros, payload);
  } else {
    raw_request(ping->client);
  }
  raw_post(ping->client, &PING);
  ping->len = ping->client->queued;
}

static struct ping *open_at(const char *path, size_t payload) {
  struct ping *ping = calloc(1, sizeof(*ping));
  if (ping == NULL || (ping->client = raw_open(path)) == NULL) {
    free(ping);
    return NULL;
  }
  make_message(ping, payload);
  return ping;
}

static void ping_close(void *self) {
  struct ping *ping = self;
  raw_close(ping->client);
  free(ping);
}

static void *bare_open(const struct stage *stage, size_t payload) {
  struct ping *ping = open_at(stage->echo.path, payload);
  if (ping != NULL) {
    ping->reply_len = ping->len;
  }
  return ping;
}

static void *ping_open(const struct stage *stage, size_t payload) {
  struct ping *ping = open_at(stage->daemon.path, payload);
  struct view message;
  uint32_t stream;
  if (ping == NULL) {
    return NULL;
  }
  // The first one tells how long an answer is.
  if (!raw_flush(ping->client) || !raw_next(ping->client, &stream, &message)) {
    ping_close(ping);
    return NULL;
  }
  ping->stream = stream;
  ping->reply_len = ping->client->in_end;
  return ping;
}

static bool ping_run(void *self, struct turn *turn) {
  struct ping *ping = self;
  uint8_t *message = ping->client->queue;
  uint8_t *reply = ping->client->reply;
  while (turn_goes_on(turn)) {
    uint32_t stream = htobe32(ping->stream += 2);
    memcpy(message + STREAM_AT, &stream, sizeof(stream));
    if (!exchange(ping->client->fd, (struct view){message, ping->len}, reply, ping->reply_len)) {
      return false;
    }
    if (memcmp(reply + STREAM_AT, &stream, sizeof(stream)) != 0) {
      return fail("a ping got another's answer");
    }
    turn_add(turn);
  }
  return true;
}

const struct kind bare_echo = {bare_open, ping_run, ping_close};
const struct kind raw_ping = {ping_open, ping_run, ping_close};
