#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/c/client.h"
#include "client/c/clock.h"
#include "client/c/error.h"
#include "client/c/fields.h"
#include "client/c/reply.h"
#include "client/c/request.h"

// How many times tlsagent_poll() receives before it returns to the loop it is called from. It is
// more than a socket's buffer can need.
enum { RECEIVES_PER_POLL = 64 };

// --- The table of calls, and the list of those that are over ---

void tla_calls_init(struct tlsagent_client *client) {
  client->over_last = &client->over;
  client->next_stream = 1;
}

static struct tla_call **bucket(struct tlsagent_client *client, uint32_t id) {
  return &client->calls[(id >> 1) % TLA_CALL_BUCKETS];
}

static void table_add(struct tlsagent_client *client, struct tla_call *call) {
  struct tla_call **place = bucket(client, call->id);
  call->next = *place;
  *place = call;
  client->num_calls++;
}

static void note_expiry(struct tlsagent_client *client, const struct tla_call *call) {
  const uint64_t at = call->expires_ms;
  if (at != 0 && (client->next_expiry_ms == 0 || at < client->next_expiry_ms)) {
    client->next_expiry_ms = at;
  }
}

// Has the call expire at that time; 0: never, or not any more.
static void set_expiry(struct tlsagent_client *client, struct tla_call *call, uint64_t at_ms) {
  client->num_timed -= call->expires_ms != 0;
  client->num_timed += at_ms != 0;
  call->expires_ms = at_ms;
  note_expiry(client, call);
  if (client->num_timed == 0) {
    client->next_expiry_ms = 0;
  }
}

static struct tla_call *table_remove(struct tlsagent_client *client, uint32_t id) {
  for (struct tla_call **place = bucket(client, id); *place != NULL; place = &(*place)->next) {
    if ((*place)->id == id) {
      struct tla_call *call = *place;
      *place = call->next;
      client->num_calls--;
      set_expiry(client, call, 0);
      return call;
    }
  }
  return NULL;
}

static void call_free(struct tla_call *call) {
  tla_reply_drop(call->method, call->reply);
  free(call);
}

// To be called back by tla_calls_run().
static void finish(struct tlsagent_client *client, struct tla_call *call) {
  call->next = NULL;
  *client->over_last = call;
  client->over_last = &call->next;
  client->in_flight--;
}

static struct tla_call *take_over(struct tlsagent_client *client) {
  struct tla_call *call = client->over;
  if (call != NULL) {
    client->over = call->next;
    if (client->over == NULL) {
      client->over_last = &client->over;
    }
  }
  return call;
}

static void call_back(struct tla_call *call) {
  void *reply = call->reply;
  call->reply = NULL;  // the callee's
  if (call->done != NULL) {
    call->done(call->user, call->ok, reply, &call->error);
  } else {
    tla_reply_drop(call->method, reply);
  }
}

void tla_calls_run(struct tlsagent_client *client) {
  for (struct tla_call *call = take_over(client); call != NULL; call = take_over(client)) {
    call_back(call);
    call_free(call);
  }
}

// --- Calls that end without a reply ---

static void fail_call(struct tlsagent_client *client, struct tla_call *call,
                      const struct tlsagent_error *why) {
  if (call->given_up) {
    call_free(call);
    return;
  }
  call->ok = false;
  call->error = *why;
  finish(client, call);
}

void tla_calls_end(struct tlsagent_client *client, const struct tlsagent_error *why) {
  for (size_t i = 0; i < TLA_CALL_BUCKETS; i++) {
    struct tla_call *call = client->calls[i];
    client->calls[i] = NULL;
    while (call != NULL) {
      struct tla_call *next = call->next;
      client->num_calls--;
      fail_call(client, call, why);
      call = next;
    }
  }
  client->num_timed = 0;
  client->next_expiry_ms = 0;
}

void tla_calls_free(struct tlsagent_client *client) {
  for (size_t i = 0; i < TLA_CALL_BUCKETS; i++) {
    while (client->calls[i] != NULL) {
      call_free(table_remove(client, client->calls[i]->id));
    }
  }
  for (struct tla_call *call = take_over(client); call != NULL; call = take_over(client)) {
    call_free(call);
  }
}

// The caller hears that the time is over; the call stays in the table until its late reply.
static void give_up(struct tlsagent_client *client, struct tla_call *call) {
  struct tla_call *word = calloc(1, sizeof(*word));
  if (word == NULL) {
    return;  // next time
  }
  *word = *call;
  tla_fail(&word->error, TLSAGENT_FAULT_DEADLINE,
           "tlsagentd didn't answer %s within %u ms, nor %u ms later: is it stuck?",
           call->method->name, call->timeout_ms, TLSAGENT_GRACE_MS);
  word->error.rpc_code = TLSAGENT_RPC_DEADLINE_EXCEEDED;
  call->given_up = true;
  call->done = NULL;
  set_expiry(client, call, 0);
  finish(client, word);
}

