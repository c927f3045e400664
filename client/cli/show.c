#include "client/cli/show.h"

#include "client/cli/text.h"

static void line(FILE *out, const char *label, const char *text) {
  if (text[0] != '\0') {
    fprintf(out, "  %-14s", label);
    print_safe(out, text);
    fputc('\n', out);
  }
}

static void show_version(FILE *out, const struct tlsagent_negotiated *negotiated) {
  fprintf(out, "  %-14s", "Protocol:");
  print_safe(out, negotiated->version_name);
  fprintf(out, "%s\n  %-14s", negotiated->resumed ? ", resumed" : "", "Cipher:");
  print_safe(out, negotiated->cipher.name);
  fprintf(out, ", %u bits\n", negotiated->cipher.strength_bits);
}

void show_negotiated(FILE *out, const struct tlsagent_negotiated *negotiated) {
  show_version(out, negotiated);
  line(out, "Key exchange:", negotiated->group);
  line(out, "Signature:", negotiated->peer_signature);
  line(out, "Server name:", negotiated->server_name);
  if (negotiated->alpn.len != 0) {
    fprintf(out, "  %-14s", "ALPN:");
    print_safe_bytes(out, negotiated->alpn.data, negotiated->alpn.len);
    fputc('\n', out);
  }
}

static void json_cipher(struct json *json, const char *key, const struct tlsagent_cipher *cipher) {
  json_begin_object(json, key);
  json_text(json, "name", cipher->name);
  json_some_text(json, "standard_name", cipher->standard_name);
  json_unsigned(json, "bits", cipher->strength_bits);
  json_end_object(json);
}

void json_negotiated(struct json *json, const char *key,
                     const struct tlsagent_negotiated *negotiated) {
  json_begin_object(json, key);
  json_text(json, "version", negotiated->version_name);
  json_cipher(json, "cipher", &negotiated->cipher);
  json_some_text(json, "group", negotiated->group);
  json_some_text(json, "peer_signature", negotiated->peer_signature);
  json_some_text(json, "server_name", negotiated->server_name);
  if (negotiated->alpn.len != 0) {
    json_text_bytes(json, "alpn", negotiated->alpn.data, negotiated->alpn.len);
  }
  json_bool(json, "resumed", negotiated->resumed);
  json_end_object(json);
}
