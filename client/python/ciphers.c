// Which cipher list does this interpreter start from? Whoever built it has said so.

#include <string.h>

#include "client/python/state.h"

// How the interpreter was configured: --with-ssl-default-suites.
enum suites { SUITES_OF_BUILD = 0, SUITES_OF_PYTHON = 1, SUITES_OF_OPENSSL = 2 };

static const char python_suites[] =
    "@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM";
static const char openssl_suites[] = "ALL:!COMPLEMENTOFDEFAULT:!eNULL";

// Names the module that has the build's variables, as sysconfig does.
static PyObject *build_module_name(void) {
  PyObject *implementation = PySys_GetObject("implementation");
  PyObject *multiarch =
      implementation == NULL ? NULL : PyObject_GetAttrString(implementation, "_multiarch");
  PyObject *flags = PySys_GetObject("abiflags");
  PyObject *platform = PySys_GetObject("platform");
  PyObject *name = NULL;
  if (multiarch != NULL && flags != NULL && platform != NULL) {
    name = PyUnicode_FromFormat("_sysconfigdata_%S_%S_%S", flags, platform, multiarch);
  }
  Py_XDECREF(multiarch);
  return name;
}

// The build's variables, or NULL, with nothing raised, where they weren't installed.
static PyObject *build_variables(void) {
  PyObject *name = build_module_name();
  PyObject *module = name == NULL ? NULL : PyImport_Import(name);
  PyObject *variables = module == NULL ? NULL : PyObject_GetAttrString(module, "build_time_vars");
  Py_XDECREF(name);
  Py_XDECREF(module);
  PyErr_Clear();
  return variables;
}

static long suites_of(PyObject *variables) {
  PyObject *number = PyMapping_GetItemString(variables, "PY_SSL_DEFAULT_CIPHERS");
  const long suites = number == NULL ? SUITES_OF_PYTHON : PyLong_AsLong(number);
  Py_XDECREF(number);
  PyErr_Clear();
  return suites;
}

static const char *suites_of_build(struct module_state *state, PyObject *variables) {
  state->build_ciphers = PyMapping_GetItemString(variables, "PY_SSL_DEFAULT_CIPHER_STRING");
  const char *text =
      state->build_ciphers == NULL ? NULL : PyUnicode_AsUTF8AndSize(state->build_ciphers, NULL);
  PyErr_Clear();
  return text == NULL ? python_suites : text;
}

int ciphers_init(PyObject *module, struct module_state *state) {
  PyObject *variables = build_variables();
  const long suites = variables == NULL ? SUITES_OF_PYTHON : suites_of(variables);
  state->sets_ciphers = suites != SUITES_OF_OPENSSL;
  if (suites == SUITES_OF_BUILD) {
    state->default_ciphers = suites_of_build(state, variables);
  } else {
    state->default_ciphers = suites == SUITES_OF_OPENSSL ? openssl_suites : python_suites;
  }
  Py_XDECREF(variables);
  return PyModule_AddStringConstant(module, "_DEFAULT_CIPHERS", state->default_ciphers);
}
