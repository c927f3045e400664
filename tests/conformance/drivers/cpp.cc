// The cells by gRPC C++, with stubs as protoc makes them. conformance_test.py says what each cell
// has to do and to print.
#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>
#include <thread>
#include <vector>

#include "tlsagent/v1/certificate.grpc.pb.h"
#include "tlsagent/v1/context.grpc.pb.h"
#include "tlsagent/v1/session.grpc.pb.h"

using namespace tlsagent::v1;
using Arguments = std::vector<std::string>;
using Sessions = SessionService::Stub;

static constexpr size_t MOST = 1 << 20;
static constexpr auto A_MOMENT = std::chrono::milliseconds(500);

static void Check(bool good, const std::string &otherwise) {
  if (!good)
    throw std::runtime_error(otherwise);
}

template <class Value>
static void Say(const char *name, const Value &value) {
  std::cout << name << '=' << value << std::endl;
}

static std::shared_ptr<grpc::Channel> Daemon() {
  static const auto channel =
      grpc::CreateChannel(std::getenv("TLSAGENT_SOCKET"), grpc::InsecureChannelCredentials());
  return channel;
}

static Sessions &TheSessions() {
  static const auto stub = SessionService::NewStub(Daemon());
  return *stub;
}

template <class Answer, class Stub, class Method, class Request>
static Answer Call(Stub &stub, Method method, const Request &request) {
  grpc::ClientContext context;
  Answer answer;
  const grpc::Status status = (stub.*method)(&context, request, &answer);
  Check(status.ok(), status.error_message());
  return answer;
}

