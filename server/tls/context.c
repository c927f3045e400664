#include "server/tls/context.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "server/base/counters.h"
#include "server/base/object.h"
#include "server/tls/context_private.h"
#include "server/tls/openssl_error.h"

enum { CONTEXT_MAGIC = 0x7c0173e7 };

struct tls_context {
  uint32_t magic;
  uint64_t number;
  atomic_size_t refs;
  enum tls_context_kind kind;
  pthread_mutex_t changing;  // one change at a time; taken before mutex, and held for milliseconds
  pthread_mutex_t mutex;     // guards what follows, and the refs of editions; held for a moment
  struct edition *current;   // with a reference of its own
  struct list editions;      // that are in use, the current one included
  struct tls_session_stats past;  // of editions that are gone
};

static struct tls_context *allocate(enum tls_context_kind kind) {
  static _Atomic uint64_t last_number;
  struct tls_context *context = calloc(1, sizeof(*context));
  if (context != NULL) {
    context->magic = CONTEXT_MAGIC;
    context->kind = kind;
    context->number = atomic_fetch_add(&last_number, 1) + 1;
    atomic_init(&context->refs, 1);
    pthread_mutex_init(&context->changing, NULL);
    pthread_mutex_init(&context->mutex, NULL);
    list_init(&context->editions);
  }
  return context;
}

static void deallocate(struct tls_context *context) {
  pthread_mutex_destroy(&context->mutex);
  pthread_mutex_destroy(&context->changing);
  context->magic = 0;
  free(context);
}

// ---------------------------------------------------------------------------------------------
// Editions.

struct edition *tls_context_enter(struct tls_context *context) {
  OBJECT_CHECK(context, CONTEXT_MAGIC);
  pthread_mutex_lock(&context->mutex);
  struct edition *edition = context->current;
  edition->refs++;
  pthread_mutex_unlock(&context->mutex);
  return edition;
}

void tls_context_leave(struct tls_context *context, struct edition *edition) {
  pthread_mutex_lock(&context->mutex);
  bool last = --edition->refs == 0;
  if (last) {
    struct tls_session_stats stats = edition_stats(edition);
    stats.number = 0;  // its cache goes with it
    session_stats_add(&context->past, &stats);
    list_remove(&edition->link);
  }
  pthread_mutex_unlock(&context->mutex);
  if (last) {
    edition_free(edition);
  }
}

// Makes edition the current one and returns the last, whose reference is now the caller's.
static struct edition *swap(struct tls_context *context, struct edition *edition) {
  edition->refs = 1;
  pthread_mutex_lock(&context->mutex);
  struct edition *last = context->current;
  context->current = edition;
  list_push_back(&context->editions, &edition->link);
  pthread_mutex_unlock(&context->mutex);
  return last;
}

struct tls_session_stats tls_context_stats(struct tls_context *context) {
  pthread_mutex_lock(&context->mutex);
  struct tls_session_stats sum = context->past;
  LIST_FOR(it, &context->editions) {
    struct tls_session_stats stats = edition_stats(LIST_ENTRY(it, struct edition, link));
    session_stats_add(&sum, &stats);
  }
  pthread_mutex_unlock(&context->mutex);
  return sum;
}

// ---------------------------------------------------------------------------------------------

status_t tls_context_new(enum tls_context_kind kind, const struct tls_context_change *change,
                         struct tls_context **out, struct tls_error *error) {
  if (kind < TLS_CONTEXT_BOTH || kind > TLS_CONTEXT_SERVER) {
    return tls_refuse(error, "kind", "%d is no kind of context", (int)kind);
  }
  struct tls_context *context = allocate(kind);
  if (context == NULL) {
    return tls_out_of_memory(error);
  }
  struct edition *first;
  status_t made = edition_new(kind, NULL, change, &first, error);
  if (!status_ok(made)) {
    deallocate(context);
    return made;
  }
  swap(context, first);
  counter_add(COUNTER_contexts_made, 1);
  *out = context;
  return OK_STATUS;
}

static status_t change_locked(struct tls_context *context, const struct tls_context_change *change,
                              struct tls_error *error) {
  struct edition *next;
  // Only whoever holds `changing` replaces the current edition, so it can't go meanwhile.
  TRY(edition_new(context->kind, context->current, change, &next, error));
  tls_context_leave(context, swap(context, next));
  return OK_STATUS;
}

status_t tls_context_configure(struct tls_context *context, const struct tls_context_change *change,
                               struct tls_error *error) {
  OBJECT_CHECK(context, CONTEXT_MAGIC);
  pthread_mutex_lock(&context->changing);
  status_t status = change_locked(context, change, error);
  pthread_mutex_unlock(&context->changing);
  return status;
}

struct tls_context *tls_context_ref(struct tls_context *context) {
  OBJECT_CHECK(context, CONTEXT_MAGIC);
  atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
  return context;
}

void tls_context_unref(struct tls_context *context) {
  if (context == NULL) {
    return;
  }
  OBJECT_CHECK(context, CONTEXT_MAGIC);
  if (atomic_fetch_sub_explicit(&context->refs, 1, memory_order_acq_rel) == 1) {
    tls_context_leave(context, context->current);
    deallocate(context);
    counter_add(COUNTER_contexts_freed, 1);
  }
}

uint64_t tls_context_number(const struct tls_context *context) {
  OBJECT_CHECK(context, CONTEXT_MAGIC);
  return context->number;
}

enum tls_context_kind tls_context_get_kind(const struct tls_context *context) {
  OBJECT_CHECK(context, CONTEXT_MAGIC);
  return context->kind;
}
