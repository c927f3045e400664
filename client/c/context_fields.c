#include "client/c/fields.h"

#define T struct tlsagent_alpn
static const struct tla_field ALPN[] = {
    VALUES(1, BYTES_LIST, protocols),
    FIELD(2, BOOL, require_overlap),
};
static MESSAGE(TLA_ALPN, ALPN);
#undef T

#define T struct tlsagent_decisions
static const struct tla_field DECISIONS[] = {
    FIELD(1, BOOL, server_name),
    FIELD(2, BOOL, psk_client),
    FIELD(3, BOOL, psk_server),
};
static MESSAGE(TLA_DECISIONS, DECISIONS);
#undef T

#define T struct tlsagent_event_settings
static const struct tla_field EVENT_SETTINGS[] = {
    FIELD(1, BOOL, key_log),
    FIELD(2, BOOL, messages),
};
static MESSAGE(TLA_EVENT_SETTINGS, EVENT_SETTINGS);
#undef T

#define T struct tlsagent_context_settings
static const struct tla_field SETTINGS[] = {
    FIELD(1, OPT_NUMBER, min_version),
    FIELD(2, OPT_NUMBER, max_version),
    FIELD(3, OPT_TEXT, ciphers),
    FIELD(4, OPT_TEXT, ciphersuites),
    FIELD(5, OPT_TEXT, groups),
    FIELD(6, OPT_TEXT, signature_algorithms),
    FIELD(7, OPT_TEXT, client_signature_algorithms),
    FIELD(8, OPT_NUMBER, options),
    FIELD(9, OPT_NUMBER, verify_mode),
    FIELD(10, OPT_NUMBER, verify_flags),
    FIELD(11, OPT_NUMBER, host_flags),
    FIELD(12, OPT_NUMBER, verify_depth),
    FIELD(13, OPT_NUMBER, check_hostname),
    POINTS(14, alpn, TLA_ALPN),
    FIELD(15, OPT_NUMBER, num_tickets),
    FIELD(16, OPT_BYTES, session_id_context),
    FIELD(17, OPT_NUMBER, session_timeout_seconds),
    FIELD(18, OPT_NUMBER, session_cache_size),
    FIELD(19, OPT_NUMBER, security_level),
    FIELD(20, OPT_NUMBER, post_handshake_auth),
    WITHIN(21, dh_params, TLA_MATERIAL),
    FIELD(22, OPT_TEXT, psk_identity_hint),
    POINTS(23, decisions, TLA_DECISIONS),
    POINTS(24, events, TLA_EVENT_SETTINGS),
};
MESSAGE(TLA_SETTINGS, SETTINGS);
#undef T

#define T struct tlsagent_certificate_pair
static const struct tla_field CERTIFICATE_PAIR[] = {
    WITHIN(1, chain, TLA_MATERIAL),
    WITHIN(2, key, TLA_MATERIAL),
    FIELD(3, OPT_BYTES, password),
};
static MESSAGE(TLA_CERTIFICATE_PAIR, CERTIFICATE_PAIR);
#undef T

#define T struct tlsagent_trust
static const struct tla_field TRUST[] = {
    MESSAGES(1, certificates, TLA_MATERIAL),
    MESSAGES(2, crls, TLA_MATERIAL),
    FIELD(3, BOOL, system),
    MESSAGES(4, directories, TLA_MATERIAL),
};
static MESSAGE(TLA_TRUST, TRUST);
#undef T

#define T struct tlsagent_context_create_request
static const struct tla_field CREATE[] = {
    FIELD(1, NUMBER, kind),
    WITHIN(2, settings, TLA_SETTINGS),
    MESSAGES(3, pairs, TLA_CERTIFICATE_PAIR),
    WITHIN(4, trust, TLA_TRUST),
    FIELD(5, TEXT, name),
};
MESSAGE(TLA_CONTEXT_CREATE, CREATE);
#undef T

#define T struct tlsagent_context_create_reply
static const struct tla_field CREATE_REPLY[] = {
    FIELD(1, NUMBER, context),
    POINTS(2, error, TLA_TLS_ERROR),
};
MESSAGE(TLA_CONTEXT_CREATE_REPLY, CREATE_REPLY);
#undef T

