#include "server/tls/engine.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/object.h"
#include "server/tls/context_private.h"
#include "server/tls/engine_private.h"
#include "server/tls/openssl_error.h"

enum {
  RECORD_PLAINTEXT = SSL3_RT_MAX_PLAIN_LENGTH,
  RECORD_OVERHEAD = SSL3_RT_HEADER_LENGTH + SSL3_RT_SEND_MAX_ENCRYPTED_OVERHEAD + 256,
  LEAST_OUTPUT = 64 * 1024
};

// ---------------------------------------------------------------------------------------------
// Making one.

status_t engine_check_role(const struct tls_context *context, enum engine_role role,
                           struct tls_error *error) {
  enum tls_context_kind kind = tls_context_get_kind(context);
  if (role == ENGINE_CLIENT && kind == TLS_CONTEXT_SERVER) {
    return tls_refuse(error, "context", "a client session needs a context of kind CLIENT or BOTH");
  }
  if (role == ENGINE_SERVER && kind == TLS_CONTEXT_CLIENT) {
    return tls_refuse(error, "context", "a server session needs a context of kind SERVER or BOTH");
  }
  return OK_STATUS;
}

// Whether a certificate may be asked for after the handshake is settled per SSL.
static void set_post_handshake_auth(struct engine *engine) {
  if (!engine->edition->settings.post_handshake_auth) {
    return;
  }
  if (engine->role == ENGINE_CLIENT) {
    SSL_set_post_handshake_auth(engine->ssl, 1);
    return;
  }
  int mode = SSL_get_verify_mode(engine->ssl);
  if ((mode & SSL_VERIFY_PEER) != 0) {
    SSL_set_verify(engine->ssl, mode | SSL_VERIFY_POST_HANDSHAKE, NULL);
  }
}

static status_t attach_pipe(struct engine *engine, struct tls_error *error) {
  BIO *bio = pipe_bio_new(&engine->pipe);
  if (bio == NULL) {
    return tls_out_of_memory(error);
  }
  SSL_set_bio(engine->ssl, bio, bio);  // takes the one reference for both directions
  return OK_STATUS;
}

static status_t set_up(struct engine *engine, const struct engine_config *config,
                       struct tls_error *error) {
  ERR_clear_error();
  engine->ssl = SSL_new(engine->edition->ctx);
  if (engine->ssl == NULL || !SSL_set_app_data(engine->ssl, engine)) {
    return tls_out_of_memory(error);
  }
  // A client would follow a server into one handshake after the other.
  SSL_set_options(engine->ssl, SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_RENEGOTIATION);
  TRY(attach_pipe(engine, error));
  set_post_handshake_auth(engine);
  engine->skips_verify = config->skip_verify && SSL_get_verify_mode(engine->ssl) == SSL_VERIFY_NONE;
  if (!decisions_begin(engine)) {
    return tls_out_of_memory(error);
  }
  if (config->traffic_keys && !traffic_begin(engine)) {
    return tls_out_of_memory(error);
  }
  events_listen(engine, engine->edition);
  if (engine->role == ENGINE_SERVER) {
    SSL_set_accept_state(engine->ssl);
    return OK_STATUS;
  }
  SSL_set_connect_state(engine->ssl);
  TRY(engine_name_setup(engine, config->server_name, error));
  return engine_resumption_setup(engine, config->resumption, error);
}

static void keep_owner(struct engine *engine, struct slice owner) {
  assert(owner.len <= sizeof(engine->owner));
  if (owner.len > 0) {
    memcpy(engine->owner, owner.data, owner.len);
  }
  engine->owner_len = owner.len;
}

