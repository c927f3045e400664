// The four operations on a connection: handshake, read, write, shutdown.
//
// Each is a loop: fetch the ciphertext that the daemon wants, make the call, run the callbacks it
// asks for, send what it gave, until there is an answer. A handshake looks at what the socket has
// (MSG_PEEK) and takes away what was used, and so does the end of a stream: what follows may be no
// TLS. Reads look too, and never at less than a record.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/python/arguments.h"
#include "client/python/bio.h"
#include "client/python/bulk.h"
#include "client/python/call.h"
#include "client/python/callbacks.h"
#include "client/python/errors.h"
#include "client/python/link.h"
#include "client/python/records.h"
#include "client/python/session.h"
#include "client/python/socket.h"

enum {
  RECORD_MAX = 16384,      // plaintext of one record
  READ_MAX = 256 * 1024,   // plaintext of one call
  WRITE_MAX = 256 * 1024,  // the same
  PEEK_MAX = 16 * 1024,    // more than a flight of a handshake has, as a rule
  ERROR_NO_SOCKET = 0      // what CPython says of a socket that is gone
};

struct operation {
  struct ssl_socket *socket;
  const char *late_reading;  // what TimeoutError says
  const char *late_writing;
  struct link link;  // over a socket
  bool alarmed;      // the daemon was asked whether it is there, and was
  size_t peeked;     // bytes of the feed that are still in the socket or the BIO
  struct call call;
  struct decided decided;
};

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

static bool over_bios(const struct ssl_socket *socket) {
  return socket->socket == NULL;
}

// --- Beginning and ending ---

// The caller's socket, a new reference; NULL with an exception set when it is gone.
static PyObject *socket_object(struct ssl_socket *socket) {
  PyObject *object = PyObject_CallNoArgs(socket->socket);
  if (object == Py_None) {
    Py_DECREF(object);
    return raise_text(socket->state, socket->state->SSLError, ERROR_NO_SOCKET,
                      "Underlying socket connection gone", __LINE__);
  }
  return object;
}

static bool read_timeout(PyObject *timeout, struct link *out) {
  out->blocks = timeout == Py_None;
  if (out->blocks) {
    return true;
  }
  double seconds = PyFloat_AsDouble(timeout);
  if (seconds == -1.0 && PyErr_Occurred() != NULL) {
    return false;
  }
  out->never_waits = seconds <= 0;
  out->deadline_ns = link_deadline(seconds);
  return true;
}

// Calls a method of _socket.socket, whatever a subclass has made of it.
static PyObject *ask_socket(const struct module_state *state, PyObject *object, const char *name) {
  PyObject *method = PyObject_GetAttrString((PyObject *)state->raw_socket_type, name);
  PyObject *answer = method == NULL ? NULL : PyObject_CallFunctionObjArgs(method, object, NULL);
  Py_XDECREF(method);
  return answer;
}

static bool link_of(const struct module_state *state, PyObject *object, struct link *out) {
  *out = (struct link){.fd = -1, .watched = -1};
  PyObject *fd = ask_socket(state, object, "fileno");
  PyObject *timeout = fd == NULL ? NULL : ask_socket(state, object, "gettimeout");
  bool good = timeout != NULL && read_timeout(timeout, out);
  if (good) {
    out->fd = (int)PyLong_AsLong(fd);
  }
  Py_XDECREF(fd);
  Py_XDECREF(timeout);
  return good;
}

// While the socket is waited for the daemon may go, and the wait be for nothing.
static void watch_daemon(struct operation *operation) {
  const struct ssl_socket *socket = operation->socket;
  if (!operation->alarmed && operation->link.watched < 0 && !operation->link.never_waits &&
      !over_bios(socket) && socket->handle.number != 0) {
    operation->link.watched = agent_watch(&socket->handle);
  }
}

static bool begin_over_socket(struct operation *operation) {
  struct ssl_socket *socket = operation->socket;
  PyObject *object = socket_object(socket);
  bool good = object != NULL && link_of(socket->state, object, &operation->link);
  Py_XDECREF(object);
  watch_daemon(operation);
  if (good && operation->link.fd < 0 && !operation->link.blocks && !operation->link.never_waits) {
    raise_text(socket->state, socket->state->SSLError, ERROR_NO_SOCKET,
               "Underlying socket has been closed.", __LINE__);
    return false;
  }
  return good;
}

static bool is_owned(struct ssl_socket *socket) {
  struct tlsagent_error error;
  if (agent_owns(&socket->process, &error)) {
    return true;
  }
  raise_agent(socket->state, &error, true, __LINE__);
  return false;
}

// false with an exception set.
static bool begin(struct operation *operation, PyObject *self, enum call_kind kind) {
  memset(operation, 0, sizeof(*operation));
  operation->socket = socket_of(self);
  if (!is_owned(operation->socket)) {
    return false;
  }
  operation->call.kind = kind;
  operation->late_reading = "The read operation timed out";
  operation->late_writing = "The write operation timed out";
  return over_bios(operation->socket) || begin_over_socket(operation);
}

// true when nothing was raised, by the operation or by a callback meanwhile.
static bool end(struct operation *operation, bool good) {
  call_forget(&operation->call);
  decided_clear(&operation->decided);
  return raise_kept(operation->socket) && good;
}

// --- What can go wrong with the caller's socket ---

static bool raise_want(const struct ssl_socket *socket, bool writing) {
  struct module_state *state = socket->state;
  if (writing) {
    raise_text(state, state->SSLWantWriteError, ERROR_WANT_WRITE,
               "The operation did not complete (write)", __LINE__);
  } else {
    raise_text(state, state->SSLWantReadError, ERROR_WANT_READ,
               "The operation did not complete (read)", __LINE__);
  }
  return false;
}

