#include "client/load/via.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/ring/op.h"

enum {
  CONNS_A_LINK = 24,  // each may have two calls in flight and a close, of 64
  LINKS_MAX = 128,
  OPEN_TIMEOUT_MS = 10000,
};

struct via_link {
  struct via *via;
  struct tlsagent_client *client;
  bool lost;
  struct ring_op readable;
  struct op_stopper readable_stopper;
  struct ring_op writable;
  struct op_stopper writable_stopper;
  struct timer due;
  struct task again;
};

struct via {
  struct loop *loop;
  uint64_t context;
  bool stopping;
  struct via_link *links;
  size_t num_links;
};

// ---------------------------------------------------------------------------------------------
// The loop's side: each link is polled when its descriptor, or its time, says so

static void listen_for(struct via_link *link, struct ring_op *op) {
  if (!link->via->stopping && !link->lost && !op_busy(op)) {
    op_start(link->via->loop, op);
  }
}

// What the library wants to be told of, after each use of it.
static void watch(struct via_link *link) {
  listen_for(link, &link->readable);
  if (tlsagent_client_wants_write(link->client)) {
    listen_for(link, &link->writable);
  }
  int ms = tlsagent_client_timeout_ms(link->client);
  if (link->lost || link->via->stopping || ms < 0) {
    return;
  }
  clock_time when = clock_add(clock_now(), (uint64_t)ms * NANOS_PER_MILLI);
  if (ms == 0 || !status_ok(timer_set(link->via->loop, &link->due, when))) {
    task_schedule(link->via->loop, &link->again, TASK_DATA);
  }
}

static void pump(struct via_link *link) {
  if (!link->via->stopping && !link->lost) {
    link->lost = !tlsagent_poll(link->client, NULL);
    watch(link);
  }
}

static void on_readable(struct ring_op *op, const struct op_result *result) {
  (void)result;
  struct via_link *link = LIST_ENTRY(op, struct via_link, readable);
  op_stopper_rest(&link->readable_stopper);
  pump(link);
}

static void on_writable(struct ring_op *op, const struct op_result *result) {
  (void)result;
  struct via_link *link = LIST_ENTRY(op, struct via_link, writable);
  op_stopper_rest(&link->writable_stopper);
  pump(link);
}

static void on_due(struct timer *timer) {
  pump(LIST_ENTRY(timer, struct via_link, due));
}

static void on_again(struct task *task) {
  pump(LIST_ENTRY(task, struct via_link, again));
}

static void on_rested(void *owner) {
  (void)owner;
}

static void start_link(struct via_link *link) {
  struct loop *loop = link->via->loop;
  int fd = tlsagent_client_fd(link->client);
  op_init(&link->readable, OP_POLL, fd, on_readable);
  link->readable.events = POLLIN;
  op_init(&link->writable, OP_POLL, fd, on_writable);
  link->writable.events = POLLOUT;
  op_stopper_init(&link->readable_stopper, loop, &link->readable, on_rested, link);
  op_stopper_init(&link->writable_stopper, loop, &link->writable, on_rested, link);
  timer_init(&link->due, on_due);
  task_init(&link->again, on_again);
  watch(link);
}

void via_start(struct via *via) {
  for (size_t i = 0; i < via->num_links; i++) {
    start_link(&via->links[i]);
  }
}

void via_stop(struct via *via) {
  via->stopping = true;
  for (size_t i = 0; i < via->num_links; i++) {
    struct via_link *link = &via->links[i];
    op_stopper_stop(&link->readable_stopper);
    op_stopper_stop(&link->writable_stopper);
    timer_cancel(via->loop, &link->due);
    task_cancel(&link->again);
  }
}

struct via_link *via_link(struct via *via, size_t n) {
  return &via->links[n % via->num_links];
}

uint64_t via_context(const struct via_link *link) {
  return link->via->context;
}

uint32_t via_submit(struct via_link *link, enum tlsagent_method method, const void *request,
                    tlsagent_done *done, void *user, struct tlsagent_error *error) {
  uint32_t id = tlsagent_submit(link->client, method, request, 0, done, user, error);
  watch(link);
  return id;
}

