// SSLSession: a session of TLS that a later connection can resume. What it holds is sealed by the
// daemon: nothing in it is a key to anybody else.
#ifndef TLSAGENT_CLIENT_PYTHON_SESSION_H_
#define TLSAGENT_CLIENT_PYTHON_SESSION_H_

#include "client/python/state.h"

// session_new makes an SSLSession of the daemon's answer, for that _SSLContext (a strong reference
// is kept).
PyObject *session_new(struct module_state *state, PyObject *context,
                      const struct tlsagent_session_get_resumption_reply *reply);

bool session_check(const struct module_state *state, PyObject *object);
// Both borrowed.
PyObject *session_context(PyObject *session);
struct tlsagent_bytes session_resumption(PyObject *session);

#endif  // TLSAGENT_CLIENT_PYTHON_SESSION_H_
