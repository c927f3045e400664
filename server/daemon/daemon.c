#include "server/daemon/daemon.h"

#include <semaphore.h>
#include <string.h>

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/daemon/listen.h"
#include "server/daemon/process.h"
#include "server/daemon/remote.h"
#include "server/ring/dial.h"
#include "server/ring/worker.h"
#include "server/rpc/server.h"
#include "server/service/service.h"
#include "server/tenant/policy.h"
#include "server/tenant/tenant.h"
#include "server/tls/context.h"
#include "server/tls/engine.h"

enum {
  RING_ENTRIES = 1024,
  // A full handshake is some 0.3 to 4 ms of a worker: what echo traffic may have to wait for.
  HANDSHAKES_PER_TURN = 4,
  RESOLVER_THREADS = 2
};

// Everything that runs; NULL or empty until it has been started.
struct daemon {
  const struct options *options;
  struct policy policy;
  struct listen_sockets sockets;
  struct tenant *tenant;
  struct resolver *resolver;
  struct worker_pool *workers;
  struct rpc_server *server;
  struct peer everybody;  // of plain TCP
  struct remote *remote;
  bool kernel_has_tls;
};

static status_t start_tls(const struct daemon *daemon) {
  struct tls_error error;
  if (daemon->options->kernel_tls && daemon->kernel_has_tls) {
    engine_allow_traffic_keys();
  }
  status_t started = tls_library_start(&error);
  if (!status_ok(started)) {
    LOG_ERROR("OpenSSL could not be started: %s %s", error.reason, error.text);
  }
  return started;
}

static bool serves_tls(const struct daemon *daemon) {
  return daemon->options->listen_tls.cert != NULL;
}

static status_t start_workers(struct daemon *daemon) {
  const char *why = "";
  struct worker_config config = {
      .num_workers = daemon->options->workers,
      .ring_entries = RING_ENTRIES,
      .num_buffers = WORKER_BUFFERS,
      .buffer_size = WORKER_BUFFER_BYTES,
      .handshakes_per_turn = HANDSHAKES_PER_TURN,
  };
  status_t started = worker_pool_new(&config, &daemon->workers, &why);
  if (!status_ok(started)) {
    LOG_ERROR("%s", why);
  }
  return started;
}

static bool look_for_kernel_tls(const struct options *options) {
  bool has = process_kernel_has_tls();
  if (options->kernel_tls && !has) {
    LOG_WARNING(
        "--kernel-tls: this kernel has no TLS, or keeps it from tlsagentd; relays serve (modprobe "
        "tls, then start again)");
  }
  return has;
}

static size_t list_sockets(struct daemon *daemon, struct rpc_listen out[SOCKETS_MAX]) {
  const struct listen_sockets *sockets = &daemon->sockets;
  size_t num = 0;
  for (size_t i = 0; i < sockets->num; i++) {
    if (!sockets->tcp[i]) {
      out[num++] = (struct rpc_listen){.fd = sockets->fds[i]};
    } else if (!serves_tls(daemon)) {
      out[num++] = (struct rpc_listen){.fd = sockets->fds[i], .peer = &daemon->everybody};
    }
  }
  return num;
}

static status_t start_remote(struct daemon *daemon) {
  const struct remote_config config = {
      .files = &daemon->options->listen_tls,
      .limits = &daemon->options->limits,
      .sockets = &daemon->sockets,
      .tenant = daemon->tenant,
      .workers = daemon->workers,
      .server = daemon->server,
  };
  return serves_tls(daemon) ? remote_start(&config, &daemon->remote) : OK_STATUS;
}

static status_t start_server(struct daemon *daemon) {
  struct service_config service = {
      .limits = &daemon->options->limits,
      .policy = &daemon->policy,
      .workers = daemon->workers,
      .resolver = daemon->resolver,
      .kernel_has_tls = daemon->kernel_has_tls,
      .kernel_tls = daemon->options->kernel_tls,
  };
  service_start(&service);
  TRY(tenant_identity(daemon->tenant, "tcp", &daemon->everybody));
  struct rpc_listen listen[SOCKETS_MAX];
  struct rpc_config config = {
      .limits = &daemon->options->limits,
      .tenant = daemon->tenant,
      .workers = daemon->workers,
      .listen = listen,
      .num_listen = list_sockets(daemon, listen),
  };
  config.methods = service_methods(&config.num_methods);
  TRY(rpc_server_new(&config, &daemon->server));
  return start_remote(daemon);
}

