// The settings of a context: properties, each a getter and a setter.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "client/python/arguments.h"
#include "client/python/context.h"
#include "client/python/errors.h"

// What setters of plain properties get when they are to delete.
static bool is_deletion(PyObject *value) {
  if (value == NULL) {
    PyErr_SetString(PyExc_TypeError, "function takes at least one argument");
  }
  return value == NULL;
}

static int warn_deprecated(const char *what) {
  return PyErr_WarnFormat(PyExc_DeprecationWarning, 2, "ssl.%s deprecated", what);
}

// --- Options ---

static PyObject *get_options(PyObject *self, void *ignored) {
  (void)ignored;
  const struct context *context = context_of(self);
  return context->state->version == PYTHON_3_11 ? PyLong_FromLong((long)context->options)
                                                : PyLong_FromUnsignedLongLong(context->options);
}

static bool parse_options(const struct context *context, PyObject *value, uint64_t *out) {
  if (context->state->version == PYTHON_3_11) {
    long options;
    if (!PyArg_Parse(value, "l", &options)) {
      return false;
    }
    *out = (uint64_t)options;
    return true;
  }
  if (!PyLong_Check(value)) {
    arguments_refuse_type("argument", "int", value);
    return false;
  }
  *out = PyLong_AsUnsignedLongLong(value);
  return PyErr_Occurred() == NULL;
}

static uint64_t bits_against_versions(const struct module_state *state) {
  static const char *const names[] = {"SSL_OP_NO_SSLv2",   "SSL_OP_NO_SSLv3",
                                      "SSL_OP_NO_TLSv1",   "SSL_OP_NO_TLSv1_1",
                                      "SSL_OP_NO_TLSv1_2", "SSL_OP_NO_TLSv1_3"};
  uint64_t bits = 0;
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    bits |= (uint64_t)constant_of(state, names[i]);
  }
  return bits;
}

static int set_options(PyObject *self, PyObject *value, void *ignored) {
  (void)ignored;
  struct context *context = context_of(self);
  uint64_t options;
  if (is_deletion(value) || !parse_options(context, value, &options)) {
    return -1;
  }
  uint64_t added = options & ~context->options;
  if ((added & bits_against_versions(context->state)) != 0 &&
      warn_deprecated("OP_NO_SSL*/ssl.OP_NO_TLS* options are") < 0) {
    return -1;
  }
  if (options != context->options && !context_change(context, NEWS_OPTIONS)) {
    return -1;
  }
  context->options = options;
  return 0;
}

// --- Verification ---

static PyObject *get_verify_mode(PyObject *self, void *ignored) {
  (void)ignored;
  return PyLong_FromLong(context_of(self)->verify_mode);
}

static int set_verify_mode(PyObject *self, PyObject *value, void *ignored) {
  (void)ignored;
  struct context *context = context_of(self);
  int mode;
  if (is_deletion(value) || !PyArg_Parse(value, "i", &mode)) {
    return -1;
  }
  if (mode == CERT_NONE && context->check_hostname) {
    PyErr_SetString(PyExc_ValueError,
                    "Cannot set verify_mode to CERT_NONE when check_hostname is enabled.");
    return -1;
  }
  if (mode != CERT_NONE && mode != CERT_OPTIONAL && mode != CERT_REQUIRED) {
    PyErr_SetString(PyExc_ValueError, "invalid value for verify_mode");
    return -1;
  }
  if (mode != context->verify_mode && !context_change(context, NEWS_VERIFY_MODE)) {
    return -1;
  }
  context->verify_mode = mode;
  return 0;
}

static PyObject *get_verify_flags(PyObject *self, void *ignored) {
  (void)ignored;
  return PyLong_FromUnsignedLong(context_of(self)->verify_flags);
}

static int set_verify_flags(PyObject *self, PyObject *value, void *ignored) {
  (void)ignored;
  struct context *context = context_of(self);
  unsigned long flags;
  if (is_deletion(value) || !PyArg_Parse(value, "k", &flags)) {
    return -1;
  }
  if (flags != context->verify_flags && !context_change(context, NEWS_VERIFY_FLAGS)) {
    return -1;
  }
  context->verify_flags = flags;
  return 0;
}

