#include "server/ring/dial.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/base/object.h"
#include "server/ring/op.h"
#include "server/ring/resolver.h"

enum { DIAL_MAGIC = 0x6469616c };

enum { ADDRESSES_MAX = 16 };  // tried of one name

// Exactly one thing is under way in each stage.
enum dial_stage {
  DIAL_RESOLVING,   // lookup is the resolver's
  DIAL_CONNECTING,  // connect is busy, or its cancellation is
  DIAL_FINISHING    // finish is scheduled
};

struct dial {
  uint32_t magic;
  enum dial_stage stage;
  bool cancelled;
  struct loop *loop;
  struct resolver *resolver;
  void (*done)(void *owner, const struct dial_result *result);
  void *owner;

  struct lookup lookup;
  struct addrinfo *next;  // the address to try next
  struct addrinfo known;  // the only one, where there is nothing to look up
  union {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
    struct sockaddr_un path;
  } address;
  unsigned num_tried;

  int fd;  // of the address being tried; -1 without
  struct ring_op connect;
  int connect_result;
  struct op_stopper stopper;
  struct timer timeout;
  bool timed_out;

  struct dial_result result;
  struct task finish;
};

static void free_dial(struct dial *dial) {
  if (dial->lookup.addresses != NULL) {
    freeaddrinfo(dial->lookup.addresses);
  }
  if (dial->fd >= 0) {
    close(dial->fd);
  }
  dial->magic = 0;
  free(dial);
}

static void on_finish(struct task *task) {
  struct dial *dial = LIST_ENTRY(task, struct dial, finish);
  struct dial_result result = dial->result;
  void (*done)(void *owner, const struct dial_result *result) = dial->done;
  void *owner = dial->owner;
  dial->fd = -1;
  free_dial(dial);
  done(owner, &result);
}

// From a task, so that done is never called from inside dial_start.
static void finish(struct dial *dial) {
  dial->stage = DIAL_FINISHING;
  dial->result.fd = dial->fd;
  task_schedule(dial->loop, &dial->finish, TASK_DATA);
}

// ---------------------------------------------------------------------------------------------
// Connecting, one address after another

static void start_connect(struct dial *dial, const struct addrinfo *address) {
  dial->connect.fd = dial->fd;
  dial->connect.address.data = address->ai_addr;
  dial->connect.address.len = address->ai_addrlen;
  dial->timed_out = false;
  op_start(dial->loop, &dial->connect);
  clock_time when = clock_add(clock_now(), resolver_connect_timeout(dial->resolver));
  if (!status_ok(timer_set(dial->loop, &dial->timeout, when))) {
    // The kernel's own limit, of a minute or two, has to do.
    return;
  }
}

static bool open_socket(struct dial *dial, const struct addrinfo *address) {
  dial->fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol);
  if (dial->fd < 0) {
    dial->result.os_errno = errno;
    return false;
  }
  return true;
}

static void try_next(struct dial *dial) {
  while (dial->next != NULL && dial->num_tried < ADDRESSES_MAX) {
    struct addrinfo *address = dial->next;
    dial->next = address->ai_next;
    dial->num_tried++;
    if (open_socket(dial, address)) {
      start_connect(dial, address);
      return;
    }
  }
  finish(dial);
}

static void give_up_address(struct dial *dial) {
  close(dial->fd);
  dial->fd = -1;
  dial->result.os_errno = dial->timed_out ? ETIMEDOUT : -dial->connect_result;
  try_next(dial);
}

