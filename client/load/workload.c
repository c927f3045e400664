#include "client/load/workload.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/load/conn.h"
#include "client/load/shard.h"

enum { PATTERN_BYTES = 256 * 1024 };

static uint64_t smaller(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static const struct options *options_of(const struct conn *conn) {
  return conn->shard->options;
}

static void fail_end(struct conn *conn, bool truncated) {
  enum phase phase = conn->received == 0 ? PHASE_FIRST_BYTE : PHASE_TRANSFER;
  conn_fail(conn, phase, truncated ? "truncated" : "closed",
            truncated ? "the peer ended without close_notify"
                      : "the peer closed before the operation was done");
}

static void ignore_written(struct conn *conn) {
  (void)conn;
}

static void fail_read(struct conn *conn, struct slice data) {
  (void)data;
  conn_fail(conn, PHASE_FIRST_BYTE, "unasked", "the peer sent data that nobody had asked for");
}

// The pattern at an offset, as far as it goes without a break.
static struct slice pattern_at(const struct conn *conn, uint64_t offset, uint64_t most) {
  struct slice pattern = conn->shard->script->pattern;
  size_t start = (size_t)(offset % pattern.len);
  return slice_of(pattern.data + start, (size_t)smaller(most, pattern.len - start));
}

// ---------------------------------------------------------------------------------------------
// handshake, idle

static void begin_handshake(struct conn *conn) {
  conn_done_and_close(conn);
}

static void begin_idle(struct conn *conn) {
  conn_done(conn);
  conn_hold(conn);
}

static void on_idle_end(struct conn *conn, bool truncated) {
  (void)truncated;
  conn_fail(conn, PHASE_TRANSFER, "closed", "the peer closed an idle connection");
}

// ---------------------------------------------------------------------------------------------
// echo: it is written and read at once, since the peer may not hold all of a message.

static void write_echo(struct conn *conn) {
  if (conn->sent < options_of(conn)->size) {
    conn_write(conn, pattern_at(conn, conn->sent, options_of(conn)->size - conn->sent));
  }
}

static void begin_echo(struct conn *conn) {
  conn_read(conn);
  write_echo(conn);
}

static bool is_echo(const struct conn *conn, struct slice data) {
  uint64_t offset = conn->received;
  while (data.len > 0) {
    struct slice expected = pattern_at(conn, offset, data.len);
    if (memcmp(expected.data, data.data, expected.len) != 0) {
      return false;
    }
    offset += expected.len;
    data = slice_after(data, expected.len);
  }
  return true;
}

static void on_echo(struct conn *conn, struct slice data) {
  conn_note_byte(conn);
  if (conn->received + data.len > options_of(conn)->size || !is_echo(conn, data)) {
    conn_fail(conn, PHASE_TRANSFER, "mismatch", "what came back isn't what was sent");
    return;
  }
  conn->received += data.len;
  if (conn->received < options_of(conn)->size) {
    conn_read(conn);
    return;
  }
  conn_note_transferred(conn);
  conn_done(conn);
}

// ---------------------------------------------------------------------------------------------
// raw, http: one request, one answer

static void begin_request(struct conn *conn) {
  http_start(&conn->response);
  conn_read(conn);
  conn_write(conn, conn->shard->script->request);
}

static void on_raw(struct conn *conn, struct slice data) {
  conn_note_byte(conn);
  conn->received += data.len;
  if (conn->received > options_of(conn)->expect_bytes) {
    conn_fail(conn, PHASE_TRANSFER, "mismatch", "more came than --expect-bytes");
  } else if (conn->received < options_of(conn)->expect_bytes) {
    conn_read(conn);
  } else {
    conn_note_transferred(conn);
    conn_done(conn);
  }
}

static void finish_http(struct conn *conn) {
  conn_note_transferred(conn);
  if (conn->response.status >= 400) {
    char reason[32];
    snprintf(reason, sizeof(reason), "status %u", conn->response.status);
    conn_fail(conn, PHASE_TRANSFER, "http", reason);
  } else if (conn->response.keeps_alive) {
    conn_done(conn);
  } else {
    conn_done_and_close(conn);
  }
}

static void on_http(struct conn *conn, struct slice data) {
  conn_note_byte(conn);
  conn->received += data.len;
  http_take(&conn->response, data);
  if (conn->response.stage == HTTP_BROKEN) {
    conn_fail(conn, PHASE_TRANSFER, "http", "the answer is no HTTP/1.1");
  } else if (conn->response.stage == HTTP_COMPLETE) {
    finish_http(conn);
  } else {
    conn_read(conn);
  }
}

static void on_http_end(struct conn *conn, bool truncated) {
  if (truncated || !http_end(&conn->response)) {
    fail_end(conn, truncated);
    return;
  }
  finish_http(conn);
}

// ---------------------------------------------------------------------------------------------
// down, up: bulk

static void begin_down(struct conn *conn) {
  conn_read(conn);
}

static void finish_down(struct conn *conn) {
  conn_note_transferred(conn);
  conn_done_and_close(conn);
}

static void on_down(struct conn *conn, struct slice data) {
  uint64_t wanted = options_of(conn)->bytes;
  conn_note_byte(conn);
  conn->received += data.len;
  if (wanted > 0 && conn->received >= wanted) {
    finish_down(conn);
  } else {
    conn_read(conn);
  }
}

static void on_down_end(struct conn *conn, bool truncated) {
  bool is_whole = options_of(conn)->bytes == 0 && conn->received > 0 && !truncated;
  if (is_whole) {
    finish_down(conn);
  } else {
    fail_end(conn, truncated);
  }
}

static void write_up(struct conn *conn) {
  uint64_t left = options_of(conn)->bytes - conn->sent;
  if (left > 0) {
    conn_write(conn, pattern_at(conn, conn->sent, left));
    return;
  }
  conn_note_transferred(conn);
  conn_done_and_close(conn);
}

// ---------------------------------------------------------------------------------------------

// This table is read by columns.
// clang-format off

const struct workload WORKLOADS[WORKLOAD_COUNT] = {
    [WORKLOAD_HANDSHAKE] = {true,  begin_handshake, fail_read, ignore_written, fail_end},
    [WORKLOAD_ECHO]      = {false, begin_echo,      on_echo,   write_echo,     fail_end},
    [WORKLOAD_HTTP]      = {false, begin_request,   on_http,   ignore_written, on_http_end},
    [WORKLOAD_RAW]       = {false, begin_request,   on_raw,    ignore_written, fail_end},
    [WORKLOAD_DOWN]      = {true,  begin_down,      on_down,   ignore_written, on_down_end},
    [WORKLOAD_UP]        = {true,  write_up,        fail_read, write_up,       fail_end},
    [WORKLOAD_IDLE]      = {true,  begin_idle,      fail_read, ignore_written, on_idle_end},
};

// clang-format on

// ---------------------------------------------------------------------------------------------
// The script

static bool make_pattern(struct script *script) {
  uint8_t *pattern = malloc(PATTERN_BYTES);
  uint32_t state = 1;
  for (size_t i = 0; pattern != NULL && i < PATTERN_BYTES; i++) {
    state = state * 1664525U + 1013904223U;  // any bytes will do that don't repeat soon
    pattern[i] = (uint8_t)(state >> 24);
  }
  script->pattern = slice_of(pattern, PATTERN_BYTES);
  return pattern != NULL;
}

// An http host is named as a browser would, without the default port. All connections make one
// request, so that of several names for a Unix socket it has the first.
static void make_host(FILE *out, const struct options *options, const struct target *target) {
  fprintf(out, "Host: ");
  if (target->host[0] == '\0') {
    const char *names = options->sni == NULL ? "localhost" : options->sni;
    fprintf(out, "%.*s\r\n", (int)strcspn(names, ","), names);
    return;
  }
  size_t len = strlen(target->text);
  bool is_default = len > 4 && strcmp(target->text + len - 4, ":443") == 0;
  fprintf(out, "%s\r\n", is_default && target->text[0] != '[' ? target->host : target->text);
}

static void make_http(FILE *out, const struct options *options, const struct target *target) {
  fprintf(out, "GET %s HTTP/1.1\r\n", options->path);
  bool has_host = false;
  for (size_t i = 0; i < options->num_headers; i++) {
    fprintf(out, "%s\r\n", options->headers[i]);
    has_host = has_host || strncasecmp(options->headers[i], "host:", 5) == 0;
  }
  if (!has_host) {
    make_host(out, options, target);
  }
  fprintf(out, "User-Agent: tlsagent-load\r\nAccept: */*\r\n\r\n");
}

static bool hex_value(const char *text, char *out) {
  char digits[3] = {text[0], text[0] == '\0' ? '\0' : text[1], '\0'};
  char *end = NULL;
  *out = (char)strtoul(digits, &end, 16);
  return end == digits + 2;
}

// The byte that a text begins with, one of C's escapes resolved, and what comes after it; NULL when
// the escape makes no sense.
static const char *take_byte(const char *text, char *out) {
  static const char letters[] = "nrt0\\'\"";
  static const char meant[] = "\n\r\t\0\\'\"";
  *out = text[0];
  if (text[0] != '\\') {
    return text + 1;
  }
  if (text[1] == 'x') {
    return hex_value(text + 2, out) ? text + 4 : NULL;
  }
  const char *letter = text[1] == '\0' ? NULL : strchr(letters, text[1]);
  *out = letter == NULL ? '\0' : meant[letter - letters];
  return letter == NULL ? NULL : text + 2;
}

bool script_takes(const char *text) {
  char byte;
  while (text != NULL && *text != '\0') {
    text = take_byte(text, &byte);
  }
  return text != NULL;
}

static void make_raw(FILE *out, const char *text) {
  char byte;
  while (*text != '\0') {
    text = take_byte(text, &byte);
    assert(text != NULL);  // script_takes it
    fputc(byte, out);
  }
}

bool script_init(struct script *script, const struct options *options,
                 const struct target *target) {
  *script = (struct script){.text = NULL};
  size_t len = 0;
  FILE *out = open_memstream(&script->text, &len);
  bool good = out != NULL && make_pattern(script);
  if (good && options->workload == WORKLOAD_HTTP) {
    make_http(out, options, target);
  } else if (good && options->workload == WORKLOAD_RAW) {
    make_raw(out, options->send);
  }
  if (out != NULL && fclose(out) != 0) {
    good = false;
  }
  script->request = slice_of(script->text, len);
  return good;
}

void script_cleanup(struct script *script) {
  free((void *)script->pattern.data);
  free(script->text);
}
