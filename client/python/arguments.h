// What Argument Clinic does for CPython's own modules: arguments out of a vectorcall, and its
// words when they don't fit.
#ifndef TLSAGENT_CLIENT_PYTHON_ARGUMENTS_H_
#define TLSAGENT_CLIENT_PYTHON_ARGUMENTS_H_

#include "client/python/state.h"

// struct signature is the parameters of a function, as inspect.signature() would show them.
struct signature {
  const char *function;      // "_wrap_socket"
  const char *const *names;  // NULL-terminated; "" for positional-only ones
  int positional;            // how many may be given by position
  int required;              // how many must be given, counted from the first
};

// arguments_parse puts borrowed references into out, one for each name, NULL where nothing was
// given. false with TypeError set, in the words of _PyArg_UnpackKeywords.
bool arguments_parse(const struct signature *signature, PyObject *const *args, Py_ssize_t num_args,
                     PyObject *names, PyObject **out);

// arguments_count checks how many positional arguments were given to a function that takes nothing
// else, in the words of _PyArg_CheckPositional.
bool arguments_count(const char *function, Py_ssize_t given, Py_ssize_t least, Py_ssize_t most);

// arguments_int converts to an int as the clinic does: by __index__, with OverflowError beyond it.
bool arguments_int(PyObject *object, int *out);

// arguments_refuse_type raises TypeError "what must be expected, not type" and returns NULL; what
// is "txt2obj() argument 'txt'".
PyObject *arguments_refuse_type(const char *what, const char *expected, PyObject *given);

// arguments_buffer gets a contiguous read-only view, as the clinic's Py_buffer does.
bool arguments_buffer(PyObject *object, Py_buffer *out);
// arguments_writable gets a contiguous writable one, as Py_buffer(accept={rwbuffer}) does; what is
// the name in the error: "read() argument 2".
bool arguments_writable(PyObject *object, Py_buffer *out, const char *what);

#endif  // TLSAGENT_CLIENT_PYTHON_ARGUMENTS_H_