// Without the daemon there is nothing to wait for. One alarm that was none is enough.
static bool check_daemon(struct operation *operation) {
  struct ssl_socket *socket = operation->socket;
  struct tlsagent_error error;
  bool there;
  operation->link.watched = -1;
  operation->alarmed = true;
  Py_BEGIN_ALLOW_THREADS
  there = agent_check(&socket->handle, &error);
  Py_END_ALLOW_THREADS
  if (!there) {
    raise_agent(socket->state, &error, true, __LINE__);
  }
  return there;
}

// What a result means: true to go on, else an exception is set. After a signal its handlers have
// run, and *again is set.
static bool check_link(struct operation *operation, enum link_result result, bool writing,
                       bool *again) {
  *again = false;
  switch (result) {
    case LINK_OK:
    case LINK_END:
      return true;
    case LINK_WOULD_BLOCK:
      return raise_want(operation->socket, writing);
    case LINK_TIMED_OUT:
      PyErr_SetString(PyExc_TimeoutError,
                      writing ? operation->late_writing : operation->late_reading);
      return false;
    case LINK_INTERRUPTED:
      *again = true;
      return PyErr_CheckSignals() == 0;
    case LINK_ALARMED:
      *again = true;
      return check_daemon(operation);
    case LINK_FAILED:
      break;
  }
  errno = operation->link.os_errno;
  PyErr_SetFromErrno(PyExc_OSError);
  return false;
}

// --- Locks: taken with the GIL held, but not while waiting ---

// Who holds one may be waiting for his peer. So it is waited for as the socket would be, with its
// timeout, and with signals; but a socket that doesn't block waits as long as a call may take.
enum { LOCK_SLICE_MS = 50, NANOS_PER_SECOND = 1000000000 };

static uint64_t lock_deadline(const struct operation *operation) {
  if (over_bios(operation->socket) || operation->link.blocks) {
    return UINT64_MAX;
  }
  return operation->link.never_waits ? link_deadline(LOCK_SLICE_MS / 1e3)
                                     : operation->link.deadline_ns;
}

// Without the GIL.
static bool lock_before(pthread_mutex_t *mutex, uint64_t deadline_ns) {
  const struct timespec end = {.tv_sec = (time_t)(deadline_ns / NANOS_PER_SECOND),
                               .tv_nsec = (long)(deadline_ns % NANOS_PER_SECOND)};
  return pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &end) == 0;
}

static bool lock_slowly(struct operation *operation, pthread_mutex_t *mutex, bool writing) {
  const uint64_t deadline = lock_deadline(operation);
  bool locked = false;
  bool again;
  for (;;) {
    const uint64_t slice = link_deadline(LOCK_SLICE_MS / 1e3);
    Py_BEGIN_ALLOW_THREADS
    locked = lock_before(mutex, slice < deadline ? slice : deadline);
    Py_END_ALLOW_THREADS
    if (locked) {
      return true;
    }
    if (link_deadline(0) >= deadline) {
      return check_link(operation, operation->link.never_waits ? LINK_WOULD_BLOCK : LINK_TIMED_OUT,
                        writing, &again);
    }
    if (PyErr_CheckSignals() != 0) {
      return false;
    }
  }
}

// false with an exception set.
static bool lock(struct operation *operation, pthread_mutex_t *mutex, bool writing) {
  return pthread_mutex_trylock(mutex) == 0 || lock_slowly(operation, mutex, writing);
}

// --- Sending ---

static bool take_output(struct ssl_socket *socket) {
  pthread_mutex_lock(&socket->guard);
  bool some = buffer_len(&socket->output) > 0;
  if (some && buffer_len(&socket->unsent) == 0) {
    struct buffer empty = socket->unsent;
    socket->unsent = socket->output;
    socket->output = empty;
  } else if (some && buffer_append(&socket->unsent, buffer_front(&socket->output),
                                   buffer_len(&socket->output))) {
    buffer_drop(&socket->output, buffer_len(&socket->output));
  }
  pthread_mutex_unlock(&socket->guard);
  return buffer_len(&socket->unsent) > 0;
}

static bool has_output(struct ssl_socket *socket) {
  pthread_mutex_lock(&socket->guard);
  bool some = buffer_len(&socket->output) > 0;
  pthread_mutex_unlock(&socket->guard);
  return some;
}

// Sends what is queued, until nothing is. `sending` is held. Without the GIL.
static enum link_result send_all(struct ssl_socket *socket, struct link *link) {
  enum link_result result = LINK_OK;
  while (result == LINK_OK && take_output(socket)) {
    result = link_send(link, &socket->unsent);
  }
  return result;
}

// Sends what goes at once. Who finds another thread at it leaves it to that one, which looks again
// when it is done: a reader must not wait for a writer. Without the GIL.
static enum link_result send_some(struct ssl_socket *socket, const struct link *link) {
  struct link now = *link;
  enum link_result result = LINK_OK;
  now.never_waits = true;
  now.blocks = false;
  while (result == LINK_OK && pthread_mutex_trylock(&socket->sending) == 0) {
    result = send_all(socket, &now);
    pthread_mutex_unlock(&socket->sending);
    if (!has_output(socket)) {
      break;
    }
  }
  return result;
}

// One turn at sending it all, with the lock held, which it gives back. *again: there is more, of
// another thread's that left it to this one, or a signal came between.
static bool flush_locked(struct operation *operation, bool *again) {
  struct ssl_socket *socket = operation->socket;
  enum link_result result;
  Py_BEGIN_ALLOW_THREADS
  result = send_all(socket, &operation->link);
  Py_END_ALLOW_THREADS
  pthread_mutex_unlock(&socket->sending);
  bool good = check_link(operation, result, true, again);
  *again = *again || (good && has_output(socket));
  return good;
}

