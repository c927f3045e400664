// Gets an https page without a TLS library: fetch HOST PORT PATH [CA.pem]
// Without CA.pem the daemon's system store says whom to trust. The page comes with its headers.
#include <netdb.h>

#include <iostream>

#include "memory_tls.h"

static int Dial(const char *host, const char *port) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo *found = nullptr;
  if (getaddrinfo(host, port, &hints, &found) != 0)
    throw std::runtime_error(std::string("no such host: ") + host);
  const std::unique_ptr<addrinfo, void (*)(addrinfo *)> owner(found, freeaddrinfo);
  for (const addrinfo *one = found; one != nullptr; one = one->ai_next) {
    const int fd = socket(one->ai_family, one->ai_socktype, 0);
    if (connect(fd, one->ai_addr, one->ai_addrlen) == 0)
      return fd;
    close(fd);
  }
  throw std::runtime_error(std::string("cannot connect to ") + host);
}

static void Fetch(const std::string &host, const char *port, const std::string &path,
                  const char *ca) {
  const auto daemon = Daemon();
  tls::CreateContextRequest context;
  context.set_kind(tls::CONTEXT_KIND_CLIENT);
  context.mutable_trust()->set_system(ca == nullptr);
  if (ca != nullptr)
    context.mutable_trust()->add_certificates()->set_data(Slurp(ca));

  tls::ConnectRequest connect;
  connect.set_context(MakeContext(daemon, context));
  connect.set_server_name(host);
  connect.mutable_transport()->mutable_memory();
  const auto sessions = tls::SessionService::NewStub(daemon);
  const int fd = Dial(host.c_str(), port);
  Tls tls(*sessions, fd, Call(*sessions, &tls::SessionService::Stub::Connect, connect));

  tls.Write("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
  for (std::string data = tls.Read(); !data.empty(); data = tls.Read())
    std::cout << data;
  tls.Close();
  close(fd);
}

int main(int argc, char **argv) {
  if (argc != 4 && argc != 5) {
    std::cerr << "usage: fetch HOST PORT PATH [CA.pem]\n";
    return 2;
  }
  try {
    Fetch(argv[1], argv[2], argv[3], argc == 5 ? argv[4] : nullptr);
  } catch (const std::exception &error) {
    std::cerr << "fetch: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
