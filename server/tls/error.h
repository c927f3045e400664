// The one error record: what OpenSSL, the kernel or a check of ours refused, complete enough to
// rebuild the exception that OpenSSL's users know. Filled in error.c and nowhere else.
#ifndef TLSAGENT_SERVER_TLS_ERROR_H_
#define TLSAGENT_SERVER_TLS_ERROR_H_

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The numbers are those of tlsagent.v1.ErrorKind.
enum tls_error_kind {
  TLS_ERROR_NONE = 0,
  TLS_ERROR_TLS = 1,
  TLS_ERROR_VERIFY = 2,
  TLS_ERROR_TRUNCATED = 3,
  TLS_ERROR_OS = 4,
  TLS_ERROR_TIMEOUT = 5,
  TLS_ERROR_INVALID = 6,
  TLS_ERROR_CLOSED_HERE = 7,
  TLS_ERROR_RESOLVE = 8
};

enum { TLS_ALERT_NONE = -1 };

// Field for field the TlsError of tlsagent.v1. Strings are UTF-8, NUL-terminated, maybe empty. No
// error ever holds a secret. The mnemonics are those of Python's ssl module, which has none for
// reasons that all libraries share ("PEM lib").
struct tls_error {
  enum tls_error_kind kind;
  int ssl_error;       // SSL_get_error(3)
  unsigned long code;  // ERR_peek_last_error(3)
  int library_number;
  int reason_number;
  char library[24];  // mnemonic: "SSL"
  char reason[80];   // mnemonic: "CERTIFICATE_VERIFY_FAILED"
  char text[160];    // in words
  long verify_code;  // X509_V_ERR_*
  char verify_message[320];
  int os_errno;
  char item[48];     // which input was at fault: "pairs[1].key"
  int alert;         // sent or received, or TLS_ALERT_NONE
  char detail[160];  // of a refused input: our own words
};

// tls_error_clear makes a record of no error.
void tls_error_clear(struct tls_error *error);

// tls_error_invalid records that an input makes no sense: TLS_ERROR_INVALID, item and detail. What
// OpenSSL's error queue says is taken along, and the queue is cleared; else text says the same.
void tls_error_invalid(struct tls_error *error, const char *item, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// tls_error_os records a failed system call: text is "what: the errno in words".
void tls_error_os(struct tls_error *error, int os_errno, const char *what);

// tls_error_simple records a kind with a text of ours.
void tls_error_simple(struct tls_error *error, enum tls_error_kind kind, const char *text);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_ERROR_H_
