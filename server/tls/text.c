#include "server/tls/text.h"

#include <limits.h>
#include <openssl/objects.h>
#include <stdbool.h>
#include <string.h>

#include "server/base/utf8.h"
#include "server/tls/openssl_error.h"

enum { LONGEST_CHARACTER = 4, ESCAPE_LEN = 4 };

// How many bytes the character at the front takes, if it is whole and may be shown; else 0.
static size_t showable(struct slice data) {
  uint8_t first = data.data[0];
  if (first < 0x80) {
    return first >= 0x20 && first != 0x7f;
  }
  for (size_t len = 2; len <= LONGEST_CHARACTER && len <= data.len; len++) {
    if (utf8_valid(slice_of(data.data, len))) {
      bool is_control = first == 0xc2 && data.data[1] < 0xa0;  // U+0080 to U+009F
      return is_control ? 0 : len;
    }
  }
  return 0;
}

void decoding_check(struct decoding *to) {
  to->lacked_memory = tls_queue_drain() || to->lacked_memory;
}

static size_t escape(uint8_t byte, char *out) {
  static const char digits[] = "0123456789abcdef";
  const char escaped[ESCAPE_LEN] = {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
  memcpy(out, escaped, ESCAPE_LEN);
  return ESCAPE_LEN;
}

static size_t escaped_len(struct slice data) {
  size_t total = 0;
  while (data.len > 0) {
    size_t len = showable(data);
    struct slice taken;
    slice_take(&data, len == 0 ? 1 : len, &taken);
    total += len == 0 ? ESCAPE_LEN : len;
  }
  return total;
}

const char *text_escaped(struct decoding *to, struct slice data) {
  char *text = arena_alloc(to->arena, escaped_len(data) + 1);
  if (text == NULL) {
    return "";
  }
  size_t used = 0;
  while (data.len > 0) {
    size_t len = showable(data);
    if (len == 0) {
      used += escape(data.data[0], text + used);
    } else {
      memcpy(text + used, data.data, len);
      used += len;
    }
    data = slice_after(data, len == 0 ? 1 : len);
  }
  return text;
}

const char *text_taken(struct decoding *to) {
  char *data = NULL;
  long len = BIO_get_mem_data(to->scratch, &data);
  const char *text = text_escaped(to, slice_of(data, len < 0 ? 0 : (size_t)len));
  (void)BIO_reset(to->scratch);
  return text;
}

const char *text_exact(struct decoding *to, struct slice data) {
  if (!utf8_valid(data) || (data.len > 0 && memchr(data.data, 0, data.len) != NULL)) {
    return NULL;
  }
  char *text = arena_alloc(to->arena, data.len + 1);
  if (text != NULL && data.len > 0) {
    memcpy(text, data.data, data.len);
  }
  return text;
}

static const char *name_of_object(struct decoding *to, const ASN1_OBJECT *object, int oid_only) {
  char buffer[256];
  int len = OBJ_obj2txt(buffer, sizeof(buffer), object, oid_only);
  if (len <= 0) {
    return "";
  }
  size_t kept = (size_t)len < sizeof(buffer) ? (size_t)len : sizeof(buffer) - 1;
  return text_escaped(to, slice_of(buffer, kept));
}

const char *text_of_object(struct decoding *to, const ASN1_OBJECT *object) {
  return name_of_object(to, object, 0);
}

const char *text_of_oid(struct decoding *to, const ASN1_OBJECT *object) {
  return name_of_object(to, object, 1);
}

struct slice bytes_of(const ASN1_STRING *string) {
  int len = ASN1_STRING_length(string);
  return slice_of(ASN1_STRING_get0_data(string), len < 0 ? 0 : (size_t)len);
}

struct slice bytes_copied(struct decoding *to, struct slice data) {
  const uint8_t *copy = arena_copy(to->arena, data);
  return slice_of(copy, copy == NULL ? 0 : data.len);
}
