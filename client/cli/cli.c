#include "client/cli/cli.h"

#include <stdarg.h>
#include <stdio.h>

#include "client/cli/text.h"

int complain(const struct cli *cli, enum exit_code code, const char *format, ...) {
  char message[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  fprintf(stderr, "tlsagent%s%s: ", cli->command == NULL ? "" : " ",
          cli->command == NULL ? "" : cli->command);
  print_safe(stderr, message);
  fputc('\n', stderr);
  return code;
}

static enum exit_code exit_code_of_tls(const struct tlsagent_tls_error *tls) {
  switch (tls->kind) {
    case TLSAGENT_ERROR_VERIFY:
      return EXIT_VERIFY;
    case TLSAGENT_ERROR_TRUNCATED:
      return EXIT_TRUNCATED;
    case TLSAGENT_ERROR_OS:
    case TLSAGENT_ERROR_RESOLVE:
      return EXIT_NETWORK;
    case TLSAGENT_ERROR_TIMEOUT:
      return EXIT_TIMEOUT;
    case TLSAGENT_ERROR_INVALID:
      return EXIT_USAGE;
    default:
      return EXIT_TLS;
  }
}

enum exit_code exit_code_of(const struct tlsagent_error *error) {
  switch (error->fault) {
    case TLSAGENT_FAULT_NONE:
      return EXIT_TLS;  // whoever asks has failed, whatever the library thinks of it
    case TLSAGENT_FAULT_USAGE:
      return EXIT_USAGE;
    case TLSAGENT_FAULT_UNREACHABLE:
    case TLSAGENT_FAULT_LOST:
      return EXIT_NO_DAEMON;
    case TLSAGENT_FAULT_DEADLINE:
      return EXIT_TIMEOUT;
    case TLSAGENT_FAULT_REFUSED:
      return EXIT_REFUSED;
    case TLSAGENT_FAULT_TLS:
      return exit_code_of_tls(&error->tls);
    case TLSAGENT_FAULT_MEMORY:
      return EXIT_IO;
  }
  return EXIT_IO;
}

int complain_error(const struct cli *cli, const struct tlsagent_error *error) {
  return complain(cli, exit_code_of(error), "%s", error->message);
}

struct tlsagent_client *open_agent(const struct cli *cli, int *code) {
  const struct tlsagent_client_options options = {.address = cli->socket};
  struct tlsagent_error error;
  struct tlsagent_client *agent = tlsagent_client_open(&options, cli->timeout_ms, &error);
  if (agent == NULL) {
    *code = complain_error(cli, &error);
  }
  return agent;
}
