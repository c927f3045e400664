// Decisions: the handshake stops in a callback of OpenSSL's, and goes on once it was answered.
//
// For the server name OpenSSL has a code that says "later" (SSL_CLIENT_HELLO_RETRY). For pre-shared
// keys it has none: there the handshake runs on a fibre of its own (ASYNC_start_job(3)), which
// pauses inside the callback. A fibre goes on on the thread that began it, and one that is paused
// must have come to its end before the SSL is freed, or it is lost with all it holds. Only
// handshakes run on one, never a read or a write: a paused one would keep the caller's buffers.
#include <openssl/async.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "server/base/object.h"
#include "server/base/utf8.h"
#include "server/tls/engine_callbacks.h"
#include "server/tls/engine_private.h"
#include "server/tls/openssl_error.h"

enum {
  TEXT_MAX = PSK_MAX_IDENTITY_LEN,  // a host name is shorter
  // A ClientHello of TLS 1.3 can hold thousands of identities, each another question.
  QUESTIONS_MAX = 32,
  // What makes OpenSSL end the handshake at once, where no key at all may make it go on.
  KEY_IMPOSSIBLE = PSK_MAX_PSK_LEN + 1
};

// A frame that pauses. ASan would keep its variables apart from it, and take them for dead when the
// thread's own stack goes on, which lies higher.
#define PAUSES __attribute__((no_sanitize("address")))

enum stage { NOT_ASKED, ASKED, ANSWERED };

struct decisions {
  enum stage stage;
  struct engine_decision wanted;
  char text[TEXT_MAX + 1];  // what wanted points at
  bool name_settled;        // also for the second ClientHello after a HelloRetryRequest
  unsigned num_questions;   // about keys
  bool paused;              // a fibre is
  bool was_paused;          // and its stack has not been given back
  bool abandoned;           // nobody will answer any more

  // The answer.
  enum engine_answer_kind kind;
  int alert;
  char identity[PSK_MAX_IDENTITY_LEN + 1];
  uint8_t key[PSK_MAX_PSK_LEN];
  size_t key_len;
};

// ---------------------------------------------------------------------------------------------
// Fibres. OpenSSL keeps the stacks of all that were ever paused at once on a thread.

static _Thread_local unsigned num_paused;  // on this thread, which they go on on

// Not on a fibre: its own stack would be freed with the others.
static void give_back_stacks(struct decisions *decisions) {
  if (decisions->was_paused && num_paused == 0) {
    ASYNC_cleanup_thread();
  }
  decisions->was_paused = false;
}

// ---------------------------------------------------------------------------------------------
// Asking.

static struct decisions *decisions_of(const SSL *ssl) {
  struct engine *engine = SSL_get_app_data(ssl);
  return engine == NULL ? NULL : engine->decisions;
}

static const char *keep_text(struct decisions *decisions, const void *data, size_t len) {
  memcpy(decisions->text, data, len);
  decisions->text[len] = '\0';
  return decisions->text;
}

static void forget_answer(struct decisions *decisions) {
  decisions->stage = NOT_ASKED;
  OPENSSL_cleanse(decisions->identity, sizeof(decisions->identity));
  OPENSSL_cleanse(decisions->key, sizeof(decisions->key));
  decisions->key_len = 0;
}

// ---------------------------------------------------------------------------------------------
// The server name.

static bool take_be16(struct slice *from, size_t *out) {
  uint8_t high = 0;
  uint8_t low = 0;
  if (!slice_take_u8(from, &high) || !slice_take_u8(from, &low)) {
    return false;
  }
  *out = (size_t)high << 8 | low;
  return true;
}

// A vector with a length of two bytes, and nothing behind it.
static bool take_all16(struct slice from, struct slice *out) {
  size_t len = 0;
  return take_be16(&from, &len) && len == from.len && slice_take(&from, len, out);
}

// A list of exactly one host name (RFC 6066, section 3), as OpenSSL will read it.
static bool parse_server_name(struct slice extension, struct slice *out) {
  struct slice names;
  uint8_t type = 0;
  return take_all16(extension, &names) && slice_take_u8(&names, &type) &&
         type == TLSEXT_NAMETYPE_host_name && take_all16(names, out);
}

static bool is_good_name(struct slice name) {
  return name.len <= TLSEXT_MAXLEN_host_name && utf8_valid(name) &&
         (name.len == 0 || memchr(name.data, '\0', name.len) == NULL);
}

// What OpenSSL would refuse a step later is refused here, with its alerts: nobody is to decide
// about it.
static bool read_server_name(SSL *ssl, struct decisions *decisions, const char **out, int *alert) {
  const unsigned char *data = NULL;
  size_t len = 0;
  struct slice name;
  *out = NULL;
  if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &len)) {
    return true;
  }
  if (!parse_server_name(slice_of(data, len), &name)) {
    *alert = SSL_AD_DECODE_ERROR;
    return false;
  }
  if (!is_good_name(name)) {
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return false;
  }
  *out = keep_text(decisions, name.data, name.len);
  return true;
}