static void succeed(struct dial *dial) {
  int on = 1;
  setsockopt(dial->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  dial->result.os_errno = 0;
  finish(dial);
}

// Goes on once neither the connect nor its cancellation is in flight.
static void go_on(struct dial *dial) {
  if (dial->stage != DIAL_CONNECTING || op_busy(&dial->connect) ||
      op_stopper_busy(&dial->stopper)) {
    return;
  }
  if (dial->cancelled) {
    free_dial(dial);
  } else if (dial->connect_result == 0) {
    succeed(dial);
  } else {
    give_up_address(dial);
  }
}

static void on_connected(struct ring_op *op, const struct op_result *result) {
  struct dial *dial = LIST_ENTRY(op, struct dial, connect);
  OBJECT_CHECK(dial, DIAL_MAGIC);
  bool is_over = dial->cancelled || dial->timed_out;
  if (op_outcome(OP_CONNECT, result->value) == OP_AGAIN && !is_over) {
    op_start(dial->loop, op);
    return;
  }
  dial->connect_result = result->value;
  timer_cancel(dial->loop, &dial->timeout);
  op_stopper_rest(&dial->stopper);
  go_on(dial);
}

static void on_rested(void *owner) {
  go_on(owner);
}

static void on_timeout(struct timer *timer) {
  struct dial *dial = LIST_ENTRY(timer, struct dial, timeout);
  dial->timed_out = true;
  op_stopper_stop(&dial->stopper);
}

static void start_connecting(struct dial *dial) {
  dial->stage = DIAL_CONNECTING;
  try_next(dial);
}

// ---------------------------------------------------------------------------------------------
// Resolving

static void on_resolved(struct message *message) {
  struct lookup *lookup = LIST_ENTRY(message, struct lookup, answered);
  struct dial *dial = LIST_ENTRY(lookup, struct dial, lookup);
  OBJECT_CHECK(dial, DIAL_MAGIC);
  if (dial->cancelled) {
    free_dial(dial);
  } else if (lookup->gai_error != 0) {
    dial->result.gai_error = lookup->gai_error;
    dial->result.os_errno = lookup->os_errno;
    finish(dial);
  } else {
    dial->next = lookup->addresses;
    start_connecting(dial);
  }
}

static void init(struct dial *dial, struct resolver *resolver) {
  dial->magic = DIAL_MAGIC;
  dial->loop = worker_loop(worker_current());
  dial->resolver = resolver;
  dial->fd = -1;
  dial->result.fd = -1;
  op_init(&dial->connect, OP_CONNECT, -1, on_connected);
  op_stopper_init(&dial->stopper, dial->loop, &dial->connect, on_rested, dial);
  timer_init(&dial->timeout, on_timeout);
  task_init(&dial->finish, on_finish);
  dial->lookup.worker = worker_current();
  dial->lookup.answered.run = on_resolved;
}

static void know(struct dial *dial, int family, socklen_t len) {
  dial->address.any.sa_family = (sa_family_t)family;
  dial->known = (struct addrinfo){.ai_family = family,
                                  .ai_socktype = SOCK_STREAM,
                                  .ai_addr = &dial->address.any,
                                  .ai_addrlen = len};
  dial->next = &dial->known;
}

// The plain forms of an address, which listeners dial again and again: getaddrinfo(3) costs ten
// times as much.
static bool is_plain_address(struct dial *dial, const char *host, uint16_t port) {
  if (inet_pton(AF_INET, host, &dial->address.ipv4.sin_addr) == 1) {
    dial->address.ipv4.sin_port = htons(port);
    know(dial, AF_INET, sizeof(dial->address.ipv4));
    return true;
  }
  if (inet_pton(AF_INET6, host, &dial->address.ipv6.sin6_addr) == 1) {
    dial->address.ipv6.sin6_port = htons(port);
    know(dial, AF_INET6, sizeof(dial->address.ipv6));
    return true;
  }
  return false;
}

static status_t start(struct dial *dial, const char *host, uint16_t port) {
  if (is_plain_address(dial, host, port)) {
    start_connecting(dial);
    return OK_STATUS;
  }
  if (lookup_numeric(&dial->lookup)) {
    dial->next = dial->lookup.addresses;
    start_connecting(dial);
    return OK_STATUS;
  }
  dial->stage = DIAL_RESOLVING;
  return resolver_queue(dial->resolver, &dial->lookup);
}

status_t dial_start(struct resolver *resolver, const char *host, uint16_t port,
                    void (*done)(void *owner, const struct dial_result *result), void *owner,
                    struct dial **out) {
  assert(worker_current() != NULL);
  struct dial *dial = calloc(1, sizeof(*dial));
  ENSURE(dial != NULL, RESOURCE_EXHAUSTED);
  status_t status = lookup_init(&dial->lookup, host, port);
  init(dial, resolver);
  dial->done = done;
  dial->owner = owner;
  if (status_ok(status)) {
    status = start(dial, host, port);
  }
  if (!status_ok(status)) {
    free_dial(dial);
    return status;
  }
  *out = dial;
  return OK_STATUS;
}

status_t dial_unix_start(struct resolver *resolver, const char *path,
                         void (*done)(void *owner, const struct dial_result *result), void *owner,
                         struct dial **out) {
  assert(worker_current() != NULL);
  ENSURE(path[0] != '\0' && strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path),
         INVALID_ARGUMENT);
  struct dial *dial = calloc(1, sizeof(*dial));
  ENSURE(dial != NULL, RESOURCE_EXHAUSTED);
  init(dial, resolver);
  dial->done = done;
  dial->owner = owner;
  snprintf(dial->address.path.sun_path, sizeof(dial->address.path.sun_path), "%s", path);
  know(dial, AF_UNIX, sizeof(dial->address.path));
  start_connecting(dial);
  *out = dial;
  return OK_STATUS;
}

void dial_cancel(struct dial *dial) {
  OBJECT_CHECK(dial, DIAL_MAGIC);
  assert(!dial->cancelled);
  dial->cancelled = true;
  switch (dial->stage) {
    case DIAL_RESOLVING:
      if (resolver_withdraw(dial->resolver, &dial->lookup)) {
        free_dial(dial);
      }
      return;
    case DIAL_CONNECTING:
      timer_cancel(dial->loop, &dial->timeout);
      op_stopper_stop(&dial->stopper);
      return;
    case DIAL_FINISHING:
      task_cancel(&dial->finish);
      free_dial(dial);
      return;
  }
}
