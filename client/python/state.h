// The state of the module `_ssl`, and how its files find each other.
//
// One binary serves CPython 3.11 and newer: only the limited API is used. What differs by version
// is decided at run time, by module_state.version.
#ifndef TLSAGENT_CLIENT_PYTHON_STATE_H_
#define TLSAGENT_CLIENT_PYTHON_STATE_H_

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdbool.h>
#include <stdlib.h>

#include "client/c/tlsagent.h"

// Versions of CPython as sys.hexversion has them, without their patch level.
enum { PYTHON_3_11 = 0x030B, PYTHON_3_12 = 0x030C, PYTHON_3_13 = 0x030D, PYTHON_3_14 = 0x030E };
// Before this release contexts ignored an end of the transport without close_notify (gh-95494), and
// shared_ciphers() told all that this side has (gh-96931).
enum { HEXVERSION_3_11_3 = 0x030B0300 };

// Flags of types that every CPython from 3.10 on knows, and the limited API's headers hide.
enum { TYPE_NOT_INSTANTIABLE = 1 << 7, TYPE_IMMUTABLE = 1 << 8 };

struct module_state {
  unsigned long hexversion;  // as sys.hexversion: for what a bugfix release changed
  int version;               // PYTHON_3_11 and so on

  // The exceptions, as ssl.py imports them.
  PyObject *SSLError;
  PyObject *SSLCertVerificationError;
  PyObject *SSLZeroReturnError;
  PyObject *SSLWantReadError;
  PyObject *SSLWantWriteError;
  PyObject *SSLSyscallError;
  PyObject *SSLEOFError;

  // The types.
  PyTypeObject *context_type;
  PyTypeObject *socket_type;
  PyTypeObject *bio_type;
  PyTypeObject *session_type;
  PyTypeObject *certificate_type;
  PyTypeObject *raw_socket_type;  // _socket.socket

  // Whether this program looks at its peers' certificates: then they come decoded with the
  // handshake.
  bool looks_at_peers;

  // What the daemon said when the module was imported.
  struct tlsagent_agent_info_reply *info;

  PyObject *build_ciphers;      // what default_ciphers points into, or NULL
  const char *default_ciphers;  // _DEFAULT_CIPHERS: of this interpreter's build
  bool sets_ciphers;            // whether this interpreter puts them on each new context
};

// module_state_of returns the state of the module that a type of ours, or one derived from it,
// belongs to. Objects keep it in their own structs; this is for constructors.
struct module_state *module_state_of(PyTypeObject *type);

// Each file adds its type to the module. They return -1 with an exception set.
int context_type_init(PyObject *module, struct module_state *state);
int socket_type_init(PyObject *module, struct module_state *state);
int bio_type_init(PyObject *module, struct module_state *state);
int session_type_init(PyObject *module, struct module_state *state);
int certificate_type_init(PyObject *module, struct module_state *state);
int errors_init(PyObject *module, struct module_state *state);
int ciphers_init(PyObject *module, struct module_state *state);
int constants_init(PyObject *module, struct module_state *state);
int functions_init(PyObject *module, struct module_state *state);
int objects_init(PyObject *module, struct module_state *state);
int names_init(PyObject *module, struct module_state *state);

// constant_of is the value of one of OpenSSL's constants, as the daemon has it: "SSL_OP_ALL"; 0
// when it has none of that name.
int64_t constant_of(const struct module_state *state, const char *name);

// object_put stores object, whose reference it takes over, and then drops what was there.
static inline void object_put(PyObject **place, PyObject *object) {
  PyObject *old = *place;
  *place = object;
  Py_XDECREF(old);
}

#endif  // TLSAGENT_CLIENT_PYTHON_STATE_H_
