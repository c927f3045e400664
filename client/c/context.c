// ContextService.

#include "client/c/verb.h"

TLA_VERB_OF_HANDLE(context_describe, CONTEXT_DESCRIBE)
TLA_VERB(context_list_trust, CONTEXT_LIST_TRUST)

bool tlsagent_context_create(struct tlsagent_client *client, uint64_t *out_context,
                             const struct tlsagent_context_create_request *request,
                             uint32_t timeout_ms, struct tlsagent_error *error) {
  void *out;
  const bool ok =
      tla_call_and_wait(client, TLSAGENT_CONTEXT_CREATE, &out, request, timeout_ms, error);
  *out_context = ok ? ((const struct tlsagent_context_create_reply *)out)->context : 0;
  tlsagent_free(out);
  return ok;
}

bool tlsagent_context_configure(struct tlsagent_client *client,
                                const struct tlsagent_context_configure_request *request,
                                uint32_t timeout_ms, struct tlsagent_error *error) {
  return tla_call_and_wait(client, TLSAGENT_CONTEXT_CONFIGURE, NULL, request, timeout_ms, error);
}

bool tlsagent_context_open(struct tlsagent_client *client, uint64_t *out_context, const char *name,
                           uint32_t timeout_ms, struct tlsagent_error *error) {
  const struct tlsagent_name_request request = {name};
  void *out;
  const bool ok =
      tla_call_and_wait(client, TLSAGENT_CONTEXT_OPEN, &out, &request, timeout_ms, error);
  *out_context = ok ? ((const struct tlsagent_context_open_reply *)out)->context : 0;
  tlsagent_free(out);
  return ok;
}

bool tlsagent_context_release(struct tlsagent_client *client, uint64_t context, uint32_t timeout_ms,
                              struct tlsagent_error *error) {
  const struct tlsagent_handle_request request = {context};
  return tla_call_and_wait(client, TLSAGENT_CONTEXT_RELEASE, NULL, &request, timeout_ms, error);
}

bool tlsagent_context_forget(struct tlsagent_client *client, const char *name, uint32_t timeout_ms,
                             struct tlsagent_error *error) {
  const struct tlsagent_name_request request = {name};
  return tla_call_and_wait(client, TLSAGENT_CONTEXT_FORGET, NULL, &request, timeout_ms, error);
}