static struct engine *allocate(struct tls_context *context, const struct engine_config *config) {
  struct engine *engine = calloc(1, sizeof(*engine));
  if (engine != NULL) {
    engine->magic = ENGINE_MAGIC;
    engine->role = config->role;
    engine->growing_records = config->growing_records;
    engine->context = tls_context_ref(context);
    engine->edition = tls_context_enter(context);
    list_init(&engine->events);
    engine->alert = TLS_ALERT_NONE;
    keep_owner(engine, config->owner);
    bytes_init(&engine->output,
               config->max_output < LEAST_OUTPUT ? LEAST_OUTPUT : config->max_output);
    engine->pipe.output = &engine->output;
  }
  return engine;
}

status_t engine_new(struct tls_context *context, const struct engine_config *config,
                    struct engine **out, struct tls_error *error) {
  TRY(engine_check_role(context, config->role, error));
  struct engine *engine = allocate(context, config);
  if (engine == NULL) {
    return tls_out_of_memory(error);
  }
  status_t status = set_up(engine, config, error);
  if (!status_ok(status)) {
    engine_free(engine);
    return status;
  }
  *out = engine;
  return OK_STATUS;
}

// A session whose connection ends without close_notify isn't resumed by OpenSSL, unless it believes
// one was sent. Truncation is the reader's concern; a failed session is left to be forgotten.
static void keep_resumable(struct engine *engine) {
  if (engine->ssl != NULL && !engine->failed) {
    SSL_set_shutdown(engine->ssl, SSL_get_shutdown(engine->ssl) | SSL_SENT_SHUTDOWN);
  }
}

void engine_free(struct engine *engine) {
  if (engine == NULL) {
    return;
  }
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  decisions_end(engine);
  keep_resumable(engine);
  SSL_free(engine->ssl);
  ERR_clear_error();
  events_end(engine);
  engine_forget_traffic_keys(engine);
  sk_X509_pop_free(engine->refused_chain, X509_free);
  bytes_cleanup(&engine->output);
  free(engine->error);
  engine_leave_switched(engine);
  tls_context_leave(engine->context, engine->edition);
  tls_context_unref(engine->context);
  explicit_bzero(engine->owner, sizeof(engine->owner));
  engine->magic = 0;
  free(engine);
}

// ---------------------------------------------------------------------------------------------
// Its two ends.

void engine_set_input(struct engine *engine, struct slice input, bool eof) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  engine->pipe.input = input;
  engine->pipe.eof = eof;
}

size_t engine_input_left(const struct engine *engine) {
  return engine->pipe.input.len;
}

struct bytes *engine_output(struct engine *engine) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  return engine->pipe.output;
}

void engine_lend_output(struct engine *engine, struct bytes *output) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  assert(bytes_len(engine->pipe.output) == 0 || output == NULL);
  engine->pipe.output = output == NULL ? &engine->output : output;
}

// ---------------------------------------------------------------------------------------------
// Operations. Each begins with begin() and ends with result_of().

static void begin(struct engine *engine) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  ERR_clear_error();
  errno = 0;
}

// What is told where there is no memory for an error of the engine's own, or no error but an alert.
static struct tls_error *stand_in(int alert, enum tls_error_kind kind, const char *text) {
  static _Thread_local struct tls_error error;
  tls_error_simple(&error, kind, text);
  error.alert = alert;
  return &error;
}

void engine_note_error(struct engine *engine, int ssl_error, int os_errno) {
  if (engine->error == NULL) {
    engine->error = malloc(sizeof(*engine->error));
  }
  if (engine->error != NULL) {
    tls_error_clear(engine->error);
    engine->error->alert = engine->alert;
    tls_error_from_ssl(engine->error, engine->ssl, engine->server_name, ssl_error, os_errno);
  }
  ERR_clear_error();
}

static enum engine_result fail(struct engine *engine, int ssl_error, int os_errno) {
  engine_note_error(engine, ssl_error, os_errno);
  return ENGINE_FAILED;
}

// What OpenSSL has failed at once it will fail at again, and may not be asked to shut down.
static enum engine_result fail_for_good(struct engine *engine, int ssl_error, int os_errno) {
  engine->failed = true;
  return fail(engine, ssl_error, os_errno);
}

