// What can be asked of a connection after its handshake: the client's certificate, other keys.
#include <openssl/err.h>

#include "server/base/object.h"
#include "server/tls/engine_private.h"
#include "server/tls/openssl_error.h"

// Nothing was sent, and all else can go on.
static enum engine_result refuse(struct engine *engine) {
  engine_note_error(engine, SSL_ERROR_SSL, 0);
  return ENGINE_FAILED;
}

// After close_notify nothing more may be sent, and OpenSSL would notice only then.
static bool may_send(const struct engine *engine) {
  ERR_clear_error();
  if (engine->close_sent) {
    ERR_raise(ERR_LIB_SSL, SSL_R_PROTOCOL_IS_SHUTDOWN);
  }
  return !engine->close_sent;
}

enum engine_result engine_request_certificate(struct engine *engine) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  if (engine->failed) {
    return ENGINE_FAILED;
  }
  if (!may_send(engine) || !SSL_verify_client_post_handshake(engine->ssl)) {
    return refuse(engine);
  }
  engine->asked_certificate = true;
  return ENGINE_DONE;
}

// What waits for the peer is no output of ours.
enum engine_result engine_flush_late(struct engine *engine) {
  if (!engine->established || !SSL_in_init(engine->ssl)) {
    return ENGINE_DONE;
  }
  enum engine_result result = engine_handshake(engine);
  return result == ENGINE_WANT_INPUT ? ENGINE_DONE : result;
}

enum engine_result engine_update_keys(struct engine *engine, bool request_peer) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  if (engine->failed) {
    return ENGINE_FAILED;
  }
  if (!may_send(engine)) {
    return refuse(engine);
  }
  enum engine_result flushed = engine_flush_late(engine);
  if (flushed != ENGINE_DONE) {
    return flushed;
  }
  ERR_clear_error();
  int type = request_peer ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED;
  return SSL_key_update(engine->ssl, type) ? ENGINE_DONE : refuse(engine);
}
