// One operation against the engine, no transport in sight.
#include "server/base/counters.h"
#include "server/session/private.h"

static enum engine_result step_handshake(struct session *session) {
  bool was_established = engine_established(session->engine);
  enum engine_result result = engine_handshake(session->engine);
  if (result == ENGINE_DONE && !was_established) {
    counter_add(COUNTER_handshakes_done, 1);
  }
  if (result == ENGINE_FAILED) {
    counter_add(COUNTER_handshakes_failed, 1);
  }
  return result;
}

// An exact read gives all of a record that it has taken, and takes another only if that is sure to
// be data, and wanted.
static bool wants_more(const struct session *session, const struct session_op *op) {
  size_t room = op->buffer_size - op->transferred;
  if (room == 0 || op->exact == 0 || op->transferred == 0) {
    return room > 0;
  }
  size_t wanted = op->exact > op->transferred ? op->exact - op->transferred : 0;
  return engine_data_follows(session->engine, wanted < room ? wanted : room);
}

// Gives as much as is there. What stops it after the first byte is kept for the next read.
static enum engine_result step_read(struct session *session, struct session_op *op) {
  if (session->late != 0) {
    enum engine_result late = session->late;
    session->late = 0;
    return late;
  }
  enum engine_result result = ENGINE_DONE;
  while (result == ENGINE_DONE && wants_more(session, op)) {
    size_t got = 0;
    result = engine_read(session->engine, op->buffer + op->transferred,
                         op->buffer_size - op->transferred, &got);
    op->transferred += got;
  }
  session->bytes_read += op->transferred;
  counter_add(COUNTER_plaintext_bytes_in, op->transferred);
  if (op->transferred == 0 || result == ENGINE_DONE) {
    return result;
  }
  session->late = result == ENGINE_CLOSED || result == ENGINE_FAILED ? result : 0;
  return ENGINE_DONE;
}

// The engine begins a record only when all of it has room: a write given up halfway binds the next
// one to nothing.
static enum engine_result step_write(struct session *session, struct session_op *op) {
  size_t taken = 0;
  enum engine_result result =
      engine_write(session->engine, slice_after(op->data, op->transferred), &taken);
  op->transferred += taken;
  session->bytes_written += taken;
  counter_add(COUNTER_plaintext_bytes_out, taken);
  return result;
}

static enum engine_result step_shutdown(struct session *session, struct session_op *op) {
  enum engine_result result = engine_shutdown_send(session->engine);
  if (result != ENGINE_DONE || !op->await_peer) {
    return result;
  }
  result = engine_shutdown_receive(session->engine, &op->discarded);
  return result == ENGINE_CLOSED ? ENGINE_DONE : result;
}

static void note_failure(struct session *session, struct session_op *op) {
  op->error = *engine_error(session->engine);
  if (engine_failed(session->engine)) {  // else it was refused, and the rest can go on
    session_fail(session, &op->error);
  }
}

enum engine_result session_step(struct session *session, struct session_op *op) {
  enum engine_result result = ENGINE_FAILED;
  switch (op->kind) {
    case SESSION_HANDSHAKE:
      result = step_handshake(session);
      break;
    case SESSION_READ:
      result = step_read(session, op);
      break;
    case SESSION_WRITE:
      result = step_write(session, op);
      break;
    case SESSION_SHUTDOWN:
      result = step_shutdown(session, op);
      break;
    case SESSION_REQUEST_CERTIFICATE:
      result = engine_request_certificate(session->engine);
      break;
    case SESSION_UPDATE_KEYS:
      result = engine_update_keys(session->engine, op->request_peer);
      break;
  }
  if (result == ENGINE_FAILED) {
    note_failure(session, op);
  }
  return result;
}