// Sends it all, however long that takes: what is said to be written can't be left to a thread that
// may not wait.
static bool flush_to_socket(struct operation *operation) {
  bool again = true;
  bool good = true;
  while (good && again) {
    good = lock(operation, &operation->socket->sending, true) && flush_locked(operation, &again);
  }
  return good;
}

// A reader's: what it has to say is sent before it waits for more, unless a writer is at it, who
// sends that too.
static bool flush_reading(struct operation *operation) {
  bool again = true;
  bool good = true;
  while (good && again && pthread_mutex_trylock(&operation->socket->sending) == 0) {
    good = flush_locked(operation, &again);
  }
  return good;
}

static bool flush_to_bio(struct ssl_socket *socket) {
  bool moved = true;
  pthread_mutex_lock(&socket->guard);
  if (buffer_len(&socket->output) > 0) {
    moved = buffer_append(bio_buffer(socket->outgoing), buffer_front(&socket->output),
                          buffer_len(&socket->output));
    buffer_drop(&socket->output, buffer_len(&socket->output));
  }
  pthread_mutex_unlock(&socket->guard);
  if (!moved) {
    PyErr_NoMemory();
  }
  return moved;
}

static bool flush(struct operation *operation) {
  return over_bios(operation->socket) ? flush_to_bio(operation->socket)
                                      : flush_to_socket(operation);
}

// What is queued is sent as far as it goes at once, as the alert of a failure: the failure is what
// counts.
static void flush_now(struct operation *operation) {
  if (over_bios(operation->socket)) {
    if (!flush_to_bio(operation->socket)) {
      PyErr_Clear();
    }
    return;
  }
  Py_BEGIN_ALLOW_THREADS
  send_some(operation->socket, &operation->link);
  Py_END_ALLOW_THREADS
}

// --- The call, with its callbacks ---

// Makes the call, without the GIL, and then what must be done in any case.
static void make_call(struct operation *operation, const struct call_opening *opening) {
  struct ssl_socket *socket = operation->socket;
  struct call *call = &operation->call;
  call_forget(call);
  call->answer = operation->decided.answer;
  Py_BEGIN_ALLOW_THREADS
  call_make(socket, call, opening);
  Py_END_ALLOW_THREADS
  decided_clear(&operation->decided);
  if (call->progress != NULL) {
    deliver_events(socket, call->progress);
  }
}

static bool raise_failure(struct operation *operation, int line) {
  flush_now(operation);
  raise_agent(operation->socket->state, &operation->call.error, true, line);
  return false;
}

// What comes of a call that has no result yet: a decision is made, and false says to look for
// input.
static bool made_decision(struct operation *operation) {
  if (call_state(&operation->call) != TLSAGENT_STATE_WANT_DECISION) {
    return false;
  }
  operation->socket->deciding = true;
  decide(operation->socket, operation->call.progress->decision, &operation->decided);
  operation->socket->deciding = false;
  return true;
}

// --- Input for handshakes and ends of streams: looked at, and taken as far as it was used ---

struct glimpse {
  uint8_t bytes[PEEK_MAX];
  size_t len;
  bool eof;
};

// Not on the stack: threads may have a small one. NULL with an exception set.
static struct glimpse *new_glimpse(void) {
  struct glimpse *glimpse = malloc(sizeof(*glimpse));
  if (glimpse == NULL) {
    PyErr_NoMemory();
  }
  return glimpse;
}

static bool look_at_bio(struct operation *operation, struct glimpse *out) {
  const struct buffer *from = bio_buffer(operation->socket->incoming);
  out->len = buffer_peek(from, out->bytes, PEEK_MAX);
  out->eof = bio_eof_written(operation->socket->incoming) && out->len == buffer_len(from);
  return out->len > 0 || out->eof || raise_want(operation->socket, false);
}

static bool look_at_socket(struct operation *operation, struct glimpse *out) {
  bool again = true;
  bool good = true;
  while (good && again) {
    enum link_result result;
    Py_BEGIN_ALLOW_THREADS
    result = link_peek(&operation->link, out->bytes, PEEK_MAX, &out->len);
    Py_END_ALLOW_THREADS
    out->eof = result == LINK_END;
    good = check_link(operation, result, false, &again);
  }
  return good;
}

// What an unfinished read has fetched comes first.
static bool look_at_received(struct operation *operation, struct glimpse *out) {
  out->len = buffer_peek(&operation->socket->received, out->bytes, PEEK_MAX);
  out->eof = false;
  return out->len > 0;
}

// false with an exception set when there is nothing (yet).
static bool look(struct operation *operation, struct glimpse *out) {
  bool good =
      look_at_received(operation, out) ||
      (over_bios(operation->socket) ? look_at_bio(operation, out) : look_at_socket(operation, out));
  operation->call.feed = (struct tlsagent_feed){tlsagent_bytes_of(out->bytes, out->len), out->eof};
  return good;
}

// After a failure it is all of it: a close with bytes unread resets the connection (RFC 2525,
// section 2.17), and the peer would never see the alert that tells it why.
static size_t used_input(const struct call *call) {
  size_t fed = call->feed.data.len;
  if (call->progress == NULL) {
    return 0;
  }
  bool failed = call->progress->state == TLSAGENT_STATE_FAILED;
  return failed || call->progress->input_consumed > fed ? fed
                                                        : (size_t)call->progress->input_consumed;
}

static void feed_nothing(struct operation *operation) {
  operation->call.feed = (struct tlsagent_feed){{NULL, 0}, false};
}

