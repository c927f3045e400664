// RelayService.

#include "client/c/verb.h"

TLA_VERB(relay_listen, RELAY_LISTEN)
TLA_VERB_OF_HANDLE(relay_describe, RELAY_DESCRIBE)
TLA_VERB_OF_HANDLE(relay_next, RELAY_NEXT)

bool tlsagent_relay_close(struct tlsagent_client *client, uint64_t listener, uint32_t timeout_ms,
                          struct tlsagent_error *error) {
  const struct tlsagent_handle_request request = {listener};
  return tla_call_and_wait(client, TLSAGENT_RELAY_CLOSE, NULL, &request, timeout_ms, error);
}