// A later handshake on the same connection (key update, renegotiation) doesn't undo it.
static void note_established(struct engine *engine) {
  if (!engine->established && SSL_is_init_finished(engine->ssl)) {
    engine->established = true;
    decisions_established(engine);
  }
}

static enum engine_result result_of(struct engine *engine, int returned) {
  int os_errno = errno;
  note_established(engine);
  if (returned > 0) {
    return ENGINE_DONE;
  }
  if (engine_decision(engine) != NULL) {
    return ENGINE_WANT_DECISION;
  }
  int ssl_error = SSL_get_error(engine->ssl, returned);
  switch (ssl_error) {
    case SSL_ERROR_WANT_READ:
      return ENGINE_WANT_INPUT;
    case SSL_ERROR_WANT_WRITE:
      return ENGINE_WANT_OUTPUT;
    case SSL_ERROR_WANT_ASYNC_JOB:
      return fail_for_good(engine, ssl_error, ENOMEM);  // for another fibre
    case SSL_ERROR_ZERO_RETURN:
      // Before the handshake is over anybody can have sent it: it is no way to end well.
      return engine->established ? ENGINE_CLOSED : fail_for_good(engine, ssl_error, 0);
    default:
      return fail_for_good(engine, ssl_error, os_errno);
  }
}

// ENGINE_DONE when OpenSSL may be asked for a handshake.
static enum engine_result look(const struct engine *engine) {
  if (engine->failed) {
    return ENGINE_FAILED;
  }
  return engine_decision(engine) == NULL ? ENGINE_DONE : ENGINE_WANT_DECISION;
}

enum engine_result engine_handshake(struct engine *engine) {
  begin(engine);
  enum engine_result ready = look(engine);
  return ready == ENGINE_DONE ? result_of(engine, SSL_do_handshake(engine->ssl)) : ready;
}

// ENGINE_DONE when OpenSSL may be asked for data.
static enum engine_result prepare(struct engine *engine) {
  return decisions_on_fibre(engine) ? engine_handshake(engine) : look(engine);
}

enum engine_result engine_read(struct engine *engine, void *out, size_t size, size_t *out_len) {
  begin(engine);
  *out_len = 0;
  enum engine_result ready = prepare(engine);
  if (ready != ENGINE_DONE || size == 0) {
    return ready;
  }
  return result_of(engine, SSL_read_ex(engine->ssl, out, size, out_len));
}

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

static size_t most_in_record(const struct engine *engine) {
  return engine->growing_records ? record_size_next(&engine->record_size) : RECORD_PLAINTEXT;
}

// A record is begun only when all of it has room, so that OpenSSL never holds half of one back:
// what is accepted is in the output, and the rest binds nobody.
static enum engine_result write_record(struct engine *engine, struct slice data, size_t *out_len) {
  *out_len = 0;
  size_t len = smaller(data.len, most_in_record(engine));
  if (bytes_room(engine->pipe.output) < len + RECORD_OVERHEAD) {
    return ENGINE_WANT_OUTPUT;
  }
  begin(engine);
  enum engine_result result = result_of(engine, SSL_write_ex(engine->ssl, data.data, len, out_len));
  record_size_written(&engine->record_size, *out_len);
  return result;
}

// After the own close_notify OpenSSL refuses, and reading goes on.
static enum engine_result refuse_write(struct engine *engine, struct slice data) {
  size_t none;
  begin(engine);
  int returned = SSL_write_ex(engine->ssl, data.data, data.len, &none);
  return fail(engine, SSL_get_error(engine->ssl, returned), errno);
}