static PyObject *get_host_flags(PyObject *self, void *ignored) {
  (void)ignored;
  return PyLong_FromUnsignedLong(context_of(self)->host_flags);
}

static int set_host_flags(PyObject *self, PyObject *value, void *ignored) {
  (void)ignored;
  struct context *context = context_of(self);
  unsigned flags;
  if (is_deletion(value) || !PyArg_Parse(value, "I", &flags)) {
    return -1;
  }
  if (flags != context->host_flags && !context_change(context, NEWS_HOST_FLAGS)) {
    return -1;
  }
  context->host_flags = flags;
  return 0;
}

static PyObject *get_check_hostname(PyObject *self, void *ignored) {
  (void)ignored;
  return PyBool_FromLong(context_of(self)->check_hostname);
}

static int set_check_hostname(PyObject *self, PyObject *value, void *ignored) {
  (void)ignored;
  struct context *context = context_of(self);
  int check;
  if (is_deletion(value) || !PyArg_Parse(value, "p", &check)) {
    return -1;
  }
  if (check != context->check_hostname && !context_change(context, NEWS_VERIFY_MODE)) {
    return -1;
  }
  if (check && context->verify_mode == CERT_NONE) {
    context->verify_mode = CERT_REQUIRED;
  }
  context->check_hostname = check;
  return 0;
}

// --- Versions ---

static bool negotiates_version(const struct context *context) {
  return context->protocol == PROTOCOL_TLS || context->protocol == PROTOCOL_TLS_CLIENT ||
         context->protocol == PROTOCOL_TLS_SERVER;
}

static int warn_old_version(int version) {
  switch (version) {
    case TLSAGENT_PROTOCOL_SSL_3_0:
      return warn_deprecated("TLSVersion.SSLv3 is");
    case TLSAGENT_PROTOCOL_TLS_1_0:
      return warn_deprecated("TLSVersion.TLSv1 is");
    case TLSAGENT_PROTOCOL_TLS_1_1:
      return warn_deprecated("TLSVersion.TLSv1_1 is");
    default:
      return 0;
  }
}

// The bound as OpenSSL has it; -1 with an exception set.
static int read_bound(const struct context *context, PyObject *value, int lifts, int other) {
  long given;
  if (is_deletion(value) || !PyArg_Parse(value, "l", &given)) {
    return -1;
  }
  if (given > INT_MAX) {
    PyErr_SetString(PyExc_OverflowError, "Option is too long");
    return -1;
  }
  const int version = (int)given;
  if (!negotiates_version(context)) {
    PyErr_SetString(PyExc_ValueError,
                    "The context's protocol doesn't support modification of highest and lowest "
                    "version.");
    return -1;
  }
  if (warn_old_version(version) < 0) {
    return -1;
  }
  if (version == lifts) {
    return 0;
  }
  if (version == MINIMUM_SUPPORTED || version == MAXIMUM_SUPPORTED) {
    return other;
  }
  if (version < TLSAGENT_PROTOCOL_SSL_3_0 || version > TLSAGENT_PROTOCOL_TLS_1_3) {
    PyErr_Format(PyExc_ValueError, "Unsupported TLS/SSL version 0x%x", version);
    return -1;
  }
  return version;
}

static PyObject *get_bound(const struct context *context, int version, int open) {
  const bool bound = negotiates_version(context) && version != 0;
  return PyLong_FromLong(bound ? version : open);
}

static int set_bound(struct context *context, int *bound, int version, unsigned news) {
  if (version < 0 || (version != *bound && !context_change(context, news))) {
    return -1;
  }
  *bound = version;
  return 0;
}

static PyObject *get_minimum_version(PyObject *self, void *ignored) {
  (void)ignored;
  const struct context *context = context_of(self);
  return get_bound(context, context->min_version, MINIMUM_SUPPORTED);
}

