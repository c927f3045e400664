// How a session begins and ends, and who holds it.
#include "server/session/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/counters.h"
#include "server/base/object.h"
#include "server/ring/closer.h"
#include "server/session/private.h"

static void advance_task(struct task *task) {
  session_advance(LIST_ENTRY(task, struct session, advance));
}

static void free_on_worker(struct message *message);
static void end_on_worker(struct message *message);

static void init(struct session *session, const struct session_config *config) {
  *session = (struct session){
      .magic = SESSION_MAGIC,
      .worker = worker_current(),
      .uid = config->uid,
      .path = config->path,
      .max_output = config->engine.max_output,
      .transport = TRANSPORT_NONE,
      .end_message = {.run = end_on_worker},
      .free_message = {.run = free_on_worker},
  };
  atomic_init(&session->references, 1);
  list_init(&session->in_lane);
  list_init(&session->out_lane);
  list_init(&session->flushing);
  list_init(&session->waiters);
  list_init(&session->end_waiters);
  task_init(&session->advance, advance_task);
  bytes_init(&session->inbox, INBOX_MAX);
}

static void session_free(struct session *session) {
  task_cancel(&session->advance);
  engine_free(session->engine);
  bytes_cleanup(&session->inbox);
  relay_free(session->relay);
  free(session->error);
  worker_load_add(session->worker, -1);
  counter_add(COUNTER_sessions_freed, 1);
  session->magic = 0;
  explicit_bzero(&session->place, sizeof(session->place));  // a client's token
  free(session);
}

static void close_unused_fd(const struct session_config *config) {
  if (config->path == SESSION_FD) {
    closer_close(config->uid, config->fd);
  }
}

status_t session_new(const struct session_config *config, struct session **out,
                     struct tls_error *error) {
  struct session *session = malloc(sizeof(*session));
  if (session == NULL) {
    close_unused_fd(config);
    return status_of(STATUS_RESOURCE_EXHAUSTED);
  }
  init(session, config);
  status_t made = engine_new(config->context, &config->engine, &session->engine, error);
  if (!status_ok(made)) {
    close_unused_fd(config);
    free(session);
    return made;
  }
  worker_load_add(session->worker, 1);
  counter_add(COUNTER_sessions_made, 1);
  status_t opened = transport_open(session, config);
  if (!status_ok(opened)) {
    tls_error_simple(error, TLS_ERROR_INVALID, "the host can't be a name or an address");
    session_free(session);
    return opened;
  }
  *out = session;
  return OK_STATUS;
}

void session_ref(struct session *session) {
  atomic_fetch_add(&session->references, 1);
}

static void free_on_worker(struct message *message) {
  session_free(LIST_ENTRY(message, struct session, free_message));
}

void session_unref(struct session *session) {
  OBJECT_CHECK(session, SESSION_MAGIC);  // NOLINT(clang-analyzer-unix.Malloc): it can't count
  if (atomic_fetch_sub(&session->references, 1) != 1) {
    return;
  }
  if (worker_current() == session->worker) {
    session_free(session);
  } else {
    worker_post(session->worker, &session->free_message);
  }
}

static void end_on_worker(struct message *message) {
  struct session *session = LIST_ENTRY(message, struct session, end_message);
  session_close(session, NULL);
  session_unref(session);
}

void session_end(struct session *session) {
  OBJECT_CHECK(session, SESSION_MAGIC);
  if (!atomic_exchange(&session->end_asked, true)) {
    session_ref(session);
    worker_post(session->worker, &session->end_message);
  }
}

void session_fail(struct session *session, const struct tls_error *error) {
  if (!session->failed) {
    session->failed = true;
    session->error = malloc(sizeof(*error));
    if (session->error != NULL) {
      *session->error = *error;
    }
  }
}

static void tell_waiters(struct session *session) {
  struct list *link;
  while ((link = list_pop_front(&session->waiters)) != NULL) {
    struct session_closed *waiter = LIST_ENTRY(link, struct session_closed, link);
    waiter->closed(waiter);
  }
}