// Takes away from where the feed was looked at.
static void skip_input(struct operation *operation, size_t len) {
  struct ssl_socket *socket = operation->socket;
  if (len == 0) {
    return;
  }
  if (buffer_len(&socket->received) > 0) {
    buffer_drop(&socket->received, len);
  } else if (over_bios(socket)) {
    struct buffer *from = bio_buffer(socket->incoming);
    buffer_drop(from, smaller(len, buffer_len(from)));
  } else {
    link_skip(&operation->link, len);
  }
}

static void take_used(struct operation *operation) {
  skip_input(operation, used_input(&operation->call));
}

// What was looked at has gone; a connection that waits needs no room for it.
static void release_received(struct operation *operation) {
  operation->peeked = 0;
  feed_nothing(operation);
  buffer_release(&operation->socket->received);
}

// --- The handshake ---

static void copy_text(char *out, size_t size, const char *text) {
  snprintf(out, size, "%s", text);
}

static void note_agreed(struct ssl_socket *socket, const struct tlsagent_negotiated *from) {
  struct agreed *agreed = &socket->agreed;
  copy_text(agreed->version_name, sizeof(agreed->version_name), from->version_name);
  copy_text(agreed->cipher_name, sizeof(agreed->cipher_name), from->cipher.name);
  copy_text(agreed->cipher_protocol, sizeof(agreed->cipher_protocol), from->cipher.protocol);
  agreed->cipher_bits = (int)from->cipher.strength_bits;
  agreed->alpn_len = from->alpn.len < sizeof(agreed->alpn) ? from->alpn.len : sizeof(agreed->alpn);
  if (agreed->alpn_len > 0) {
    memcpy(agreed->alpn, from->alpn.data, agreed->alpn_len);
  }
  agreed->resumed = from->resumed;
  agreed->version = agreed->version_name;
}

static bool note_peer(struct ssl_socket *socket, const struct tlsagent_peer *peer) {
  PyObject *der = peer == NULL ? NULL
                               : PyBytes_FromStringAndSize((const char *)peer->der.data,
                                                           (Py_ssize_t)peer->der.len);
  object_put(&socket->peer, der);
  return der != NULL || peer == NULL;
}

// The certificate came decoded with the last answer: that is kept for who asks for it.
static void keep_decoded(struct operation *operation) {
  struct ssl_socket *socket = operation->socket;
  struct call *call = &operation->call;
  if (call->peer == NULL || call->peer->certificate == NULL || socket->peer_reply != NULL) {
    return;
  }
  socket->peer_decoded = call->peer->certificate;
  socket->peer_reply = call->reply;
  call->reply = NULL;
}

static bool note_done(struct operation *operation) {
  struct ssl_socket *socket = operation->socket;
  const struct call *call = &operation->call;
  socket->asked_certificate = false;
  if (call->negotiated == NULL) {
    return true;
  }
  note_agreed(socket, call->negotiated);
  if (!note_peer(socket, call->peer)) {
    return false;
  }
  keep_decoded(operation);
  return true;
}

// The session that is opened with the first call, and what it is opened with.
static bool prepare_opening(struct ssl_socket *socket, struct context *context, PyObject *resume,
                            struct call_opening *out) {
  struct tlsagent_error error;
  if (!context_sync(context, NULL, &error)) {
    raise_agent(socket->state, &error, true, __LINE__);
    return false;
  }
  *out = (struct call_opening){.context = context->handle};
  if (!socket->server_side && socket->server_hostname != NULL) {
    out->server_name = PyUnicode_AsUTF8AndSize(socket->server_hostname, NULL);
    if (out->server_name == NULL) {
      return false;
    }
  }
  if (resume != NULL) {
    out->resumption = session_resumption(resume);
  }
  return true;
}

static bool is_open(const struct ssl_socket *socket) {
  return socket->handle.number != 0;
}

// Makes the first call. Other threads may put the socket on another context meanwhile, or another
// session to resume on it.
static bool open_session(struct operation *operation) {
  struct ssl_socket *socket = operation->socket;
  struct context *context = socket->context;
  PyObject *resume = Py_XNewRef(socket->resume);
  struct call_opening opening;
  Py_INCREF((PyObject *)context);
  bool prepared = prepare_opening(socket, context, resume, &opening);
  if (prepared) {
    make_call(operation, &opening);
  }
  Py_DECREF((PyObject *)context);
  Py_XDECREF(resume);
  return prepared;
}

// One call of the handshake.
static bool shake(struct operation *operation) {
  struct ssl_socket *socket = operation->socket;
  if (socket->failure != NULL) {
    operation->call.error = *socket->failure;
    return raise_failure(operation, __LINE__);
  }
  if (socket->opened) {
    make_call(operation, NULL);
  } else if (!open_session(operation)) {
    return false;
  }
  if (operation->call.progress != NULL) {
    socket_unlist(socket);
    socket->opened = true;
    watch_daemon(operation);
  }
  take_used(operation);
  return true;
}

static bool keep_failure(struct ssl_socket *socket, const struct tlsagent_error *error) {
  if (socket->failure == NULL) {
    socket->failure = malloc(sizeof(*socket->failure));
  }
  if (socket->failure == NULL) {
    PyErr_NoMemory();
    return false;
  }
  *socket->failure = *error;
  return true;
}

// A session that failed as it was opened is gone; why stays.
static bool note_failure(struct operation *operation) {
  struct ssl_socket *socket = operation->socket;
  return !socket->opened || is_open(socket) || socket->failure != NULL ||
         keep_failure(socket, &operation->call.error);
}

// A server has nothing to say first, and a client that was told to wait has said it.
static bool starts_with_input(const struct ssl_socket *socket) {
  return socket->wants_input || (socket->server_side && !socket->opened);
}

// Decoding takes the daemon longer than a call, so it is done for who will ask: who has asked
// before.
static bool wants_decoded(const struct ssl_socket *socket) {
  return socket->state->looks_at_peers && !socket->peer_may_change &&
         socket->context->verify_mode != CERT_NONE;
}