static void expire(struct tlsagent_client *client) {
  if (client->next_expiry_ms == 0) {
    return;
  }
  const uint64_t now = tla_clock_ms();
  if (now < client->next_expiry_ms) {
    return;
  }
  client->next_expiry_ms = 0;
  for (size_t i = 0; i < TLA_CALL_BUCKETS; i++) {
    for (struct tla_call *call = client->calls[i]; call != NULL; call = call->next) {
      if (call->expires_ms != 0 && call->expires_ms <= now) {
        give_up(client, call);
      }
      note_expiry(client, call);
    }
  }
}

int tlsagent_client_timeout_ms(const struct tlsagent_client *client) {
  if (client->over != NULL) {
    return 0;
  }
  if (client->next_expiry_ms == 0) {
    return TLA_FOR_EVER;
  }
  const uint64_t now = tla_clock_ms();
  const uint64_t left = client->next_expiry_ms > now ? client->next_expiry_ms - now : 0;
  return left > INT32_MAX ? INT32_MAX : (int)left;
}

// --- Replies ---

static void answer(struct tlsagent_client *client, const struct tla_frame *frame) {
  struct tla_connection *connection = &client->connection;
  struct tla_call *call = table_remove(client, frame->stream_id);
  if (call == NULL) {
    free(frame->body);  // nobody's
    return;
  }
  const struct tla_received received = {frame->body, frame->body_len, connection->fds,
                                        connection->num_fds};
  call->ok = tla_reply_unpack(&call->reply, call->method, &received, &call->error);
  tla_connection_drop_taken(connection);
  if (call->given_up) {
    call_free(call);
  } else {
    finish(client, call);
  }
}

// Hands every whole frame to its call. What isn't a response is skipped, as the protocol says.
static bool deliver(struct tlsagent_client *client, struct tlsagent_error *error) {
  for (;;) {
    struct tla_frame frame;
    switch (tla_frame_reader_next(client->connection.reader, &frame)) {
      case TLA_FRAME_PARTIAL:
        return true;
      case TLA_FRAME_MALFORMED:
        return tla_fail(error, TLSAGENT_FAULT_LOST, "it sent what isn't a ttrpc frame");
      case TLA_FRAME_NO_MEMORY:
        return tla_fail(error, TLSAGENT_FAULT_LOST, "no memory for a reply");
      case TLA_FRAME_COMPLETE:
        break;
    }
    if (frame.type == TLA_FRAME_RESPONSE) {
      answer(client, &frame);
    } else {
      free(frame.body);
    }
  }
}

// --- A turn: send, receive, deliver, call back ---

static enum tla_receipt receive(struct tlsagent_client *client, bool wait,
                                struct tlsagent_error *error) {
  const enum tla_receipt receipt = tla_connection_receive(&client->connection, wait, error);
  if (receipt == TLA_RECEIVED && !deliver(client, error)) {
    return TLA_RECEIVED_LOST;
  }
  return receipt;
}

// What the daemon said before it went is still to be heard; one that doesn't listen and goes on to
// talk is not.
static void hear_out(struct tlsagent_client *client) {
  struct tlsagent_error ignored;
  enum tla_receipt receipt = TLA_RECEIVED;
  for (int i = 0; i < RECEIVES_PER_POLL && receipt == TLA_RECEIVED; i++) {
    receipt = receive(client, false, &ignored);
  }
}

static void send_queued(struct tlsagent_client *client) {
  struct tlsagent_error why;
  if (!client->lost && !tla_connection_send(&client->connection, &why)) {
    hear_out(client);
    tla_client_lose(client, &why);
  }
}

// Waits for something to happen, if nothing has, and takes it in.
static enum tla_receipt take_in(struct tlsagent_client *client, bool wait) {
  struct tlsagent_error why;
  const bool simple = client->connection.first == NULL && client->next_expiry_ms == 0;
  if (client->lost || client->over != NULL) {
    return TLA_RECEIVED_NOTHING;
  }
  if (wait && !simple) {
    tla_connection_wait(&client->connection, tlsagent_client_timeout_ms(client));
  }
  const enum tla_receipt receipt = receive(client, wait && simple, &why);
  if (receipt == TLA_RECEIVED_LOST) {
    tla_client_lose(client, &why);
  }
  return receipt;
}

// One turn. It returns false when the client is gone, because a callback closed it.
static bool turn(struct tlsagent_client *client, bool wait, enum tla_receipt *out_receipt) {
  client->depth++;
  send_queued(client);
  *out_receipt = take_in(client, wait);
  expire(client);
  tla_calls_run(client);
  client->depth--;
  if (client->closing && client->depth == 0) {
    tla_client_destroy(client);
    return false;
  }
  return !client->closing;
}

bool tlsagent_poll(struct tlsagent_client *client, struct tlsagent_error *error) {
  enum tla_receipt receipt = TLA_RECEIVED;
  if (!tla_client_owned(client, error)) {
    return false;
  }
  for (int i = 0; i < RECEIVES_PER_POLL && receipt == TLA_RECEIVED; i++) {
    if (!turn(client, false, &receipt)) {
      return tla_fail(error, TLSAGENT_FAULT_USAGE, "a callback closed the connection");
    }
  }
  return tla_client_usable(client, error);
}

