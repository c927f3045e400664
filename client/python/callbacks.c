#include "client/python/callbacks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ALERT_HANDSHAKE_FAILURE = 40, ALERT_INTERNAL_ERROR = 80 };  // RFC 8446, section 6
enum { IDENTITY_MAX = 256, KEY_MAX = 512 };                        // session.proto, PskAnswer

static void refuse(struct decided *out, uint32_t alert) {
  out->answer = (struct tlsagent_decision_answer){.answer = TLSAGENT_ANSWER_REFUSE, .alert = alert};
}

// --- Server names ---

// The name as the callback gets it, a new reference; NULL with an exception set.
static PyObject *name_object(const char *name) {
  return name == NULL ? Py_NewRef(Py_None)
                      : PyUnicode_DecodeASCII(name, (Py_ssize_t)strlen(name), NULL);
}

static void read_sni_result(PyObject *result, struct decided *out) {
  if (result == Py_None) {
    out->answer.answer = TLSAGENT_ANSWER_PROCEED;
    return;
  }
  long alert = PyLong_AsLong(result);
  if (alert == -1 && PyErr_Occurred() != NULL) {
    PyErr_WriteUnraisable(result);
    alert = ALERT_INTERNAL_ERROR;
  }
  refuse(out, (uint32_t)alert & 0xff);
}

static void call_sni(PyObject *callback, struct ssl_socket *socket, PyObject *connection,
                     PyObject *name, struct decided *out) {
  PyObject *result =
      PyObject_CallFunctionObjArgs(callback, connection, name, (PyObject *)socket->context, NULL);
  if (result == NULL) {
    PyErr_WriteUnraisable(callback);
    refuse(out, ALERT_HANDSHAKE_FAILURE);
    return;
  }
  read_sni_result(result, out);
  Py_DECREF(result);
}

static void decide_name(struct ssl_socket *socket, const struct tlsagent_decision *decision,
                        struct decided *out) {
  PyObject *callback = socket->context->sni_callback;
  if (callback == NULL) {
    out->answer.answer = TLSAGENT_ANSWER_PROCEED;  // taken away meanwhile
    return;
  }
  Py_INCREF(callback);
  PyObject *connection = socket_owner(socket);
  PyObject *name = name_object(decision->server_name);
  refuse(out, ALERT_INTERNAL_ERROR);
  if (name == NULL) {
    PyErr_WriteUnraisable(callback);
  } else if (connection != Py_None) {
    call_sni(callback, socket, connection, name, out);
  }
  Py_XDECREF(name);
  Py_DECREF(connection);
  Py_DECREF(callback);
}

// --- Pre-shared keys ---

static PyObject *text_or_none(const char *text) {
  return text == NULL ? Py_NewRef(Py_None) : PyUnicode_FromString(text);
}

// No key at all is the refusal; OpenSSL lets nobody choose the alert.
static void refuse_psk(struct decided *out) {
  decided_clear(out);
  out->answer.answer = TLSAGENT_ANSWER_PSK;
}

static bool take_key(PyObject *key, struct decided *out) {
  char *data;
  Py_ssize_t len;
  if (PyBytes_AsStringAndSize(key, &data, &len) < 0) {
    return false;
  }
  if (len <= KEY_MAX) {
    out->key = Py_NewRef(key);
    out->answer.key = tlsagent_bytes_of(data, (size_t)len);
  }
  return true;
}

static bool take_identity(PyObject *identity, struct decided *out) {
  if (identity == Py_None) {
    return true;
  }
  Py_ssize_t len;
  const char *text = PyUnicode_AsUTF8AndSize(identity, &len);
  if (text == NULL) {
    return false;
  }
  if (len > IDENTITY_MAX || strlen(text) != (size_t)len) {
    refuse_psk(out);
    return true;
  }
  out->identity = Py_NewRef(identity);
  out->answer.identity = text;
  return true;
}

static bool call_psk_client(PyObject *callback, const char *hint, struct decided *out) {
  PyObject *given = text_or_none(hint);
  PyObject *result = given == NULL ? NULL : PyObject_CallFunctionObjArgs(callback, given, NULL);
  Py_XDECREF(given);
  PyObject *identity;
  PyObject *key;
  bool good = result != NULL && PyArg_ParseTuple(result, "OO!", &identity, &PyBytes_Type, &key) &&
              take_key(key, out) && take_identity(identity, out);
  Py_XDECREF(result);
  return good;
}

static bool call_psk_server(PyObject *callback, const char *identity, struct decided *out) {
  PyObject *given = text_or_none(identity);
  PyObject *result = given == NULL ? NULL : PyObject_CallFunctionObjArgs(callback, given, NULL);
  Py_XDECREF(given);
  bool good = result != NULL && take_key(result, out);
  Py_XDECREF(result);
  return good;
}

static void decide_psk(struct ssl_socket *socket, const struct tlsagent_decision *decision,
                       struct decided *out) {
  bool is_client = decision->kind == TLSAGENT_DECISION_PSK_CLIENT;
  PyObject *callback =
      is_client ? socket->context->psk_client_callback : socket->context->psk_server_callback;
  refuse_psk(out);
  if (callback == NULL) {
    return;
  }
  Py_INCREF(callback);
  bool good = is_client ? call_psk_client(callback, decision->psk_hint, out)
                        : call_psk_server(callback, decision->psk_identity, out);
  if (!good) {
    PyErr_WriteUnraisable(callback);
    refuse_psk(out);
  }
  Py_DECREF(callback);
}

