// The socket path's transport: a stream of the caller's or a dialled one.
#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>

#include "server/ring/closer.h"
#include "server/session/private.h"

static struct session *owner_of(struct stream *stream) {
  return stream_owner(stream);
}

// Established sessions are served at once, handshakes in their bounded share of the turn.
static void go_on(struct session *session) {
  if (session->relay != NULL) {
    relay_advance(session);
  } else if (engine_established(session->engine)) {
    session_advance(session);
  } else {
    session_schedule(session);
  }
}

// Descriptors are no part of TLS. Where their closes hang no more of them are let in.
bool transport_refuse_fds(uid_t uid, const int *fds, size_t num_fds) {
  for (size_t i = 0; i < num_fds; i++) {
    closer_close(uid, fds[i]);
  }
  return closer_behind(uid);
}

static void on_data(struct stream *stream, struct slice data, const int *fds, size_t num_fds,
                    size_t dropped) {
  struct session *session = owner_of(stream);
  if (num_fds + dropped > 0 && transport_refuse_fds(session->uid, fds, num_fds)) {
    session->ended = true;
    session->in_errno = EMFILE;
  }
  if (session->relay != NULL) {
    relay_take(session, data);
    return;
  }
  if (!status_ok(bytes_append(&session->inbox, data))) {
    // Bytes of a stream can't be lost and the stream go on.
    session->ended = true;
    session->in_errno = ENOMEM;
  }
  go_on(session);
}

static void on_end(struct stream *stream, int os_errno) {
  struct session *session = owner_of(stream);
  session->ended = true;
  session->in_errno = os_errno;
  go_on(session);
}

static void on_sent(struct stream *stream, int os_errno) {
  struct session *session = owner_of(stream);
  if (os_errno != 0) {
    session->out_errno = os_errno;
  }
  go_on(session);
}

static void on_room(struct stream *stream) {
  go_on(owner_of(stream));
}

static void on_closed(struct stream *stream) {
  struct session *session = owner_of(stream);
  engine_lend_output(session->engine, NULL);
  session->stream = NULL;
  session_transport_closed(session);
}

static const struct stream_events events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_sent = on_sent,
    .on_closed = on_closed,
};

// Descriptors can come beside the bytes of a Unix socket. The kernel closes what there is no room
// for on the worker's own thread, and such a close may hang: so there is room.
int transport_flags_for(int fd) {
  int domain = AF_UNSPEC;
  socklen_t len = sizeof(domain);
  bool is_internet = getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
                     (domain == AF_INET || domain == AF_INET6);
  return is_internet ? STREAM_PLAIN : STREAM_WITH_FDS;
}

// The transport holds a reference of the session from here to on_closed.
static status_t open_stream(struct session *session, int fd) {
  size_t max_queued = session->max_output;
  int flags = transport_flags_for(fd) | STREAM_NO_SECRETS;
  TRY(stream_new(worker_loop(session->worker), session->uid, fd, flags, max_queued, &events,
                 session, &session->stream));
  session->transport = TRANSPORT_OPEN;
  engine_lend_output(session->engine, stream_output(session->stream));
  return OK_STATUS;
}

static void fail_dial(struct session *session, const struct dial_result *result) {
  struct tls_error error;
  if (result->gai_error != 0) {
    tls_error_simple(&error, TLS_ERROR_RESOLVE, gai_strerror(result->gai_error));
  } else {
    tls_error_os(&error, result->os_errno, "connect");
  }
  session_fail(session, &error);
}

static void on_dialed(void *owner, const struct dial_result *result) {
  struct session *session = owner;
  session->dial = NULL;
  session->transport = TRANSPORT_CLOSED;
  if (result->fd < 0) {
    fail_dial(session, result);
  } else if (!status_ok(open_stream(session, result->fd))) {
    struct tls_error error;
    tls_error_os(&error, ENOMEM, "connect");
    session_fail(session, &error);
  }
  if (session->failed) {
    session_fail_ops(session);
    session_transport_closed(session);
    return;
  }
  session_schedule(session);
}

static status_t start_dial(struct session *session, const struct session_config *config) {
  TRY(dial_start(config->resolver, config->host, config->port, on_dialed, session, &session->dial));
  session->transport = TRANSPORT_DIALING;
  return OK_STATUS;
}

status_t transport_open(struct session *session, const struct session_config *config) {
  switch (config->path) {
    case SESSION_MEMORY:
      return OK_STATUS;
    case SESSION_FD:
      TRY(open_stream(session, config->fd));
      break;
    case SESSION_DIAL:
      TRY(start_dial(session, config));
      break;
  }
  session_ref(session);
  return OK_STATUS;
}

bool transport_ready(const struct session *session) {
  return session->transport == TRANSPORT_OPEN;
}

size_t transport_unsent(const struct session *session) {
  return session->stream == NULL ? 0 : stream_unsent(session->stream);
}

// The engine writes into the stream's own queue.
bool transport_flush(struct session *session) {
  struct bytes *output = engine_output(session->engine);
  if (bytes_len(output) > 0) {
    stream_flush(session->stream);
  }
  if (session->out_errno != 0) {
    bytes_skip(output, bytes_len(output));
  }
  return bytes_len(output) == 0;
}

void transport_close(struct session *session) {
  switch (session->transport) {
    case TRANSPORT_DIALING:
      dial_cancel(session->dial);
      session->dial = NULL;
      session_transport_closed(session);
      break;
    case TRANSPORT_OPEN:
      session->transport = TRANSPORT_CLOSING;
      stream_close(session->stream);
      break;
    case TRANSPORT_NONE:
    case TRANSPORT_CLOSING:
    case TRANSPORT_CLOSED:
      break;
  }
}
