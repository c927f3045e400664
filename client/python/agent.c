#include "client/python/agent.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/c/address.h"
#include "client/c/client.h"
#include "client/c/error.h"

enum {
  // Calls on the memory path never wait for a peer, so that a few connections serve any number of
  // threads; and the daemon has a limit for all processes of a user.
  CONNECTIONS_MAX = 16,
  // Connecting and saying hello. Only a daemon that is stuck takes that long.
  OPEN_TIMEOUT_MS = 10000,
  // Drops under way on one connection; the daemon takes 64 calls.
  DROPS_MAX = 32
};

// struct slot is a connection of the pool.
struct slot {
  struct tlsagent_client *client;  // NULL: a free slot
  uint64_t incarnation;
  bool taken;
};

// struct drop is a context or session on its way out.
struct drop {
  struct drop *next;
  struct agent_handle handle;
  bool overdue;  // it was kept for forked children, long enough
};

// Everything here is guarded by lock, which is never held while waiting for the daemon, and which
// a forked child gets unlocked.
static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;  // a slot became idle or free, or connecting ended

  int64_t process;       // whose this state is
  uint64_t forks;        // how often the process has forked
  uint64_t incarnation;  // of the client that the connections belong to
  bool has_token;        // whether there is such a client
  uint8_t token[TLSAGENT_TOKEN_LENGTH];
  bool connecting;  // somebody is making the first connection of a client

  struct slot slots[CONNECTIONS_MAX];
  size_t idle[CONNECTIONS_MAX];  // a stack of slots: the last one used is the next
  size_t num_idle;

  // The parent's, unused here. Until this process has joined the parent's client, it keeps the
  // client alive should the parent exit.
  struct tlsagent_client *anchor;

  struct drop *drops;

  // Contexts that a child may still use, dropped here: the oldest first. Children that forked long
  // ago don't keep them for ever.
  struct drop *shared;
  struct drop **last_shared;
  size_t num_shared;
} agent = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .incarnation = 1};

static struct tla_address address;
static struct tlsagent_error address_error;  // why there is no address

// --- Forks ---

static void before_fork(void) {
  pthread_mutex_lock(&agent.lock);
}

static void after_fork_in_parent(void) {
  agent.forks++;
  pthread_mutex_unlock(&agent.lock);
}

// A connection that another thread was using may be in any state: only its descriptor is closed.
// Of the idle ones the last is kept as the anchor.
static void abandon(struct slot *slot) {
  if (slot->client != NULL && slot->taken) {
    close(tlsagent_client_fd(slot->client));
  } else if (agent.anchor == NULL) {
    agent.anchor = slot->client;
  } else {
    tlsagent_client_close(slot->client);
  }
  *slot = (struct slot){.client = NULL};
}

static void after_fork_in_child(void) {
  pthread_mutex_init(&agent.lock, NULL);
  pthread_cond_init(&agent.changed, NULL);
  agent.process = getpid();
  agent.forks = 0;
  agent.connecting = false;
  agent.num_idle = 0;
  for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
    abandon(&agent.slots[i]);
  }
  agent.drops = NULL;  // the parent does these
  agent.shared = NULL;
  agent.num_shared = 0;
}

static void start(void) {
  agent.process = getpid();
  if (!tla_address_parse(&address, NULL, &address_error)) {
    address.text[0] = '\0';
  }
  pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

static void start_once(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, start);
}

// --- The client that the connections belong to ---

static void wipe_token(void) {
  explicit_bzero(agent.token, sizeof(agent.token));
  agent.has_token = false;
}

// Ends the incarnation: what it made is gone. Connections that are in use are closed when they come
// back. Returns the idle ones' clients in `out`, to be closed without the lock.
static size_t end_incarnation(struct tlsagent_client **out) {
  const size_t num = agent.num_idle;
  agent.incarnation++;
  wipe_token();
  for (size_t i = 0; i < num; i++) {
    struct slot *slot = &agent.slots[agent.idle[i]];
    out[i] = slot->client;
    *slot = (struct slot){.client = NULL};
  }
  agent.num_idle = 0;
  pthread_cond_broadcast(&agent.changed);
  return num;
}

static void close_all(struct tlsagent_client **clients, size_t num) {
  for (size_t i = 0; i < num; i++) {
    tlsagent_client_close(clients[i]);
  }
}

static struct slot *slot_of(const struct tlsagent_client *client) {
  size_t i = 0;
  while (agent.slots[i].client != client) {
    i++;
    assert(i < CONNECTIONS_MAX);
  }
  return &agent.slots[i];
}

