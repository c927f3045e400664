// The type _SSLContext: how a context begins and ends.
#include "client/python/context.h"

#include <string.h>
#include <unistd.h>

#include "client/python/arguments.h"
#include "client/python/errors.h"
#include "client/python/socket.h"

bool context_check(const struct module_state *state, PyObject *object) {
  return PyObject_TypeCheck(object, state->context_type);
}

// --- Making one ---

static bool is_protocol(int protocol) {
  return (protocol >= PROTOCOL_TLS && protocol <= PROTOCOL_TLS_V1_2) ||
         protocol == PROTOCOL_TLS_CLIENT || protocol == PROTOCOL_TLS_SERVER;
}

static int warn_protocol(int protocol) {
  static const char *const names[] = {[PROTOCOL_TLS] = "PROTOCOL_TLS",
                                      [PROTOCOL_TLS_V1] = "PROTOCOL_TLSv1",
                                      [PROTOCOL_TLS_V1_1] = "PROTOCOL_TLSv1_1",
                                      [PROTOCOL_TLS_V1_2] = "PROTOCOL_TLSv1_2"};
  if (protocol == PROTOCOL_TLS_CLIENT || protocol == PROTOCOL_TLS_SERVER) {
    return 0;
  }
  return PyErr_WarnFormat(PyExc_DeprecationWarning, 2, "ssl.%s is deprecated", names[protocol]);
}

// The one version of the protocols that have only one; else 0.
static int only_version(int protocol) {
  switch (protocol) {
    case PROTOCOL_TLS_V1:
      return TLSAGENT_PROTOCOL_TLS_1_0;
    case PROTOCOL_TLS_V1_1:
      return TLSAGENT_PROTOCOL_TLS_1_1;
    case PROTOCOL_TLS_V1_2:
      return TLSAGENT_PROTOCOL_TLS_1_2;
    default:
      return 0;
  }
}

// What OpenSSL and openssl.cnf set on a context of this kind.
static uint64_t base_options(const struct module_state *state, enum tlsagent_context_kind kind) {
  const struct tlsagent_agent_info_reply *info = state->info;
  for (size_t i = 0; i < info->num_context_defaults; i++) {
    if (info->context_defaults[i].kind == kind) {
      return info->context_defaults[i].settings.options.value;
    }
  }
  return 0;
}

// And what CPython sets on every context of its own.
static uint64_t first_options(const struct module_state *state, enum tlsagent_context_kind kind) {
  static const char *const names[] = {"SSL_OP_NO_SSLv2",
                                      "SSL_OP_NO_SSLv3",
                                      "SSL_OP_NO_COMPRESSION",
                                      "SSL_OP_CIPHER_SERVER_PREFERENCE",
                                      "SSL_OP_SINGLE_DH_USE",
                                      "SSL_OP_SINGLE_ECDH_USE",
                                      "SSL_OP_ENABLE_MIDDLEBOX_COMPAT"};
  uint64_t options = base_options(state, kind) |
                     ((uint64_t)constant_of(state, "SSL_OP_ALL") &
                      ~(uint64_t)constant_of(state, "SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS"));
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    options |= (uint64_t)constant_of(state, names[i]);
  }
  if (state->hexversion < HEXVERSION_3_11_3) {
    options |= (uint64_t)constant_of(state, "SSL_OP_IGNORE_UNEXPECTED_EOF");
  }
  return options;
}

// A Python that was built to leave the ciphers to OpenSSL leaves it the versions too.
static void set_versions(struct context *context) {
  int only = only_version(context->protocol);
  int least = context->state->sets_ciphers ? TLSAGENT_PROTOCOL_TLS_1_2 : 0;
  context->min_version = only != 0 ? only : least;
  context->max_version = only;
}

// Whatever is set here is news; the rest is the daemon's own default, and the same.
static bool set_defaults(struct context *context) {
  const struct module_state *state = context->state;
  bool is_client = context->protocol == PROTOCOL_TLS_CLIENT;
  context->options = first_options(state, context_kind(context));
  context->verify_mode = is_client ? CERT_REQUIRED : CERT_NONE;
  context->check_hostname = is_client;
  context->verify_flags = (unsigned long)constant_of(state, "X509_V_FLAG_TRUSTED_FIRST");
  context->host_flags = (unsigned)constant_of(state, "X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS");
  context->num_tickets = 2;
  set_versions(context);
  context->news = NEWS_OPTIONS | NEWS_VERIFY_MODE | NEWS_VERIFY_FLAGS | NEWS_HOST_FLAGS |
                  NEWS_MIN_VERSION | NEWS_MAX_VERSION | NEWS_CIPHERS;
  context->ciphers = strdup(state->default_ciphers);
  return context->ciphers != NULL;
}

static PyObject *context_make(PyTypeObject *type, struct module_state *state, int protocol) {
  allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  struct context *context = (struct context *)(void *)alloc(type, 0);
  if (context == NULL) {
    return NULL;
  }
  context->state = state;
  context->protocol = protocol;
  context->keylog_fd = -1;
  pthread_mutex_init(&context->syncing, NULL);
  if (!set_defaults(context)) {
    Py_DECREF(context);
    return PyErr_NoMemory();
  }
  return (PyObject *)context;
}

static PyObject *context_new(PyTypeObject *type, PyObject *args, PyObject *names) {
  struct module_state *state = module_state_of(type);
  int protocol;
  if (state == NULL) {
    return NULL;
  }
  if (type == state->context_type && names != NULL && PyDict_Size(names) != 0) {
    PyErr_SetString(PyExc_TypeError, "_SSLContext() takes no keyword arguments");
    return NULL;
  }
  if (!arguments_count("_SSLContext", PyTuple_Size(args), 1, 1) ||
      !arguments_int(PyTuple_GetItem(args, 0), &protocol)) {
    return NULL;
  }
  if (!is_protocol(protocol)) {
    return PyErr_Format(PyExc_ValueError, "invalid or unsupported protocol version %i", protocol);
  }
  return warn_protocol(protocol) < 0 ? NULL : context_make(type, state, protocol);
}

