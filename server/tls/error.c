#include "server/tls/error.h"

#include <errno.h>
#include <openssl/cryptoerr.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/utf8.h"
#include "server/tls/openssl_error.h"

// ---------------------------------------------------------------------------------------------
// OpenSSL's own names of its errors.

struct library_row {
  int library;
  const char *name;
};

struct reason_row {
  int library;
  int reason;
  const char *name;
};

static const struct library_row library_rows[] = {
#define LIBRARY(number, name) {number, name},
#define REASON(library, number, name)
#include "server/tls/reasons.inc"
#undef LIBRARY
#undef REASON
};

// Ordered by library, then by reason.
static const struct reason_row reason_rows[] = {
#define LIBRARY(number, name)
#define REASON(library, number, name) {library, number, name},
#include "server/tls/reasons.inc"
#undef LIBRARY
#undef REASON
};

static const char *library_name(int library) {
  for (size_t i = 0; i < sizeof(library_rows) / sizeof(library_rows[0]); i++) {
    if (library_rows[i].library == library) {
      return library_rows[i].name;
    }
  }
  return "";
}

static int compare_reasons(const void *a, const void *b) {
  const struct reason_row *left = a;
  const struct reason_row *right = b;
  if (left->library != right->library) {
    return left->library < right->library ? -1 : 1;
  }
  return left->reason < right->reason ? -1 : left->reason > right->reason;
}

// Reasons that all libraries share (ERR_R_*) have no name here, as they have none in Python's ssl.
static const char *reason_name(int library, int reason) {
  const struct reason_row key = {.library = library, .reason = reason};
  const struct reason_row *row =
      bsearch(&key, reason_rows, sizeof(reason_rows) / sizeof(reason_rows[0]),
              sizeof(reason_rows[0]), compare_reasons);
  return row == NULL ? "" : row->name;
}

// ---------------------------------------------------------------------------------------------
// Filling the record.

static void describe_errno(int os_errno, char *out, size_t size) {
  char buffer[128];
  snprintf(out, size, "%s", strerror_r(os_errno, buffer, sizeof(buffer)));
}

void tls_error_clear(struct tls_error *error) {
  *error = (struct tls_error){.alert = TLS_ALERT_NONE};
}

static void describe_system_error(struct tls_error *error, int os_errno) {
  error->kind = TLS_ERROR_OS;
  error->os_errno = os_errno;
  describe_errno(os_errno, error->text, sizeof(error->text));
}

// Every library has its own code for this, with the same reason.
static bool is_out_of_memory(unsigned long code) {
  bool secure_heap_full =
      ERR_GET_LIB(code) == ERR_LIB_CRYPTO && ERR_GET_REASON(code) == CRYPTO_R_SECURE_MALLOC_FAILURE;
  return secure_heap_full || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
}

bool tls_queue_drain(void) {
  bool lacked_memory = false;
  for (unsigned long code = ERR_get_error(); code != 0; code = ERR_get_error()) {
    lacked_memory = lacked_memory || is_out_of_memory(code);
  }
  return lacked_memory;
}

static void describe_code(struct tls_error *error, unsigned long code) {
  error->code = code;
  error->library_number = ERR_GET_LIB(code);
  error->reason_number = ERR_GET_REASON(code);
  snprintf(error->library, sizeof(error->library), "%s", library_name(error->library_number));
  snprintf(error->reason, sizeof(error->reason), "%s",
           reason_name(error->library_number, error->reason_number));
  const char *text = ERR_reason_error_string(code);
  snprintf(error->text, sizeof(error->text), "%s", text == NULL ? "" : text);
}

// Takes the newest error of the queue, as Python does: it is the one nearest to the caller. True
// when anything in the queue was for want of memory.
static bool take_queue(struct tls_error *error) {
  unsigned long code = ERR_peek_last_error();
  if (code == 0) {
    return false;
  }
  describe_code(error, code);
  return tls_queue_drain();
}

static status_t record_no_memory(struct tls_error *error) {
  describe_system_error(error, ENOMEM);
  return status_of(STATUS_RESOURCE_EXHAUSTED);
}

// What was refused is quoted, whatever it is, and may be cut in the middle of a character.
static void make_showable(char *text) {
  bool is_text = utf8_valid(slice_of_string(text));
  for (; *text != '\0'; text++) {
    unsigned char byte = (unsigned char)*text;
    if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !is_text)) {
      *text = '?';
    }
  }
}

__attribute__((format(printf, 3, 0))) static void describe_refusal(struct tls_error *error,
                                                                   const char *item,
                                                                   const char *format,
                                                                   va_list args) {
  error->kind = TLS_ERROR_INVALID;
  snprintf(error->item, sizeof(error->item), "%s", item == NULL ? "" : item);
  vsnprintf(error->detail, sizeof(error->detail), format, args);
  make_showable(error->detail);
  if (error->code == 0) {
    snprintf(error->text, sizeof(error->text), "%s", error->detail);
  }
}

