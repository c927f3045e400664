// What a connection is asked that needs a call, and what changes it without data.
#include <string.h>

#include "client/python/arguments.h"
#include "client/python/certificate.h"
#include "client/python/errors.h"
#include "client/python/session.h"
#include "client/python/socket.h"

static PyObject *none(void) {
  return Py_NewRef(Py_None);
}

// --- Calls on a session, with the GIL given up meanwhile ---

// One of the verbs below, with a connection to make it on.
typedef bool session_verb(const struct ssl_socket *socket, struct tlsagent_client *client,
                          void *request, void **reply, struct tlsagent_error *error);

// Makes the call in its order among those of the session.
static bool ask(struct ssl_socket *socket, session_verb *make, void *request, void **reply,
                struct tlsagent_error *error) {
  bool ok;
  if (!agent_owns(&socket->process, error)) {
    return false;
  }
  Py_BEGIN_ALLOW_THREADS
  pthread_mutex_lock(&socket->calling);
  struct tlsagent_client *client = agent_take(&socket->handle, error);
  ok = client != NULL && make(socket, client, request, reply, error);
  if (client != NULL) {
    agent_give(client);
  }
  pthread_mutex_unlock(&socket->calling);
  Py_END_ALLOW_THREADS
  return ok;
}

// The same for who has nothing but an exception for a failure; NULL then.
static void *ask_or_raise(struct ssl_socket *socket, session_verb *make, void *request, int line) {
  struct tlsagent_error error;
  void *reply = NULL;
  if (ask(socket, make, request, &reply, &error)) {
    return reply;
  }
  tlsagent_free(reply);
  return raise_agent(socket->state, &error, true, line);
}

// --- The peer ---

static bool peer_certificate(const struct ssl_socket *socket, struct tlsagent_client *client,
                             void *request, void **reply, struct tlsagent_error *error) {
  const struct tlsagent_session_peer_certificate_request whole = {socket->handle.number,
                                                                  *(const bool *)request};
  struct tlsagent_session_peer_certificate_reply *out;
  bool ok = tlsagent_session_peer_certificate(client, &out, &whole, 0, error);
  *reply = out;
  return ok;
}

static struct tlsagent_session_peer_certificate_reply *ask_peer(struct ssl_socket *socket,
                                                                bool decode) {
  return ask_or_raise(socket, peer_certificate, &decode, __LINE__);
}

static PyObject *bytes_of(const struct tlsagent_bytes *bytes) {
  return PyBytes_FromStringAndSize((const char *)bytes->data, (Py_ssize_t)bytes->len);
}

// A server's peer may show a certificate long after the handshake.
static bool refresh_peer(struct ssl_socket *socket) {
  if (!socket->peer_may_change) {
    return true;
  }
  struct tlsagent_session_peer_certificate_reply *reply = ask_peer(socket, false);
  if (reply == NULL) {
    return false;
  }
  PyObject *der = reply->peer == NULL ? NULL : bytes_of(&reply->peer->der);
  bool good = der != NULL || reply->peer == NULL;
  object_put(&socket->peer, der);
  Py_CLEAR(socket->peer_dict);
  tlsagent_free(reply);
  return good;
}

// What the answer to the handshake has decoded. It is taken out first: making objects may let other
// threads in.
static PyObject *take_decoded(struct ssl_socket *socket) {
  const struct tlsagent_certificate *decoded = socket->peer_decoded;
  void *reply = socket->peer_reply;
  socket->peer_decoded = NULL;
  socket->peer_reply = NULL;
  PyObject *dict = certificate_dict(socket->state, decoded);
  tlsagent_free(reply);
  return dict;
}

// Decoded by the answer to the handshake, or asked for now.
static PyObject *decoded_peer(struct ssl_socket *socket) {
  if (socket->peer_decoded != NULL) {
    return take_decoded(socket);
  }
  struct tlsagent_session_peer_certificate_reply *reply = ask_peer(socket, true);
  if (reply == NULL) {
    return NULL;
  }
  bool known = reply->peer != NULL && reply->peer->certificate != NULL;
  PyObject *dict = known ? certificate_dict(socket->state, reply->peer->certificate) : none();
  tlsagent_free(reply);
  return dict;
}

static PyObject *peer_dict(struct ssl_socket *socket) {
  PyObject *dict = Py_XNewRef(socket->peer_dict);
  if (dict == NULL) {
    dict = decoded_peer(socket);
    object_put(&socket->peer_dict, Py_XNewRef(dict));
  }
  if (dict == NULL || dict == Py_None) {
    return dict;
  }
  PyObject *copy = PyDict_Copy(dict);
  Py_DECREF(dict);
  return copy;
}

PyObject *socket_getpeercert(PyObject *self, PyObject *const *args, Py_ssize_t num_args) {
  struct ssl_socket *socket = socket_of(self);
  if (!arguments_count("getpeercert", num_args, 0, 1)) {
    return NULL;
  }
  int binary = num_args == 0 ? 0 : PyObject_IsTrue(args[0]);
  if (binary < 0) {
    return NULL;
  }
  if (!is_established(socket)) {
    PyErr_SetString(PyExc_ValueError, "handshake not done yet");
    return NULL;
  }
  if (!refresh_peer(socket)) {
    return NULL;
  }
  if (socket->peer == NULL) {
    return none();
  }
  if (binary) {
    return Py_NewRef(socket->peer);
  }
  if (socket->context->verify_mode == CERT_NONE) {
    return PyDict_New();
  }
  socket->state->looks_at_peers = true;
  return peer_dict(socket);
}