static int set_minimum_version(PyObject *self, PyObject *value, void *ignored) {
  (void)ignored;
  struct context *context = context_of(self);
  int version = read_bound(context, value, MINIMUM_SUPPORTED, TLSAGENT_PROTOCOL_TLS_1_3);
  return set_bound(context, &context->min_version, version, NEWS_MIN_VERSION);
}

static PyObject *get_maximum_version(PyObject *self, void *ignored) {
  (void)ignored;
  const struct context *context = context_of(self);
  return get_bound(context, context->max_version, MAXIMUM_SUPPORTED);
}

static int set_maximum_version(PyObject *self, PyObject *value, void *ignored) {
  (void)ignored;
  struct context *context = context_of(self);
  int version = read_bound(context, value, MAXIMUM_SUPPORTED, TLSAGENT_PROTOCOL_TLS_1_0);
  return set_bound(context, &context->max_version, version, NEWS_MAX_VERSION);
}

// --- Numbers and switches ---

static PyObject *get_protocol(PyObject *self, void *ignored) {
  (void)ignored;
  return PyLong_FromLong(context_of(self)->protocol);
}

static PyObject *get_num_tickets(PyObject *self, void *ignored) {
  (void)ignored;
  return PyLong_FromLong(context_of(self)->num_tickets);
}

static int set_num_tickets(PyObject *self, PyObject *value, void *ignored) {
  (void)ignored;
  struct context *context = context_of(self);
  long num;
  if (is_deletion(value) || !PyArg_Parse(value, "l", &num)) {
    return -1;
  }
  if (num < 0) {
    PyErr_SetString(PyExc_ValueError, "value must be non-negative");
    return -1;
  }
  if (context->protocol != PROTOCOL_TLS_SERVER) {
    PyErr_SetString(PyExc_ValueError, "SSLContext is not a server context.");
    return -1;
  }
  if (num != context->num_tickets && !context_change(context, NEWS_NUM_TICKETS)) {
    return -1;
  }
  context->num_tickets = num;
  return 0;
}

static PyObject *get_post_handshake_auth(PyObject *self, void *ignored) {
  (void)ignored;
  return PyBool_FromLong(context_of(self)->post_handshake_auth);
}

static int set_post_handshake_auth(PyObject *self, PyObject *value, void *ignored) {
  (void)ignored;
  struct context *context = context_of(self);
  if (value == NULL) {
    PyErr_SetString(PyExc_AttributeError, "cannot delete attribute");
    return -1;
  }
  int wanted = PyObject_IsTrue(value);
  if (wanted < 0) {
    return -1;
  }
  if (wanted != context->post_handshake_auth &&
      !context_change(context, NEWS_POST_HANDSHAKE_AUTH)) {
    return -1;
  }
  context->post_handshake_auth = wanted;
  return 0;
}

// --- Callbacks ---

static PyObject *object_or_none(PyObject *object) {
  return Py_NewRef(object == NULL ? Py_None : object);
}

// Puts object, or nothing for None, in a place that owns it.
static void replace(PyObject **place, PyObject *object) {
  PyObject *old = *place;
  *place = object == Py_None ? NULL : Py_NewRef(object);
  Py_XDECREF(old);
}

// To delete is to set what can't be called.
static int set_callable(struct context *context, PyObject **place, PyObject *value, unsigned news) {
  bool callable = value == Py_None || PyCallable_Check(value);
  if (!context_change(context, news)) {
    return -1;
  }
  replace(place, callable ? value : Py_None);
  if (!callable) {
    PyErr_SetString(PyExc_TypeError, "not a callable object");
  }
  return callable ? 0 : -1;
}

static PyObject *get_sni_callback(PyObject *self, void *ignored) {
  (void)ignored;
  return object_or_none(context_of(self)->sni_callback);
}

static int set_sni_callback(PyObject *self, PyObject *value, void *ignored) {
  (void)ignored;
  struct context *context = context_of(self);
  if (context->protocol == PROTOCOL_TLS_CLIENT) {
    PyErr_SetString(PyExc_ValueError, "sni_callback cannot be set on TLS_CLIENT context");
    return -1;
  }
  return set_callable(context, &context->sni_callback, value, NEWS_DECISIONS);
}

