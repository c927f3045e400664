// Certificates: the dict of getpeercert(), and the type Certificate.
#ifndef TLSAGENT_CLIENT_PYTHON_CERTIFICATE_H_
#define TLSAGENT_CLIENT_PYTHON_CERTIFICATE_H_

#include "client/python/state.h"

// certificate_dict makes the dict of getpeercert(). It may ask the daemon: a thread that calls any
// of these has taken no connection.
PyObject *certificate_dict(struct module_state *state,
                           const struct tlsagent_certificate *certificate);

// certificate_new makes a Certificate, which keeps a copy of all it needs.
PyObject *certificate_new(struct module_state *state,
                          const struct tlsagent_certificate *certificate);

// certificate_list makes a list of them.
PyObject *certificate_list(struct module_state *state,
                           const struct tlsagent_certificate *certificates, size_t num);

#endif  // TLSAGENT_CLIENT_PYTHON_CERTIFICATE_H_
