#include "client/cli/json.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "client/cli/text.h"

static void put_string(FILE *out, const void *data, size_t len) {
  const uint8_t *byte = data;
  fputc('"', out);
  while (len != 0) {
    uint32_t point;
    const size_t taken = utf8_length(byte, len, &point);
    if (taken == 0) {
      fputs("\\ufffd", out);
    } else if (point == '"' || point == '\\') {
      fprintf(out, "\\%c", (char)point);
    } else if (point == '\n') {
      fputs("\\n", out);
    } else if (point < 0x20 || point == 0x7F || (point >= 0x2028 && point <= 0x2029)) {
      fprintf(out, "\\u%04" PRIx32, point);
    } else {
      fwrite(byte, 1, taken, out);
    }
    byte += taken == 0 ? 1 : taken;
    len -= taken == 0 ? 1 : taken;
  }
  fputc('"', out);
}

static void indent(const struct json *json) {
  fprintf(json->out, "\n%*s", (int)(2 * json->depth), "");
}

// What comes before a value: a comma, a line of its own, its key.
static void begin_value(struct json *json, const char *key) {
  if (json->not_first) {
    fputc(',', json->out);
  }
  if (json->depth != 0) {
    indent(json);
  }
  if (key != NULL) {
    put_string(json->out, key, strlen(key));
    fputs(": ", json->out);
  }
  json->not_first = true;
}

static void begin_group(struct json *json, const char *key, char bracket) {
  begin_value(json, key);
  fputc(bracket, json->out);
  json->depth++;
  json->not_first = false;
}

static void end_group(struct json *json, char bracket) {
  assert(json->depth != 0);
  json->depth--;
  if (json->not_first) {
    indent(json);
  }
  fputc(bracket, json->out);
  json->not_first = true;
}

void json_begin_object(struct json *json, const char *key) {
  begin_group(json, key, '{');
}

void json_end_object(struct json *json) {
  end_group(json, '}');
}

void json_begin_array(struct json *json, const char *key) {
  begin_group(json, key, '[');
}

void json_end_array(struct json *json) {
  end_group(json, ']');
}

void json_text_bytes(struct json *json, const char *key, const void *data, size_t len) {
  begin_value(json, key);
  put_string(json->out, data, len);
}

void json_text(struct json *json, const char *key, const char *text) {
  json_text_bytes(json, key, text, strlen(text));
}

void json_some_text(struct json *json, const char *key, const char *text) {
  if (text != NULL && text[0] != '\0') {
    json_text(json, key, text);
  }
}

void json_texts(struct json *json, const char *key, const char *const *texts, size_t num_texts) {
  if (num_texts == 0) {
    return;
  }
  json_begin_array(json, key);
  for (size_t i = 0; i < num_texts; i++) {
    json_text(json, NULL, texts[i]);
  }
  json_end_array(json);
}

void json_hex(struct json *json, const char *key, struct tlsagent_bytes bytes) {
  begin_value(json, key);
  fputc('"', json->out);
  for (size_t i = 0; i < bytes.len; i++) {
    fprintf(json->out, "%02x", bytes.data[i]);
  }
  fputc('"', json->out);
}

void json_number(struct json *json, const char *key, int64_t number) {
  begin_value(json, key);
  fprintf(json->out, "%" PRId64, number);
}

void json_unsigned(struct json *json, const char *key, uint64_t number) {
  begin_value(json, key);
  fprintf(json->out, "%" PRIu64, number);
}

void json_fraction(struct json *json, const char *key, double number) {
  begin_value(json, key);
  fprintf(json->out, "%.3f", number);
}

void json_bool(struct json *json, const char *key, bool value) {
  begin_value(json, key);
  fputs(value ? "true" : "false", json->out);
}

void json_null(struct json *json, const char *key) {
  begin_value(json, key);
  fputs("null", json->out);
}

void json_end(struct json *json) {
  assert(json->depth == 0);
  fputc('\n', json->out);
  fflush(json->out);
}