static PyObject *get_msg_callback(PyObject *self, void *ignored) {
  (void)ignored;
  return object_or_none(context_of(self)->msg_callback);
}

static int set_msg_callback(PyObject *self, PyObject *value, void *ignored) {
  (void)ignored;
  struct context *context = context_of(self);
  return set_callable(context, &context->msg_callback, value, NEWS_EVENTS);
}

// --- The key log ---

static PyObject *get_keylog_filename(PyObject *self, void *ignored) {
  (void)ignored;
  return object_or_none(context_of(self)->keylog_filename);
}

static const char keylog_header[] = "# TLS secrets log file, generated by OpenSSL / Python\n";

static bool write_header(int fd) {
  size_t len = sizeof(keylog_header) - 1;
  bool is_empty_file = lseek(fd, 0, SEEK_END) == 0;
  return !is_empty_file || write(fd, keylog_header, len) == (ssize_t)len;
}

// Without the GIL: whoever reads a pipe of that name may be another thread. -1 with errno.
static int open_with_header(const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd >= 0 && !write_header(fd)) {
    int why = errno;
    close(fd);
    errno = why;
    return -1;
  }
  return fd;
}

// Opens the file that the user named, as the user; -1 with an exception set.
static int open_keylog(PyObject *name) {
  PyObject *path;
  if (!audit_open(name, "a") || !PyUnicode_FSConverter(name, &path)) {
    return -1;
  }
  const char *text = PyBytes_AsString(path);
  int fd;
  Py_BEGIN_ALLOW_THREADS
  fd = open_with_header(text);
  Py_END_ALLOW_THREADS
  if (fd < 0) {
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, name);
  }
  Py_DECREF(path);
  return fd;
}

static void close_keylog(struct context *context) {
  replace(&context->keylog_filename, Py_None);
  if (context->keylog_fd >= 0) {
    close(context->keylog_fd);
    context->keylog_fd = -1;
  }
}

static int set_keylog_filename(PyObject *self, PyObject *value, void *ignored) {
  (void)ignored;
  struct context *context = context_of(self);
  if (is_deletion(value) || !context_change(context, NEWS_EVENTS)) {
    return -1;
  }
  close_keylog(context);
  if (value == Py_None) {
    return 0;
  }
  context->keylog_fd = open_keylog(value);
  if (context->keylog_fd < 0) {
    return -1;
  }
  replace(&context->keylog_filename, value);
  return 0;
}

// --- ALPN and pre-shared keys, which are methods ---

PyObject *context_set_alpn(PyObject *self, PyObject *protocols) {
  struct context *context = context_of(self);
  Py_buffer view;
  if (!arguments_buffer(protocols, &view)) {
    return NULL;
  }
  PyObject *wire = PyBytes_FromStringAndSize(view.buf, view.len);
  PyBuffer_Release(&view);
  if (wire == NULL) {
    return NULL;
  }
  bool changed = context_change(context, NEWS_ALPN);
  if (changed) {
    replace(&context->alpn, wire);
  }
  Py_DECREF(wire);
  return changed ? Py_NewRef(Py_None) : NULL;
}

static bool set_psk_callback(struct context *context, PyObject **place, PyObject *callback) {
  if (callback != Py_None && !PyCallable_Check(callback)) {
    PyErr_SetString(PyExc_TypeError, "callback must be callable");
    return false;
  }
  if (!context_change(context, NEWS_DECISIONS)) {
    return false;
  }
  replace(place, callback);
  return true;
}