// A callback that reads or writes would be called again for the same decision, and again.
static bool raise_in_callback(const struct ssl_socket *socket) {
  raise_text(socket->state, socket->state->SSLError, ERROR_SSL,
             "the handshake waits for the callback that this is called from", __LINE__);
  return false;
}

static bool handshake_loop(struct operation *operation, struct glimpse *glimpse) {
  struct ssl_socket *socket = operation->socket;
  bool wants_input = starts_with_input(socket);
  if (socket->deciding) {
    return raise_in_callback(socket);
  }
  for (;;) {
    if (!flush(operation) || (wants_input && !look(operation, glimpse))) {
      return false;
    }
    if (!shake(operation)) {
      return false;
    }
    enum tlsagent_state state = call_state(&operation->call);
    if (!operation->call.ok) {
      socket->wants_input = false;  // there is nothing to wait for
      return note_failure(operation) && raise_failure(operation, __LINE__);
    }
    socket->wants_input = state == TLSAGENT_STATE_WANT_READ;
    wants_input = socket->wants_input;
    feed_nothing(operation);
    if (state == TLSAGENT_STATE_DONE) {
      return note_done(operation) && flush(operation);
    }
    made_decision(operation);
  }
}

// Goes through the handshake if that is still to be done. `reading` is held.
static bool establish(struct operation *operation) {
  enum call_kind kind = operation->call.kind;
  struct glimpse *glimpse = is_established(operation->socket) ? NULL : new_glimpse();
  if (glimpse == NULL) {
    return is_established(operation->socket);
  }
  operation->call.kind = CALL_HANDSHAKE;
  operation->call.decode_peer = wants_decoded(operation->socket);
  bool good = handshake_loop(operation, glimpse);
  free(glimpse);
  call_forget(&operation->call);
  feed_nothing(operation);
  operation->call.kind = kind;
  return good;
}

static bool shake_hands(struct operation *operation, struct glimpse *glimpse) {
  struct ssl_socket *socket = operation->socket;
  operation->late_reading = "_ssl.c:1012: The handshake operation timed out";
  operation->late_writing = operation->late_reading;
  operation->call.decode_peer = wants_decoded(socket);
  if (!lock(operation, &socket->reading, false)) {
    return false;
  }
  bool over = is_established(socket) && !socket->asked_certificate;
  bool done = over ? flush(operation) : handshake_loop(operation, glimpse);
  pthread_mutex_unlock(&socket->reading);
  return done;
}

static bool do_handshake(struct operation *operation) {
  struct glimpse *glimpse = new_glimpse();
  bool done = glimpse != NULL && shake_hands(operation, glimpse);
  free(glimpse);
  return done;
}

PyObject *socket_do_handshake(PyObject *self, PyObject *ignored) {
  (void)ignored;
  struct operation operation;
  if (!begin(&operation, self, CALL_HANDSHAKE)) {
    return NULL;
  }
  bool done = do_handshake(&operation);
  return end(&operation, done) ? Py_NewRef(Py_None) : NULL;
}

// --- Reading ---

// The plaintext that is there already, at most size bytes into out.
static size_t take_plain(struct ssl_socket *socket, void *out, size_t size) {
  pthread_mutex_lock(&socket->guard);
  size_t len = buffer_peek(&socket->plain, out, size);
  if (len > 0) {
    buffer_drop(&socket->plain, len);
  }
  pthread_mutex_unlock(&socket->guard);
  return len;
}

// Completes the record that an earlier read found begun. Without the GIL.
static enum link_result receive_rest(struct operation *operation) {
  struct buffer *received = &operation->socket->received;
  enum link_result result = LINK_OK;
  size_t missing = record_missing(buffer_front(received), buffer_len(received));
  while (result == LINK_OK && missing > 0) {
    result = link_receive(&operation->link, received, missing);
    missing = record_missing(buffer_front(received), buffer_len(received));
  }
  return result;
}

// The ciphertext of that much plaintext, at the most.
static size_t ciphertext_of(size_t plaintext) {
  return plaintext + (plaintext / RECORD_MAX + 2) * RECORD_OVERHEAD;
}

// Looks at what the socket has, as much as one read can use, and takes nothing; but a record that
// has only begun is received, since there is nothing to wait for while it lies there. Without the
// GIL.
static enum link_result receive_records(struct operation *operation, size_t want) {
  struct buffer *received = &operation->socket->received;
  const size_t size = ciphertext_of(want);
  operation->peeked = 0;
  if (buffer_len(received) > 0) {
    return receive_rest(operation);
  }
  uint8_t *room = buffer_room(received, size);
  if (room == NULL) {
    operation->link.os_errno = ENOMEM;
    return LINK_FAILED;
  }
  size_t len;
  enum link_result result = link_peek(&operation->link, room, size, &len);
  if (result != LINK_OK) {
    return result;
  }
  if (record_missing(room, len) == 0) {
    operation->peeked = records_whole(room, len);
    return LINK_OK;
  }
  result = link_receive_now(&operation->link, received, len);
  return result == LINK_OK ? receive_rest(operation) : result;
}

static bool fetch_from_socket(struct operation *operation, size_t want) {
  struct buffer *received = &operation->socket->received;
  bool again = true;
  bool good = true;
  enum link_result result = LINK_OK;
  while (good && again) {
    Py_BEGIN_ALLOW_THREADS
    result = receive_records(operation, want);
    Py_END_ALLOW_THREADS
    good = check_link(operation, result, false, &again);
  }
  size_t len = operation->peeked > 0 ? operation->peeked : buffer_len(received);
  operation->call.feed =
      (struct tlsagent_feed){tlsagent_bytes_of(buffer_front(received), len), result == LINK_END};
  return good;
}