// Notes that a taken connection is lost, unless somebody noticed another one's loss before.
static void lose(struct tlsagent_client *client) {
  struct tlsagent_client *others[CONNECTIONS_MAX + 1];
  size_t num = 0;
  pthread_mutex_lock(&agent.lock);
  struct slot *slot = slot_of(client);
  if (slot->incarnation == agent.incarnation) {
    num = end_incarnation(others);
  }
  others[num++] = client;
  *slot = (struct slot){.client = NULL};
  pthread_cond_signal(&agent.changed);
  pthread_mutex_unlock(&agent.lock);
  close_all(others, num);
}

// --- Connecting ---

static struct slot *free_slot(void) {
  for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
    if (agent.slots[i].client == NULL && !agent.slots[i].taken) {
      return &agent.slots[i];
    }
  }
  return NULL;
}

static struct tlsagent_client *open_client(const uint8_t *token, struct tlsagent_error *error) {
  const struct tlsagent_client_options options = {.address = address.text, .token = token};
  if (address.text[0] == '\0') {
    *error = address_error;
    return NULL;
  }
  return tlsagent_client_open(&options, OPEN_TIMEOUT_MS, error);
}

// Whether the daemon is there and doesn't know the client any more.
static bool is_forgotten(const struct tlsagent_error *error) {
  return error->fault == TLSAGENT_FAULT_REFUSED && error->rpc_code == TLSAGENT_RPC_UNAUTHENTICATED;
}

// Puts a fresh connection into the slot, which was reserved. It is of the incarnation `joined`, or,
// with 0, of a client of its own.
static void fill(struct slot *slot, struct tlsagent_client *client, uint64_t joined) {
  if (joined == 0) {
    memcpy(agent.token, tlsagent_client_token(client), sizeof(agent.token));
    agent.has_token = true;
  }
  *slot = (struct slot){
      .client = client, .incarnation = joined == 0 ? agent.incarnation : joined, .taken = true};
}

// The client is gone: the next connection makes another.
static void forget_client(uint64_t incarnation) {
  if (agent.incarnation == incarnation) {
    struct tlsagent_client *idle[CONNECTIONS_MAX];
    close_all(idle, end_incarnation(idle));
  }
}

static void drop_anchor(void) {
  tlsagent_client_close(agent.anchor);
  agent.anchor = NULL;
}

// Opens a connection in a free slot, with the lock held on entry and on return but not meanwhile.
// Connections of the same client are opened side by side, but the first of a client by itself: two
// at a time would be two clients.
static struct tlsagent_client *connect_slot(struct slot *slot, struct tlsagent_error *error) {
  uint8_t token[TLSAGENT_TOKEN_LENGTH];
  const uint64_t joined = agent.has_token ? agent.incarnation : 0;
  memcpy(token, agent.token, sizeof(token));
  slot->taken = true;
  agent.connecting = joined == 0;
  pthread_mutex_unlock(&agent.lock);
  struct tlsagent_client *client = open_client(joined == 0 ? NULL : token, error);
  explicit_bzero(token, sizeof(token));
  pthread_mutex_lock(&agent.lock);
  if (joined == 0) {
    agent.connecting = false;
    pthread_cond_broadcast(&agent.changed);
  }
  if (client == NULL) {
    *slot = (struct slot){.client = NULL};
    pthread_cond_signal(&agent.changed);
    return NULL;
  }
  fill(slot, client, joined);
  drop_anchor();
  return client;
}

// --- Taking and giving ---

enum { ANY_HOME = -1 };

// Where in the stack of idle ones the connection in slot `home` is; the last used if it isn't.
static size_t idle_place(int home) {
  for (size_t i = 0; i < agent.num_idle; i++) {
    if ((int)agent.idle[i] == home) {
      return i;
    }
  }
  return agent.num_idle - 1;
}

static struct tlsagent_client *pop_idle(int home) {
  const size_t place = idle_place(home);
  struct slot *slot = &agent.slots[agent.idle[place]];
  agent.num_idle--;
  memmove(&agent.idle[place], &agent.idle[place + 1],
          (agent.num_idle - place) * sizeof(agent.idle[0]));
  slot->taken = true;
  return slot->client;
}

static bool may_connect(void) {
  return !agent.connecting && free_slot() != NULL;
}

// Whether other threads have connections, which will be idle soon.
static bool some_are_taken(void) {
  for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
    if (agent.slots[i].client != NULL && agent.slots[i].incarnation == agent.incarnation) {
      return true;
    }
  }
  return false;
}

// After a failure to connect: whether to go on, with a client of our own or other threads'
// connections.
static bool may_go_on(uint64_t joined, const struct tlsagent_error *error) {
  if (joined != 0 && is_forgotten(error)) {
    forget_client(joined);
    return true;
  }
  return some_are_taken();
}

