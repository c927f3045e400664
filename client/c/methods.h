// Every rpc: its names on the wire, its tables, and where its answer says that TLS failed.
#ifndef TLSAGENT_CLIENT_C_METHODS_H_
#define TLSAGENT_CLIENT_C_METHODS_H_

#include <stdbool.h>
#include <stddef.h>

#include "client/c/codec.h"

#ifdef __cplusplus
extern "C" {
#endif

// enum tla_failure says where a reply has its failure.
enum tla_failure {
  TLA_FAILURE_NONE,      // nowhere: being answered is success
  TLA_FAILURE_PROGRESS,  // in a struct tlsagent_progress whose state is FAILED
  TLA_FAILURE_OPENING,   // the same, behind the handle of a session; without that it failed too
  TLA_FAILURE_ERROR,     // in a pointer to a struct tlsagent_tls_error that isn't NULL
};

// struct tla_method is one row.
struct tla_method {
  const char *service;
  const char *name;
  const struct tla_message *request;
  const struct tla_message *reply;
  size_t failure_offset;
  enum tla_failure failure;
  bool secret;  // whether the request may carry keys: it is wiped after it was sent
};

// tla_find_method returns the row of method, or NULL for a number that names none.
const struct tla_method *tla_find_method(enum tlsagent_method method);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_C_METHODS_H_
