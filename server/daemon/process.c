#include "server/daemon/process.h"

#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/base/log.h"
#include "server/ring/closer.h"
#include "server/tls/context.h"

// LeakSanitizer works by ptrace(2).
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BEING_DEBUGGED 1
#endif
#endif
#ifndef BEING_DEBUGGED
#define BEING_DEBUGGED 0
#endif

static void raise_descriptors(void) {
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
      LOG_WARNING("cannot raise the number of descriptors: %s", strerrordesc_np(errno));
    }
  }
}

enum {
  PROCESS_DESCRIPTORS = 64,  // listeners, standard streams, files that are read
  WORKER_DESCRIPTORS = 256   // what one message can bring, a ring, an eventfd
};

// What one user can leave to be closed, though his shares have it back already.
static uint64_t waiting_to_be_closed(const struct limits *limits) {
  uint64_t share = limits->connections_per_owner + limits->sessions_per_owner +
                   limits->descriptors_per_owner + limits->descriptor_tokens_per_owner;
  return share < CLOSER_PENDING_MAX ? share : CLOSER_PENDING_MAX;
}

uint64_t process_descriptors_needed(const struct limits *limits, unsigned num_workers) {
  const uint64_t directories = limits->context_editions * TLS_TRUST_DIRECTORIES_MAX;
  const uint64_t sessions = 2 * limits->sessions;  // a relay has one on each side
  return limits->connections + sessions + limits->descriptors + limits->descriptor_tokens +
         directories + waiting_to_be_closed(limits) + (uint64_t)WORKER_DESCRIPTORS * num_workers +
         PROCESS_DESCRIPTORS;
}

// Without enough of them the kernel closes what clients pass on the workers' own threads, and such
// a close may hang.
bool process_has_descriptors(uint64_t num) {
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= num) {
    return true;
  }
  LOG_ERROR(
      "only %llu descriptors are allowed, and the limits come to %llu: raise RLIMIT_NOFILE "
      "(ulimit -Hn, LimitNOFILE= of systemd), or lower --limit connections, sessions, "
      "descriptors, descriptor_tokens and context_editions, and --workers",
      (unsigned long long)files.rlim_cur, (unsigned long long)num);
  return false;
}

void process_harden(void) {
  struct rlimit none = {0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) {
    LOG_WARNING("cannot forbid core dumps: %s", strerrordesc_np(errno));
  }
  if (!BEING_DEBUGGED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    LOG_WARNING("cannot close the process to ptrace: %s", strerrordesc_np(errno));
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    LOG_WARNING("cannot give up new privileges: %s", strerrordesc_np(errno));
  }
  raise_descriptors();
  signal(SIGPIPE, SIG_IGN);
}

// Of its own accord glibc gives back what is past twice the largest block, which the bytes of one
// request, its parts and its answer always are.
void process_keep_memory(void) {
  enum { KEPT = 16 << 20, BLOCK_MAX = KEPT / 2 };
  mallopt(M_TRIM_THRESHOLD, KEPT);
  mallopt(M_MMAP_THRESHOLD, BLOCK_MAX);
}

static void ending_signals(sigset_t *out) {
  sigemptyset(out);
  sigaddset(out, SIGTERM);
  sigaddset(out, SIGINT);
}

void process_block_signals(void) {
  sigset_t signals;
  ending_signals(&signals);
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

static void end_now(int number) {
  static const char text[] = "second signal: ending now\n";
  if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
    _exit(128 + number);
  }
  _exit(128 + number);
}

int process_wait_signal(void) {
  sigset_t signals;
  int number = 0;
  ending_signals(&signals);
  while (sigwait(&signals, &number) != 0) {
  }
  struct sigaction action = {.sa_handler = end_now};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
  return number;
}

// A socket takes the protocol on only when it is connected: that this one isn't is what a kernel
// with TLS finds fault with.
bool process_kernel_has_tls(void) {
  static const char name[] = "tls";
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return false;
  }
  bool has = setsockopt(fd, IPPROTO_TCP, TCP_ULP, name, sizeof(name)) != 0 && errno == ENOTCONN;
  close(fd);
  return has;
}

// The protocol is one datagram, and systemd asks programs to write it themselves rather than load a
// library for it.
void process_notify(const char *state) {
  const char *path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path == NULL || (path[0] != '/' && path[0] != '@') ||
      strlen(path) >= sizeof(address.sun_path)) {
    return;
  }
  memcpy(address.sun_path, path, strlen(path));
  if (path[0] == '@') {
    address.sun_path[0] = '\0';
  }
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
  if (fd < 0 ||
      sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, len) < 0) {
    LOG_WARNING("cannot notify the service manager at %s: %s", path, strerrordesc_np(errno));
  }
  if (fd >= 0) {
    close(fd);
  }
}

bool process_under_journal(void) {
  const char *stream = getenv("JOURNAL_STREAM");  // "device:inode" of the stream
  struct stat file;
  if (stream == NULL || fstat(STDERR_FILENO, &file) != 0) {
    return false;
  }
  char own[64];
  snprintf(own, sizeof(own), "%llu:%llu", (unsigned long long)file.st_dev,
           (unsigned long long)file.st_ino);
  return strcmp(stream, own) == 0;
}
