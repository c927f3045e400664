#include "server/ring/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A full completion ring is no loss (the kernel keeps the rest), but costs; several results can
// come for one submission.
enum { COMPLETIONS_PER_ENTRY = 8 };

enum { NEEDED_FEATURES = IORING_FEAT_NODROP | IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG };

static const uint8_t needed_opcodes[] = {
    IORING_OP_RECV,     IORING_OP_RECVMSG,      IORING_OP_SEND,    IORING_OP_SENDMSG,
    IORING_OP_READ,     IORING_OP_ACCEPT,       IORING_OP_CONNECT, IORING_OP_POLL_ADD,
    IORING_OP_MSG_RING, IORING_OP_ASYNC_CANCEL,
};

static const char too_old[] =
    "this kernel's io_uring lacks what is needed: Linux 6.1 or newer is needed";

// What kernel.io_uring_disabled says: '0', '1', '2', or 0 when the kernel has no such switch.
static char disabled_switch(void) {
  char value = 0;
  int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    if (read(fd, &value, 1) != 1) {
      value = 0;
    }
    close(fd);
  }
  return value;
}

static const char *why_forbidden(void) {
  switch (disabled_switch()) {
    case '2':
      return "io_uring is disabled on this system (kernel.io_uring_disabled=2): "
             "run \"sysctl kernel.io_uring_disabled=0\"";
    case '1':
      return "io_uring is for privileged users only on this system (kernel.io_uring_disabled=1): "
             "run \"sysctl kernel.io_uring_disabled=0\", or join the group that "
             "kernel.io_uring_group names";
    default:
      return "io_uring is forbidden here, probably by a container's seccomp profile: "
             "allow io_uring_setup, io_uring_enter and io_uring_register";
  }
}

const char *ring_why(int os_errno) {
  static __thread char other[128];
  switch (os_errno) {
    case EPERM:
    case EACCES:
      return why_forbidden();
    case ENOSYS:
      return "this kernel has no io_uring: Linux 6.1 or newer with CONFIG_IO_URING is needed, and "
             "a "
             "seccomp profile that does not hide it";
    case EINVAL:
      return too_old;
    case ENOMEM:
      return "no memory for the rings: raise RLIMIT_MEMLOCK (ulimit -l) or the memory limit of the "
             "cgroup, or run fewer workers";
    case EMFILE:
    case ENFILE:
      return "no descriptor left for the rings: raise RLIMIT_NOFILE (ulimit -n)";
    default:
      snprintf(other, sizeof(other), "io_uring can't be used here: %s", strerrordesc_np(os_errno));
      return other;
  }
}

enum { PROBED_OPCODES = 256 };

// What the kernel lacks, or NULL. That the register call is allowed is found out here too.
static const char *missing(struct io_uring *ring) {
  if ((ring->features & NEEDED_FEATURES) != NEEDED_FEATURES) {
    return too_old;
  }
  struct io_uring_probe *probe =
      calloc(1, sizeof(*probe) + PROBED_OPCODES * sizeof(struct io_uring_probe_op));
  if (probe == NULL) {
    return ring_why(ENOMEM);
  }
  int result = io_uring_register_probe(ring, probe, PROBED_OPCODES);
  const char *why = result < 0 ? ring_why(-result) : NULL;
  for (size_t i = 0; result >= 0 && i < sizeof(needed_opcodes); i++) {
    why = io_uring_opcode_supported(probe, needed_opcodes[i]) ? why : too_old;
  }
  free(probe);
  return why;
}

// A filter may allow to make a ring, and not to use it.
static bool may_enter(struct io_uring *ring, const char **out_why) {
  int result = io_uring_enter((unsigned)ring->ring_fd, 0, 0, 0, NULL);
  if (result < 0) {
    *out_why = ring_why(-result);
    io_uring_queue_exit(ring);
    return false;
  }
  return true;
}

bool ring_open(struct io_uring *ring, unsigned entries, const char **out_why) {
  // SINGLE_ISSUER and DEFER_TASKRUN came with 6.1: completions are made when we enter, and not by
  // interrupting us. SUBMIT_ALL: one operation refused does not stop those behind it.
  struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                            IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                                            IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
                                   .cq_entries = entries * COMPLETIONS_PER_ENTRY};
  int result = io_uring_queue_init_params(entries, ring, &params);
  if (result < 0) {
    *out_why = ring_why(-result);
    return false;
  }
  *out_why = missing(ring);
  if (*out_why != NULL) {
    io_uring_queue_exit(ring);
    return false;
  }
  // It makes things better and is not needed, so that its result doesn't matter.
  io_uring_register_ring_fd(ring);
  return may_enter(ring, out_why);
}

void ring_close(struct io_uring *ring) {
  io_uring_queue_exit(ring);
}

// Shows the kernel all entries that were filled in, and returns how many it has not taken yet: also
// those that an enter which failed has left behind.
static unsigned publish(struct io_uring *ring) {
  struct io_uring_sq *sq = &ring->sq;
  unsigned tail = *sq->ktail;
  while (sq->sqe_head != sq->sqe_tail) {
    sq->array[tail & sq->ring_mask] = sq->sqe_head & sq->ring_mask;
    tail++;
    sq->sqe_head++;
  }
  io_uring_smp_store_release(sq->ktail, tail);
  return tail - io_uring_smp_load_acquire(sq->khead);
}

int ring_enter(struct io_uring *ring, uint64_t nanos) {
  struct __kernel_timespec timeout = {.tv_sec = (long long)(nanos / NANOS_PER_SECOND),
                                      .tv_nsec = (long long)(nanos % NANOS_PER_SECOND)};
  struct io_uring_getevents_arg arg = {.ts = (uintptr_t)&timeout};
  // Completions are made only when we ask for them, also when we don't wait.
  unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
  if (ring->enter_ring_fd != ring->ring_fd) {
    flags |= IORING_ENTER_REGISTERED_RING;
  }
  int result = io_uring_enter2((unsigned)ring->enter_ring_fd, publish(ring), nanos > 0 ? 1 : 0,
                               flags, (sigset_t *)&arg, sizeof(arg));
  return result < 0 && result != -ETIME ? -result : 0;
}
