// What a context is asked: its ciphers, counters and trust.
#include <string.h>

#include "client/python/arguments.h"
#include "client/python/certificate.h"
#include "client/python/context.h"
#include "client/python/errors.h"

// --- Asking, without the GIL ---

// One of the verbs below, with a connection to make it on.
typedef bool context_verb(const struct context *context, struct tlsagent_client *client,
                          bool decode, void **reply, struct tlsagent_error *error);

static bool ask_describe(const struct context *context, struct tlsagent_client *client, bool decode,
                         void **reply, struct tlsagent_error *error) {
  struct tlsagent_context_describe_reply *out;
  (void)decode;
  bool ok = tlsagent_context_describe(client, &out, context->handle.number, 0, error);
  *reply = out;
  return ok;
}

static bool ask_trust(const struct context *context, struct tlsagent_client *client, bool decode,
                      void **reply, struct tlsagent_error *error) {
  const struct tlsagent_context_list_trust_request request = {context->handle.number, decode};
  struct tlsagent_context_list_trust_reply *out;
  bool ok = tlsagent_context_list_trust(client, &out, &request, 0, error);
  *reply = out;
  return ok;
}

// Makes the call, when the daemon has heard all there is to tell; NULL with an exception set.
static void *ask(struct context *context, context_verb *make, bool decode) {
  void *reply = NULL;
  struct tlsagent_error error;
  bool ok = context_sync(context, NULL, &error);
  if (ok) {
    Py_BEGIN_ALLOW_THREADS
    struct tlsagent_client *client = agent_take(&context->handle, &error);
    ok = client != NULL && make(context, client, decode, &reply, &error);
    if (client != NULL) {
      agent_give(client);
    }
    Py_END_ALLOW_THREADS
  }
  if (!ok) {
    raise_agent(context->state, &error, false, __LINE__);
  }
  return ok ? reply : NULL;
}

static struct tlsagent_context_describe_reply *describe(struct context *context) {
  return ask(context, ask_describe, false);
}

static struct tlsagent_context_list_trust_reply *list_trust(struct context *context, bool decode) {
  return ask(context, ask_trust, decode);
}

PyObject *context_get_security_level(PyObject *self, void *ignored) {
  (void)ignored;
  struct tlsagent_context_describe_reply *reply = describe(context_of(self));
  if (reply == NULL) {
    return NULL;
  }
  PyObject *level = PyLong_FromUnsignedLongLong(reply->settings.security_level.value);
  tlsagent_free(reply);
  return level;
}

// --- Ciphers ---

static PyObject *text_or_none(const char *text) {
  return text[0] == '\0' ? Py_NewRef(Py_None) : PyUnicode_FromString(text);
}

static PyObject *cipher_dict(const struct tlsagent_cipher *cipher) {
  return Py_BuildValue("{sksssssssisisOsNsNsNsN}", "id", (unsigned long)cipher->id, "name",
                       cipher->name, "protocol", cipher->protocol, "description",
                       cipher->description, "strength_bits", (int)cipher->strength_bits, "alg_bits",
                       (int)cipher->algorithm_bits, "aead", cipher->aead ? Py_True : Py_False,
                       "symmetric", text_or_none(cipher->symmetric), "digest",
                       text_or_none(cipher->digest), "kea", text_or_none(cipher->key_exchange),
                       "auth", text_or_none(cipher->authentication));
}

PyObject *context_get_ciphers(PyObject *self, PyObject *ignored) {
  (void)ignored;
  struct tlsagent_context_describe_reply *reply = describe(context_of(self));
  PyObject *list = reply == NULL ? NULL : PyList_New((Py_ssize_t)reply->num_ciphers);
  for (size_t i = 0; list != NULL && i < reply->num_ciphers; i++) {
    PyObject *dict = cipher_dict(&reply->ciphers[i]);
    if (dict == NULL || PyList_SetItem(list, (Py_ssize_t)i, dict) < 0) {
      Py_CLEAR(list);
    }
  }
  tlsagent_free(reply);
  return list;
}

