#include "client/python/errors.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/python/agent.h"

// --- The types ---

// Its own texts say more than OSError's "[Errno 1] ...".
static PyObject *error_str(PyObject *self) {
  PyObject *strerror_text = PyObject_GetAttrString(self, "strerror");
  if (strerror_text == NULL || PyUnicode_Check(strerror_text)) {
    return strerror_text;
  }
  Py_DECREF(strerror_text);
  PyObject *args = PyObject_GetAttrString(self, "args");
  PyObject *text = args == NULL ? NULL : PyObject_Str(args);
  Py_XDECREF(args);
  return text;
}

static char error_doc[] = "What went wrong in TLS, where no subclass says it better.";

static PyType_Slot error_slots[] = {
    {Py_tp_doc, error_doc},
    {Py_tp_str, error_str},
    {0, NULL},
};

static PyType_Spec error_spec = {
    .name = "ssl.SSLError",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | TYPE_IMMUTABLE,
    .slots = error_slots,
};

static PyObject *new_base(PyObject *module) {
  PyObject *bases = PyTuple_Pack(1, PyExc_OSError);
  PyObject *type = bases == NULL ? NULL : PyType_FromModuleAndSpec(module, &error_spec, bases);
  Py_XDECREF(bases);
  return type;
}

static PyObject *new_verification_error(PyObject *base) {
  PyObject *bases = PyTuple_Pack(2, base, PyExc_ValueError);
  PyObject *type =
      bases == NULL ? NULL
                    : PyErr_NewExceptionWithDoc("ssl.SSLCertVerificationError",
                                                "The peer's certificate was refused.", bases, NULL);
  Py_XDECREF(bases);
  return type;
}

// Puts a type into the module and keeps it in the state. The reference in `type` goes to the state.
static int add(PyObject *module, const char *name, PyObject **place, PyObject *type) {
  *place = type;
  return type == NULL ? -1 : PyModule_AddObjectRef(module, name, type);
}

// These are SSLErrors by another name.
static int add_kinds(PyObject *module, struct module_state *state) {
  const struct {
    const char *name;
    const char *doc;
    PyObject **place;
  } kinds[] = {
      {"ssl.SSLZeroReturnError", "The peer has ended its stream as TLS wants it.",
       &state->SSLZeroReturnError},
      {"ssl.SSLWantReadError", "Nothing to read yet: try again when the socket can be read.",
       &state->SSLWantReadError},
      {"ssl.SSLWantWriteError", "No room to write: try again when the socket can be written.",
       &state->SSLWantWriteError},
      {"ssl.SSLSyscallError", "The operating system has refused something, in the middle of TLS.",
       &state->SSLSyscallError},
      {"ssl.SSLEOFError", "The stream was cut off.", &state->SSLEOFError},
  };
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
    PyObject *type = PyErr_NewExceptionWithDoc(kinds[i].name, kinds[i].doc, state->SSLError, NULL);
    if (add(module, kinds[i].name + strlen("ssl."), kinds[i].place, type) != 0) {
      return -1;
    }
  }
  return 0;
}

int errors_init(PyObject *module, struct module_state *state) {
  if (add(module, "SSLError", &state->SSLError, new_base(module)) != 0 ||
      add(module, "SSLCertVerificationError", &state->SSLCertVerificationError,
          new_verification_error(state->SSLError)) != 0) {
    return -1;
  }
  return add_kinds(module, state);
}

// --- One exception ---

// What an SSLError says. Texts that are NULL or empty are not known.
struct words {
  PyObject *type;
  int number;
  const char *library;
  const char *reason;
  const char *text;
  const char *verify;  // what is wrong with the certificate
  int line;
};

static bool is_known(const char *text) {
  return text != NULL && text[0] != '\0';
}

// Text of OpenSSL's or the daemon's, which may quote a peer's bytes.
static PyObject *text_object(const char *text) {
  return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "backslashreplace");
}

static PyObject *text_or_none(const char *text) {
  return is_known(text) ? text_object(text) : Py_NewRef(Py_None);
}

