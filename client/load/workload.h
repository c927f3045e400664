// What is said over a connection once it is established.
#ifndef TLSAGENT_CLIENT_LOAD_WORKLOAD_H_
#define TLSAGENT_CLIENT_LOAD_WORKLOAD_H_

#include <stdbool.h>

#include "client/load/options.h"
#include "client/load/target.h"
#include "server/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct conn;

struct workload {
  bool per_connection;  // an operation is a connection, from connect on
  // An operation begins on an established connection.
  void (*begin)(struct conn *conn);
  void (*on_read)(struct conn *conn, struct slice data);
  void (*on_written)(struct conn *conn);
  // The peer has ended: by close_notify, or without (truncated).
  void (*on_end)(struct conn *conn, bool truncated);
};

extern const struct workload WORKLOADS[WORKLOAD_COUNT];

// What requests are made of, the same for all connections; read only.
struct script {
  struct slice pattern;  // bytes to write where any will do
  struct slice request;  // http, raw
  char *text;            // what request is in
};

// script_takes tells whether all escapes of a text for --send make sense.
bool script_takes(const char *text);
// script_init prepares it. False without memory.
bool script_init(struct script *script, const struct options *options, const struct target *target);
void script_cleanup(struct script *script);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_LOAD_WORKLOAD_H_
