// An engine from the inside. Inside server/tls only.
#ifndef TLSAGENT_SERVER_TLS_ENGINE_PRIVATE_H_
#define TLSAGENT_SERVER_TLS_ENGINE_PRIVATE_H_

#include <openssl/ssl.h>

#include "server/tls/bio.h"
#include "server/tls/edition.h"
#include "server/tls/engine.h"
#include "server/tls/host.h"
#include "server/tls/record_size.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { ENGINE_MAGIC = 0xe7617e00 };

struct decisions;  // in engine_decision.c
struct traffic;    // in engine_traffic.c

// A context and the edition of it that an engine uses.
struct entry {
  struct tls_context *context;  // NULL: none
  struct edition *edition;
};

struct engine {
  uint32_t magic;
  enum engine_role role;
  struct tls_context *context;  // that it was made on
  struct edition *edition;
  struct entry serving;         // the one it was switched to, if any
  struct entry next;            // the one to switch to when the decision is answered
  struct decisions *decisions;  // NULL unless there can be any
  struct list events;           // that nobody has taken yet
  size_t message_bytes;         // of events, overhead included
  size_t key_log_bytes;
  bool keeps_messages;  // as events: what the context in use says
  bool keeps_key_log;
  struct traffic *traffic;  // NULL unless its traffic keys will be asked for
  SSL *ssl;
  struct pipe pipe;
  struct bytes output;  // the own queue, as long as nobody lends another
  bool growing_records;
  struct record_size record_size;  // if they grow
  bool established;
  bool failed;             // for good: OpenSSL takes no further operation
  bool close_sent;         // close_notify is in the output, or was taken from it
  bool asked_certificate;  // after the handshake
  bool skips_verify;
  int alert;                       // that ended it, or TLS_ALERT_NONE
  struct tls_error *error;         // NULL until something fails: few do, and it is large
  char server_name[HOST_MAX + 1];  // client: whom it asked for; "" for nobody
  STACK_OF(X509) * refused_chain;  // as the peer sent it, when it did not verify
  uint8_t owner[ENGINE_OWNER_MAX];
  size_t owner_len;
};

// engine_note_error makes what OpenSSL's queue says, or os_errno, the engine's error.
void engine_note_error(struct engine *engine, int ssl_error, int os_errno);

// engine_check_role refuses a role that the context's kind has not.
status_t engine_check_role(const struct tls_context *context, enum engine_role role,
                           struct tls_error *error);

// engine_switch_context goes over to engine->next, if there is one. False without memory.
bool engine_switch_context(struct engine *engine);
void engine_leave_switched(struct engine *engine);

// decisions_begin sets up what the engine's context asks for; decisions_prepare does what a
// context that it is switched to needs. False without memory.
bool decisions_begin(struct engine *engine);
bool decisions_prepare(struct engine *engine, const struct edition *edition);
// decisions_on_fibre tells whether only a handshake may run now.
bool decisions_on_fibre(const struct engine *engine);
// decisions_established ends the handshakes' way of running: nothing is asked any more.
void decisions_established(struct engine *engine);
// decisions_end refuses what is still waited for. Before the SSL is freed, on its thread.
void decisions_end(struct engine *engine);

// events_listen collects messages, or no longer, as the edition says.
void events_listen(struct engine *engine, const struct edition *edition);
void events_end(struct engine *engine);

// traffic_begin has the engine follow its traffic keys, if keys of any were allowed. False without
// memory. The other two are told what OpenSSL tells.
bool traffic_begin(struct engine *engine);
bool traffic_is_allowed(void);
void traffic_on_key_log(struct engine *engine, const char *line);
void traffic_on_message(struct engine *engine, bool sent, int content_type, struct slice data);

// engine_name_setup sets the server name of a client engine: SNI for a name, and what is checked in
// the peer's certificate when the context says so. INVALID_ARGUMENT with error.
status_t engine_name_setup(struct engine *engine, const char *name, struct tls_error *error);

// engine_flush_late puts what was asked for after the handshake into the output: ENGINE_DONE when
// nothing of it is left to send.
enum engine_result engine_flush_late(struct engine *engine);

// engine_resumption_setup offers a session to resume, unless it would get around what this engine
// verifies, or its time is over. INVALID_ARGUMENT: it was not sealed by a client engine of this
// owner and context.
status_t engine_resumption_setup(struct engine *engine, struct slice resumption,
                                 struct tls_error *error);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_SERVER_TLS_ENGINE_PRIVATE_H_