static PyObject *compose(const struct words *words) {
  char prefix[160] = "";
  const bool has_library = is_known(words->library);
  const bool has_reason = has_library && is_known(words->reason);
  if (has_reason) {
    snprintf(prefix, sizeof(prefix), "[%s: %s] ", words->library, words->reason);
  } else if (has_library) {
    snprintf(prefix, sizeof(prefix), "[%s] ", words->library);
  }
  PyObject *main_text = text_object(is_known(words->text) ? words->text : "unknown error");
  PyObject *verify = has_reason && words->verify != NULL && words->verify[0] != '\0'
                         ? text_object(words->verify)
                         : NULL;
  PyObject *message = NULL;
  if (verify != NULL && main_text != NULL) {
    message = PyUnicode_FromFormat("%s%U: %U (_ssl.c:%d)", prefix, main_text, verify, words->line);
  } else if (main_text != NULL) {
    message = PyUnicode_FromFormat("%s%U (_ssl.c:%d)", prefix, main_text, words->line);
  }
  Py_XDECREF(verify);
  Py_XDECREF(main_text);
  return message;
}

// Sets an attribute to a new reference, which it takes.
static bool set(PyObject *exception, const char *name, PyObject *value) {
  const bool good = value != NULL && PyObject_SetAttrString(exception, name, value) == 0;
  Py_XDECREF(value);
  return good;
}

static PyObject *make(const struct words *words) {
  PyObject *message = compose(words);
  PyObject *exception =
      message == NULL ? NULL : PyObject_CallFunction(words->type, "iO", words->number, message);
  Py_XDECREF(message);
  if (exception != NULL && set(exception, "library", text_or_none(words->library)) &&
      set(exception, "reason", text_or_none(words->reason))) {
    return exception;
  }
  Py_XDECREF(exception);
  return NULL;
}

