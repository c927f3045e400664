// How the rest of this folder fills a tls_error. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_OPENSSL_ERROR_H_
#define TLSAGENT_SERVER_TLS_OPENSSL_ERROR_H_

#include <openssl/ssl.h>

#include "server/base/status.h"
#include "server/tls/error.h"

#ifdef __cplusplus
extern "C" {
#endif

// tls_refuse is tls_error_invalid, and the status that goes with it: INVALID_ARGUMENT, or
// RESOURCE_EXHAUSTED when it was memory that OpenSSL lacked.
status_t tls_refuse(struct tls_error *error, const char *item, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// tls_refuse_as is tls_refuse with the code that OpenSSL's own function for such an input leaves as
// its last, ERR_PACK(library, 0, reason), whatever the queue says; 0 for a rule that is ours alone.
status_t tls_refuse_as(struct tls_error *error, unsigned long code, const char *item,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));

// tls_out_of_memory records that there was no memory, and empties OpenSSL's queue.
status_t tls_out_of_memory(struct tls_error *error);

// tls_error_from_ssl records why an operation on ssl failed. host is whom the peer was to be, or
// NULL; ssl_error is what SSL_get_error(3) said, os_errno the errno that was left. It reads and
// empties the queue. error->alert stays as it is.
void tls_error_from_ssl(struct tls_error *error, const SSL *ssl, const char *host, int ssl_error,
                        int os_errno);

// tls_verify_text writes in words why a verification failed. A mismatch names host, when it is
// known.
void tls_verify_text(long verify_code, const char *host, char *out, size_t size);

// tls_queue_drain empties OpenSSL's queue and tells whether anything in it was for want of memory.
bool tls_queue_drain(void);

// tls_queue_says tells whether the newest error of OpenSSL's queue has this library and reason.
bool tls_queue_says(int library, int reason);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_OPENSSL_ERROR_H_
