#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "server/base/log.h"
#include "server/front/private.h"
#include "server/ring/closer.h"

// ---------------------------------------------------------------------------------------------
// References

static void front_free(struct front *front) {
  uint64_t lost;
  struct front_record *record;
  while ((record = front_take(front, &lost)) != NULL) {
    front_record_free(record);
  }
  tls_context_unref(front->config.context);
  client_unref(front->config.client);
  pthread_mutex_destroy(&front->lock);
  free(front);
}

void front_ref(struct front *front) {
  atomic_fetch_add(&front->references, 1);
}

void front_unref(struct front *front) {
  if (atomic_fetch_sub(&front->references, 1) == 1) {
    front_free(front);
  }
}

// ---------------------------------------------------------------------------------------------
// Accepting, on each worker

// Drained, it closes with its last connection, when no worker can make one any more.
static void maybe_drained(struct front *front) {
  if (atomic_load(&front->draining) && atomic_load(&front->accepting) == 0 &&
      atomic_load(&front->active) == 0) {
    front_close(front);
  }
}

static void maybe_gone(struct acceptor *acceptor) {
  if (acceptor->closing && acceptor->listener == NULL && acceptor->num_connections == 0) {
    front_unref(acceptor->front);
  }
}

static unsigned share_of(const struct front *front) {
  unsigned most = front->config.max_connections;
  return most == 0 ? UINT32_MAX : (most + front->num_acceptors - 1) / front->num_acceptors;
}

void acceptor_count(struct acceptor *acceptor, int change) {
  struct front *front = acceptor->front;
  acceptor->num_connections += (unsigned)change;
  atomic_fetch_add(&front->active, (uint64_t)(int64_t)change);
  if (acceptor->listener != NULL) {
    listener_pause(acceptor->listener, acceptor->num_connections >= share_of(front));
  }
  maybe_drained(front);
  maybe_gone(acceptor);
}

