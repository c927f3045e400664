#include "server/ring/resolver.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "server/base/clock.h"
#include "server/base/object.h"

enum { RESOLVER_MAGIC = 0x7265736f };

enum { CONNECT_TIMEOUT_SECONDS = 10 };

struct resolver {
  uint32_t magic;
  unsigned max_queued;
  uint64_t connect_timeout;  // nanoseconds, for each address
  pthread_t *threads;
  unsigned num_threads;

  pthread_mutex_t lock;  // guards what follows
  pthread_cond_t changed;
  struct list queue;
  unsigned num_queued;
  bool stopping;
};

// ---------------------------------------------------------------------------------------------
// One lookup

status_t lookup_init(struct lookup *lookup, const char *host, uint16_t port) {
  size_t len = strnlen(host, LOOKUP_HOST_MAX + 1);
  ENSURE(len > 0 && len <= LOOKUP_HOST_MAX, INVALID_ARGUMENT);
  *lookup = (struct lookup){0};
  list_init(&lookup->link);
  memcpy(lookup->host, host, len);
  snprintf(lookup->port, sizeof(lookup->port), "%u", (unsigned)port);
  return OK_STATUS;
}

static void look_up(struct lookup *lookup, int flags) {
  struct addrinfo hints = {.ai_family = AF_UNSPEC,
                           .ai_socktype = SOCK_STREAM,
                           .ai_protocol = IPPROTO_TCP,
                           .ai_flags = AI_NUMERICSERV | flags};
  lookup->addresses = NULL;
  lookup->gai_error = getaddrinfo(lookup->host, lookup->port, &hints, &lookup->addresses);
  lookup->os_errno = lookup->gai_error == EAI_SYSTEM ? errno : 0;
}

bool lookup_numeric(struct lookup *lookup) {
  look_up(lookup, AI_NUMERICHOST);
  return lookup->gai_error == 0;
}

// ---------------------------------------------------------------------------------------------
// A thread: takes a lookup, waits for the answer, posts it

// Returns with the next lookup, or NULL when it is time to stop.
static struct lookup *next_lookup(struct resolver *resolver) {
  pthread_mutex_lock(&resolver->lock);
  while (list_empty(&resolver->queue) && !resolver->stopping) {
    pthread_cond_wait(&resolver->changed, &resolver->lock);
  }
  struct list *link = list_pop_front(&resolver->queue);
  resolver->num_queued -= link != NULL;
  pthread_mutex_unlock(&resolver->lock);
  return link == NULL ? NULL : LIST_ENTRY(link, struct lookup, link);
}

static void *thread_main(void *arg) {
  struct resolver *resolver = arg;
  pthread_setname_np(pthread_self(), "tlsagent-names");
  struct lookup *lookup = NULL;
  while ((lookup = next_lookup(resolver)) != NULL) {
    look_up(lookup, AI_ADDRCONFIG);
    // It is the worker's from here on.
    worker_post(lookup->worker, &lookup->answered);
  }
  return NULL;
}

static int start_threads(struct resolver *resolver, unsigned num_threads) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = 0;
  while (resolver->num_threads < num_threads && error == 0) {
    error = pthread_create(&resolver->threads[resolver->num_threads], NULL, thread_main, resolver);
    resolver->num_threads += error == 0;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

// ---------------------------------------------------------------------------------------------
// The resolver

status_t resolver_new(unsigned num_threads, unsigned max_queued, struct resolver **out) {
  assert(num_threads > 0);
  struct resolver *resolver = calloc(1, sizeof(*resolver));
  ENSURE(resolver != NULL, RESOURCE_EXHAUSTED);
  resolver->magic = RESOLVER_MAGIC;
  resolver->max_queued = max_queued;
  resolver->connect_timeout = CONNECT_TIMEOUT_SECONDS * NANOS_PER_SECOND;
  list_init(&resolver->queue);
  pthread_mutex_init(&resolver->lock, NULL);
  pthread_cond_init(&resolver->changed, NULL);
  resolver->threads = calloc(num_threads, sizeof(*resolver->threads));
  if (resolver->threads == NULL || start_threads(resolver, num_threads) != 0) {
    resolver_free(resolver);
    return status_of(STATUS_RESOURCE_EXHAUSTED);
  }
  *out = resolver;
  return OK_STATUS;
}

void resolver_free(struct resolver *resolver) {
  if (resolver == NULL) {
    return;
  }
  OBJECT_CHECK(resolver, RESOLVER_MAGIC);
  pthread_mutex_lock(&resolver->lock);
  assert(list_empty(&resolver->queue));
  resolver->stopping = true;
  pthread_cond_broadcast(&resolver->changed);
  pthread_mutex_unlock(&resolver->lock);
  for (unsigned i = 0; i < resolver->num_threads; i++) {
    pthread_join(resolver->threads[i], NULL);
  }
  pthread_cond_destroy(&resolver->changed);
  pthread_mutex_destroy(&resolver->lock);
  free(resolver->threads);
  resolver->magic = 0;
  free(resolver);
}

void resolver_set_connect_timeout(struct resolver *resolver, uint64_t nanos) {
  OBJECT_CHECK(resolver, RESOLVER_MAGIC);
  resolver->connect_timeout = nanos;
}

uint64_t resolver_connect_timeout(const struct resolver *resolver) {
  OBJECT_CHECK(resolver, RESOLVER_MAGIC);
  return resolver->connect_timeout;
}

status_t resolver_queue(struct resolver *resolver, struct lookup *lookup) {
  OBJECT_CHECK(resolver, RESOLVER_MAGIC);
  pthread_mutex_lock(&resolver->lock);
  bool has_room = resolver->num_queued < resolver->max_queued;
  if (has_room) {
    list_push_back(&resolver->queue, &lookup->link);
    resolver->num_queued++;
    pthread_cond_signal(&resolver->changed);
  }
  pthread_mutex_unlock(&resolver->lock);
  return has_room ? OK_STATUS : status_of(STATUS_RESOURCE_EXHAUSTED);
}

bool resolver_withdraw(struct resolver *resolver, struct lookup *lookup) {
  OBJECT_CHECK(resolver, RESOLVER_MAGIC);
  pthread_mutex_lock(&resolver->lock);
  bool is_queued = !list_empty(&lookup->link);
  if (is_queued) {
    list_remove(&lookup->link);
    resolver->num_queued--;
  }
  pthread_mutex_unlock(&resolver->lock);
  return is_queued;
}
