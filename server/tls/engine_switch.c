// From one context to another, before the handshake is under way.
#include <openssl/err.h>
#include <stdio.h>

#include "server/base/object.h"
#include "server/tls/context_private.h"
#include "server/tls/engine_private.h"
#include "server/tls/openssl_error.h"

static void enter(struct entry *entry, struct tls_context *context) {
  *entry =
      (struct entry){.context = tls_context_ref(context), .edition = tls_context_enter(context)};
}

static void leave(struct entry *entry) {
  if (entry->context != NULL) {
    tls_context_leave(entry->context, entry->edition);
    tls_context_unref(entry->context);
  }
  *entry = (struct entry){.context = NULL};
}

// Tickets and kept sessions are the first context's, whichever serves. Whoever was verified by
// another must not come back by one to where nobody would have: he is bound to this very edition.
static bool bind_sessions(struct engine *engine, const struct edition *edition) {
  if (SSL_get_verify_mode(engine->ssl) == SSL_VERIFY_NONE ||
      edition_verifies_alike(engine->edition, edition)) {
    return true;
  }
  char id[SSL_MAX_SID_CTX_LENGTH];
  int len = snprintf(id, sizeof(id), "by %llu", (unsigned long long)edition->serial);
  return SSL_set_session_id_context(engine->ssl, (unsigned char *)id, (unsigned)len) == 1;
}

bool engine_switch_context(struct engine *engine) {
  struct edition *edition = engine->next.edition;
  if (edition == NULL) {
    return true;
  }
  if (!decisions_prepare(engine, edition) || SSL_set_SSL_CTX(engine->ssl, edition->ctx) == NULL ||
      !bind_sessions(engine, edition)) {
    return false;
  }
  events_listen(engine, edition);
  leave(&engine->serving);
  engine->serving = engine->next;
  engine->next = (struct entry){.context = NULL};
  return true;
}

void engine_leave_switched(struct engine *engine) {
  leave(&engine->next);
  leave(&engine->serving);
}

static bool not_begun(const struct engine *engine) {
  return !engine->failed && SSL_get_state(engine->ssl) == TLS_ST_BEFORE;
}

static status_t switch_now(struct engine *engine, struct tls_error *error) {
  ERR_clear_error();
  if (engine_switch_context(engine)) {
    return OK_STATUS;
  }
  leave(&engine->next);
  return tls_out_of_memory(error);
}

// One that waits is switched when its answer comes: the answer is asked for by the context that
// OpenSSL has then, and it may be a refusal.
status_t engine_set_context(struct engine *engine, struct tls_context *context,
                            struct tls_error *error) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  TRY(engine_check_role(context, engine->role, error));
  const struct engine_decision *decision = engine_decision(engine);
  bool waits = decision != NULL && decision->kind == ENGINE_DECIDE_SERVER_NAME;
  ENSURE(waits || not_begun(engine), FAILED_PRECONDITION);
  leave(&engine->next);
  enter(&engine->next, context);
  return waits ? OK_STATUS : switch_now(engine, error);
}
