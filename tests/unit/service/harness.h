// What the tests of this folder share: a whole daemon but for its process, on a socket of its own,
// and a client that speaks ttrpc with nothing but protobuf-c.
//
// The handlers stand on one environment for the whole process, so there is one Daemon at a time.
#ifndef TLSAGENT_TESTS_UNIT_SERVICE_HARNESS_H_
#define TLSAGENT_TESTS_UNIT_SERVICE_HARNESS_H_

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proto/tlsagent/v1/agent.pb-c.h"
#include "proto/tlsagent/v1/certificate.pb-c.h"
#include "proto/tlsagent/v1/context.pb-c.h"
#include "proto/tlsagent/v1/relay.pb-c.h"
#include "proto/tlsagent/v1/session.pb-c.h"
#include "server/base/counters.h"
#include "server/service/private.h"
#include "server/tenant/tenant.h"
#include "tests/support/eventually.h"
#include "tests/support/folder.h"
#include "tests/support/peers.h"

// Bytes that repeat nowhere near.
std::string Pattern(size_t len);

// ---------------------------------------------------------------------------------------------
// Messages

#define V1(name) Tlsagent__V1__##name

// Points into data, which has to live on.
ProtobufCBinaryData Binary(const std::string &data);
ProtobufCBinaryData Binary(std::string &&data) = delete;
std::string Text(ProtobufCBinaryData data);

// What came back: a status, and the response when that is OK.
template <typename Response>
struct Reply {
  int code = -1;
  std::string message;
  std::shared_ptr<Response> response;
  const Response *operator->() const {
    static const Response kNone = {};
    return response == nullptr ? &kNone : response.get();
  }
};

// Which method a request is for, and what it answers.
template <typename Request>
struct Method;
#define METHOD(service_, name_, Request_, Response_, request_, response_) \
  template <>                                                             \
  struct Method<V1(Request_)> {                                           \
    using Response = V1(Response_);                                       \
    static const char *service() {                                        \
      return "tlsagent.v1." service_;                                     \
    }                                                                     \
    static const char *name() {                                           \
      return name_;                                                       \
    }                                                                     \
    static const ProtobufCMessageDescriptor *request() {                  \
      return &tlsagent__v1__##request_##__descriptor;                     \
    }                                                                     \
    static const ProtobufCMessageDescriptor *response() {                 \
      return &tlsagent__v1__##response_##__descriptor;                    \
    }                                                                     \
  }
METHOD("AgentService", "Ping", PingRequest, PingResponse, ping_request, ping_response);
METHOD("AgentService", "Hello", HelloRequest, HelloResponse, hello_request, hello_response);
METHOD("AgentService", "Info", InfoRequest, InfoResponse, info_request, info_response);
METHOD("AgentService", "Limits", LimitsRequest, LimitsResponse, limits_request, limits_response);
METHOD("AgentService", "Counters", CountersRequest, CountersResponse, counters_request,
       counters_response);
METHOD("AgentService", "Cancel", CancelRequest, CancelResponse, cancel_request, cancel_response);
METHOD("AgentService", "RandomBytes", RandomBytesRequest, RandomBytesResponse, random_bytes_request,
       random_bytes_response);
METHOD("AgentService", "AddEntropy", AddEntropyRequest, AddEntropyResponse, add_entropy_request,
       add_entropy_response);
METHOD("AgentService", "LookupObject", LookupObjectRequest, LookupObjectResponse,
       lookup_object_request, lookup_object_response);
METHOD("CertificateService", "Decode", DecodeRequest, DecodeResponse, decode_request,
       decode_response);
METHOD("CertificateService", "Verify", VerifyRequest, VerifyResponse, verify_request,
       verify_response);
METHOD("ContextService", "Create", CreateContextRequest, CreateContextResponse,
       create_context_request, create_context_response);
METHOD("ContextService", "Configure", ConfigureContextRequest, ConfigureContextResponse,
       configure_context_request, configure_context_response);
METHOD("ContextService", "Describe", DescribeContextRequest, DescribeContextResponse,
       describe_context_request, describe_context_response);
METHOD("ContextService", "ListTrust", ListTrustRequest, ListTrustResponse, list_trust_request,
       list_trust_response);
METHOD("ContextService", "Open", OpenContextRequest, OpenContextResponse, open_context_request,
       open_context_response);
METHOD("ContextService", "Release", ReleaseContextRequest, ReleaseContextResponse,
       release_context_request, release_context_response);
METHOD("ContextService", "Forget", ForgetContextRequest, ForgetContextResponse,
       forget_context_request, forget_context_response);
METHOD("SessionService", "Connect", ConnectRequest, ConnectResponse, connect_request,
       connect_response);
METHOD("SessionService", "Accept", AcceptRequest, AcceptResponse, accept_request, accept_response);
METHOD("SessionService", "Handshake", HandshakeRequest, HandshakeResponse, handshake_request,
       handshake_response);
METHOD("SessionService", "Read", ReadRequest, ReadResponse, read_request, read_response);
METHOD("SessionService", "Write", WriteRequest, WriteResponse, write_request, write_response);
METHOD("SessionService", "Shutdown", ShutdownRequest, ShutdownResponse, shutdown_request,
       shutdown_response);
