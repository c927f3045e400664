// The tables of codec.h: <name>_fields.c has those of proto/tlsagent/v1/<name>.proto.
//
// A row is FIELD(number, kind, member) and its sisters; T is the struct the rows are about.
#ifndef TLSAGENT_CLIENT_C_FIELDS_H_
#define TLSAGENT_CLIENT_C_FIELDS_H_

#include <stddef.h>

#include "client/c/codec.h"
#include "client/c/tlsagent.h"

#ifdef __cplusplus
extern "C" {
#endif

// FIELD is a row for a value in the struct.
#define FIELD(number_, kind_, member)                                        \
  {                                                                          \
    .number = (number_), .kind = TLA_##kind_, .offset = offsetof(T, member), \
    .size = sizeof(((T *)0)->member)                                         \
  }

// FD_OR_TOKEN is a FIELD for a descriptor that comes by a token when there is one.
#define FD_OR_TOKEN(number_, member, token_)                            \
  {                                                                     \
    .number = (number_), .kind = TLA_FD, .offset = offsetof(T, member), \
    .size = sizeof(((T *)0)->member), .second = offsetof(T, token_)     \
  }

// WITHIN is a row for a message that is a struct in the struct, POINTS for one that is pointed to.
#define WITHIN(number_, member, message_)                                   \
  {                                                                         \
    .number = (number_), .kind = TLA_INLINE, .offset = offsetof(T, member), \
    .size = sizeof(((T *)0)->member), .message = &(message_)                \
  }
#define POINTS(number_, member, message_)                                    \
  {                                                                          \
    .number = (number_), .kind = TLA_POINTER, .offset = offsetof(T, member), \
    .size = sizeof(void *), .message = &(message_)                           \
  }

// VALUES is a row for a list of texts or bytes, MESSAGES for one of messages; num_<member> counts
// them.
#define VALUES(number_, kind_, member)                                       \
  {                                                                          \
    .number = (number_), .kind = TLA_##kind_, .offset = offsetof(T, member), \
    .size = sizeof(void *), .second = offsetof(T, num_##member)              \
  }
#define MESSAGES(number_, member, message_)                                                       \
  {                                                                                               \
    .number = (number_), .kind = TLA_LIST, .offset = offsetof(T, member), .size = sizeof(void *), \
    .second = offsetof(T, num_##member), .message = &(message_)                                   \
  }

// CHOICE is a FIELD of a oneof: it counts when the enum member by has its number.
#define CHOICE(by, number_, kind_, member)                                                   \
  {                                                                                          \
    .number = (number_), .kind = TLA_##kind_, .chosen = true, .offset = offsetof(T, member), \
    .size = sizeof(((T *)0)->member), .second = offsetof(T, by)                              \
  }

// CHOICE_OF is a message of a oneof whose fields lie in the same struct.
#define CHOICE_OF(by, number_, message_)                                        \
  {                                                                             \
    .number = (number_), .kind = TLA_INLINE, .chosen = true, .size = sizeof(T), \
    .second = offsetof(T, by), .message = &(message_)                           \
  }

// MESSAGE defines the table of T with these rows.
#define MESSAGE(name, rows) \
  const struct tla_message name = {sizeof(T), (rows), sizeof(rows) / sizeof((rows)[0])}

// common.proto
extern const struct tla_message TLA_EMPTY;
extern const struct tla_message TLA_HANDLE;
extern const struct tla_message TLA_NAME;
extern const struct tla_message TLA_BYTES_ONLY;
extern const struct tla_message TLA_NUMBER_ONLY;
extern const struct tla_message TLA_TLS_ERROR;
extern const struct tla_message TLA_MATERIAL;

// agent.proto
extern const struct tla_message TLA_AGENT_PING_REPLY;
extern const struct tla_message TLA_AGENT_HELLO_REPLY;
extern const struct tla_message TLA_AGENT_INFO_REPLY;
extern const struct tla_message TLA_AGENT_LIMITS_REPLY;
extern const struct tla_message TLA_AGENT_COUNTERS_REPLY;
extern const struct tla_message TLA_AGENT_CANCEL_REPLY;
extern const struct tla_message TLA_AGENT_RANDOM_BYTES_REPLY;
extern const struct tla_message TLA_AGENT_LOOKUP_OBJECT;
extern const struct tla_message TLA_AGENT_LOOKUP_OBJECT_REPLY;

// certificate.proto
extern const struct tla_message TLA_CERTIFICATE;
extern const struct tla_message TLA_CERTIFICATE_DECODE;
extern const struct tla_message TLA_CERTIFICATE_DECODE_REPLY;
extern const struct tla_message TLA_CERTIFICATE_VERIFY;
extern const struct tla_message TLA_CERTIFICATE_VERIFY_REPLY;

// context.proto
extern const struct tla_message TLA_CIPHER;
extern const struct tla_message TLA_SETTINGS;
extern const struct tla_message TLA_CONTEXT_CREATE;
extern const struct tla_message TLA_CONTEXT_CREATE_REPLY;
extern const struct tla_message TLA_CONTEXT_CONFIGURE;
extern const struct tla_message TLA_CONTEXT_CONFIGURE_REPLY;
extern const struct tla_message TLA_CONTEXT_DESCRIBE_REPLY;
extern const struct tla_message TLA_CONTEXT_LIST_TRUST;
extern const struct tla_message TLA_CONTEXT_LIST_TRUST_REPLY;
extern const struct tla_message TLA_CONTEXT_OPEN_REPLY;

// session.proto
extern const struct tla_message TLA_SESSION_CONNECT;
extern const struct tla_message TLA_SESSION_CONNECT_REPLY;
extern const struct tla_message TLA_SESSION_ACCEPT;
extern const struct tla_message TLA_SESSION_ACCEPT_REPLY;
extern const struct tla_message TLA_SESSION_HANDSHAKE;
extern const struct tla_message TLA_SESSION_HANDSHAKE_REPLY;
extern const struct tla_message TLA_SESSION_READ;
extern const struct tla_message TLA_SESSION_READ_REPLY;
extern const struct tla_message TLA_SESSION_WRITE;
extern const struct tla_message TLA_SESSION_WRITE_REPLY;
extern const struct tla_message TLA_SESSION_SHUTDOWN;
extern const struct tla_message TLA_SESSION_SHUTDOWN_REPLY;
extern const struct tla_message TLA_SESSION_DESCRIBE_REPLY;
extern const struct tla_message TLA_SESSION_PEER_CERTIFICATE;
extern const struct tla_message TLA_SESSION_PEER_CERTIFICATE_REPLY;
extern const struct tla_message TLA_NEGOTIATED;
extern const struct tla_message TLA_SESSION_RELAY;
extern const struct tla_message TLA_SESSION_RELAY_REPLY;
extern const struct tla_message TLA_SESSION_DESCRIPTOR_TOKEN_REPLY;
extern const struct tla_message TLA_SESSION_WAIT_END_REPLY;
extern const struct tla_message TLA_SESSION_SET_CONTEXT;
extern const struct tla_message TLA_SESSION_EXPORT_KEYING_MATERIAL;
extern const struct tla_message TLA_SESSION_EXPORT_KEYING_MATERIAL_REPLY;
extern const struct tla_message TLA_SESSION_CHANNEL_BINDING;
extern const struct tla_message TLA_SESSION_CHANNEL_BINDING_REPLY;
extern const struct tla_message TLA_SESSION_GET_RESUMPTION_REPLY;
extern const struct tla_message TLA_SESSION_PROGRESS_ONLY;
extern const struct tla_message TLA_SESSION_UPDATE_KEYS;
extern const struct tla_message TLA_SESSION_SHARED_CIPHERS_REPLY;

// relay.proto
extern const struct tla_message TLA_RELAY_LISTEN;
extern const struct tla_message TLA_RELAY_LISTEN_REPLY;
extern const struct tla_message TLA_RELAY_DESCRIBE_REPLY;
extern const struct tla_message TLA_RELAY_NEXT_REPLY;

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_C_FIELDS_H_
