// Moves plaintext both ways between a TLS connection and a pair of descriptors until both are done.
#ifndef TLSAGENT_CLIENT_CLI_PUMP_H_
#define TLSAGENT_CLIENT_CLI_PUMP_H_

#include "client/cli/channel.h"

// struct pump_ends are the plaintext's descriptors, which may be one, and what their ends mean.
struct pump_ends {
  int in_fd;            // read from here, sent to the peer
  int out_fd;           // what the peer sends goes here
  bool ignore_in_end;   // the end of in_fd sends no close_notify
  bool stop_with_peer;  // the peer's close_notify ends it all, though in_fd could give more
  bool out_may_end;     // that nobody reads out_fd any more is no failure
};

// pump moves bytes. It returns OK after close_notify both ways, or complains and returns the exit
// code. The channel is closed when it returns.
int pump(struct channel *channel, const struct pump_ends *ends);

// --- Between pump.c and pump_memory.c ---

enum { PUMP_CHUNK = 64 * 1024 };

// struct pump_state is a pump at work.
struct pump_state {
  struct channel *channel;
  const struct pump_ends *ends;
  struct tlsagent_error error;
  int code;             // EXIT_OK until something fails
  bool stopped;         // failed, or done early
  bool in_ended;        // in_fd has no more
  bool peer_ended;      // the peer's close_notify came
  bool out_ended;       // out_fd was told so, or takes no more
  bool close_notified;  // ours was sent
  bool reading;         // calls in flight, socket path
  bool writing;
  bool shutting;
  // What the way to the peer waits for, memory path: WANT_READ, WANT_WRITE, or UNSPECIFIED for
  // nothing.
  enum tlsagent_state wants;
  size_t in_start;  // plaintext on its way to the peer, memory path
  size_t in_end;
  size_t out_start;  // plaintext on its way to out_fd
  size_t out_end;
  uint8_t out[PUMP_CHUNK];
  uint8_t in[PUMP_CHUNK];
};

// pump_fail notes a failure of TLS or the daemon, once.
void pump_fail(struct pump_state *state, const struct tlsagent_error *error);

// pump_stop notes that verb ended in a state that it can't go on from; state->error says why,
// unless that is NONE.
void pump_stop(struct pump_state *state, const char *verb, enum tlsagent_state result);

// pump_fail_os notes a failure of a descriptor here, once.
void pump_fail_os(struct pump_state *state, enum exit_code code, int why, const char *what);

// pump_fill reads in_fd, which is ready, into state->in, and returns how many bytes came.
size_t pump_fill(struct pump_state *state);

// pump_drain writes what out_fd takes without waiting, and tells it the end.
void pump_drain(struct pump_state *state);

// pump_memory runs the pump of the memory path.
void pump_memory(struct pump_state *state);

#endif  // TLSAGENT_CLIENT_CLI_PUMP_H_