static std::string Slurp(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  Check(static_cast<bool>(file), "cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

static uint64_t MakeContext(const CreateContextRequest &request) {
  const auto contexts = ContextService::NewStub(Daemon());
  const auto made = Call<CreateContextResponse>(*contexts, &ContextService::Stub::Create, request);
  Check(made.context() != 0, made.error().item() + ": " + made.error().text());
  return made.context();
}

static void AddPair(CreateContextRequest *request, const std::string &chain,
                    const std::string &key) {
  CertificatePair *pair = request->add_pairs();
  pair->mutable_chain()->set_data(Slurp(chain));
  pair->mutable_key()->set_data(Slurp(key));
}

static CreateContextRequest Client(const std::string &ca) {
  CreateContextRequest request;
  request.set_kind(CONTEXT_KIND_CLIENT);
  request.mutable_trust()->add_certificates()->set_data(Slurp(ca));
  return request;
}

static State Settled(const Progress &progress) {
  const TlsError &error = progress.error();
  Check(!progress.has_error(),
        error.verify_message().empty() ? error.text() : error.verify_message());
  return progress.state();
}

// A connection that the daemon makes.
class Session {
 public:
  Session(uint64_t context, const std::string &port,
          const std::optional<BytesValue> &resumption = {}) {
    ConnectRequest request;
    request.set_context(context);
    request.mutable_transport()->mutable_dial()->set_host("localhost");
    request.mutable_transport()->mutable_dial()->set_port(std::stoi(port));
    if (resumption)
      *request.mutable_resumption() = *resumption;
    opened = Call<ConnectResponse>(TheSessions(), &Sessions::Connect, request);
    Settled(opened.progress());
  }

  void Write(const std::string &data) {
    for (size_t done = 0; done < data.size();) {
      WriteRequest request;
      request.set_session(opened.session());
      request.set_data(data.substr(done, MOST));
      const auto answer = Call<WriteResponse>(TheSessions(), &Sessions::Write, request);
      Settled(answer.progress());
      done += answer.accepted();
    }
  }

  // A request for some bytes.
  ReadRequest Reading() const {
    ReadRequest request;
    request.set_session(opened.session());
    request.set_max_bytes(MOST);
    return request;
  }

  // Some bytes; none at the end that the peer has told of.
  std::string Read() {
    const auto answer = Call<ReadResponse>(TheSessions(), &Sessions::Read, Reading());
    Settled(answer.progress());
    return answer.data();
  }

  std::string Rest() {
    std::string all;
    for (std::string part = Read(); !part.empty(); part = Read())
      all += part;
    return all;
  }

  void Page() {
    Write("GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    const std::string answer = Rest();
    const size_t body = answer.find("\r\n\r\n") + 4;
    Say("status", answer.substr(answer.find(' ') + 1, 3));
    Say("body", answer.substr(body, answer.find('\n', body) - body));
  }

  void Ask() {
    Write("question\n");
    const std::string answer = Read();
    Say("then", answer.substr(0, answer.find('\n')));
  }

  BytesValue Resumption() {
    GetResumptionRequest request;
    request.set_session(opened.session());
    return Call<GetResumptionResponse>(TheSessions(), &Sessions::GetResumption, request)
        .resumption();
  }

  void Close() {
    ShutdownRequest shutdown;
    shutdown.set_session(opened.session());
    Call<ShutdownResponse>(TheSessions(), &Sessions::Shutdown, shutdown);
    CloseSessionRequest close;
    close.set_session(opened.session());
    Call<CloseSessionResponse>(TheSessions(), &Sessions::Close, close);
  }

  ConnectResponse opened;
};

static void Get(const Arguments &args) {
  CreateContextRequest client = Client(args[1]);
  if (args.size() == 4)
    AddPair(&client, args[2], args[3]);
  Session session(MakeContext(client), args[0]);
  session.Page();
  session.Close();
}

static void Alpn(const Arguments &args) {
  CreateContextRequest client = Client(args[1]);
  client.mutable_settings()->mutable_alpn()->add_protocols("matrix/2");
  client.mutable_settings()->mutable_alpn()->add_protocols("http/1.1");
  Session session(MakeContext(client), args[0]);
  Say("alpn", session.opened.negotiated().alpn());
  session.Page();
  session.Close();
}

static void Resume(const Arguments &args) {
  const uint64_t context = MakeContext(Client(args[1]));
  std::optional<BytesValue> resumption;
  for (int i = 0; i < 2; ++i) {
    Session session(context, args[0], resumption);
    session.Page();
    Say("resumed", session.opened.negotiated().resumed() ? "true" : "false");
    resumption = session.Resumption();
    session.Close();
  }
}

static void Cancel(const Arguments &args) {
  Session session(MakeContext(Client(args[1])), args[0]);
  grpc::ClientContext context;
  ReadResponse answer;
  std::thread timer([&context] {
    std::this_thread::sleep_for(A_MOMENT);
    context.TryCancel();
  });
  const grpc::Status status = TheSessions().Read(&context, session.Reading(), &answer);
  timer.join();
  if (status.error_code() == grpc::StatusCode::CANCELLED)
    Say("cancelled", "CANCELLED");
  session.Ask();
  session.Close();
}

static void Deadline(const Arguments &args) {
  Session session(MakeContext(Client(args[1])), args[0]);
  grpc::ClientContext context;
  ReadResponse answer;
  context.set_deadline(std::chrono::system_clock::now() + A_MOMENT);
  const grpc::Status status = TheSessions().Read(&context, session.Reading(), &answer);
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED)
    Say("expired", "DEADLINE_EXCEEDED");
  session.Ask();
  session.Close();
}

static void Bulk(const Arguments &args) {
  Session session(MakeContext(Client(args[1])), args[0]);
  session.Write(Slurp(args[2]));
  std::ofstream(args[3], std::ios::binary) << session.Rest();
  session.Close();
}

// What the peer is to get is sent whatever the state is: an alert may be in it.
static State Flushed(int fd, const Progress &progress) {
  const std::string &output = progress.output();
  const ssize_t sent = send(fd, output.data(), output.size(), MSG_NOSIGNAL);
  Check(sent == static_cast<ssize_t>(output.size()), "the connection is lost");
  return Settled(progress);
}

static std::string ReadHead(int fd, uint64_t session) {
  ReadRequest read;
  read.set_session(session);
  std::string &unread = *read.mutable_feed()->mutable_data();
  std::string head;
  while (head.find("\r\n\r\n") == std::string::npos) {
    const auto answer = Call<ReadResponse>(TheSessions(), &Sessions::Read, read);
    head += answer.data();
    unread.erase(0, answer.progress().input_consumed());
    const State state = Flushed(fd, answer.progress());
    Check(state != STATE_CLOSED, "no request");
    if (state == STATE_WANT_READ) {
      char bytes[1 << 14];
      const ssize_t len = recv(fd, bytes, sizeof(bytes), 0);
      Check(len > 0, "the client has gone");
      unread.append(bytes, static_cast<size_t>(len));
    }
  }
  return head;
}

// The memory path: ciphertext goes through this process.
static void Answer(int fd, uint64_t session) {
  const std::string head = ReadHead(fd, session);
  Say("request", head.substr(0, head.find("\r\n")));
  WriteRequest write;
  write.set_session(session);
  write.set_data("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nconformance\n");
  Flushed(fd, Call<WriteResponse>(TheSessions(), &Sessions::Write, write).progress());
  ShutdownRequest shutdown;
  shutdown.set_session(session);
  Flushed(fd, Call<ShutdownResponse>(TheSessions(), &Sessions::Shutdown, shutdown).progress());
}

static int Listen() {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto *any = reinterpret_cast<sockaddr *>(&address);
  socklen_t len = sizeof(address);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  Check(bind(fd, any, len) == 0 && listen(fd, 16) == 0 && getsockname(fd, any, &len) == 0,
        "cannot listen");
  Say("port", ntohs(address.sin_port));
  return fd;
}

static void Serve(const Arguments &args) {
  CreateContextRequest server;
  server.set_kind(CONTEXT_KIND_SERVER);
  AddPair(&server, args[0], args[1]);
  AcceptRequest accept;
  accept.set_context(MakeContext(server));
  accept.mutable_transport()->mutable_memory();
  for (const int listener = Listen();;) {
    const int fd = ::accept(listener, nullptr, nullptr);
    CloseSessionRequest end;
    end.set_session(Call<AcceptResponse>(TheSessions(), &Sessions::Accept, accept).session());
    try {
      Answer(fd, end.session());
    } catch (const std::exception &error) {
      std::cerr << error.what() << '\n';
    }
    Call<CloseSessionResponse>(TheSessions(), &Sessions::Close, end);
    close(fd);
  }
}

static void Show(const Certificate &one) {
  for (const RelativeName &step : one.subject()) {
    for (const NameAttribute &part : step.attributes()) {
      if (part.short_type() == "CN")
        Say("cn", part.text());
    }
  }
  std::string names;
  for (const AlternativeName &name : one.subject_alt_names())
    names += (names.empty() ? "" : ",") + name.text();
  Say("names", names);
  Say("until", one.not_after_unix());
}

static void Decode(const Arguments &args) {
  DecodeRequest request;
  request.mutable_certificates()->set_data(Slurp(args[0]));
  const auto certificates = CertificateService::NewStub(Daemon());
  const auto answer =
      Call<DecodeResponse>(*certificates, &CertificateService::Stub::Decode, request);
  Check(!answer.has_error(), answer.error().text());
  for (const Certificate &one : answer.certificates())
    Show(one);
}

int main(int argc, char **argv) try {
  const std::map<std::string, std::function<void(const Arguments &)>> cells = {
      {"get", Get},           {"alpn", Alpn}, {"resume", Resume}, {"cancel", Cancel},
      {"deadline", Deadline}, {"bulk", Bulk}, {"serve", Serve},   {"decode", Decode}};
  Check(argc > 1 && cells.count(argv[1]) == 1, "no such cell");
  cells.at(argv[1])(Arguments(argv + 2, argv + argc));
} catch (const std::exception &error) {
  std::cerr << error.what() << '\n';
  return 1;
}
