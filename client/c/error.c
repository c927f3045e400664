#include "client/c/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const char *const FAULTS[] = {
    [TLSAGENT_FAULT_NONE] = "none",
    [TLSAGENT_FAULT_USAGE] = "usage",
    [TLSAGENT_FAULT_UNREACHABLE] = "unreachable",
    [TLSAGENT_FAULT_LOST] = "lost",
    [TLSAGENT_FAULT_DEADLINE] = "deadline",
    [TLSAGENT_FAULT_REFUSED] = "refused",
    [TLSAGENT_FAULT_TLS] = "tls",
    [TLSAGENT_FAULT_MEMORY] = "memory",
};

static const char *const RPC_CODES[] = {
    [TLSAGENT_RPC_OK] = "OK",
    [TLSAGENT_RPC_CANCELLED] = "CANCELLED",
    [TLSAGENT_RPC_UNKNOWN] = "UNKNOWN",
    [TLSAGENT_RPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
    [TLSAGENT_RPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
    [TLSAGENT_RPC_NOT_FOUND] = "NOT_FOUND",
    [TLSAGENT_RPC_ALREADY_EXISTS] = "ALREADY_EXISTS",
    [TLSAGENT_RPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
    [TLSAGENT_RPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
    [TLSAGENT_RPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
    [TLSAGENT_RPC_ABORTED] = "ABORTED",
    [TLSAGENT_RPC_OUT_OF_RANGE] = "OUT_OF_RANGE",
    [TLSAGENT_RPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
    [TLSAGENT_RPC_INTERNAL] = "INTERNAL",
    [TLSAGENT_RPC_UNAVAILABLE] = "UNAVAILABLE",
    [TLSAGENT_RPC_DATA_LOSS] = "DATA_LOSS",
    [TLSAGENT_RPC_UNAUTHENTICATED] = "UNAUTHENTICATED",
};

static const char *const ERROR_KINDS[] = {
    [TLSAGENT_ERROR_UNSPECIFIED] = "unspecified",
    [TLSAGENT_ERROR_TLS] = "tls",
    [TLSAGENT_ERROR_VERIFY] = "verify",
    [TLSAGENT_ERROR_TRUNCATED] = "truncated",
    [TLSAGENT_ERROR_OS] = "os",
    [TLSAGENT_ERROR_TIMEOUT] = "timeout",
    [TLSAGENT_ERROR_INVALID] = "invalid",
    [TLSAGENT_ERROR_CLOSED_HERE] = "closed here",
    [TLSAGENT_ERROR_RESOLVE] = "resolve",
};

static const char *const STATES[] = {
    [TLSAGENT_STATE_UNSPECIFIED] = "unspecified",
    [TLSAGENT_STATE_DONE] = "done",
    [TLSAGENT_STATE_WANT_READ] = "want read",
    [TLSAGENT_STATE_WANT_WRITE] = "want write",
    [TLSAGENT_STATE_WANT_DECISION] = "want decision",
    [TLSAGENT_STATE_CLOSED] = "closed",
    [TLSAGENT_STATE_FAILED] = "failed",
};

static const char *look_up(const char *const *names, size_t num_names, unsigned index) {
  return index < num_names ? names[index] : "unknown";
}

const char *tlsagent_fault_name(enum tlsagent_fault fault) {
  return look_up(FAULTS, COUNT(FAULTS), (unsigned)fault);
}

const char *tlsagent_rpc_code_name(enum tlsagent_rpc_code code) {
  return look_up(RPC_CODES, COUNT(RPC_CODES), (unsigned)code);
}

const char *tlsagent_error_kind_name(enum tlsagent_error_kind kind) {
  return look_up(ERROR_KINDS, COUNT(ERROR_KINDS), (unsigned)kind);
}

const char *tlsagent_state_name(enum tlsagent_state state) {
  return look_up(STATES, COUNT(STATES), (unsigned)state);
}

bool tla_succeed(struct tlsagent_error *error) {
  if (error != NULL) {
    *error = (struct tlsagent_error){.fault = TLSAGENT_FAULT_NONE, .message = "no error"};
  }
  return true;
}

bool tla_fail(struct tlsagent_error *error, enum tlsagent_fault fault, const char *format, ...) {
  if (error != NULL) {
    *error = (struct tlsagent_error){.fault = fault};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof(error->message), format, arguments);
    va_end(arguments);
  }
  return false;
}

bool tla_fail_errno(struct tlsagent_error *error, enum tlsagent_fault fault, int os_errno,
                    const char *format, ...) {
  if (error != NULL) {
    char what[512];
    char why[128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    tla_fail(error, fault, "%s: %s", what, strerror_r(os_errno, why, sizeof(why)));
    error->os_errno = os_errno;
  }
  return false;
}

bool tla_fail_memory(struct tlsagent_error *error) {
  return tla_fail(error, TLSAGENT_FAULT_MEMORY, "out of memory");
}

bool tla_fail_rpc(struct tlsagent_error *error, const char *method, int code, const char *message) {
  const char *name = tlsagent_rpc_code_name((enum tlsagent_rpc_code)code);
  const bool late = code == TLSAGENT_RPC_DEADLINE_EXCEEDED;
  tla_fail(error, late ? TLSAGENT_FAULT_DEADLINE : TLSAGENT_FAULT_REFUSED,
           "tlsagentd refused %s: %s%s%s", method, name, message[0] == '\0' ? "" : ": ", message);
  if (error != NULL) {
    error->rpc_code = (enum tlsagent_rpc_code)code;
  }
  return false;
}

// What a person wants to know first, of the many things in the record.
static const char *gist(const struct tlsagent_tls_error *tls) {
  if (tls->kind == TLSAGENT_ERROR_VERIFY && tls->verify_message[0] != '\0') {
    return tls->verify_message;
  }
  if (tls->detail[0] != '\0') {
    return tls->detail;
  }
  if (tls->text[0] != '\0') {
    return tls->text;
  }
  if (tls->kind == TLSAGENT_ERROR_TRUNCATED) {
    return "the peer ended the connection without close_notify: data may be missing";
  }
  return tls->reason[0] != '\0' ? tls->reason : tlsagent_error_kind_name(tls->kind);
}

const struct tlsagent_tls_error TLA_CLOSED_EARLY = {
    .kind = TLSAGENT_ERROR_TLS, .text = "the peer sent close_notify during the handshake"};

bool tla_fail_tls(struct tlsagent_error *error, const char *method,
                  const struct tlsagent_tls_error *tls) {
  if (error != NULL) {
    const char *intro =
        tls->kind == TLSAGENT_ERROR_VERIFY ? "certificate verification failed: " : "";
    const char *colon = tls->item[0] != '\0' ? ": " : "";
    tla_fail(error, TLSAGENT_FAULT_TLS, "%s: %s%s%s%s", method, intro, tls->item, colon, gist(tls));
    error->tls = *tls;
  }
  return false;
}
