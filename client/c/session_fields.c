#include "client/c/fields.h"

#define T struct tlsagent_feed
static const struct tla_field FEED[] = {FIELD(1, BYTES, data), FIELD(2, BOOL, eof)};
static MESSAGE(TLA_FEED, FEED);
#undef T

// The three messages of a Transport lie in one struct.
#define T struct tlsagent_transport
static const struct tla_field MEMORY_TRANSPORT[] = {WITHIN(1, feed, TLA_FEED)};
static MESSAGE(TLA_MEMORY_TRANSPORT, MEMORY_TRANSPORT);

static const struct tla_field FD_TRANSPORT[] = {FD_OR_TOKEN(1, fd, token), FIELD(2, BYTES, token)};
static MESSAGE(TLA_FD_TRANSPORT, FD_TRANSPORT);

static const struct tla_field DIAL_TRANSPORT[] = {FIELD(1, TEXT, host), FIELD(2, NUMBER, port)};
static MESSAGE(TLA_DIAL_TRANSPORT, DIAL_TRANSPORT);

static const struct tla_field TRANSPORT[] = {
    CHOICE_OF(path, TLSAGENT_PATH_MEMORY, TLA_MEMORY_TRANSPORT),
    CHOICE_OF(path, TLSAGENT_PATH_FD, TLA_FD_TRANSPORT),
    CHOICE_OF(path, TLSAGENT_PATH_DIAL, TLA_DIAL_TRANSPORT),
};
static MESSAGE(TLA_TRANSPORT, TRANSPORT);
#undef T

#define T struct tlsagent_decision
static const struct tla_field DECISION[] = {
    FIELD(1, NUMBER, kind),
    FIELD(2, OPT_TEXT, server_name),
    FIELD(3, OPT_TEXT, psk_hint),
    FIELD(4, OPT_TEXT, psk_identity),
};
static MESSAGE(TLA_DECISION, DECISION);
#undef T

#define T struct tlsagent_decision_answer
static const struct tla_message TLA_PROCEED = {sizeof(T), NULL, 0};

static const struct tla_field PSK_ANSWER[] = {FIELD(1, TEXT, identity), FIELD(2, BYTES, key)};
static MESSAGE(TLA_PSK_ANSWER, PSK_ANSWER);

static const struct tla_field DECISION_ANSWER[] = {
    CHOICE_OF(answer, TLSAGENT_ANSWER_PROCEED, TLA_PROCEED),
    CHOICE(answer, TLSAGENT_ANSWER_REFUSE, NUMBER, alert),
    CHOICE_OF(answer, TLSAGENT_ANSWER_PSK, TLA_PSK_ANSWER),
};
static MESSAGE(TLA_DECISION_ANSWER, DECISION_ANSWER);
#undef T

#define T struct tlsagent_event
static const struct tla_field MESSAGE_EVENT[] = {
    FIELD(1, BOOL, sent),
    FIELD(2, NUMBER, version),
    FIELD(3, NUMBER, content_type),
    FIELD(4, BYTES, data),
};
static MESSAGE(TLA_MESSAGE_EVENT, MESSAGE_EVENT);

static const struct tla_field EVENT[] = {
    CHOICE(kind, TLSAGENT_EVENT_KEY_LOG, TEXT, key_log),
    CHOICE_OF(kind, TLSAGENT_EVENT_MESSAGE, TLA_MESSAGE_EVENT),
};
static MESSAGE(TLA_EVENT, EVENT);
#undef T

#define T struct tlsagent_progress
static const struct tla_field PROGRESS[] = {
    FIELD(1, NUMBER, state),           FIELD(2, BYTES, output),
    FIELD(3, NUMBER, input_consumed),  POINTS(4, error, TLA_TLS_ERROR),
    POINTS(5, decision, TLA_DECISION), MESSAGES(6, events, TLA_EVENT),
};
static MESSAGE(TLA_PROGRESS, PROGRESS);
#undef T

#define T struct tlsagent_negotiated
static const struct tla_field NEGOTIATED[] = {
    FIELD(1, NUMBER, version), FIELD(2, TEXT, version_name),   WITHIN(3, cipher, TLA_CIPHER),
    FIELD(4, BYTES, alpn),     FIELD(5, TEXT, server_name),    FIELD(6, BOOL, resumed),
    FIELD(7, TEXT, group),     FIELD(8, TEXT, peer_signature),
};
MESSAGE(TLA_NEGOTIATED, NEGOTIATED);
#undef T

