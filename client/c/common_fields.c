#include "client/c/fields.h"

// Requests and replies of no field, and of one.

#define T struct tlsagent_empty
const struct tla_message TLA_EMPTY = {sizeof(T), NULL, 0};
#undef T

#define T struct tlsagent_handle_request
static const struct tla_field HANDLE[] = {FIELD(1, NUMBER, handle)};
MESSAGE(TLA_HANDLE, HANDLE);
#undef T

#define T struct tlsagent_name_request
static const struct tla_field NAME[] = {FIELD(1, TEXT, name)};
MESSAGE(TLA_NAME, NAME);
#undef T

#define T struct tlsagent_bytes_request
static const struct tla_field BYTES_ONLY[] = {FIELD(1, BYTES, bytes)};
MESSAGE(TLA_BYTES_ONLY, BYTES_ONLY);
#undef T

#define T struct tlsagent_number_request
static const struct tla_field NUMBER_ONLY[] = {FIELD(1, NUMBER, number)};
MESSAGE(TLA_NUMBER_ONLY, NUMBER_ONLY);
#undef T

#define T struct tlsagent_tls_error
static const struct tla_field TLS_ERROR[] = {
    FIELD(1, NUMBER, kind),           FIELD(2, NUMBER, ssl_error), FIELD(3, NUMBER, code),
    FIELD(4, NUMBER, library_number), FIELD(5, CHARS, library),    FIELD(6, NUMBER, reason_number),
    FIELD(7, CHARS, reason),          FIELD(8, CHARS, text),       FIELD(9, SIGNED, verify_code),
    FIELD(10, CHARS, verify_message), FIELD(11, NUMBER, os_errno), FIELD(12, CHARS, item),
    FIELD(13, OPT_NUMBER, alert),     FIELD(14, CHARS, detail),
};
MESSAGE(TLA_TLS_ERROR, TLS_ERROR);
#undef T

#define T struct tlsagent_material
static const struct tla_field MATERIAL[] = {
    CHOICE(source, TLSAGENT_SOURCE_DATA, BYTES, data),
    CHOICE(source, TLSAGENT_SOURCE_FD, FD, fd),
    CHOICE(source, TLSAGENT_SOURCE_FD_TOKEN, BYTES, fd_token),
};
MESSAGE(TLA_MATERIAL, MATERIAL);
#undef T
