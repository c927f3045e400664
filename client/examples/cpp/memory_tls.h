// TLS for a socket of this process by tlsagentd: what fetch.cc and serve.cc share. The stubs are
// stock ones of gRPC C++.
#ifndef MEMORY_TLS_H_
#define MEMORY_TLS_H_

#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>

#include "tlsagent/v1/context.grpc.pb.h"
#include "tlsagent/v1/session.grpc.pb.h"

namespace tls = tlsagent::v1;

inline std::shared_ptr<grpc::Channel> Daemon() {
  const char *address = std::getenv("TLSAGENT_SOCKET");
  const char *runtime = std::getenv("XDG_RUNTIME_DIR");
  return grpc::CreateChannel(
      address != nullptr ? address
                         : "unix:" + std::string(runtime ? runtime : "/run") + "/tlsagent.sock",
      grpc::InsecureChannelCredentials());
}

inline std::string Slurp(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// One call of a stub: Call(&*stub, &Stub::Method, request).
template <class Stub, class Request, class Answer>
Answer Call(Stub &stub,
            grpc::Status (Stub::*method)(grpc::ClientContext *, const Request &, Answer *),
            const Request &request) {
  grpc::ClientContext context;
  Answer answer;
  const grpc::Status status = (stub.*method)(&context, request, &answer);
  if (!status.ok())
    throw std::runtime_error("tlsagentd: " + status.error_message());
  return answer;
}

// The memory path: ciphertext goes through the socket here, and through calls to the daemon and
// back.
class Tls {
 public:
  using Stub = tls::SessionService::Stub;
  // opened is the answer to Connect or Accept.
  template <class Opened>
  Tls(Stub &stub, int fd, const Opened &opened) : stub_(stub), fd_(fd), session_(opened.session()) {
    if (Settle(opened.progress()) != tls::STATE_DONE)
      Go(&Stub::Handshake, tls::HandshakeRequest());
  }
  // "" after the peer's close_notify.
  std::string Read() {
    return Go(&Stub::Read, tls::ReadRequest()).data();
  }
  void Write(const std::string &data) {
    tls::WriteRequest request;
    request.set_data(data);
    Go(&Stub::Write, request);
  }
  void Close() {
    tls::ShutdownRequest shutdown;
    shutdown.set_session(session_);
    Settle(Call(stub_, &Stub::Shutdown, shutdown).progress());
    tls::CloseSessionRequest close;
    close.set_session(session_);
    Call(stub_, &Stub::Close, close);
  }

 private:
  // What the peer is to get is sent whatever the state is: an alert may be in it.
  tls::State Settle(const tls::Progress &progress) {
    const std::string &output = progress.output();
    for (size_t sent = 0; sent < output.size();) {
      const ssize_t n = send(fd_, output.data() + sent, output.size() - sent, MSG_NOSIGNAL);
      if (n < 0)
        throw std::runtime_error("the connection is lost");
      sent += static_cast<size_t>(n);
    }
    unread_.erase(0, progress.input_consumed());
    if (progress.state() == tls::STATE_FAILED) {
      const tls::TlsError &error = progress.error();
      throw std::runtime_error(error.verify_message().empty() ? error.text()
                                                              : error.verify_message());
    }
    return progress.state();
  }

  // Calls until the call wants no more of the peer.
  template <class Request, class Answer>
  Answer Go(grpc::Status (Stub::*method)(grpc::ClientContext *, const Request &, Answer *),
            Request request) {
    request.set_session(session_);
    for (bool eof = false;;) {
      request.mutable_feed()->set_data(unread_);
      request.mutable_feed()->set_eof(eof);
      const Answer answer = Call(stub_, method, request);
      if (Settle(answer.progress()) != tls::STATE_WANT_READ)
        return answer;
      char bytes[1 << 16];
      const ssize_t n = recv(fd_, bytes, sizeof(bytes), 0);
      if (n > 0)
        unread_.append(bytes, static_cast<size_t>(n));
      eof = n <= 0;
    }
  }

  Stub &stub_;
  int fd_;
  uint64_t session_;
  std::string unread_;
};

// A context, or an exception that says what was refused.
inline uint64_t MakeContext(const std::shared_ptr<grpc::Channel> &daemon,
                            const tls::CreateContextRequest &request) {
  const auto contexts = tls::ContextService::NewStub(daemon);
  const tls::CreateContextResponse answer =
      Call(*contexts, &tls::ContextService::Stub::Create, request);
  if (answer.context() == 0)
    throw std::runtime_error(answer.error().item() + ": " + answer.error().text());
  return answer.context();
}

#endif  // MEMORY_TLS_H_
