// A client: a connection and the calls on it.
#ifndef TLSAGENT_CLIENT_C_CLIENT_H_
#define TLSAGENT_CLIENT_C_CLIENT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/c/address.h"
#include "client/c/connection.h"
#include "client/c/methods.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { TLA_CALL_BUCKETS = 256 };

// The last stream id that is used; the next would not be larger than every earlier one.
#define TLA_STREAM_LAST UINT32_C(0xFFFFFFFF)

// struct tla_call is one call, from its submission until its callback has returned.
struct tla_call {
  struct tla_call *next;  // in its bucket, or in the list of those that are over
  uint32_t id;            // its stream
  const struct tla_method *method;
  tlsagent_done *done;  // NULL: nobody waits, or not any more
  void *user;
  uint32_t timeout_ms;
  uint64_t expires_ms;  // when the library gives up; 0: never
  bool given_up;        // over for the caller, and only here so that a late reply is recognized
  bool ok;
  void *reply;
  struct tlsagent_error error;
};

struct tlsagent_client {
  pid_t pid;  // of the process that may use it
  bool adopted;
  struct tla_address address;
  struct tla_connection connection;
  uint8_t token[TLSAGENT_TOKEN_LENGTH];
  bool say_token;  // the next request joins by it
  char daemon_version[32];

  uint32_t next_stream;
  struct tla_call *calls[TLA_CALL_BUCKETS];  // by stream
  size_t num_calls;                          // in calls
  size_t in_flight;                          // those not over for their caller
  struct tla_call *over;                     // to be called back, in order
  struct tla_call **over_last;
  size_t num_timed;         // in calls, with a time to expire
  uint64_t next_expiry_ms;  // no call expires earlier; 0: none does

  bool lost;  // and loss says why
  struct tlsagent_error loss;
  unsigned depth;  // turns under way: a callback may take another
  bool closing;    // tlsagent_client_close() was called in a callback
};

// --- call.c ---

// tla_call_and_wait makes a blocking call; the verbs of tlsagent.h are this with their own types.
// *out may be left alone by passing NULL.
bool tla_call_and_wait(struct tlsagent_client *client, enum tlsagent_method method, void **out,
                       const void *request, uint32_t timeout_ms, struct tlsagent_error *error);

// tla_calls_init prepares an empty table.
void tla_calls_init(struct tlsagent_client *client);

// tla_calls_end ends every call with *why, and runs their callbacks.
void tla_calls_end(struct tlsagent_client *client, const struct tlsagent_error *why);

// tla_calls_run runs the callbacks of calls that are over.
void tla_calls_run(struct tlsagent_client *client);

// tla_calls_free frees what is left, without callbacks.
void tla_calls_free(struct tlsagent_client *client);

// --- stream.c ---

// tla_count_accepted adds to *accepted what the reply to a Write says was taken. A daemon that says
// more than it was given, or is done without any of it, makes no sense: *error is filled, and
// nothing added.
bool tla_count_accepted(size_t *accepted, const struct tlsagent_session_write_reply *reply,
                        size_t given, struct tlsagent_error *error);

// --- client.c ---

// tla_client_owned says whether this is the process that opened the client, and why not.
bool tla_client_owned(const struct tlsagent_client *client, struct tlsagent_error *error);

// tla_client_usable says whether calls can be made, and why not.
bool tla_client_usable(const struct tlsagent_client *client, struct tlsagent_error *error);

// tla_client_lose notes that the connection is lost because of *why, once, and ends every call.
void tla_client_lose(struct tlsagent_client *client, const struct tlsagent_error *why);

// tla_client_destroy frees the client; its calls are over.
void tla_client_destroy(struct tlsagent_client *client);

// tla_client_renew puts a fresh connection in the place of one that used up its stream ids.
bool tla_client_renew(struct tlsagent_client *client, uint32_t timeout_ms,
                      struct tlsagent_error *error);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_C_CLIENT_H_
