#include "client/c/methods.h"

#include "client/c/fields.h"

#define AGENT       "tlsagent.v1.AgentService"
#define CERTIFICATE "tlsagent.v1.CertificateService"
#define CONTEXT     "tlsagent.v1.ContextService"
#define SESSION     "tlsagent.v1.SessionService"
#define RELAY       "tlsagent.v1.RelayService"

#define NEVER          0, TLA_FAILURE_NONE
#define PROGRESS(type) offsetof(struct type, progress), TLA_FAILURE_PROGRESS
#define OPENING(type)  offsetof(struct type, session), TLA_FAILURE_OPENING
#define ERROR(type)    offsetof(struct type, error), TLA_FAILURE_ERROR
#define PLAIN          false
#define SECRET         true

// clang-format off
static const struct tla_method METHODS[TLSAGENT_METHODS] = {
    [TLSAGENT_AGENT_PING]          = {AGENT, "Ping", &TLA_BYTES_ONLY, &TLA_AGENT_PING_REPLY, NEVER, PLAIN},
    [TLSAGENT_AGENT_HELLO]         = {AGENT, "Hello", &TLA_EMPTY, &TLA_AGENT_HELLO_REPLY, NEVER, PLAIN},
    [TLSAGENT_AGENT_INFO]          = {AGENT, "Info", &TLA_EMPTY, &TLA_AGENT_INFO_REPLY, NEVER, PLAIN},
    [TLSAGENT_AGENT_LIMITS]        = {AGENT, "Limits", &TLA_EMPTY, &TLA_AGENT_LIMITS_REPLY, NEVER, PLAIN},
    [TLSAGENT_AGENT_COUNTERS]      = {AGENT, "Counters", &TLA_EMPTY, &TLA_AGENT_COUNTERS_REPLY, NEVER, PLAIN},
    [TLSAGENT_AGENT_CANCEL]        = {AGENT, "Cancel", &TLA_NUMBER_ONLY, &TLA_AGENT_CANCEL_REPLY, NEVER, PLAIN},
    [TLSAGENT_AGENT_RANDOM_BYTES]  = {AGENT, "RandomBytes", &TLA_NUMBER_ONLY, &TLA_AGENT_RANDOM_BYTES_REPLY,
                                      ERROR(tlsagent_agent_random_bytes_reply), PLAIN},
    [TLSAGENT_AGENT_ADD_ENTROPY]   = {AGENT, "AddEntropy", &TLA_BYTES_ONLY, &TLA_EMPTY, NEVER, SECRET},
    [TLSAGENT_AGENT_LOOKUP_OBJECT] = {AGENT, "LookupObject", &TLA_AGENT_LOOKUP_OBJECT,
                                      &TLA_AGENT_LOOKUP_OBJECT_REPLY, NEVER, PLAIN},

    [TLSAGENT_CERTIFICATE_DECODE] = {CERTIFICATE, "Decode", &TLA_CERTIFICATE_DECODE, &TLA_CERTIFICATE_DECODE_REPLY,
                                     ERROR(tlsagent_certificate_decode_reply), PLAIN},
    [TLSAGENT_CERTIFICATE_VERIFY] = {CERTIFICATE, "Verify", &TLA_CERTIFICATE_VERIFY, &TLA_CERTIFICATE_VERIFY_REPLY,
                                     ERROR(tlsagent_certificate_verify_reply), PLAIN},

    [TLSAGENT_CONTEXT_CREATE]     = {CONTEXT, "Create", &TLA_CONTEXT_CREATE, &TLA_CONTEXT_CREATE_REPLY,
                                     ERROR(tlsagent_context_create_reply), SECRET},
    [TLSAGENT_CONTEXT_CONFIGURE]  = {CONTEXT, "Configure", &TLA_CONTEXT_CONFIGURE, &TLA_CONTEXT_CONFIGURE_REPLY,
                                     ERROR(tlsagent_context_configure_reply), SECRET},
    [TLSAGENT_CONTEXT_DESCRIBE]   = {CONTEXT, "Describe", &TLA_HANDLE, &TLA_CONTEXT_DESCRIBE_REPLY, NEVER, PLAIN},
    [TLSAGENT_CONTEXT_LIST_TRUST] = {CONTEXT, "ListTrust", &TLA_CONTEXT_LIST_TRUST, &TLA_CONTEXT_LIST_TRUST_REPLY,
                                     NEVER, PLAIN},
    [TLSAGENT_CONTEXT_OPEN]       = {CONTEXT, "Open", &TLA_NAME, &TLA_CONTEXT_OPEN_REPLY, NEVER, PLAIN},
    [TLSAGENT_CONTEXT_RELEASE]    = {CONTEXT, "Release", &TLA_HANDLE, &TLA_EMPTY, NEVER, PLAIN},
    [TLSAGENT_CONTEXT_FORGET]     = {CONTEXT, "Forget", &TLA_NAME, &TLA_EMPTY, NEVER, PLAIN},

    [TLSAGENT_SESSION_CONNECT]     = {SESSION, "Connect", &TLA_SESSION_CONNECT, &TLA_SESSION_CONNECT_REPLY,
                                      OPENING(tlsagent_session_connect_reply), PLAIN},
    [TLSAGENT_SESSION_ACCEPT]      = {SESSION, "Accept", &TLA_SESSION_ACCEPT, &TLA_SESSION_ACCEPT_REPLY,
                                      OPENING(tlsagent_session_accept_reply), PLAIN},
    [TLSAGENT_SESSION_HANDSHAKE]   = {SESSION, "Handshake", &TLA_SESSION_HANDSHAKE, &TLA_SESSION_HANDSHAKE_REPLY,
                                      PROGRESS(tlsagent_session_handshake_reply), SECRET},
    [TLSAGENT_SESSION_READ]        = {SESSION, "Read", &TLA_SESSION_READ, &TLA_SESSION_READ_REPLY,
                                      PROGRESS(tlsagent_session_read_reply), PLAIN},
    [TLSAGENT_SESSION_WRITE]       = {SESSION, "Write", &TLA_SESSION_WRITE, &TLA_SESSION_WRITE_REPLY,
                                      PROGRESS(tlsagent_session_write_reply), PLAIN},
    [TLSAGENT_SESSION_SHUTDOWN]    = {SESSION, "Shutdown", &TLA_SESSION_SHUTDOWN, &TLA_SESSION_SHUTDOWN_REPLY,
                                      PROGRESS(tlsagent_session_shutdown_reply), PLAIN},
    [TLSAGENT_SESSION_DESCRIBE]    = {SESSION, "Describe", &TLA_HANDLE, &TLA_SESSION_DESCRIBE_REPLY, NEVER, PLAIN},
    [TLSAGENT_SESSION_PEER_CERTIFICATE] = {SESSION, "PeerCertificate", &TLA_SESSION_PEER_CERTIFICATE,
                                           &TLA_SESSION_PEER_CERTIFICATE_REPLY, NEVER, PLAIN},
    [TLSAGENT_SESSION_RELAY]       = {SESSION, "Relay", &TLA_SESSION_RELAY, &TLA_SESSION_RELAY_REPLY, NEVER, PLAIN},
    [TLSAGENT_SESSION_WAIT_END]    = {SESSION, "WaitEnd", &TLA_HANDLE, &TLA_SESSION_WAIT_END_REPLY,
                                      ERROR(tlsagent_session_wait_end_reply), PLAIN},
    [TLSAGENT_SESSION_DESCRIPTOR_TOKEN] = {SESSION, "DescriptorToken", &TLA_EMPTY, &TLA_SESSION_DESCRIPTOR_TOKEN_REPLY,
                                           NEVER, PLAIN},
    [TLSAGENT_SESSION_SET_CONTEXT] = {SESSION, "SetContext", &TLA_SESSION_SET_CONTEXT, &TLA_EMPTY, NEVER, PLAIN},
    [TLSAGENT_SESSION_EXPORT_KEYING_MATERIAL] = {SESSION, "ExportKeyingMaterial", &TLA_SESSION_EXPORT_KEYING_MATERIAL,
                                                 &TLA_SESSION_EXPORT_KEYING_MATERIAL_REPLY,
                                                 ERROR(tlsagent_session_export_keying_material_reply), PLAIN},
    [TLSAGENT_SESSION_CHANNEL_BINDING] = {SESSION, "ChannelBinding", &TLA_SESSION_CHANNEL_BINDING,
                                          &TLA_SESSION_CHANNEL_BINDING_REPLY, NEVER, PLAIN},
    [TLSAGENT_SESSION_GET_RESUMPTION] = {SESSION, "GetResumption", &TLA_HANDLE, &TLA_SESSION_GET_RESUMPTION_REPLY,
                                         NEVER, PLAIN},
    [TLSAGENT_SESSION_REQUEST_CLIENT_CERTIFICATE] = {SESSION, "RequestClientCertificate", &TLA_HANDLE,
                                                     &TLA_SESSION_PROGRESS_ONLY,
                                                     PROGRESS(tlsagent_session_request_client_certificate_reply), PLAIN},
    [TLSAGENT_SESSION_UPDATE_KEYS] = {SESSION, "UpdateKeys", &TLA_SESSION_UPDATE_KEYS, &TLA_SESSION_PROGRESS_ONLY,
                                      PROGRESS(tlsagent_session_update_keys_reply), PLAIN},
    [TLSAGENT_SESSION_SHARED_CIPHERS] = {SESSION, "SharedCiphers", &TLA_HANDLE, &TLA_SESSION_SHARED_CIPHERS_REPLY,
                                         NEVER, PLAIN},
    [TLSAGENT_SESSION_CLOSE]       = {SESSION, "Close", &TLA_HANDLE, &TLA_EMPTY, NEVER, PLAIN},

    [TLSAGENT_RELAY_LISTEN]   = {RELAY, "Listen", &TLA_RELAY_LISTEN, &TLA_RELAY_LISTEN_REPLY, NEVER, PLAIN},
    [TLSAGENT_RELAY_DESCRIBE] = {RELAY, "Describe", &TLA_HANDLE, &TLA_RELAY_DESCRIBE_REPLY, NEVER, PLAIN},
    [TLSAGENT_RELAY_NEXT]     = {RELAY, "Next", &TLA_HANDLE, &TLA_RELAY_NEXT_REPLY, NEVER, PLAIN},
    [TLSAGENT_RELAY_CLOSE]    = {RELAY, "Close", &TLA_HANDLE, &TLA_EMPTY, NEVER, PLAIN},
};
// clang-format on

const struct tla_method *tla_find_method(enum tlsagent_method method) {
  return (unsigned)method < TLSAGENT_METHODS ? &METHODS[method] : NULL;
}