#define T struct tlsagent_peer
static const struct tla_field PEER[] = {
    FIELD(1, BYTES, der),
    POINTS(2, certificate, TLA_CERTIFICATE),
    FIELD(3, SIGNED, verify_code),
    FIELD(4, TEXT, verify_message),
};
static MESSAGE(TLA_PEER, PEER);
#undef T

// --- Opening ---

#define T struct tlsagent_relay_options
static const struct tla_field RELAY_OPTIONS[] = {
    FIELD(1, NUMBER, idle_seconds), FIELD(2, NUMBER, total_seconds), FIELD(3, BOOL, forget),
    FIELD(4, NUMBER, kernel_tls),   FIELD(5, BOOL, by_token),
};
static MESSAGE(TLA_RELAY_OPTIONS, RELAY_OPTIONS);
#undef T

#define T struct tlsagent_session_relay_reply
static const struct tla_field RELAY_REPLY[] = {
    FD_OR_TOKEN(1, fd, token),
    FIELD(2, BOOL, kernel_tls),
    FIELD(3, TEXT, kernel_tls_why),
    FIELD(4, BYTES, token),
};
MESSAGE(TLA_SESSION_RELAY_REPLY, RELAY_REPLY);
#undef T

#define T struct tlsagent_session_descriptor_token_reply
static const struct tla_field DESCRIPTOR_TOKEN_REPLY[] = {
    FIELD(1, BYTES, token),
    FIELD(2, NUMBER, milliseconds),
};
MESSAGE(TLA_SESSION_DESCRIPTOR_TOKEN_REPLY, DESCRIPTOR_TOKEN_REPLY);
#undef T

#define T struct tlsagent_session_connect_request
static const struct tla_field CONNECT[] = {
    FIELD(1, NUMBER, context),     WITHIN(2, transport, TLA_TRANSPORT),
    FIELD(3, TEXT, server_name),   FIELD(4, OPT_BYTES, resumption),
    FIELD(5, OPT_NUMBER, wait_ms), FIELD(6, BOOL, decode_peer),
    FIELD(7, BYTES, first_write),  POINTS(8, relay, TLA_RELAY_OPTIONS),
};
MESSAGE(TLA_SESSION_CONNECT, CONNECT);
#undef T

#define T struct tlsagent_session_connect_reply
static const struct tla_field CONNECT_REPLY[] = {
    FIELD(1, NUMBER, session),
    WITHIN(2, progress, TLA_PROGRESS),
    POINTS(3, negotiated, TLA_NEGOTIATED),
    POINTS(4, peer, TLA_PEER),
    POINTS(5, relay, TLA_SESSION_RELAY_REPLY),
};
MESSAGE(TLA_SESSION_CONNECT_REPLY, CONNECT_REPLY);
#undef T

#define T struct tlsagent_session_accept_request
static const struct tla_field ACCEPT[] = {
    FIELD(1, NUMBER, context),   WITHIN(2, transport, TLA_TRANSPORT), FIELD(3, OPT_NUMBER, wait_ms),
    FIELD(4, BOOL, decode_peer), POINTS(5, relay, TLA_RELAY_OPTIONS),
};
MESSAGE(TLA_SESSION_ACCEPT, ACCEPT);
#undef T

#define T struct tlsagent_session_accept_reply
static const struct tla_field ACCEPT_REPLY[] = {
    FIELD(1, NUMBER, session),
    WITHIN(2, progress, TLA_PROGRESS),
    POINTS(3, negotiated, TLA_NEGOTIATED),
    POINTS(4, peer, TLA_PEER),
    POINTS(5, relay, TLA_SESSION_RELAY_REPLY),
};
MESSAGE(TLA_SESSION_ACCEPT_REPLY, ACCEPT_REPLY);
#undef T

// --- Driving ---

#define T struct tlsagent_session_handshake_request
static const struct tla_field HANDSHAKE[] = {
    FIELD(1, NUMBER, session),     WITHIN(2, feed, TLA_FEED),
    FIELD(3, OPT_NUMBER, wait_ms), WITHIN(4, decision, TLA_DECISION_ANSWER),
    FIELD(5, BOOL, decode_peer),
};
MESSAGE(TLA_SESSION_HANDSHAKE, HANDSHAKE);
#undef T

