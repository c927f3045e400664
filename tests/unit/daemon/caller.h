// A caller of the daemon: as much of ttrpc as starting and stopping need.
#ifndef TLSAGENT_TESTS_UNIT_DAEMON_CALLER_H_
#define TLSAGENT_TESTS_UNIT_DAEMON_CALLER_H_

#include <protobuf-c/protobuf-c.h>

#include <memory>
#include <string>

class Caller {
 public:
  // Takes a connected socket over.
  explicit Caller(int fd) : fd_(fd) {}
  ~Caller();
  Caller(const Caller &) = delete;
  // Starts a call, with a descriptor unless it is -1.
  void Start(const char *service, const char *method, const ProtobufCMessage *request, int fd = -1);
  // The payload of the next answer; its status goes to *code, -1 when the connection ended.
  std::string Finish(int *code);

  // Asks for an echo: whether the daemon is there.
  bool Ping();
  // Makes a context that takes any server, and returns its handle.
  uint64_t MakeContext();
  // Starts a handshake with whoever is at the other end of fd, for at most so long; 0 is for ever.
  void StartConnect(uint64_t context, int fd, uint32_t wait_milliseconds);
  // The same where the daemon dials.
  void StartDial(uint64_t context, const char *host);

 private:
  int fd_;
  uint32_t next_id_ = 1;
};

#endif  // TLSAGENT_TESTS_UNIT_DAEMON_CALLER_H_
