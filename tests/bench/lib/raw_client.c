#include "tests/bench/lib/raw_client.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/lib/base.h"
#include "tests/bench/lib/exchange.h"

enum { FRAME_REQUEST = 1, FRAME_RESPONSE = 2 };
enum { REQUEST_SERVICE = 1, REQUEST_METHOD = 2, REQUEST_PAYLOAD = 3 };
enum { RESPONSE_STATUS = 1, RESPONSE_PAYLOAD = 2, STATUS_CODE = 1, STATUS_MESSAGE = 2 };

struct raw_client *raw_open(const char *path) {
  struct raw_client *client = calloc(1, sizeof(*client));
  if (client == NULL) {
    fail("no memory for a client");
    return NULL;
  }
  client->fd = connect_to(path, 0);
  if (client->fd < 0) {
    free(client);
    return NULL;
  }
  client->stream = 1;
  return client;
}

void raw_close(struct raw_client *client) {
  if (client != NULL) {
    close(client->fd);
    free(client);
  }
}

struct wire_writer *raw_request(struct raw_client *client) {
  client->writer = (struct wire_writer){client->request, client->request + REQUEST_ROOM};
  return &client->writer;
}

static void put_u32(uint8_t *out, uint32_t value) {
  out[0] = (uint8_t)(value >> 24);
  out[1] = (uint8_t)(value >> 16);
  out[2] = (uint8_t)(value >> 8);
  out[3] = (uint8_t)value;
}

static uint32_t get_u32(const uint8_t *data) {
  return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

struct view raw_frame(struct raw_client *client, const struct raw_method *method) {
  struct wire_writer *writer = &client->writer;
  const uint8_t *end = client->request + REQUEST_ROOM;
  uint8_t header[FRAME_HEADER] = {0};
  wire_put_message(writer, REQUEST_PAYLOAD, end);
  wire_put_bytes(writer, REQUEST_METHOD, method->method, strlen(method->method));
  wire_put_bytes(writer, REQUEST_SERVICE, method->service, strlen(method->service));
  put_u32(header, (uint32_t)(end - writer->at));
  put_u32(header + 4, client->stream);
  header[8] = FRAME_REQUEST;
  wire_put_raw(writer, header, sizeof(header));
  client->stream += 2;
  return (struct view){writer->at, (size_t)(end - writer->at)};
}

uint32_t raw_post(struct raw_client *client, const struct raw_method *method) {
  uint32_t stream = client->stream;
  struct view frame = raw_frame(client, method);
  if (frame.len > QUEUE_ROOM - client->queued) {
    fail("more calls are queued than the queue holds");
    abort();
  }
  memcpy(client->queue + client->queued, frame.data, frame.len);
  client->queued += frame.len;
  return stream;
}

bool raw_flush(struct raw_client *client) {
  size_t len = client->queued;
  client->queued = 0;
  return send_all(client->fd, client->queue, len);
}

// Makes sure that len bytes of the next frame are there.
static bool await(struct raw_client *client, size_t len) {
  if (client->in_start == client->in_end) {
    client->in_start = client->in_end = 0;
  }
  if (len > REPLY_ROOM) {
    return fail("a reply of %zu bytes doesn't fit", len);
  }
  if (client->in_start + len > REPLY_ROOM) {
    memmove(client->reply, client->reply + client->in_start, client->in_end - client->in_start);
    client->in_end -= client->in_start;
    client->in_start = 0;
  }
  while (client->in_end - client->in_start < len) {
    size_t got =
        receive_some(client->fd, client->reply + client->in_end, REPLY_ROOM - client->in_end);
    if (got == 0) {
      return false;
    }
    client->in_end += got;
  }
  return true;
}

static bool refused(struct view status) {
  struct view message = wire_find_bytes(status, STATUS_MESSAGE);
  return fail("the daemon refused a call: code %d, %.*s",
              (int)wire_find_number(status, STATUS_CODE), (int)message.len,
              message.len == 0 ? "" : (const char *)message.data);
}

bool raw_has_reply(const struct raw_client *client) {
  size_t have = client->in_end - client->in_start;
  return have >= FRAME_HEADER && have >= FRAME_HEADER + get_u32(client->reply + client->in_start);
}

bool raw_next(struct raw_client *client, uint32_t *out_stream, struct view *out_message) {
  if (!await(client, FRAME_HEADER)) {
    return false;
  }
  size_t len = FRAME_HEADER + get_u32(client->reply + client->in_start);
  if (!await(client, len)) {
    return false;
  }
  const uint8_t *frame = client->reply + client->in_start;
  struct view response = {frame + FRAME_HEADER, len - FRAME_HEADER};
  client->in_start += len;
  if (frame[8] != FRAME_RESPONSE) {
    return fail("a frame of type %d came", frame[8]);
  }
  struct view status = wire_find_bytes(response, RESPONSE_STATUS);
  if (wire_find_number(status, STATUS_CODE) != 0) {
    return refused(status);
  }
  *out_stream = get_u32(frame + 4);
  *out_message = wire_find_bytes(response, RESPONSE_PAYLOAD);
  return true;
}

bool raw_call(struct raw_client *client, const struct raw_method *method,
              struct view *out_message) {
  uint32_t stream = raw_post(client, method);
  uint32_t answered = 0;
  if (!raw_flush(client) || !raw_next(client, &answered, out_message)) {
    return false;
  }
  return answered == stream || fail("call %u got the answer of %u", stream, answered);
}