static PyObject *chain(PyObject *self, bool verified) {
  struct ssl_socket *socket = socket_of(self);
  if (!is_established(socket)) {
    return none();
  }
  struct tlsagent_session_peer_certificate_reply *reply = ask_peer(socket, true);
  if (reply == NULL) {
    return NULL;
  }
  const struct tlsagent_certificate *certificates =
      verified ? reply->verified_certificates : reply->unverified_certificates;
  size_t num = verified ? reply->num_verified_certificates : reply->num_unverified_certificates;
  PyObject *list = num == 0 ? none() : certificate_list(socket->state, certificates, num);
  tlsagent_free(reply);
  return list;
}

PyObject *socket_get_verified_chain(PyObject *self, PyObject *ignored) {
  (void)ignored;
  return chain(self, true);
}

// A session that was resumed has shown none.
PyObject *socket_get_unverified_chain(PyObject *self, PyObject *ignored) {
  (void)ignored;
  const struct ssl_socket *socket = socket_of(self);
  bool shown = !socket->agreed.resumed || socket->asked_certificate;
  return shown ? chain(self, false) : none();
}

// --- Shared ciphers ---

static bool shared_ciphers(const struct ssl_socket *socket, struct tlsagent_client *client,
                           void *request, void **reply, struct tlsagent_error *error) {
  (void)request;
  struct tlsagent_session_shared_ciphers_reply *out;
  bool ok = tlsagent_session_shared_ciphers(client, &out, socket->handle.number, 0, error);
  *reply = out;
  return ok;
}

// Before the client has offered any, and after it has resumed a session, there is nothing to share.
static bool is_too_early(const struct tlsagent_error *error) {
  return error->fault == TLSAGENT_FAULT_REFUSED &&
         error->rpc_code == TLSAGENT_RPC_FAILED_PRECONDITION;
}

PyObject *socket_shared_ciphers(PyObject *self, PyObject *ignored) {
  (void)ignored;
  struct ssl_socket *socket = socket_of(self);
  if (socket->state->hexversion < HEXVERSION_3_11_3) {
    return context_cipher_tuples(socket->context);
  }
  if (!socket->server_side || socket->handle.number == 0) {
    return none();
  }
  struct tlsagent_session_shared_ciphers_reply *reply;
  struct tlsagent_error error;
  void *answer = NULL;
  if (!ask(socket, shared_ciphers, NULL, &answer, &error)) {
    tlsagent_free(answer);
    return is_too_early(&error) ? none() : raise_agent(socket->state, &error, true, __LINE__);
  }
  reply = answer;
  PyObject *list =
      reply->num_ciphers == 0 ? none() : cipher_tuples(reply->ciphers, reply->num_ciphers);
  tlsagent_free(reply);
  return list;
}

// --- Channel binding ---

static bool channel_binding(const struct ssl_socket *socket, struct tlsagent_client *client,
                            void *request, void **reply, struct tlsagent_error *error) {
  (void)request;
  const struct tlsagent_session_channel_binding_request whole = {
      socket->handle.number, TLSAGENT_CHANNEL_BINDING_TLS_UNIQUE};
  struct tlsagent_session_channel_binding_reply *out;
  bool ok = tlsagent_session_channel_binding(client, &out, &whole, 0, error);
  *reply = out;
  return ok;
}

static bool is_tls_unique(PyObject *type, bool *out) {
  *out = true;
  if (type == NULL) {
    return true;
  }
  if (!PyUnicode_Check(type)) {
    return arguments_refuse_type("get_channel_binding() argument 'cb_type'", "str", type) != NULL;
  }
  *out = PyUnicode_CompareWithASCIIString(type, "tls-unique") == 0;
  return true;
}

PyObject *socket_get_channel_binding(PyObject *self, PyObject *const *args, Py_ssize_t num_args,
                                     PyObject *names) {
  static const char *const parameters[] = {"cb_type", NULL};
  static const struct signature signature = {"get_channel_binding", parameters, 1, 0};
  struct ssl_socket *socket = socket_of(self);
  PyObject *given[1];
  bool known;
  if (!arguments_parse(&signature, args, num_args, names, given) ||
      !is_tls_unique(given[0], &known)) {
    return NULL;
  }
  if (!known) {
    return PyErr_Format(PyExc_ValueError, "'%U' channel binding type not implemented", given[0]);
  }
  if (!is_established(socket)) {
    return none();
  }
  struct tlsagent_session_channel_binding_reply *reply =
      ask_or_raise(socket, channel_binding, NULL, __LINE__);
  if (reply == NULL) {
    return NULL;
  }
  PyObject *binding = reply->data.data == NULL ? none() : bytes_of(&reply->data);
  tlsagent_free(reply);
  return binding;
}

