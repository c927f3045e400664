// Gets an https page without a TLS library: fetch HOST PORT PATH [CA.pem]
// The daemon makes the connection, which its --allow-dial has to permit. Without CA.pem its system
// store says whom to trust. The page comes with its headers.
#include <grpcpp/grpcpp.h>

#include <fstream>
#include <iostream>
#include <iterator>

#include "tlsagent/v1/context.grpc.pb.h"
#include "tlsagent/v1/session.grpc.pb.h"

using namespace tlsagent::v1;

static void Check(bool good, const std::string &otherwise) {
  if (!good)
    throw std::runtime_error(otherwise);
}

template <class Answer, class Stub, class Method, class Request>
static Answer Call(Stub &stub, Method method, const Request &request) {
  grpc::ClientContext context;
  Answer answer;
  const grpc::Status status = (stub.*method)(&context, request, &answer);
  Check(status.ok(), "tlsagentd: " + status.error_message());
  return answer;
}

static uint64_t MakeContext(const std::shared_ptr<grpc::Channel> &daemon, const char *ca) {
  CreateContextRequest client;
  client.set_kind(CONTEXT_KIND_CLIENT);
  client.mutable_trust()->set_system(ca == nullptr);
  if (ca != nullptr) {
    std::ifstream file(ca, std::ios::binary);
    std::string *pem = client.mutable_trust()->add_certificates()->mutable_data();
    pem->assign(std::istreambuf_iterator<char>(file), {});
  }
  const auto contexts = ContextService::NewStub(daemon);
  const auto made = Call<CreateContextResponse>(*contexts, &ContextService::Stub::Create, client);
  Check(made.context() != 0, made.error().item() + ": " + made.error().text());
  return made.context();
}

// A failure of TLS is an answer: Call has thrown only what went wrong with the call.
static bool Done(const Progress &progress) {
  const TlsError &error = progress.error();
  Check(progress.state() != STATE_FAILED,
        error.verify_message().empty() ? error.text() : error.verify_message());
  return progress.state() == STATE_DONE;
}

static void Fetch(const std::shared_ptr<grpc::Channel> &daemon, uint64_t context,
                  const std::string &host, int port, const std::string &path) {
  ConnectRequest connect;
  connect.set_context(context);
  connect.mutable_transport()->mutable_dial()->set_host(host);
  connect.mutable_transport()->mutable_dial()->set_port(port);
  connect.set_first_write("GET " + path + " HTTP/1.1\r\nHost: " + host +
                          "\r\nConnection: close\r\n\r\n");
  using Sessions = SessionService::Stub;
  const auto sessions = SessionService::NewStub(daemon);
  const auto opened = Call<ConnectResponse>(*sessions, &Sessions::Connect, connect);
  Done(opened.progress());
  ReadRequest read;
  read.set_session(opened.session());
  for (;;) {
    const auto answer = Call<ReadResponse>(*sessions, &Sessions::Read, read);
    if (!Done(answer.progress()))  // the peer itself said that this was the end
      return;
    std::cout << answer.data();
  }
}

int main(int argc, char **argv) try {
  const char *address = std::getenv("TLSAGENT_SOCKET");
  Check(argc >= 4 && address, "usage: TLSAGENT_SOCKET=unix:PATH fetch HOST PORT PATH [CA.pem]");
  const auto daemon = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  Fetch(daemon, MakeContext(daemon, argv[4]), argv[1], std::stoi(argv[2]), argv[3]);
} catch (const std::exception &error) {
  std::cerr << "fetch: " << error.what() << '\n';
  return 1;
}
