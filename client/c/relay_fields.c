// proto/tlsagent/v1/relay.proto

#include "client/c/fields.h"

#define T struct tlsagent_target
static const struct tla_field TARGET_TCP[] = {FIELD(1, TEXT, host), FIELD(2, NUMBER, port)};
static MESSAGE(TLA_TARGET_TCP, TARGET_TCP);

static const struct tla_field TARGET[] = {
    CHOICE_OF(kind, TLSAGENT_TARGET_TCP, TLA_TARGET_TCP),
    CHOICE(kind, TLSAGENT_TARGET_UNIX, TEXT, unix_path),
};
static MESSAGE(TLA_TARGET, TARGET);
#undef T

#define T struct tlsagent_relay_listen_request
static const struct tla_field LISTEN[] = {
    FIELD(1, NUMBER, context),           FIELD(2, NUMBER, role),
    FD_OR_TOKEN(3, fd, fd_token),        WITHIN(4, to, TLA_TARGET),
    FIELD(5, TEXT, server_name),         FIELD(6, BOOL, proxy_protocol),
    FIELD(7, NUMBER, handshake_seconds), FIELD(8, NUMBER, idle_seconds),
    FIELD(9, NUMBER, total_seconds),     FIELD(10, NUMBER, max_connections),
    FIELD(11, BOOL, keep_ends),          FIELD(12, BYTES, fd_token),
};
MESSAGE(TLA_RELAY_LISTEN, LISTEN);
#undef T

#define T struct tlsagent_relay_listen_reply
static const struct tla_field LISTEN_REPLY[] = {FIELD(1, NUMBER, listener)};
MESSAGE(TLA_RELAY_LISTEN_REPLY, LISTEN_REPLY);
#undef T

#define T struct tlsagent_relay_describe_reply
static const struct tla_field DESCRIBE_REPLY[] = {
    FIELD(1, NUMBER, accepted),     FIELD(2, NUMBER, active),
    FIELD(3, NUMBER, established),  FIELD(4, NUMBER, handshakes_failed),
    FIELD(5, NUMBER, dials_failed), FIELD(6, NUMBER, refused),
    FIELD(7, NUMBER, bytes_read),   FIELD(8, NUMBER, bytes_written),
};
MESSAGE(TLA_RELAY_DESCRIBE_REPLY, DESCRIBE_REPLY);
#undef T

#define T struct tlsagent_relayed_connection
static const struct tla_field RELAYED[] = {
    FIELD(1, TEXT, peer),
    FIELD(2, NUMBER, stage),
    POINTS(3, negotiated, TLA_NEGOTIATED),
    POINTS(4, end, TLA_SESSION_WAIT_END_REPLY),
};
static MESSAGE(TLA_RELAYED_CONNECTION, RELAYED);
#undef T

#define T struct tlsagent_relay_next_reply
static const struct tla_field NEXT_REPLY[] = {
    MESSAGES(1, ends, TLA_RELAYED_CONNECTION),
    FIELD(2, NUMBER, lost),
};
MESSAGE(TLA_RELAY_NEXT_REPLY, NEXT_REPLY);
#undef T
