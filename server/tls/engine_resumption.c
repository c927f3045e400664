#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "server/base/object.h"
#include "server/tls/context_private.h"
#include "server/tls/engine_private.h"
#include "server/tls/openssl_error.h"
#include "server/tls/seal.h"

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
  return host_is_address(name) ? X509_check_ip_asc(peer, name, 0) == 1
                               : X509_check_host(peer, name, 0, flags, NULL) == 1;
}

static int64_t time_of(const SSL_SESSION *session) {
#if OPENSSL_VERSION_NUMBER >= 0x30300000L
  return (int64_t)SSL_SESSION_get_time_ex(session);
#else
  return (int64_t)SSL_SESSION_get_time(session);
#endif
}

// OpenSSL asks only the server, and in TLS 1.3 the ticket, whether its time is over.
static bool is_over(const SSL_SESSION *session) {
  return time_of(session) + SSL_SESSION_get_timeout(session) < (int64_t)time(NULL);
}

// A resumed handshake shows no certificate: what was verified when the session was made is all
// there is. So it must be what this engine would verify, and of the same host.
static bool is_fit(const struct engine *engine, const SSL_SESSION *session) {
  if (is_over(session)) {
    return false;
  }
  if (SSL_get_verify_mode(engine->ssl) == SSL_VERIFY_NONE) {
    return true;
  }
  X509 *peer = SSL_SESSION_get0_peer((SSL_SESSION *)session);
  bool verified = peer != NULL && SSL_get_verify_result(engine->ssl) == X509_V_OK;
  return verified && (!engine->edition->settings.check_hostname || is_for(peer, engine));
}

// Resumption saves time, and who gives us a session wants a connection: without it the handshake is
// a full one, which verifies.
static void withdraw(struct engine *engine) {
  SSL_set_session(engine->ssl, NULL);
  SSL_set_verify_result(engine->ssl, X509_V_OK);
}

static status_t offer(struct engine *engine, SSL_SESSION *session, struct tls_error *error) {
  if (!SSL_set_session(engine->ssl, session)) {
    return tls_refuse(error, item, "the session doesn't fit this context");
  }
  if (!is_fit(engine, session)) {
    withdraw(engine);
  }
  return OK_STATUS;
}

// What a seal is bound to: whose it is, and for which context, in any of its editions. And of which
// role: a server's session knows its clients' keys, and would verify a client as a server. Only
// clients open seals, so what a server seals opens for nobody.
struct binding {
  uint64_t context;
  uint64_t role;
  uint8_t owner[ENGINE_OWNER_MAX];
};

static struct slice bind(const struct engine *engine, struct binding *out) {
  *out = (struct binding){.context = tls_context_number(engine->context),
                          .role = (uint64_t)engine->role};
  memcpy(out->owner, engine->owner, engine->owner_len);
  return slice_of(out, offsetof(struct binding, owner) + engine->owner_len);
}

static status_t open_seal(const struct engine *engine, struct slice sealed, SSL_SESSION **out,
                          struct tls_error *error) {
  struct binding binding;
  struct sealed_secret der;
  status_t opened = seal_open(sealed, bind(engine, &binding), &der);
  if (opened.code == STATUS_INVALID_ARGUMENT) {
    return tls_refuse(error, item, "not given by this daemon to this client for this context");
  }
  if (!status_ok(opened)) {
    return tls_out_of_memory(error);
  }
  *out = decode(slice_of(der.data, der.len));
  seal_wipe(&der);
  return *out == NULL ? tls_refuse(error, item, "not a session") : OK_STATUS;
}

status_t engine_resumption_setup(struct engine *engine, struct slice resumption,
                                 struct tls_error *error) {
  if (resumption.len == 0) {
    return OK_STATUS;
  }
  ERR_clear_error();
  SSL_SESSION *session = NULL;
  TRY(open_seal(engine, resumption, &session, error));
  status_t status = offer(engine, session, error);
  SSL_SESSION_free(session);
  ERR_clear_error();
  return status;
}

// ---------------------------------------------------------------------------------------------

// The session holds keys: what leaves is sealed.
static status_t encode(const struct engine *engine, SSL_SESSION *session, struct arena *arena,
                       struct slice *out) {
  unsigned char *der = NULL;
  struct binding binding;
  int len = i2d_SSL_SESSION(session, &der);
  ENSURE(len > 0, RESOURCE_EXHAUSTED);
  status_t sealed = seal_close(slice_of(der, (size_t)len), bind(engine, &binding), arena, out);
  OPENSSL_clear_free(der, (size_t)len);
  return sealed;
}

static status_t copy_id(const SSL_SESSION *session, struct arena *arena, struct slice *out) {
  unsigned len = 0;
  const unsigned char *id = SSL_SESSION_get_id(session, &len);
  const uint8_t *copy = arena_copy(arena, slice_of(id, len));
  ENSURE(copy != NULL, RESOURCE_EXHAUSTED);
  *out = slice_of(copy, len);
  return OK_STATUS;
}

static status_t describe(const struct engine *engine, SSL_SESSION *session, struct arena *arena,
                         struct engine_resumption *out) {
  out->present = true;
  out->resumable = SSL_SESSION_is_resumable(session) == 1;
  out->time = time_of(session);
  out->timeout = SSL_SESSION_get_timeout(session);
  out->ticket_lifetime_hint = SSL_SESSION_get_ticket_lifetime_hint(session);
  out->has_ticket = SSL_SESSION_has_ticket(session) == 1;
  TRY(copy_id(session, arena, &out->id));
  return encode(engine, session, arena, &out->sealed);
}

status_t engine_resumption(struct engine *engine, struct arena *arena,
                           struct engine_resumption *out) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  *out = (struct engine_resumption){.present = false};
  SSL_SESSION *session = engine_established(engine) ? SSL_get1_session(engine->ssl) : NULL;
  if (session == NULL) {
    return OK_STATUS;
  }
  status_t status = describe(engine, session, arena, out);
  SSL_SESSION_free(session);
  return status;
}
