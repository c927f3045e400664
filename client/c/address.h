// Where the daemon listens.
#ifndef TLSAGENT_CLIENT_C_ADDRESS_H_
#define TLSAGENT_CLIENT_C_ADDRESS_H_

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "client/c/tlsagent.h"

#ifdef __cplusplus
extern "C" {
#endif

// struct tla_address is a socket's address, and the same as text: "unix:/run/tlsagent.sock".
struct tla_address {
  struct sockaddr_un socket;
  socklen_t len;
  char text[sizeof("unix:") + sizeof(((struct sockaddr_un *)0)->sun_path)];
};

// tla_address_parse understands "unix:PATH", "unix:@NAME", "@NAME" and "PATH", and NULL as the
// default of struct tlsagent_client_options.
bool tla_address_parse(struct tla_address *out, const char *text, struct tlsagent_error *error);

#ifdef __cplusplus
}
#endif

#endif  // TLSAGENT_CLIENT_C_ADDRESS_H_
