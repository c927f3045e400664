#include "client/cli/channel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "client/cli/text.h"

enum { CHUNK = 64 * 1024 };

// --- What went wrong ---

static void hint_certificate(const struct tlsagent_peer *peer) {
  if (peer == NULL || peer->certificate == NULL) {
    return;
  }
  const struct tlsagent_certificate *certificate = peer->certificate;
  fputs("  the peer's certificate: ", stderr);
  print_safe(stderr, certificate->subject_text);
  fputs("\n  issued by:              ", stderr);
  print_safe(stderr, certificate->issuer_text);
  for (size_t i = 0; i < certificate->num_subject_alt_names; i++) {
    fputs(i == 0 ? "\n  for:                    " : ", ", stderr);
    print_safe(stderr, certificate->subject_alt_names[i].text);
  }
  fputc('\n', stderr);
}

// An error of the memory path's own socket, in the shape of the library's.
static void set_os_error(struct tlsagent_error *error, int why) {
  *error = (struct tlsagent_error){.fault = TLSAGENT_FAULT_TLS};
  error->tls.kind = why == EAGAIN ? TLSAGENT_ERROR_TIMEOUT : TLSAGENT_ERROR_OS;
  error->tls.os_errno = (uint32_t)why;
  snprintf(error->message, sizeof(error->message), "the connection failed: %s",
           strerrordesc_np(why == EAGAIN ? ETIMEDOUT : why));
}

void channel_stop(struct tlsagent_error *error, const char *verb, enum tlsagent_state state) {
  if (error->fault == TLSAGENT_FAULT_NONE) {
    *error = (struct tlsagent_error){.fault = TLSAGENT_FAULT_TLS};
    error->tls.kind = TLSAGENT_ERROR_TLS;
    snprintf(error->message, sizeof(error->message), "%s can't go on: its state is \"%s\"", verb,
             tlsagent_state_name(state));
  }
}

// --- The memory path's socket ---

