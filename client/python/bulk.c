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

struct bulk;

// What differs between writing and reading.
struct way {
  bool (*submit)(struct bulk *bulk);  // the next call
  // Notes what came of a call that was answered, and whether it did all that it was for.
  void (*account)(struct bulk *bulk, const struct flight *flight);
};

// The calls in flight, in the order in which they were made.
struct bulk {
  const struct way *way;
  struct ssl_socket *socket;
  struct tlsagent_client *client;
  struct call *call;
  size_t len;  // bytes in all
  struct flight flights[FLIGHTS_MAX];
  size_t first;
  size_t num;
  size_t submitted;  // bytes
  bool broken;       // one of them did less than all: what comes after it is worth nothing
  bool stopped;      // no further call is made

  const struct bulk_sink *sink;  // writing
  uint8_t *out;                  // reading
  size_t out_used;
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

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

// Takes the oldest call in. What comes after a broken one is thrown away.
static void finish(struct bulk *bulk) {
  const struct flight *flight = await_first(bulk);
  struct call *call = bulk->call;
  if (bulk->broken) {
    tlsagent_free(flight->reply);
    return;
  }
  tlsagent_free(call->reply);
  call->ok = flight->ok;
  call->error = flight->error;
  call->reply = flight->reply;
  call->progress = NULL;
  if (flight->reply == NULL) {
    bulk->broken = true;
    return;
  }
  bulk->way->account(bulk, flight);
  call_queue_output(bulk->socket, call);
  if (bulk->sink != NULL && !bulk->sink->take(bulk->sink->user)) {
    bulk->stopped = true;
  }
}

static bool goes_on(const struct bulk *bulk) {
  return !bulk->stopped && !bulk->broken && bulk->submitted < bulk->len;
}

static void pump(struct bulk *bulk) {
  do {
    while (goes_on(bulk) && bulk->num < FLIGHTS_MAX) {
      bulk->call->ok = bulk->way->submit(bulk);
      bulk->stopped = !bulk->call->ok;
    }
    if (bulk->num > 0) {
      finish(bulk);
    }
  } while (bulk->num > 0 || goes_on(bulk));
}

static void run(struct bulk *bulk) {
  struct ssl_socket *socket = bulk->socket;
  call_start(bulk->call);
  pthread_mutex_lock(&socket->calling);
  bulk->client = agent_take(&socket->handle, &bulk->call->error);
  if (bulk->client != NULL) {
    pump(bulk);
    agent_give(bulk->client);
  }
  pthread_mutex_unlock(&socket->calling);
}

// --- Writing ---

static bool submit_write(struct bulk *bulk) {
  const uint8_t *data = bulk->call->data.data + bulk->submitted;
  const size_t len = smaller(bulk->len - bulk->submitted, BULK_CHUNK);
  const struct tlsagent_session_write_request request = {.session = bulk->socket->handle.number,
                                                         .data = tlsagent_bytes_of(data, len)};
  return submit(bulk, TLSAGENT_SESSION_WRITE, &request, len);
}

// Nothing more is accepted after a call that took less than all: the records of the next ones, if
// there are any, would leave a hole in the stream.
static void account_write(struct bulk *bulk, const struct flight *flight) {
  struct call *call = bulk->call;
  const struct tlsagent_session_write_reply *reply = flight->reply;
  const size_t accepted = smaller((size_t)reply->accepted, flight->len);
  call->progress = &reply->progress;
  call->accepted += accepted;
  bulk->broken = !flight->ok || accepted < flight->len;
  if (flight->ok && bulk->broken && bulk->num > 0) {
    call_fail_memory(call);  // all that makes a daemon accept less than a few records
  }
}

void bulk_write(struct ssl_socket *socket, struct call *call, const struct bulk_sink *sink) {
  static const struct way writing = {submit_write, account_write};
  struct bulk bulk = {
      .way = &writing, .socket = socket, .call = call, .len = call->data.len, .sink = sink};
  run(&bulk);
}

// --- Reading ---

static bool submit_read(struct bulk *bulk) {
  const uint8_t *from = bulk->call->feed.data.data + bulk->submitted;
  const size_t len = records_of_data(from, bulk->len - bulk->submitted, CIPHER_CHUNK);
  const struct tlsagent_session_read_request request = {
      .session = bulk->socket->handle.number,
      .max_bytes = (uint32_t)len,
      .feed = {tlsagent_bytes_of(from, len), false},
      .exact_bytes = (uint32_t)len};
  return len > 0 && submit(bulk, TLSAGENT_SESSION_READ, &request, len);
}

static void account_read(struct bulk *bulk, const struct flight *flight) {
  struct call *call = bulk->call;
  const struct tlsagent_session_read_reply *reply = flight->reply;
  const size_t used = smaller((size_t)reply->progress.input_consumed, flight->len);
  const size_t len = smaller(reply->data.len, flight->len);
  if (len > 0) {
    memcpy(bulk->out + call->accepted, reply->data.data, len);
  }
  call->progress = &reply->progress;
  call->accepted += len;
  call->pending = reply->pending;
  bulk->out_used += used;
  bulk->broken = !flight->ok || used < flight->len || reply->more ||
                 reply->progress.state == TLSAGENT_STATE_CLOSED;
  call->more = bulk->broken && call->accepted > 0;  // what ended it is told again
}

void bulk_read(struct ssl_socket *socket, struct call *call, uint8_t *out, size_t *out_used) {
  static const struct way reading = {submit_read, account_read};
  struct bulk bulk = {
      .way = &reading, .socket = socket, .call = call, .len = call->feed.data.len, .out = out};
  run(&bulk);
  *out_used = bulk.out_used;
}
