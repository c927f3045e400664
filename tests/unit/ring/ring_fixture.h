// What the tests of this folder share: a loop with a deadline, streams that remember, real sockets.
#ifndef TLSAGENT_TESTS_UNIT_RING_RING_FIXTURE_H_
#define TLSAGENT_TESTS_UNIT_RING_RING_FIXTURE_H_

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "server/ring/faults.h"
#include "server/ring/listener.h"
#include "server/ring/loop.h"
#include "server/ring/op.h"
#include "server/ring/stream.h"
#include "server/ring/worker.h"

// A loop on the test's own thread.
class Loop {
 public:
  explicit Loop(unsigned num_buffers = 64, size_t buffer_size = 4096, unsigned entries = 64);
  ~Loop();
  struct loop *get() {
    return loop_;
  }
  // Turns until the condition holds; false after a generous deadline.
  bool Until(const std::function<bool()> &condition);
  void Turns(int num);
  // Turns until nothing is in flight.
  bool UntilIdle();
  void SetFaults(std::vector<fault> table);

 private:
  struct loop *loop_ = nullptr;
  std::vector<fault> table_;
  struct faults faults_ = {};
};

// A stream that remembers everything it was told.
class Stream {
 public:
  Stream(Loop &loop, int fd, int flags = STREAM_CONTINUOUS, size_t max_queued = 1 << 20);
  ~Stream();
  struct stream *get() {
    return stream_;
  }
  bool Append(const std::string &data);
  void Send(const std::string &data);
  void Close();

  std::string received;
  std::vector<int> fds;
  size_t dropped = 0;
  int data_events = 0;
  int ends = 0;
  int end_errno = -1;
  int sents = 0;
  int rooms = 0;
  int sent_errno = -1;
  bool closed = false;
  std::function<void(slice)> on_data;  // besides remembering
  std::function<void()> on_sent;
  std::function<void()> on_end;

 private:
  static const stream_events kEvents;
  Loop &loop_;
  struct stream *stream_ = nullptr;
};

// Two connected sockets. Blocking, closed at the end unless released.
class SocketPair {
 public:
  explicit SocketPair(bool tcp = false);
  ~SocketPair();
  int ours = -1;    // for the stream
  int theirs = -1;  // the peer's end, used with plain system calls
  int ReleaseOurs();
  void CloseTheirs();
};

// Waits for the closer.
int NumOpenFds();
// Waits a little for descriptors that the kernel lets go of later.
bool NumOpenFdsBecomes(int num);
std::string Pattern(size_t len);
void WriteAll(int fd, const std::string &data);
std::string ReadAll(int fd, size_t len);
// Sends data with descriptors, as a client would.
void SendWithFds(int fd, const std::string &data, const std::vector<int> &fds);
bool RunsUnderSanitizer();

#endif  // TLSAGENT_TESTS_UNIT_RING_RING_FIXTURE_H_
