// A writer of JSON (RFC 8259): commas, indentation and escapes are its business.
#ifndef TLSAGENT_CLIENT_CLI_JSON_H_
#define TLSAGENT_CLIENT_CLI_JSON_H_

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "client/c/tlsagent.h"

// struct json is a document being written. {.out = file} begins one.
struct json {
  FILE *out;
  unsigned depth;
  bool not_first;  // whether something stands before in this object or array
};

// In an object a value has a key; in an array, and at the top, key is NULL.

void json_begin_object(struct json *json, const char *key);
void json_end_object(struct json *json);
void json_begin_array(struct json *json, const char *key);
void json_end_array(struct json *json);

// json_text writes a string; bytes that aren't UTF-8 become U+FFFD.
void json_text(struct json *json, const char *key, const char *text);
void json_text_bytes(struct json *json, const char *key, const void *data, size_t len);

// json_some_text writes a string unless it is NULL or empty.
void json_some_text(struct json *json, const char *key, const char *text);

// json_texts writes an array of strings unless it is empty.
void json_texts(struct json *json, const char *key, const char *const *texts, size_t num_texts);

// json_hex writes bytes as a string of lower-case hexadecimal.
void json_hex(struct json *json, const char *key, struct tlsagent_bytes bytes);

void json_number(struct json *json, const char *key, int64_t number);
void json_unsigned(struct json *json, const char *key, uint64_t number);
void json_fraction(struct json *json, const char *key, double number);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);

// json_end ends the document's last line.
void json_end(struct json *json);

#endif  // TLSAGENT_CLIENT_CLI_JSON_H_
