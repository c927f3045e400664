// What a connection and its certificates look like, to people and to programs.
#ifndef TLSAGENT_CLIENT_CLI_SHOW_H_
#define TLSAGENT_CLIENT_CLI_SHOW_H_

#include <stdio.h>

#include "client/cli/cli.h"
#include "client/cli/json.h"

// show_certificate prints a certificate, with its PEM if asked for.
void show_certificate(FILE *out, const struct tlsagent_certificate *certificate, bool with_pem);

// json_certificate writes a certificate as an object.
void json_certificate(struct json *json, const char *key,
                      const struct tlsagent_certificate *certificate);

// show_negotiated prints what both sides agreed on.
void show_negotiated(FILE *out, const struct tlsagent_negotiated *negotiated);

// json_negotiated writes it as an object.
void json_negotiated(struct json *json, const char *key,
                     const struct tlsagent_negotiated *negotiated);

#endif  // TLSAGENT_CLIENT_CLI_SHOW_H_