#define T struct tlsagent_session_handshake_reply
static const struct tla_field HANDSHAKE_REPLY[] = {
    WITHIN(1, progress, TLA_PROGRESS),
    POINTS(2, negotiated, TLA_NEGOTIATED),
    POINTS(3, peer, TLA_PEER),
};
MESSAGE(TLA_SESSION_HANDSHAKE_REPLY, HANDSHAKE_REPLY);
#undef T

#define T struct tlsagent_session_read_request
static const struct tla_field READ[] = {
    FIELD(1, NUMBER, session),
    FIELD(2, NUMBER, max_bytes),
    WITHIN(3, feed, TLA_FEED),
    FIELD(4, OPT_NUMBER, wait_ms),
    WITHIN(5, decision, TLA_DECISION_ANSWER),
    FIELD(6, NUMBER, exact_bytes),
};
MESSAGE(TLA_SESSION_READ, READ);
#undef T

#define T struct tlsagent_session_read_reply
static const struct tla_field READ_REPLY[] = {
    WITHIN(1, progress, TLA_PROGRESS),
    FIELD(2, BYTES, data),
    FIELD(3, NUMBER, pending),
    FIELD(4, BOOL, more),
};
MESSAGE(TLA_SESSION_READ_REPLY, READ_REPLY);
#undef T

#define T struct tlsagent_session_write_request
static const struct tla_field WRITE[] = {
    FIELD(1, NUMBER, session),
    FIELD(2, BYTES, data),
    WITHIN(3, feed, TLA_FEED),
    FIELD(4, OPT_NUMBER, wait_ms),
    WITHIN(5, decision, TLA_DECISION_ANSWER),
};
MESSAGE(TLA_SESSION_WRITE, WRITE);
#undef T

#define T struct tlsagent_session_write_reply
static const struct tla_field WRITE_REPLY[] = {
    WITHIN(1, progress, TLA_PROGRESS),
    FIELD(2, NUMBER, accepted),
};
MESSAGE(TLA_SESSION_WRITE_REPLY, WRITE_REPLY);
#undef T

#define T struct tlsagent_session_shutdown_request
static const struct tla_field SHUTDOWN[] = {
    FIELD(1, NUMBER, session),
    WITHIN(2, feed, TLA_FEED),
    FIELD(3, OPT_NUMBER, wait_ms),
    FIELD(4, BOOL, await_peer),
};
MESSAGE(TLA_SESSION_SHUTDOWN, SHUTDOWN);
#undef T

#define T struct tlsagent_session_shutdown_reply
static const struct tla_field SHUTDOWN_REPLY[] = {
    WITHIN(1, progress, TLA_PROGRESS), FIELD(2, BOOL, sent),        FIELD(3, BOOL, received),
    FIELD(4, BYTES, trailing),         FIELD(5, NUMBER, discarded),
};
MESSAGE(TLA_SESSION_SHUTDOWN_REPLY, SHUTDOWN_REPLY);
#undef T

// --- Asking ---

#define T struct tlsagent_session_describe_reply
static const struct tla_field DESCRIBE_REPLY[] = {
    FIELD(1, NUMBER, role),
    FIELD(2, NUMBER, state),
    POINTS(3, negotiated, TLA_NEGOTIATED),
    POINTS(4, peer, TLA_PEER),
    POINTS(5, error, TLA_TLS_ERROR),
    FIELD(6, NUMBER, pending),
    FIELD(7, BOOL, shutdown_sent),
    FIELD(8, BOOL, shutdown_received),
    FIELD(9, NUMBER, bytes_read),
    FIELD(10, NUMBER, bytes_written),
    FIELD(11, TEXT, transport),
};
MESSAGE(TLA_SESSION_DESCRIBE_REPLY, DESCRIBE_REPLY);
#undef T

#define T struct tlsagent_session_peer_certificate_request
static const struct tla_field PEER_CERTIFICATE[] = {
    FIELD(1, NUMBER, session),
    FIELD(2, BOOL, decode),
};
MESSAGE(TLA_SESSION_PEER_CERTIFICATE, PEER_CERTIFICATE);
#undef T

#define T struct tlsagent_session_peer_certificate_reply
static const struct tla_field PEER_CERTIFICATE_REPLY[] = {
    POINTS(1, peer, TLA_PEER),
    VALUES(2, BYTES_LIST, verified_chain),
    VALUES(3, BYTES_LIST, unverified_chain),
    MESSAGES(4, verified_certificates, TLA_CERTIFICATE),
    MESSAGES(5, unverified_certificates, TLA_CERTIFICATE),
};
MESSAGE(TLA_SESSION_PEER_CERTIFICATE_REPLY, PEER_CERTIFICATE_REPLY);
#undef T

