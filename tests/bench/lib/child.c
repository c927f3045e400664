#include "tests/bench/lib/child.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/lib/base.h"
#include "tests/bench/lib/exchange.h"

enum { STOP_TRIES = 300, STOP_EVERY_NANOS = 10000000 };

bool child_start(struct child *child, const char *folder, const char *name, int cpu,
                 void (*body)(const struct child *child, const void *argument),
                 const void *argument) {
  pid_t parent = getpid();
  *child = (struct child){0};
  snprintf(child->path, sizeof(child->path), "%s/%s", folder, name);
  fflush(NULL);
  child->pid = fork();
  if (child->pid < 0) {
    child->pid = 0;
    return fail("fork: %s", strerror(errno));
  }
  if (child->pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || !pin(cpu)) {
      _exit(1);
    }
    body(child, argument);
    _exit(1);
  }
  return clock_getcpuclockid(child->pid, &child->clock) == 0 || fail("no CPU clock of a child");
}

void child_stop(struct child *child) {
  if (child->pid == 0) {
    return;
  }
  unlink(child->path);
  kill(child->pid, SIGTERM);
  for (int i = 0; i < STOP_TRIES; i++) {
    if (waitpid(child->pid, NULL, WNOHANG) != 0) {
      child->pid = 0;
      return;
    }
    nanosleep(&(struct timespec){.tv_nsec = STOP_EVERY_NANOS}, NULL);
  }
  kill(child->pid, SIGKILL);
  waitpid(child->pid, NULL, 0);
  child->pid = 0;
}

static void run_daemon(const struct child *child, const void *argument) {
  const char *program = argument;
  char listen[sizeof("unix:") + PATH_ROOM];
  snprintf(listen, sizeof(listen), "unix:%s", child->path);
  unsetenv("LISTEN_FDS");
  unsetenv("NOTIFY_SOCKET");
  execl(program, program, "--workers", "1", "--listen", listen, "--log-level", "warning",
        "--drain-timeout", "1", (char *)NULL);
  fail("can't run %s: %s", program, strerror(errno));
}

bool daemon_start(struct child *child, const char *folder, const char *program, int cpu) {
  return child_start(child, folder, "tlsagent.sock", cpu, run_daemon, program) &&
         await_listener(child->path, child->pid);
}

// bazel-bin/tests/bench/rpc stands beside bazel-bin/server/tlsagentd.
static bool built_beside(char *out, size_t size) {
  char self[PATH_MAX];
  ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
  if (len < 0) {
    return false;
  }
  self[len] = '\0';
  for (int i = 0; i < 3; i++) {
    char *slash = strrchr(self, '/');
    if (slash == NULL) {
      return false;
    }
    *slash = '\0';
  }
  return snprintf(out, size, "%s/server/tlsagentd", self) < (int)size;
}

const char *daemon_find(const char *given) {
  static char beside[PATH_MAX];
  const char *path = given != NULL ? given : getenv("TLSAGENTD");
  if (path == NULL && built_beside(beside, sizeof(beside))) {
    path = beside;
  }
  if (path == NULL || access(path, X_OK) != 0) {
    fail("there is no tlsagentd at %s: name it with --daemon PATH, or see --no-daemon",
         path != NULL ? path : "the place beside this program");
    return NULL;
  }
  return path;
}
