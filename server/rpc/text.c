#include "server/rpc/text.h"

#include <assert.h>
#include <string.h>

#include "server/base/utf8.h"

enum { CHARACTER_BYTES_MAX = 4 };

static bool is_control(uint8_t c) {
  return c < 0x20 || c == 0x7f;
}

// The length of the character at the front of text, or 0 when there is none that may be shown.
static size_t character_at(struct slice text) {
  for (size_t len = 1; len <= CHARACTER_BYTES_MAX && len <= text.len; len++) {
    if (utf8_valid(slice_of(text.data, len))) {
      return is_control(text.data[0]) ? 0 : len;
    }
  }
  return 0;
}

void text_mend(char *out, size_t size, const char *text) {
  assert(size > 0);
  struct slice rest = slice_of_string(text);
  size_t used = 0;
  while (rest.len > 0) {
    struct slice taken;
    size_t len = character_at(rest);
    bool there = slice_take(&rest, len == 0 ? 1 : len, &taken);
    assert(there);
    if (used + taken.len >= size) {
      break;
    }
    memcpy(out + used, len == 0 ? (const uint8_t *)"?" : taken.data, taken.len);
    used += taken.len;
  }
  out[used] = '\0';
}

void text_quote(char *out, size_t size, struct slice name) {
  static const char cut[] = "...";
  assert(size > sizeof(cut));
  bool fits = name.len < size;
  size_t len = fits ? name.len : size - sizeof(cut);
  for (size_t i = 0; i < len; i++) {
    out[i] = name.data[i] >= 0x20 && name.data[i] < 0x7f ? (char)name.data[i] : '?';
  }
  memcpy(out + len, fits ? "" : cut, fits ? 1 : sizeof(cut));
}
