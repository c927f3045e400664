// The type _SSLSocket: how a connection begins and ends, and what is known of it without asking.
#include "client/python/socket.h"

#include <string.h>

#include "client/python/arguments.h"
#include "client/python/bio.h"
#include "client/python/errors.h"
#include "client/python/session.h"

// --- Sockets that the daemon doesn't know yet ---

void socket_enlist(struct ssl_socket *socket) {
  struct ssl_socket **head = &socket->context->unopened;
  socket->next_unopened = *head;
  socket->place_unopened = head;
  if (*head != NULL) {
    (*head)->place_unopened = &socket->next_unopened;
  }
  *head = socket;
}

void socket_unlist(struct ssl_socket *socket) {
  if (socket->place_unopened == NULL) {
    return;
  }
  *socket->place_unopened = socket->next_unopened;
  if (socket->next_unopened != NULL) {
    socket->next_unopened->place_unopened = socket->place_unopened;
  }
  socket->next_unopened = NULL;
  socket->place_unopened = NULL;
}

// --- Making one ---

struct wrapping {
  struct context *context;
  PyObject *socket;  // or the two BIOs
  PyObject *incoming;
  PyObject *outgoing;
  int server_side;
  PyObject *hostname;  // str, or NULL
  PyObject *owner;     // or NULL
  PyObject *session;   // or NULL
};

static bool role_fits(const struct wrapping *wrapping) {
  const struct context *context = wrapping->context;
  struct module_state *state = context->state;
  if (wrapping->server_side && context->protocol == PROTOCOL_TLS_CLIENT) {
    raise_text(state, state->SSLError, 0,
               "Cannot create a server socket with a PROTOCOL_TLS_CLIENT context", __LINE__);
    return false;
  }
  if (!wrapping->server_side && context->protocol == PROTOCOL_TLS_SERVER) {
    raise_text(state, state->SSLError, 0,
               "Cannot create a client socket with a PROTOCOL_TLS_SERVER context", __LINE__);
    return false;
  }
  return true;
}

// The host name as an A-label; false with an exception set. *out is NULL for none.
static bool read_hostname(PyObject *given, PyObject **out) {
  *out = NULL;
  if (given == NULL || given == Py_None) {
    return true;
  }
  if (!PyUnicode_Check(given)) {
    return arguments_refuse_type("argument", "str", given) != NULL;
  }
  PyObject *ascii = PyUnicode_AsASCIIString(given);
  if (ascii == NULL) {
    return false;
  }
  const char *text = PyBytes_AsString(ascii);
  bool has_nul = strlen(text) != (size_t)PyBytes_Size(ascii);
  bool is_host = text[0] != '\0' && text[0] != '.';
  Py_DECREF(ascii);
  if (has_nul) {
    return arguments_refuse_type("argument", "encoded string without null bytes", given) != NULL;
  }
  if (!is_host) {
    PyErr_SetString(PyExc_ValueError,
                    "server_hostname cannot be an empty string or start with a leading dot.");
    return false;
  }
  *out = Py_NewRef(given);
  return true;
}

// OpenSSL takes no longer name.
static bool name_fits(const struct context *context, PyObject *hostname) {
  enum { NAME_MAX_LEN = 255, INVALID_SERVERNAME = 319 };
  if (hostname == NULL || PyUnicode_GetLength(hostname) <= NAME_MAX_LEN) {
    return true;
  }
  raise_coded(context->state, context->state->SSLError, INVALID_SERVERNAME, "SSL",
              "SSL3_EXT_INVALID_SERVERNAME", "ssl3 ext invalid servername", __LINE__);
  return false;
}

static bool set_weak(PyObject **place, PyObject *object) {
  PyObject *reference = PyWeakref_NewRef(object, NULL);
  if (reference == NULL) {
    return false;
  }
  object_put(place, reference);
  return true;
}

static void init_mutexes(struct ssl_socket *socket) {
  pthread_mutexattr_t recursive;
  pthread_mutexattr_init(&recursive);
  pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&socket->reading, &recursive);  // a callback may read, and hear of it
  pthread_mutex_init(&socket->writing, &recursive);
  pthread_mutexattr_destroy(&recursive);
  pthread_mutex_init(&socket->calling, NULL);
  pthread_mutex_init(&socket->sending, NULL);
  pthread_mutex_init(&socket->guard, NULL);
}

