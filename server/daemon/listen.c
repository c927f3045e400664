#include "server/daemon/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/base/log.h"
#include "server/daemon/tcp.h"

enum { BACKLOG = 1024, FIRST_INHERITED_FD = 3, PATH_LENGTH = 256 };

struct address {
  struct sockaddr_un un;
  socklen_t len;
  bool abstract;
};

static status_t parse_address(const char *text, struct address *out) {
  const char *path = text + strlen("unix:");
  size_t len = strlen(path);
  *out = (struct address){.un = {.sun_family = AF_UNIX}, .abstract = path[0] == '@'};
  if (len >= sizeof(out->un.sun_path)) {
    LOG_ERROR("%s: a Unix socket's path has at most %zu bytes", text, sizeof(out->un.sun_path) - 1);
    return status_of(STATUS_INVALID_ARGUMENT);
  }
  memcpy(out->un.sun_path, path, len);
  if (out->abstract) {
    out->un.sun_path[0] = '\0';
  }
  // An abstract name has no end of its own (unix(7)): its length is the address's.
  out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (out->abstract ? 0 : 1));
  return OK_STATUS;
}

static bool is_own_socket(const struct address *address) {
  struct stat file;
  return lstat(address->un.sun_path, &file) == 0 && S_ISSOCK(file.st_mode) &&
         file.st_uid == geteuid();
}

// The socket of a daemon that was killed goes a little later than its process: the kernel takes the
// ring apart first. Until then connections to it wait, and then they are hung up. So does a living
// one that is full; it goes on listening, though.
static bool hangs_up_soon(int fd) {
  enum { PATIENCE_MS = 500 };
  struct pollfd events = {.fd = fd, .events = POLLRDHUP};
  return poll(&events, 1, PATIENCE_MS) == 1 && (events.revents & POLLHUP) != 0;
}

// Whether nobody listens there. Not blocking: whoever listens may have stopped accepting.
static bool is_refused(const struct address *address, bool wait_for_the_dying) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    return false;
  }
  bool connected = connect(fd, (const struct sockaddr *)&address->un, address->len) == 0;
  bool refused = !connected && errno == ECONNREFUSED;
  bool hung_up = connected && wait_for_the_dying && hangs_up_soon(fd);
  close(fd);
  return refused || (hung_up && is_refused(address, false));
}

// A file in the way goes only if it is a socket of ours that nobody listens on any more.
static bool is_stale(const struct address *address) {
  return is_own_socket(address) && is_refused(address, true);
}

