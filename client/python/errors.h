// From failures to the exceptions that `ssl` has for them. All of these set an exception and return
// NULL, so that callers can `return` them.
#ifndef TLSAGENT_CLIENT_PYTHON_ERRORS_H_
#define TLSAGENT_CLIENT_PYTHON_ERRORS_H_

#include "client/python/state.h"

// The SSL_ERROR_* numbers of the module.
enum {
  ERROR_SSL = 1,
  ERROR_WANT_READ = 2,
  ERROR_WANT_WRITE = 3,
  ERROR_SYSCALL = 5,
  ERROR_ZERO_RETURN = 6,
  ERROR_EOF = 8
};

// raise_tls raises what a failure of TLS is to Python: SSLError, SSLCertVerificationError with
// verify_code and verify_message, SSLZeroReturnError, SSLEOFError, or the OSError of an errno.
// `session` tells an operation on a session (args[0] is the SSL_ERROR_* number) from one on a
// context (args[0] is OpenSSL's reason number). `line` is the caller's __LINE__.
PyObject *raise_tls(struct module_state *state, const struct tlsagent_tls_error *error,
                    bool session, int line);

// raise_agent raises a failed call: by raise_tls() when TLS failed, else an OSError that names the
// daemon's socket (ConnectionError for one that went away, MemoryError, TimeoutError ... as fits).
PyObject *raise_agent(struct module_state *state, const struct tlsagent_error *error, bool session,
                      int line);

// raise_text raises type(number, "text (_ssl.c:LINE)") with library and reason None, as for the
// texts that are CPython's own.
PyObject *raise_text(struct module_state *state, PyObject *type, int number, const char *text,
                     int line);

// raise_coded raises SSLError with library and reason set: "[LIB: REASON] text (_ssl.c:LINE)".
PyObject *raise_coded(struct module_state *state, PyObject *type, int number, const char *library,
                      const char *reason, const char *text, int line);

// take_raised returns the exception that is set, a new reference, and clears it; raise_again sets
// one, and keeps the caller's reference the caller's.
PyObject *take_raised(void);
PyObject *raise_again(PyObject *exception);

#endif  // TLSAGENT_CLIENT_PYTHON_ERRORS_H_
