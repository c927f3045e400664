// _SSLContext from the inside: settings kept here, and the daemon's context made of them.
//
// Setters only note what is wanted; the daemon hears of it when it matters: context_sync() makes
// the context, or changes it, in one call. Getters answer from what is noted. So a context costs
// one or two round trips however many settings a program touches.
#ifndef TLSAGENT_CLIENT_PYTHON_CONTEXT_H_
#define TLSAGENT_CLIENT_PYTHON_CONTEXT_H_

#include <pthread.h>

#include "client/python/agent.h"
#include "client/python/state.h"

// CPython's own numbers.
enum {
  PROTOCOL_TLS = 2,
  PROTOCOL_TLS_V1 = 3,
  PROTOCOL_TLS_V1_1 = 4,
  PROTOCOL_TLS_V1_2 = 5,
  PROTOCOL_TLS_CLIENT = 16,
  PROTOCOL_TLS_SERVER = 17
};
enum { CERT_NONE = 0, CERT_OPTIONAL = 1, CERT_REQUIRED = 2 };
enum { MINIMUM_SUPPORTED = -2, MAXIMUM_SUPPORTED = -1 };

// What the daemon hasn't been told yet.
enum context_news {
  NEWS_OPTIONS = 1 << 0,
  NEWS_VERIFY_MODE = 1 << 1,  // and check_hostname
  NEWS_VERIFY_FLAGS = 1 << 2,
  NEWS_HOST_FLAGS = 1 << 3,
  NEWS_MIN_VERSION = 1 << 4,
  NEWS_MAX_VERSION = 1 << 5,
  NEWS_NUM_TICKETS = 1 << 6,
  NEWS_POST_HANDSHAKE_AUTH = 1 << 7,
  NEWS_CIPHERS = 1 << 8,
  NEWS_GROUPS = 1 << 9,
  NEWS_ALPN = 1 << 10,
  NEWS_DECISIONS = 1 << 11,
  NEWS_EVENTS = 1 << 12,
  NEWS_PSK_HINT = 1 << 13
};

struct ssl_socket;

struct context {
  PyObject_HEAD struct module_state *state;
  int protocol;
  struct agent_handle handle;  // number 0 until the first context_sync()
  pthread_mutex_t syncing;     // one context_sync() at a time; taken without the GIL
  int64_t process;             // whose `syncing` that is

  // Settings, guarded by the GIL.
  unsigned news;
  unsigned telling;  // what a context_sync() under way took of it
  uint64_t options;
  int verify_mode;
  unsigned long verify_flags;
  unsigned host_flags;
  int check_hostname;
  int min_version;  // number on the wire; 0: no bound
  int max_version;
  long num_tickets;
  int post_handshake_auth;
  char *ciphers;   // NULL: the daemon's
  char *groups;    // NULL: the daemon's
  PyObject *alpn;  // bytes as on the wire, or NULL
  char *psk_hint;  // or NULL
  PyObject *sni_callback;
  PyObject *msg_callback;
  PyObject *psk_client_callback;
  PyObject *psk_server_callback;
  PyObject *keylog_filename;
  int keylog_fd;  // -1: none

  struct ssl_socket *unopened;  // made from it and not yet known to the daemon: a list
};

static inline struct context *context_of(PyObject *self) {
  return (struct context *)(void *)self;
}

// struct context_extras is what a change can bring besides settings.
struct context_extras {
  const struct tlsagent_certificate_pair *pair;  // or NULL
  const struct tlsagent_material *certificates;  // to trust
  size_t num_certificates;
  const struct tlsagent_material *directories;
  size_t num_directories;
  struct tlsagent_material dh_params;
};

// context_sync tells the daemon all there is to tell, with extras, which may be NULL. On return the
// context has a handle. It returns false with *error filled, and no exception; settings that were
// refused are still news. Call it with the GIL, which it releases.
bool context_sync(struct context *context, const struct context_extras *extras,
                  struct tlsagent_error *error);

// context_change is called before any setting changes: sockets that were made with the settings as
// they are must get to keep them. It returns false with an exception set.
bool context_change(struct context *context, unsigned news);

// audit_open tells Python's audit hooks of a file about to be opened, where CPython's _ssl does.
// false with an exception set.
bool audit_open(PyObject *path, const char *mode);

// The loaders and the questions, methods of the type.
PyObject *context_load_cert_chain(PyObject *self, PyObject *const *args, Py_ssize_t num_args,
                                  PyObject *names);
PyObject *context_load_verify_locations(PyObject *self, PyObject *const *args, Py_ssize_t num_args,
                                        PyObject *names);
PyObject *context_set_default_verify_paths(PyObject *self, PyObject *ignored);
PyObject *context_load_dh_params(PyObject *self, PyObject *path);
PyObject *context_set_ciphers(PyObject *self, PyObject *list);
PyObject *context_set_ecdh_curve(PyObject *self, PyObject *name);
PyObject *context_get_ciphers(PyObject *self, PyObject *ignored);
PyObject *context_session_stats(PyObject *self, PyObject *ignored);
PyObject *context_cert_store_stats(PyObject *self, PyObject *ignored);
PyObject *context_get_ca_certs(PyObject *self, PyObject *const *args, Py_ssize_t num_args,
                               PyObject *names);
PyObject *context_get_security_level(PyObject *self, void *ignored);

// cipher_tuples makes a list of (name, protocol, bits).
PyObject *cipher_tuples(const struct tlsagent_cipher *ciphers, size_t num);

// context_cipher_tuples makes the list of the context's ciphers as shared_ciphers() has them.
PyObject *context_cipher_tuples(struct context *context);

// The settings, properties of the type; in context_settings.c, as a table.
extern PyGetSetDef context_properties[];
PyObject *context_set_alpn(PyObject *self, PyObject *protocols);
PyObject *context_set_psk_client(PyObject *self, PyObject *const *args, Py_ssize_t num_args,
                                 PyObject *names);
PyObject *context_set_psk_server(PyObject *self, PyObject *const *args, Py_ssize_t num_args,
                                 PyObject *names);

// context_kind is what the daemon calls the context's protocol.
enum tlsagent_context_kind context_kind(const struct context *context);

// context_check tells whether object is an _SSLContext.
bool context_check(const struct module_state *state, PyObject *object);

#endif  // TLSAGENT_CLIENT_PYTHON_CONTEXT_H_