// A record that isn't whole stays in the BIO, unless it is the last there will be. The bytes are
// copied, since others may use the BIO during the call.
static bool fetch_from_bio(struct operation *operation, size_t want) {
  struct ssl_socket *socket = operation->socket;
  const struct buffer *from = bio_buffer(socket->incoming);
  size_t len = smaller(buffer_len(from), ciphertext_of(want));
  const bool eof = bio_eof_written(socket->incoming) && len == buffer_len(from);
  if (!eof && record_missing(buffer_front(from), len) > 0) {
    return raise_want(socket, false);
  }
  len = eof ? len : records_whole(buffer_front(from), len);
  uint8_t *copy = buffer_room(&socket->received, len);
  if (copy == NULL) {
    PyErr_NoMemory();
    return false;
  }
  if (len > 0) {
    memcpy(copy, buffer_front(from), len);
  }
  operation->peeked = len;
  operation->call.feed = (struct tlsagent_feed){tlsagent_bytes_of(copy, len), eof};
  return true;
}

static bool fetch(struct operation *operation, size_t want) {
  feed_nothing(operation);
  operation->peeked = 0;
  if (operation->socket->more) {
    return true;
  }
  return over_bios(operation->socket) ? fetch_from_bio(operation, want)
                                      : fetch_from_socket(operation, want);
}

// Who wants to hear of messages and keys hears of them call by call.
static bool reports_events(const struct ssl_socket *socket) {
  return socket->context->msg_callback != NULL || socket->context->keylog_fd >= 0;
}

// How much of what was fetched is enough data to be read by several calls at once, into the
// caller's own buffer; 0 when it isn't.
static size_t bulk_of(const struct operation *operation, size_t size) {
  const struct tlsagent_bytes *data = &operation->call.feed.data;
  size_t len = reports_events(operation->socket) || data->len < BULK_LEAST
                   ? 0
                   : records_of_data(data->data, data->len, size);
  return len < BULK_LEAST ? 0 : len;
}

static void make_bulk_read(struct operation *operation, size_t len, uint8_t *out) {
  struct call *call = &operation->call;
  size_t used;
  call->feed.data.len = len;
  Py_BEGIN_ALLOW_THREADS
  bulk_read(operation->socket, call, out, &used);
  Py_END_ALLOW_THREADS
  skip_input(operation, used);
}

// A read waits for room in the socket only with what it has to say itself, and when it has read
// nothing: data must not be lost, and who waits to write must not keep both sides from reading.
static bool flush_after_read(struct operation *operation) {
  const struct call *call = &operation->call;
  const bool gives =
      call->plain.len > 0 || call->accepted > 0 || call_state(call) == TLSAGENT_STATE_CLOSED;
  if (over_bios(operation->socket)) {
    return flush_to_bio(operation->socket);
  }
  if (!gives && call->progress != NULL && call->progress->output.len > 0) {
    return flush_reading(operation);
  }
  flush_now(operation);
  return true;
}

// What an earlier operation could not send, a certificate that the peer waits for, goes first.
static bool flush_before_read(struct operation *operation) {
  if (over_bios(operation->socket)) {
    return flush(operation);
  }
  flush_now(operation);
  return true;
}

// One call, or several at once: fetches and decrypts. What comes of a single one is in call.plain,
// of several in out. false with an exception set.
static bool read_once(struct operation *operation, size_t want, uint8_t *out, size_t size) {
  struct ssl_socket *socket = operation->socket;
  struct call *call = &operation->call;
  call->max_bytes = (uint32_t)smaller(want, READ_MAX);
  call->exact_bytes = (uint32_t)smaller(size, READ_MAX);
  if (!flush_before_read(operation) || !fetch(operation, call->max_bytes)) {
    return false;
  }
  size_t bulk = bulk_of(operation, size);
  if (bulk > 0) {
    make_bulk_read(operation, bulk, out);
  } else {
    make_call(operation, NULL);
    take_used(operation);
  }
  // After a failure there is nothing to wait for: the daemon says it again.
  release_received(operation);
  socket->more = call->more || (!call->ok && call->progress != NULL);
  socket->pending = call->pending;
  return call->ok || call->accepted > 0 ? flush_after_read(operation)
                                        : raise_failure(operation, __LINE__);
}

// Reads until there is plaintext, or the end: then there is none. What several calls gave counts
// before what ended them, which the next read is told.
static bool read_on(struct operation *operation, uint8_t *out, size_t size) {
  struct ssl_socket *socket = operation->socket;
  const size_t want = size < RECORD_MAX ? RECORD_MAX : size;
  for (;;) {
    if (!read_once(operation, want, out, size)) {
      return false;
    }
    if (operation->call.accepted > 0 || call_state(&operation->call) == TLSAGENT_STATE_DONE) {
      return true;
    }
    if (call_state(&operation->call) == TLSAGENT_STATE_CLOSED) {
      socket->close_received = true;
      return true;
    }
  }
}

// The end of the stream: nothing, as long as this side goes on.
static bool read_after_end(const struct ssl_socket *socket) {
  if (socket->close_sent) {
    raise_text(socket->state, socket->state->SSLZeroReturnError, ERROR_ZERO_RETURN,
               "TLS/SSL connection has been closed (EOF)", __LINE__);
  }
  return !socket->close_sent;
}

