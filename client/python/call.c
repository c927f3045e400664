#include "client/python/call.h"

#include <stdio.h>

static void note_handshake(struct call *call, const struct tlsagent_progress *progress,
                           const struct tlsagent_negotiated *negotiated,
                           const struct tlsagent_peer *peer) {
  call->progress = progress;
  call->negotiated = negotiated;
  call->peer = peer;
}

static void connect_session(struct ssl_socket *socket, struct call *call,
                            const struct call_opening *opening, struct tlsagent_client *client) {
  struct tlsagent_session_connect_reply *reply;
  struct tlsagent_session_connect_request request = {.context = opening->context.number,
                                                     .transport = tlsagent_over_memory(),
                                                     .server_name = opening->server_name,
                                                     .resumption = opening->resumption,
                                                     .decode_peer = call->decode_peer};
  request.transport.feed = call->feed;
  call->ok = tlsagent_session_connect(client, &reply, &request, 0, &call->error);
  call->reply = reply;
  if (reply != NULL) {
    socket->handle = agent_made(client, AGENT_SESSION, reply->session);
    note_handshake(call, &reply->progress, reply->negotiated, reply->peer);
  }
}

static void accept_session(struct ssl_socket *socket, struct call *call,
                           const struct call_opening *opening, struct tlsagent_client *client) {
  struct tlsagent_session_accept_reply *reply;
  struct tlsagent_session_accept_request request = {.context = opening->context.number,
                                                    .transport = tlsagent_over_memory(),
                                                    .decode_peer = call->decode_peer};
  request.transport.feed = call->feed;
  call->ok = tlsagent_session_accept(client, &reply, &request, 0, &call->error);
  call->reply = reply;
  if (reply != NULL) {
    socket->handle = agent_made(client, AGENT_SESSION, reply->session);
    note_handshake(call, &reply->progress, reply->negotiated, reply->peer);
  }
}

static void handshake(const struct ssl_socket *socket, struct call *call,
                      struct tlsagent_client *client) {
  struct tlsagent_session_handshake_reply *reply;
  const struct tlsagent_session_handshake_request request = {.session = socket->handle.number,
                                                             .feed = call->feed,
                                                             .decision = call->answer,
                                                             .decode_peer = call->decode_peer};
  call->ok = tlsagent_session_handshake(client, &reply, &request, 0, &call->error);
  call->reply = reply;
  if (reply != NULL) {
    note_handshake(call, &reply->progress, reply->negotiated, reply->peer);
  }
}

static void read_plain(const struct ssl_socket *socket, struct call *call,
                       struct tlsagent_client *client) {
  struct tlsagent_session_read_reply *reply;
  const struct tlsagent_session_read_request request = {.session = socket->handle.number,
                                                        .max_bytes = call->max_bytes,
                                                        .feed = call->feed,
                                                        .decision = call->answer,
                                                        .exact_bytes = call->exact_bytes};
  call->ok = tlsagent_session_read(client, &reply, &request, 0, &call->error);
  call->reply = reply;
  if (reply != NULL) {
    call->progress = &reply->progress;
    call->plain = reply->data;
    call->pending = reply->pending;
    call->more = reply->more;
  }
}

static void write_plain(const struct ssl_socket *socket, struct call *call,
                        struct tlsagent_client *client) {
  struct tlsagent_session_write_reply *reply;
  const struct tlsagent_session_write_request request = {
      .session = socket->handle.number, .data = call->data, .decision = call->answer};
  call->ok = tlsagent_session_write(client, &reply, &request, 0, &call->error);
  call->reply = reply;
  if (reply != NULL) {
    call->progress = &reply->progress;
    call->accepted = reply->accepted < call->data.len ? (size_t)reply->accepted : call->data.len;
  }
}

static void shut_down(const struct ssl_socket *socket, struct call *call,
                      struct tlsagent_client *client) {
  struct tlsagent_session_shutdown_reply *reply;
  const struct tlsagent_session_shutdown_request request = {
      .session = socket->handle.number, .feed = call->feed, .await_peer = call->await_peer};
  call->ok = tlsagent_session_shutdown(client, &reply, &request, 0, &call->error);
  call->reply = reply;
  if (reply != NULL) {
    call->progress = &reply->progress;
    call->discarded = reply->discarded;
    call->close_received = reply->received;
  }
}

static void dispatch(struct ssl_socket *socket, struct call *call,
                     const struct call_opening *opening, struct tlsagent_client *client) {
  switch (call->kind) {
    case CALL_HANDSHAKE:
      if (socket->handle.number != 0) {
        handshake(socket, call, client);
      } else if (socket->server_side) {
        accept_session(socket, call, opening, client);
      } else {
        connect_session(socket, call, opening, client);
      }
      break;
    case CALL_READ:
      read_plain(socket, call, client);
      break;
    case CALL_WRITE:
      write_plain(socket, call, client);
      break;
    case CALL_SHUTDOWN:
      shut_down(socket, call, client);
      break;
  }
}

void call_fail_memory(struct call *call) {
  call->ok = false;
  call->error = (struct tlsagent_error){.fault = TLSAGENT_FAULT_MEMORY, .message = "no memory"};
}

// Output that has no room is output lost, and the stream with it.
void call_queue_output(struct ssl_socket *socket, struct call *call) {
  const struct tlsagent_bytes *output = &call->progress->output;
  pthread_mutex_lock(&socket->guard);
  bool queued = buffer_append(&socket->output, output->data, output->len);
  pthread_mutex_unlock(&socket->guard);
  if (!queued) {
    call_fail_memory(call);
  }
}

void call_start(struct call *call) {
  call->reply = NULL;
  call->progress = NULL;
  call->negotiated = NULL;
  call->peer = NULL;
  call->plain = (struct tlsagent_bytes){NULL, 0};
  call->pending = 0;
  call->more = false;
  call->accepted = 0;
  call->discarded = 0;
  call->close_received = false;
  call->ok = false;
}

void call_make(struct ssl_socket *socket, struct call *call, const struct call_opening *opening) {
  const struct agent_handle *handle =
      socket->handle.number != 0 ? &socket->handle : &opening->context;
  call_start(call);
  pthread_mutex_lock(&socket->calling);
  struct tlsagent_client *client = agent_take(handle, &call->error);
  if (client != NULL) {
    dispatch(socket, call, opening, client);
    agent_give(client);
  }
  if (call->progress != NULL) {
    call_queue_output(socket, call);
  }
  pthread_mutex_unlock(&socket->calling);
}

void call_forget(struct call *call) {
  tlsagent_free(call->reply);
  call_start(call);
}
