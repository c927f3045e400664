// A deposit is a handle of its client's, which is how it is counted and how it ends with him; it is
// found by its token, in a list of all.
#include "server/rpc/deposit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "server/rpc/rpc_priv.h"

struct deposit {
  uint32_t magic;
  size_t refs;  // atomic
  struct deposits *all;
  struct client *client;  // a reference
  uint64_t handle;
  enum deposit_way way;
  clock_time until;
  uint8_t token[DEPOSIT_TOKEN_BYTES];
  // Under all->lock.
  struct list link;  // in all->list, while its token is good
  bool ended;
  int fd;  // -1: nothing is there, or not any more
};

void deposits_init(struct deposits *deposits) {
  pthread_mutex_init(&deposits->lock, NULL);
  list_init(&deposits->list);
}

void deposits_cleanup(struct deposits *deposits) {
  assert(list_empty(&deposits->list));  // every client has ended
  pthread_mutex_destroy(&deposits->lock);
}

// ---------------------------------------------------------------------------------------------
// As a handle

static void ref(void *object) {
  struct deposit *deposit = object;
  OBJECT_CHECK(deposit, DEPOSIT_MAGIC);
  __atomic_fetch_add(&deposit->refs, 1, __ATOMIC_RELAXED);
}

static void unref(void *object) {
  struct deposit *deposit = object;
  OBJECT_CHECK(deposit, DEPOSIT_MAGIC);
  if (__atomic_sub_fetch(&deposit->refs, 1, __ATOMIC_ACQ_REL) > 0) {
    return;
  }
  assert(deposit->fd < 0);
  client_unref(deposit->client);
  explicit_bzero(deposit, sizeof(*deposit));
  free(deposit);
  counter_add(COUNTER_tokens_freed, 1);
}

static void end(void *object) {
  struct deposit *deposit = object;
  OBJECT_CHECK(deposit, DEPOSIT_MAGIC);
  pthread_mutex_lock(&deposit->all->lock);
  int fd = deposit->fd;
  deposit->fd = -1;
  deposit->ended = true;
  list_remove(&deposit->link);
  pthread_mutex_unlock(&deposit->all->lock);
  if (fd >= 0) {
    closer_close(client_peer(deposit->client)->uid, fd);
  }
}

static const struct handle_kind deposit_handles = {
    .name = "descriptor token",
    .quota = QUOTA_DESCRIPTOR_TOKENS,
    .ref = ref,
    .unref = unref,
    .end = end,
};

// Ends it, unless its client has been faster, and gives the caller's reference back.
static void drop(struct deposit *deposit) {
  status_t dropped = handle_drop(deposit->client, &deposit_handles, deposit->handle);
  (void)dropped;
  unref(deposit);
}

// ---------------------------------------------------------------------------------------------
// Time. Each worker has one timer, which is set while something is there that it has made.

static struct deposit *first(const struct deposits *deposits) {
  return list_empty(&deposits->list) ? NULL : LIST_ENTRY(deposits->list.next, struct deposit, link);
}

// Takes the oldest out of the list if its time is over, with a reference.
static struct deposit *pop_expired(struct deposits *deposits, clock_time now) {
  pthread_mutex_lock(&deposits->lock);
  struct deposit *oldest = first(deposits);
  if (oldest != NULL && oldest->until > now) {
    oldest = NULL;
  }
  if (oldest != NULL) {
    list_remove(&oldest->link);
    ref(oldest);
  }
  pthread_mutex_unlock(&deposits->lock);
  return oldest;
}

static void end_expired(struct deposits *deposits, clock_time now) {
  struct deposit *expired;
  while ((expired = pop_expired(deposits, now)) != NULL) {
    drop(expired);
  }
}

static clock_time next_expiry(struct deposits *deposits) {
  pthread_mutex_lock(&deposits->lock);
  const struct deposit *oldest = first(deposits);
  clock_time when = oldest == NULL ? CLOCK_NEVER : oldest->until;
  pthread_mutex_unlock(&deposits->lock);
  return when;
}

