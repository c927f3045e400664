// One socket to the daemon: whole frames go out, in order, with their descriptors; frames come in.
// It waits only when asked to, and knows nothing of calls.
#ifndef TLSAGENT_CLIENT_C_CONNECTION_H_
#define TLSAGENT_CLIENT_C_CONNECTION_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/c/address.h"
#include "client/c/frame.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { TLA_RECEIVED_FDS_MAX = 16 };

// A timeout as poll(2) has it.
enum { TLA_FOR_EVER = -1 };

// struct tla_parcel is a frame on its way out.
struct tla_parcel {
  struct tla_parcel *next;
  bool secret;  // wiped when it is sent
  size_t len;
  size_t sent;
  size_t num_fds;  // duplicates of its own; they leave with the first byte
  int fds[TLSAGENT_FDS_MAX];
  uint8_t data[];
};

// struct tla_connection is one socket. Zeros with fd -1 are none.
struct tla_connection {
  int fd;
  struct tla_parcel *first;  // to send, in order
  struct tla_parcel **last;  // where the next one is hung
  size_t queued;             // bytes to send
  struct tla_frame_reader *reader;
  int fds[TLA_RECEIVED_FDS_MAX];  // received and not taken yet, in order
  size_t num_fds;
};

// tla_connection_init makes a connection of a connected socket, which it owns from then on, also
// when it fails for want of memory.
bool tla_connection_init(struct tla_connection *connection, int fd, struct tlsagent_error *error);

// tla_connection_open connects to address, within timeout_ms.
bool tla_connection_open(struct tla_connection *connection, const struct tla_address *address,
                         uint32_t timeout_ms, struct tlsagent_error *error);

// tla_connection_close closes it and frees what it holds.
void tla_connection_close(struct tla_connection *connection);

// tla_parcel_new returns a parcel of len bytes to be filled in, or NULL without memory.
struct tla_parcel *tla_parcel_new(size_t len);

// tla_parcel_attach adds duplicates of fds, at most TLSAGENT_FDS_MAX.
bool tla_parcel_attach(struct tla_parcel *parcel, const int *fds, size_t num_fds,
                       struct tlsagent_error *error);

// tla_parcel_free frees it, closes its descriptors, and wipes it when it is secret.
void tla_parcel_free(struct tla_parcel *parcel);

// tla_connection_queue queues a parcel, which is the connection's from then on.
void tla_connection_queue(struct tla_connection *connection, struct tla_parcel *parcel);

// tla_connection_send sends what it can without waiting. It returns false when the connection is
// lost.
bool tla_connection_send(struct tla_connection *connection, struct tlsagent_error *error);

// enum tla_receipt says how receiving went.
enum tla_receipt {
  TLA_RECEIVED,          // something; frames may be complete
  TLA_RECEIVED_NOTHING,  // nothing is there
  TLA_RECEIVED_LOST,     // the connection is lost; *error says why
};

// tla_connection_receive receives what is there, once; with wait, it waits for it, and may then say
// that nothing is there yet.
enum tla_receipt tla_connection_receive(struct tla_connection *connection, bool wait,
                                        struct tlsagent_error *error);

// tla_connection_wait waits until it can receive, or send if something is queued, or timeout_ms are
// over; negative: for ever. Signals don't end it.
void tla_connection_wait(const struct tla_connection *connection, int timeout_ms);

// tla_connection_drop_taken forgets received descriptors that somebody took: they are -1.
void tla_connection_drop_taken(struct tla_connection *connection);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_C_CONNECTION_H_