#define T struct tlsagent_context_configure_request
static const struct tla_field CONFIGURE[] = {
    FIELD(1, NUMBER, context),
    WITHIN(2, settings, TLA_SETTINGS),
    MESSAGES(3, pairs, TLA_CERTIFICATE_PAIR),
    WITHIN(4, trust, TLA_TRUST),
};
MESSAGE(TLA_CONTEXT_CONFIGURE, CONFIGURE);
#undef T

#define T struct tlsagent_context_configure_reply
static const struct tla_field CONFIGURE_REPLY[] = {POINTS(1, error, TLA_TLS_ERROR)};
MESSAGE(TLA_CONTEXT_CONFIGURE_REPLY, CONFIGURE_REPLY);
#undef T

#define T struct tlsagent_cipher
static const struct tla_field CIPHER[] = {
    FIELD(1, NUMBER, id),
    FIELD(2, TEXT, name),
    FIELD(3, TEXT, standard_name),
    FIELD(4, TEXT, protocol),
    FIELD(5, TEXT, description),
    FIELD(6, NUMBER, strength_bits),
    FIELD(7, NUMBER, algorithm_bits),
    FIELD(8, BOOL, aead),
    FIELD(9, TEXT, symmetric),
    FIELD(10, TEXT, digest),
    FIELD(11, TEXT, key_exchange),
    FIELD(12, TEXT, authentication),
};
MESSAGE(TLA_CIPHER, CIPHER);
#undef T

#define T struct tlsagent_trust_counts
static const struct tla_field TRUST_COUNTS[] = {
    FIELD(1, NUMBER, certificates),
    FIELD(2, NUMBER, crls),
    FIELD(3, NUMBER, ca_certificates),
};
static MESSAGE(TLA_TRUST_COUNTS, TRUST_COUNTS);
#undef T

#define T struct tlsagent_session_stats
static const struct tla_field SESSION_STATS[] = {
    FIELD(1, NUMBER, number),
    FIELD(2, NUMBER, connect),
    FIELD(3, NUMBER, connect_good),
    FIELD(4, NUMBER, connect_renegotiate),
    FIELD(5, NUMBER, accept),
    FIELD(6, NUMBER, accept_good),
    FIELD(7, NUMBER, accept_renegotiate),
    FIELD(8, NUMBER, hits),
    FIELD(9, NUMBER, misses),
    FIELD(10, NUMBER, timeouts),
    FIELD(11, NUMBER, cache_full),
};
static MESSAGE(TLA_SESSION_STATS, SESSION_STATS);
#undef T

#define T struct tlsagent_context_describe_reply
static const struct tla_field DESCRIBE_REPLY[] = {
    FIELD(1, NUMBER, kind),
    WITHIN(2, settings, TLA_SETTINGS),
    MESSAGES(3, ciphers, TLA_CIPHER),
    MESSAGES(4, certificates, TLA_CERTIFICATE),
    WITHIN(5, trust, TLA_TRUST_COUNTS),
    WITHIN(6, sessions, TLA_SESSION_STATS),
    FIELD(7, TEXT, name),
};
MESSAGE(TLA_CONTEXT_DESCRIBE_REPLY, DESCRIBE_REPLY);
#undef T

#define T struct tlsagent_context_list_trust_request
static const struct tla_field LIST_TRUST[] = {FIELD(1, NUMBER, context), FIELD(2, BOOL, decode)};
MESSAGE(TLA_CONTEXT_LIST_TRUST, LIST_TRUST);
#undef T

#define T struct tlsagent_context_list_trust_reply
static const struct tla_field LIST_TRUST_REPLY[] = {
    VALUES(1, BYTES_LIST, der),
    MESSAGES(2, certificates, TLA_CERTIFICATE),
};
MESSAGE(TLA_CONTEXT_LIST_TRUST_REPLY, LIST_TRUST_REPLY);
#undef T

#define T struct tlsagent_context_open_reply
static const struct tla_field OPEN_REPLY[] = {FIELD(1, NUMBER, context)};
MESSAGE(TLA_CONTEXT_OPEN_REPLY, OPEN_REPLY);
#undef T