// ---------------------------------------------------------------------------------------------
// The context, as settings.c makes it for the own workers

static struct tlsagent_optional optional_of(bool present, uint64_t value) {
  return (struct tlsagent_optional){present, value};
}

static bool make_context(struct via *via, const struct settings *settings,
                         struct tlsagent_error *error) {
  const struct options *options = settings->options;
  struct tlsagent_bytes protocols[ALPN_MAX];
  for (size_t i = 0; i < settings->num_alpn; i++) {
    protocols[i] = tlsagent_bytes_of(settings->alpn[i].data, settings->alpn[i].len);
  }
  const struct tlsagent_alpn alpn = {.protocols = protocols, .num_protocols = settings->num_alpn};
  const struct tlsagent_material ca = tlsagent_material_data(settings->ca.data, settings->ca.len);
  struct tlsagent_certificate_pair pair = {
      .chain = tlsagent_material_data(settings->cert.data, settings->cert.len)};
  if (options->key != NULL) {
    pair.key = tlsagent_material_data(settings->key.data, settings->key.len);
  }
  const struct tlsagent_context_create_request request = {
      .kind = TLSAGENT_CONTEXT_CLIENT,
      .settings = {.min_version = optional_of(options->tls_min != 0, (uint64_t)options->tls_min),
                   .max_version = optional_of(options->tls_max != 0, (uint64_t)options->tls_max),
                   .ciphers = options->ciphers,
                   .ciphersuites = options->ciphersuites,
                   .groups = options->groups,
                   .verify_mode = optional_of(
                       true, options->insecure ? TLSAGENT_VERIFY_NONE : TLSAGENT_VERIFY_REQUIRED),
                   .check_hostname = optional_of(true, !options->insecure),
                   .alpn = settings->num_alpn == 0 ? NULL : &alpn},
      .pairs = &pair,
      .num_pairs = options->cert == NULL ? 0 : 1,
      .trust = {.certificates = &ca,
                .num_certificates = options->ca == NULL ? 0 : 1,
                .system = options->ca == NULL && !options->insecure}};
  return tlsagent_context_create(via->links[0].client, &via->context, &request, OPEN_TIMEOUT_MS,
                                 error);
}

// ---------------------------------------------------------------------------------------------

static bool open_links(struct via *via, const char *address, struct tlsagent_error *error) {
  const struct tlsagent_client_options options = {.address = address};
  for (size_t i = 0; i < via->num_links; i++) {
    struct via_link *link = &via->links[i];
    link->via = via;
    link->client = i == 0 ? tlsagent_client_open(&options, OPEN_TIMEOUT_MS, error)
                          : tlsagent_client_join(via->links[0].client, OPEN_TIMEOUT_MS, error);
    if (link->client == NULL) {
      return false;
    }
  }
  return true;
}

bool via_open(const struct settings *settings, struct loop *loop, size_t num_conns,
              struct via **out, char *why, size_t size) {
  struct via *via = calloc(1, sizeof(*via));
  struct tlsagent_error error = {.message = "no memory"};
  bool good = via != NULL;
  if (good) {
    *out = via;
    via->loop = loop;
    size_t wanted = (num_conns + CONNS_A_LINK - 1) / CONNS_A_LINK;
    via->num_links = wanted < LINKS_MAX ? wanted : LINKS_MAX;
    via->links = calloc(via->num_links, sizeof(*via->links));
    via->num_links = via->links == NULL ? 0 : via->num_links;
    good = via->num_links > 0 && open_links(via, settings->options->via, &error) &&
           make_context(via, settings, &error);
  }
  if (!good) {
    snprintf(why, size, "%s", error.message);
  }
  return good;
}

void via_close(struct via *via) {
  if (via == NULL) {
    return;
  }
  for (size_t i = 0; i < via->num_links; i++) {
    tlsagent_client_close(via->links[i].client);
  }
  free(via->links);
  free(via);
}