// It is inherited from the listening socket, which is a client's. Without it no close waits.
static void forget_linger(int fd) {
  const struct linger none = {0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

static void on_accept(void *owner, int fd) {
  struct acceptor *acceptor = owner;
  if (acceptor->front->accepts_tcp) {
    forget_linger(fd);
  }
  atomic_fetch_add(&acceptor->front->accepted, 1);
  connection_start(acceptor, fd);
}

// The last one lets the socket go: who connects is refused then, and doesn't wait in its queue.
static void accepts_no_more(struct acceptor *acceptor) {
  struct front *front = acceptor->front;
  acceptor->listener = NULL;
  if (atomic_fetch_sub(&front->accepting, 1) == 1) {
    closer_close(client_peer(front->config.client)->uid, front->config.fd);
  }
  maybe_drained(front);
}

static void on_closed(void *owner) {
  struct acceptor *acceptor = owner;
  accepts_no_more(acceptor);
  maybe_gone(acceptor);
}

static const struct listener_events events = {.on_accept = on_accept, .on_closed = on_closed};

static void start_on_worker(struct message *message) {
  struct acceptor *acceptor = LIST_ENTRY(message, struct acceptor, start);
  status_t started = listener_new(worker_loop(acceptor->worker), acceptor->front->config.fd,
                                  &events, acceptor, &acceptor->listener);
  if (!status_ok(started)) {
    LOG_WARNING("no memory to accept for a relay on worker %u", worker_index(acceptor->worker));
    accepts_no_more(acceptor);
  }
}

static void stop_accepting(struct acceptor *acceptor) {
  if (acceptor->listener != NULL) {
    listener_close(acceptor->listener);
  }
}

static void quit_on_worker(struct message *message) {
  struct acceptor *acceptor = LIST_ENTRY(message, struct acceptor, quit);
  stop_accepting(acceptor);
  maybe_drained(acceptor->front);
}

static void stop_on_worker(struct message *message) {
  struct acceptor *acceptor = LIST_ENTRY(message, struct acceptor, stop);
  struct front *front = acceptor->front;
  front_ref(front);  // this acceptor may be gone with its last connection
  stop_accepting(acceptor);
  connections_close(acceptor);
  acceptor->closing = true;
  maybe_gone(acceptor);
  front_unref(front);
}

// ---------------------------------------------------------------------------------------------
// The whole

static void init_acceptor(struct front *front, unsigned index) {
  struct acceptor *acceptor = &front->acceptors[index];
  *acceptor = (struct acceptor){
      .front = front,
      .worker = worker_pool_at(front->config.workers, index),
      .start = {.run = start_on_worker},
      .quit = {.run = quit_on_worker},
      .stop = {.run = stop_on_worker},
  };
  list_init(&acceptor->connections);
  front_ref(front);
}

static void init(struct front *front, const struct front_config *config) {
  front->config = *config;
  front->num_acceptors = worker_pool_size(config->workers);
  atomic_init(&front->references, 1);
  atomic_init(&front->accepting, front->num_acceptors);
  list_init(&front->link);
  pthread_mutex_init(&front->lock, NULL);
  list_init(&front->records);
  list_init(&front->waiters);
  tls_context_ref(config->context);
  client_ref(config->client);
  for (unsigned i = 0; i < front->num_acceptors; i++) {
    init_acceptor(front, i);
  }
}

static void enrol(struct front *front) {
  struct fronts *fronts = front->config.fronts;
  pthread_mutex_lock(&fronts->lock);
  list_push_back(&fronts->all, &front->link);
  fronts->num++;
  pthread_mutex_unlock(&fronts->lock);
}

static void strike_off(struct front *front) {
  struct fronts *fronts = front->config.fronts;
  pthread_mutex_lock(&fronts->lock);
  list_remove(&front->link);
  fronts->num--;
  pthread_cond_broadcast(&fronts->changed);
  pthread_mutex_unlock(&fronts->lock);
}

// Accepted sockets inherit it (tcp(7)). Only of TCP it succeeds.
static bool send_at_once(int fd) {
  const int on = 1;
  return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0;
}

status_t front_new(const struct front_config *config, struct front **out) {
  unsigned num = worker_pool_size(config->workers);
  struct front *front = calloc(1, sizeof(*front) + num * sizeof(front->acceptors[0]));
  if (front == NULL) {
    closer_close(client_peer(config->client)->uid, config->fd);
    return status_of(STATUS_RESOURCE_EXHAUSTED);
  }
  init(front, config);
  front->accepts_tcp = send_at_once(config->fd);
  for (unsigned i = 0; i < num; i++) {
    worker_post(front->acceptors[i].worker, &front->acceptors[i].start);
  }
  enrol(front);
  *out = front;
  return OK_STATUS;
}

static void wake_all(struct list *waiters) {
  struct list *link;
  while ((link = list_pop_front(waiters)) != NULL) {
    struct front_waiter *waiter = LIST_ENTRY(link, struct front_waiter, link);
    worker_post(waiter->worker, &waiter->message);
  }
}

void front_close(struct front *front) {
  if (atomic_exchange(&front->closed, true)) {
    return;
  }
  strike_off(front);
  for (unsigned i = 0; i < front->num_acceptors; i++) {
    worker_post(front->acceptors[i].worker, &front->acceptors[i].stop);
  }
  pthread_mutex_lock(&front->lock);
  wake_all(&front->waiters);
  pthread_mutex_unlock(&front->lock);
}

void fronts_init(struct fronts *fronts) {
  pthread_mutex_init(&fronts->lock, NULL);
  clock_condition_init(&fronts->changed);
  list_init(&fronts->all);
  fronts->num = 0;
}

// What is enrolled isn't closed, and so its acceptors hold references until their next message.
void fronts_drain(struct fronts *fronts) {
  pthread_mutex_lock(&fronts->lock);
  LIST_FOR(link, &fronts->all) {
    struct front *front = LIST_ENTRY(link, struct front, link);
    if (atomic_exchange(&front->draining, true)) {
      continue;
    }
    for (unsigned i = 0; i < front->num_acceptors; i++) {
      worker_post(front->acceptors[i].worker, &front->acceptors[i].quit);
    }
  }
  pthread_mutex_unlock(&fronts->lock);
}

size_t fronts_await_end(struct fronts *fronts, clock_time until) {
  struct timespec end = clock_timespec(until);
  pthread_mutex_lock(&fronts->lock);
  while (fronts->num > 0 && clock_now() < until) {
    pthread_cond_timedwait(&fronts->changed, &fronts->lock, &end);
  }
  size_t left = fronts->num;
  pthread_mutex_unlock(&fronts->lock);
  return left;
}

bool front_is_closed(struct front *front) {
  return atomic_load(&front->closed);
}

bool front_was_drained(struct front *front) {
  return atomic_load(&front->draining);
}

void front_describe(struct front *front, struct front_stats *out) {
  *out = (struct front_stats){
      .accepted = atomic_load(&front->accepted),
      .active = atomic_load(&front->active),
      .established = atomic_load(&front->established),
      .handshakes_failed = atomic_load(&front->handshakes_failed),
      .dials_failed = atomic_load(&front->dials_failed),
      .refused = atomic_load(&front->refused),
      .bytes_read = atomic_load(&front->bytes_read),
      .bytes_written = atomic_load(&front->bytes_written),
  };
}

// ---------------------------------------------------------------------------------------------
// Records

void front_add_record(struct front *front, struct front_record *record) {
  pthread_mutex_lock(&front->lock);
  list_push_back(&front->records, &record->link);
  struct front_record *dropped = NULL;
  if (++front->num_records > FRONT_RECORDS_MAX) {
    dropped = LIST_ENTRY(list_pop_front(&front->records), struct front_record, link);
    front->num_records--;
    front->lost++;
  }
  wake_all(&front->waiters);
  pthread_mutex_unlock(&front->lock);
  if (dropped != NULL) {
    front_record_free(dropped);
  }
}

struct front_record *front_take(struct front *front, uint64_t *out_lost) {
  pthread_mutex_lock(&front->lock);
  struct list *link = list_pop_front(&front->records);
  front->num_records -= link != NULL;
  *out_lost = front->lost;
  front->lost = 0;
  pthread_mutex_unlock(&front->lock);
  return link == NULL ? NULL : LIST_ENTRY(link, struct front_record, link);
}

void front_record_free(struct front_record *record) {
  arena_cleanup(&record->arena);
  free(record);
}

static void on_wake(struct message *message) {
  struct front_waiter *waiter = LIST_ENTRY(message, struct front_waiter, message);
  waiter->ready(waiter);
}

void front_await(struct front *front, struct front_waiter *waiter,
                 void (*ready)(struct front_waiter *waiter)) {
  *waiter = (struct front_waiter){
      .worker = worker_current(), .message = {.run = on_wake}, .ready = ready};
  list_init(&waiter->link);
  pthread_mutex_lock(&front->lock);
  list_push_back(&front->waiters, &waiter->link);
  if (!list_empty(&front->records) || front_is_closed(front)) {
    wake_all(&front->waiters);
  }
  pthread_mutex_unlock(&front->lock);
}

bool front_forget(struct front *front, struct front_waiter *waiter) {
  pthread_mutex_lock(&front->lock);
  bool waits = !list_empty(&waiter->link);
  list_remove(&waiter->link);
  pthread_mutex_unlock(&front->lock);
  return waits;
}