// An idle connection or a new one, with the lock held.
static struct tlsagent_client *take(int home, struct tlsagent_error *error) {
  bool failed = false;
  for (;;) {
    const uint64_t joined = agent.has_token ? agent.incarnation : 0;
    if (agent.num_idle > 0) {
      return pop_idle(home);
    }
    if (may_connect() && !(failed && joined != 0)) {
      struct tlsagent_client *client = connect_slot(free_slot(), error);
      if (client != NULL || !may_go_on(joined, error)) {
        return client;
      }
      failed = true;
    } else if (failed && !some_are_taken()) {
      return NULL;
    } else {
      pthread_cond_wait(&agent.changed, &agent.lock);
    }
  }
}

static bool refuse_inherited(int64_t process, struct tlsagent_error *error) {
  return tla_fail(error, TLSAGENT_FAULT_USAGE,
                  "this TLS connection belongs to process %lld, which made it; a forked child can "
                  "use the parent's contexts and make connections of its own",
                  (long long)process);
}

static bool is_good(const struct agent_handle *handle, struct tlsagent_error *error) {
  if (handle->kind == AGENT_SESSION && handle->process != agent.process) {
    return refuse_inherited(handle->process, error);
  }
  if (handle->incarnation != agent.incarnation) {
    tla_fail(error, TLSAGENT_FAULT_LOST,
             "tlsagentd at %s went away, and this %s with it: make it anew", address.text,
             handle->kind == AGENT_SESSION ? "TLS connection" : "context");
    error->os_errno = ECONNRESET;
    return false;
  }
  return true;
}

// A connection with which the handle means something. Looking again after taking: a new connection
// may be to a new daemon.
static struct tlsagent_client *take_for(const struct agent_handle *handle,
                                        struct tlsagent_error *error) {
  struct tlsagent_client *client = NULL;
  bool good;
  pthread_mutex_lock(&agent.lock);
  good = is_good(handle, error);
  if (good) {
    client = take(handle->kind == AGENT_SESSION ? handle->home : ANY_HOME, error);
    good = client != NULL && is_good(handle, error);
  }
  pthread_mutex_unlock(&agent.lock);
  if (client != NULL && !good) {
    agent_give(client);
    return NULL;
  }
  return client;
}

// A connection to a daemon that is there. An idle one may have been lost since its last call, which
// only matters to calls that need nothing of what was lost.
static struct tlsagent_client *take_fresh(struct tlsagent_error *error) {
  for (;;) {
    pthread_mutex_lock(&agent.lock);
    struct tlsagent_client *client = take(ANY_HOME, error);
    pthread_mutex_unlock(&agent.lock);
    if (client == NULL || tlsagent_poll(client, NULL)) {
      return client;
    }
    lose(client);
  }
}

struct tlsagent_client *agent_take(const struct agent_handle *handle,
                                   struct tlsagent_error *error) {
  start_once();
  return handle == NULL ? take_fresh(error) : take_for(handle, error);
}

struct agent_handle agent_made(struct tlsagent_client *client, enum agent_kind kind,
                               uint64_t number) {
  pthread_mutex_lock(&agent.lock);
  const struct slot *slot = slot_of(client);
  const struct agent_handle handle = {.kind = kind,
                                      .number = number,
                                      .home = (int)(slot - agent.slots),
                                      .incarnation = slot->incarnation,
                                      .process = agent.process,
                                      .forks = agent.forks};
  pthread_mutex_unlock(&agent.lock);
  return handle;
}

// --- Dropping ---

// Whether the handle is still there, and this process's.
static bool is_ours(const struct agent_handle *handle) {
  return handle->number != 0 && handle->incarnation == agent.incarnation &&
         handle->process == agent.process;
}

// A forked child has the contexts of before the fork too.
static bool is_shared(const struct drop *drop) {
  return drop->handle.kind == AGENT_CONTEXT && drop->handle.forks != agent.forks && !drop->overdue;
}

static void push_drop(struct drop *drop) {
  drop->next = agent.drops;
  agent.drops = drop;
}

static struct drop *pop_drop(void) {
  struct drop *drop = agent.drops;
  if (drop != NULL) {
    agent.drops = drop->next;
  }
  return drop;
}

// Keeps what a child may use, and lets the oldest of them go when there are many.
static void keep_shared(struct drop *drop) {
  enum { SHARED_MAX = 64 };
  drop->next = NULL;
  if (agent.shared == NULL) {
    agent.last_shared = &agent.shared;
  }
  *agent.last_shared = drop;
  agent.last_shared = &drop->next;
  agent.num_shared++;
  if (agent.num_shared > SHARED_MAX) {
    struct drop *oldest = agent.shared;
    agent.shared = oldest->next;
    agent.num_shared--;
    oldest->overdue = true;
    push_drop(oldest);
  }
}

