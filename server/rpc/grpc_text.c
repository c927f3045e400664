#include "server/rpc/grpc_text.h"

#include "server/base/clock.h"

// ---------------------------------------------------------------------------------------------
// Paths

static size_t last_slash(struct slice text) {
  size_t at = text.len - 1;
  while (text.data[at] != '/') {
    at--;
  }
  return at;
}

bool grpc_path_parse(struct slice path, struct slice *out_service, struct slice *out_method) {
  if (path.len == 0 || path.data[0] != '/') {
    return false;
  }
  size_t slash = last_slash(path);
  if (slash <= 1 || slash + 1 == path.len) {
    return false;
  }
  *out_service = slice_of(path.data + 1, slash - 1);
  *out_method = slice_after(path, slash + 1);
  return true;
}

// ---------------------------------------------------------------------------------------------
// Timeouts

static bool unit_nanos(uint8_t unit, uint64_t *out) {
  static const struct {
    uint8_t unit;
    uint64_t nanos;
  } units[] = {
      {'H', 3600 * NANOS_PER_SECOND},
      {'M', 60 * NANOS_PER_SECOND},
      {'S', NANOS_PER_SECOND},
      {'m', NANOS_PER_MILLI},
      {'u', 1000},
      {'n', 1},
  };
  for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
    if (units[i].unit == unit) {
      *out = units[i].nanos;
      return true;
    }
  }
  return false;
}

static bool parse_digits(struct slice text, uint64_t *out) {
  enum { DIGITS_MAX = 8 };
  *out = 0;
  for (size_t i = 0; i < text.len; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') {
      return false;
    }
    *out = *out * 10 + (uint64_t)(text.data[i] - '0');
  }
  return text.len > 0 && text.len <= DIGITS_MAX;
}

bool grpc_timeout_parse(struct slice text, int64_t *out_nano) {
  uint64_t nanos = 0;
  uint64_t value = 0;
  struct slice digits;
  if (text.len == 0 || !slice_take(&text, text.len - 1, &digits) || !parse_digits(digits, &value) ||
      !unit_nanos(text.data[0], &nanos)) {
    return false;
  }
  *out_nano = value > (uint64_t)INT64_MAX / nanos ? INT64_MAX : (int64_t)(value * nanos);
  return true;
}

// ---------------------------------------------------------------------------------------------
// Types

bool grpc_type_is_ours(struct slice type) {
  static const char name[] = "application/grpc";
  static const char proto[] = "+proto";
  struct slice part;
  if (!slice_take(&type, sizeof(name) - 1, &part) || !slice_equal(part, slice_of_string(name))) {
    return false;
  }
  struct slice rest = type;
  if (slice_take(&rest, sizeof(proto) - 1, &part) && slice_equal(part, slice_of_string(proto))) {
    type = rest;
  }
  return type.len == 0 || type.data[0] == ';' || type.data[0] == ' ';
}

// ---------------------------------------------------------------------------------------------
// Messages

static bool is_plain(uint8_t c) {
  return c >= ' ' && c <= '~' && c != '%';
}

size_t grpc_percent_encode(char *out, const char *text) {
  static const char digits[] = "0123456789ABCDEF";
  char *end = out;
  for (const uint8_t *at = (const uint8_t *)text; *at != '\0'; at++) {
    if (is_plain(*at)) {
      *end++ = (char)*at;
    } else {
      *end++ = '%';
      *end++ = digits[*at >> 4];
      *end++ = digits[*at & 15];
    }
  }
  *end = '\0';
  return (size_t)(end - out);
}

// Up to three bytes as two to four characters.
static size_t encode_group(char *out, const uint8_t *bytes, size_t num) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  uint32_t group = (uint32_t)bytes[0] << 16;
  group |= num > 1 ? (uint32_t)bytes[1] << 8 : 0;
  group |= num > 2 ? (uint32_t)bytes[2] : 0;
  for (size_t i = 0; i <= num; i++) {
    out[i] = digits[group >> (18 - 6 * i) & 63];
  }
  return num + 1;
}

size_t grpc_base64(char *out, struct slice data) {
  size_t len = 0;
  for (size_t at = 0; at < data.len; at += 3) {
    size_t left = data.len - at;
    len += encode_group(out + len, data.data + at, left < 3 ? left : 3);
  }
  return len;
}
