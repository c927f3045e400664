#include "client/cli/text.h"

#include <stdbool.h>
#include <string.h>

// RFC 3629: the first byte tells the length and, for some, the range of the second.
size_t utf8_length(const void *data, size_t len, uint32_t *out) {
  const uint8_t *byte = data;
  const size_t need = byte[0] < 0x80   ? 1
                      : byte[0] < 0xC2 ? 0
                      : byte[0] < 0xE0 ? 2
                      : byte[0] < 0xF0 ? 3
                      : byte[0] < 0xF5 ? 4
                                       : 0;
  static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (need == 0 || need > len) {
    return 0;
  }
  uint32_t point = need == 1 ? byte[0] : byte[0] & (0x7FU >> need);
  for (size_t i = 1; i < need; i++) {
    if ((byte[i] & 0xC0) != 0x80) {
      return 0;
    }
    point = point << 6 | (byte[i] & 0x3F);
  }
  if (point < smallest[need] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) {
    return 0;
  }
  *out = point;
  return need;
}

// C0, DEL and C1 controls, line separators, and what reorders the text around it.
static bool is_harmless(uint32_t point) {
  return point >= 0x20 && !(point >= 0x7F && point < 0xA0) && point != 0x061C &&
         !(point >= 0x200E && point <= 0x200F) && !(point >= 0x2028 && point <= 0x202E) &&
         !(point >= 0x2066 && point <= 0x2069);
}

void print_safe_bytes(FILE *out, const void *data, size_t len) {
  const uint8_t *byte = data;
  while (len != 0) {
    uint32_t point;
    size_t taken = utf8_length(byte, len, &point);
    if (taken != 0 && is_harmless(point)) {
      fwrite(byte, 1, taken, out);
    } else {
      taken = 1;
      fprintf(out, "\\x%02X", byte[0]);
    }
    byte += taken;
    len -= taken;
  }
}

void print_safe(FILE *out, const char *text) {
  print_safe_bytes(out, text, strlen(text));
}

void print_safe_lines(FILE *out, const char *text) {
  while (text[0] != '\0') {
    const size_t len = strcspn(text, "\n");
    print_safe_bytes(out, text, len);
    fputc('\n', out);
    text += len + (text[len] == '\n');
  }
}

void print_hex(FILE *out, struct tlsagent_bytes bytes, char separator) {
  for (size_t i = 0; i < bytes.len; i++) {
    if (i != 0 && separator != 0) {
      fputc(separator, out);
    }
    fprintf(out, "%02X", bytes.data[i]);
  }
}

void print_base64(FILE *out, struct tlsagent_bytes bytes) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < bytes.len; i += 3) {
    const size_t left = bytes.len - i;
    const uint32_t group = (uint32_t)bytes.data[i] << 16 |
                           (left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0) |
                           (left > 2 ? bytes.data[i + 2] : 0);
    fputc(digits[group >> 18], out);
    fputc(digits[group >> 12 & 63], out);
    fputc(left > 1 ? digits[group >> 6 & 63] : '=', out);
    fputc(left > 2 ? digits[group & 63] : '=', out);
  }
}
