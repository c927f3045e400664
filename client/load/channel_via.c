// A channel whose session is a daemon's.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/load/channel.h"
#include "client/load/via.h"

// One call in flight. It outlives its operation where that is taken back.
struct via_call {
  struct channel *channel;
  struct session_op *op;  // NULL: taken back
};

// Where the channel knows it by: at most one is in flight each way.
static struct via_call **place_of(struct channel *channel, const struct session_op *op) {
  bool is_in = op->kind == SESSION_HANDSHAKE || op->kind == SESSION_READ;
  return is_in ? &channel->in_call : &channel->out_call;
}

// ---------------------------------------------------------------------------------------------
// Errors. Kinds have the same numbers on both sides of the wire.

static void copy(char *out, size_t size, const char *from) {
  size_t len = strnlen(from, size - 1);
  memcpy(out, from, len);
  out[len] = '\0';
}

static void take_tls_error(struct tls_error *out, const struct tlsagent_tls_error *from) {
  out->kind = (enum tls_error_kind)from->kind;
  out->os_errno = (int)from->os_errno;
  copy(out->reason, sizeof(out->reason), from->reason);
  copy(out->text, sizeof(out->text), from->text);
  copy(out->verify_message, sizeof(out->verify_message), from->verify_message);
  copy(out->detail, sizeof(out->detail), from->detail);
}

static void take_error(struct session_op *op, const struct tlsagent_error *from) {
  op->result = ENGINE_FAILED;
  tls_error_clear(&op->error);
  if (from->fault == TLSAGENT_FAULT_TLS) {
    take_tls_error(&op->error, &from->tls);
    return;
  }
  char text[sizeof(op->error.text)];
  snprintf(text, sizeof(text), "the daemon: %.140s", from->message);
  tls_error_simple(&op->error, TLS_ERROR_OS, text);
}

// ---------------------------------------------------------------------------------------------
// Closing: when the session is gone from the daemon and no call refers to the channel

static void on_session_closed(void *user, bool ok, void *reply,
                              const struct tlsagent_error *error) {
  struct channel *channel = user;
  (void)ok;
  (void)error;
  tlsagent_free(reply);
  channel->num_calls--;
  if (channel->num_calls == 0) {
    channel->closed(channel);
  }
}

// A call that can't be made is one to a daemon that is gone, and took the session along.
static void close_session(struct channel *channel) {
  const struct tlsagent_handle_request request = {.handle = channel->handle};
  channel->handle = 0;
  channel->num_calls += via_submit(channel->link, TLSAGENT_SESSION_CLOSE, &request,
                                   on_session_closed, channel, NULL) != 0;
}

static void cancel_connect(struct channel *channel) {
  const struct tlsagent_number_request request = {.number = channel->connecting};
  via_submit(channel->link, TLSAGENT_AGENT_CANCEL, &request, NULL, NULL, NULL);
}

static void close_unasked(struct channel *channel) {
  if (channel->fd >= 0) {
    close(channel->fd);
    channel->fd = -1;
  }
}

static void via_channel_close(struct channel *channel) {
  channel->closing = true;
  close_unasked(channel);
  if (channel->handle != 0) {
    close_session(channel);
  } else if (channel->connecting != 0) {
    cancel_connect(channel);
  }
  if (channel->num_calls == 0) {
    channel->closed(channel);
  }
}

// ---------------------------------------------------------------------------------------------
// Answers

static void take_connected(struct channel *channel,
                           const struct tlsagent_session_connect_reply *reply) {
  channel->handle = reply->session;
  const struct tlsagent_negotiated *negotiated = reply->negotiated;
  if (negotiated == NULL) {
    return;
  }
  struct agreed *facts = &channel->facts;
  facts->known = true;
  snprintf(facts->version, sizeof(facts->version), "%s", negotiated->version_name);
  snprintf(facts->cipher, sizeof(facts->cipher), "%s", negotiated->cipher.name);
  snprintf(facts->group, sizeof(facts->group), "%s", negotiated->group);
  snprintf(facts->alpn, sizeof(facts->alpn), "%.*s", (int)negotiated->alpn.len,
           negotiated->alpn.len == 0 ? "" : (const char *)negotiated->alpn.data);
  channel->was_resumed = negotiated->resumed;
}

static void take_read(struct session_op *op, const struct tlsagent_session_read_reply *reply) {
  size_t len = reply->data.len < op->buffer_size ? reply->data.len : op->buffer_size;
  if (len > 0) {
    memcpy(op->buffer, reply->data.data, len);
  }
  op->transferred = len;
  op->result = (enum engine_result)reply->progress.state;
}

static void take_write(struct session_op *op, const struct tlsagent_session_write_reply *reply) {
  op->transferred = (size_t)reply->accepted;
  op->result = (enum engine_result)reply->progress.state;
}

static void take_answer(struct session_op *op, const void *reply) {
  switch (op->kind) {
    case SESSION_READ:
      take_read(op, reply);
      break;
    case SESSION_WRITE:
      take_write(op, reply);
      break;
    default:
      op->result = ENGINE_DONE;
  }
}

