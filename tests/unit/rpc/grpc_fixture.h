// A gRPC client for the tests of this folder: nghttp2's own client session, with every knob in
// reach.
#ifndef TLSAGENT_TESTS_UNIT_RPC_GRPC_FIXTURE_H_
#define TLSAGENT_TESTS_UNIT_RPC_GRPC_FIXTURE_H_

#include <nghttp2/nghttp2.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/rpc/rpc_fixture.h"

using Fields = std::vector<std::pair<std::string, std::string>>;

// A message with its prefix.
std::string Prefixed(const std::string &message, bool compressed = false);
// A frame of HTTP/2, and a peer's first words.
std::string FrameOf(uint8_t type, uint8_t flags, uint32_t stream, const std::string &body);
extern const char kPreface[];
// The headers of a call of toy.Toy.
Fields CallFields(const std::string &method, const Fields &more = {});

// What a stream has brought.
struct Stream {
  Fields headers;    // the first block
  Fields trailers;   // the second one
  std::string body;  // prefixes included
  std::string todo;  // of the request, still to be sent
  bool ends = true;  // the request ends with todo
  bool closed = false;
  uint32_t error = 0;  // it was closed with
  std::string Header(const std::string &name) const;
  // In whichever block it came; "" when it came in none.
  std::string Trailer(const std::string &name) const;
  // grpc-status as a number, or -1.
  int Code() const;
  std::string Message() const;
  // Of the one message that came.
  std::string TypeUrl() const;
  std::string Value() const;
};

class Http2 {
 public:
  explicit Http2(Client client);
  ~Http2();
  Http2(const Http2 &) = delete;

  // Queues a request, and what there is of its body.
  int32_t Submit(const Fields &fields, const std::string &body, bool ends = true);
  int32_t SubmitCall(const Request &request, const Fields &more = {});
  // More of a body that has not ended.
  void More(int32_t id, const std::string &body, bool ends);
  void Reset(int32_t id, uint32_t error = NGHTTP2_CANCEL);

  // Everything that is queued, as bytes.
  std::string Pending();
  void Flush();
  void Send(const std::string &bytes, const std::vector<int> &fds = {}) {
    client_.Send(bytes, fds);
  }
  // Flushes, and takes in what comes next; false at the connection's end.
  bool Pump();
  // Pumps as long as there is something to take in, and waits for nothing.
  void PumpSome();
  // Pumps until the stream is closed.
  const Stream &Await(int32_t id);
  // Pumps until the connection ends.
  bool AtEnd();
  const Stream &Call(const Request &request, const Fields &more = {}) {
    return Await(SubmitCall(request, more));
  }

  nghttp2_session *session() {
    return session_;
  }
  int fd() const {
    return client_.fd();
  }
  Stream &At(int32_t id) {
    return streams_[id];
  }
  // What GOAWAY frames said, in order: the last stream, and why.
  std::vector<std::pair<int32_t, uint32_t>> goaways;
  std::map<int32_t, uint32_t> settings;
  int num_pongs = 0;

 private:
  Client client_;
  nghttp2_session *session_ = nullptr;
  std::map<int32_t, Stream> streams_;
};

#endif  // TLSAGENT_TESTS_UNIT_RPC_GRPC_FIXTURE_H_