void tls_error_invalid(struct tls_error *error, const char *item, const char *format, ...) {
  va_list args;
  va_start(args, format);
  tls_error_clear(error);
  (void)take_queue(error);
  describe_refusal(error, item, format, args);
  va_end(args);
}

status_t tls_refuse(struct tls_error *error, const char *item, const char *format, ...) {
  tls_error_clear(error);
  if (take_queue(error)) {
    return record_no_memory(error);
  }
  va_list args;
  va_start(args, format);
  describe_refusal(error, item, format, args);
  va_end(args);
  return status_of(STATUS_INVALID_ARGUMENT);
}

status_t tls_refuse_as(struct tls_error *error, unsigned long code, const char *item,
                       const char *format, ...) {
  tls_error_clear(error);
  if (tls_queue_drain()) {
    return record_no_memory(error);
  }
  if (code != 0) {
    describe_code(error, code);
  }
  va_list args;
  va_start(args, format);
  describe_refusal(error, item, format, args);
  va_end(args);
  return status_of(STATUS_INVALID_ARGUMENT);
}

status_t tls_out_of_memory(struct tls_error *error) {
  tls_error_clear(error);
  (void)take_queue(error);
  return record_no_memory(error);
}

void tls_error_os(struct tls_error *error, int os_errno, const char *what) {
  tls_error_clear(error);
  error->kind = TLS_ERROR_OS;
  error->os_errno = os_errno;
  char words[128];
  describe_errno(os_errno, words, sizeof(words));
  snprintf(error->text, sizeof(error->text), "%s%s%s", what == NULL ? "" : what,
           what == NULL || what[0] == '\0' ? "" : ": ", words);
}

void tls_error_simple(struct tls_error *error, enum tls_error_kind kind, const char *text) {
  tls_error_clear(error);
  error->kind = kind;
  snprintf(error->text, sizeof(error->text), "%s", text);
}

bool tls_queue_says(int library, int reason) {
  unsigned long code = ERR_peek_last_error();
  return code != 0 && ERR_GET_LIB(code) == library && ERR_GET_REASON(code) == reason;
}

// ---------------------------------------------------------------------------------------------
// Failures of an SSL.

void tls_verify_text(long verify_code, const char *host, char *out, size_t size) {
  bool known = host != NULL && host[0] != '\0';
  if (known && verify_code == X509_V_ERR_HOSTNAME_MISMATCH) {
    snprintf(out, size, "Hostname mismatch, certificate is not valid for '%s'.", host);
  } else if (known && verify_code == X509_V_ERR_IP_ADDRESS_MISMATCH) {
    snprintf(out, size, "IP address mismatch, certificate is not valid for '%s'.", host);
  } else {
    snprintf(out, size, "%s", X509_verify_cert_error_string(verify_code));
  }
}

static void describe_verification(struct tls_error *error, const SSL *ssl, const char *host) {
  error->kind = TLS_ERROR_VERIFY;
  error->verify_code = SSL_get_verify_result(ssl);
  tls_verify_text(error->verify_code, host, error->verify_message, sizeof(error->verify_message));
}

// What the queue says nothing of is the end of the transport, its errno, or the peer's
// close_notify.
static void describe_silence(struct tls_error *error, int os_errno) {
  if (error->ssl_error == SSL_ERROR_ZERO_RETURN) {
    snprintf(error->text, sizeof(error->text), "the peer sent close_notify during the handshake");
    return;
  }
  if (os_errno != 0) {
    describe_system_error(error, os_errno);
    return;
  }
  error->kind = TLS_ERROR_TRUNCATED;
  snprintf(error->text, sizeof(error->text), "EOF occurred in violation of protocol");
}

static bool is_ssl(const struct tls_error *error, int reason) {
  return error->library_number == ERR_LIB_SSL && error->reason_number == reason;
}

static void describe_failure(struct tls_error *error, const SSL *ssl, const char *host,
                             int os_errno) {
  error->kind = TLS_ERROR_TLS;
  if (error->code == 0) {
    describe_silence(error, os_errno);
  } else if (error->library_number == ERR_LIB_SYS) {
    describe_system_error(error, error->reason_number);
  } else if (is_ssl(error, SSL_R_CERTIFICATE_VERIFY_FAILED)) {
    describe_verification(error, ssl, host);
  } else if (is_ssl(error, SSL_R_UNEXPECTED_EOF_WHILE_READING)) {
    error->kind = TLS_ERROR_TRUNCATED;
  }
}

void tls_error_from_ssl(struct tls_error *error, const SSL *ssl, const char *host, int ssl_error,
                        int os_errno) {
  int alert = error->alert;
  tls_error_clear(error);
  error->alert = alert;
  error->ssl_error = ssl_error;
  if (take_queue(error)) {
    describe_system_error(error, ENOMEM);
  } else {
    describe_failure(error, ssl, host, os_errno);
  }
}
