#include "server/service/visit.h"

static void visit_on_worker(struct call *call) {
  struct visit *visit = call_state(call);
  struct session *session = visit->session;
  visit->respond(call, visit);
  session_unref(session);
}

void start_visit(struct call *call, uint64_t handle, bool decode,
                 void (*respond)(struct call *call, struct visit *visit)) {
  struct visit *visit = arena_alloc(call_arena(call), sizeof(*visit));
  struct session *session = handle_get(call_client(call), &session_handles, handle);
  if (session == NULL) {
    call_fail(call, STATUS_NOT_FOUND, "no such session");
    return;
  }
  if (visit == NULL) {
    session_unref(session);
    call_fail(call, STATUS_RESOURCE_EXHAUSTED, "no memory for the call");
    return;
  }
  *visit = (struct visit){.session = session, .decode = decode, .respond = respond, .call = call};
  call_set_state(call, visit);
  call_move(call, session_worker(session), visit_on_worker);
}