METHOD("SessionService", "Describe", DescribeSessionRequest, DescribeSessionResponse,
       describe_session_request, describe_session_response);
METHOD("SessionService", "PeerCertificate", PeerCertificateRequest, PeerCertificateResponse,
       peer_certificate_request, peer_certificate_response);
METHOD("SessionService", "ExportKeyingMaterial", ExportKeyingMaterialRequest,
       ExportKeyingMaterialResponse, export_keying_material_request,
       export_keying_material_response);
METHOD("SessionService", "ChannelBinding", ChannelBindingRequest, ChannelBindingResponse,
       channel_binding_request, channel_binding_response);
METHOD("SessionService", "GetResumption", GetResumptionRequest, GetResumptionResponse,
       get_resumption_request, get_resumption_response);
METHOD("SessionService", "RequestClientCertificate", RequestClientCertificateRequest,
       RequestClientCertificateResponse, request_client_certificate_request,
       request_client_certificate_response);
METHOD("SessionService", "UpdateKeys", UpdateKeysRequest, UpdateKeysResponse, update_keys_request,
       update_keys_response);
METHOD("SessionService", "SharedCiphers", SharedCiphersRequest, SharedCiphersResponse,
       shared_ciphers_request, shared_ciphers_response);
METHOD("SessionService", "SetContext", SetContextRequest, SetContextResponse, set_context_request,
       set_context_response);
METHOD("SessionService", "Relay", RelayRequest, RelayResponse, relay_request, relay_response);
METHOD("SessionService", "DescriptorToken", DescriptorTokenRequest, DescriptorTokenResponse,
       descriptor_token_request, descriptor_token_response);
METHOD("SessionService", "WaitEnd", WaitEndRequest, WaitEndResponse, wait_end_request,
       wait_end_response);
METHOD("RelayService", "Listen", ListenRequest, ListenResponse, listen_request, listen_response);
METHOD("RelayService", "Describe", DescribeListenerRequest, DescribeListenerResponse,
       describe_listener_request, describe_listener_response);
METHOD("RelayService", "Next", NextEndsRequest, NextEndsResponse, next_ends_request,
       next_ends_response);
METHOD("RelayService", "Close", CloseListenerRequest, CloseListenerResponse, close_listener_request,
       close_listener_response);
METHOD("SessionService", "Close", CloseSessionRequest, CloseSessionResponse, close_session_request,
       close_session_response);
#undef METHOD

// A blank request.
template <typename Request>
Request New() {
  Request request;
  protobuf_c_message_init(Method<Request>::request(), &request.base);
  return request;
}

// What several requests carry.
class Material {
 public:
  explicit Material(const std::string &text = "");
  Material(const Material &) = delete;
  V1(Material) * get() {
    return &message_;
  }

 private:
  std::string text_;
  V1(Material) message_;
};

// How ciphertext travels.
class Way {
 public:
  Way();
  Way(const Way &) = delete;
  Way &Memory(const std::string &feed = "", bool eof = false);
  Way &Fd(uint32_t index = 0);
  Way &Token(const std::string &token);
  Way &Dial(const std::string &host, uint32_t port);
  V1(Transport) * get() {
    return &transport_;
  }

 private:
  std::string feed_data_;
  std::string host_;
  std::string token_;
  V1(Feed) feed_;
  V1(MemoryTransport) memory_;
  V1(FdTransport) fd_;
  V1(DialTransport) dial_;
  V1(Transport) transport_;
};

// Ciphertext from the peer, for the requests that carry some.
class Feed {
 public:
  explicit Feed(const std::string &data, bool eof = false);
  Feed(const Feed &) = delete;
  V1(Feed) * get() {
    return &feed_;
  }

 private:
  std::string data_;
  V1(Feed) feed_;
};

// How long an operation may wait.
class Wait {
 public:
  explicit Wait(uint32_t milliseconds);
  V1(Wait) * get() {
    return &wait_;
  }

 private:
  V1(Wait) wait_;
};

// ---------------------------------------------------------------------------------------------
// The client

// How a call is made: with what deadline, token and descriptors.
struct How {
  int64_t timeout_nano = 0;
  std::string token;
  std::vector<int> fds;
};

class Client {
 public:
  explicit Client(const std::string &path);
  Client(Client &&other) noexcept : fd_(other.fd_), next_id_(other.next_id_) {
    other.fd_ = -1;
  }
  ~Client() {
    Disconnect();
  }
  // Starts a call and returns its stream id.
  template <typename Request>
  uint32_t Start(const Request &request, const How &how = How()) {
    return Send(Method<Request>::service(), Method<Request>::name(), &request.base, how);
  }
  // Waits for the answer to that call; others that come first are kept.
  template <typename Request>
  Reply<typename Method<Request>::Response> Finish(uint32_t id) {
    Reply<typename Method<Request>::Response> reply;
    reply.response.reset((typename Method<Request>::Response *)Wait(id, Method<Request>::response(),
                                                                    &reply.code, &reply.message),
                         Free);
    return reply;
  }
  template <typename Request>
  Reply<typename Method<Request>::Response> Call(const Request &request, const How &how = How()) {
    return Finish<Request>(Start(request, how));
  }
  // The first descriptor that came with answers; -1 without. It is the caller's.
  int TakeFd();
  // No answer to that call comes for a while.
  bool Pending(uint32_t id, int milliseconds = 30);
  void Disconnect();