bool tlsagent_wait(struct tlsagent_client *client, struct tlsagent_error *error) {
  enum tla_receipt ignored;
  if (!tla_client_owned(client, error)) {
    return false;
  }
  if (!turn(client, true, &ignored)) {
    return tla_fail(error, TLSAGENT_FAULT_USAGE, "a callback closed the connection");
  }
  return tla_client_usable(client, error);
}

// --- Submitting and calling ---

static bool check_room(const struct tlsagent_client *client, struct tlsagent_error *error) {
  if (client->next_stream == TLA_STREAM_LAST) {
    return tla_fail(error, TLSAGENT_FAULT_USAGE,
                    "this connection's stream ids are used up: go on with one of "
                    "tlsagent_client_join()");
  }
  if (client->num_calls >= TLSAGENT_CALLS_MAX) {
    return tla_fail(error, TLSAGENT_FAULT_USAGE,
                    "%u calls are in flight on this connection, and no more can be",
                    TLSAGENT_CALLS_MAX);
  }
  if (client->connection.queued >= TLSAGENT_QUEUE_MAX) {
    return tla_fail(error, TLSAGENT_FAULT_USAGE,
                    "%zu bytes wait to be sent: poll until the daemon has read them",
                    client->connection.queued);
  }
  return true;
}

static struct tla_call *call_new(struct tlsagent_client *client, const struct tla_method *method,
                                 uint32_t timeout_ms) {
  struct tla_call *call = calloc(1, sizeof(*call));
  if (call != NULL) {
    call->id = client->next_stream;
    call->method = method;
    call->timeout_ms = timeout_ms;
  }
  return call;
}

static struct tla_call *start(struct tlsagent_client *client, const struct tla_method *method,
                              const void *request, uint32_t timeout_ms,
                              struct tlsagent_error *error) {
  const struct tla_envelope envelope = {client->next_stream, timeout_ms,
                                        client->say_token ? client->token : NULL};
  struct tla_parcel *parcel = tla_request_pack(&envelope, method, request, error);
  if (parcel == NULL) {
    return NULL;
  }
  struct tla_call *call = call_new(client, method, timeout_ms);
  if (call == NULL) {
    tla_parcel_free(parcel);
    tla_fail_memory(error);
    return NULL;
  }
  client->next_stream += 2;
  client->say_token = false;
  client->in_flight++;
  table_add(client, call);
  if (timeout_ms != 0) {
    set_expiry(client, call, tla_clock_ms() + timeout_ms + (uint64_t)TLSAGENT_GRACE_MS);
  }
  tla_connection_queue(&client->connection, parcel);
  return call;
}

uint32_t tlsagent_submit(struct tlsagent_client *client, enum tlsagent_method method,
                         const void *request, uint32_t timeout_ms, tlsagent_done *done, void *user,
                         struct tlsagent_error *error) {
  static const struct tlsagent_empty nothing;
  struct tlsagent_error later;
  const struct tla_method *row = tla_find_method(method);
  if (row == NULL || (request == NULL && row->request->num_fields != 0)) {
    tla_fail(error, TLSAGENT_FAULT_USAGE, "no such method, or a request is missing");
    return 0;
  }
  if (!tla_client_usable(client, error) || !check_room(client, error)) {
    return 0;
  }
  struct tla_call *call =
      start(client, row, request == NULL ? &nothing : request, timeout_ms, error);
  if (call == NULL) {
    return 0;
  }
  call->done = done;
  call->user = user;
  const uint32_t id = call->id;
  // A failure shows when the next turn receives: what the daemon said before has to be heard first.
  (void)tla_connection_send(&client->connection, &later);
  tla_succeed(error);
  return id;
}

struct waiter {
  bool over;
  bool ok;
  void *reply;
  struct tlsagent_error *error;
};

static void wake(void *user, bool ok, void *reply, const struct tlsagent_error *error) {
  struct waiter *waiter = user;
  waiter->over = true;
  waiter->ok = ok;
  waiter->reply = reply;
  if (waiter->error != NULL) {
    *waiter->error = *error;
  }
}

static bool ids_used_up(const struct tlsagent_client *client) {
  return client->next_stream == TLA_STREAM_LAST && client->num_calls == 0 && client->depth == 0;
}

bool tla_call_and_wait(struct tlsagent_client *client, enum tlsagent_method method, void **out,
                       const void *request, uint32_t timeout_ms, struct tlsagent_error *error) {
  struct waiter waiter = {.error = error};
  enum tla_receipt ignored;
  if (out != NULL) {
    *out = NULL;
  }
  if (ids_used_up(client) && !tla_client_renew(client, timeout_ms, error)) {
    return false;
  }
  if (tlsagent_submit(client, method, request, timeout_ms, wake, &waiter, error) == 0) {
    return false;
  }
  while (!waiter.over && turn(client, true, &ignored)) {
  }
  assert(waiter.over);
  if (out != NULL) {
    *out = waiter.reply;
  } else {
    tla_reply_drop(tla_find_method(method), waiter.reply);
  }
  return waiter.ok;
}
