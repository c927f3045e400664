// _SSLSocket from the inside: one TLS connection over a socket of the caller's, or over two
// MemoryBIOs.
//
// The daemon does the TLS, and this process moves the ciphertext: by the caller's own descriptor,
// read no further than the operation at hand needs, and never copied. A session is opened in the
// daemon with the first operation, so that what is made and never used costs nothing there.
//
// Threads. One may read while another writes. No lock is held while a socket is waited for, but
// `reading` and `writing`, which keep two readers, or two writers, of one socket apart. They are
// taken in this order, and without the GIL: reading or writing, calling, then sending or guard.
//
// Forks. A connection belongs to the process that used it first. In a child that inherited it any
// lock may be taken for ever, so `process` is looked at before.
#ifndef TLSAGENT_CLIENT_PYTHON_SOCKET_H_
#define TLSAGENT_CLIENT_PYTHON_SOCKET_H_

#include <pthread.h>

#include "client/python/agent.h"
#include "client/python/buffer.h"
#include "client/python/context.h"
#include "client/python/state.h"

// What the handshake agreed on, kept so that asking costs no call.
struct agreed {
  const char *version;  // NULL until the handshake is done; the rest is then valid
  char version_name[16];
  char cipher_name[64];
  char cipher_protocol[16];
  int cipher_bits;
  uint8_t alpn[255];
  size_t alpn_len;
  bool resumed;
};

struct ssl_socket {
  PyObject_HEAD struct module_state *state;

  // Guarded by the GIL.
  struct context *context;
  struct ssl_socket *next_unopened;    // in context->unopened, while handle.number is 0
  struct ssl_socket **place_unopened;  // NULL: not in it
  PyObject *socket;                    // weak reference to the caller's socket; NULL: BIOs
  PyObject *incoming;                  // MemoryBIOs; NULL: a socket
  PyObject *outgoing;
  PyObject *owner;  // weak reference, or NULL
  PyObject *server_hostname;
  PyObject *resume;     // SSLSession to resume, or NULL
  PyObject *exception;  // what a message callback or the key log raised, for the operation's end
  PyObject *peer;       // the peer's certificate in DER, or NULL
  PyObject *peer_dict;  // the same decoded, once somebody has asked
  void *peer_reply;     // the answer that has it decoded, until then, or NULL
  const struct tlsagent_certificate *peer_decoded;  // in that answer
  bool server_side;
  bool peer_may_change;    // by post-handshake authentication: nothing of it is kept
  bool asked_certificate;  // a CertificateRequest waits for the next output
  bool opened;             // the daemon was asked for a session; it is gone if handle.number is 0
  bool deciding;           // a callback is asked for a decision of the handshake
  bool wants_input;        // an unfinished handshake has said all it can
  struct tlsagent_error *failure;  // why a session is gone, or NULL

  int64_t process;  // the first that used it; 0: none has

  struct agent_handle handle;  // number 0 until the session is open; then it stays
  struct agreed agreed;
  bool close_sent;
  bool close_received;

  pthread_mutex_t reading;  // guards received
  struct buffer received;   // ciphertext: records, the last of them maybe in part
  pthread_mutex_t writing;  // guards half_written
  size_t half_written;      // bytes of an unfinished write that are encrypted already
  pthread_mutex_t calling;  // one call on the session at a time, its output queued in that order
  pthread_mutex_t sending;  // guards unsent
  struct buffer unsent;     // ciphertext on its way into the socket
  pthread_mutex_t guard;    // guards what follows; held for moments
  struct buffer output;     // ciphertext after that
  struct buffer plain;      // plaintext that nobody has read yet
  size_t pending;           // and so much more that the daemon has ready
  bool more;                // the daemon has more to say, without being fed: data, or how it ended
};

static inline struct ssl_socket *socket_of(PyObject *self) {
  return (struct ssl_socket *)(void *)self;
}

// Methods of _SSLContext that make sockets.
PyObject *socket_wrap(PyObject *self, PyObject *const *args, Py_ssize_t num_args, PyObject *names);
PyObject *socket_wrap_bio(PyObject *self, PyObject *const *args, Py_ssize_t num_args,
                          PyObject *names);

// socket_open_now opens the session of a socket that has none yet, with its context as it is. It
// returns false with an exception set.
bool socket_open_now(struct ssl_socket *socket);

// Whether the first handshake is over.
static inline bool is_established(const struct ssl_socket *socket) {
  return socket->agreed.version != NULL;
}

// socket_unlist takes it off its context's list of unopened ones, if it is on it.
void socket_unlist(struct ssl_socket *socket);
void socket_enlist(struct ssl_socket *socket);

// socket_owner returns what callbacks get as the connection, a new reference: the owner, else the
// socket; None when that is gone.
PyObject *socket_owner(struct ssl_socket *socket);

// The operations; in socket_operations.c.
PyObject *socket_do_handshake(PyObject *self, PyObject *ignored);
PyObject *socket_read(PyObject *self, PyObject *args);
PyObject *socket_write(PyObject *self, PyObject *object);
PyObject *socket_shutdown(PyObject *self, PyObject *ignored);

// The questions that need a call; in socket_query.c.
PyObject *socket_getpeercert(PyObject *self, PyObject *const *args, Py_ssize_t num_args);
PyObject *socket_get_verified_chain(PyObject *self, PyObject *ignored);
PyObject *socket_get_unverified_chain(PyObject *self, PyObject *ignored);
PyObject *socket_shared_ciphers(PyObject *self, PyObject *ignored);
PyObject *socket_get_channel_binding(PyObject *self, PyObject *const *args, Py_ssize_t num_args,
                                     PyObject *names);
PyObject *socket_verify_client_post_handshake(PyObject *self, PyObject *ignored);
PyObject *socket_get_session(PyObject *self, void *ignored);
int socket_set_session(PyObject *self, PyObject *session, void *ignored);
int socket_set_context(PyObject *self, PyObject *value, void *ignored);

#endif  // TLSAGENT_CLIENT_PYTHON_SOCKET_H_
