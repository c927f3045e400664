// Can it be asked? Until it stops, and whoever watches is told when it does.
#include "proto/grpc/health/v1/health.pb-c.h"

#include "tests/unit/service/harness.h"
#include "tests/unit/service/streams.h"

namespace {

using Request = Grpc__Health__V1__HealthCheckRequest;
using Response = Grpc__Health__V1__HealthCheckResponse;

class Health : public Daemon {
 protected:
  static Request Of(const char *service) {
    Request request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    request.service = (char *)service;
    return request;
  }
  // The next status, or -1 at the end.
  static int NextStatus(StreamingCall &call) {
    std::string bytes;
    if (!call.Next(&bytes)) {
      return -1;
    }
    Response *response = grpc__health__v1__health_check_response__unpack(
        nullptr, bytes.size(), (const uint8_t *)bytes.data());
    EXPECT_NE(nullptr, response);
    int status = (int)response->status;
    grpc__health__v1__health_check_response__free_unpacked(response, nullptr);
    return status;
  }
  void Watch(StreamingCall &call, const char *service) {
    Request request = Of(service);
    call.Ask("grpc.health.v1.Health", "Watch", &request.base);
  }
};

TEST_F(Health, IsAWatcherToldHowItIsAndThatItEnds) {
  Start();
  StreamingCall whole(path());
  StreamingCall service(path());
  Watch(whole, "");
  Watch(service, "tlsagent.v1.SessionService");
  EXPECT_EQ(1, NextStatus(whole));
  EXPECT_EQ(1, NextStatus(service));
  Drain();  // which waits for calls, and these don't end otherwise
  EXPECT_EQ(2, NextStatus(whole));
  EXPECT_EQ(-1, NextStatus(whole));
  EXPECT_EQ(0, whole.code);
  EXPECT_EQ(2, NextStatus(service));
}

TEST_F(Health, IsAServiceThatIsNotThereWatchedAsUnknown) {
  Start();
  StreamingCall call(path());
  Watch(call, "no.Service");
  EXPECT_EQ(3, NextStatus(call));
  Drain();
  EXPECT_EQ(3, NextStatus(call));
  EXPECT_EQ(-1, NextStatus(call));
}

TEST_F(Health, MayAWatcherGoAway) {
  Start();
  for (int i = 0; i < 10; i++) {
    StreamingCall call(path());
    Watch(call, "");
    EXPECT_EQ(1, NextStatus(call));
  }
  Drain();
}

TEST_F(Health, DoesCheckTellOfEachServiceAndFailForOthers) {
  Start();
  for (const char *service : {"", "grpc.health.v1.Health", "tlsagent.v1.AgentService"}) {
    StreamingCall call(path());
    Request request = Of(service);
    call.Ask("grpc.health.v1.Health", "Check", &request.base);
    EXPECT_EQ(-1, NextStatus(call));  // a unary call's answer is one frame with all of it
    EXPECT_EQ(0, call.code) << service;
  }
  StreamingCall call(path());
  Request request = Of("no.Service");
  call.Ask("grpc.health.v1.Health", "Check", &request.base);
  EXPECT_EQ(-1, NextStatus(call));
  EXPECT_EQ(STATUS_NOT_FOUND, call.code);
}

}  // namespace
