// The module `_ssl`: its life, and what it is made of.

#include "client/python/agent.h"
#include "client/python/errors.h"
#include "client/python/state.h"

// How long the daemon may take to say what it can do, before the import fails.
enum { INFO_TIMEOUT_MS = 10000 };

static struct module_state *state_of(PyObject *module) {
  return PyModule_GetState(module);
}

// --- What the daemon says ---

// Whatever is wrong, the import fails: programs that can do without ssl expect ImportError.
static int raise_import_error(struct module_state *state, const struct tlsagent_error *error) {
  raise_agent(state, error, false, __LINE__);
  PyObject *cause = take_raised();
  PyErr_Format(PyExc_ImportError,
               "no TLS without its daemon: %S, or run the program by `tlsagent exec`", cause);
  PyObject *failure = take_raised();
  PyException_SetCause(failure, cause);
  raise_again(failure);
  Py_DECREF(failure);
  return -1;
}

static int info_init(PyObject *module, struct module_state *state) {
  struct tlsagent_error error;
  bool good = false;
  (void)module;
  Py_BEGIN_ALLOW_THREADS;
  struct tlsagent_client *client = agent_take(NULL, &error);
  if (client != NULL) {
    good = tlsagent_agent_info(client, &state->info, INFO_TIMEOUT_MS, &error);
    agent_give(client);
  }
  Py_END_ALLOW_THREADS;
  return good ? 0 : raise_import_error(state, &error);
}

// --- Other modules ---

static int raw_socket_init(PyObject *module, struct module_state *state) {
  (void)module;
  PyObject *sockets = PyImport_ImportModule("_socket");
  if (sockets != NULL) {
    state->raw_socket_type = (PyTypeObject *)PyObject_GetAttrString(sockets, "socket");
    Py_DECREF(sockets);
  }
  return state->raw_socket_type == NULL ? -1 : 0;
}

// --- The module ---

static int module_exec(PyObject *module) {
  static int (*const parts[])(PyObject *, struct module_state *) = {
      errors_init,           info_init,        raw_socket_init, ciphers_init,
      constants_init,        functions_init,   objects_init,    names_init,
      context_type_init,     socket_type_init, bio_type_init,   session_type_init,
      certificate_type_init,
  };
  struct module_state *state = state_of(module);
  state->hexversion = Py_Version;
  state->version = (int)(Py_Version >> 16);
  for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
    if (parts[i](module, state) != 0) {
      return -1;
    }
  }
  return 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
  struct module_state *state = state_of(module);
  Py_VISIT(state->SSLError);
  Py_VISIT(state->SSLCertVerificationError);
  Py_VISIT(state->SSLZeroReturnError);
  Py_VISIT(state->SSLWantReadError);
  Py_VISIT(state->SSLWantWriteError);
  Py_VISIT(state->SSLSyscallError);
  Py_VISIT(state->SSLEOFError);
  Py_VISIT(state->context_type);
  Py_VISIT(state->socket_type);
  Py_VISIT(state->bio_type);
  Py_VISIT(state->session_type);
  Py_VISIT(state->certificate_type);
  Py_VISIT(state->raw_socket_type);
  return 0;
}

static int module_clear(PyObject *module) {
  struct module_state *state = state_of(module);
  Py_CLEAR(state->SSLError);
  Py_CLEAR(state->SSLCertVerificationError);
  Py_CLEAR(state->SSLZeroReturnError);
  Py_CLEAR(state->SSLWantReadError);
  Py_CLEAR(state->SSLWantWriteError);
  Py_CLEAR(state->SSLSyscallError);
  Py_CLEAR(state->SSLEOFError);
  Py_CLEAR(state->context_type);
  Py_CLEAR(state->socket_type);
  Py_CLEAR(state->bio_type);
  Py_CLEAR(state->session_type);
  Py_CLEAR(state->certificate_type);
  Py_CLEAR(state->raw_socket_type);
  return 0;
}

static void module_free(void *module) {
  struct module_state *state = state_of(module);
  module_clear(module);
  Py_CLEAR(state->build_ciphers);
  tlsagent_free(state->info);
  state->info = NULL;
}

// Room for one slot more, which the limited API of 3.11 doesn't have and newer interpreters want:
// without it a subinterpreter with a GIL of its own can't import the module.
static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
    {0, NULL},
};
enum { MULTIPLE_INTERPRETERS = 3 };
#define PER_INTERPRETER_GIL_SUPPORTED ((void *)2)

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_ssl",
    .m_doc = "What ssl.py stands on, without OpenSSL: tlsagentd does the TLS.",
    .m_size = sizeof(struct module_state),
    .m_slots = slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__ssl(void);

__attribute__((visibility("default"))) PyObject *PyInit__ssl(void) {
  if (Py_Version >> 16 >= PYTHON_3_12) {
    slots[1] = (PyModuleDef_Slot){MULTIPLE_INTERPRETERS, PER_INTERPRETER_GIL_SUPPORTED};
  }
  return PyModuleDef_Init(&definition);
}

static bool is_of_this_module(PyTypeObject *type) {
  PyObject *module = PyType_GetModule(type);
  if (module == NULL) {
    PyErr_Clear();  // a class written in Python belongs to none
  }
  return module != NULL && PyModule_GetDef(module) == &definition;
}

struct module_state *module_state_of(PyTypeObject *type) {
  while (!is_of_this_module(type)) {
    type = PyType_GetSlot(type, Py_tp_base);
  }
  return PyType_GetModuleState(type);
}