static void limit_waits(int fd, uint32_t timeout_ms) {
  const struct timeval limit = {timeout_ms / 1000, (suseconds_t)(timeout_ms % 1000) * 1000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

int memory_send(struct channel *channel) {
  size_t len;
  const uint8_t *data = tlsagent_memory_take(channel->memory, &len);
  while (len != 0) {
    const ssize_t sent = send(channel->tcp, data, len, MSG_NOSIGNAL);
    if (sent < 0 && errno != EINTR) {
      return errno;
    }
    tlsagent_memory_taken(channel->memory, sent > 0 ? (size_t)sent : 0);
    data = tlsagent_memory_take(channel->memory, &len);
  }
  return 0;
}

// Sends what there is and receives at least one byte or the end.
static bool memory_exchange(struct channel *channel, struct tlsagent_error *error) {
  uint8_t data[CHUNK];
  int why = memory_send(channel);
  ssize_t got = -1;
  while (why == 0 && got < 0) {
    got = recv(channel->tcp, data, sizeof(data), 0);
    why = got < 0 && errno != EINTR ? errno : 0;
  }
  if (why != 0) {
    set_os_error(error, why);
    return false;
  }
  if (got == 0) {
    tlsagent_memory_give_eof(channel->memory);
  } else if (!tlsagent_memory_give(channel->memory, data, (size_t)got)) {
    set_os_error(error, ENOMEM);
    return false;
  }
  return true;
}

static bool memory_flush(struct channel *channel, struct tlsagent_error *error) {
  const int why = memory_send(channel);
  if (why != 0) {
    set_os_error(error, why);
  }
  return why == 0;
}

// Does what a verb waits for, so that it can be tried again. False: that failed, or it waits for
// nothing that could be done here.
static bool memory_help(struct channel *channel, enum tlsagent_state state,
                        struct tlsagent_error *error) {
  size_t unsent;
  tlsagent_memory_take(channel->memory, &unsent);
  if (state == TLSAGENT_STATE_WANT_WRITE && unsent != 0) {
    return memory_flush(channel, error);
  }
  return state == TLSAGENT_STATE_WANT_READ && memory_exchange(channel, error);
}

static bool memory_handshake(struct channel *channel, struct tlsagent_error *error) {
  const uint32_t timeout_ms = channel->cli->timeout_ms;
  enum tlsagent_state state;
  do {
    state = tlsagent_memory_handshake(channel->memory, timeout_ms, error);
  } while (memory_help(channel, state, error));
  (void)memory_send(channel);  // the Finished, or an alert
  if (state != TLSAGENT_STATE_DONE) {
    channel_stop(error, "Handshake", state);
  }
  return state == TLSAGENT_STATE_DONE;
}

// --- Opening ---

static int connect_memory(struct channel *channel, const struct endpoint *endpoint,
                          const struct tlsagent_session_connect_request *request) {
  struct tlsagent_error error;
  const int code = tcp_connect(channel->cli, endpoint, &channel->tcp);
  if (code != EXIT_OK) {
    return code;
  }
  limit_waits(channel->tcp, channel->cli->timeout_ms);
  channel->memory =
      tlsagent_memory_connect(channel->agent, request, channel->cli->timeout_ms, &error);
  if (channel->memory == NULL || !memory_handshake(channel, &error)) {
    return complain_error(channel->cli, &error);
  }
  channel->session = tlsagent_memory_session(channel->memory);
  return EXIT_OK;
}

static int connect_session(struct channel *channel,
                           const struct tlsagent_session_connect_request *request) {
  struct tlsagent_session_connect_reply *reply;
  struct tlsagent_error error;
  int code = EXIT_OK;
  if (tlsagent_session_connect(channel->agent, &reply, request, channel->cli->timeout_ms, &error)) {
    channel->session = reply->session;
  } else {
    code = complain_error(channel->cli, &error);
    hint_certificate(reply != NULL ? reply->peer : NULL);
  }
  tlsagent_free(reply);
  return code;
}

static int connect_fd(struct channel *channel, const struct endpoint *endpoint,
                      struct tlsagent_session_connect_request *request) {
  int fd;
  int code = tcp_connect(channel->cli, endpoint, &fd);
  if (code != EXIT_OK) {
    return code;
  }
  request->transport = tlsagent_over_fd(fd);
  code = connect_session(channel, request);
  close(fd);  // the daemon has its own
  return code;
}

int channel_connect(struct channel *channel, enum tlsagent_path path,
                    const struct endpoint *endpoint,
                    const struct tlsagent_session_connect_request *request) {
  struct tlsagent_session_connect_request own = *request;
  own.decode_peer = true;
  switch (path) {
    case TLSAGENT_PATH_MEMORY:
      return connect_memory(channel, endpoint, &own);
    case TLSAGENT_PATH_DIAL:
      own.transport = tlsagent_over_dial(endpoint->host, endpoint_port(endpoint));
      return connect_session(channel, &own);
    default:
      return connect_fd(channel, endpoint, &own);
  }
}

int channel_accept(struct channel *channel, uint64_t context, int fd,
                   struct tlsagent_error *error) {
  const struct tlsagent_session_accept_request request = {.context = context,
                                                          .transport = tlsagent_over_fd(fd)};
  struct tlsagent_session_accept_reply *reply;
  const bool ok =
      tlsagent_session_accept(channel->agent, &reply, &request, channel->cli->timeout_ms, error);
  if (ok) {
    channel->session = reply->session;
  }
  tlsagent_free(reply);
  close(fd);
  return ok ? EXIT_OK : (int)exit_code_of(error);
}

// --- Streaming ---

static enum tlsagent_state read_memory(struct channel *channel, size_t *out_len, void *buffer,
                                       size_t size, struct tlsagent_error *error) {
  const uint32_t timeout_ms = channel->cli->timeout_ms;
  enum tlsagent_state state;
  do {
    state = tlsagent_memory_read(channel->memory, out_len, buffer, size, timeout_ms, error);
  } while (memory_help(channel, state, error));
  if (state == TLSAGENT_STATE_DONE || state == TLSAGENT_STATE_CLOSED) {
    return state;
  }
  channel_stop(error, "Read", state);
  return TLSAGENT_STATE_FAILED;
}

enum tlsagent_state channel_read(struct channel *channel, size_t *out_len, void *buffer,
                                 size_t size, struct tlsagent_error *error) {
  if (channel->memory != NULL) {
    return read_memory(channel, out_len, buffer, size, error);
  }
  return tlsagent_session_read_into(channel->agent, out_len, channel->session, buffer, size,
                                    channel->cli->timeout_ms, error);
}

static bool write_memory(struct channel *channel, const void *data, size_t len,
                         struct tlsagent_error *error) {
  const uint32_t timeout_ms = channel->cli->timeout_ms;
  const uint8_t *rest = data;
  enum tlsagent_state state;
  do {
    size_t accepted;
    state = tlsagent_memory_write(channel->memory, &accepted, rest, len, timeout_ms, error);
    rest += accepted;
    len -= accepted;
  } while (memory_help(channel, state, error));
  if (state == TLSAGENT_STATE_DONE) {
    return memory_flush(channel, error);
  }
  (void)memory_send(channel);  // an alert
  channel_stop(error, "Write", state);
  return false;
}

bool channel_write(struct channel *channel, const void *data, size_t len,
                   struct tlsagent_error *error) {
  if (channel->memory != NULL) {
    return write_memory(channel, data, len, error);
  }
  return tlsagent_session_write_all(channel->agent, NULL, channel->session, data, len,
                                    channel->cli->timeout_ms, error);
}

// --- Closing ---

void channel_finish(struct channel *channel) {
  const uint32_t timeout_ms = channel->cli->timeout_ms;
  const struct tlsagent_session_shutdown_request request = {.session = channel->session};
  if (channel->memory != NULL) {
    if (tlsagent_memory_shutdown(channel->memory, false, timeout_ms, NULL) == TLSAGENT_STATE_DONE) {
      (void)memory_send(channel);
    }
  } else if (channel->session != 0) {
    tlsagent_session_shutdown(channel->agent, NULL, &request, timeout_ms, NULL);
  }
  channel_drop(channel);
}

void channel_drop(struct channel *channel) {
  if (channel->memory != NULL) {
    tlsagent_memory_free(channel->memory);
    channel->memory = NULL;
  } else if (channel->session != 0) {
    tlsagent_session_close(channel->agent, channel->session, channel->cli->timeout_ms, NULL);
  }
  channel->session = 0;
  if (channel->tcp >= 0) {
    close(channel->tcp);
    channel->tcp = -1;
  }
}
