#include "client/cli/pump.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// --- What both paths have in common ---

void pump_fail(struct pump_state *state, const struct tlsagent_error *error) {
  if (!state->stopped) {
    state->stopped = true;
    state->code = complain_error(state->channel->cli, error);
  }
}

void pump_stop(struct pump_state *state, const char *verb, enum tlsagent_state result) {
  channel_stop(&state->error, verb, result);
  pump_fail(state, &state->error);
}

void pump_fail_os(struct pump_state *state, enum exit_code code, int why, const char *what) {
  if (!state->stopped) {
    state->stopped = true;
    state->code = code;
    if (why != EPIPE) {  // who stops reading our output knows
      complain(state->channel->cli, code, "%s failed: %s", what, strerrordesc_np(why));
    }
  }
}

size_t pump_fill(struct pump_state *state) {
  const ssize_t got = read(state->ends->in_fd, state->in, sizeof(state->in));
  if (got > 0) {
    return (size_t)got;
  }
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
    return 0;
  }
  if (got < 0) {
    pump_fail_os(state, EXIT_IO, errno, "reading the plaintext");
  }
  state->in_ended = true;
  return 0;
}

// A pipe that poll(2) calls writable takes this much at once; a socket says when it is full.
static ssize_t write_some(int fd, const uint8_t *data, size_t len) {
  struct stat what;
  const ssize_t sent = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent >= 0 || errno != ENOTSOCK) {
    return sent;
  }
  const bool is_file = fstat(fd, &what) == 0 && S_ISREG(what.st_mode);
  return write(fd, data, is_file || len < PIPE_BUF ? len : PIPE_BUF);
}

static void end_out(struct pump_state *state) {
  if (!state->out_ended && state->peer_ended && state->out_start == state->out_end) {
    state->out_ended = true;
    shutdown(state->ends->out_fd, SHUT_WR);  // nothing else than a socket minds
  }
}

void pump_drain(struct pump_state *state) {
  if (state->out_start != state->out_end) {
    const ssize_t done = write_some(state->ends->out_fd, state->out + state->out_start,
                                    state->out_end - state->out_start);
    if (done >= 0) {
      state->out_start += (size_t)done;
    } else if (errno != EINTR && errno != EAGAIN && state->ends->out_may_end) {
      state->out_ended = true;
      state->out_start = state->out_end;  // nobody wants it
    } else if (errno != EINTR && errno != EAGAIN) {
      pump_fail_os(state, EXIT_IO, errno, "writing the plaintext");
    }
  }
  if (state->out_start == state->out_end) {
    state->out_start = 0;
    state->out_end = 0;
  }
  end_out(state);
}

// --- The socket path: calls in flight for both directions at once ---

// Keeps what came for out_fd, or nothing if nobody wants it.
static void keep(struct pump_state *state, struct tlsagent_bytes data) {
  if (!state->out_ended) {
    memcpy(state->out, data.data, data.len);
    state->out_end = data.len;
  }
}

static void read_done(void *user, bool ok, void *out, const struct tlsagent_error *error) {
  struct pump_state *state = user;
  const struct tlsagent_session_read_reply *reply = out;
  state->reading = false;
  if (!ok) {
    pump_fail(state, error);
  } else if (reply->progress.state == TLSAGENT_STATE_CLOSED) {
    state->peer_ended = true;
  } else if (reply->progress.state == TLSAGENT_STATE_DONE && reply->data.len != 0 &&
             reply->data.len <= sizeof(state->out)) {
    keep(state, reply->data);
  } else {
    pump_stop(state, "Read", reply->progress.state);
  }
  tlsagent_free(out);
}

static void write_done(void *user, bool ok, void *out, const struct tlsagent_error *error) {
  struct pump_state *state = user;
  const struct tlsagent_session_write_reply *reply = out;
  state->writing = false;
  if (!ok) {
    pump_fail(state, error);
  } else if (reply->progress.state != TLSAGENT_STATE_DONE) {
    pump_stop(state, "Write", reply->progress.state);
  }
  tlsagent_free(out);
}

static void shutdown_done(void *user, bool ok, void *reply, const struct tlsagent_error *error) {
  struct pump_state *state = user;
  state->shutting = false;
  state->close_notified = true;
  if (!ok && !state->peer_ended) {  // a peer that has ended may have left
    pump_fail(state, error);
  }
  tlsagent_free(reply);
}

