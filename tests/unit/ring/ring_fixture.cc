#include "tests/unit/ring/ring_fixture.h"

#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "server/ring/closer.h"

static const uint64_t kDeadlineSeconds = 30;

Loop::Loop(unsigned num_buffers, size_t buffer_size, unsigned entries) {
  loop_config config = {entries, num_buffers, buffer_size, 2};
  const char *why = nullptr;
  if (!status_ok(loop_new(&config, &loop_, &why))) {
    ADD_FAILURE() << why;
    abort();
  }
}

Loop::~Loop() {
  loop_set_faults(loop_, nullptr);
  EXPECT_TRUE(UntilIdle());
  loop_free(loop_);
}

bool Loop::Until(const std::function<bool()> &condition) {
  clock_time deadline = clock_add(clock_now(), kDeadlineSeconds * NANOS_PER_SECOND);
  while (!condition()) {
    if (clock_now() > deadline) {
      return false;
    }
    loop_turn(loop_, true);
  }
  return true;
}

void Loop::Turns(int num) {
  for (int i = 0; i < num; i++) {
    loop_turn(loop_, false);
  }
}

bool Loop::UntilIdle() {
  return Until([this] { return loop_in_flight(loop_) == 0 && !loop_ready(loop_); });
}

void Loop::SetFaults(std::vector<fault> table) {
  table_ = std::move(table);
  faults_ = {table_.data(), table_.size()};
  loop_set_faults(loop_, &faults_);
}

static Stream *OwnerOf(struct stream *stream) {
  return static_cast<Stream *>(stream_owner(stream));
}

const stream_events Stream::kEvents = {
    [](struct stream *stream, slice data, const int *new_fds, size_t num, size_t num_dropped) {
      Stream *self = OwnerOf(stream);
      self->received.append(reinterpret_cast<const char *>(data.data), data.len);
      self->fds.insert(self->fds.end(), new_fds, new_fds + num);
      self->dropped += num_dropped;
      self->data_events++;
      if (self->on_data) {
        self->on_data(data);
      }
    },
    [](struct stream *stream, int os_errno) {
      OwnerOf(stream)->ends++;
      OwnerOf(stream)->end_errno = os_errno;
      if (OwnerOf(stream)->on_end) {
        OwnerOf(stream)->on_end();
      }
    },
    [](struct stream *stream, int os_errno) {
      OwnerOf(stream)->sents++;
      OwnerOf(stream)->sent_errno = os_errno;
      if (OwnerOf(stream)->on_sent) {
        OwnerOf(stream)->on_sent();
      }
    },
    [](struct stream *stream) {
      OwnerOf(stream)->closed = true;
      OwnerOf(stream)->stream_ = nullptr;
    },
    [](struct stream *stream) { OwnerOf(stream)->rooms++; },
};

Stream::Stream(Loop &loop, int fd, int flags, size_t max_queued) : loop_(loop) {
  EXPECT_TRUE(
      status_ok(stream_new(loop.get(), getuid(), fd, flags, max_queued, &kEvents, this, &stream_)));
}

Stream::~Stream() {
  Close();
  for (int fd : fds) {
    close(fd);
  }
}

bool Stream::Append(const std::string &data) {
  return status_ok(bytes_append(stream_output(stream_), slice_of(data.data(), data.size())));
}

void Stream::Send(const std::string &data) {
  EXPECT_TRUE(Append(data));
  stream_flush(stream_);
}

void Stream::Close() {
  if (stream_ != nullptr) {
    stream_close(stream_);
    EXPECT_TRUE(loop_.Until([this] { return closed; }));
  }
}

static void TcpPair(int fds[2]) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t len = sizeof(address);
  EXPECT_EQ(0, bind(listener, reinterpret_cast<sockaddr *>(&address), len));
  EXPECT_EQ(0, listen(listener, 1));
  EXPECT_EQ(0, getsockname(listener, reinterpret_cast<sockaddr *>(&address), &len));
  fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(0, connect(fds[0], reinterpret_cast<sockaddr *>(&address), len));
  fds[1] = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  close(listener);
}

SocketPair::SocketPair(bool tcp) {
  int fds[2] = {-1, -1};
  if (tcp) {
    TcpPair(fds);
  } else {
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  }
  ours = fds[0];
  theirs = fds[1];
}

SocketPair::~SocketPair() {
  close(ReleaseOurs());
  CloseTheirs();
}

int SocketPair::ReleaseOurs() {
  int fd = ours;
  ours = -1;
  return fd;
}

void SocketPair::CloseTheirs() {
  if (theirs >= 0) {
    close(theirs);
    theirs = -1;
  }
}

// What was handed to the closer is not closed at once.
static void AwaitCloser() {
  for (int i = 0; i < 10000 && closer_pending(getuid()) + closer_pending(CLOSER_DAEMON) > 0; i++) {
    usleep(1000);
  }
}

int NumOpenFds() {
  AwaitCloser();
  int num = 0;
  DIR *dir = opendir("/proc/self/fd");
  while (readdir(dir) != nullptr) {
    num++;
  }
  closedir(dir);
  return num - 3;  // . and .. and dir itself
}

bool NumOpenFdsBecomes(int num) {
  for (int i = 0; i < 200 && NumOpenFds() != num; i++) {
    usleep(10000);
  }
  return NumOpenFds() == num;
}

std::string Pattern(size_t len) {
  std::string data(len, '\0');
  uint32_t state = 1;
  for (char &byte : data) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<char>(state >> 24);
  }
  return data;
}

void WriteAll(int fd, const std::string &data) {
  size_t sent = 0;
  while (sent < data.size()) {
    ssize_t n = send(fd, data.data() + sent, data.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) {
      pollfd waiting = {fd, POLLOUT, 0};
      poll(&waiting, 1, 1000);
      continue;
    }
    ASSERT_GT(n, 0) << strerror(errno);
    sent += static_cast<size_t>(n);
  }
}

std::string ReadAll(int fd, size_t len) {
  std::string data;
  char buffer[65536];
  while (data.size() < len) {
    ssize_t n = recv(fd, buffer, std::min(sizeof(buffer), len - data.size()), 0);
    if (n < 0 && errno == EAGAIN) {
      pollfd waiting = {fd, POLLIN, 0};
      poll(&waiting, 1, 1000);
      continue;
    }
    if (n <= 0) {
      break;
    }
    data.append(buffer, static_cast<size_t>(n));
  }
  return data;
}

void SendWithFds(int fd, const std::string &data, const std::vector<int> &fds) {
  std::vector<char> control(CMSG_SPACE(fds.size() * sizeof(int)));
  iovec part = {const_cast<char *>(data.data()), data.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  }
  ASSERT_EQ(static_cast<ssize_t>(data.size()), sendmsg(fd, &message, MSG_NOSIGNAL));
}

bool RunsUnderSanitizer() {
  return getenv("TLSAGENT_SANITIZER") != nullptr;
}
