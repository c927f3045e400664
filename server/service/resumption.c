// SessionService.GetResumption. How a session is resumed is Connect's (opening.c).
#include "server/service/convert.h"
#include "server/service/visit.h"

static void write_resumption(struct arena *arena, const struct engine_resumption *from,
                             Tlsagent__V1__GetResumptionResponse *out) {
  out->resumption = ARENA_MESSAGE(arena, BytesValue, bytes_value);
  if (out->resumption != NULL) {
    out->resumption->value = binary_of(from->sealed);
  }
  out->id = binary_of(from->id);
  out->time = from->time;
  out->timeout = from->timeout;
  out->ticket_lifetime_hint = from->ticket_lifetime_hint;
  out->has_ticket = from->has_ticket;
}

static void respond_resumption(struct call *call, struct visit *visit) {
  struct engine_resumption resumption;
  Tlsagent__V1__GetResumptionResponse response = TLSAGENT__V1__GET_RESUMPTION_RESPONSE__INIT;
  status_t given = engine_resumption(session_engine(visit->session), call_arena(call), &resumption);
  if (!status_ok(given)) {
    call_fail(call, given.code, "no memory for the session");
    return;
  }
  if (resumption.present) {
    write_resumption(call_arena(call), &resumption, &response);
  }
  reply(call, &response);
}

void session_get_resumption(struct call *call, const ProtobufCMessage *request) {
  const Tlsagent__V1__GetResumptionRequest *from =
      (const Tlsagent__V1__GetResumptionRequest *)request;
  start_visit(call, from->session, false, respond_resumption);
}