PyObject *context_set_psk_client(PyObject *self, PyObject *const *args, Py_ssize_t num_args,
                                 PyObject *names) {
  static const char *const parameters[] = {"callback", NULL};
  static const struct signature signature = {"set_psk_client_callback", parameters, 1, 1};
  struct context *context = context_of(self);
  PyObject *given[1];
  if (!arguments_parse(&signature, args, num_args, names, given)) {
    return NULL;
  }
  if (context->protocol == PROTOCOL_TLS_SERVER) {
    return raise_text(context->state, context->state->SSLError, 0,
                      "Cannot add PSK client callback to a PROTOCOL_TLS_SERVER context", __LINE__);
  }
  return set_psk_callback(context, &context->psk_client_callback, given[0]) ? Py_NewRef(Py_None)
                                                                            : NULL;
}

// The hint as UTF-8 in *out, to be freed; false with an exception set.
static bool read_hint(PyObject *hint, char **out) {
  *out = NULL;
  if (hint == NULL || hint == Py_None) {
    return true;
  }
  if (!PyUnicode_Check(hint)) {
    PyObject *type = PyObject_GetAttrString((PyObject *)Py_TYPE(hint), "__name__");
    if (type != NULL) {
      PyErr_Format(PyExc_TypeError,
                   "set_psk_server_callback() argument 'identity_hint' must be str or None, not %U",
                   type);
      Py_DECREF(type);
    }
    return false;
  }
  Py_ssize_t len;
  const char *text = PyUnicode_AsUTF8AndSize(hint, &len);
  if (text == NULL) {
    return false;
  }
  if (strlen(text) != (size_t)len) {
    PyErr_SetString(PyExc_ValueError, "embedded null character");
    return false;
  }
  *out = strdup(text);
  if (*out == NULL) {
    PyErr_NoMemory();
  }
  return *out != NULL;
}

PyObject *context_set_psk_server(PyObject *self, PyObject *const *args, Py_ssize_t num_args,
                                 PyObject *names) {
  static const char *const parameters[] = {"callback", "identity_hint", NULL};
  static const struct signature signature = {"set_psk_server_callback", parameters, 2, 1};
  struct context *context = context_of(self);
  PyObject *given[2];
  char *hint;
  if (!arguments_parse(&signature, args, num_args, names, given) || !read_hint(given[1], &hint)) {
    return NULL;
  }
  if (context->protocol == PROTOCOL_TLS_CLIENT) {
    free(hint);
    return raise_text(context->state, context->state->SSLError, 0,
                      "Cannot add PSK server callback to a PROTOCOL_TLS_CLIENT context", __LINE__);
  }
  if (!set_psk_callback(context, &context->psk_server_callback, given[0])) {
    free(hint);
    return NULL;
  }
  free(context->psk_hint);
  context->psk_hint = hint;
  context->news |= NEWS_PSK_HINT;
  return Py_NewRef(Py_None);
}

// --- The table ---

PyGetSetDef context_properties[] = {
    {"check_hostname", get_check_hostname, set_check_hostname, NULL, NULL},
    {"_host_flags", get_host_flags, set_host_flags, NULL, NULL},
    {"minimum_version", get_minimum_version, set_minimum_version, NULL, NULL},
    {"maximum_version", get_maximum_version, set_maximum_version, NULL, NULL},
    {"keylog_filename", get_keylog_filename, set_keylog_filename, NULL, NULL},
    {"_msg_callback", get_msg_callback, set_msg_callback, NULL, NULL},
    {"sni_callback", get_sni_callback, set_sni_callback,
     "What to call with (socket, server name or None, context) when a client has said which server "
     "it wants; None for nothing. It may put the socket on another context, and returns None or "
     "the "
     "alert to refuse with (RFC 6066, section 3).",
     NULL},
    {"num_tickets", get_num_tickets, set_num_tickets,
     "How many TLS 1.3 session tickets a server sends after a full handshake.", NULL},
    {"options", get_options, set_options, NULL, NULL},
    {"post_handshake_auth", get_post_handshake_auth, set_post_handshake_auth, NULL, NULL},
    {"protocol", get_protocol, NULL, NULL, NULL},
    {"security_level", context_get_security_level, NULL, "The security level in force, 0 to 5.",
     NULL},
    {"verify_flags", get_verify_flags, set_verify_flags, NULL, NULL},
    {"verify_mode", get_verify_mode, set_verify_mode, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
