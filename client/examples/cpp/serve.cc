// Serves an https page without a TLS library, inetd style: serve CHAIN.pem KEY.pem
// Standard input is the connection, as socat, systemd (Accept=yes) and inetd pass one:
//   socat TCP-LISTEN:8443,fork,reuseaddr EXEC:'serve chain.pem key.pem',nofork
// The key goes to the daemon and stays there.
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <iterator>

#include "tlsagent/v1/context.grpc.pb.h"
#include "tlsagent/v1/session.grpc.pb.h"

using namespace tlsagent::v1;
using Sessions = SessionService::Stub;

static const char PAGE[] = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello by gRPC\n";

static void Check(bool good, const std::string &otherwise) {
  if (!good)
    throw std::runtime_error(otherwise);
}

static std::string Slurp(const char *path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

template <class Answer, class Stub, class Method, class Request>
static Answer Call(Stub &stub, Method method, const Request &request) {
  grpc::ClientContext context;
  Answer answer;
  const grpc::Status status = (stub.*method)(&context, request, &answer);
  Check(status.ok(), "tlsagentd: " + status.error_message());
  return answer;
}

// What the peer is to get is sent whatever the state is: an alert may be in it.
static State Settle(const Progress &progress) {
  const std::string &output = progress.output();
  const ssize_t sent = send(STDIN_FILENO, output.data(), output.size(), MSG_NOSIGNAL);
  Check(sent == static_cast<ssize_t>(output.size()), "the connection is lost");
  Check(progress.state() != STATE_FAILED, progress.error().text());
  return progress.state();
}

// The memory path: ciphertext goes through the socket here, and through calls to the daemon. The
// handshake is a part of the first Read.
static void Answer(Sessions &sessions, uint64_t session) {
  ReadRequest read;
  read.set_session(session);
  std::string &unread = *read.mutable_feed()->mutable_data();
  std::string request;
  while (request.find("\r\n\r\n") == std::string::npos && request.size() < (1 << 16)) {
    const auto answer = Call<ReadResponse>(sessions, &Sessions::Read, read);
    request += answer.data();
    unread.erase(0, answer.progress().input_consumed());
    const State state = Settle(answer.progress());
    Check(state != STATE_CLOSED, "the client has asked for nothing");
    if (state == STATE_WANT_READ) {
      char bytes[1 << 14];
      const ssize_t len = recv(STDIN_FILENO, bytes, sizeof(bytes), 0);
      read.mutable_feed()->set_eof(len <= 0);
      unread.append(bytes, len > 0 ? static_cast<size_t>(len) : 0);
    }
  }
  WriteRequest write;
  write.set_session(session);
  write.set_data(PAGE);
  Settle(Call<WriteResponse>(sessions, &Sessions::Write, write).progress());
  ShutdownRequest shutdown;
  shutdown.set_session(session);
  Settle(Call<ShutdownResponse>(sessions, &Sessions::Shutdown, shutdown).progress());
}

int main(int argc, char **argv) try {
  const char *address = std::getenv("TLSAGENT_SOCKET");
  Check(argc == 3 && address, "usage: TLSAGENT_SOCKET=unix:PATH serve CHAIN.pem KEY.pem");
  const auto daemon = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  const auto contexts = ContextService::NewStub(daemon);
  CreateContextRequest server;
  server.set_kind(CONTEXT_KIND_SERVER);
  server.add_pairs()->mutable_chain()->set_data(Slurp(argv[1]));
  server.mutable_pairs(0)->mutable_key()->set_data(Slurp(argv[2]));
  const auto made = Call<CreateContextResponse>(*contexts, &ContextService::Stub::Create, server);
  Check(made.context() != 0, made.error().item() + ": " + made.error().text());
  AcceptRequest accept;
  accept.set_context(made.context());
  accept.mutable_transport()->mutable_memory();
  const auto sessions = SessionService::NewStub(daemon);
  Answer(*sessions, Call<AcceptResponse>(*sessions, &Sessions::Accept, accept).session());
} catch (const std::exception &error) {
  std::cerr << "serve: " << error.what() << '\n';
  return 1;
}