PyObject *cipher_tuples(const struct tlsagent_cipher *ciphers, size_t num) {
  PyObject *list = PyList_New((Py_ssize_t)num);
  for (size_t i = 0; list != NULL && i < num; i++) {
    PyObject *tuple =
        Py_BuildValue("(ssi)", ciphers[i].name, ciphers[i].protocol, (int)ciphers[i].strength_bits);
    if (tuple == NULL || PyList_SetItem(list, (Py_ssize_t)i, tuple) < 0) {
      Py_CLEAR(list);
    }
  }
  return list;
}

PyObject *context_cipher_tuples(struct context *context) {
  struct tlsagent_context_describe_reply *reply = describe(context);
  PyObject *list = reply == NULL ? NULL : cipher_tuples(reply->ciphers, reply->num_ciphers);
  tlsagent_free(reply);
  return list;
}

// --- Counters ---

PyObject *context_session_stats(PyObject *self, PyObject *ignored) {
  (void)ignored;
  struct tlsagent_context_describe_reply *reply = describe(context_of(self));
  if (reply == NULL) {
    return NULL;
  }
  const struct tlsagent_session_stats *stats = &reply->sessions;
  typedef unsigned long long count;
  PyObject *dict = Py_BuildValue(
      "{sKsKsKsKsKsKsKsKsKsKsK}", "number", (count)stats->number, "connect", (count)stats->connect,
      "connect_good", (count)stats->connect_good, "connect_renegotiate",
      (count)stats->connect_renegotiate, "accept", (count)stats->accept, "accept_good",
      (count)stats->accept_good, "accept_renegotiate", (count)stats->accept_renegotiate, "hits",
      (count)stats->hits, "misses", (count)stats->misses, "timeouts", (count)stats->timeouts,
      "cache_full", (count)stats->cache_full);
  tlsagent_free(reply);
  return dict;
}

PyObject *context_cert_store_stats(PyObject *self, PyObject *ignored) {
  (void)ignored;
  struct tlsagent_context_describe_reply *reply = describe(context_of(self));
  if (reply == NULL) {
    return NULL;
  }
  PyObject *dict = Py_BuildValue("{sIsIsI}", "x509", reply->trust.certificates, "crl",
                                 reply->trust.crls, "x509_ca", reply->trust.ca_certificates);
  tlsagent_free(reply);
  return dict;
}

// --- CA certificates ---

static PyObject *trusted(const struct context *context,
                         const struct tlsagent_context_list_trust_reply *reply, size_t i,
                         bool binary) {
  if (binary) {
    return PyBytes_FromStringAndSize((const char *)reply->der[i].data,
                                     (Py_ssize_t)reply->der[i].len);
  }
  return certificate_dict(context->state, &reply->certificates[i]);
}

PyObject *context_get_ca_certs(PyObject *self, PyObject *const *args, Py_ssize_t num_args,
                               PyObject *names) {
  static const char *const parameters[] = {"binary_form", NULL};
  static const struct signature signature = {"get_ca_certs", parameters, 1, 0};
  struct context *context = context_of(self);
  PyObject *given[1];
  if (!arguments_parse(&signature, args, num_args, names, given)) {
    return NULL;
  }
  int binary = given[0] == NULL ? 0 : PyObject_IsTrue(given[0]);
  if (binary < 0) {
    return NULL;
  }
  struct tlsagent_context_list_trust_reply *reply = list_trust(context, !binary);
  size_t num = reply == NULL ? 0 : binary ? reply->num_der : reply->num_certificates;
  PyObject *list = reply == NULL ? NULL : PyList_New((Py_ssize_t)num);
  for (size_t i = 0; list != NULL && i < num; i++) {
    PyObject *item = trusted(context, reply, i, binary);
    if (item == NULL || PyList_SetItem(list, (Py_ssize_t)i, item) < 0) {
      Py_CLEAR(list);
    }
  }
  tlsagent_free(reply);
  return list;
}
