// OpenSSL's names of errors, as dicts: a thing of Python up to 3.11.

#include <stdlib.h>
#include <string.h>

#include "client/python/state.h"

struct library {
  int number;
  const char *name;
};

struct reason {
  int library;
  int number;
  const char *name;
};

static const struct library libraries[] = {
#define LIBRARY(number, name) {number, name},
#define REASON(library, number, name)
#include "server/tls/reasons.inc"
#undef LIBRARY
#undef REASON
};

static const struct reason reasons[] = {
#define LIBRARY(number, name)
#define REASON(library, number, name) {library, number, name},
#include "server/tls/reasons.inc"
#undef LIBRARY
#undef REASON
};

// dict[key] = value, taking both references.
static bool set(PyObject *dict, PyObject *key, PyObject *value) {
  const bool good = key != NULL && value != NULL && PyDict_SetItem(dict, key, value) == 0;
  Py_XDECREF(key);
  Py_XDECREF(value);
  return good;
}

static bool fill_libraries(PyObject *by_code) {
  for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
    if (!set(by_code, PyLong_FromLong(libraries[i].number),
             PyUnicode_FromString(libraries[i].name))) {
      return false;
    }
  }
  return true;
}

static bool fill_reasons_of(int library, PyObject *by_code, PyObject *by_name) {
  for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
    if (reasons[i].library != library) {
      continue;
    }
    PyObject *code = Py_BuildValue("(ii)", reasons[i].library, reasons[i].number);
    PyObject *name = PyUnicode_FromString(reasons[i].name);
    const bool good = set(by_code, Py_XNewRef(code), Py_XNewRef(name));
    if (!set(by_name, name, code) || !good) {
      return false;
    }
  }
  return true;
}

static int by_their_names(const void *a, const void *b) {
  return strcmp(((const struct library *)a)->name, ((const struct library *)b)->name);
}

// In the order of the libraries' names, as CPython has it: a name of several reasons means the
// last.
static bool fill_reasons(PyObject *by_code, PyObject *by_name) {
  struct library ordered[sizeof(libraries) / sizeof(libraries[0])];
  memcpy(ordered, libraries, sizeof(libraries));
  qsort(ordered, sizeof(ordered) / sizeof(ordered[0]), sizeof(ordered[0]), by_their_names);
  for (size_t i = 0; i < sizeof(ordered) / sizeof(ordered[0]); i++) {
    if (!fill_reasons_of(ordered[i].number, by_code, by_name)) {
      return false;
    }
  }
  return true;
}

static int add_filled(PyObject *module, PyObject *libraries_by_code, PyObject *by_code,
                      PyObject *by_name) {
  if (!fill_libraries(libraries_by_code) || !fill_reasons(by_code, by_name) ||
      PyModule_AddObjectRef(module, "lib_codes_to_names", libraries_by_code) != 0 ||
      PyModule_AddObjectRef(module, "err_codes_to_names", by_code) != 0) {
    return -1;
  }
  return PyModule_AddObjectRef(module, "err_names_to_codes", by_name);
}

int names_init(PyObject *module, struct module_state *state) {
  if (state->version > PYTHON_3_11) {
    return 0;
  }
  PyObject *dicts[3] = {PyDict_New(), PyDict_New(), PyDict_New()};
  int result = -1;
  if (dicts[0] != NULL && dicts[1] != NULL && dicts[2] != NULL) {
    result = add_filled(module, dicts[0], dicts[1], dicts[2]);
  }
  for (size_t i = 0; i < 3; i++) {
    Py_XDECREF(dicts[i]);
  }
  return result;
}