void deposits_expire(struct timer *due) {
  struct rpc_home *home = LIST_ENTRY(due, struct rpc_home, deposits_due);
  struct deposits *deposits = &home->server->deposits;
  end_expired(deposits, clock_now());
  clock_time next = next_expiry(deposits);
  if (next != CLOCK_NEVER && !status_ok(timer_set(home->loop, due, next))) {
    end_expired(deposits, CLOCK_NEVER);  // nobody would come again
  }
}

// The timer may be set for an older one: it goes on from there to this one.
static status_t watch(struct rpc_server *server, clock_time until) {
  struct rpc_home *home = rpc_home_here(server);
  return home->deposits_due.place != 0 ? OK_STATUS
                                       : timer_set(home->loop, &home->deposits_due, until);
}

// ---------------------------------------------------------------------------------------------
// Finding. The lock is held.

// Looks at all of them: how long this takes says nothing about a guess. What has expired is gone,
// whether its timer has come or not.
static struct deposit *find(struct deposits *deposits, struct slice token, enum deposit_way way) {
  struct deposit *found = NULL;
  LIST_FOR(link, &deposits->list) {
    struct deposit *deposit = LIST_ENTRY(link, struct deposit, link);
    found = token_equal(deposit->token, token) ? deposit : found;
  }
  bool good = found != NULL && found->way == way && found->until > clock_now();
  return good ? found : NULL;
}

static struct deposit *find_of_client(struct call *call, struct slice token, enum deposit_way way) {
  struct deposit *found = find(&call->home->server->deposits, token, way);
  return found != NULL && found->client == call_client(call) ? found : NULL;
}

static struct deposit *find_of_user(struct deposits *deposits, const struct peer *peer,
                                    struct slice token, enum deposit_way way) {
  struct deposit *found = find(deposits, token, way);
  return found != NULL && client_peer(found->client)->uid == peer->uid ? found : NULL;
}

// Takes the descriptor out, and with it the deposit, with a reference. NULL when there is none.
static struct deposit *empty(struct deposit *found, int *out) {
  if (found == NULL || found->fd < 0) {
    return NULL;
  }
  *out = found->fd;
  found->fd = -1;
  list_remove(&found->link);
  ref(found);
  return found;
}

// Puts the descriptor in, where none has been.
static bool fill(struct deposit *found, int fd) {
  if (found == NULL || found->fd >= 0) {
    return false;
  }
  found->fd = fd;
  return true;
}

static status_t end_emptied(struct deposit *emptied) {
  ENSURE(emptied != NULL, NOT_FOUND);
  drop(emptied);
  return OK_STATUS;
}

// ---------------------------------------------------------------------------------------------
// Making one

static struct deposit *allocate(struct call *call, enum deposit_way way) {
  struct rpc_server *server = call->home->server;
  struct deposit *deposit = malloc(sizeof(*deposit));
  if (deposit == NULL) {
    return NULL;
  }
  *deposit = (struct deposit){.magic = DEPOSIT_MAGIC,
                              .refs = 1,
                              .all = &server->deposits,
                              .client = call_client(call),
                              .way = way,
                              .fd = -1};
  list_init(&deposit->link);
  client_ref(deposit->client);
  counter_add(COUNTER_tokens_made, 1);
  return deposit;
}

static uint64_t lifetime(const struct rpc_server *server) {
  return server->limits.descriptor_token_millis * NANOS_PER_MILLI;
}

static status_t prepare(struct deposit *deposit, struct rpc_server *server) {
  TRY(token_make(deposit->token));
  return watch(server, clock_add(clock_now(), lifetime(server)));
}

