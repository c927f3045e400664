#include "client/c/fields.h"

#define T struct tlsagent_agent_ping_reply
static const struct tla_field PING_REPLY[] = {FIELD(1, BYTES, payload)};
MESSAGE(TLA_AGENT_PING_REPLY, PING_REPLY);
#undef T

#define T struct tlsagent_agent_hello_reply
static const struct tla_field HELLO_REPLY[] = {
    FIELD(1, BYTES, token),
    FIELD(2, TEXT, version),
    FIELD(3, NUMBER, uid),
    FIELD(4, TEXT, identity),
};
MESSAGE(TLA_AGENT_HELLO_REPLY, HELLO_REPLY);
#undef T

#define T struct tlsagent_constant
static const struct tla_field CONSTANT[] = {FIELD(1, TEXT, name), FIELD(2, SIGNED, value)};
static MESSAGE(TLA_CONSTANT, CONSTANT);
#undef T

#define T struct tlsagent_capability
static const struct tla_field CAPABILITY[] = {
    FIELD(1, TEXT, name),
    FIELD(2, BOOL, available),
    FIELD(3, TEXT, detail),
};
static MESSAGE(TLA_CAPABILITY, CAPABILITY);
#undef T

#define T struct tlsagent_verify_paths
static const struct tla_field VERIFY_PATHS[] = {
    FIELD(1, TEXT, file_env),
    FIELD(2, TEXT, file),
    FIELD(3, TEXT, directory_env),
    FIELD(4, TEXT, directory),
};
static MESSAGE(TLA_VERIFY_PATHS, VERIFY_PATHS);
#undef T

#define T struct tlsagent_agent_lookup_object_reply
static const struct tla_field LOOKUP_OBJECT_REPLY[] = {
    FIELD(1, BOOL, found),     FIELD(2, SIGNED, nid), FIELD(3, TEXT, short_name),
    FIELD(4, TEXT, long_name), FIELD(5, TEXT, oid),
};
MESSAGE(TLA_AGENT_LOOKUP_OBJECT_REPLY, LOOKUP_OBJECT_REPLY);
#undef T

#define T struct tlsagent_context_defaults
static const struct tla_field CONTEXT_DEFAULTS[] = {
    FIELD(1, NUMBER, kind),
    WITHIN(2, settings, TLA_SETTINGS),
};
static MESSAGE(TLA_CONTEXT_DEFAULTS, CONTEXT_DEFAULTS);
#undef T

#define T struct tlsagent_agent_info_reply
static const struct tla_field INFO_REPLY[] = {
    FIELD(1, TEXT, version),
    FIELD(2, TEXT, openssl_version),
    FIELD(3, NUMBER, openssl_version_number),
    FIELD(4, NUMBER, openssl_build_version_number),
    VALUES(5, TEXTS, groups),
    MESSAGES(6, capabilities, TLA_CAPABILITY),
    MESSAGES(7, constants, TLA_CONSTANT),
    FIELD(8, TEXT, default_ciphers),
    WITHIN(9, verify_paths, TLA_VERIFY_PATHS),
    FIELD(10, NUMBER, workers),
    FIELD(11, NUMBER, uptime_seconds),
    MESSAGES(12, objects, TLA_AGENT_LOOKUP_OBJECT_REPLY),
    MESSAGES(13, context_defaults, TLA_CONTEXT_DEFAULTS),
};
MESSAGE(TLA_AGENT_INFO_REPLY, INFO_REPLY);
#undef T

#define T struct tlsagent_limit
static const struct tla_field LIMIT[] = {
    FIELD(1, TEXT, name),
    FIELD(2, NUMBER, value),
    FIELD(3, NUMBER, memory_bytes),
    FIELD(4, TEXT, text),
};
static MESSAGE(TLA_LIMIT, LIMIT);
#undef T

#define T struct tlsagent_agent_limits_reply
static const struct tla_field LIMITS_REPLY[] = {
    MESSAGES(1, limits, TLA_LIMIT),
    FIELD(2, NUMBER, memory_bytes),
};
MESSAGE(TLA_AGENT_LIMITS_REPLY, LIMITS_REPLY);
#undef T

#define T struct tlsagent_counter
static const struct tla_field COUNTER[] = {FIELD(1, TEXT, name), FIELD(2, NUMBER, value)};
static MESSAGE(TLA_COUNTER, COUNTER);
#undef T

#define T struct tlsagent_agent_counters_reply
static const struct tla_field COUNTERS_REPLY[] = {MESSAGES(1, counters, TLA_COUNTER)};
MESSAGE(TLA_AGENT_COUNTERS_REPLY, COUNTERS_REPLY);
#undef T

#define T struct tlsagent_agent_cancel_reply
static const struct tla_field CANCEL_REPLY[] = {FIELD(1, BOOL, found)};
MESSAGE(TLA_AGENT_CANCEL_REPLY, CANCEL_REPLY);
#undef T

#define T struct tlsagent_agent_random_bytes_reply
static const struct tla_field RANDOM_BYTES_REPLY[] = {
    FIELD(1, BYTES, data),
    POINTS(2, error, TLA_TLS_ERROR),
};
MESSAGE(TLA_AGENT_RANDOM_BYTES_REPLY, RANDOM_BYTES_REPLY);
#undef T

#define T struct tlsagent_agent_lookup_object_request
static const struct tla_field LOOKUP_OBJECT[] = {
    CHOICE(by, TLSAGENT_OBJECT_BY_NID, SIGNED, nid),
    CHOICE(by, TLSAGENT_OBJECT_BY_TEXT, TEXT, text),
    CHOICE(by, TLSAGENT_OBJECT_BY_OID, TEXT, text),
};
MESSAGE(TLA_AGENT_LOOKUP_OBJECT, LOOKUP_OBJECT);
#undef T
