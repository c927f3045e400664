// A streaming call by ttrpc, on a connection of its own.
#ifndef TLSAGENT_TESTS_UNIT_SERVICE_STREAMS_H_
#define TLSAGENT_TESTS_UNIT_SERVICE_STREAMS_H_

#include <protobuf-c/protobuf-c.h>

#include <string>

class StreamingCall {
 public:
  // With a token it is that client's.
  explicit StreamingCall(const std::string &path, std::string token = "");
  ~StreamingCall();
  StreamingCall(const StreamingCall &) = delete;

  // Asks with one message; opens a call that messages follow.
  void Ask(const char *service, const char *method, const ProtobufCMessage *request);
  void Open(const char *service, const char *method);
  void Send(const ProtobufCMessage *message);
  void HalfClose();

  // The next message, serialized. False at the call's end; code tells which one.
  bool Next(std::string *out);
  int code = -1;

 private:
  void Frame(int type, int flags, const std::string &body);
  std::string Take(size_t len);
  int fd_;
  std::string token_;
};

#endif  // TLSAGENT_TESTS_UNIT_SERVICE_STREAMS_H_