// From here on it can be found. The client may have ended just now.
static status_t enter(struct deposit *deposit, uint64_t handle, uint64_t nanos) {
  pthread_mutex_lock(&deposit->all->lock);
  bool ended = deposit->ended;
  deposit->handle = handle;
  deposit->until = clock_add(clock_now(), nanos);
  if (!ended) {
    list_push_back(&deposit->all->list, &deposit->link);
  }
  pthread_mutex_unlock(&deposit->all->lock);
  ENSURE(!ended, FAILED_PRECONDITION);
  return OK_STATUS;
}

// Takes the caller's reference over, in any case: it is the handle's then.
static status_t name(struct call *call, struct deposit *deposit, uint64_t *out) {
  status_t added = prepare(deposit, call->home->server);
  if (status_ok(added)) {
    added = handle_add(call_client(call), &deposit_handles, deposit, out);
  }
  if (!status_ok(added)) {
    unref(deposit);
  }
  return added;
}

status_t deposit_new(struct call *call, enum deposit_way way, uint8_t out[DEPOSIT_TOKEN_BYTES]) {
  struct deposit *made = allocate(call, way);
  uint64_t handle = 0;
  ENSURE(made != NULL, RESOURCE_EXHAUSTED);
  TRY(name(call, made, &handle));
  struct deposit *deposit = handle_get(call_client(call), &deposit_handles, handle);
  ENSURE(deposit != NULL, FAILED_PRECONDITION);
  memcpy(out, deposit->token, DEPOSIT_TOKEN_BYTES);
  status_t entered = enter(deposit, handle, lifetime(call->home->server));
  unref(deposit);
  return entered;
}

// ---------------------------------------------------------------------------------------------
// The call's side

status_t deposit_take(struct call *call, struct slice token, int *out) {
  struct deposits *deposits = &call->home->server->deposits;
  pthread_mutex_lock(&deposits->lock);
  struct deposit *emptied = empty(find_of_client(call, token, DEPOSIT_IN), out);
  pthread_mutex_unlock(&deposits->lock);
  return end_emptied(emptied);
}

void deposit_leave(struct call *call, const uint8_t token[DEPOSIT_TOKEN_BYTES], int fd) {
  struct deposits *deposits = &call->home->server->deposits;
  pthread_mutex_lock(&deposits->lock);
  struct deposit *found = find_of_client(call, slice_of(token, DEPOSIT_TOKEN_BYTES), DEPOSIT_OUT);
  bool left = fill(found, fd);
  pthread_mutex_unlock(&deposits->lock);
  if (!left) {
    closer_close(client_peer(call_client(call))->uid, fd);
  }
}

void deposit_drop(struct call *call, const uint8_t token[DEPOSIT_TOKEN_BYTES]) {
  struct deposits *deposits = &call->home->server->deposits;
  pthread_mutex_lock(&deposits->lock);
  struct deposit *found = find_of_client(call, slice_of(token, DEPOSIT_TOKEN_BYTES), DEPOSIT_OUT);
  if (found != NULL) {
    ref(found);
  }
  pthread_mutex_unlock(&deposits->lock);
  if (found != NULL) {
    drop(found);
  }
}

// ---------------------------------------------------------------------------------------------
// The other side

status_t deposit_put(struct deposits *deposits, const struct peer *peer, struct slice token,
                     int fd) {
  pthread_mutex_lock(&deposits->lock);
  bool put = fill(find_of_user(deposits, peer, token, DEPOSIT_IN), fd);
  pthread_mutex_unlock(&deposits->lock);
  ENSURE(put, NOT_FOUND);
  return OK_STATUS;
}

status_t deposit_fetch(struct deposits *deposits, const struct peer *peer, struct slice token,
                       int *out) {
  pthread_mutex_lock(&deposits->lock);
  struct deposit *emptied = empty(find_of_user(deposits, peer, token, DEPOSIT_OUT), out);
  pthread_mutex_unlock(&deposits->lock);
  return end_emptied(emptied);
}