void decide(struct ssl_socket *socket, const struct tlsagent_decision *decision,
            struct decided *out) {
  *out = (struct decided){.answer = {.answer = TLSAGENT_ANSWER_NONE}};
  if (decision->kind == TLSAGENT_DECISION_SERVER_NAME) {
    decide_name(socket, decision, out);
  } else {
    decide_psk(socket, decision, out);
  }
}

void decided_clear(struct decided *decided) {
  Py_CLEAR(decided->identity);
  Py_CLEAR(decided->key);
  decided->answer = (struct tlsagent_decision_answer){.answer = TLSAGENT_ANSWER_NONE};
}

// --- Exceptions that wait for the end of an operation ---

// Takes the exception that is set, as one object with its traceback.
static PyObject *take_exception(void) {
  PyObject *type;
  PyObject *value;
  PyObject *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback != NULL && value != NULL) {
    PyException_SetTraceback(value, traceback);
  }
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return value;
}

static void keep_exception(struct ssl_socket *socket) {
  PyObject *exception = take_exception();
  object_put(&socket->exception, exception);
}

static void put_exception(PyObject *exception) {
  PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
  Py_DECREF(exception);
}

bool raise_kept(struct ssl_socket *socket) {
  PyObject *kept = socket->exception;
  socket->exception = NULL;
  if (kept == NULL) {
    return PyErr_Occurred() == NULL;
  }
  PyObject *raised = PyErr_Occurred() == NULL ? NULL : take_exception();
  if (raised == NULL) {
    put_exception(kept);
    return false;
  }
  PyException_SetContext(raised, kept);
  put_exception(raised);
  return false;
}

// --- Events ---

// What the first bytes of a message say of its type, as CPython's callbacks get it.
static int message_type(const struct tlsagent_event *event) {
  enum { CHANGE_CIPHER_SPEC = 20, ALERT = 21, HANDSHAKE = 22, HEADER = 256, INNER_TYPE = 257 };
  const struct tlsagent_bytes *data = &event->data;
  switch (event->content_type) {
    case CHANGE_CIPHER_SPEC:
      return 0x0101;
    case ALERT:
      return data->len < 2 ? -1 : data->data[1];
    case HANDSHAKE:
    case HEADER:
    case INNER_TYPE:
      return data->len < 1 ? -1 : data->data[0];
    default:
      return -1;
  }
}

// A record's header has the version in itself.
static int message_version(const struct tlsagent_event *event) {
  enum { HEADER = 256 };
  const struct tlsagent_bytes *data = &event->data;
  return event->content_type == HEADER && data->len >= 3 ? data->data[1] << 8 | data->data[2]
                                                         : (int)event->version;
}

static void call_message(struct ssl_socket *socket, const struct tlsagent_event *event) {
  PyObject *callback = socket->context->msg_callback;
  if (callback == NULL) {
    return;
  }
  Py_INCREF(callback);
  PyObject *connection = socket_owner(socket);
  PyObject *result = PyObject_CallFunction(
      callback, "Osiiiy#", connection, event->sent ? "write" : "read", message_version(event),
      (int)event->content_type, message_type(event), event->data.data, (Py_ssize_t)event->data.len);
  if (result == NULL) {
    keep_exception(socket);
  }
  Py_XDECREF(result);
  Py_DECREF(connection);
  Py_DECREF(callback);
}

// One write a line, so that lines of processes that share the file stay whole.
static bool write_line(int fd, const char *text) {
  char line[1024];
  int len = snprintf(line, sizeof(line), "%s\n", text);
  bool fits = (size_t)len < sizeof(line);
  errno = EMSGSIZE;
  bool written = fits && write(fd, line, (size_t)len) == (ssize_t)len;
  explicit_bzero(line, sizeof(line));
  return written;
}

// By a descriptor of its own: another thread may close the context's while this one writes.
static bool log_line(int keylog_fd, const char *line) {
  int fd = fcntl(keylog_fd, F_DUPFD_CLOEXEC, 0);
  bool written = fd >= 0;
  if (written) {
    Py_BEGIN_ALLOW_THREADS
    written = write_line(fd, line);
    Py_END_ALLOW_THREADS
    int why = errno;
    close(fd);
    errno = why;
  }
  return written;
}

static void log_keys(struct ssl_socket *socket, const char *line) {
  const struct context *context = socket->context;
  if (context->keylog_fd >= 0 && !log_line(context->keylog_fd, line)) {
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, context->keylog_filename);
    keep_exception(socket);
  }
}

void deliver_events(struct ssl_socket *socket, const struct tlsagent_progress *progress) {
  for (size_t i = 0; i < progress->num_events; i++) {
    const struct tlsagent_event *event = &progress->events[i];
    if (event->kind == TLSAGENT_EVENT_MESSAGE) {
      call_message(socket, event);
    } else if (event->kind == TLSAGENT_EVENT_KEY_LOG) {
      log_keys(socket, event->key_log);
    }
  }
}
