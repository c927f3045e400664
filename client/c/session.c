// SessionService.

#include "client/c/verb.h"

TLA_VERB(session_connect, SESSION_CONNECT)
TLA_VERB(session_accept, SESSION_ACCEPT)
TLA_VERB(session_handshake, SESSION_HANDSHAKE)
TLA_VERB(session_read, SESSION_READ)
TLA_VERB(session_write, SESSION_WRITE)
TLA_VERB(session_shutdown, SESSION_SHUTDOWN)
TLA_VERB_OF_HANDLE(session_describe, SESSION_DESCRIBE)
TLA_VERB(session_peer_certificate, SESSION_PEER_CERTIFICATE)
TLA_VERB(session_relay, SESSION_RELAY)
TLA_VERB_OF_NOTHING(session_descriptor_token, SESSION_DESCRIPTOR_TOKEN)
TLA_VERB_OF_HANDLE(session_wait_end, SESSION_WAIT_END)
TLA_VERB(session_export_keying_material, SESSION_EXPORT_KEYING_MATERIAL)
TLA_VERB(session_channel_binding, SESSION_CHANNEL_BINDING)
TLA_VERB_OF_HANDLE(session_get_resumption, SESSION_GET_RESUMPTION)
TLA_VERB_OF_HANDLE(session_request_client_certificate, SESSION_REQUEST_CLIENT_CERTIFICATE)
TLA_VERB(session_update_keys, SESSION_UPDATE_KEYS)
TLA_VERB_OF_HANDLE(session_shared_ciphers, SESSION_SHARED_CIPHERS)

bool tlsagent_session_set_context(struct tlsagent_client *client,
                                  const struct tlsagent_session_set_context_request *request,
                                  uint32_t timeout_ms, struct tlsagent_error *error) {
  return tla_call_and_wait(client, TLSAGENT_SESSION_SET_CONTEXT, NULL, request, timeout_ms, error);
}

bool tlsagent_session_close(struct tlsagent_client *client, uint64_t session, uint32_t timeout_ms,
                            struct tlsagent_error *error) {
  const struct tlsagent_handle_request request = {session};
  return tla_call_and_wait(client, TLSAGENT_SESSION_CLOSE, NULL, &request, timeout_ms, error);
}
