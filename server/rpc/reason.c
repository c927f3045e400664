#include "server/rpc/reason.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "server/base/limits.h"
#include "server/rpc/wire.h"

// How all our sentences name a limit.
static const char limit_mark[] = "limit \"";

static bool follows(const char *text, const char *what) {
  return strncmp(text, what, strlen(what)) == 0;
}

// Of several that it may have been, none is named.
static bool find_limit(const char *text, struct slice *out) {
  const char *mark = strstr(text, limit_mark);
  const char *name = mark != NULL ? mark + sizeof(limit_mark) - 1 : NULL;
  const char *end = name != NULL ? strchr(name, '"') : NULL;
  if (end == NULL || follows(end, "\" or ") || follows(end, "\", ")) {
    return false;
  }
  *out = slice_of(name, (size_t)(end - name));
  return limits_has(*out);
}

static size_t in_capitals(char out[REASON_MAX + 1], struct slice name) {
  assert(name.len <= REASON_MAX);
  for (size_t i = 0; i < name.len; i++) {
    bool is_small = name.data[i] >= 'a' && name.data[i] <= 'z';
    out[i] = (char)(is_small ? name.data[i] - 'a' + 'A' : name.data[i]);
  }
  out[name.len] = '\0';
  return name.len;
}

size_t reason_of(char out[REASON_MAX + 1], enum status_code code, const char *text) {
  struct slice limit;
  out[0] = '\0';
  switch (code) {
    case STATUS_RESOURCE_EXHAUSTED:
    case STATUS_DEADLINE_EXCEEDED:
      return find_limit(text, &limit) ? in_capitals(out, limit) : 0;
    case STATUS_FAILED_PRECONDITION:
      return in_capitals(out, slice_of_string(status_name(code)));
    default:
      return 0;
  }
}

static uint8_t *put_text(uint8_t *out, uint32_t field, struct slice text) {
  out = wire_put_varint(out, field << 3 | WIRE_BYTES);
  out = wire_put_varint(out, text.len);
  memcpy(out, text.data, text.len);
  return out + text.len;
}

size_t reason_write(uint8_t out[REASON_INFO_MAX], const char *reason) {
  enum { REASON = 1, DOMAIN = 2 };
  assert(strlen(reason) <= REASON_MAX);
  uint8_t *end = put_text(out, REASON, slice_of_string(reason));
  end = put_text(end, DOMAIN, slice_of_string(REASON_DOMAIN));
  return (size_t)(end - out);
}
