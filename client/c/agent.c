// AgentService.

#include <string.h>

#include "client/c/error.h"
#include "client/c/verb.h"

TLA_VERB_OF_NOTHING(agent_hello, AGENT_HELLO)
TLA_VERB_OF_NOTHING(agent_info, AGENT_INFO)
TLA_VERB_OF_NOTHING(agent_limits, AGENT_LIMITS)
TLA_VERB_OF_NOTHING(agent_counters, AGENT_COUNTERS)
TLA_VERB(agent_lookup_object, AGENT_LOOKUP_OBJECT)

bool tlsagent_agent_ping(struct tlsagent_client *client, const void *payload, size_t len,
                         uint32_t timeout_ms, struct tlsagent_error *error) {
  const struct tlsagent_bytes_request request = {tlsagent_bytes_of(payload, len)};
  void *out;
  if (!tla_call_and_wait(client, TLSAGENT_AGENT_PING, &out, &request, timeout_ms, error)) {
    return false;
  }
  const struct tlsagent_agent_ping_reply *reply = out;
  const bool same =
      reply->payload.len == len && (len == 0 || memcmp(reply->payload.data, payload, len) == 0);
  tlsagent_free(out);
  return same || tla_fail(error, TLSAGENT_FAULT_LOST, "Ping came back with other bytes");
}

bool tlsagent_agent_cancel(struct tlsagent_client *client, bool *out_found, uint32_t call_id,
                           uint32_t timeout_ms, struct tlsagent_error *error) {
  const struct tlsagent_number_request request = {call_id};
  void *out;
  if (out_found != NULL) {
    *out_found = false;
  }
  if (!tla_call_and_wait(client, TLSAGENT_AGENT_CANCEL, &out, &request, timeout_ms, error)) {
    return false;
  }
  if (out_found != NULL) {
    *out_found = ((const struct tlsagent_agent_cancel_reply *)out)->found;
  }
  tlsagent_free(out);
  return true;
}

bool tlsagent_agent_random_bytes(struct tlsagent_client *client, void *buffer, size_t size,
                                 uint32_t timeout_ms, struct tlsagent_error *error) {
  const struct tlsagent_number_request request = {(uint32_t)size};
  void *out = NULL;
  if (size > UINT32_MAX) {
    return tla_fail(error, TLSAGENT_FAULT_USAGE, "%zu random bytes are more than 65536", size);
  }
  bool ok =
      tla_call_and_wait(client, TLSAGENT_AGENT_RANDOM_BYTES, &out, &request, timeout_ms, error);
  const struct tlsagent_agent_random_bytes_reply *reply = out;
  if (ok && reply->data.len != size) {
    ok = tla_fail(error, TLSAGENT_FAULT_LOST, "tlsagentd gave %zu random bytes instead of %zu",
                  reply->data.len, size);
  }
  if (ok && size != 0) {
    memcpy(buffer, reply->data.data, size);
  }
  tlsagent_free(out);
  return ok;
}

bool tlsagent_agent_add_entropy(struct tlsagent_client *client, const void *data, size_t len,
                                uint32_t timeout_ms, struct tlsagent_error *error) {
  const struct tlsagent_bytes_request request = {tlsagent_bytes_of(data, len)};
  return tla_call_and_wait(client, TLSAGENT_AGENT_ADD_ENTROPY, NULL, &request, timeout_ms, error);
}