static int ask_about_name(SSL *ssl, struct decisions *decisions, int *alert) {
  struct engine_decision wanted = {.kind = ENGINE_DECIDE_SERVER_NAME};
  if (!read_server_name(ssl, decisions, &wanted.server_name, alert)) {
    return SSL_CLIENT_HELLO_ERROR;
  }
  decisions->wanted = wanted;
  decisions->stage = ASKED;
  return SSL_CLIENT_HELLO_RETRY;
}

static int settle_name(struct engine *engine, struct decisions *decisions, int *alert) {
  decisions->name_settled = true;
  forget_answer(decisions);
  if (decisions->kind == ENGINE_REFUSE) {
    *alert = decisions->alert;
    return SSL_CLIENT_HELLO_ERROR;
  }
  if (!engine_switch_context(engine)) {
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
  }
  return SSL_CLIENT_HELLO_SUCCESS;
}

// It is called again for what it could not answer at once, and for a second ClientHello.
static int on_client_hello(SSL *ssl, int *alert, void *state) {
  struct decisions *decisions = decisions_of(ssl);
  (void)state;
  if (decisions == NULL || decisions->name_settled) {
    return SSL_CLIENT_HELLO_SUCCESS;
  }
  switch (decisions->stage) {
    case NOT_ASKED:
      return ask_about_name(ssl, decisions, alert);
    case ASKED:
      return SSL_CLIENT_HELLO_RETRY;
    case ANSWERED:
      break;
  }
  return settle_name(SSL_get_app_data(ssl), decisions, alert);
}

// ---------------------------------------------------------------------------------------------
// Pre-shared keys.

// A peer's text of up to TEXT_MAX bytes. One that is no text is nobody's, like a ticket, which
// TLS 1.3 offers in the same place.
static bool may_ask(struct decisions *decisions, const char *text) {
  struct slice bytes = slice_of_string(text);
  if (decisions->abandoned || decisions->num_questions == QUESTIONS_MAX || bytes.len > TEXT_MAX ||
      !utf8_valid(bytes)) {
    return false;
  }
  decisions->num_questions++;
  return true;
}

// Pauses the handshake's fibre until somebody has answered.
static PAUSES void pause_for(struct decisions *decisions) {
  decisions->stage = ASKED;
  decisions->paused = true;
  decisions->was_paused = true;
  num_paused++;
  ASYNC_pause_job();
  num_paused--;
  decisions->paused = false;
}

static unsigned take_key(struct decisions *decisions, unsigned char *out, unsigned max) {
  size_t len = decisions->stage == ANSWERED && decisions->key_len <= max ? decisions->key_len : 0;
  memcpy(out, decisions->key, len);
  forget_answer(decisions);
  return decisions->abandoned ? KEY_IMPOSSIBLE : (unsigned)len;
}

static void ask_client(struct decisions *decisions, const char *hint) {
  const char *text = hint == NULL ? NULL : keep_text(decisions, hint, strlen(hint));
  decisions->wanted = (struct engine_decision){.kind = ENGINE_DECIDE_PSK_CLIENT, .psk_hint = text};
}

static PAUSES unsigned on_psk_client(SSL *ssl, const char *hint, char *identity,
                                     unsigned max_identity, unsigned char *key, unsigned max_key) {
  struct decisions *decisions = decisions_of(ssl);
  if (decisions == NULL || !may_ask(decisions, hint == NULL ? "" : hint)) {
    return 0;
  }
  ask_client(decisions, hint);
  pause_for(decisions);
  if (strlen(decisions->identity) <= max_identity) {
    memcpy(identity, decisions->identity, strlen(decisions->identity) + 1);
  }
  return take_key(decisions, key, max_key);
}

// TLS 1.3 has no empty identity: that is a ticket that begins with a zero.
static bool is_identity(const SSL *ssl, const char *identity) {
  return identity != NULL && (identity[0] != '\0' || SSL_version(ssl) < TLS1_3_VERSION);
}

static void ask_server(struct decisions *decisions, const char *identity) {
  const char *text = keep_text(decisions, identity, strlen(identity));
  decisions->wanted =
      (struct engine_decision){.kind = ENGINE_DECIDE_PSK_SERVER, .psk_identity = text};
}

static PAUSES unsigned on_psk_server(SSL *ssl, const char *identity, unsigned char *key,
                                     unsigned max_key) {
  struct decisions *decisions = decisions_of(ssl);
  if (decisions == NULL || !is_identity(ssl, identity) || !may_ask(decisions, identity)) {
    return 0;
  }
  ask_server(decisions, identity);
  pause_for(decisions);
  return take_key(decisions, key, max_key);
}

// ---------------------------------------------------------------------------------------------
// Answering.

const struct engine_decision *engine_decision(const struct engine *engine) {
  const struct decisions *decisions = engine->decisions;
  return decisions == NULL || decisions->stage != ASKED ? NULL : &decisions->wanted;
}

