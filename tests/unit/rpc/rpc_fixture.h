// What the tests of this folder share: a whole RPC server with toy methods, and a client that
// speaks bytes, so that it can speak wrongly too.
#ifndef TLSAGENT_TESTS_UNIT_RPC_RPC_FIXTURE_H_
#define TLSAGENT_TESTS_UNIT_RPC_RPC_FIXTURE_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/rpc/rpc_priv.h"
#include "tests/support/eventually.h"
#include "tests/support/folder.h"

// The client's side: what a peer may say. Everything is built by hand, apart from the code under
// test.
std::string Header(uint32_t length, uint32_t stream_id, uint8_t type, uint8_t flags = 0);
std::string Frame(uint32_t stream_id, uint8_t type, const std::string &body, uint8_t flags = 0);
std::string Varint(uint64_t value);
std::string BytesField(uint32_t number, const std::string &value);
std::string VarintField(uint32_t number, uint64_t value);

struct Request {
  Request(const std::string &name, const std::string &body = "", int64_t nanos = 0,
          const std::string &hex = "")
      : method(name), payload(body), timeout_nano(nanos), token(hex) {}
  std::string service = "toy.Toy";
  std::string method;
  std::string payload;
  int64_t timeout_nano;
  std::string token;  // "" sends none
};
std::string Envelope(const Request &request);
std::string RequestFrame(uint32_t stream_id, const Request &request);
// A ttrpc.Any and a ttrpc.KeyValue, which are the toy methods' messages.
std::string Any(const std::string &type_url, const std::string &value = "");

struct Answer {
  uint32_t stream_id = 0;
  int code = 0;
  std::string message;
  std::string type_url;  // of the Any in the payload
  std::string value;
  std::vector<int> fds;
};

// A connection of the test's.
class Client {
 public:
  explicit Client(const std::string &path);
  explicit Client(int fd) : fd_(fd) {}
  ~Client();
  Client(Client &&other) noexcept : fd_(other.fd_), input_(other.input_) {
    other.fd_ = -1;
  }
  int fd() const {
    return fd_;
  }
  void Close();
  void Send(const std::string &bytes, const std::vector<int> &fds = {});
  // Sends without ever blocking, as much as there is room for; returns how much that was.
  size_t SendSome(const std::string &bytes);
  // The next answer, whichever it is; nothing at the connection's end.
  std::unique_ptr<Answer> Receive();
  // Sends a request and takes the next answer.
  Answer Call(uint32_t stream_id, const Request &request, const std::vector<int> &fds = {});
  // Everything that comes till the connection's end; descriptors go to fds.
  std::string ReceiveAll(std::vector<int> *fds = nullptr);
  // True when the server has closed and everything it said was read.
  bool AtEnd();
  // Nothing comes for a while.
  bool Silent(int milliseconds = 50);

 private:
  bool Fill();
  int fd_;
  std::string input_;
  std::vector<int> fds_;
};

// The server, with these methods of service toy.Toy, all from ttrpc.Any to ttrpc.Any:
//   Echo             the same; on home
//   Away             the same, from another worker
//   Fail, FailAway   NOT_FOUND with type_url as the sentence
//   Big, BigAway     value of type_url many bytes
//   Park, ParkAway   waits for its cancel, then ends; ParkAway on another worker
//   Deaf, DeafAway   registers nothing and ends type_url milliseconds later
//   BusyAway         holds the other worker for type_url milliseconds
//   CarefulAway      registers for its cancel, then moves and echoes
//   Answers          replies though it was cancelled, when it was
//   Token            the client's token
//   Fds              takes every descriptor and says what is in each
//   LeaveFds         says how many descriptors came, and takes none
//   GiveFd, GiveAway a descriptor to read "gift" from
//   TokenIn, TokenInAway          a token to put a descriptor under
//   TokenOut, TokenOutAway        one to fetch a descriptor by, to read "gift" from
//   TokenDropped                  one that is dropped before a descriptor is left
//   TakeByToken, TakeByTokenAway  reads the descriptor under the token that is value
//   Cancel           cancels stream type_url: "true" or "false"
//   Deadline         "never" or how many milliseconds there are
//   Hog              allocates type_url bytes from the call's arena: "true" or "false"
// And these, with many messages; each has a sibling ...Away on another worker:
//   Count            sends type_url many, numbered, as there is room; value of each is as in the
//   request Chat             answers each message with itself, until the client sends no more Sum
//   takes all, and then sends how many there were Refuse           answers one message, and then
//   fails with NOT_FOUND Sink             takes one message, and no more
// These have none:
//   Held             answers each message with what is held of messages meanwhile
//   MovingDrained    moves with its first message while the daemon begins to stop
class Rpc : public testing::Test {
 protected:
  Rpc();
  ~Rpc() override;
  void SetUp() override;
  void TearDown() override;

  // Limits are changed before Start, which the first Connect calls if nobody has.
  // From Open on clients may connect and speak, which the server sees when it starts.
  void Open();
  void Start();
  void Stop();
  Client Connect();
  // What is open and counted is back to nothing.
  bool AllGone();
  uint64_t Connections() {
    return tenant_count(tenant_, QUOTA_CONNECTIONS);
  }

  struct limits limits_;
  struct tenant *tenant_ = nullptr;
  struct worker_pool *pool_ = nullptr;
  struct rpc_server *server_ = nullptr;
  Folder folder_;
  std::string path_ = folder_ / "s";
  unsigned num_workers_ = 2;

 private:
  int listen_fd_ = -1;
};

// How many calls are parked, have been told of a cancel, and how many toy handlers ever ran.
extern int g_parked;
extern int g_told;
extern int g_ran;
int Load(const int *counter);

// The line that puts or gets a descriptor, said by a connection of its own; what is answered.
std::string TokenLine(const std::string &verb, const std::string &token);
// A file of memory with that text in it.
int FileWith(const std::string &text);
std::string ReadAll(int fd);
size_t NumOpenFds();

#endif  // TLSAGENT_TESTS_UNIT_RPC_RPC_FIXTURE_H_
