#include "server/daemon/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/arena.h"
#include "server/base/log.h"
#include "server/front/front.h"
#include "server/session/session.h"
#include "server/tls/certificate.h"
#include "server/tls/context.h"

enum {
  FILE_BYTES_MAX = 1 << 20,
  FILES_BYTES_MAX = 4 << 20,
  PEER_BYTES_MAX = 1 << 20,  // a certificate of a peer, decoded
  HANDSHAKE_SECONDS = 10,
  LAST_BYTES_SECONDS = 1,
};

static const int TLS_1_3 = 0x0304;

struct remote {
  struct remote_config config;
  struct fronts fronts;
  struct front_handler handler;
  struct client *client;  // whose handshakes they are: nobody's who could call
  struct tls_context *context;
  _Atomic bool draining;  // the RPC server is ending, or has gone
  struct front *listening[SOCKETS_MAX];
  size_t num_listening;
  pthread_mutex_t lock;  // guards what follows
  clock_time next_log;
  unsigned long long num_unlogged;
};

// ---------------------------------------------------------------------------------------------
// The files

static void say(const char *path, const char *why) {
  LOG_ERROR("--listen-tls: %s: %s", path, why);
}

// Who reads a pipe or a device instead of a file may wait for ever.
static bool is_good(int fd, bool secret, const char *path) {
  struct stat file;
  if (fstat(fd, &file) != 0) {
    say(path, strerrordesc_np(errno));
  } else if (!S_ISREG(file.st_mode) || file.st_size == 0 || file.st_size > FILE_BYTES_MAX) {
    say(path, "it is no file of 1 byte to 1 MiB");
  } else if (secret && (file.st_mode & S_IRWXO) != 0) {
    say(path, "every user of this machine may use this key: chmod o= takes that away");
  } else {
    return true;
  }
  return false;
}

static bool read_fd(int fd, struct arena *arena, const char *path, struct slice *out) {
  uint8_t *bytes = arena_bytes(arena, FILE_BYTES_MAX);
  ssize_t len = bytes == NULL ? -1 : read(fd, bytes, FILE_BYTES_MAX);
  if (len < 0) {
    say(path, bytes == NULL ? "out of memory" : strerrordesc_np(errno));
    return false;
  }
  *out = slice_of(bytes, (size_t)len);
  return true;
}

static bool read_file(const char *path, bool secret, struct arena *arena, struct slice *out) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    say(path, strerrordesc_np(errno));
    return false;
  }
  bool good = is_good(fd, secret, path) && read_fd(fd, arena, path, out);
  close(fd);
  return good;
}

static void say_refused(const struct listen_tls *files, const struct tls_error *error) {
  bool is_trust = strncmp(error->item, "trust", strlen("trust")) == 0;
  bool is_key = strstr(error->item, ".key") != NULL;
  say(is_trust ? files->client_ca
      : is_key ? files->key
               : files->cert,
      error->detail[0] != '\0' ? error->detail : error->text);
}

// A session that is resumed would show no certificate again: there is none to resume.
static status_t make_context(const struct listen_tls *files, struct slice cert, struct slice key,
                             struct slice client_ca, struct tls_context **out) {
  const struct slice http2 = slice_of_string("h2");  // without which stock gRPC hangs up
  const struct tls_pair pair = {.chain = cert, .key = key};
  const struct tls_context_change change = {
      .settings = {.present = TLS_SET_MIN_VERSION | TLS_SET_VERIFY_MODE | TLS_SET_ALPN |
                              TLS_SET_NUM_TICKETS | TLS_SET_SESSION_CACHE_SIZE,
                   .min_version = TLS_1_3,
                   .verify_mode = TLS_VERIFY_REQUIRED,
                   .alpn = &http2,
                   .num_alpn = 1},
      .pairs = &pair,
      .num_pairs = 1,
      .trust = {.certificates = &client_ca, .num_certificates = 1},
  };
  struct tls_error error;
  status_t made = tls_context_new(TLS_CONTEXT_SERVER, &change, out, &error);
  if (made.code == STATUS_INVALID_ARGUMENT) {
    say_refused(files, &error);
  }
  return made;
}

