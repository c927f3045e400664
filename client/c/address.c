#include "client/c/address.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/c/error.h"

#define PREFIX      "unix:"
#define ROOT_SOCKET "/run/tlsagent.sock"
#define USER_SOCKET "tlsagent.sock"

static bool given(const char *text) {
  return text != NULL && text[0] != '\0';
}

// A path is the bytes up to and with its NUL; a name in the abstract namespace is its bytes alone,
// after a NUL in the place of the @.
static void fill_socket(struct tla_address *out, const char *path) {
  const size_t len = strlen(path);
  const bool abstract = path[0] == '@';
  *out = (struct tla_address){.socket = {.sun_family = AF_UNIX}};
  memcpy(out->socket.sun_path, path, len);
  if (abstract) {
    out->socket.sun_path[0] = '\0';
  }
  out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (abstract ? 0 : 1));
  snprintf(out->text, sizeof(out->text), PREFIX "%s", path);
}

static bool parse_path(struct tla_address *out, const char *path, struct tlsagent_error *error) {
  const size_t most = sizeof(out->socket.sun_path) - 1;
  const size_t len = strlen(path);
  if (len == 0 || strcmp(path, "@") == 0) {
    return tla_fail(error, TLSAGENT_FAULT_USAGE,
                    "the daemon's address is empty: give unix:PATH or unix:@NAME");
  }
  if (len > most) {
    return tla_fail(error, TLSAGENT_FAULT_USAGE,
                    "the daemon's address has %zu bytes and a socket's path can have %zu: %s", len,
                    most, path);
  }
  fill_socket(out, path);
  return true;
}

static bool parse_default(struct tla_address *out, struct tlsagent_error *error) {
  const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
  char path[512];
  if (geteuid() == 0) {
    return parse_path(out, ROOT_SOCKET, error);
  }
  if (!given(runtime)) {
    return tla_fail(error, TLSAGENT_FAULT_USAGE,
                    "nothing says where tlsagentd listens: set TLSAGENT_SOCKET to its address "
                    "(XDG_RUNTIME_DIR, the default's place, isn't set either)");
  }
  snprintf(path, sizeof(path), "%s/" USER_SOCKET, runtime);
  return parse_path(out, path, error);
}

bool tla_address_parse(struct tla_address *out, const char *text, struct tlsagent_error *error) {
  const char *address = text != NULL ? text : secure_getenv("TLSAGENT_SOCKET");
  if (text == NULL && !given(address)) {
    return parse_default(out, error);
  }
  const size_t prefix = strlen(PREFIX);
  const bool prefixed = strncmp(address, PREFIX, prefix) == 0;
  return parse_path(out, prefixed ? address + prefix : address, error);
}
