// Two processes stand between a private daemon and the one that it is for: the keeper, which waits
// until either ends and then tidies up, and for a moment its parent, so that the keeper is nobody's
// child who would wait for it unawares.

#include "client/cli/private_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/beside.h"

#define SOCKET_NAME   "/agent.sock"
#define DRAIN_SECONDS "2"  // its clients are gone, or should be

// What the keeper is given. The listening socket is there before the daemon is, so that a client
// may connect at once and waits in the queue; when the daemon dies, so does the queue.
struct nest {
  char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
  struct sockaddr_un address;
  int listener;
  int owner;  // pidfd
};

static void close_if_open(int fd) {
  if (fd >= 0) {
    close(fd);
  }
}

// --- The keeper ---

enum { LISTENER_FD = 3, OWNER_FD = 4, FIRST_FREE_FD = 5 };  // 3 is sd_listen_fds(3)'s first

// Only these two, standard error, and nothing that somebody may wait for the end of.
static bool keep_descriptors(const struct nest *nest) {
  const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  const int listener = fcntl(nest->listener, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
  const int owner = fcntl(nest->owner, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
  return nothing >= 0 && listener >= 0 && owner >= 0 && dup2(nothing, STDIN_FILENO) >= 0 &&
         dup2(nothing, STDOUT_FILENO) >= 0 && dup2(listener, LISTENER_FD) >= 0 &&
         dup3(owner, OWNER_FD, O_CLOEXEC) >= 0 && close_range(FIRST_FREE_FD, ~0U, 0) == 0;
}

// A terminal's signals are for the program; the keeper's part is to be there afterwards.
static void handle_signals(sighandler_t handler) {
  static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
  for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
    signal(signals[i], handler);
  }
}

// Where it is, installed and as Bazel builds it, from the folder of this program.
static const char *find_daemon(char room[PATH_MAX]) {
  static const char *const places[] = {"tlsagentd", "../../server/tlsagentd"};
  for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
    if (find_beside(places[i], room) && access(room, X_OK) == 0) {
      return room;
    }
  }
  return "tlsagentd";
}

static void run_daemon(const struct cli *cli, const char *const *options) {
  static const char *const usual[] = {"tlsagentd", "--log-level",     "warning",    "--log-format",
                                      "text",      "--drain-timeout", DRAIN_SECONDS};
  enum { NUM_USUAL = sizeof(usual) / sizeof(usual[0]) };
  const char *arguments[NUM_USUAL + PRIVATE_OPTIONS_MAX + 1] = {NULL};
  char room[PATH_MAX];
  const char *program = find_daemon(room);
  memcpy(arguments, usual, sizeof(usual));
  for (size_t i = 0; options != NULL && options[i] != NULL && i < PRIVATE_OPTIONS_MAX; i++) {
    arguments[NUM_USUAL + i] = options[i];
  }
  execvp(program, (char *const *)arguments);
  complain(cli, EXIT_NO_DAEMON, "cannot run %s: %s", program, strerrordesc_np(errno));
}

static _Noreturn void become_daemon(const struct cli *cli, const char *const *options,
                                    pid_t keeper) {
  char pid[16];
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  handle_signals(SIG_DFL);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != keeper) {
    _exit(EXIT_NO_DAEMON);  // it died before we asked to hear of it
  }
  snprintf(pid, sizeof(pid), "%d", getpid());
  setenv("LISTEN_PID", pid, 1);
  setenv("LISTEN_FDS", "1", 1);
  unsetenv("LISTEN_FDNAMES");
  unsetenv("NOTIFY_SOCKET");  // the program's to answer
  run_daemon(cli, options);
  _exit(EXIT_NO_DAEMON);
}

static void wait_for_either(int owner, int daemon) {
  struct pollfd ends[] = {{owner, POLLIN, 0}, {daemon, POLLIN, 0}};
  while (poll(ends, 2, -1) < 0 && errno == EINTR) {
  }
}

static void wait_for(pid_t child) {
  while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
  }
}