static status_t read_context(const struct listen_tls *files, struct tls_context **out) {
  struct arena arena;
  struct slice cert, key, client_ca;
  arena_init(&arena, FILES_BYTES_MAX);
  bool good = read_file(files->cert, false, &arena, &cert) &&
              read_file(files->key, true, &arena, &key) &&
              read_file(files->client_ca, false, &arena, &client_ca);
  status_t status =
      good ? make_context(files, cert, key, client_ca, out) : status_of(STATUS_INVALID_ARGUMENT);
  arena_cleanup(&arena);
  return status;
}

// ---------------------------------------------------------------------------------------------
// Who a client is

static const char *first_alternative(const struct tls_certificate *certificate,
                                     enum tls_alternative_name_kind kind, struct slice *out) {
  for (size_t i = 0; i < certificate->num_alt_names; i++) {
    if (certificate->alt_names[i].kind == kind) {
      *out = certificate->alt_names[i].value;
      return kind == TLS_ALT_URI ? "uri" : "dns";
    }
  }
  return NULL;
}

// Of several it is nobody's to say which one is meant.
static const char *common_name(const struct tls_certificate *certificate, struct slice *out) {
  size_t num = 0;
  for (size_t i = 0; i < certificate->subject.num_steps; i++) {
    const struct tls_relative_name *step = &certificate->subject.steps[i];
    for (size_t j = 0; j < step->num_attributes; j++) {
      const struct tls_name_attribute *attribute = &step->attributes[j];
      if (strcmp(attribute->short_type, "CN") == 0) {
        *out = slice_of_string(attribute->text == NULL ? "" : attribute->text);
        num++;
      }
    }
  }
  return num == 1 ? "cn" : NULL;
}

static const char *find_name(const struct tls_certificate *certificate, struct slice *out) {
  const char *kind = first_alternative(certificate, TLS_ALT_URI, out);
  kind = kind != NULL ? kind : first_alternative(certificate, TLS_ALT_DNS, out);
  return kind != NULL ? kind : common_name(certificate, out);
}

// A NUL in a name would end it early, as somebody else's.
static status_t identify(struct tenant *tenant, const struct tls_certificate *certificate,
                         struct peer *out) {
  char text[IDENTITY_MAX + 1];
  struct slice name = slice_of(NULL, 0);
  const char *kind = find_name(certificate, &name);
  ENSURE(kind != NULL && name.len > 0 && memchr(name.data, '\0', name.len) == NULL,
         INVALID_ARGUMENT);
  int len = snprintf(text, sizeof(text), "%s:%.*s", kind, (int)name.len, (const char *)name.data);
  ENSURE(len > 0 && (size_t)len < sizeof(text), INVALID_ARGUMENT);
  return tenant_identity(tenant, text, out);
}

// The engine has verified it: without that there is no session.
static status_t find_peer(struct tenant *tenant, struct session *session, struct peer *out) {
  struct arena arena;
  struct tls_certificate certificate;
  arena_init(&arena, PEER_BYTES_MAX);
  status_t status = engine_peer_certificate(session_engine(session), &arena, &certificate);
  if (status_ok(status)) {
    status = identify(tenant, &certificate, out);
  }
  arena_cleanup(&arena);
  return status;
}

// ---------------------------------------------------------------------------------------------
// A connection

static status_t hand_over(const struct remote *remote, const struct peer *peer, int *out,
                          struct tls_error *error) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    tls_error_os(error, errno, "socketpair");
    return status_of(STATUS_RESOURCE_EXHAUSTED);
  }
  rpc_server_adopt(remote->config.server, ends[0], peer);
  *out = ends[1];
  return OK_STATUS;
}

// Its session counts as its own from here on, and may outlive what the RPC server has of it, while
// it doesn't read: handshakes of others have to go on.
static status_t count_as_its_own(struct charge *charge, const struct peer *peer,
                                 struct tls_error *error) {
  status_t moved = charge_move(charge, peer);
  if (!status_ok(moved)) {
    tls_error_simple(error, TLS_ERROR_CLOSED_HERE,
                     "its identity has reached the limit sessions_per_owner");
  }
  return moved;
}

