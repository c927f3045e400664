#include "client/python/bulk.h"

#include <string.h>

#include "client/python/records.h"

enum {
  FLIGHTS_MAX = 4,
  CIPHER_CHUNK = BULK_CHUNK + BULK_CHUNK / 16384 * RECORD_OVERHEAD  // the same records, encrypted
};

// One call in flight.
struct flight {
  size_t len;  // bytes that it carries
  bool over;
  bool ok;
  void *reply;
  struct tlsagent_error error;
};

// The calls in flight, in the order in which they were made.
struct bulk {
  struct ssl_socket *socket;
  struct tlsagent_client *client;
  struct call *call;
  struct flight flights[FLIGHTS_MAX];
  size_t first;
  size_t num;
  size_t submitted;  // bytes
  bool broken;       // one of them did less than all: what comes after it is worth nothing
};

static void land(void *user, bool ok, void *reply, const struct tlsagent_error *error) {
  struct flight *flight = user;
  flight->over = true;
  flight->ok = ok;
  flight->reply = reply;
  if (!ok) {
    flight->error = *error;
  }
}

static bool submit(struct bulk *bulk, enum tlsagent_method method, const void *request,
                   size_t len) {
  struct flight *flight = &bulk->flights[(bulk->first + bulk->num) % FLIGHTS_MAX];
  *flight = (struct flight){.len = len};
  if (tlsagent_submit(bulk->client, method, request, 0, land, flight, &bulk->call->error) == 0) {
    return false;
  }
  bulk->num++;
  bulk->submitted += len;
  return true;
}

// Waits for the oldest call. It is over even when the connection is lost, with that error.
static struct flight *await_first(struct bulk *bulk) {
  struct flight *flight = &bulk->flights[bulk->first];
  struct tlsagent_error ignored;
  while (!flight->over) {
    (void)tlsagent_wait(bulk->client, &ignored);
  }
  bulk->first = (bulk->first + 1) % FLIGHTS_MAX;
  bulk->num--;
  return flight;
}

static void fail_memory(struct call *call) {
  call->ok = false;
  call->error = (struct tlsagent_error){.fault = TLSAGENT_FAULT_MEMORY, .message = "no memory"};
}

// --- Writing ---

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

static bool submit_write(struct bulk *bulk) {
  const struct tlsagent_bytes *data = &bulk->call->data;
  const size_t len = smaller(data->len - bulk->submitted, BULK_CHUNK);
  const struct tlsagent_session_write_request request = {
      .session = bulk->socket->handle.number,
      .data = tlsagent_bytes_of(data->data + bulk->submitted, len)};
  return submit(bulk, TLSAGENT_SESSION_WRITE, &request, len);
}

// Nothing more is accepted after a call that took less than all: the records of the next ones, if
// there are any, would leave a hole in the stream.
static void account_write(struct bulk *bulk, const struct flight *flight) {
  struct call *call = bulk->call;
  const struct tlsagent_session_write_reply *reply = flight->reply;
  call->ok = flight->ok;
  call->error = flight->error;
  call->reply = flight->reply;
  call->progress = reply == NULL ? NULL : &reply->progress;
  size_t accepted = reply == NULL ? 0 : smaller((size_t)reply->accepted, flight->len);
  call->accepted += accepted;
  bulk->broken = !flight->ok || accepted < flight->len;
  if (flight->ok && bulk->broken && bulk->num > 0) {
    fail_memory(call);  // all that makes a daemon accept less than a few records
  }
}

static void finish_write(struct bulk *bulk, const struct bulk_sink *sink, bool *more) {
  const struct flight *flight = await_first(bulk);
  if (bulk->broken) {
    tlsagent_free(flight->reply);
    return;
  }
  tlsagent_free(bulk->call->reply);
  account_write(bulk, flight);
  if (bulk->call->progress != NULL) {
    call_queue_output(bulk->socket, bulk->call);
    *more = sink->take(sink->user) && *more;
  }
}

