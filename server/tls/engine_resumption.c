#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "server/base/object.h"
#include "server/tls/engine_private.h"
#include "server/tls/openssl_error.h"

static const char item[] = "resumption";

static SSL_SESSION *decode(struct slice der) {
  const unsigned char *from = der.data;
  SSL_SESSION *session =
      der.len == 0 || der.len > LONG_MAX ? NULL : d2i_SSL_SESSION(NULL, &from, (long)der.len);
  if (session != NULL && from != der.data + der.len) {
    SSL_SESSION_free(session);
    return NULL;
  }
  return session;
}

static bool is_for(X509 *peer, const struct engine *engine) {
  const char *name = engine->server_name;
  unsigned flags = engine->edition->settings.host_flags;
  return X509_check_ip_asc(peer, name, 0) == 1 || X509_check_host(peer, name, 0, flags, NULL) == 1;
}

// A resumed handshake shows no certificate: what was verified when the session was made is all
// there is. So it must be what this engine would verify.
static const char *why_unfit(const struct engine *engine, const SSL_SESSION *session) {
  if (SSL_get_verify_mode(engine->ssl) == SSL_VERIFY_NONE) {
    return NULL;
  }
  X509 *peer = SSL_SESSION_get0_peer((SSL_SESSION *)session);
  if (peer == NULL || SSL_get_verify_result(engine->ssl) != X509_V_OK) {
    return "the server was not verified when the session was made, and this context verifies";
  }
  if (engine->edition->settings.check_hostname && !is_for(peer, engine)) {
    return "the session was made with another server";
  }
  return NULL;
}

static status_t offer(struct engine *engine, SSL_SESSION *session, struct tls_error *error) {
  if (!SSL_set_session(engine->ssl, session)) {
    return tls_refuse(error, item, "the session doesn't fit this context");
  }
  const char *unfit = why_unfit(engine, session);
  return unfit == NULL ? OK_STATUS : tls_refuse(error, item, "%s", unfit);
}

status_t engine_resumption_setup(struct engine *engine, struct slice resumption,
                                 struct tls_error *error) {
  if (resumption.len == 0) {
    return OK_STATUS;
  }
  ERR_clear_error();
  SSL_SESSION *session = decode(resumption);
  if (session == NULL) {
    return tls_refuse(error, item, "not a session");
  }
  status_t status = offer(engine, session, error);
  SSL_SESSION_free(session);
  ERR_clear_error();
  return status;
}

// ---------------------------------------------------------------------------------------------

static status_t encode(SSL_SESSION *session, struct arena *arena, struct slice *out) {
  int len = i2d_SSL_SESSION(session, NULL);
  unsigned char *der = len <= 0 ? NULL : arena_alloc(arena, (size_t)len);
  ENSURE(der != NULL, RESOURCE_EXHAUSTED);
  unsigned char *to = der;
  i2d_SSL_SESSION(session, &to);
  *out = slice_of(der, (size_t)len);
  return OK_STATUS;
}

static status_t copy_id(const SSL_SESSION *session, struct arena *arena, struct slice *out) {
  unsigned len = 0;
  const unsigned char *id = SSL_SESSION_get_id(session, &len);
  const uint8_t *copy = arena_copy(arena, slice_of(id, len));
  ENSURE(copy != NULL, RESOURCE_EXHAUSTED);
  *out = slice_of(copy, len);
  return OK_STATUS;
}

static int64_t time_of(const SSL_SESSION *session) {
#if OPENSSL_VERSION_NUMBER >= 0x30300000L
  return (int64_t)SSL_SESSION_get_time_ex(session);
#else
  return (int64_t)SSL_SESSION_get_time(session);
#endif
}

static status_t describe(SSL_SESSION *session, struct arena *arena, struct engine_resumption *out) {
  out->present = true;
  out->resumable = SSL_SESSION_is_resumable(session) == 1;
  out->time = time_of(session);
  out->timeout = SSL_SESSION_get_timeout(session);
  out->ticket_lifetime_hint = SSL_SESSION_get_ticket_lifetime_hint(session);
  out->has_ticket = SSL_SESSION_has_ticket(session) == 1;
  TRY(copy_id(session, arena, &out->id));
  return encode(session, arena, &out->der);
}

status_t engine_resumption(struct engine *engine, struct arena *arena,
                           struct engine_resumption *out) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  *out = (struct engine_resumption){.present = false};
  SSL_SESSION *session = engine_established(engine) ? SSL_get1_session(engine->ssl) : NULL;
  if (session == NULL) {
    return OK_STATUS;
  }
  status_t status = describe(session, arena, out);
  SSL_SESSION_free(session);
  return status;
}
