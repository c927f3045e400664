#include "client/load/tally.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void copy_printable(char *out, size_t size, const char *text) {
  size_t len = strnlen(text, size - 1);
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)text[i];
    out[i] = c < ' ' || c >= 0x7f ? '?' : text[i];
  }
  out[len] = '\0';
}

static struct tally_row *find(struct tally *tally, const struct tally_row *like) {
  for (size_t i = 0; i < tally->num_rows; i++) {
    struct tally_row *row = &tally->rows[i];
    if (row->phase == like->phase && strcmp(row->kind, like->kind) == 0 &&
        strcmp(row->reason, like->reason) == 0) {
      return row;
    }
  }
  return NULL;
}

static void count(struct tally *tally, const struct tally_row *like) {
  struct tally_row *row = find(tally, like);
  tally->total += like->count;
  if (row != NULL) {
    row->count += like->count;
    return;
  }
  if (tally->num_rows < TALLY_ROWS_MAX - 1) {
    tally->rows[tally->num_rows++] = *like;
    return;
  }
  struct tally_row rest = {
      .phase = like->phase, .kind = "other", .reason = "further reasons", .count = like->count};
  if (tally->num_rows == TALLY_ROWS_MAX - 1) {
    tally->rows[tally->num_rows++] = rest;
  } else {
    tally->rows[TALLY_ROWS_MAX - 1].count += like->count;
  }
}

void tally_note(struct tally *tally, enum phase phase, const char *kind, const char *reason) {
  struct tally_row row = {.phase = phase, .count = 1};
  copy_printable(row.kind, sizeof(row.kind), kind);
  copy_printable(row.reason, sizeof(row.reason), reason);
  count(tally, &row);
}

void tally_note_os(struct tally *tally, enum phase phase, int os_errno) {
  static const struct {
    int number;
    const char *kind;
  } kinds[] = {{ECONNREFUSED, "refused"},
               {ECONNRESET, "reset"},
               {EPIPE, "reset"},
               {ETIMEDOUT, "timeout"},
               {EHOSTUNREACH, "unreachable"},
               {ENETUNREACH, "unreachable"},
               {EADDRNOTAVAIL, "local"},
               {EMFILE, "local"},
               {ENFILE, "local"},
               {ENOMEM, "local"}};
  const char *kind = "os";
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
    kind = kinds[i].number == os_errno ? kinds[i].kind : kind;
  }
  const char *words = strerrordesc_np(os_errno);
  tally_note(tally, phase, kind, words == NULL ? "unknown error" : words);
}

static const char *reason_of(const struct tls_error *error) {
  if (error->kind == TLS_ERROR_VERIFY && error->verify_message[0] != '\0') {
    return error->verify_message;
  }
  if (error->detail[0] != '\0') {
    return error->detail;
  }
  return error->text[0] != '\0' ? error->text : error->reason;
}

void tally_note_tls(struct tally *tally, enum phase phase, const struct tls_error *error) {
  if (error->kind == TLS_ERROR_OS && error->os_errno != 0) {
    tally_note_os(tally, phase, error->os_errno);
    return;
  }
  static const char *const kinds[] = {
      [TLS_ERROR_NONE] = "tls",        [TLS_ERROR_TLS] = "tls",
      [TLS_ERROR_VERIFY] = "verify",   [TLS_ERROR_TRUNCATED] = "truncated",
      [TLS_ERROR_OS] = "os",           [TLS_ERROR_TIMEOUT] = "timeout",
      [TLS_ERROR_INVALID] = "invalid", [TLS_ERROR_CLOSED_HERE] = "closed",
      [TLS_ERROR_RESOLVE] = "resolve"};
  char text[TALLY_REASON_SIZE];
  const char *reason = reason_of(error);
  bool has_name = error->reason[0] != '\0' && reason != error->reason;
  snprintf(text, sizeof(text), "%s%s%s%s", reason, has_name ? " (" : "",
           has_name ? error->reason : "", has_name ? ")" : "");
  const size_t num_kinds = sizeof(kinds) / sizeof(kinds[0]);  // a newer daemon may know more
  tally_note(tally, phase, (size_t)error->kind < num_kinds ? kinds[error->kind] : "tls", text);
}

void tally_add(struct tally *tally, const struct tally *other) {
  for (size_t i = 0; i < other->num_rows; i++) {
    count(tally, &other->rows[i]);
  }
}

static int by_count(const void *a, const void *b) {
  const struct tally_row *left = a;
  const struct tally_row *right = b;
  return (left->count < right->count) - (left->count > right->count);
}

void tally_sort(struct tally *tally) {
  qsort(tally->rows, tally->num_rows, sizeof(tally->rows[0]), by_count);
}