static status_t open_connection(void *owner, struct session *session, struct charge *charge,
                                int *out, struct tls_error *error) {
  struct remote *remote = owner;
  struct peer peer;
  if (atomic_load(&remote->draining)) {
    tls_error_simple(error, TLS_ERROR_CLOSED_HERE, "the daemon is ending");
    return status_of(STATUS_UNAVAILABLE);
  }
  status_t found = find_peer(remote->config.tenant, session, &peer);
  if (!status_ok(found)) {
    tls_error_simple(
        error, TLS_ERROR_VERIFY,
        found.code == STATUS_INVALID_ARGUMENT
            ? "its certificate has no URI, DNS name or single common name of plain ASCII"
            : "too many identities have called, or memory is short");
    return found;
  }
  TRY(count_as_its_own(charge, &peer, error));
  return hand_over(remote, &peer, out, error);
}

// False: another line was logged less than a second ago.
static bool may_log(struct remote *remote, unsigned long long *out_unlogged) {
  pthread_mutex_lock(&remote->lock);
  clock_time now = clock_now();
  bool may = now >= remote->next_log;
  *out_unlogged = remote->num_unlogged;
  remote->num_unlogged = may ? 0 : remote->num_unlogged + 1;
  remote->next_log = may ? clock_add(now, NANOS_PER_SECOND) : remote->next_log;
  pthread_mutex_unlock(&remote->lock);
  return may;
}

static void on_failed(void *owner, const char *peer, const struct tls_error *error) {
  unsigned long long unlogged;
  if (may_log(owner, &unlogged)) {
    LOG_WARNING("refused %s, which asked for TLS: %s (%llu lines not logged)", peer,
                error->verify_message[0] != '\0' ? error->verify_message : error->text, unlogged);
  }
}

// ---------------------------------------------------------------------------------------------
// The whole

static status_t listen_on(struct remote *remote, int fd) {
  const struct front_config front = {
      .fronts = &remote->fronts,
      .client = remote->client,
      .context = remote->context,
      .role = ENGINE_SERVER,
      .fd = fd,
      .handler = &remote->handler,
      .handshake_nanos = HANDSHAKE_SECONDS * NANOS_PER_SECOND,
      .max_output = remote->config.limits->session_output_bytes,
      .workers = remote->config.workers,
  };
  TRY(front_new(&front, &remote->listening[remote->num_listening]));
  remote->num_listening++;
  return OK_STATUS;
}

static status_t listen_all(struct remote *remote) {
  struct listen_sockets *sockets = remote->config.sockets;
  for (size_t i = 0; i < sockets->num; i++) {
    if (sockets->tcp[i]) {
      int fd = sockets->fds[i];
      sockets->fds[i] = -1;
      TRY(listen_on(remote, fd));
    }
  }
  return OK_STATUS;
}

static status_t start(struct remote *remote) {
  struct peer peer;
  TRY(read_context(remote->config.files, &remote->context));
  TRY(tenant_identity(remote->config.tenant, "listen-tls", &peer));
  TRY(client_new(remote->config.tenant, &peer, &remote->client));
  return listen_all(remote);
}

status_t remote_start(const struct remote_config *config, struct remote **out) {
  struct remote *remote = calloc(1, sizeof(*remote));
  ENSURE(remote != NULL, RESOURCE_EXHAUSTED);
  remote->config = *config;
  remote->handler = (struct front_handler){open_connection, on_failed, remote};
  pthread_mutex_init(&remote->lock, NULL);
  fronts_init(&remote->fronts);
  *out = remote;
  return start(remote);
}

void remote_drain(struct remote *remote) {
  if (remote != NULL) {
    atomic_store(&remote->draining, true);
    fronts_drain(&remote->fronts);
  }
}

void remote_stop(struct remote *remote) {
  if (remote == NULL) {
    return;
  }
  fronts_await_end(&remote->fronts, clock_add(clock_now(), LAST_BYTES_SECONDS * NANOS_PER_SECOND));
  for (size_t i = 0; i < remote->num_listening; i++) {
    front_close(remote->listening[i]);
    front_unref(remote->listening[i]);
  }
  if (remote->client != NULL) {
    client_leave(remote->client);
    client_unref(remote->client);
  }
  tls_context_unref(remote->context);
}

void remote_free(struct remote *remote) {
  if (remote == NULL) {
    return;
  }
  pthread_cond_destroy(&remote->fronts.changed);
  pthread_mutex_destroy(&remote->fronts.lock);
  pthread_mutex_destroy(&remote->lock);
  free(remote);
}