// Gives what was read to the caller, and keeps what is more. false without memory.
static bool give_plain(struct operation *operation, uint8_t *out, size_t size, size_t *out_len) {
  struct ssl_socket *socket = operation->socket;
  const struct tlsagent_bytes *plain = &operation->call.plain;
  if (operation->call.accepted > 0) {
    *out_len = operation->call.accepted;  // it is there
    return true;
  }
  *out_len = smaller(plain->len, size);
  if (*out_len > 0) {
    memcpy(out, plain->data, *out_len);
  }
  if (plain->len == *out_len) {
    return true;
  }
  pthread_mutex_lock(&socket->guard);
  bool kept = buffer_append(&socket->plain, plain->data + *out_len, plain->len - *out_len);
  pthread_mutex_unlock(&socket->guard);
  if (!kept) {
    PyErr_NoMemory();
  }
  return kept;
}

// `reading` is held, and another reader may have been here while it was waited for.
static bool read_locked(struct operation *operation, uint8_t *out, size_t size, size_t *out_len) {
  struct ssl_socket *socket = operation->socket;
  *out_len = take_plain(socket, out, size);
  if (*out_len > 0) {
    return true;
  }
  if (socket->close_received) {
    return read_after_end(socket);
  }
  if (!establish(operation) || !read_on(operation, out, size)) {
    return false;
  }
  if (socket->close_received) {
    return read_after_end(socket);
  }
  return give_plain(operation, out, size, out_len);
}

// false with an exception set; *out_len is 0 at the end of the stream.
static bool read_into(PyObject *self, uint8_t *out, size_t size, size_t *out_len) {
  struct ssl_socket *socket = socket_of(self);
  struct operation operation;
  *out_len = 0;
  if (!begin(&operation, self, CALL_READ)) {
    return false;
  }
  bool good = lock(&operation, &socket->reading, false);
  if (good) {
    good = read_locked(&operation, out, size, out_len);
    pthread_mutex_unlock(&socket->reading);
  }
  return end(&operation, good);
}

static PyObject *read_bytes(PyObject *self, Py_ssize_t size) {
  uint8_t small[2048];
  size_t room = size < 0 ? 0 : (size_t)size;
  size_t len;
  uint8_t *out = room <= sizeof(small) ? small : malloc(smaller(room, READ_MAX));
  if (out == NULL) {
    return PyErr_NoMemory();
  }
  bool good = read_into(self, out, smaller(room, READ_MAX), &len);
  PyObject *bytes = good ? PyBytes_FromStringAndSize((const char *)out, (Py_ssize_t)len) : NULL;
  if (out != small) {
    free(out);
  }
  return bytes;
}

static PyObject *read_buffer(PyObject *self, Py_ssize_t size, Py_buffer *view) {
  size_t len;
  size_t room = size <= 0 || size > view->len ? (size_t)view->len : (size_t)size;
  if (room == 0) {
    return PyLong_FromLong(0);
  }
  return read_into(self, view->buf, room, &len) ? PyLong_FromSize_t(len) : NULL;
}

PyObject *socket_read(PyObject *self, PyObject *args) {
  PyObject *buffer = NULL;
  Py_ssize_t size;
  Py_ssize_t num_args = PyTuple_Size(args);
  if (num_args < 1 || num_args > 2) {
    PyErr_SetString(PyExc_TypeError, "_ssl._SSLSocket.read requires 1 to 2 arguments");
    return NULL;
  }
  if (!PyArg_Parse(PyTuple_GetItem(args, 0), "n", &size)) {
    return NULL;
  }
  buffer = num_args == 2 ? PyTuple_GetItem(args, 1) : NULL;
  if (buffer == NULL) {
    if (size < 0) {
      PyErr_SetString(PyExc_ValueError, "size should not be negative");
      return NULL;
    }
    return size == 0 ? PyBytes_FromStringAndSize(NULL, 0) : read_bytes(self, size);
  }
  Py_buffer view;
  if (!arguments_writable(buffer, &view, "read() argument 2")) {
    return NULL;
  }
  PyObject *result = read_buffer(self, size, &view);
  PyBuffer_Release(&view);
  return result;
}

// --- Writing ---

static bool raise_bad_retry(const struct ssl_socket *socket) {
  raise_coded(socket->state, socket->state->SSLError, ERROR_SSL, "SSL", "BAD_WRITE_RETRY",
              "bad write retry", __LINE__);
  return false;
}

// Sends what a bulk write has ready, while it goes on.
static bool send_ready(void *user) {
  struct operation *operation = user;
  return over_bios(operation->socket) || send_some(operation->socket, &operation->link) == LINK_OK;
}

// One call, or several at once.
static void make_write(struct operation *operation, struct tlsagent_bytes data) {
  struct call *call = &operation->call;
  const struct bulk_sink sink = {send_ready, operation};
  if (data.len < BULK_LEAST || reports_events(operation->socket)) {
    call->data = tlsagent_bytes_of(data.data, smaller(data.len, WRITE_MAX));
    make_call(operation, NULL);
    return;
  }
  call_forget(call);
  call->data = tlsagent_bytes_of(data.data, data.len);
  Py_BEGIN_ALLOW_THREADS
  bulk_write(operation->socket, call, &sink);
  Py_END_ALLOW_THREADS
}

// Encrypts and sends what is left of data. After SSLWantWriteError the same data come again, and it
// goes on from there. `writing` is held.
static bool write_on(struct operation *operation, struct tlsagent_bytes data) {
  struct ssl_socket *socket = operation->socket;
  struct call *call = &operation->call;
  if (data.len < socket->half_written) {
    return raise_bad_retry(socket);
  }
  while (flush(operation)) {
    size_t left = data.len - socket->half_written;
    if (left == 0) {
      socket->half_written = 0;
      return true;
    }
    make_write(operation, tlsagent_bytes_of(data.data + socket->half_written, left));
    socket->half_written += call->accepted;
    if (!call->ok) {
      socket->half_written = 0;
      return raise_failure(operation, __LINE__);
    }
  }
  return false;
}