static bool transport_gone(const struct session *session) {
  return session->transport == TRANSPORT_NONE || session->transport == TRANSPORT_CLOSED;
}

void session_transport_closed(struct session *session) {
  session->transport = TRANSPORT_CLOSED;
  tell_waiters(session);
  if (session->relay != NULL) {
    relay_transport_closed(session);
  }
  session_unref(session);
}

// ---------------------------------------------------------------------------------------------
// Held

bool session_is_idle(const struct session *session) {
  return session->path != SESSION_MEMORY && session->relay == NULL && session->holder == NULL &&
         !session->closed && !session->failed && transport_ready(session) &&
         engine_established(session->engine) && !engine_shutdown_sent(session->engine) &&
         list_empty(&session->in_lane) && list_empty(&session->out_lane) &&
         list_empty(&session->flushing);
}

status_t session_hold(struct session *session, struct session_holder *holder) {
  OBJECT_CHECK(session, SESSION_MAGIC);
  ENSURE(session_is_idle(session), FAILED_PRECONDITION);
  session->holder = holder;
  return OK_STATUS;
}

void session_let_go(struct session *session) {
  session->holder = NULL;
}

bool session_is_held(const struct session *session) {
  return session->holder != NULL;
}

static void tell_holder(struct session *session) {
  struct session_holder *holder = session->holder;
  session->holder = NULL;
  if (holder != NULL) {
    holder->closed(holder);
  }
}

// ---------------------------------------------------------------------------------------------

void session_close(struct session *session, struct session_closed *waiter) {
  OBJECT_CHECK(session, SESSION_MAGIC);
  session_ref(session);
  if (waiter != NULL) {
    list_push_back(&session->waiters, &waiter->link);
  }
  if (!session->closed) {
    session->closed = true;
    struct tls_error error;
    tls_error_simple(&error, TLS_ERROR_CLOSED_HERE, "the session was closed by this side");
    session_fail(session, &error);
    session_withdraw(session);
    session_fail_ops(session);
    tell_holder(session);
    if (session->relay != NULL) {
      relay_close(session);
    } else {
      transport_close(session);
    }
  }
  if (transport_gone(session)) {
    tell_waiters(session);
  }
  session_unref(session);
}

struct worker *session_worker(const struct session *session) {
  return session->worker;
}

struct engine *session_engine(struct session *session) {
  return session->engine;
}

bool session_has_more(const struct session *session) {
  return session->late != 0 || engine_pending(session->engine) > 0;
}

const struct tls_error *session_error(const struct session *session) {
  static const struct tls_error none = {.alert = TLS_ALERT_NONE};
  static const struct tls_error unknown = {.kind = TLS_ERROR_OS,
                                           .text = "no memory to say what failed",
                                           .os_errno = ENOMEM,
                                           .alert = TLS_ALERT_NONE};
  if (session->error != NULL) {
    return session->error;
  }
  return session->failed ? &unknown : &none;
}

struct slice session_output(const struct session *session) {
  return session->path == SESSION_MEMORY ? bytes_peek(engine_output(session->engine))
                                         : slice_of(NULL, 0);
}

enum session_path session_get_path(const struct session *session) {
  return session->path;
}

enum engine_result session_state(const struct session *session) {
  if (session->failed) {
    return ENGINE_FAILED;
  }
  if (engine_shutdown_received(session->engine)) {
    return ENGINE_CLOSED;
  }
  if (engine_decision(session->engine) != NULL) {
    return ENGINE_WANT_DECISION;
  }
  return engine_established(session->engine) ? ENGINE_DONE : ENGINE_WANT_INPUT;
}

uint64_t session_bytes_read(const struct session *session) {
  return session->bytes_read;
}

uint64_t session_bytes_written(const struct session *session) {
  return session->bytes_written;
}
