// Text out of certificates, made fit to be shown and sent: UTF-8, without NUL. Inside server/tls
// only.
#ifndef TLSAGENT_SERVER_TLS_TEXT_H_
#define TLSAGENT_SERVER_TLS_TEXT_H_

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <stdbool.h>

#include "server/base/arena.h"
#include "server/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

// Where a certificate is decoded to. When the arena is exhausted the texts are "" and nobody need
// look until the end: arena->exhausted says so. scratch is a memory BIO, empty between uses.
struct decoding {
  struct arena *arena;
  BIO *scratch;
  bool lacked_memory;  // OpenSSL did, so that something is missing
};

// decoding_check empties OpenSSL's queue after a step that may have failed, which is fine as long
// as it wasn't for want of memory.
void decoding_check(struct decoding *to);

// text_escaped copies data with every control character, and every byte that is not UTF-8, as \xNN.
const char *text_escaped(struct decoding *to, struct slice data);

// text_taken is text_escaped of what was written to the scratch, which is then empty again.
const char *text_taken(struct decoding *to);

// text_exact copies data when it is UTF-8 without NUL; else NULL.
const char *text_exact(struct decoding *to, struct slice data);

// text_of_object is the long name of an object, or its dotted OID; text_of_oid always the latter.
const char *text_of_object(struct decoding *to, const ASN1_OBJECT *object);
const char *text_of_oid(struct decoding *to, const ASN1_OBJECT *object);

// bytes_of shows what is in a string of ASN.1; bytes_copied copies it.
struct slice bytes_of(const ASN1_STRING *string);
struct slice bytes_copied(struct decoding *to, struct slice data);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_TEXT_H_
