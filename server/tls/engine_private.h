// An engine from the inside. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_ENGINE_PRIVATE_H_
#define TLSAGENT_SERVER_TLS_ENGINE_PRIVATE_H_

#include <openssl/ssl.h>

#include "server/tls/bio.h"
#include "server/tls/edition.h"
#include "server/tls/engine.h"
#include "server/tls/host.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { ENGINE_MAGIC = 0xe7617e00 };

struct engine {
  uint32_t magic;
  enum engine_role role;
  struct tls_context *context;
  struct edition *edition;
  SSL *ssl;
  struct pipe pipe;
  bool established;
  bool failed;      // for good: OpenSSL takes no further operation
  bool close_sent;  // close_notify is in the output, or was taken from it
  struct tls_error error;
  char server_name[HOST_MAX + 1];  // client: whom it asked for; "" for nobody
  STACK_OF(X509) * refused_chain;  // as the peer sent it, when it did not verify
  uint8_t owner[ENGINE_OWNER_MAX];
  size_t owner_len;
};

// engine_name_setup sets the server name of a client engine: SNI for a name, and what is checked in
// the peer's certificate when the context says so. INVALID_ARGUMENT with error.
status_t engine_name_setup(struct engine *engine, const char *name, struct tls_error *error);

// engine_flush_late puts what was asked for after the handshake into the output: ENGINE_DONE when
// nothing of it is left to send.
enum engine_result engine_flush_late(struct engine *engine);

// engine_resumption_setup offers a session to resume, unless it would get around what this engine
// verifies. INVALID_ARGUMENT: it was not sealed for this owner and context.
status_t engine_resumption_setup(struct engine *engine, struct slice resumption,
                                 struct tls_error *error);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_ENGINE_PRIVATE_H_
