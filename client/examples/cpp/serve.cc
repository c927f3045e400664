// Serves an https page without a TLS library: serve PORT CHAIN.pem KEY.pem
// The key goes to the daemon and stays there. Port 0 takes any that is free.
#include <arpa/inet.h>
#include <netinet/in.h>

#include <iostream>

#include "memory_tls.h"

static const char PAGE[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\nConnection: "
    "close\r\n\r\nhello by gRPC\n";

static int Listen(const char *port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(port)));
  socklen_t len = sizeof(address);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  auto *any = reinterpret_cast<sockaddr *>(&address);
  if (bind(fd, any, len) != 0 || listen(fd, 16) != 0 || getsockname(fd, any, &len) != 0) {
    throw std::runtime_error(std::string("cannot listen at port ") + port);
  }
  std::cout << "https://localhost:" << ntohs(address.sin_port) << '/' << std::endl;
  return fd;
}

static void Answer(tls::SessionService::Stub &sessions, const tls::AcceptRequest &accept, int fd) {
  Tls tls(sessions, fd, Call(sessions, &tls::SessionService::Stub::Accept, accept));
  std::string request;
  while (request.find("\r\n\r\n") == std::string::npos && request.size() < (1 << 16)) {
    const std::string data = tls.Read();
    if (data.empty())
      break;
    request += data;
  }
  tls.Write(PAGE);
  tls.Close();
}

static void Serve(const char *port, const char *chain, const char *key) {
  const auto daemon = Daemon();
  tls::CreateContextRequest context;
  context.set_kind(tls::CONTEXT_KIND_SERVER);
  tls::CertificatePair *pair = context.add_pairs();
  pair->mutable_chain()->set_data(Slurp(chain));
  pair->mutable_key()->set_data(Slurp(key));
  tls::AcceptRequest accept;
  accept.set_context(MakeContext(daemon, context));
  accept.mutable_transport()->mutable_memory();
  const auto sessions = tls::SessionService::NewStub(daemon);
  const int listener = Listen(port);
  for (;;) {
    const int fd = ::accept(listener, nullptr, nullptr);
    try {
      Answer(*sessions, accept, fd);
    } catch (const std::exception &error) {
      std::cerr << "serve: " << error.what() << '\n';
    }
    close(fd);
  }
}

int main(int argc, char **argv) {
  if (argc != 4) {
    std::cerr << "usage: serve PORT CHAIN.pem KEY.pem\n";
    return 2;
  }
  try {
    Serve(argv[1], argv[2], argv[3]);
  } catch (const std::exception &error) {
    std::cerr << "serve: " << error.what() << '\n';
  }
  return 1;
}
