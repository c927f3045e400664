#include "client/python/arguments.h"

#include <string.h>

// What one call gives: positional values, then the named ones in the order of names.
struct call {
  const struct signature *signature;
  PyObject *const *args;
  Py_ssize_t num_args;
  PyObject *names;  // a tuple, or NULL
  Py_ssize_t num_names;
  Py_ssize_t num_parameters;
};

static const char *plural(Py_ssize_t number) {
  return number == 1 ? "" : "s";
}

static bool type_error(const char *format, ...) {
  va_list values;
  va_start(values, format);
  PyErr_FormatV(PyExc_TypeError, format, values);
  va_end(values);
  return false;
}

static Py_ssize_t count_parameters(const struct signature *signature) {
  Py_ssize_t num = 0;
  while (signature->names[num] != NULL) {
    num++;
  }
  return num;
}

// --- How many are there? ---

static bool check_total(const struct call *call) {
  const Py_ssize_t given = call->num_args + call->num_names;
  const Py_ssize_t most = call->num_parameters;
  if (given <= most) {
    return true;
  }
  return type_error("%.200s() takes at most %zd %sargument%s (%zd given)",
                    call->signature->function, most, call->num_args == 0 ? "keyword " : "",
                    plural(most), given);
}

static bool check_positional(const struct call *call) {
  const struct signature *signature = call->signature;
  if (call->num_args <= signature->positional) {
    return true;
  }
  if (signature->positional == 0) {
    return type_error("%.200s() takes no positional arguments", signature->function);
  }
  return type_error("%.200s() takes %s %d positional argument%s (%zd given)", signature->function,
                    signature->required < signature->positional ? "at most" : "exactly",
                    signature->positional, plural(signature->positional), call->num_args);
}

// Parameters without a name can only be given by position.
static bool check_nameless(const struct call *call) {
  const struct signature *signature = call->signature;
  int least = 0;
  while (least < signature->required && signature->names[least][0] == '\0') {
    least++;
  }
  if (call->num_args >= least) {
    return true;
  }
  return type_error("%.200s() takes %s %d positional argument%s (%zd given)", signature->function,
                    least < signature->positional ? "at least" : "exactly", least, plural(least),
                    call->num_args);
}

// --- Which is which? ---

// Where the call names the parameter, or -1.
static Py_ssize_t find_name(const struct call *call, const char *parameter) {
  for (Py_ssize_t i = 0; i < call->num_names && parameter[0] != '\0'; i++) {
    if (PyUnicode_CompareWithASCIIString(PyTuple_GetItem(call->names, i), parameter) == 0) {
      return i;
    }
  }
  return -1;
}

static bool take_named(const struct call *call, PyObject **out, Py_ssize_t *out_taken) {
  const struct signature *signature = call->signature;
  *out_taken = 0;
  for (Py_ssize_t i = call->num_args; i < call->num_parameters; i++) {
    const Py_ssize_t at = find_name(call, signature->names[i]);
    if (at >= 0) {
      out[i] = call->args[call->num_args + at];
      (*out_taken)++;
    } else if (i < signature->required) {
      return type_error("%.200s() missing required argument '%s' (pos %zd)", signature->function,
                        signature->names[i], i + 1);
    }
  }
  return true;
}

static bool refuse_twice(const struct call *call) {
  for (Py_ssize_t i = 0; i < call->num_args; i++) {
    const char *name = call->signature->names[i];
    if (find_name(call, name) >= 0) {
      return type_error("argument for %.200s() given by name ('%s') and position (%zd)",
                        call->signature->function, name, i + 1);
    }
  }
  return true;
}

static bool is_parameter(const struct call *call, PyObject *name) {
  for (Py_ssize_t i = 0; i < call->num_parameters; i++) {
    const char *parameter = call->signature->names[i];
    if (parameter[0] != '\0' && PyUnicode_CompareWithASCIIString(name, parameter) == 0) {
      return true;
    }
  }
  return false;
}

static bool refuse_unknown(const struct call *call) {
  const bool new_words = Py_Version >= 0x030D0000;
  for (Py_ssize_t i = 0; i < call->num_names; i++) {
    PyObject *name = PyTuple_GetItem(call->names, i);
    if (is_parameter(call, name)) {
      continue;
    }
    return new_words ? type_error("%.200s() got an unexpected keyword argument '%S'",
                                  call->signature->function, name)
                     : type_error("'%S' is an invalid keyword argument for %.200s()", name,
                                  call->signature->function);
  }
  return true;
}

bool arguments_parse(const struct signature *signature, PyObject *const *args, Py_ssize_t num_args,
                     PyObject *names, PyObject **out) {
  const struct call call = {.signature = signature,
                            .args = args,
                            .num_args = num_args,
                            .names = names,
                            .num_names = names == NULL ? 0 : PyTuple_Size(names),
                            .num_parameters = count_parameters(signature)};
  Py_ssize_t taken;
  if (!check_total(&call) || !check_positional(&call) || !check_nameless(&call)) {
    return false;
  }
  for (Py_ssize_t i = 0; i < call.num_parameters; i++) {
    out[i] = i < num_args ? args[i] : NULL;
  }
  if (!take_named(&call, out, &taken)) {
    return false;
  }
  return taken == call.num_names || (refuse_twice(&call) && refuse_unknown(&call));
}

bool arguments_count(const char *function, Py_ssize_t given, Py_ssize_t least, Py_ssize_t most) {
  if (given >= least && given <= most) {
    return true;
  }
  const bool too_few = given < least;
  const Py_ssize_t bound = too_few ? least : most;
  const char *which = least == most ? "" : too_few ? "at least " : "at most ";
  return type_error("%.200s expected %s%zd argument%s, got %zd", function, which, bound,
                    plural(bound), given);
}

// --- Values ---

bool arguments_int(PyObject *object, int *out) {
  int overflow;
  PyObject *number = PyNumber_Index(object);
  if (number == NULL) {
    return false;
  }
  const long value = PyLong_AsLongAndOverflow(number, &overflow);
  Py_DECREF(number);
  if (overflow != 0 || value > INT_MAX || value < INT_MIN) {
    PyErr_SetString(PyExc_OverflowError, "Python int too large to convert to C int");
    return false;
  }
  *out = (int)value;
  return true;
}

bool arguments_buffer(PyObject *object, Py_buffer *out) {
  return PyObject_GetBuffer(object, out, PyBUF_SIMPLE) == 0;
}

PyObject *arguments_refuse_type(const char *what, const char *expected, PyObject *given) {
  PyObject *name = given == Py_None ? PyUnicode_FromString("None") : PyType_GetName(Py_TYPE(given));
  if (name != NULL) {
    type_error("%.200s must be %.50s, not %.50U", what, expected, name);
    Py_DECREF(name);
  }
  return NULL;
}

bool arguments_writable(PyObject *object, Py_buffer *out, const char *what) {
  if (PyObject_GetBuffer(object, out, PyBUF_WRITABLE) == 0) {
    return true;
  }
  PyErr_Clear();
  arguments_refuse_type(what, "read-write bytes-like object", object);
  return false;
}