static status_t start(struct daemon *daemon) {
  const struct limits *limits = &daemon->options->limits;
  uint64_t descriptors = process_descriptors_needed(limits, daemon->options->workers);
  ENSURE(process_has_descriptors(descriptors), FAILED_PRECONDITION);
  daemon->kernel_has_tls = look_for_kernel_tls(daemon->options);
  TRY(start_workers(daemon));
  TRY(start_tls(daemon));
  TRY(tenant_new(limits, &daemon->tenant));
  TRY(resolver_new(RESOLVER_THREADS, (unsigned)limits->resolver_queue, &daemon->resolver));
  TRY(listen_open(daemon->options, &daemon->sockets));
  return start_server(daemon);
}

static void announce(const struct daemon *daemon) {
  struct limit_row rows[LIMIT_COUNT];
  uint64_t ceiling = limits_rows(&daemon->options->limits, daemon->options->workers, rows);
  const uint64_t mib = 1 << 20;
  LOG_INFO("tlsagentd %s ready: %u workers, at most %llu MiB of memory (--print-limits)",
           TLSAGENT_VERSION, daemon->options->workers, (unsigned long long)(ceiling / mib));
  process_notify("READY=1");
}

static void drain(struct daemon *daemon) {
  int number = process_wait_signal();
  LOG_INFO("%s: ending when the calls in flight are done", strsignal(number));
  process_notify("STOPPING=1");
  listen_unlink(&daemon->sockets);
  service_drain();
  remote_drain(daemon->remote);
  clock_time until = clock_add(clock_now(), daemon->options->drain_nanos);
  size_t left = rpc_server_drain(daemon->server, until);
  if (left > 0) {
    LOG_WARNING("%zu calls were not done in time and are cancelled", left);
  }
  left = service_await_relays(until);
  if (left > 0) {
    LOG_WARNING("%zu listeners had connections that were not done in time and are cut", left);
  }
}

struct visit {
  struct message message;
  sem_t done;
};

static void on_visit(struct message *message) {
  sem_post(&LIST_ENTRY(message, struct visit, message)->done);
}

// Sessions end by messages. Those that the last connections' ends have posted have run when one
// posted now has.
static void wait_for_sessions(struct worker_pool *workers) {
  struct visit visit = {.message = {.run = on_visit}};
  sem_init(&visit.done, 0, 0);
  for (unsigned i = 0; i < worker_pool_size(workers); i++) {
    worker_post(worker_pool_at(workers, i), &visit.message);
    while (sem_wait(&visit.done) != 0) {
    }
  }
  sem_destroy(&visit.done);
}

// Stops what was started. The resolver goes before the workers: a lookup under way answers to one.
static void stop(struct daemon *daemon) {
  if (daemon->server != NULL) {
    remote_drain(daemon->remote);
    rpc_server_free(daemon->server);
    remote_stop(daemon->remote);
    wait_for_sessions(daemon->workers);
  }
  listen_unlink(&daemon->sockets);
  listen_close(&daemon->sockets);
  if (daemon->resolver != NULL) {
    resolver_free(daemon->resolver);
  }
  if (daemon->workers != NULL) {
    worker_pool_free(daemon->workers);
  }
  remote_free(daemon->remote);
  if (daemon->tenant != NULL) {
    tenant_free(daemon->tenant);
  }
}

int daemon_run(const struct options *options) {
  struct daemon daemon = {
      .options = options,
      .policy = {.dial_patterns = options->allow_dial,
                 .num_dial_patterns = options->num_allow_dial},
  };
  bool journald = !options->log_format_given && process_under_journal();
  log_setup(journald ? LOG_FORMAT_JOURNALD : options->log_format, options->log_level);
  process_harden();
  process_keep_memory();
  process_block_signals();
  status_t started = start(&daemon);
  if (status_ok(started)) {
    announce(&daemon);
    drain(&daemon);
  } else if (started.code == STATUS_RESOURCE_EXHAUSTED) {  // all else has said why, where it failed
    LOG_ERROR("tlsagentd could not start: no memory, or no threads");
  }
  stop(&daemon);
  return status_ok(started) ? 0 : 1;
}
