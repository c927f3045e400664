// Text from strangers on a terminal, and columns.
#ifndef TLSAGENT_CLIENT_CLI_TEXT_H_
#define TLSAGENT_CLIENT_CLI_TEXT_H_

#include <stdint.h>
#include <stdio.h>

#include "client/c/tlsagent.h"

// print_safe prints text with control characters, right-to-left overrides and bytes that aren't
// UTF-8 as \xNN: a certificate must not be able to write to the terminal.
void print_safe(FILE *out, const char *text);

// print_safe_bytes is print_safe for bytes that may hold NULs.
void print_safe_bytes(FILE *out, const void *data, size_t len);

// print_safe_lines is print_safe for a text of several lines.
void print_safe_lines(FILE *out, const char *text);

// print_hex prints bytes as AA:BB:CC, without colons if separator is 0.
void print_hex(FILE *out, struct tlsagent_bytes bytes, char separator);

// print_base64 prints bytes in base64 (RFC 4648).
void print_base64(FILE *out, struct tlsagent_bytes bytes);

// utf8_length returns how many bytes the well-formed character at data has, 0 when it is none. Its
// code point is stored in *out.
size_t utf8_length(const void *data, size_t len, uint32_t *out);

#endif  // TLSAGENT_CLIENT_CLI_TEXT_H_
