// A daemon for tests: a thread per connection that reads ttrpc frames and has the test answer them.
//
// It packs and unpacks by protobuf-c, which the library doesn't use, so that each checks the other.
#ifndef TLSAGENT_TESTS_UNIT_CLIENT_FAKE_DAEMON_H_
#define TLSAGENT_TESTS_UNIT_CLIENT_FAKE_DAEMON_H_

#include <protobuf-c/protobuf-c.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

// A request as it arrived.
struct FakeCall {
  uint32_t stream = 0;
  std::string service;
  std::string method;
  std::string payload;
  int64_t timeout_nano = 0;
  std::map<std::string, std::string> metadata;
  std::vector<int> fds;  // the test's, closed when the connection ends
};

// The daemon's end of one connection.
class FakePeer {
 public:
  explicit FakePeer(int fd) : fd_(fd) {}
  ~FakePeer();
  int fd() const {
    return fd_;
  }

  // The next request; false when the client is gone.
  bool Receive(FakeCall *call);

  void Answer(const FakeCall &call, const std::string &payload, const std::vector<int> &fds = {});
  void Answer(const FakeCall &call, const ProtobufCMessage *message);
  void Refuse(const FakeCall &call, int code, const std::string &message);
  void SendBytes(const std::string &bytes, const std::vector<int> &fds = {});
  void HangUp();

 private:
  // A descriptor, and where in the stream the bytes ended that it came with.
  struct Received {
    int fd;
    size_t end;
  };

  bool Fill(size_t len);

  int fd_;
  std::string input_;
  size_t start_ = 0;  // where in the stream input_ begins
  std::vector<Received> fds_;
  std::vector<int> all_fds_;
};

// A frame's bytes.
std::string Frame(uint32_t stream, uint8_t type, const std::string &body);
// The body of a Response with this payload.
std::string ResponseBody(const std::string &payload, int code = 0, const std::string &message = "");
// A message of protobuf-c's, serialized.
std::string Pack(const ProtobufCMessage *message);

// Answers Hello and Ping itself; everything else, and those too if it returns true, is the
// handler's.
class FakeDaemon {
 public:
  using Handler = std::function<bool(FakePeer &peer, const FakeCall &call)>;

  explicit FakeDaemon(Handler handler = nullptr);
  ~FakeDaemon();

  // Where it listens.
  const std::string &address() const {
    return address_;
  }
  // A connected socket, for tlsagent_client_adopt().
  int Connected();
  // Ends every connection.
  void HangUpAll();
  // How many connections there were.
  int accepted() const {
    return accepted_;
  }
  // How many connections are there.
  int open() const {
    return open_;
  }

  static const std::string kToken;

 private:
  void Listen();
  void Start(int fd);
  void Serve(FakePeer *peer);
  void AnswerItself(FakePeer &peer, const FakeCall &call);

  Handler handler_;
  std::string directory_;
  std::string address_;
  int listener_ = -1;
  std::atomic<int> accepted_{0};
  std::atomic<int> open_{0};
  std::thread acceptor_;
  std::mutex mutex_;
  std::vector<std::thread> threads_;
  std::vector<FakePeer *> peers_;
};

#endif  // TLSAGENT_TESTS_UNIT_CLIENT_FAKE_DAEMON_H_