enum engine_result engine_write(struct engine *engine, struct slice data, size_t *out_accepted) {
  *out_accepted = 0;
  enum engine_result ready = prepare(engine);
  if (ready != ENGINE_DONE) {
    return ready;
  }
  if (engine->close_sent) {
    return refuse_write(engine, data);
  }
  // OpenSSL would send a record for nothing.
  if (data.len == 0) {
    return engine_established(engine) ? ENGINE_DONE : engine_handshake(engine);
  }
  if (engine->growing_records) {
    record_size_begin(&engine->record_size, clock_now());
  }
  enum engine_result result = ENGINE_DONE;
  while (result == ENGINE_DONE && data.len > 0) {
    size_t len;
    result = write_record(engine, data, &len);
    data = slice_after(data, len);
    *out_accepted += len;
  }
  return result;
}

// ---------------------------------------------------------------------------------------------
// The end of the stream.

enum engine_result engine_shutdown_send(struct engine *engine) {
  begin(engine);
  enum engine_result ready = look(engine);
  if (ready != ENGINE_DONE) {
    return ready;
  }
  if (engine->close_sent) {
    return ENGINE_DONE;
  }
  if (bytes_room(engine->pipe.output) < RECORD_OVERHEAD) {
    return ENGINE_WANT_OUTPUT;
  }
  enum engine_result flushed = engine_flush_late(engine);
  if (flushed != ENGINE_DONE) {
    return flushed;
  }
  int returned = SSL_shutdown(engine->ssl);
  if (returned >= 0) {
    engine->close_sent = true;
    return ENGINE_DONE;
  }
  // In the middle of a handshake it is refused, and the handshake can go on.
  return SSL_in_init(engine->ssl) ? fail(engine, SSL_get_error(engine->ssl, returned), errno)
                                  : result_of(engine, returned);
}

// Not by SSL_shutdown, which takes data before close_notify for an error.
enum engine_result engine_shutdown_receive(struct engine *engine, uint64_t *discarded) {
  uint8_t waste[4096];
  enum engine_result result = ENGINE_DONE;
  while (result == ENGINE_DONE) {
    size_t len;
    result = engine_read(engine, waste, sizeof(waste), &len);
    *discarded += len;
  }
  explicit_bzero(waste, sizeof(waste));
  return result;
}

// ---------------------------------------------------------------------------------------------
// How it stands.

const struct tls_error *engine_error(const struct engine *engine) {
  if (engine->error != NULL) {
    return engine->error;
  }
  return engine->failed ? stand_in(engine->alert, TLS_ERROR_TLS, "no memory to say what failed")
                        : stand_in(engine->alert, TLS_ERROR_NONE, "");
}

bool engine_established(const struct engine *engine) {
  return engine->established;
}

bool engine_failed(const struct engine *engine) {
  return engine->failed;
}

bool engine_shutdown_sent(const struct engine *engine) {
  return engine->close_sent;
}

bool engine_shutdown_received(const struct engine *engine) {
  return (SSL_get_shutdown(engine->ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
}

// TLS 1.3 sends its alerts as application data: they are known by being short.
static bool is_data(struct slice record, size_t room) {
  enum { SHORT = 64 };
  if (record.len < SSL3_RT_HEADER_LENGTH || record.data[0] != SSL3_RT_APPLICATION_DATA) {
    return false;
  }
  size_t body = (size_t)record.data[3] << 8 | record.data[4];
  return body >= SHORT && body <= room && body <= record.len - SSL3_RT_HEADER_LENGTH;
}

bool engine_data_follows(const struct engine *engine, size_t room) {
  return engine_pending(engine) > 0 || is_data(engine->pipe.input, room);
}

size_t engine_pending(const struct engine *engine) {
  int pending = SSL_pending(engine->ssl);
  return pending < 0 ? 0 : (size_t)pending;
}

enum engine_role engine_get_role(const struct engine *engine) {
  return engine->role;
}

void engine_release_buffers(struct engine *engine) {
  OBJECT_CHECK(engine, ENGINE_MAGIC);
  SSL_free_buffers(engine->ssl);  // refuses while there is something in them
  bytes_release_if_empty(engine->pipe.output);
}
