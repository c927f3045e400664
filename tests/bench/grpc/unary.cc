// One call of AgentService.Ping after another, by gRPC C++'s own client: unary ADDRESS CALLS BYTES.
// Prints how long they took, in microseconds, as a line of JSON.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tlsagent/v1/agent.grpc.pb.h"

namespace {

using tlsagent::v1::AgentService;
using tlsagent::v1::PingRequest;
using tlsagent::v1::PingResponse;
using Clock = std::chrono::steady_clock;

// Whether the answer was the question.
bool Ping(AgentService::Stub *stub, const std::string &payload) {
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  PingRequest request;
  PingResponse response;
  request.set_payload(payload);
  grpc::Status status = stub->Ping(&context, request, &response);
  if (!status.ok()) {
    std::fprintf(stderr, "Ping failed: %d %s\n", static_cast<int>(status.error_code()),
                 status.error_message().c_str());
  }
  return status.ok() && response.payload() == payload;
}

double Percentile(const std::vector<double> &sorted, double share) {
  return sorted[std::min(sorted.size() - 1, static_cast<size_t>(share * sorted.size()))];
}

}  // namespace

int main(int argc, char **argv) {
  const long calls = argc == 4 ? std::atol(argv[2]) : 0;
  if (calls <= 0) {
    std::fprintf(stderr, "usage: unary ADDRESS CALLS BYTES\n");
    return 2;
  }
  const std::string payload(std::strtoul(argv[3], nullptr, 10), 'x');
  std::unique_ptr<AgentService::Stub> stub =
      AgentService::NewStub(grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials()));
  if (!Ping(stub.get(), payload)) {
    return 1;
  }
  std::vector<double> micros;
  for (long i = 0; i < calls; i++) {
    const Clock::time_point begin = Clock::now();
    if (!Ping(stub.get(), payload)) {
      return 1;
    }
    micros.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
  }
  std::sort(micros.begin(), micros.end());
  std::printf("{\"p50_us\": %.2f, \"p99_us\": %.2f}\n", Percentile(micros, 0.5),
              Percentile(micros, 0.99));
  return 0;
}