// With a timeout the socket is waited for before anything is encrypted.
static bool wait_to_write(struct operation *operation) {
  bool again =
      !over_bios(operation->socket) && !operation->link.blocks && !operation->link.never_waits;
  bool good = true;
  while (good && again) {
    enum link_result result;
    Py_BEGIN_ALLOW_THREADS
    result = link_wait(&operation->link, true);
    Py_END_ALLOW_THREADS
    good = check_link(operation, result, true, &again);
  }
  return good;
}

static bool establish_to_write(struct operation *operation) {
  struct ssl_socket *socket = operation->socket;
  if (is_established(socket)) {
    return true;
  }
  if (!lock(operation, &socket->reading, false)) {
    return false;
  }
  bool good = establish(operation);
  pthread_mutex_unlock(&socket->reading);
  return good;
}

static bool write_all(struct operation *operation, struct tlsagent_bytes data) {
  struct ssl_socket *socket = operation->socket;
  if (!wait_to_write(operation) || !establish_to_write(operation) ||
      !lock(operation, &socket->writing, true)) {
    return false;
  }
  bool good = write_on(operation, data);
  pthread_mutex_unlock(&socket->writing);
  return good;
}

PyObject *socket_write(PyObject *self, PyObject *object) {
  struct operation operation;
  Py_buffer view;
  if (!arguments_buffer(object, &view)) {
    return NULL;
  }
  PyObject *result = NULL;
  if (begin(&operation, self, CALL_WRITE)) {
    bool good = write_all(&operation, tlsagent_bytes_of(view.buf, (size_t)view.len));
    result = end(&operation, good) ? PyLong_FromSsize_t(view.len) : NULL;
  }
  PyBuffer_Release(&view);
  return result;
}

// --- Shutting down ---

static bool raise_in_init(const struct ssl_socket *socket) {
  raise_coded(socket->state, socket->state->SSLError, ERROR_SSL, "SSL", "SHUTDOWN_WHILE_IN_INIT",
              "shutdown while in init", __LINE__);
  return false;
}

// What came before the peer's close_notify would be lost.
static bool raise_data_lost(const struct ssl_socket *socket) {
  raise_coded(socket->state, socket->state->SSLError, ERROR_SSL, "SSL",
              "APPLICATION_DATA_AFTER_CLOSE_NOTIFY", "application data after close notify",
              __LINE__);
  return false;
}

static bool send_close(struct operation *operation) {
  struct ssl_socket *socket = operation->socket;
  if (!socket->close_sent) {
    make_call(operation, NULL);
    if (!operation->call.ok) {
      return raise_failure(operation, __LINE__);
    }
    socket->close_sent = true;
    socket->close_received = socket->close_received || operation->call.close_received;
  }
  return flush(operation);
}

// `reading` is held.
static bool await_close(struct operation *operation) {
  struct ssl_socket *socket = operation->socket;
  struct call *call = &operation->call;
  call->await_peer = true;
  while (!socket->close_received) {
    if (!fetch(operation, RECORD_MAX)) {
      return false;
    }
    make_call(operation, NULL);
    take_used(operation);
    if (!call->ok) {
      return raise_failure(operation, __LINE__);
    }
    if (call->discarded > 0) {
      return raise_data_lost(socket);
    }
    socket->close_received = call->close_received || call_state(call) == TLSAGENT_STATE_CLOSED;
    if (!flush(operation)) {
      return false;
    }
  }
  return true;
}

static bool has_plain(struct ssl_socket *socket) {
  pthread_mutex_lock(&socket->guard);
  bool some = buffer_len(&socket->plain) > 0;
  pthread_mutex_unlock(&socket->guard);
  return some;
}

static bool shut_down(struct operation *operation) {
  struct ssl_socket *socket = operation->socket;
  if (!is_established(socket)) {
    return raise_in_init(socket);
  }
  if (!send_close(operation)) {
    return false;
  }
  if (has_plain(socket)) {
    return raise_data_lost(socket);
  }
  if (!lock(operation, &socket->reading, false)) {
    return false;
  }
  bool good = await_close(operation);
  pthread_mutex_unlock(&socket->reading);
  return good;
}

PyObject *socket_shutdown(PyObject *self, PyObject *ignored) {
  (void)ignored;
  struct ssl_socket *socket = socket_of(self);
  struct operation operation;
  if (!begin(&operation, self, CALL_SHUTDOWN)) {
    return NULL;
  }
  bool good = shut_down(&operation);
  if (!end(&operation, good)) {
    return NULL;
  }
  return over_bios(socket) ? Py_NewRef(Py_None) : socket_object(socket);
}

// --- Opening for others ---

// What fails is for the handshake to tell.
static bool open_now(struct operation *operation) {
  struct ssl_socket *socket = operation->socket;
  if (!shake(operation)) {
    return false;
  }
  if (!operation->call.ok && !is_open(socket)) {
    socket->opened = true;
    return keep_failure(socket, &operation->call.error);
  }
  socket->wants_input = !is_established(socket);
  return true;
}

// A client's hello is made with the settings as they are, and waits in the output. A thread that is
// at the handshake holds `reading` until its peer says something: its calls and this one are kept
// apart by `calling`, and this one brings nothing.
bool socket_open_now(struct ssl_socket *socket) {
  struct operation operation;
  struct tlsagent_error ignored;
  memset(&operation, 0, sizeof(operation));
  operation.socket = socket;
  operation.call.kind = CALL_HANDSHAKE;
  Py_INCREF((PyObject *)socket);
  bool good = socket->opened || !agent_owns(&socket->process, &ignored) || open_now(&operation);
  socket_unlist(socket);
  call_forget(&operation.call);
  Py_DECREF((PyObject *)socket);
  return good;
}