static _Noreturn void keep(const struct cli *cli, const struct nest *nest,
                           const char *const *options) {
  setsid();
  handle_signals(SIG_IGN);
  const pid_t keeper = getpid();
  const pid_t daemon = keep_descriptors(nest) ? fork() : -1;
  if (daemon == 0) {
    become_daemon(cli, options, keeper);
  }
  close(LISTENER_FD);
  if (daemon > 0) {
    wait_for_either(OWNER_FD, pidfd_open(daemon, 0));
    kill(daemon, SIGTERM);
    wait_for(daemon);
  }
  unlink(nest->address.sun_path);
  rmdir(nest->folder);
  _exit(EXIT_OK);
}

// --- The process that it is for ---

static bool make_folder_in(const char *parent, struct nest *nest) {
  const size_t most = sizeof(nest->folder) - sizeof(SOCKET_NAME);
  if (parent == NULL || parent[0] != '/') {
    return false;
  }
  const int len = snprintf(nest->folder, most, "%s/tlsagent-XXXXXX", parent);
  return len > 0 && (size_t)len < most && mkdtemp(nest->folder) != NULL;
}

static bool make_folder(struct nest *nest) {
  return make_folder_in(getenv("XDG_RUNTIME_DIR"), nest) ||
         make_folder_in(getenv("TMPDIR"), nest) || make_folder_in("/tmp", nest);
}

static bool listen_in_folder(struct nest *nest) {
  const struct sockaddr *address = (const struct sockaddr *)&nest->address;
  nest->address.sun_family = AF_UNIX;
  memcpy(nest->address.sun_path, nest->folder, strlen(nest->folder));
  memcpy(nest->address.sun_path + strlen(nest->folder), SOCKET_NAME, sizeof(SOCKET_NAME));
  nest->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return nest->listener >= 0 && bind(nest->listener, address, sizeof(nest->address)) == 0 &&
         listen(nest->listener, SOMAXCONN) == 0;
}

static bool start_keeper(const struct cli *cli, const struct nest *nest,
                         const char *const *options) {
  const pid_t between = fork();
  if (between == 0) {
    const pid_t keeper = fork();
    if (keeper == 0) {
      keep(cli, nest, options);
    }
    _exit(keeper < 0 ? EXIT_IO : EXIT_OK);
  }
  int status = 0;
  while (between > 0 && waitpid(between, &status, 0) < 0 && errno == EINTR) {
  }
  return between > 0 && status == 0;
}

static int complain_start(const struct cli *cli, const char *what) {
  return complain(cli, EXIT_IO, "cannot start a private tlsagentd: %s: %s", what,
                  strerrordesc_np(errno));
}

static int prepare(const struct cli *cli, struct nest *nest) {
  if (!make_folder(nest)) {
    return complain_start(cli, "no folder for its socket in XDG_RUNTIME_DIR, TMPDIR or /tmp");
  }
  nest->owner = pidfd_open(getpid(), 0);
  if (!listen_in_folder(nest) || nest->owner < 0) {
    const int code = complain_start(cli, nest->folder);
    unlink(nest->address.sun_path);
    rmdir(nest->folder);
    return code;
  }
  return EXIT_OK;
}

// It answers, or it has said on standard error why not.
static int wait_until_ready(const struct cli *cli, const char *address) {
  struct tlsagent_error error;
  const struct tlsagent_client_options options = {.address = address};
  struct tlsagent_client *agent = tlsagent_client_open(&options, cli->timeout_ms, &error);
  if (agent == NULL) {
    return complain(cli, EXIT_NO_DAEMON, "the private tlsagentd didn't start: %s", error.message);
  }
  tlsagent_client_close(agent);
  return EXIT_OK;
}

int private_daemon_start(const struct cli *cli, const char *const *options,
                         char out_address[PRIVATE_ADDRESS_SIZE]) {
  struct nest nest = {.listener = -1, .owner = -1};
  int code = prepare(cli, &nest);
  if (code == EXIT_OK && !start_keeper(cli, &nest, options)) {
    code = complain_start(cli, "fork");
    unlink(nest.address.sun_path);
    rmdir(nest.folder);
  }
  close_if_open(nest.listener);
  close_if_open(nest.owner);
  if (code == EXIT_OK) {
    snprintf(out_address, PRIVATE_ADDRESS_SIZE, "unix:%s", nest.address.sun_path);
    code = wait_until_ready(cli, out_address);
  }
  return code;
}