 private:
  uint32_t Send(const char *service, const char *method, const ProtobufCMessage *request,
                const How &how);
  void *Wait(uint32_t id, const ProtobufCMessageDescriptor *descriptor, int *code,
             std::string *message);
  bool Fill(int milliseconds);
  void KeepFds(struct msghdr *message);
  void Cut();
  static void Free(void *message);
  int fd_;
  uint32_t next_id_ = 1;
  std::string input_;
  std::vector<int> fds_;
  std::map<uint32_t, std::string> answers_;
};

// ---------------------------------------------------------------------------------------------
// The daemon

class Daemon : public testing::Test {
 protected:
  explicit Daemon(unsigned num_workers = 2);
  ~Daemon() override;
  static void SetUpTestSuite();
  // Limits and dial patterns are changed before Start, which the first Connect calls if need be.
  void Start();
  void Stop();
  Client Connect();
  const std::string &path() const {
    return path_;
  }
  // Lets calls in flight end, and takes no others.
  void Drain();
  // Connects as another user, which only root can.
  Client ConnectAs(uid_t uid);

  // Contexts by handle: the host's server, a client that trusts the root.
  uint64_t ServerContext(Client &client, const struct pki_identity *identity = nullptr);
  uint64_t ClientContext(Client &client);
  uint64_t MakeContext(Client &client, Tlsagent__V1__ContextKind kind,
                       const struct pki_identity *identity, const struct pki_identity *root,
                       const std::string &name = "");

  static uint64_t LivingSessions();
  uint64_t CountedSessions() {
    return tenant_count(tenant_, QUOTA_SESSIONS);
  }
  uint64_t CountedListeners() {
    return tenant_count(tenant_, QUOTA_LISTENERS);
  }
  uint64_t CountedContexts() {
    return tenant_count(tenant_, QUOTA_CONTEXTS);
  }
  struct worker_pool *workers() {
    return workers_;
  }

  struct limits limits_;
  std::vector<const char *> dial_patterns_;
  bool kernel_has_tls_ = false;  // what the daemon believes
  bool kernel_tls_ = false;

 private:
  unsigned num_workers_;
  struct policy policy_ = {};
  struct tenant *tenant_ = nullptr;
  struct resolver *resolver_ = nullptr;
  struct worker_pool *workers_ = nullptr;
  struct rpc_server *server_ = nullptr;
  Folder folder_;
  std::string path_ = folder_ / "s";
  int listen_fd_ = -1;
};

// ---------------------------------------------------------------------------------------------
// Sockets

// Two connected Unix sockets; both close themselves unless released.
class Sockets {
 public:
  Sockets();
  ~Sockets();
  int ours() const {
    return fds_[0];
  }
  int ReleaseTheirs();
  void CloseOurs();

 private:
  int fds_[2];
};
int ListenTcp(uint16_t *port);

// Says the line that puts a descriptor under a token, or gets one, on a connection of its own.
// Gives what is answered; a descriptor that came goes to *fd.
std::string SayLine(const std::string &path, const std::string &verb, const std::string &token,
                    int *fd);
size_t NumOpenFds();

// ---------------------------------------------------------------------------------------------
// Sessions

// A daemon with a client, its usual contexts, and a session or two.
class Sessions : public Daemon {
 protected:
  explicit Sessions(unsigned num_workers = 2) : Daemon(num_workers) {}
  void SetUp() override;
  // Opens a session of that role on a socket, hands shaken with peer_. Returns its handle.
  uint64_t OpenOnFd(enum engine_role role = ENGINE_CLIENT, int version = 0);
  // Opens one on the memory path and shakes hands with peer_.
  uint64_t OpenInMemory(enum engine_role role = ENGINE_CLIENT, int version = 0);
  Reply<V1(ConnectResponse)> ConnectOnFd(int fd, const How &how = How());
  Reply<V1(ReadResponse)> Read(uint64_t session, const std::string &feed = "", uint32_t max = 0);
  Reply<V1(WriteResponse)> Write(uint64_t session, const std::string &data);
  Reply<V1(DescribeSessionResponse)> Describe(uint64_t session);
  int Close(uint64_t session);
  // What joins a connection to client_.
  std::string Token();
  uint32_t StartRead(Client &client, uint64_t session, const How &how = How());
  // The peer sees its end of the socket ended.
  static bool SeesEnd(int fd);

  std::unique_ptr<Client> client_;
  uint64_t client_context_ = 0;
  uint64_t server_context_ = 0;
  Peer peer_;
  std::string wire_;  // from the peer, not yet consumed
};

#endif  // TLSAGENT_TESTS_UNIT_SERVICE_HARNESS_H_
