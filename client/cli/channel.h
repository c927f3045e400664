// One TLS connection, on any of the three paths, as a blocking stream.
#ifndef TLSAGENT_CLIENT_CLI_CHANNEL_H_
#define TLSAGENT_CLIENT_CLI_CHANNEL_H_

#include "client/cli/cli.h"
#include "client/cli/net.h"

// struct channel is a session and, on the memory path, the socket its ciphertext travels by.
struct channel {
  const struct cli *cli;
  struct tlsagent_client *agent;
  uint64_t session;                // 0: none
  struct tlsagent_memory *memory;  // NULL on the other paths
  int tcp;                         // -1 on the other paths
};

// channel_connect connects to endpoint and does the handshake: request says with which context and
// names. It complains, with what it knows of the peer's certificate, and returns the exit code.
int channel_connect(struct channel *channel, enum tlsagent_path path,
                    const struct endpoint *endpoint,
                    const struct tlsagent_session_connect_request *request);

// channel_accept does the handshake of a server on fd, which it closes. It fills *error and returns
// the exit code without complaining: a server goes on.
int channel_accept(struct channel *channel, uint64_t context, int fd, struct tlsagent_error *error);

// channel_read reads up to size bytes, waiting up to the timeout: DONE with bytes, CLOSED or
// FAILED.
enum tlsagent_state channel_read(struct channel *channel, size_t *out_len, void *buffer,
                                 size_t size, struct tlsagent_error *error);

// channel_write writes all len bytes.
bool channel_write(struct channel *channel, const void *data, size_t len,
                   struct tlsagent_error *error);

// channel_finish sends close_notify, if that still goes, and closes everything.
void channel_finish(struct channel *channel);

// channel_drop closes everything; the peer sees a cut.
void channel_drop(struct channel *channel);

// channel_stop fills *error, unless something has already, because verb ended in a state that it
// can't go on from.
void channel_stop(struct tlsagent_error *error, const char *verb, enum tlsagent_state state);

// memory_send sends what the memory session has for the peer, waiting if need be. It returns 0 or
// an errno.
int memory_send(struct channel *channel);

#endif  // TLSAGENT_CLIENT_CLI_CHANNEL_H_