PyObject *take_raised(void) {
  PyObject *type;
  PyObject *exception;
  PyObject *traceback;
  PyErr_Fetch(&type, &exception, &traceback);
  PyErr_NormalizeException(&type, &exception, &traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return exception;
}

PyObject *raise_again(PyObject *exception) {
  PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
  return NULL;
}

// Raises what was made, unless making it failed and raised something else.
static PyObject *raise_made(PyObject *exception) {
  if (exception != NULL) {
    raise_again(exception);
    Py_DECREF(exception);
  }
  return NULL;
}

static PyObject *raise_words(const struct words *words) {
  return raise_made(make(words));
}

PyObject *raise_text(struct module_state *state, PyObject *type, int number, const char *text,
                     int line) {
  (void)state;
  return raise_words(&(struct words){.type = type, .number = number, .text = text, .line = line});
}

PyObject *raise_coded(struct module_state *state, PyObject *type, int number, const char *library,
                      const char *reason, const char *text, int line) {
  (void)state;
  return raise_words(&(struct words){.type = type,
                                     .number = number,
                                     .library = library,
                                     .reason = reason,
                                     .text = text,
                                     .line = line});
}

// --- Failures of TLS ---

static PyObject *raise_errno(int number) {
  errno = number;
  return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *raise_verification(const struct words *words,
                                    const struct tlsagent_tls_error *error) {
  PyObject *exception = make(words);
  if (exception != NULL &&
      (!set(exception, "verify_code", PyLong_FromLongLong(error->verify_code)) ||
       !set(exception, "verify_message", text_or_none(error->verify_message)))) {
    Py_DECREF(exception);
    return NULL;
  }
  return raise_made(exception);
}

static PyObject *raise_session(struct module_state *state, const struct tlsagent_tls_error *error,
                               struct words *words) {
  if (error->kind == TLSAGENT_ERROR_VERIFY) {
    words->type = state->SSLCertVerificationError;
    words->number = ERROR_SSL;
    words->verify = error->verify_message;
    return raise_verification(words, error);
  }
  if (error->kind == TLSAGENT_ERROR_TRUNCATED) {
    words->type = state->SSLEOFError;
    words->number = ERROR_EOF;
    words->text = "EOF occurred in violation of protocol";
  } else if (error->ssl_error == ERROR_ZERO_RETURN) {
    words->type = state->SSLZeroReturnError;
    words->number = ERROR_ZERO_RETURN;
    words->text = "TLS/SSL connection has been closed (EOF)";
  } else {
    words->number = error->ssl_error == ERROR_SYSCALL ? ERROR_SYSCALL : ERROR_SSL;
  }
  return raise_words(words);
}

PyObject *raise_tls(struct module_state *state, const struct tlsagent_tls_error *error,
                    bool session, int line) {
  struct words words = {.type = state->SSLError,
                        .number = (int)error->reason_number,
                        .library = error->library,
                        .reason = error->reason,
                        .text = error->text,
                        .line = line};
  if (error->kind == TLSAGENT_ERROR_OS && error->os_errno != 0) {
    return raise_errno((int)error->os_errno);
  }
  if (error->kind == TLSAGENT_ERROR_TIMEOUT) {
    PyErr_Format(PyExc_TimeoutError, "_ssl.c:%d: The operation timed out", line);
    return NULL;
  }
  return session ? raise_session(state, error, &words) : raise_words(&words);
}

// --- Failures of calls ---

// What a refusal is in errno's terms.
static int errno_of(enum tlsagent_rpc_code code) {
  switch (code) {
    case TLSAGENT_RPC_CANCELLED:
      return ECANCELED;
    case TLSAGENT_RPC_NOT_FOUND:
      return EBADF;
    case TLSAGENT_RPC_PERMISSION_DENIED:
    case TLSAGENT_RPC_UNAUTHENTICATED:
      return EACCES;
    case TLSAGENT_RPC_RESOURCE_EXHAUSTED:
      return ENOBUFS;
    case TLSAGENT_RPC_UNIMPLEMENTED:
      return ENOSYS;
    case TLSAGENT_RPC_UNAVAILABLE:
      return ECONNREFUSED;
    case TLSAGENT_RPC_DEADLINE_EXCEEDED:
      return ETIMEDOUT;
    case TLSAGENT_RPC_INVALID_ARGUMENT:
    case TLSAGENT_RPC_FAILED_PRECONDITION:
    case TLSAGENT_RPC_OUT_OF_RANGE:
      return EINVAL;
    default:
      return EIO;
  }
}

// OSError picks its subclass by the number; but the daemon's absence is a ConnectionError whatever
// the number: to a caller that opens a file, FileNotFoundError would be about that file.
static PyObject *raise_os(PyObject *type, int number, const char *message) {
  const char *address = agent_address();
  const char *colon = strchr(address, ':');
  const bool named = colon == NULL || strstr(message, colon + 1) != NULL;
  PyObject *text = text_object(message);
  PyObject *exception = NULL;
  if (text != NULL) {
    exception = named ? PyObject_CallFunction(type, "iO", number, text)
                      : PyObject_CallFunction(type, "iOs", number, text, address);
    Py_DECREF(text);
  }
  return raise_made(exception);
}

static bool is_connection_errno(int number) {
  return number == ECONNRESET || number == ECONNREFUSED || number == ECONNABORTED ||
         number == EPIPE;
}

static PyObject *raise_absent(int number, const char *message) {
  const int known = number == 0 ? ECONNRESET : number;
  PyObject *type = is_connection_errno(known) ? PyExc_OSError : PyExc_ConnectionError;
  return raise_os(type, known, message);
}

PyObject *raise_agent(struct module_state *state, const struct tlsagent_error *error, bool session,
                      int line) {
  switch (error->fault) {
    case TLSAGENT_FAULT_TLS:
      return raise_tls(state, &error->tls, session, line);
    case TLSAGENT_FAULT_MEMORY:
      return PyErr_NoMemory();
    case TLSAGENT_FAULT_UNREACHABLE:
    case TLSAGENT_FAULT_LOST:
      return raise_absent(error->os_errno, error->message);
    case TLSAGENT_FAULT_DEADLINE:
      return raise_os(PyExc_OSError, ETIMEDOUT, error->message);
    case TLSAGENT_FAULT_REFUSED:
      return raise_os(PyExc_OSError, errno_of(error->rpc_code), error->message);
    default:
      return raise_os(PyExc_OSError, EINVAL, error->message);
  }
}