static struct ssl_socket *allocate(struct module_state *state) {
  allocfunc alloc = (allocfunc)PyType_GetSlot(state->socket_type, Py_tp_alloc);
  PyObject *self = alloc(state->socket_type, 0);
  if (self == NULL) {
    return NULL;
  }
  struct ssl_socket *socket = socket_of(self);
  socket->state = state;
  init_mutexes(socket);
  return socket;
}

static bool fill(struct ssl_socket *socket, const struct wrapping *wrapping) {
  socket->context = (struct context *)(void *)Py_NewRef((PyObject *)wrapping->context);
  socket->server_side = wrapping->server_side != 0;
  socket->server_hostname = Py_XNewRef(wrapping->hostname);
  socket->incoming = Py_XNewRef(wrapping->incoming);
  socket->outgoing = Py_XNewRef(wrapping->outgoing);
  socket->peer_may_change = wrapping->context->post_handshake_auth;
  socket_enlist(socket);
  if (wrapping->socket != NULL && !set_weak(&socket->socket, wrapping->socket)) {
    return false;
  }
  if (wrapping->owner != NULL && wrapping->owner != Py_None &&
      !set_weak(&socket->owner, wrapping->owner)) {
    return false;
  }
  bool resumes = wrapping->session != NULL && wrapping->session != Py_None;
  return !resumes || socket_set_session((PyObject *)socket, wrapping->session, NULL) == 0;
}

static PyObject *make(struct wrapping *wrapping, PyObject *hostname) {
  if (!read_hostname(hostname, &wrapping->hostname)) {
    return NULL;
  }
  bool fits = role_fits(wrapping) && name_fits(wrapping->context, wrapping->hostname);
  struct ssl_socket *socket = fits ? allocate(wrapping->context->state) : NULL;
  if (socket != NULL && !fill(socket, wrapping)) {
    Py_CLEAR(socket);
  }
  Py_XDECREF(wrapping->hostname);
  return (PyObject *)socket;
}

static bool read_side(const struct module_state *state, PyObject *given, int *out) {
  if (state->version == PYTHON_3_11) {
    return PyArg_Parse(given, "i", out);
  }
  *out = PyObject_IsTrue(given);
  return *out >= 0;
}

PyObject *socket_wrap(PyObject *self, PyObject *const *args, Py_ssize_t num_args, PyObject *names) {
  static const char *const parameters[] = {"sock",  "server_side", "server_hostname",
                                           "owner", "session",     NULL};
  static const struct signature signature = {"_wrap_socket", parameters, 3, 2};
  struct context *context = context_of(self);
  PyObject *given[5];
  if (!arguments_parse(&signature, args, num_args, names, given)) {
    return NULL;
  }
  if (!PyObject_TypeCheck(given[0], context->state->raw_socket_type)) {
    arguments_refuse_type("_wrap_socket() argument 'sock'", "_socket.socket", given[0]);
    return NULL;
  }
  struct wrapping wrapping = {
      .context = context, .socket = given[0], .owner = given[3], .session = given[4]};
  return read_side(context->state, given[1], &wrapping.server_side) ? make(&wrapping, given[2])
                                                                    : NULL;
}

PyObject *socket_wrap_bio(PyObject *self, PyObject *const *args, Py_ssize_t num_args,
                          PyObject *names) {
  static const char *const parameters[] = {"incoming", "outgoing", "server_side", "server_hostname",
                                           "owner",    "session",  NULL};
  static const struct signature signature = {"_wrap_bio", parameters, 4, 3};
  struct context *context = context_of(self);
  PyObject *given[6];
  if (!arguments_parse(&signature, args, num_args, names, given)) {
    return NULL;
  }
  for (int i = 0; i < 2; i++) {
    if (!bio_check(context->state, given[i])) {
      arguments_refuse_type(
          i == 0 ? "_wrap_bio() argument 'incoming'" : "_wrap_bio() argument 'outgoing'",
          "_ssl.MemoryBIO", given[i]);
      return NULL;
    }
  }
  struct wrapping wrapping = {.context = context,
                              .incoming = given[0],
                              .outgoing = given[1],
                              .owner = given[4],
                              .session = given[5]};
  return read_side(context->state, given[2], &wrapping.server_side) ? make(&wrapping, given[3])
                                                                    : NULL;
}

// --- Ending one ---

