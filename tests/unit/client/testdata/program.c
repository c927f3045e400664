// What a program outside this tree would be: it includes <tlsagent.h> and links -ltlsagent.
#include <stdio.h>
#include <string.h>
#include <tlsagent.h>

int main(int argc, char **argv) {
  struct tlsagent_client_options options;
  struct tlsagent_error error;
  memset(&options, 0, sizeof(options));
  options.address = argc > 1 ? argv[1] : NULL;
  struct tlsagent_client *client = tlsagent_client_open(&options, 1000, &error);
  if (client == NULL) {
    puts(error.message);
    return (int)error.fault;
  }
  const bool good = tlsagent_agent_ping(client, "hello", 5, 1000, &error);
  tlsagent_client_close(client);
  return good ? 0 : 1;
}