static bool submit(struct pump_state *state, enum tlsagent_method method, const void *request,
                   tlsagent_done *done) {
  struct tlsagent_error error;
  if (tlsagent_submit(state->channel->agent, method, request, 0, done, state, &error) == 0) {
    pump_fail(state, &error);
    return false;
  }
  return true;
}

static void start_reading(struct pump_state *state) {
  const struct tlsagent_session_read_request request = {.session = state->channel->session,
                                                        .max_bytes = sizeof(state->out)};
  if (!state->reading && !state->peer_ended && state->out_start == state->out_end) {
    state->reading = submit(state, TLSAGENT_SESSION_READ, &request, read_done);
  }
}

static void start_writing(struct pump_state *state) {
  const size_t len = pump_fill(state);
  const struct tlsagent_session_write_request request = {.session = state->channel->session,
                                                         .data = {state->in, len}};
  if (len != 0) {
    state->writing = submit(state, TLSAGENT_SESSION_WRITE, &request, write_done);
  }
}

static void start_shutting(struct pump_state *state) {
  const struct tlsagent_session_shutdown_request request = {.session = state->channel->session};
  const bool due = state->in_ended && !state->ends->ignore_in_end && !state->writing;
  if (due && !state->shutting && !state->close_notified) {
    state->shutting = submit(state, TLSAGENT_SESSION_SHUTDOWN, &request, shutdown_done);
  }
}

static bool is_done(const struct pump_state *state) {
  const bool peer_done = state->peer_ended && state->out_start == state->out_end;
  return peer_done && (state->ends->stop_with_peer || state->close_notified ||
                       (state->in_ended && state->ends->ignore_in_end && !state->writing));
}

// Waits until something can be done, and does it.
static void turn(struct pump_state *state) {
  enum { AGENT, IN, OUT, NUM };
  struct tlsagent_client *agent = state->channel->agent;
  const bool wants_in = !state->in_ended && !state->writing;
  const bool wants_out = state->out_start != state->out_end;
  struct tlsagent_error error;
  struct pollfd ready[NUM] = {
      [AGENT] = {tlsagent_client_fd(agent), POLLIN, 0},
      [IN] = {wants_in ? state->ends->in_fd : -1, POLLIN, 0},
      [OUT] = {wants_out ? state->ends->out_fd : -1, POLLOUT, 0},
  };
  if (tlsagent_client_wants_write(agent)) {
    ready[AGENT].events |= POLLOUT;
  }
  if (poll(ready, NUM, tlsagent_client_timeout_ms(agent)) < 0) {
    return;  // a signal
  }
  if (!tlsagent_poll(agent, &error)) {
    pump_fail(state, &error);
  }
  if (ready[IN].revents != 0) {
    start_writing(state);
  }
  if (ready[OUT].revents != 0) {
    pump_drain(state);
  }
}

// The callbacks point to the state: none may be left when it goes.
static void end_calls(struct pump_state *state) {
  struct tlsagent_client *agent = state->channel->agent;
  while (state->reading || state->writing || state->shutting) {
    struct pollfd ready = {tlsagent_client_fd(agent), POLLIN, 0};
    if (tlsagent_client_wants_write(agent)) {
      ready.events |= POLLOUT;
    }
    poll(&ready, 1, tlsagent_client_timeout_ms(agent));
    tlsagent_poll(agent, NULL);
  }
}

static void pump_session(struct pump_state *state) {
  while (!state->stopped && !is_done(state)) {
    start_reading(state);
    start_shutting(state);
    turn(state);
    end_out(state);
  }
  state->stopped = true;
  if (state->code == EXIT_OK && !state->close_notified) {
    channel_finish(state->channel);
  } else {
    channel_drop(state->channel);
  }
  end_calls(state);
}

int pump(struct channel *channel, const struct pump_ends *ends) {
  struct pump_state *state = calloc(1, sizeof(*state));
  if (state == NULL) {
    channel_drop(channel);
    return complain(channel->cli, EXIT_IO, "out of memory");
  }
  state->channel = channel;
  state->ends = ends;
  (channel->memory != NULL ? pump_memory : pump_session)(state);
  const int code = state->code;
  explicit_bzero(state, sizeof(*state));
  free(state);
  return code;
}