static int socket_traverse(PyObject *self, visitproc visit, void *arg) {
  struct ssl_socket *socket = socket_of(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT((PyObject *)socket->context);
  Py_VISIT(socket->incoming);
  Py_VISIT(socket->outgoing);
  Py_VISIT(socket->resume);
  Py_VISIT(socket->exception);
  return 0;
}

static int socket_clear(PyObject *self) {
  struct ssl_socket *socket = socket_of(self);
  socket_unlist(socket);
  Py_CLEAR(socket->socket);
  Py_CLEAR(socket->owner);
  Py_CLEAR(socket->incoming);
  Py_CLEAR(socket->outgoing);
  Py_CLEAR(socket->resume);
  Py_CLEAR(socket->exception);
  Py_CLEAR(socket->peer);
  Py_CLEAR(socket->peer_dict);
  return 0;
}

static void free_buffers(struct ssl_socket *socket) {
  buffer_free(&socket->received);
  buffer_free(&socket->unsent);
  buffer_free(&socket->output);
  buffer_free(&socket->plain);
  free(socket->failure);
  tlsagent_free(socket->peer_reply);
  pthread_mutex_destroy(&socket->reading);
  pthread_mutex_destroy(&socket->writing);
  pthread_mutex_destroy(&socket->calling);
  pthread_mutex_destroy(&socket->sending);
  pthread_mutex_destroy(&socket->guard);
}

static void socket_dealloc(PyObject *self) {
  struct ssl_socket *socket = socket_of(self);
  PyTypeObject *type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  socket_clear(self);
  agent_drop(socket->handle);
  free_buffers(socket);
  Py_CLEAR(socket->server_hostname);
  Py_CLEAR(socket->context);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(self);
  Py_DECREF(type);
}

// --- What is known without asking ---

static PyObject *get_context(PyObject *self, void *ignored) {
  (void)ignored;
  return Py_NewRef((PyObject *)socket_of(self)->context);
}

static PyObject *get_server_side(PyObject *self, void *ignored) {
  (void)ignored;
  return PyBool_FromLong(socket_of(self)->server_side);
}

static PyObject *get_server_hostname(PyObject *self, void *ignored) {
  (void)ignored;
  PyObject *name = socket_of(self)->server_hostname;
  return Py_NewRef(name == NULL ? Py_None : name);
}

// What a weak reference refers to; None when that is gone, or for no reference.
static PyObject *referred(PyObject *reference) {
  return reference == NULL ? Py_NewRef(Py_None) : PyObject_CallNoArgs(reference);
}

static PyObject *get_owner(PyObject *self, void *ignored) {
  (void)ignored;
  return referred(socket_of(self)->owner);
}

static int set_owner(PyObject *self, PyObject *owner, void *ignored) {
  (void)ignored;
  if (owner == NULL) {
    PyErr_SetString(PyExc_AttributeError, "cannot delete attribute");
    return -1;
  }
  if (!set_weak(&socket_of(self)->owner, owner)) {
    object_put(&socket_of(self)->owner, NULL);
    return -1;
  }
  return 0;
}

PyObject *socket_owner(struct ssl_socket *socket) {
  if (socket->owner != NULL) {
    return referred(socket->owner);
  }
  return socket->socket != NULL ? referred(socket->socket) : Py_NewRef((PyObject *)socket);
}

static PyObject *get_session_reused(PyObject *self, void *ignored) {
  (void)ignored;
  return PyBool_FromLong(socket_of(self)->agreed.resumed);
}

static PyObject *socket_cipher(PyObject *self, PyObject *ignored) {
  (void)ignored;
  const struct agreed *agreed = &socket_of(self)->agreed;
  return agreed->version == NULL ? Py_NewRef(Py_None)
                                 : Py_BuildValue("(ssi)", agreed->cipher_name,
                                                 agreed->cipher_protocol, agreed->cipher_bits);
}

static PyObject *socket_version(PyObject *self, PyObject *ignored) {
  (void)ignored;
  const struct agreed *agreed = &socket_of(self)->agreed;
  return agreed->version == NULL ? Py_NewRef(Py_None) : PyUnicode_FromString(agreed->version);
}

static PyObject *socket_alpn(PyObject *self, PyObject *ignored) {
  (void)ignored;
  const struct agreed *agreed = &socket_of(self)->agreed;
  return agreed->alpn_len == 0 ? Py_NewRef(Py_None)
                               : PyUnicode_FromStringAndSize((const char *)agreed->alpn,
                                                             (Py_ssize_t)agreed->alpn_len);
}

// Nothing is ever compressed: the daemon's OpenSSL could be led into CRIME (RFC 7525, section 3.3).
static PyObject *socket_compression(PyObject *self, PyObject *ignored) {
  (void)self;
  (void)ignored;
  return Py_NewRef(Py_None);
}

static PyObject *socket_pending(PyObject *self, PyObject *ignored) {
  (void)ignored;
  struct ssl_socket *socket = socket_of(self);
  struct tlsagent_error error;
  if (!agent_owns(&socket->process, &error)) {
    return raise_agent(socket->state, &error, true, __LINE__);
  }
  pthread_mutex_lock(&socket->guard);
  size_t pending = buffer_len(&socket->plain) + socket->pending;
  pthread_mutex_unlock(&socket->guard);
  return PyLong_FromSize_t(pending);
}

// --- The type ---

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef methods[] = {
    {"do_handshake", socket_do_handshake, METH_NOARGS, "do_handshake($self, /)\n--\n\n"},
    {"write", socket_write, METH_O,
     "write($self, b, /)\n--\n\nWrites a bytes-like object and returns how many bytes it took."},
    {"read", socket_read, METH_VARARGS,
     "read(size, [buffer])\nReads up to size bytes, into buffer if there is one."},
    {"getpeercert", FAST(socket_getpeercert), METH_FASTCALL,
     "getpeercert($self, der=False, /)\n--\n\nThe peer's certificate: a dict, empty when it was "
     "not "
     "verified, or its DER; None without one."},
    {"get_channel_binding", FAST(socket_get_channel_binding), METH_FASTCALL | METH_KEYWORDS,
     "get_channel_binding($self, /, cb_type=\'tls-unique\')\n--\n\nThe channel binding (RFC 5929), "
     "or None before the handshake. ValueError for a cb_type other than tls-unique."},
    {"cipher", socket_cipher, METH_NOARGS, "cipher($self, /)\n--\n\n"},
    {"shared_ciphers", socket_shared_ciphers, METH_NOARGS, "shared_ciphers($self, /)\n--\n\n"},
    {"version", socket_version, METH_NOARGS, "version($self, /)\n--\n\n"},
    {"selected_alpn_protocol", socket_alpn, METH_NOARGS,
     "selected_alpn_protocol($self, /)\n--\n\n"},
    {"compression", socket_compression, METH_NOARGS, "compression($self, /)\n--\n\n"},
    {"pending", socket_pending, METH_NOARGS,
     "pending($self, /)\n--\n\nHow many bytes are decrypted and can be read at once."},
    {"shutdown", socket_shutdown, METH_NOARGS,
     "shutdown($self, /)\n--\n\nSends close_notify and awaits the peer's."},
    {"verify_client_post_handshake", socket_verify_client_post_handshake, METH_NOARGS,
     "verify_client_post_handshake($self, /)\n--\n\nAsks a TLS 1.3 client for its certificate, "
     "with "
     "the next output."},
    {"get_unverified_chain", socket_get_unverified_chain, METH_NOARGS,
     "get_unverified_chain($self, /)\n--\n\n"},
    {"get_verified_chain", socket_get_verified_chain, METH_NOARGS,
     "get_verified_chain($self, /)\n--\n\n"},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"context", get_context, socket_set_context,
     "The context. Setting it, from a callback of sni_callback, changes the certificate that is "
     "shown.",
     NULL},
    {"server_side", get_server_side, NULL, "Whether this is the server's side.", NULL},
    {"server_hostname", get_server_hostname, NULL, "The name of the server that is asked for.",
     NULL},
    {"owner", get_owner, set_owner, "What callbacks get as the connection; held weakly.", NULL},
    {"session", socket_get_session, socket_set_session,
     "The SSLSession, to resume or resumed from.", NULL},
    {"session_reused", get_session_reused, NULL, "Whether the handshake resumed a session.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

int socket_type_init(PyObject *module, struct module_state *state) {
  PyType_Slot slots[] = {
      {Py_tp_methods, methods},        {Py_tp_getset, properties},
      {Py_tp_dealloc, socket_dealloc}, {Py_tp_traverse, socket_traverse},
      {Py_tp_clear, socket_clear},     {0, NULL},
  };
  PyType_Spec spec = {
      "_ssl._SSLSocket", sizeof(struct ssl_socket), 0,
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | TYPE_IMMUTABLE | TYPE_NOT_INSTANTIABLE, slots};
  PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
  if (type == NULL) {
    return -1;
  }
  state->socket_type = (PyTypeObject *)type;
  return PyModule_AddType(module, state->socket_type);
}