static bool is_alert(unsigned number) {
  const char *name = number > UINT8_MAX ? "unknown" : SSL_alert_desc_string_long((int)number);
  return strcmp(name, "unknown") != 0;
}

static const char *why_no_name_answer(const struct engine_answer *answer) {
  if (answer->kind == ENGINE_PSK) {
    return "the decision is about a server name: proceed, or refuse with an alert";
  }
  return answer->kind == ENGINE_REFUSE && !is_alert(answer->alert)
             ? "refuse_with_alert is no alert of TLS"
             : NULL;
}

static const char *why_no_key_answer(const struct engine_answer *answer, bool of_server) {
  if (answer->kind != ENGINE_PSK) {
    return "the decision is about a pre-shared key: give psk, with an empty key to refuse";
  }
  if (answer->key.len > PSK_MAX_PSK_LEN) {
    return "psk.key has at most 512 bytes";
  }
  if (of_server && answer->identity[0] != '\0') {
    return "psk.identity is for clients";
  }
  return strlen(answer->identity) > PSK_MAX_IDENTITY_LEN ? "psk.identity has at most 256 bytes"
                                                         : NULL;
}

static const char *why_no_answer(const struct engine_decision *decision,
                                 const struct engine_answer *answer) {
  return decision->kind == ENGINE_DECIDE_SERVER_NAME
             ? why_no_name_answer(answer)
             : why_no_key_answer(answer, decision->kind == ENGINE_DECIDE_PSK_SERVER);
}

static void keep_answer(struct decisions *decisions, const struct engine_answer *answer) {
  decisions->kind = answer->kind;
  decisions->alert = (int)answer->alert;
  if (answer->kind == ENGINE_PSK) {
    memcpy(decisions->identity, answer->identity, strlen(answer->identity) + 1);
    decisions->key_len = answer->key.len;
    memcpy(decisions->key, answer->key.len == 0 ? (const uint8_t *)"" : answer->key.data,
           answer->key.len);
  }
  decisions->stage = ANSWERED;
}

status_t engine_answer(struct engine *engine, const struct engine_answer *answer,
                       const char **out_why) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  const struct engine_decision *decision = engine_decision(engine);
  *out_why = decision == NULL ? "no decision is waited for" : why_no_answer(decision, answer);
  ENSURE(decision != NULL, FAILED_PRECONDITION);
  ENSURE(*out_why == NULL, INVALID_ARGUMENT);
  keep_answer(engine->decisions, answer);
  return OK_STATUS;
}

// ---------------------------------------------------------------------------------------------
// Beginning and ending.

void decisions_set_callback(SSL_CTX *ctx, const struct tls_settings *settings) {
  if (settings->decisions.server_name) {
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
  }
}

static bool decides_key(const struct engine *engine, const struct tls_decisions *asked) {
  return engine->role == ENGINE_CLIENT ? asked->psk_client : asked->psk_server;
}

// The keys' callbacks are the SSL's own, so that a context's self-test has none.
static void ask_for_keys(struct engine *engine) {
  SSL_set_mode(engine->ssl, SSL_MODE_ASYNC);
  if (engine->role == ENGINE_CLIENT) {
    SSL_set_psk_client_callback(engine->ssl, on_psk_client);
  } else {
    SSL_set_psk_server_callback(engine->ssl, on_psk_server);
  }
}

bool decisions_prepare(struct engine *engine, const struct edition *edition) {
  bool about_name = engine->role == ENGINE_SERVER && edition->settings.decisions.server_name;
  bool needed = about_name || decides_key(engine, &edition->settings.decisions);
  if (needed && engine->decisions == NULL) {
    engine->decisions = calloc(1, sizeof(*engine->decisions));
  }
  return !needed || engine->decisions != NULL;
}

bool decisions_begin(struct engine *engine) {
  if (!decisions_prepare(engine, engine->edition)) {
    return false;
  }
  if (decides_key(engine, &engine->edition->settings.decisions)) {
    ask_for_keys(engine);
  }
  return true;
}

bool decisions_on_fibre(const struct engine *engine) {
  return engine->decisions != NULL && !engine->established &&
         (SSL_get_mode(engine->ssl) & SSL_MODE_ASYNC) != 0;
}

void decisions_established(struct engine *engine) {
  if (engine->decisions != NULL) {
    SSL_clear_mode(engine->ssl, SSL_MODE_ASYNC);
    give_back_stacks(engine->decisions);
  }
}

void decisions_end(struct engine *engine) {
  struct decisions *decisions = engine->decisions;
  if (decisions == NULL) {
    return;
  }
  decisions->abandoned = true;
  if (decisions->paused) {
    SSL_do_handshake(engine->ssl);  // to its end, which is a failure
  }
  give_back_stacks(decisions);
  forget_answer(decisions);
  engine->decisions = NULL;
  free(decisions);
}
