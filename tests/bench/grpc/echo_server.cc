// AgentService.Ping by gRPC C++, for what ours is measured beside: echo_server callback|async
// ADDRESS. The service is the one of our .proto file, so that both servers are asked the same
// bytes.
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <memory>
#include <string>

#include "tlsagent/v1/agent.grpc.pb.h"

namespace {

using tlsagent::v1::AgentService;
using tlsagent::v1::PingRequest;
using tlsagent::v1::PingResponse;

// The API that gRPC recommends; its library brings the threads.
class CallbackPing final : public AgentService::CallbackService {
  grpc::ServerUnaryReactor *Ping(grpc::CallbackServerContext *context, const PingRequest *request,
                                 PingResponse *response) override {
    response->set_payload(request->payload());
    grpc::ServerUnaryReactor *reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

// One call of the API that leaves the threads to the program.
class AsyncCall {
 public:
  AsyncCall(AgentService::AsyncService *service, grpc::ServerCompletionQueue *queue)
      : service_(service), queue_(queue), writer_(&context_) {
    service_->RequestPing(&context_, &request_, &writer_, queue_, queue_, this);
  }
  void GoOn() {
    if (answered_) {
      delete this;
      return;
    }
    new AsyncCall(service_, queue_);
    answered_ = true;
    response_.set_payload(request_.payload());
    writer_.Finish(response_, grpc::Status::OK, this);
  }

 private:
  AgentService::AsyncService *service_;
  grpc::ServerCompletionQueue *queue_;
  grpc::ServerContext context_;
  PingRequest request_;
  PingResponse response_;
  grpc::ServerAsyncResponseWriter<PingResponse> writer_;
  bool answered_ = false;
};

std::unique_ptr<grpc::Server> Start(grpc::ServerBuilder *builder, const char *address) {
  builder->AddListeningPort(address, grpc::InsecureServerCredentials());
  std::unique_ptr<grpc::Server> server = builder->BuildAndStart();
  if (server == nullptr) {
    std::fprintf(stderr, "cannot listen at %s\n", address);
  }
  return server;
}

int ServeCallback(const char *address) {
  CallbackPing service;
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  std::unique_ptr<grpc::Server> server = Start(&builder, address);
  if (server == nullptr) {
    return 1;
  }
  server->Wait();
  return 0;
}

// One thread, which is all that one cpu can use.
int ServeAsync(const char *address) {
  AgentService::AsyncService service;
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  std::unique_ptr<grpc::ServerCompletionQueue> queue = builder.AddCompletionQueue();
  std::unique_ptr<grpc::Server> server = Start(&builder, address);
  if (server == nullptr) {
    return 1;
  }
  new AsyncCall(&service, queue.get());
  void *tag = nullptr;
  bool ok = false;
  while (queue->Next(&tag, &ok)) {
    auto *call = static_cast<AsyncCall *>(tag);
    if (ok) {
      call->GoOn();
    } else {
      delete call;
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc == 3 && std::string(argv[1]) == "callback") {
    return ServeCallback(argv[2]);
  }
  if (argc == 3 && std::string(argv[1]) == "async") {
    return ServeAsync(argv[2]);
  }
  std::fprintf(stderr, "usage: echo_server callback|async ADDRESS\n");
  return 2;
}