// --- Post-handshake authentication ---

static bool request_certificate(const struct ssl_socket *socket, struct tlsagent_client *client,
                                void *request, void **reply, struct tlsagent_error *error) {
  (void)request;
  struct tlsagent_session_request_client_certificate_reply *out;
  bool ok =
      tlsagent_session_request_client_certificate(client, &out, socket->handle.number, 0, error);
  *reply = out;
  return ok;
}

// Before there is a session OpenSSL complains of the version, which isn't agreed on.
static PyObject *raise_no_version(struct module_state *state) {
  enum { WRONG_SSL_VERSION = 266 };
  return raise_coded(state, state->SSLError, WRONG_SSL_VERSION, "SSL", "WRONG_SSL_VERSION",
                     "wrong ssl version", __LINE__);
}

PyObject *socket_verify_client_post_handshake(PyObject *self, PyObject *ignored) {
  (void)ignored;
  struct ssl_socket *socket = socket_of(self);
  struct tlsagent_error error;
  void *reply = NULL;
  if (socket->handle.number == 0) {
    return raise_no_version(socket->state);
  }
  bool asked = ask(socket, request_certificate, NULL, &reply, &error);
  tlsagent_free(reply);
  if (!asked) {
    return raise_agent(socket->state, &error, false, __LINE__);
  }
  socket->peer_may_change = true;
  socket->asked_certificate = true;
  return none();
}

// --- Sessions to resume ---

static bool get_resumption(const struct ssl_socket *socket, struct tlsagent_client *client,
                           void *request, void **reply, struct tlsagent_error *error) {
  (void)request;
  struct tlsagent_session_get_resumption_reply *out;
  bool ok = tlsagent_session_get_resumption(client, &out, socket->handle.number, 0, error);
  *reply = out;
  return ok;
}

PyObject *socket_get_session(PyObject *self, void *ignored) {
  (void)ignored;
  struct ssl_socket *socket = socket_of(self);
  if (!is_established(socket)) {
    return Py_NewRef(socket->resume == NULL ? Py_None : socket->resume);
  }
  struct tlsagent_session_get_resumption_reply *reply =
      ask_or_raise(socket, get_resumption, NULL, __LINE__);
  if (reply == NULL) {
    return NULL;
  }
  PyObject *session = reply->resumption.data == NULL
                          ? none()
                          : session_new(socket->state, (PyObject *)socket->context, reply);
  tlsagent_free(reply);
  return session;
}

static const char *why_not_resume(const struct ssl_socket *socket, PyObject *session) {
  if (session_context(session) != (PyObject *)socket->context) {
    return "Session refers to a different SSLContext.";
  }
  if (socket->server_side) {
    return "Cannot set session for server-side SSLSocket.";
  }
  return is_established(socket) ? "Cannot set session after handshake." : NULL;
}

int socket_set_session(PyObject *self, PyObject *session, void *ignored) {
  (void)ignored;
  struct ssl_socket *socket = socket_of(self);
  if (session == NULL || !session_check(socket->state, session)) {
    PyErr_SetString(PyExc_TypeError, "Value is not a SSLSession.");
    return -1;
  }
  const char *why = why_not_resume(socket, session);
  if (why != NULL) {
    PyErr_SetString(PyExc_ValueError, why);
    return -1;
  }
  object_put(&socket->resume, Py_NewRef(session));
  return 0;
}

// --- Another context ---

static bool set_context(const struct ssl_socket *socket, struct tlsagent_client *client,
                        void *request, void **reply, struct tlsagent_error *error) {
  const struct tlsagent_session_set_context_request whole = {socket->handle.number,
                                                             *(const uint64_t *)request};
  (void)reply;
  return tlsagent_session_set_context(client, &whole, 0, error);
}

// Once the first flight is through a session stays with the context that it has; what it is asked
// for later goes by the new one.
static bool switch_session(struct ssl_socket *socket, struct context *context) {
  struct tlsagent_error error;
  void *reply = NULL;
  if (!context_sync(context, NULL, &error)) {
    raise_agent(socket->state, &error, true, __LINE__);
    return false;
  }
  bool switched = ask(socket, set_context, &context->handle.number, &reply, &error);
  if (!switched && !is_too_early(&error)) {
    raise_agent(socket->state, &error, true, __LINE__);
    return false;
  }
  return true;
}

int socket_set_context(PyObject *self, PyObject *value, void *ignored) {
  (void)ignored;
  struct ssl_socket *socket = socket_of(self);
  if (value == NULL || !context_check(socket->state, value)) {
    PyErr_SetString(PyExc_TypeError, "The value must be a SSLContext");
    return -1;
  }
  struct context *context = context_of(value);
  bool is_open = socket->handle.number != 0;
  if (is_open && !is_established(socket) && !switch_session(socket, context)) {
    return -1;
  }
  bool listed = socket->place_unopened != NULL;
  socket_unlist(socket);
  PyObject *old = (PyObject *)socket->context;
  Py_INCREF(value);
  socket->context = context;
  Py_DECREF(old);
  if (listed) {
    socket_enlist(socket);
  }
  return 0;
}
