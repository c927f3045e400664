// Workers: threads with a loop each, and the mailboxes between them.
#ifndef TLSAGENT_SERVER_RING_WORKER_H_
#define TLSAGENT_SERVER_RING_WORKER_H_

#include <stddef.h>

#include "server/base/status.h"
#include "server/ring/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

struct worker;
struct worker_pool;

// A message to a worker. It lives in the sender's object, so that posting never fails and never
// allocates; it may be in one mailbox at a time, and is out of it when run is called.
struct message {
  struct message *next;
  void (*run)(struct message *message);
};

// worker_post hands the message to the worker, on whose thread run is called. Any thread may post;
// messages of one sender arrive in order. A worker is woken by IORING_OP_MSG_RING from another
// worker, by its eventfd from any other thread. Posting to the own worker is a message too, run in
// a later turn.
void worker_post(struct worker *to, struct message *message);

// worker_current returns the worker whose thread this is, or NULL.
struct worker *worker_current(void);

struct loop *worker_loop(struct worker *worker);
unsigned worker_index(const struct worker *worker);

// worker_load_add counts what is placed on a worker (sessions); any thread.
void worker_load_add(struct worker *worker, int change);
unsigned worker_load(const struct worker *worker);

struct worker_config {
  unsigned num_workers;
  unsigned ring_entries;         // submission entries of each ring, a power of two
  unsigned num_buffers;          // receive buffers of each worker, a power of two
  size_t buffer_size;            // bytes of each
  unsigned handshakes_per_turn;  // TASK_HANDSHAKE tasks run in one turn
};

// worker_pool_new makes the rings and starts the threads. On failure *out_why says what the kernel
// refused and what would mend it, in one line (static storage).
status_t worker_pool_new(const struct worker_config *config, struct worker_pool **out,
                         const char **out_why);
unsigned worker_pool_size(const struct worker_pool *pool);
struct worker *worker_pool_at(struct worker_pool *pool, unsigned index);
// worker_pool_least_loaded prefers the given worker when loads are equal.
struct worker *worker_pool_least_loaded(struct worker_pool *pool, struct worker *preferred);
// worker_pool_near prefers it as long as its load isn't out of proportion: work that comes to that
// worker, and goes back from it, is then done without a second thread.
struct worker *worker_pool_near(struct worker_pool *pool, struct worker *preferred);
// worker_pool_free stops every worker once its loop has nothing in flight, joins the threads and
// frees the rings. Everything placed on the workers must have been closed before.
void worker_pool_free(struct worker_pool *pool);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_RING_WORKER_H_
