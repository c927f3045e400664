#include <set>

#include "proto/grpc/health/v1/health.pb-c.h"
#include "proto/grpc/reflection/v1/reflection.pb-c.h"
#include "proto/grpc/reflection/v1alpha/reflection.pb-c.h"
#include "tests/unit/service/harness.h"

namespace {

const ProtobufCServiceDescriptor *const kServices[] = {
    &tlsagent__v1__agent_service__descriptor,
    &tlsagent__v1__certificate_service__descriptor,
    &tlsagent__v1__context_service__descriptor,
    &tlsagent__v1__session_service__descriptor,
    &tlsagent__v1__relay_service__descriptor,
    &grpc__health__v1__health__descriptor,
    &grpc__reflection__v1__server_reflection__descriptor,
    &grpc__reflection__v1alpha__server_reflection__descriptor,
};

const ProtobufCMethodDescriptor *Contracted(const struct method &row) {
  for (const ProtobufCServiceDescriptor *service : kServices) {
    if (std::string(service->name) == row.service) {
      return protobuf_c_service_descriptor_get_method_by_name(service, row.name);
    }
  }
  return nullptr;
}

TEST(Methods, DoesEveryRowStandInTheContract) {
  size_t num = 0;
  const struct method *rows = service_methods(&num);
  ASSERT_GT(num, 20u);
  for (size_t i = 0; i < num; i++) {
    const ProtobufCMethodDescriptor *method = Contracted(rows[i]);
    ASSERT_NE(nullptr, method) << rows[i].service << "." << rows[i].name;
    // v1alpha's messages are v1's under another name, and the same on the wire.
    if (rows[i].service != std::string("grpc.reflection.v1alpha.ServerReflection")) {
      EXPECT_EQ(method->input, rows[i].request) << rows[i].name;
    }
    EXPECT_EQ(method->input->n_fields, rows[i].request->n_fields) << rows[i].name;
    EXPECT_NE(nullptr, rows[i].handle);
  }
}

TEST(Methods, IsNoneThereTwice) {
  size_t num = 0;
  const struct method *rows = service_methods(&num);
  std::set<std::string> names;
  for (size_t i = 0; i < num; i++) {
    names.insert(std::string(rows[i].service) + "." + rows[i].name);
  }
  EXPECT_EQ(num, names.size());
}

TEST(Methods, AreTheServicesWhole) {
  size_t num = 0;
  const struct method *rows = service_methods(&num);
  std::map<std::string, unsigned> count;
  for (size_t i = 0; i < num; i++) {
    count[rows[i].service]++;
  }
  for (const ProtobufCServiceDescriptor *service : kServices) {
    EXPECT_EQ(service->n_methods, count[service->name]) << service->name;
  }
}

class Answers : public Daemon {};

// A whole request with nothing in it: every method answers, with a status that fits or an answer.
TEST_F(Answers, DoesEveryMethodTakeAnEmptyRequest) {
  Client client = Connect();
  EXPECT_EQ(0, client.Call(New<V1(PingRequest)>()).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client.Call(New<V1(ConnectRequest)>()).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client.Call(New<V1(AcceptRequest)>()).code);
  EXPECT_EQ(STATUS_NOT_FOUND, client.Call(New<V1(HandshakeRequest)>()).code);
  EXPECT_EQ(STATUS_NOT_FOUND, client.Call(New<V1(ReadRequest)>()).code);
  EXPECT_EQ(STATUS_NOT_FOUND, client.Call(New<V1(WriteRequest)>()).code);
  EXPECT_EQ(STATUS_NOT_FOUND, client.Call(New<V1(ShutdownRequest)>()).code);
  EXPECT_EQ(STATUS_NOT_FOUND, client.Call(New<V1(DescribeSessionRequest)>()).code);
  EXPECT_EQ(STATUS_NOT_FOUND, client.Call(New<V1(PeerCertificateRequest)>()).code);
  EXPECT_EQ(STATUS_NOT_FOUND, client.Call(New<V1(CloseSessionRequest)>()).code);
  EXPECT_EQ(STATUS_NOT_FOUND, client.Call(New<V1(RelayRequest)>()).code);
  EXPECT_EQ(STATUS_NOT_FOUND, client.Call(New<V1(WaitEndRequest)>()).code);
  EXPECT_EQ(STATUS_INVALID_ARGUMENT, client.Call(New<V1(ListenRequest)>()).code);
  EXPECT_EQ(STATUS_NOT_FOUND, client.Call(New<V1(DescribeListenerRequest)>()).code);
  EXPECT_EQ(STATUS_NOT_FOUND, client.Call(New<V1(NextEndsRequest)>()).code);
  EXPECT_EQ(STATUS_NOT_FOUND, client.Call(New<V1(CloseListenerRequest)>()).code);
  EXPECT_EQ(STATUS_NOT_FOUND, client.Call(New<V1(DescribeContextRequest)>()).code);
  EXPECT_EQ(STATUS_NOT_FOUND, client.Call(New<V1(OpenContextRequest)>()).code);
}

// What a stream's answers carry leaves room for others in the queue, whatever the limits.
TEST_F(Answers, DoesTheLargestPayloadFitTheQueue) {
  for (uint64_t queued : {(uint64_t)65536, (uint64_t)4194304, (uint64_t)67108864}) {
    limits_.queued_bytes = queued;
    struct service_config config = {&limits_, nullptr, nullptr, nullptr, false, false};
    service_start(&config);
    EXPECT_LE(payload_max(), queued / 2);
    EXPECT_LE(payload_max(), 2u << 20);
    EXPECT_GE(payload_max(), 32768u);
  }
}

}  // namespace
