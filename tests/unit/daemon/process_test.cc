#include "server/daemon/process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>

#include "server/ring/closer.h"
#include "tests/unit/daemon/harness.h"

namespace {

bool Sanitized(const char *name) {
  const char *sanitizer = getenv("TLSAGENT_SANITIZER");
  return sanitizer != nullptr && strcmp(sanitizer, name) == 0;
}

TEST(Process, IsAHardenedOneClosedToOnlookers) {
  EXPECT_EQ(0, StatusOfChild([] {
              process_harden();
              struct rlimit core;
              struct rlimit files;
              bool no_core = getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0;
              // LeakSanitizer works by ptrace(2).
              bool closed = prctl(PR_GET_DUMPABLE) == 0 || Sanitized("asan");
              bool no_more = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
              bool raised =
                  getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur == files.rlim_max;
              return no_core && closed && no_more && raised ? 0 : 1;
            }));
}

// What a request of 4 MB takes, and gives back: as bytes, as parts, as an answer.
void UseMuch() {
  constexpr size_t kBytes = 4 << 20;
  void *blocks[3];
  for (void *&block : blocks) {
    block = malloc(kBytes);
    explicit_bzero(block, kBytes);
  }
  for (void *block : blocks) {
    free(block);
  }
}

TEST(Process, IsMuchMemoryThatIsUsedAgainNotMappedAnew) {
  if (getenv("TLSAGENT_SANITIZER") != nullptr) {
    GTEST_SKIP() << "malloc(3) is the sanitizer's";
  }
  EXPECT_EQ(0, StatusOfChild([] {
              process_keep_memory();
              long faults = 0;
              std::thread([&faults] {
                struct rusage before;
                struct rusage after;
                UseMuch();
                getrusage(RUSAGE_THREAD, &before);
                UseMuch();
                getrusage(RUSAGE_THREAD, &after);
                faults = after.ru_minflt - before.ru_minflt;
              }).join();
              return faults < 100 ? 0 : 1;  // of 3072 pages
            }));
}

TEST(Process, AreTheDescriptorsNeededCounted) {
  struct limits limits;
  limits_default(&limits);
  limits.connections = 10;
  limits.connections_per_owner = 5;
  limits.sessions = 20;
  limits.sessions_per_owner = 10;
  limits.descriptors = 40;
  limits.descriptors_per_owner = 20;
  limits.context_editions = 7;
  limits.descriptor_tokens = 9;
  limits.descriptor_tokens_per_owner = 5;
  EXPECT_EQ(10u + 2 * 20 + 40 + 9 + 7 * 4 + 40 + 3 * 256 + 64,
            process_descriptors_needed(&limits, 3));
  limits.sessions_per_owner = 1000000;
  EXPECT_EQ(10u + 2 * 20 + 40 + 9 + 7 * 4 + CLOSER_PENDING_MAX + 256 + 64,
            process_descriptors_needed(&limits, 1));
}

TEST(Process, AreDescriptorsThatAreNotAllowedMissed) {
  EXPECT_EQ(0, StatusOfChild([] {
              struct rlimit few = {100, 100};
              bool is_set = setrlimit(RLIMIT_NOFILE, &few) == 0;
              return is_set && process_has_descriptors(100) && !process_has_descriptors(101) ? 0
                                                                                             : 1;
            }));
}

TEST(Process, DoesAPeerThatIsGoneNotKillIt) {
  EXPECT_EQ(0, StatusOfChild([] {
              process_harden();
              int pair[2];
              if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) {
                return 1;
              }
              close(pair[1]);
              return write(pair[0], "x", 1) < 0 && errno == EPIPE ? 0 : 1;
            }));
}

int WaitForSignal() {
  process_block_signals();
  raise(SIGTERM);
  return process_wait_signal() == SIGTERM ? 0 : 1;
}

TEST(Process, IsASignalThatCameBeforeWaitedForNotLost) {
  EXPECT_EQ(0, StatusOfChild(WaitForSignal));
}

TEST(Process, IsEitherSignalTaken) {
  for (int number : {SIGTERM, SIGINT}) {
    int ready[2];
    ASSERT_EQ(0, pipe(ready));
    pid_t child = StartChild([&] {
      process_block_signals();
      return write(ready[1], "x", 1) == 1 && process_wait_signal() == number ? 0 : 1;
    });
    char byte;
    EXPECT_EQ(1, read(ready[0], &byte, 1));
    kill(child, number);
    EXPECT_EQ(0, WaitForChild(child));
    close(ready[0]);
    close(ready[1]);
  }
}

TEST(Process, DoesASecondSignalEndItNow) {
  for (int number : {SIGTERM, SIGINT}) {
    int status = StatusOfChild([&] {
      if (WaitForSignal() == 0) {
        raise(number);
      }
      return 0;
    });
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(128 + number, WEXITSTATUS(status));
  }
}

// A service manager's end of the protocol.
std::string Notified(const std::string &address, const std::string &state) {
  int manager = ListenAt(address, SOCK_DGRAM);
  setenv("NOTIFY_SOCKET", address.c_str(), 1);
  process_notify(state.c_str());
  unsetenv("NOTIFY_SOCKET");
  char text[256];
  ssize_t len = recv(manager, text, sizeof(text), MSG_DONTWAIT);
  close(manager);
  return len < 0 ? "nothing" : std::string(text, (size_t)len);
}

TEST(Process, IsTheServiceManagerTold) {
  Folder folder;
  EXPECT_EQ("READY=1", Notified(folder / "notify", "READY=1"));
  EXPECT_EQ("STOPPING=1", Notified("@notify-" + std::to_string(getpid()), "STOPPING=1"));
}

TEST(Process, IsAManagerThatCantBeToldNoHarm) {
  for (const char *address : {"", "relative", "vsock:2:1", "/no/such/socket"}) {
    setenv("NOTIFY_SOCKET", address, 1);
    process_notify("READY=1");
  }
  setenv("NOTIFY_SOCKET", ("/" + std::string(200, 'a')).c_str(), 1);
  process_notify("READY=1");
  unsetenv("NOTIFY_SOCKET");
  process_notify("READY=1");
}

bool UnderJournal(const char *stream) {
  setenv("JOURNAL_STREAM", stream, 1);
  bool under = process_under_journal();
  unsetenv("JOURNAL_STREAM");
  return under;
}

TEST(Process, IsTheJournalOnlyWhatStandardErrorIs) {
  struct stat file;
  ASSERT_EQ(0, fstat(STDERR_FILENO, &file));
  std::string own = std::to_string(file.st_dev) + ":" + std::to_string(file.st_ino);
  std::string other = std::to_string(file.st_dev) + ":" + std::to_string(file.st_ino + 1);
  EXPECT_TRUE(UnderJournal(own.c_str()));
  EXPECT_FALSE(UnderJournal(other.c_str()));
  EXPECT_FALSE(UnderJournal("nonsense"));
  EXPECT_FALSE(process_under_journal());
}

// It is told what the kernel lists; the asking comes first, because it may load the module.
TEST(Process, IsTheKernelsTlsSeenWhereItIs) {
  bool has = process_kernel_has_tls();
  std::ifstream list("/proc/sys/net/ipv4/tcp_available_ulp");
  ASSERT_TRUE(list.is_open());
  std::string name;
  bool listed = false;
  while (list >> name) {
    listed = listed || name == "tls";
  }
  EXPECT_EQ(listed, has);
}

}  // namespace
