// The memory path: the ciphertext's socket is here too, and each call is answered at once.

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "client/cli/pump.h"

// --- Ciphertext ---

static size_t unsent(const struct pump_state *state) {
  size_t len;
  tlsagent_memory_take(state->channel->memory, &len);
  return len;
}

// Whoever waits for this help can be tried again.
static void note_help(struct pump_state *state, enum tlsagent_state help, bool helped) {
  if (helped && state->wants == help) {
    state->wants = TLSAGENT_STATE_UNSPECIFIED;
  }
}

static void send_ciphertext(struct pump_state *state) {
  size_t len;
  const uint8_t *data = tlsagent_memory_take(state->channel->memory, &len);
  const ssize_t sent =
      len == 0 ? 0 : send(state->channel->tcp, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent >= 0) {
    tlsagent_memory_taken(state->channel->memory, (size_t)sent);
    note_help(state, TLSAGENT_STATE_WANT_WRITE, (size_t)sent == len);
  } else if (errno != EINTR && errno != EAGAIN) {
    pump_fail_os(state, EXIT_NETWORK, errno, "sending");
  }
}

static void receive_ciphertext(struct pump_state *state) {
  uint8_t data[PUMP_CHUNK];
  const ssize_t got = recv(state->channel->tcp, data, sizeof(data), MSG_DONTWAIT);
  note_help(state, TLSAGENT_STATE_WANT_READ, got >= 0);
  if (got == 0) {
    tlsagent_memory_give_eof(state->channel->memory);
  } else if (got < 0 && errno != EINTR && errno != EAGAIN) {
    pump_fail_os(state, EXIT_NETWORK, errno, "receiving");
  } else if (got > 0 && !tlsagent_memory_give(state->channel->memory, data, (size_t)got)) {
    pump_fail_os(state, EXIT_IO, ENOMEM, "receiving");
  }
}

// --- Plaintext ---

// Reads what the ciphertext at hand gives. It returns false when that wants more of it.
static bool read_plaintext(struct pump_state *state) {
  size_t len;
  const enum tlsagent_state result = tlsagent_memory_read(state->channel->memory, &len, state->out,
                                                          sizeof(state->out), 0, &state->error);
  switch (result) {
    case TLSAGENT_STATE_DONE:
      state->out_end = state->out_ended ? 0 : len;
      return true;
    case TLSAGENT_STATE_WANT_READ:
      return false;
    case TLSAGENT_STATE_CLOSED:
      state->peer_ended = true;
      return true;
    default:
      pump_stop(state, "Read", result);
      return true;
  }
}

static bool has_in(const struct pump_state *state) {
  return state->in_start != state->in_end;
}

static bool shutdown_is_due(const struct pump_state *state) {
  return state->in_ended && !has_in(state) && !state->ends->ignore_in_end && !state->close_notified;
}

// Whether there is something for the peer that can be tried now.
static bool can_write(const struct pump_state *state) {
  const bool may_try = state->wants == TLSAGENT_STATE_UNSPECIFIED && !state->stopped;
  return may_try && (has_in(state) || shutdown_is_due(state));
}

// Notes what a verb waits for. It is tried again when that has happened.
static void wait_for(struct pump_state *state, const char *verb, enum tlsagent_state result) {
  const bool possible = result == TLSAGENT_STATE_WANT_READ ||
                        (result == TLSAGENT_STATE_WANT_WRITE && unsent(state) != 0);
  if (possible) {
    state->wants = result;
  } else {
    pump_stop(state, verb, result);
  }
}

static void write_plaintext(struct pump_state *state) {
  size_t accepted;
  const enum tlsagent_state result =
      tlsagent_memory_write(state->channel->memory, &accepted, state->in + state->in_start,
                            state->in_end - state->in_start, 0, &state->error);
  state->in_start += accepted;
  if (result != TLSAGENT_STATE_DONE) {
    wait_for(state, "Write", result);
  }
}

static void shut_down(struct pump_state *state) {
  const enum tlsagent_state result =
      tlsagent_memory_shutdown(state->channel->memory, false, 0, &state->error);
  state->close_notified = result == TLSAGENT_STATE_DONE || result == TLSAGENT_STATE_CLOSED;
  if (!state->close_notified) {
    wait_for(state, "Shutdown", result);
  }
}

static void write_what_goes(struct pump_state *state) {
  if (can_write(state) && has_in(state)) {
    write_plaintext(state);
  }
  if (can_write(state) && !has_in(state)) {
    shut_down(state);
  }
}

static void fill(struct pump_state *state) {
  state->in_start = 0;
  state->in_end = pump_fill(state);
}

// --- The loop ---

static bool is_done(const struct pump_state *state) {
  const bool peer_done = state->peer_ended && state->out_start == state->out_end;
  const bool own_done = state->in_ended && !has_in(state) && unsent(state) == 0;
  return peer_done && (state->ends->stop_with_peer || own_done);
}

// Between the calls the daemon says nothing, unless it goes.
static void watch_daemon(struct pump_state *state) {
  if (!tlsagent_poll(state->channel->agent, &state->error)) {
    pump_fail(state, &state->error);
  }
}

static void turn(struct pump_state *state, bool hungry) {
  enum { AGENT, TCP, IN, OUT, NUM };
  const size_t queued = unsent(state);
  const bool wants_in = !state->in_ended && !has_in(state) && queued < PUMP_CHUNK;
  const bool wants_out = state->out_start != state->out_end;
  const short tcp_events = (short)((hungry ? POLLIN : 0) | (queued != 0 ? POLLOUT : 0));
  struct pollfd ready[NUM] = {
      [AGENT] = {tlsagent_client_fd(state->channel->agent), POLLIN, 0},
      [TCP] = {tcp_events != 0 ? state->channel->tcp : -1, tcp_events, 0},
      [IN] = {wants_in ? state->ends->in_fd : -1, POLLIN, 0},
      [OUT] = {wants_out ? state->ends->out_fd : -1, POLLOUT, 0},
  };
  if (poll(ready, NUM, -1) < 0) {
    return;  // a signal
  }
  if (ready[AGENT].revents != 0) {
    watch_daemon(state);
  }
  if (ready[TCP].revents != 0 && hungry) {
    receive_ciphertext(state);
  }
  if (ready[IN].revents != 0) {
    fill(state);
  }
  if (ready[OUT].revents != 0) {
    pump_drain(state);
  }
}

void pump_memory(struct pump_state *state) {
  while (!state->stopped && !is_done(state)) {
    const bool room = state->out_start == state->out_end && !state->peer_ended;
    const bool hungry = room && !read_plaintext(state);
    write_what_goes(state);
    send_ciphertext(state);
    const bool idle = hungry || state->out_start != state->out_end || state->peer_ended;
    if (!state->stopped && idle && !can_write(state) && !is_done(state)) {
      turn(state, hungry);
    }
    pump_drain(state);
  }
  if (state->code == EXIT_OK && !state->close_notified) {
    channel_finish(state->channel);
  } else {
    channel_drop(state->channel);
  }
}