// Between bind(2) and listen(2) a socket looks stale. Who starts holds a lock on the folder, so
// that of two that start at a time none takes the other's place. False: somebody else holds it. A
// folder that can't be locked is as good as locked.
static bool lock_folder(const struct address *address, int *out_lock) {
  char folder[sizeof(address->un.sun_path)] = ".";
  const char *slash = strrchr(address->un.sun_path, '/');
  if (slash != NULL) {
    size_t len = (size_t)(slash - address->un.sun_path) + 1;
    memcpy(folder, address->un.sun_path, len);
    folder[len] = '\0';
  }
  *out_lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return *out_lock < 0 || flock(*out_lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

static bool bind_address(int fd, const struct address *address, bool may_replace) {
  const struct sockaddr *generic = (const struct sockaddr *)&address->un;
  if (bind(fd, generic, address->len) == 0) {
    return true;
  }
  if (errno != EADDRINUSE || !may_replace) {
    return false;
  }
  if (!is_stale(address)) {
    errno = EADDRINUSE;  // looking has changed it
    return false;
  }
  LOG_INFO("replacing the stale socket %s", address->un.sun_path);
  return unlink(address->un.sun_path) == 0 && bind(fd, generic, address->len) == 0;
}

static bool set_access(const char *path, const struct options *options) {
  if (options->group != NULL) {
    struct group *group = getgrnam(options->group);
    if (group == NULL) {
      LOG_ERROR("--group %s: no such group", options->group);
      return false;
    }
    if (chown(path, (uid_t)-1, group->gr_gid) != 0) {
      LOG_ERROR("%s: cannot give it to group %s: %s", path, options->group, strerrordesc_np(errno));
      return false;
    }
  }
  if (chmod(path, options->mode) != 0) {
    LOG_ERROR("%s: cannot set its mode: %s", path, strerrordesc_np(errno));
    return false;
  }
  return true;
}

static bool remember_file(struct listen_sockets *sockets, const char *path) {
  struct stat file;
  if (lstat(path, &file) != 0) {
    return false;
  }
  sockets->files[sockets->num].path = path;
  sockets->files[sockets->num].device = file.st_dev;
  sockets->files[sockets->num].inode = file.st_ino;
  return true;
}

static status_t bind_one(const char *text, const struct address *address, bool may_replace,
                         int *out) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  // Nobody else may connect before the mode is what was asked for.
  mode_t before = umask(0177);
  bool bound = fd >= 0 && bind_address(fd, address, may_replace);
  umask(before);
  if (!bound) {
    LOG_ERROR("%s: cannot listen: %s", text,
              errno == EADDRINUSE ? "something else is there, maybe another tlsagentd"
                                  : strerrordesc_np(errno));
    close(fd);
    return status_of(STATUS_UNAVAILABLE);
  }
  *out = fd;
  return OK_STATUS;
}

static status_t listen_at(const char *text, const struct address *address, bool may_replace,
                          const struct options *options, struct listen_sockets *sockets) {
  int fd;
  TRY(bind_one(text, address, may_replace, &fd));
  const char *path = text + strlen("unix:");
  bool good = address->abstract || (remember_file(sockets, path) && set_access(path, options));
  sockets->fds[sockets->num++] = fd;
  ENSURE(good && listen(fd, BACKLOG) == 0, UNAVAILABLE);
  LOG_INFO("listening at %s", text);
  return OK_STATUS;
}

static status_t open_tcp(const char *text, const struct options *options,
                         struct listen_sockets *sockets) {
  bool with_tls = options->listen_tls.cert != NULL;
  if (!with_tls && !tcp_is_loopback(text)) {
    LOG_ERROR(
        "%s: without TLS whoever reaches it would be a client, and read along: name certificate, "
        "key and the clients' CA by --listen-tls, or listen at 127.0.0.1",
        text);
    return status_of(STATUS_INVALID_ARGUMENT);
  }
  int fd;
  TRY(tcp_listen(text, &fd));
  sockets->fds[sockets->num] = fd;
  sockets->tcp[sockets->num++] = true;
  LOG_INFO("listening at %s, port %u, %s", text, tcp_port(fd),
           with_tls ? "with TLS" : "for every user of this machine");
  return OK_STATUS;
}

static status_t open_unix(const char *text, const struct options *options,
                          struct listen_sockets *sockets) {
  struct address address;
  TRY(parse_address(text, &address));
  if (address.abstract) {
    return listen_at(text, &address, false, options, sockets);
  }
  int lock;
  bool alone = lock_folder(&address, &lock);
  status_t listening = listen_at(text, &address, alone, options, sockets);
  if (lock >= 0) {
    close(lock);
  }
  return listening;
}

// ---------------------------------------------------------------------------------------------
// Inherited sockets: sd_listen_fds(3), whose protocol is two environment variables.

static size_t count_inherited(void) {
  const char *pid = getenv("LISTEN_PID");
  const char *num = getenv("LISTEN_FDS");
  if (pid == NULL || num == NULL || strtol(pid, NULL, 10) != getpid()) {
    return 0;
  }
  long count = strtol(num, NULL, 10);
  return count < 0 ? 0 : (size_t)count;
}

static bool is_listening_unix_stream(int fd) {
  int listening = 0;
  int type = 0;
  struct sockaddr_un name = {0};
  socklen_t len = sizeof(int);
  socklen_t type_len = sizeof(int);
  socklen_t name_len = sizeof(name);
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening &&
         getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 && type == SOCK_STREAM &&
         getsockname(fd, (struct sockaddr *)&name, &name_len) == 0 && name.sun_family == AF_UNIX;
}

static status_t take_inherited(struct listen_sockets *sockets, size_t num) {
  for (size_t i = 0; i < num; i++) {
    int fd = FIRST_INHERITED_FD + (int)i;
    if (sockets->num == SOCKETS_MAX || !is_listening_unix_stream(fd)) {
      LOG_ERROR("LISTEN_FDS: descriptor %d is no listening Unix stream socket, or one too many",
                fd);
      return status_of(STATUS_INVALID_ARGUMENT);
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    sockets->fds[sockets->num++] = fd;
    LOG_INFO("listening on the inherited descriptor %d", fd);
  }
  // What we start must not take them for its own.
  unsetenv("LISTEN_PID");
  unsetenv("LISTEN_FDS");
  unsetenv("LISTEN_FDNAMES");
  return OK_STATUS;
}

// ---------------------------------------------------------------------------------------------

static status_t open_one(const char *text, const struct options *options,
                         struct listen_sockets *sockets) {
  if (sockets->num == SOCKETS_MAX) {
    LOG_ERROR("%s: at most %d sockets, the inherited ones included", text, SOCKETS_MAX);
    return status_of(STATUS_INVALID_ARGUMENT);
  }
  return strncmp(text, "tcp:", strlen("tcp:")) == 0 ? open_tcp(text, options, sockets)
                                                    : open_unix(text, options, sockets);
}

static status_t open_default(const struct options *options, struct listen_sockets *sockets) {
  static char place[PATH_LENGTH];  // files[] points into it
  const char *runtime = getenv("XDG_RUNTIME_DIR");
  if (geteuid() == 0) {
    runtime = "/run";
  }
  if (runtime == NULL || runtime[0] != '/') {
    LOG_ERROR("XDG_RUNTIME_DIR is not set: say where to listen with --listen unix:PATH");
    return status_of(STATUS_INVALID_ARGUMENT);
  }
  int len = snprintf(place, sizeof(place), "unix:%s/tlsagent.sock", runtime);
  ENSURE(len > 0 && (size_t)len < sizeof(place), INVALID_ARGUMENT);
  return open_one(place, options, sockets);
}

static bool has_tcp(const struct listen_sockets *sockets) {
  bool has = false;
  for (size_t i = 0; i < sockets->num; i++) {
    has = has || sockets->tcp[i];
  }
  return has;
}

static status_t open_all(const struct options *options, struct listen_sockets *sockets) {
  size_t inherited = count_inherited();
  if (inherited > 0) {
    TRY(take_inherited(sockets, inherited));
  }
  for (size_t i = 0; i < options->num_listen; i++) {
    TRY(open_one(options->listen[i], options, sockets));
  }
  if (options->listen_tls.cert != NULL && !has_tcp(sockets)) {
    LOG_ERROR(
        "--listen-tls: there is nothing to serve with it: say where by --listen tcp:HOST:PORT");
    return status_of(STATUS_INVALID_ARGUMENT);
  }
  return sockets->num == 0 ? open_default(options, sockets) : OK_STATUS;
}

status_t listen_open(const struct options *options, struct listen_sockets *out) {
  *out = (struct listen_sockets){.num = 0};
  status_t opened = open_all(options, out);
  if (!status_ok(opened)) {
    listen_unlink(out);
    listen_close(out);
  }
  return opened;
}

void listen_unlink(struct listen_sockets *sockets) {
  for (size_t i = 0; i < sockets->num; i++) {
    struct stat file;
    const char *path = sockets->files[i].path;
    if (path != NULL && lstat(path, &file) == 0 && file.st_dev == sockets->files[i].device &&
        file.st_ino == sockets->files[i].inode) {
      unlink(path);
    }
    sockets->files[i].path = NULL;
  }
}

void listen_close(struct listen_sockets *sockets) {
  for (size_t i = 0; i < sockets->num; i++) {
    if (sockets->fds[i] >= 0) {
      close(sockets->fds[i]);
    }
  }
  sockets->num = 0;
}
