#include "server/rpc/server.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/rpc/rpc_priv.h"

// ---------------------------------------------------------------------------------------------
// Visits: something done on every worker, and waited for.

static void end_visit(struct rpc_server *server, struct rpc_home *home) {
  pthread_mutex_lock(&server->lock);
  home->reported = home->load;
  server->num_visits--;
  pthread_cond_broadcast(&server->changed);
  pthread_mutex_unlock(&server->lock);
}

static void on_visit(struct message *message) {
  struct rpc_home *home = LIST_ENTRY(message, struct rpc_home, message);
  home->visit(home);
  end_visit(home->server, home);
}

// Not on a worker's thread: it would wait for itself.
static void visit_all(struct rpc_server *server, void (*visit)(struct rpc_home *home)) {
  assert(worker_current() == NULL);
  pthread_mutex_lock(&server->lock);
  server->num_visits = server->num_homes;
  for (unsigned i = 0; i < server->num_homes; i++) {
    struct rpc_home *home = &server->homes[i];
    home->visit = visit;
    home->message.run = on_visit;
    worker_post(home->worker, &home->message);
  }
  while (server->num_visits > 0) {
    pthread_cond_wait(&server->changed, &server->lock);
  }
  pthread_mutex_unlock(&server->lock);
}

void rpc_home_report(struct rpc_home *home) {
  if (home->stage == RPC_SERVING) {
    return;
  }
  pthread_mutex_lock(&home->server->lock);
  home->reported = home->load;
  pthread_cond_broadcast(&home->server->changed);
  pthread_mutex_unlock(&home->server->lock);
}

bool rpc_home_may_log(struct rpc_home *home, uint64_t *out_unlogged) {
  clock_time now = clock_now();
  if (now < home->next_log) {
    home->num_unlogged++;
    return false;
  }
  home->next_log = clock_add(now, NANOS_PER_SECOND);
  *out_unlogged = home->num_unlogged;
  home->num_unlogged = 0;
  return true;
}

static struct rpc_load total_load(const struct rpc_server *server) {
  struct rpc_load total = {.calls = 0};
  for (unsigned i = 0; i < server->num_homes; i++) {
    const struct rpc_load *load = &server->homes[i].reported;
    total.calls += load->calls;
    total.unsent += load->unsent;
    total.connections += load->connections;
    total.listeners += load->listeners;
  }
  return total;
}

// ---------------------------------------------------------------------------------------------
// Listening

static void on_accept(void *owner, int fd) {
  struct rpc_listener *listener = owner;
  connection_accept(listener->home, fd, listener->from->peer);
}

static void on_listener_closed(void *owner) {
  struct rpc_listener *listener = owner;
  listener->home->load.listeners--;
  rpc_home_report(listener->home);
}

static const struct listener_events listener_events = {
    .on_accept = on_accept,
    .on_closed = on_listener_closed,
};

static status_t listen_on(struct rpc_home *home, struct rpc_listener *listener,
                          const struct rpc_listen *from) {
  listener->home = home;
  listener->from = from;
  TRY(listener_new(home->loop, from->fd, &listener_events, listener, &listener->listener));
  home->load.listeners++;
  return OK_STATUS;
}

static status_t listen_all(struct rpc_home *home) {
  for (size_t i = 0; i < home->server->num_listen; i++) {
    TRY(listen_on(home, &home->listeners[i], &home->server->listen[i]));
  }
  return OK_STATUS;
}

static void visit_to_listen(struct rpc_home *home) {
  home->visit_status = listen_all(home);
}

static void close_listeners(struct rpc_home *home) {
  for (size_t i = 0; i < home->server->num_listen; i++) {
    struct listener *listener = home->listeners[i].listener;
    home->listeners[i].listener = NULL;
    if (listener != NULL) {
      listener_close(listener);
    }
  }
}

static status_t listen_everywhere(struct rpc_server *server) {
  visit_all(server, visit_to_listen);
  for (unsigned i = 0; i < server->num_homes; i++) {
    TRY(server->homes[i].visit_status);
  }
  return OK_STATUS;
}

struct rpc_home *rpc_home_here(struct rpc_server *server) {
  struct worker *worker = worker_current();
  struct rpc_home *home = &server->homes[worker_index(worker)];
  assert(home->worker == worker);
  return home;
}

void rpc_server_adopt(struct rpc_server *server, int fd, const struct peer *peer) {
  OBJECT_CHECK(server, RPC_SERVER_MAGIC);
  connection_accept(rpc_home_here(server), fd, peer);
}

// ---------------------------------------------------------------------------------------------
// Making one

static status_t home_init(struct rpc_home *home, struct rpc_server *server, struct worker *worker) {
  home->server = server;
  home->worker = worker;
  home->loop = worker_loop(worker);
  list_init(&home->connections);
  list_init(&home->orphans);
  list_init(&home->spare_calls);
  timer_init(&home->deposits_due, deposits_expire);
  spares_init(&home->spares);
  home->listeners = calloc(server->num_listen, sizeof(*home->listeners));
  ENSURE(home->listeners != NULL || server->num_listen == 0, RESOURCE_EXHAUSTED);
  return OK_STATUS;
}

