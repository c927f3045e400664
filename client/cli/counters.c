// tlsagent counters: what the daemon counted since it started.

#include <inttypes.h>
#include <stdio.h>

#include "client/cli/commands.h"
#include "client/cli/json.h"

static void print_text(const struct tlsagent_agent_counters_reply *reply) {
  for (size_t i = 0; i < reply->num_counters; i++) {
    printf("%-32s %20" PRIu64 "\n", reply->counters[i].name, reply->counters[i].value);
  }
}

static void print_json(const struct tlsagent_agent_counters_reply *reply) {
  struct json json = {.out = stdout};
  json_begin_object(&json, NULL);
  for (size_t i = 0; i < reply->num_counters; i++) {
    json_unsigned(&json, reply->counters[i].name, reply->counters[i].value);
  }
  json_end_object(&json);
  json_end(&json);
}

static int run(const struct cli *cli, const void *options, char *const *arguments) {
  (void)options;
  (void)arguments;
  int code = EXIT_OK;
  struct tlsagent_agent_counters_reply *reply;
  struct tlsagent_error error;
  struct tlsagent_client *agent = open_agent(cli, &code);
  if (agent == NULL) {
    return code;
  }
  if (tlsagent_agent_counters(agent, &reply, cli->timeout_ms, &error)) {
    (cli->json ? print_json : print_text)(reply);
  } else {
    code = complain_error(cli, &error);
  }
  tlsagent_free(reply);
  tlsagent_client_close(agent);
  return code;
}

const struct command COUNTERS_COMMAND = {
    .name = "counters",
    .arguments = "",
    .summary = "list what the daemon counted since it started",
    .num_arguments = 0,
    .run = run,
    .examples = "  tlsagent counters --json\n",
};
