#include "server/ring/ring.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "server/ring/worker.h"

// Makes one system call fail with the errno, as a container's seccomp profile would.
static void Forbid(int system_call, int error) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(system_call), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    abort();
  }
}

// Ends the process with the pool's reason on standard error.
static void TellWhy() {
  worker_config config = {2, 64, 16, 4096, 2};
  worker_pool *pool = nullptr;
  const char *why = nullptr;
  if (status_ok(worker_pool_new(&config, &pool, &why))) {
    why = "it works";
    worker_pool_free(pool);
  }
  fprintf(stderr, "%s\n", why);
  exit(7);
}

TEST(RingDeathTest, DoesItWorkHere) {
  EXPECT_EXIT(TellWhy(), ::testing::ExitedWithCode(7), "it works");
}

TEST(RingDeathTest, IsAContainersRefusalExplained) {
  auto refused = [](int system_call) {
    Forbid(system_call, EPERM);
    TellWhy();
  };
  EXPECT_EXIT(refused(SYS_io_uring_setup), ::testing::ExitedWithCode(7),
              "seccomp profile: allow io_uring_setup, io_uring_enter and io_uring_register");
  EXPECT_EXIT(refused(SYS_io_uring_register), ::testing::ExitedWithCode(7),
              "seccomp profile: allow io_uring_setup, io_uring_enter and io_uring_register");
}

TEST(RingDeathTest, IsAnOldKernelExplained) {
  auto refused = [](int error) {
    Forbid(SYS_io_uring_setup, error);
    TellWhy();
  };
  EXPECT_EXIT(refused(ENOSYS), ::testing::ExitedWithCode(7), "Linux 6.1 or newer");
  EXPECT_EXIT(refused(EINVAL), ::testing::ExitedWithCode(7), "Linux 6.1 or newer");
}

TEST(RingDeathTest, IsALackOfMemoryExplained) {
  auto refused = [](int system_call) {
    Forbid(system_call, ENOMEM);
    TellWhy();
  };
  EXPECT_EXIT(refused(SYS_io_uring_setup), ::testing::ExitedWithCode(7), "RLIMIT_MEMLOCK");
  EXPECT_EXIT(refused(SYS_io_uring_register), ::testing::ExitedWithCode(7), "RLIMIT_MEMLOCK");
}

TEST(RingDeathTest, IsALackOfDescriptorsExplained) {
  auto refused = [] {
    rlimit few = {5, 5};
    setrlimit(RLIMIT_NOFILE, &few);
    TellWhy();
  };
  EXPECT_EXIT(refused(), ::testing::ExitedWithCode(7), "RLIMIT_NOFILE");
}

TEST(Ring, DoesEveryReasonHaveARemedy) {
  EXPECT_NE(nullptr, strstr(ring_why(EPERM), "io_uring"));
  EXPECT_NE(nullptr, strstr(ring_why(EBUSY), "busy"));
}

// With seccomp there is no way back, so that this is a process of its own too.
TEST(RingDeathTest, IsAnEnterThatFailsAnErrnoAndNoLoss) {
  auto check = [] {
    io_uring ring;
    const char *why = nullptr;
    if (!ring_open(&ring, 8, &why)) {
      exit(1);
    }
    io_uring_prep_nop(io_uring_get_sqe(&ring));
    Forbid(SYS_io_uring_enter, EBUSY);
    bool right = ring_enter(&ring, 1000) == EBUSY && ring_enter(&ring, 0) == EBUSY &&
                 io_uring_sq_ready(&ring) == 1;
    exit(right ? 7 : 1);
  };
  EXPECT_EXIT(check(), ::testing::ExitedWithCode(7), "");
}