static status_t homes_new(struct rpc_server *server, struct worker_pool *workers) {
  unsigned num = worker_pool_size(workers);
  server->homes = calloc(num, sizeof(*server->homes));
  ENSURE(server->homes != NULL, RESOURCE_EXHAUSTED);
  server->num_homes = num;
  for (unsigned i = 0; i < num; i++) {
    TRY(home_init(&server->homes[i], server, worker_pool_at(workers, i)));
  }
  return OK_STATUS;
}

static struct rpc_server *server_alloc(const struct rpc_config *config) {
  struct rpc_server *server = calloc(1, sizeof(*server));
  if (server == NULL) {
    return NULL;
  }
  server->magic = RPC_SERVER_MAGIC;
  server->limits = *config->limits;
  server->tenant = config->tenant;
  shares_init(&server->shares, config->limits);
  deposits_init(&server->deposits);
  pthread_mutex_init(&server->lock, NULL);
  clock_condition_init(&server->changed);
  return server;
}

// Of a server that does nothing any more on any worker.
static void server_release(struct rpc_server *server) {
  for (unsigned i = 0; i < server->num_homes; i++) {
    call_spares_free(&server->homes[i]);
    spares_cleanup(&server->homes[i].spares);
    free(server->homes[i].listeners);
  }
  free(server->homes);
  free(server->listen);
  dispatch_free(server->dispatch);
  deposits_cleanup(&server->deposits);
  shares_cleanup(&server->shares);
  pthread_cond_destroy(&server->changed);
  pthread_mutex_destroy(&server->lock);
  server->magic = 0;
  free(server);
}

static status_t copy_listen(struct rpc_server *server, const struct rpc_config *config) {
  if (config->num_listen == 0) {
    return OK_STATUS;
  }
  server->listen = calloc(config->num_listen, sizeof(*server->listen));
  ENSURE(server->listen != NULL, RESOURCE_EXHAUSTED);
  memcpy(server->listen, config->listen, config->num_listen * sizeof(*server->listen));
  server->num_listen = config->num_listen;
  return OK_STATUS;
}

static status_t server_build(struct rpc_server *server, const struct rpc_config *config) {
  TRY(copy_listen(server, config));
  TRY(dispatch_new(config->methods, config->num_methods, &server->dispatch));
  return homes_new(server, config->workers);
}

status_t rpc_server_new(const struct rpc_config *config, struct rpc_server **out) {
  struct rpc_server *server = server_alloc(config);
  ENSURE(server != NULL, RESOURCE_EXHAUSTED);
  status_t status = server_build(server, config);
  if (!status_ok(status)) {
    server_release(server);
    return status;
  }
  status = listen_everywhere(server);
  if (!status_ok(status)) {
    rpc_server_free(server);
    return status;
  }
  *out = server;
  return OK_STATUS;
}

// ---------------------------------------------------------------------------------------------
// Ending one

static void visit_to_drain(struct rpc_home *home) {
  if (home->stage == RPC_SERVING) {
    home->stage = RPC_DRAINING;
    LIST_FOR(link, &home->connections) {
      connection_drain(LIST_ENTRY(link, struct connection, link));
    }
  }
  close_listeners(home);
}

static bool is_drained(const struct rpc_server *server) {
  struct rpc_load load = total_load(server);
  return load.calls == 0 && load.unsent == 0;
}

size_t rpc_server_drain(struct rpc_server *server, clock_time until) {
  OBJECT_CHECK(server, RPC_SERVER_MAGIC);
  visit_all(server, visit_to_drain);
  struct timespec end = clock_timespec(until);
  pthread_mutex_lock(&server->lock);
  while (!is_drained(server) && clock_now() < until) {
    pthread_cond_timedwait(&server->changed, &server->lock, &end);
  }
  size_t left = total_load(server).calls;
  pthread_mutex_unlock(&server->lock);
  return left;
}

static void visit_to_stop(struct rpc_home *home) {
  home->stage = RPC_STOPPING;
  close_listeners(home);
  LIST_FOR(link, &home->connections) {
    connection_close(LIST_ENTRY(link, struct connection, link));
  }
}

static bool is_stopped(const struct rpc_server *server) {
  struct rpc_load load = total_load(server);
  return load.calls == 0 && load.connections == 0 && load.listeners == 0;
}

static void wait_until_stopped(struct rpc_server *server) {
  pthread_mutex_lock(&server->lock);
  while (!is_stopped(server)) {
    pthread_cond_wait(&server->changed, &server->lock);
  }
  pthread_mutex_unlock(&server->lock);
}

static void visit_to_leave(struct rpc_home *home) {
  assert(list_empty(&home->connections) && list_empty(&home->orphans));
  timer_cancel(home->loop, &home->deposits_due);
}

void rpc_server_free(struct rpc_server *server) {
  if (server == NULL) {
    return;
  }
  OBJECT_CHECK(server, RPC_SERVER_MAGIC);
  visit_all(server, visit_to_stop);
  wait_until_stopped(server);
  // Whoever reported the last of it has returned from there once he is visited again.
  visit_all(server, visit_to_leave);
  server_release(server);
}
