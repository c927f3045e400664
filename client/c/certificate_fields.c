#include "client/c/fields.h"

#define T struct tlsagent_name_attribute
static const struct tla_field NAME_ATTRIBUTE[] = {
    FIELD(1, TEXT, type),
    FIELD(2, TEXT, short_type),
    CHOICE(value_kind, TLSAGENT_NAME_TEXT, TEXT_BYTES, value),
    CHOICE(value_kind, TLSAGENT_NAME_RAW, BYTES, value),
};
static MESSAGE(TLA_NAME_ATTRIBUTE, NAME_ATTRIBUTE);
#undef T

#define T struct tlsagent_relative_name
static const struct tla_field RELATIVE_NAME[] = {MESSAGES(1, attributes, TLA_NAME_ATTRIBUTE)};
static MESSAGE(TLA_RELATIVE_NAME, RELATIVE_NAME);
#undef T

#define T struct tlsagent_alternative_name
static const struct tla_field ALTERNATIVE_NAME[] = {
    FIELD(1, NUMBER, kind), FIELD(2, BYTES, value),
    FIELD(3, TEXT, text),   MESSAGES(4, directory, TLA_RELATIVE_NAME),
    FIELD(5, TEXT, label),
};
static MESSAGE(TLA_ALTERNATIVE_NAME, ALTERNATIVE_NAME);
#undef T

#define T struct tlsagent_basic_constraints
static const struct tla_field BASIC_CONSTRAINTS[] = {
    FIELD(1, BOOL, ca),
    FIELD(2, OPT_NUMBER, path_length),
};
static MESSAGE(TLA_BASIC_CONSTRAINTS, BASIC_CONSTRAINTS);
#undef T

#define T struct tlsagent_certificate
static const struct tla_field CERTIFICATE[] = {
    MESSAGES(1, subject, TLA_RELATIVE_NAME),
    MESSAGES(2, issuer, TLA_RELATIVE_NAME),
    FIELD(3, NUMBER, version),
    FIELD(4, TEXT, serial_number),
    FIELD(5, TEXT, not_before),
    FIELD(6, TEXT, not_after),
    FIELD(7, SIGNED, not_before_unix),
    FIELD(8, SIGNED, not_after_unix),
    MESSAGES(9, subject_alt_names, TLA_ALTERNATIVE_NAME),
    VALUES(10, TEXTS, ocsp),
    VALUES(11, TEXTS, ca_issuers),
    VALUES(12, TEXTS, crl_distribution_points),
    FIELD(13, BYTES, fingerprint_sha256),
    FIELD(14, BYTES, spki_sha256),
    FIELD(15, TEXT, key_type),
    FIELD(16, NUMBER, key_bits),
    FIELD(17, TEXT, key_curve),
    FIELD(18, TEXT, signature_algorithm),
    VALUES(19, TEXTS, key_usage),
    VALUES(20, TEXTS, extended_key_usage),
    POINTS(21, basic_constraints, TLA_BASIC_CONSTRAINTS),
    FIELD(22, BYTES, der),
    FIELD(23, TEXT, pem),
    FIELD(24, NUMBER, subject_hash),
    FIELD(25, TEXT, subject_text),
    FIELD(26, TEXT, issuer_text),
    FIELD(27, BOOL, self_issued),
};
MESSAGE(TLA_CERTIFICATE, CERTIFICATE);
#undef T

#define T struct tlsagent_certificate_decode_request
static const struct tla_field DECODE[] = {
    WITHIN(1, certificates, TLA_MATERIAL),
    FIELD(2, NUMBER, max_certificates),
};
MESSAGE(TLA_CERTIFICATE_DECODE, DECODE);
#undef T

#define T struct tlsagent_certificate_decode_reply
static const struct tla_field DECODE_REPLY[] = {
    MESSAGES(1, certificates, TLA_CERTIFICATE),
    POINTS(2, error, TLA_TLS_ERROR),
};
MESSAGE(TLA_CERTIFICATE_DECODE_REPLY, DECODE_REPLY);
#undef T

#define T struct tlsagent_certificate_verify_request
static const struct tla_field VERIFY[] = {
    WITHIN(1, chain, TLA_MATERIAL), MESSAGES(2, trust, TLA_MATERIAL),
    FIELD(3, BOOL, system_trust),   MESSAGES(4, crls, TLA_MATERIAL),
    FIELD(5, TEXT, host),           FIELD(6, NUMBER, purpose),
    FIELD(7, NUMBER, flags),        FIELD(8, OPT_NUMBER, at_unix),
};
MESSAGE(TLA_CERTIFICATE_VERIFY, VERIFY);
#undef T

#define T struct tlsagent_verify_failure
static const struct tla_field VERIFY_FAILURE[] = {FIELD(1, SIGNED, code), FIELD(2, TEXT, message)};
static MESSAGE(TLA_VERIFY_FAILURE, VERIFY_FAILURE);
#undef T

#define T struct tlsagent_verify_depth
static const struct tla_field VERIFY_DEPTH[] = {
    FIELD(1, NUMBER, depth),
    POINTS(2, certificate, TLA_CERTIFICATE),
    MESSAGES(3, failures, TLA_VERIFY_FAILURE),
};
static MESSAGE(TLA_VERIFY_DEPTH, VERIFY_DEPTH);
#undef T

#define T struct tlsagent_certificate_verify_reply
static const struct tla_field VERIFY_REPLY[] = {
    FIELD(1, BOOL, ok),
    MESSAGES(2, depths, TLA_VERIFY_DEPTH),
    POINTS(3, error, TLA_TLS_ERROR),
};
MESSAGE(TLA_CERTIFICATE_VERIFY_REPLY, VERIFY_REPLY);
#undef T