static void finish_call(struct via_call *call, bool ok, void *reply,
                        const struct tlsagent_error *error) {
  struct channel *channel = call->channel;
  struct session_op *op = call->op;
  free(call);
  channel->num_calls--;
  if (op != NULL && ok && reply != NULL) {
    take_answer(op, reply);
  } else if (op != NULL) {
    take_error(op, error);
  }
  tlsagent_free(reply);
  if (op != NULL) {
    *place_of(channel, op) = NULL;
    op->done(op);
  } else if (channel->closing && channel->num_calls == 0) {
    channel->closed(channel);
  }
}

static void on_answer(void *user, bool ok, void *reply, const struct tlsagent_error *error) {
  finish_call(user, ok, reply, error);
}

static void on_connected(void *user, bool ok, void *reply, const struct tlsagent_error *error) {
  struct via_call *call = user;
  struct channel *channel = call->channel;
  channel->connecting = 0;
  if (reply != NULL) {
    take_connected(channel, reply);
  }
  if (channel->closing && channel->handle != 0) {
    close_session(channel);
  }
  finish_call(call, ok, reply, error);
}

// ---------------------------------------------------------------------------------------------
// Questions

static uint32_t ask_connect(struct channel *channel, struct via_call *call,
                            struct tlsagent_error *error) {
  const struct tlsagent_session_connect_request request = {
      .context = via_context(channel->link),
      .transport = tlsagent_over_fd(channel->fd),
      .server_name = channel->server_name};
  channel->connecting =
      via_submit(channel->link, TLSAGENT_SESSION_CONNECT, &request, on_connected, call, error);
  close_unasked(channel);
  return channel->connecting;
}

static uint32_t ask_read(struct channel *channel, struct via_call *call,
                         struct tlsagent_error *error) {
  const struct tlsagent_session_read_request request = {
      .session = channel->handle, .max_bytes = (uint32_t)call->op->buffer_size};
  return via_submit(channel->link, TLSAGENT_SESSION_READ, &request, on_answer, call, error);
}

static uint32_t ask_write(struct channel *channel, struct via_call *call,
                          struct tlsagent_error *error) {
  const struct tlsagent_session_write_request request = {
      .session = channel->handle,
      .data = tlsagent_bytes_of(call->op->data.data, call->op->data.len)};
  return via_submit(channel->link, TLSAGENT_SESSION_WRITE, &request, on_answer, call, error);
}

static uint32_t ask_shutdown(struct channel *channel, struct via_call *call,
                             struct tlsagent_error *error) {
  const struct tlsagent_session_shutdown_request request = {.session = channel->handle,
                                                            .await_peer = call->op->await_peer};
  return via_submit(channel->link, TLSAGENT_SESSION_SHUTDOWN, &request, on_answer, call, error);
}

static uint32_t ask(struct channel *channel, struct via_call *call, struct tlsagent_error *error) {
  switch (call->op->kind) {
    case SESSION_HANDSHAKE:
      return ask_connect(channel, call, error);
    case SESSION_READ:
      return ask_read(channel, call, error);
    case SESSION_WRITE:
      return ask_write(channel, call, error);
    default:
      return ask_shutdown(channel, call, error);
  }
}

static void via_channel_submit(struct channel *channel, struct session_op *op) {
  struct tlsagent_error error = {.message = "no memory"};
  struct via_call *call = malloc(sizeof(*call));
  if (call != NULL) {
    *call = (struct via_call){.channel = channel, .op = op};
    *place_of(channel, op) = call;
    channel->num_calls++;
    if (ask(channel, call, &error) != 0) {
      return;
    }
    channel->num_calls--;
    free(call);
  }
  *place_of(channel, op) = NULL;
  take_error(op, &error);
  op->done(op);
}

static void via_channel_cancel(struct channel *channel, struct session_op *op) {
  struct via_call **place = place_of(channel, op);
  if (*place != NULL) {
    (*place)->op = NULL;
    *place = NULL;
  }
}

static bool via_channel_open(struct channel *channel, const struct channel_config *config,
                             struct tls_error *error) {
  (void)error;
  channel->link = config->link;
  channel->fd = config->fd;
  channel->server_name = config->server_name;
  return true;
}

static bool via_channel_resumed(struct channel *channel) {
  return channel->was_resumed;
}

static void via_channel_agreed(struct channel *channel, struct agreed *out) {
  *out = channel->facts;
}

static struct slice via_channel_resumption(struct channel *channel, struct arena *arena) {
  (void)channel;
  (void)arena;
  return slice_of(NULL, 0);  // options.c refuses --resume with --via
}

const struct channel_kind CHANNEL_VIA = {
    .open = via_channel_open,
    .submit = via_channel_submit,
    .cancel = via_channel_cancel,
    .close = via_channel_close,
    .resumed = via_channel_resumed,
    .agreed = via_channel_agreed,
    .resumption = via_channel_resumption,
};
