// grpc.health.v1.Health: can a service be asked? All of them can, until the daemon stops.
#include "proto/grpc/health/v1/health.pb-c.h"
#include "server/service/private.h"

typedef Grpc__Health__V1__HealthCheckRequest Request;
typedef Grpc__Health__V1__HealthCheckResponse Response;

typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus Serving;

#define SERVING         GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING     GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
#define SERVICE_UNKNOWN GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN

// The empty name is the daemon's.
static bool is_known(const char *service) {
  size_t num = 0;
  const struct method *methods = service_methods(&num);
  bool known = *service == '\0';
  for (size_t i = 0; i < num && !known; i++) {
    known = strcmp(service, methods[i].service) == 0;
  }
  return known;
}

void health_check(struct call *call, const ProtobufCMessage *request) {
  const Request *from = (const Request *)request;
  Response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
  if (!is_known(from->service)) {
    call_fail(call, STATUS_NOT_FOUND, "there is no such service");
    return;
  }
  response.status = SERVING;
  reply(call, &response);
}

static enum call_sent tell(struct call *call, Serving status_if_known) {
  const Request *request = (const Request *)call_request(call);
  Response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
  response.status = is_known(request->service) ? status_if_known : SERVICE_UNKNOWN;
  return call_send(call, &response.base);
}

static void end(struct call *call) {
  call_on_cancel(call, NULL);
  call_end(call);
}

static void tell_the_end(struct call *call) {
  tell(call, NOT_SERVING);
  end(call);
}

static void end_watch(struct call *call) {
  call_fail(call, STATUS_CANCELLED, "nobody watches any more");
}

// Two messages at most: there is always room.
static void ignore_room(struct call *call) {
  (void)call;
}

void health_watch(struct call *call, const ProtobufCMessage *request) {
  static const struct call_events events = {.on_room = ignore_room, .on_drain = tell_the_end};
  (void)request;
  call_stream(call, &events);
  call_on_cancel(call, end_watch);
  if (tell(call, SERVING) == CALL_OVER) {
    end(call);
  }
}