#define T struct tlsagent_session_shared_ciphers_reply
static const struct tla_field SHARED_CIPHERS_REPLY[] = {MESSAGES(1, ciphers, TLA_CIPHER)};
MESSAGE(TLA_SESSION_SHARED_CIPHERS_REPLY, SHARED_CIPHERS_REPLY);
#undef T

// --- Relays ---

#define T struct tlsagent_session_relay_request
static const struct tla_field RELAY[] = {
    FIELD(1, NUMBER, session), FIELD(2, NUMBER, idle_seconds), FIELD(3, NUMBER, total_seconds),
    FIELD(4, BOOL, forget),    FIELD(5, NUMBER, kernel_tls),   FIELD(6, BOOL, by_token),
};
MESSAGE(TLA_SESSION_RELAY, RELAY);
#undef T

#define T struct tlsagent_session_wait_end_reply
static const struct tla_field WAIT_END_REPLY[] = {
    FIELD(1, NUMBER, state),         POINTS(2, error, TLA_TLS_ERROR), FIELD(3, NUMBER, bytes_read),
    FIELD(4, NUMBER, bytes_written), FIELD(5, NUMBER, milliseconds),
};
MESSAGE(TLA_SESSION_WAIT_END_REPLY, WAIT_END_REPLY);
#undef T

// --- The rarer ones ---

#define T struct tlsagent_session_set_context_request
static const struct tla_field SET_CONTEXT[] = {
    FIELD(1, NUMBER, session),
    FIELD(2, NUMBER, context),
};
MESSAGE(TLA_SESSION_SET_CONTEXT, SET_CONTEXT);
#undef T

#define T struct tlsagent_session_export_keying_material_request
static const struct tla_field EXPORT_KEYING_MATERIAL[] = {
    FIELD(1, NUMBER, session),
    FIELD(2, TEXT, label),
    FIELD(3, OPT_BYTES, context_value),
    FIELD(4, NUMBER, length),
};
MESSAGE(TLA_SESSION_EXPORT_KEYING_MATERIAL, EXPORT_KEYING_MATERIAL);
#undef T

#define T struct tlsagent_session_export_keying_material_reply
static const struct tla_field EXPORT_KEYING_MATERIAL_REPLY[] = {
    FIELD(1, BYTES, data),
    POINTS(2, error, TLA_TLS_ERROR),
};
MESSAGE(TLA_SESSION_EXPORT_KEYING_MATERIAL_REPLY, EXPORT_KEYING_MATERIAL_REPLY);
#undef T

#define T struct tlsagent_session_channel_binding_request
static const struct tla_field CHANNEL_BINDING[] = {
    FIELD(1, NUMBER, session),
    FIELD(2, NUMBER, kind),
};
MESSAGE(TLA_SESSION_CHANNEL_BINDING, CHANNEL_BINDING);
#undef T

#define T struct tlsagent_session_channel_binding_reply
static const struct tla_field CHANNEL_BINDING_REPLY[] = {FIELD(1, OPT_BYTES, data)};
MESSAGE(TLA_SESSION_CHANNEL_BINDING_REPLY, CHANNEL_BINDING_REPLY);
#undef T

#define T struct tlsagent_session_get_resumption_reply
static const struct tla_field GET_RESUMPTION_REPLY[] = {
    FIELD(1, OPT_BYTES, resumption),
    FIELD(2, BYTES, id),
    FIELD(3, SIGNED, time),
    FIELD(4, SIGNED, timeout),
    FIELD(5, NUMBER, ticket_lifetime_hint),
    FIELD(6, BOOL, has_ticket),
};
MESSAGE(TLA_SESSION_GET_RESUMPTION_REPLY, GET_RESUMPTION_REPLY);
#undef T

#define T struct tlsagent_session_update_keys_reply
static const struct tla_field PROGRESS_ONLY[] = {WITHIN(1, progress, TLA_PROGRESS)};
MESSAGE(TLA_SESSION_PROGRESS_ONLY, PROGRESS_ONLY);
#undef T

#define T struct tlsagent_session_update_keys_request
static const struct tla_field UPDATE_KEYS[] = {
    FIELD(1, NUMBER, session),
    FIELD(2, BOOL, request_peer),
};
MESSAGE(TLA_SESSION_UPDATE_KEYS, UPDATE_KEYS);
#undef T
