// ASN.1 objects: numbers, names and OIDs, which OpenSSL's tables tie together.
#ifndef TLSAGENT_CLIENT_PYTHON_OBJECTS_H_
#define TLSAGENT_CLIENT_PYTHON_OBJECTS_H_

#include "client/python/state.h"

// objects_find asks the daemon for an object; out->found says whether it is known. *out is freed by
// tlsagent_free(). false with an exception set. A thread that calls it has taken no connection.
bool objects_find(struct module_state *state,
                  const struct tlsagent_agent_lookup_object_request *request,
                  struct tlsagent_agent_lookup_object_reply **out);

#endif  // TLSAGENT_CLIENT_PYTHON_OBJECTS_H_
