// The processes that the contenders talk to: the daemon and the bare echo, each on the server's
// cpu.
#ifndef TLSAGENT_TESTS_BENCH_LIB_CHILD_H_
#define TLSAGENT_TESTS_BENCH_LIB_CHILD_H_

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

enum { PATH_ROOM = 100 };  // less than a Unix socket's address holds

struct child {
  pid_t pid;             // 0: not running
  clockid_t clock;       // its CPU time, all threads, user and kernel
  char path[PATH_ROOM];  // where it listens
};

// child_start forks a process that is pinned to cpu, calls body with its argument, and ends with
// the benchmark even if that is killed. It listens, or will, at folder/name.
bool child_start(struct child *child, const char *folder, const char *name, int cpu,
                 void (*body)(const struct child *child, const void *argument),
                 const void *argument);

// child_stop ends it by SIGTERM, and by SIGKILL if that takes longer than a few seconds. It removes
// the socket.
void child_stop(struct child *child);

// daemon_start starts one worker of the tlsagentd at program, and waits until it answers.
bool daemon_start(struct child *child, const char *folder, const char *program, int cpu);

// daemon_find returns the path of tlsagentd: given if not NULL, the environment's TLSAGENTD, or
// where the build puts it beside this program. NULL: there is none, and it said so.
const char *daemon_find(const char *given);

#endif  // TLSAGENT_TESTS_BENCH_LIB_CHILD_H_