// A daemon that has too much to do refuses; then it is asked again.
static void dropped(void *user, bool ok, void *reply, const struct tlsagent_error *error) {
  struct drop *drop = user;
  tlsagent_free(reply);
  if (!ok && error->fault == TLSAGENT_FAULT_REFUSED &&
      error->rpc_code == TLSAGENT_RPC_RESOURCE_EXHAUSTED) {
    pthread_mutex_lock(&agent.lock);
    push_drop(drop);
    pthread_mutex_unlock(&agent.lock);
    return;
  }
  free(drop);
}

static bool submit_drop(struct tlsagent_client *client, struct drop *drop) {
  const enum tlsagent_method method =
      drop->handle.kind == AGENT_SESSION ? TLSAGENT_SESSION_CLOSE : TLSAGENT_CONTEXT_RELEASE;
  const struct tlsagent_handle_request request = {.handle = drop->handle.number};
  return tlsagent_submit(client, method, &request, 0, dropped, drop, NULL) != 0;
}

// The next one to drop, past those that are over.
static struct drop *next_drop(void) {
  pthread_mutex_lock(&agent.lock);
  struct drop *drop = pop_drop();
  while (drop != NULL && (!is_ours(&drop->handle) || is_shared(drop))) {
    if (is_ours(&drop->handle)) {
      keep_shared(drop);
    } else {
      free(drop);
    }
    drop = pop_drop();
  }
  pthread_mutex_unlock(&agent.lock);
  return drop;
}

// Whether another drop may be submitted. Answers to earlier ones are taken in when they pile up.
static bool has_room(struct tlsagent_client *client) {
  if (tlsagent_client_in_flight(client) < DROPS_MAX) {
    return true;
  }
  return tlsagent_poll(client, NULL) && tlsagent_client_in_flight(client) < DROPS_MAX;
}

// Sends off what waits to be dropped, as far as a taken connection does without waiting.
static void send_drops(struct tlsagent_client *client) {
  for (size_t i = 0; i < DROPS_MAX && has_room(client); i++) {
    struct drop *drop = next_drop();
    if (drop == NULL) {
      return;
    }
    if (!submit_drop(client, drop)) {
      pthread_mutex_lock(&agent.lock);
      push_drop(drop);
      pthread_mutex_unlock(&agent.lock);
      return;
    }
  }
}

void agent_drop(struct agent_handle handle) {
  struct tlsagent_client *client = NULL;
  struct drop *drop = handle.number == 0 ? NULL : malloc(sizeof(*drop));
  if (drop == NULL) {
    return;  // without memory it stays until the client ends
  }
  *drop = (struct drop){.handle = handle};
  pthread_mutex_lock(&agent.lock);
  push_drop(drop);
  if (agent.num_idle > 0) {
    client = pop_idle(ANY_HOME);
  }
  pthread_mutex_unlock(&agent.lock);
  if (client != NULL) {
    agent_give(client);
  }
}

// --- Giving ---

// Puts a good connection back; false when its incarnation is over.
static bool put_back(struct tlsagent_client *client) {
  pthread_mutex_lock(&agent.lock);
  struct slot *slot = slot_of(client);
  const bool current = slot->incarnation == agent.incarnation;
  if (current) {
    slot->taken = false;
    agent.idle[agent.num_idle++] = (size_t)(slot - agent.slots);
    pthread_cond_signal(&agent.changed);
  }
  pthread_mutex_unlock(&agent.lock);
  return current;
}

void agent_give(struct tlsagent_client *client) {
  send_drops(client);
  if (!tla_client_usable(client, NULL) || !put_back(client)) {
    lose(client);
  }
}

bool agent_owns(int64_t *process, struct tlsagent_error *error) {
  start_once();
  if (*process == 0) {
    *process = agent.process;
  }
  return *process == agent.process || refuse_inherited(*process, error);
}

const char *agent_address(void) {
  start_once();
  return address.text;
}

// --- Watching ---

int agent_watch(const struct agent_handle *handle) {
  int fd = -1;
  pthread_mutex_lock(&agent.lock);
  for (size_t i = 0; fd < 0 && i < CONNECTIONS_MAX; i++) {
    const struct slot *slot = &agent.slots[i];
    if (slot->client != NULL && slot->incarnation == handle->incarnation) {
      fd = tlsagent_client_fd(slot->client);
    }
  }
  pthread_mutex_unlock(&agent.lock);
  return fd;
}

bool agent_check(const struct agent_handle *handle, struct tlsagent_error *error) {
  struct tlsagent_client *client = agent_take(handle, error);
  bool there = client != NULL && tlsagent_agent_ping(client, NULL, 0, OPEN_TIMEOUT_MS, error);
  if (client != NULL) {
    agent_give(client);
  }
  return there;
}