// --- Ending one ---

static int context_traverse(PyObject *self, visitproc visit, void *arg) {
  struct context *context = context_of(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(context->sni_callback);
  Py_VISIT(context->msg_callback);
  Py_VISIT(context->psk_client_callback);
  Py_VISIT(context->psk_server_callback);
  return 0;
}

static int context_clear(PyObject *self) {
  struct context *context = context_of(self);
  Py_CLEAR(context->sni_callback);
  Py_CLEAR(context->msg_callback);
  Py_CLEAR(context->psk_client_callback);
  Py_CLEAR(context->psk_server_callback);
  Py_CLEAR(context->keylog_filename);
  if (context->keylog_fd >= 0) {
    close(context->keylog_fd);
    context->keylog_fd = -1;
  }
  return 0;
}

static void context_dealloc(PyObject *self) {
  struct context *context = context_of(self);
  PyTypeObject *type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  context_clear(self);
  agent_drop(context->handle);
  pthread_mutex_destroy(&context->syncing);
  Py_XDECREF(context->alpn);
  free(context->ciphers);
  free(context->groups);
  free(context->psk_hint);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(self);
  Py_DECREF(type);
}

// --- The type ---

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef methods[] = {
    {"_wrap_socket", FAST(socket_wrap), METH_FASTCALL | METH_KEYWORDS,
     "_wrap_socket($self, /, sock, server_side, server_hostname=None, *,\n             owner=None, "
     "session=None)\n--\n\n"},
    {"_wrap_bio", FAST(socket_wrap_bio), METH_FASTCALL | METH_KEYWORDS,
     "_wrap_bio($self, /, incoming, outgoing, server_side,\n          server_hostname=None, *, "
     "owner=None, session=None)\n--\n\n"},
    {"set_ciphers", context_set_ciphers, METH_O, "set_ciphers($self, cipherlist, /)\n--\n\n"},
    {"_set_alpn_protocols", context_set_alpn, METH_O,
     "_set_alpn_protocols($self, protos, /)\n--\n\n"},
    {"load_cert_chain", FAST(context_load_cert_chain), METH_FASTCALL | METH_KEYWORDS,
     "load_cert_chain($self, /, certfile, keyfile=None, password=None)\n--\n\n"},
    {"load_dh_params", context_load_dh_params, METH_O, "load_dh_params($self, path, /)\n--\n\n"},
    {"load_verify_locations", FAST(context_load_verify_locations), METH_FASTCALL | METH_KEYWORDS,
     "load_verify_locations($self, /, cafile=None, capath=None, cadata=None)\n--\n\n"},
    {"session_stats", context_session_stats, METH_NOARGS, "session_stats($self, /)\n--\n\n"},
    {"set_default_verify_paths", context_set_default_verify_paths, METH_NOARGS,
     "set_default_verify_paths($self, /)\n--\n\n"},
    {"set_ecdh_curve", context_set_ecdh_curve, METH_O, "set_ecdh_curve($self, name, /)\n--\n\n"},
    {"cert_store_stats", context_cert_store_stats, METH_NOARGS,
     "cert_store_stats($self, /)\n--\n\nHow many certificates, CA certificates and revocation "
     "lists "
     "are trusted or known.\n\nThose of a capath count once a handshake has needed them."},
    {"get_ca_certs", FAST(context_get_ca_certs), METH_FASTCALL | METH_KEYWORDS,
     "get_ca_certs($self, /, binary_form=False)\n--\n\nThe trusted CA certificates, as dicts or, "
     "if asked for, in DER.\n\nThose of a capath are among them once a handshake has needed them."},
    {"get_ciphers", context_get_ciphers, METH_NOARGS, "get_ciphers($self, /)\n--\n\n"},
    {"set_psk_client_callback", FAST(context_set_psk_client), METH_FASTCALL | METH_KEYWORDS,
     "set_psk_client_callback($self, /, callback)\n--\n\n"},
    {"set_psk_server_callback", FAST(context_set_psk_server), METH_FASTCALL | METH_KEYWORDS,
     "set_psk_server_callback($self, /, callback, identity_hint=None)\n--\n\n"},
    {NULL, NULL, 0, NULL},
};

enum { FIRST_PSK_METHOD = sizeof(methods) / sizeof(methods[0]) - 3 };

// Before 3.13 there were no pre-shared keys.
static PyMethodDef *methods_for(const struct module_state *state) {
  static PyMethodDef without_psk[FIRST_PSK_METHOD + 1];
  if (state->version >= PYTHON_3_13) {
    return methods;
  }
  memcpy(without_psk, methods, FIRST_PSK_METHOD * sizeof(methods[0]));
  return without_psk;
}

int context_type_init(PyObject *module, struct module_state *state) {
  PyType_Slot slots[] = {
      {Py_tp_methods, methods_for(state)},
      {Py_tp_getset, context_properties},
      {Py_tp_new, context_new},
      {Py_tp_dealloc, context_dealloc},
      {Py_tp_traverse, context_traverse},
      {Py_tp_clear, context_clear},
      {0, NULL},
  };
  PyType_Spec spec = {
      "_ssl._SSLContext", sizeof(struct context), 0,
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | TYPE_IMMUTABLE, slots};
  PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
  if (type == NULL) {
    return -1;
  }
  state->context_type = (PyTypeObject *)type;
  return PyModule_AddType(module, state->context_type);
}
