// The socket path with the caller's buffer: loops around Read and Write.

#include <string.h>

#include "client/c/clock.h"
#include "client/c/error.h"
#include "client/c/verb.h"

enum { READ_CHUNK = 256 * 1024, WRITE_CHUNK = 256 * 1024 };

static bool fail_state(struct tlsagent_error *error, const char *verb, enum tlsagent_state state) {
  return tla_fail(error, TLSAGENT_FAULT_USAGE,
                  "%s stopped at \"%s\": this session needs more than its own verb goes on with",
                  verb, tlsagent_state_name(state));
}

enum tlsagent_state tlsagent_session_read_into(struct tlsagent_client *client, size_t *out_len,
                                               uint64_t session, void *buffer, size_t size,
                                               uint32_t timeout_ms, struct tlsagent_error *error) {
  const struct tlsagent_session_read_request request = {
      .session = session, .max_bytes = size < READ_CHUNK ? (uint32_t)size : READ_CHUNK};
  struct tlsagent_session_read_reply *reply;
  *out_len = 0;
  if (size == 0) {
    tla_fail(error, TLSAGENT_FAULT_USAGE, "Read needs room for at least one byte");
    return TLSAGENT_STATE_FAILED;
  }
  enum tlsagent_state state = TLSAGENT_STATE_FAILED;
  if (tlsagent_session_read(client, &reply, &request, timeout_ms, error)) {
    state = reply->progress.state;
    if (state == TLSAGENT_STATE_DONE && reply->data.len != 0 && reply->data.len <= size) {
      memcpy(buffer, reply->data.data, reply->data.len);
      *out_len = reply->data.len;
    } else if (state != TLSAGENT_STATE_CLOSED) {
      fail_state(error, "Read", state);
      state = TLSAGENT_STATE_FAILED;
    }
  }
  tlsagent_free(reply);
  return state;
}

// What is left of timeout_ms, at least 1; 0 stays "for ever".
static uint32_t time_left(uint64_t start_ms, uint32_t timeout_ms) {
  const uint64_t spent = tla_clock_ms() - start_ms;
  if (timeout_ms == 0) {
    return 0;
  }
  return spent < timeout_ms ? timeout_ms - (uint32_t)spent : 1;
}

bool tla_count_accepted(size_t *accepted, const struct tlsagent_session_write_reply *reply,
                        size_t given, struct tlsagent_error *error) {
  const bool stuck =
      reply->progress.state == TLSAGENT_STATE_DONE && reply->accepted == 0 && given != 0;
  if (stuck || reply->accepted > given) {
    return tla_fail(error, TLSAGENT_FAULT_LOST,
                    "tlsagentd says that it is done, and that it took %llu bytes of %zu",
                    (unsigned long long)reply->accepted, given);
  }
  *accepted += (size_t)reply->accepted;
  return true;
}

// Writes up to a chunk, and adds to *written what was taken of it. A Wait, and not a deadline, ends
// it in time: only then does the answer say how far it got.
static bool write_chunk(struct tlsagent_client *client, size_t *written, uint64_t session,
                        struct tlsagent_bytes data, uint32_t wait_ms,
                        struct tlsagent_error *error) {
  const struct tlsagent_session_write_request request = {
      .session = session,
      .data = {data.data, data.len < WRITE_CHUNK ? data.len : WRITE_CHUNK},
      .wait_ms = {wait_ms != 0, wait_ms}};
  const uint32_t limit_ms =
      wait_ms == 0 || wait_ms > UINT32_MAX - TLSAGENT_GRACE_MS ? 0 : wait_ms + TLSAGENT_GRACE_MS;
  struct tlsagent_session_write_reply *reply;
  bool ok = tlsagent_session_write(client, &reply, &request, limit_ms, error);
  if (reply == NULL) {
    return false;
  }
  ok = tla_count_accepted(written, reply, request.data.len, error) && ok;
  if (ok && reply->progress.state == TLSAGENT_STATE_WANT_WRITE) {
    ok = tla_fail(error, TLSAGENT_FAULT_DEADLINE, "the peer didn't read: %zu bytes were taken",
                  *written);
  } else if (ok && reply->progress.state != TLSAGENT_STATE_DONE) {
    ok = fail_state(error, "Write", reply->progress.state);
  }
  tlsagent_free(reply);
  return ok;
}

bool tlsagent_session_write_all(struct tlsagent_client *client, size_t *out_written,
                                uint64_t session, const void *data, size_t len, uint32_t timeout_ms,
                                struct tlsagent_error *error) {
  const uint64_t start_ms = tla_clock_ms();
  const uint8_t *bytes = data;
  size_t written = 0;
  bool ok = true;
  while (ok && written < len) {
    ok = write_chunk(client, &written, session, tlsagent_bytes_of(bytes + written, len - written),
                     time_left(start_ms, timeout_ms), error);
  }
  if (out_written != NULL) {
    *out_written = written;
  }
  return ok;
}
