#include "server/base/utf8.h"

#include <stdio.h>
#include <string.h>

// The first byte says how many follow and which second bytes are neither overlong nor a surrogate
// (RFC 3629, section 4).
struct form {
  uint8_t first_low, first_high;
  uint8_t second_low, second_high;
  uint8_t more;
};

static const struct form forms[] = {
    {0x00, 0x7f, 0x00, 0x00, 0}, {0xc2, 0xdf, 0x80, 0xbf, 1}, {0xe0, 0xe0, 0xa0, 0xbf, 2},
    {0xe1, 0xec, 0x80, 0xbf, 2}, {0xed, 0xed, 0x80, 0x9f, 2}, {0xee, 0xef, 0x80, 0xbf, 2},
    {0xf0, 0xf0, 0x90, 0xbf, 3}, {0xf1, 0xf3, 0x80, 0xbf, 3}, {0xf4, 0xf4, 0x80, 0x8f, 3},
};

static const struct form *form_of(uint8_t first) {
  for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
    if (first >= forms[i].first_low && first <= forms[i].first_high) {
      return &forms[i];
    }
  }
  return NULL;
}

static bool rest_matches(const struct form *form, struct slice rest) {
  for (size_t i = 0; i < rest.len; i++) {
    uint8_t low = i == 0 ? form->second_low : 0x80;
    uint8_t high = i == 0 ? form->second_high : 0xbf;
    if (rest.data[i] < low || rest.data[i] > high) {
      return false;
    }
  }
  return true;
}

bool utf8_valid(struct slice data) {
  uint8_t first;
  while (slice_take_u8(&data, &first)) {
    const struct form *form = form_of(first);
    struct slice rest;
    if (form == NULL || !slice_take(&data, form->more, &rest) || !rest_matches(form, rest)) {
      return false;
    }
  }
  return true;
}

const char *utf8_text(struct arena *arena, const char *text) {
  if (text == NULL) {
    return "";
  }
  size_t len = strlen(text);
  if (utf8_valid(slice_of(text, len))) {
    return text;
  }
  size_t size = len * 4 + 1;
  char *out = arena_alloc(arena, size);
  size_t used = 0;
  for (size_t i = 0; out != NULL && i < len; i++) {
    unsigned char c = (unsigned char)text[i];
    used += (size_t)snprintf(out + used, size - used, c < 0x80 ? "%c" : "\\x%02x", c);
  }
  return out;
}