static void write_all(struct bulk *bulk, const struct bulk_sink *sink) {
  const size_t len = bulk->call->data.len;
  bool more = true;
  do {
    while (more && !bulk->broken && bulk->num < FLIGHTS_MAX && bulk->submitted < len) {
      more = submit_write(bulk);
      bulk->call->ok = more;
    }
    if (bulk->num > 0) {
      finish_write(bulk, sink, &more);
    }
  } while (bulk->num > 0 || (more && !bulk->broken && bulk->submitted < len));
}

void bulk_write(struct ssl_socket *socket, struct call *call, const struct bulk_sink *sink) {
  struct bulk bulk = {.socket = socket, .call = call};
  call_start(call);
  pthread_mutex_lock(&socket->calling);
  bulk.client = agent_take(&socket->handle, &call->error);
  if (bulk.client != NULL) {
    write_all(&bulk, sink);
    agent_give(bulk.client);
  }
  pthread_mutex_unlock(&socket->calling);
}

// --- Reading ---

static bool submit_read(struct bulk *bulk) {
  const struct tlsagent_bytes *data = &bulk->call->feed.data;
  const uint8_t *from = data->data + bulk->submitted;
  const size_t left = data->len - bulk->submitted;
  const size_t len = records_of_data(from, left, CIPHER_CHUNK);
  const struct tlsagent_session_read_request request = {
      .session = bulk->socket->handle.number,
      .max_bytes = (uint32_t)len,
      .feed = {tlsagent_bytes_of(from, len), false},
      .exact_bytes = (uint32_t)len};
  return len > 0 && submit(bulk, TLSAGENT_SESSION_READ, &request, len);
}

static void account_read(struct bulk *bulk, const struct flight *flight, uint8_t *out,
                         size_t *out_used) {
  struct call *call = bulk->call;
  const struct tlsagent_session_read_reply *reply = flight->reply;
  call->ok = flight->ok;
  call->error = flight->error;
  call->reply = flight->reply;
  call->progress = reply == NULL ? NULL : &reply->progress;
  if (reply == NULL) {
    bulk->broken = true;
    return;
  }
  const size_t used = smaller((size_t)reply->progress.input_consumed, flight->len);
  const size_t len = smaller(reply->data.len, flight->len);
  if (len > 0) {
    memcpy(out + call->accepted, reply->data.data, len);
  }
  call->accepted += len;
  call->pending = reply->pending;
  *out_used += used;
  bulk->broken = !flight->ok || used < flight->len || reply->more ||
                 reply->progress.state == TLSAGENT_STATE_CLOSED;
  call->more = bulk->broken && call->accepted > 0;  // what ended it is told again
}

static void finish_read(struct bulk *bulk, uint8_t *out, size_t *out_used) {
  const struct flight *flight = await_first(bulk);
  if (bulk->broken) {
    tlsagent_free(flight->reply);
    return;
  }
  tlsagent_free(bulk->call->reply);
  account_read(bulk, flight, out, out_used);
  if (bulk->call->progress != NULL) {
    call_queue_output(bulk->socket, bulk->call);
  }
}

static void read_all(struct bulk *bulk, uint8_t *out, size_t *out_used) {
  const size_t len = bulk->call->feed.data.len;
  bool more = true;
  do {
    while (more && !bulk->broken && bulk->num < FLIGHTS_MAX && bulk->submitted < len) {
      more = submit_read(bulk);
      bulk->call->ok = more;
    }
    if (bulk->num > 0) {
      finish_read(bulk, out, out_used);
    }
  } while (bulk->num > 0 || (more && !bulk->broken && bulk->submitted < len));
}

void bulk_read(struct ssl_socket *socket, struct call *call, uint8_t *out, size_t *out_used) {
  struct bulk bulk = {.socket = socket, .call = call};
  *out_used = 0;
  call_start(call);
  pthread_mutex_lock(&socket->calling);
  bulk.client = agent_take(&socket->handle, &call->error);
  if (bulk.client != NULL) {
    read_all(&bulk, out, out_used);
    agent_give(bulk.client);
  }
  pthread_mutex_unlock(&socket->calling);
}
